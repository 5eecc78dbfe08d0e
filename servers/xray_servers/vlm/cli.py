"""``xray-serve vlm``: start, print or install the engine of a vision-language model."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from xray_agent_tools.errors import Misconfigured
from xray_servers.settings import errors_reported
from xray_servers.vlm.adapter import adapter_at
from xray_servers.vlm.command import Command, Wanted, is_loopback, transformers_command, vllm_command
from xray_servers.vlm.engine import Choice, engine_of
from xray_servers.vlm.unit import unit_of

if TYPE_CHECKING:
    from xray_servers.vlm.running import Running

_PROGRAM = click.Path(path_type=Path, dir_okay=False)


@click.command(context_settings={"help_option_names": ["-h", "--help"]})
@click.argument("model")
@click.argument("extra", nargs=-1, type=click.UNPROCESSED)
@click.option("--base", help="Base of an adapter.  [default: the one that the adapter names]")
@click.option("--name", default="xray", show_default=True, help="What clients call the model; vLLM only.")
@click.option(
    "--engine",
    type=click.Choice(["auto", "vllm", "transformers"]),
    default="auto",
    show_default=True,
    help="What serves it: vLLM where it is found, `transformers serve` otherwise.",
)
@click.option("--vllm", type=_PROGRAM, help="vLLM's program, in its own environment.  [default: on PATH]")
@click.option("--transformers", type=_PROGRAM, help="The program `transformers`.  [default: on PATH]")
@click.option("--host", default="127.0.0.1", show_default=True, help="Address to listen at.")
@click.option("--port", type=click.IntRange(1, 65535), default=8001, show_default=True, help="Port.")
@click.option("--images", type=click.IntRange(1, 8), default=4, show_default=True, help="Most pictures in a request.")
@click.option("--tensor-parallel", type=click.IntRange(1), default=1, show_default=True, help="GPUs that share it.")
@click.option(
    "--gpu-memory", type=click.FloatRange(0.05, 1), default=0.9, show_default=True, help="Share of their memory."
)
@click.option(
    "--max-model-len",
    type=click.IntRange(1024),
    default=16_384,
    show_default=True,
    help="Longest conversation, tokens.",
)
@click.option(
    "--wait", "wait_s", type=click.FloatRange(1), default=900, show_default=True, help="Seconds until it must answer."
)
@click.option("--probe/--no-probe", default=True, show_default=True, help="Check that an adapter changes the answers.")
@click.option("--print", "only_print", is_flag=True, help="Print the command, and start nothing.")
@click.option("--unit", type=click.Path(path_type=Path, dir_okay=False), help="Write a systemd unit; start nothing.")
@click.option("--check", "only_check", is_flag=True, help="Check one that runs already, and start nothing.")
def vlm(
    model: str,
    extra: tuple[str, ...],
    *,
    wait_s: float,
    probe: bool,
    only_print: bool,
    unit: Path | None,
    only_check: bool,
    **options: Any,
) -> None:
    """Serve MODEL, for `--vlm-url` of the other servers: a folder, a name on a hub, or the folder of an adapter.

    EXTRA arguments after `--` go to the engine as they are. The key that clients need is read from XRAY_VLM_KEY.
    """
    with errors_reported("serve"):
        if only_print + only_check + (unit is not None) > 1:
            raise Misconfigured("--print, --unit and --check exclude each other", hint="give one of them")
        command = _command(model, extra, **options)
        key = _key_of(command, options["host"])
        if only_print:
            click.echo(command.as_shell())
        elif unit is not None:
            check = _check_line(model, command, options, wait_s=wait_s, probe=probe)
            _write_unit(unit, command, check, wait_s)
        elif only_check:
            _wait_and_probe(command, key, wait_s, probe, None)
        else:
            sys.exit(_serve(command, key, wait_s, probe))


def _command(
    model: str,
    extra: tuple[str, ...],
    *,
    base: str | None,
    engine: Choice,
    vllm: Path | None,
    transformers: Path | None,
    **how: Any,
) -> Command:
    folder = Path(model)
    adapter = adapter_at(folder, base=base)
    if adapter is None and base is not None:
        raise Misconfigured(f"{model} holds no adapter, so it has no base", hint="leave --base out")
    if adapter is None and folder.is_dir() and not (folder / "config.json").is_file():
        raise Misconfigured(
            f"{model} holds neither a model nor an adapter",
            hint="name a folder with a config.json or an adapter_config.json",
        )
    name = str(folder.absolute()) if adapter is None and folder.is_dir() else model
    wanted = Wanted(model=adapter.base if adapter else name, adapter=adapter, extra=extra, **how)
    chosen, program = engine_of(engine, vllm=vllm, transformers=transformers)
    return (vllm_command if chosen == "vllm" else transformers_command)(program, wanted)


def _key_of(command: Command, host: str) -> str | None:
    """The key that clients need; None where nobody needs one."""
    if command.model == command.base:
        raise Misconfigured(f"{command.base!r} is what the base is called", hint="choose another --name")
    key = os.environ.get("XRAY_VLM_KEY") or None
    if not is_loopback(host) and key is None:
        raise Misconfigured(f"{host} is reached from elsewhere, and no key is asked for", hint="set XRAY_VLM_KEY")
    return key if command.key_variable is not None else None


def _serve(command: Command, key: str | None, wait_s: float, probe: bool) -> int:
    from xray_servers.vlm.running import started

    with started(command, key) as running:
        _wait_and_probe(command, key, wait_s, probe, running)
        code = running.wait()
    return code if code >= 0 else 128 - code


def _wait_and_probe(command: Command, key: str | None, wait_s: float, probe: bool, running: Running | None) -> None:
    from xray_servers.vlm.endpoint import Endpoint
    from xray_servers.vlm.probe import check_adapter
    from xray_servers.vlm.running import wait_until_it_answers

    endpoint = Endpoint(command.host, command.port, key)
    wait_until_it_answers(endpoint, command, _say, running=running, limit_s=wait_s)
    if probe and command.base is not None:
        _say("asking base and adapter the same")
        check_adapter(endpoint, base=command.base, adapter=command.model)
    _say(f"{command.engine} serves it: --vlm-url {command.url} --vlm-model {command.model}")


def _say(text: str) -> None:
    click.echo(f"xray-serve vlm: {text}", err=True)


def _check_line(model: str, command: Command, options: Mapping[str, Any], *, wait_s: float, probe: bool) -> list[str]:
    """The command that checks what a unit has started."""
    program = shutil.which("xray-serve") or shutil.which(str(Path(sys.executable).with_name("xray-serve")))
    if program is None:
        raise Misconfigured("`xray-serve` was not found, which the unit calls", hint="put it on PATH")
    place = str(Path(model).absolute()) if Path(model).is_dir() else model
    line = [program, "vlm", place, "--check", "--engine", command.engine, f"--{command.engine}", command.arguments[0]]
    line += ["--name", options["name"], "--host", options["host"], "--port", str(command.port), "--wait", f"{wait_s:g}"]
    if options["base"] is not None:
        line += ["--base", options["base"]]
    return line if probe else [*line, "--no-probe"]


def _write_unit(path: Path, command: Command, check: Sequence[str], wait_s: float) -> None:
    text = unit_of(command, check, wait_s=wait_s)
    try:
        path.write_text(text, encoding="utf-8")
    except OSError as error:
        raise Misconfigured(f"{path} cannot be written: {error.strerror}", hint="name another file") from error
    _say(f"wrote {path}; install it with `systemctl link {path.absolute()}`")
