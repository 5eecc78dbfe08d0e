"""xray-tools: the tools in a shell."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from pydantic import BaseModel

from xray_agent_tools import __version__
from xray_agent_tools.errors import Misconfigured, XrayToolsError, outcome_of
from xray_agent_tools.report import Verdict

if TYPE_CHECKING:
    from xray_agent_tools.screener import Screener

EXIT_CODES: dict[Verdict, int] = {"NO_ALARM": 0, "ALARM": 10, "UNKNOWN": 11}
"""Exit code of a verdict; those of errors are in the error table."""

_PLUG_INS = "xray_tools.commands"

_PICTURES = frozenset({".png", ".jpg", ".jpeg", ".tif", ".tiff", ".bmp", ".webp"})


@contextmanager
def _errors_reported(as_json: bool) -> Iterator[None]:
    """Turn the tools' errors into a message and an exit code."""
    try:
        yield
    except XrayToolsError as error:
        if as_json:
            click.echo(json.dumps(error.as_dict(), separators=(",", ":")))
        else:
            click.echo(f"error: {error.message}\n  hint: {error.hint}", err=True)
        sys.exit(outcome_of(error).exit_code)


def _screener(model: str) -> Screener:
    from xray_agent_tools.screener import Screener

    return Screener(model=model)


_json_option = click.option("--json", "as_json", is_flag=True, help="Print the answer as one line of JSON.")
_model_option = click.option(
    "--model",
    default="default",
    envvar="XRAY_TOOLS_MODEL",
    show_default=True,
    help="Embedded model package, or a folder.",
)
_full_option = click.option("--full", is_flag=True, help="Every cue and operating point.")
_scan_argument = click.argument("scans", metavar="SCAN...", nargs=-1, required=True)


def _source(scans: Sequence[str]) -> str | list[str]:
    return scans[0] if len(scans) == 1 else list(scans)


def _print(answer: BaseModel, as_json: bool, show: Callable[[Any], None]) -> None:
    if as_json:
        click.echo(answer.model_dump_json())
    else:
        show(answer)


class _Commands(click.Group):
    """The library's commands, and those that installed packages name in the entry-point group ``xray_tools.commands``."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return sorted({*super().list_commands(ctx), *entry_points(group=_PLUG_INS).names})

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        own = super().get_command(ctx, cmd_name)
        if own is not None:
            return own
        return next((_plugged_in(entry) for entry in entry_points(group=_PLUG_INS, name=cmd_name)), None)


def _plugged_in(entry: EntryPoint) -> click.Command:
    """The command of another package, or one in its place that says what it lacks."""
    try:
        command: click.Command = entry.load()
    except (ImportError, AttributeError) as error:
        return _missing(entry.name, str(error))
    return command


def _missing(name: str, reason: str) -> click.Command:
    @click.command(
        name,
        help="Cannot be loaded; run it to see why.",
        add_help_option=False,
        context_settings={"ignore_unknown_options": True},
    )
    @click.argument("rest", nargs=-1)
    def command(rest: tuple[str, ...]) -> None:
        with _errors_reported("--json" in rest):
            raise Misconfigured(f"{name!r} cannot be loaded: {reason}", hint="install what is missing with pip")

    return command


@click.group(cls=_Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__)
def main() -> None:
    """Screen X-ray scans of baggage.

    Exit codes: 0 NO_ALARM, 10 ALARM, 11 UNKNOWN, 2 bad usage, others by error. NO_ALARM means that a finished look found
    nothing at its operating point; it does not prove that a bag is harmless.
    """


@main.command()
@_scan_argument
@click.option("--label", "labels", multiple=True, help="Look only for this label; repeatable.")
@click.option("--min-confidence", type=float, help="Also list weaker boxes from this confidence; the verdict stays.")
@_full_option
@_model_option
@_json_option
def detect(
    scans: tuple[str, ...], labels: tuple[str, ...], min_confidence: float | None, full: bool, model: str, as_json: bool
) -> None:
    """Look for threats on a scan; several SCANs are views of one bag."""
    from xray_agent_tools.show import show_report

    with _errors_reported(as_json):
        report = _screener(model).detect_threats(
            _source(scans),
            labels=list(labels) or None,
            min_confidence=min_confidence,
            detail="full" if full else "concise",
        )
    _print(report, as_json, show_report)
    sys.exit(EXIT_CODES[report.verdict])


@main.command()
@_scan_argument
@click.option("--question", "-q", help="What to answer; an overview when not given.")
@_full_option
@_model_option
@_json_option
def explain(scans: tuple[str, ...], question: str | None, full: bool, model: str, as_json: bool) -> None:
    """Say in words what a scan shows and why."""
    from xray_agent_tools.show import show_explanation

    with _errors_reported(as_json):
        answer = _screener(model).explain_scan(_source(scans), question=question, detail="full" if full else "concise")
    _print(answer, as_json, show_explanation)
    sys.exit(EXIT_CODES[answer.verdict])


@main.command()
@_scan_argument
@click.option("--declared", "-d", multiple=True, help="A declared item in the traveller's words; repeatable.")
@click.option("--policy", default="customs", show_default=True, help="cabin, customs, hold, or a YAML file.")
@_full_option
@_model_option
@_json_option
def assess(
    scans: tuple[str, ...], declared: tuple[str, ...], policy: str, full: bool, model: str, as_json: bool
) -> None:
    """Compare a scan with a declaration by a policy."""
    from xray_agent_tools.show import show_assessment

    with _errors_reported(as_json):
        answer = _screener(model).assess_declaration(
            _source(scans), declared_items=declared, policy=policy, detail="full" if full else "concise"
        )
    _print(answer, as_json, show_assessment)
    sys.exit(EXIT_CODES[answer.report.verdict])


@main.command()
@click.argument("scan")
@click.option("--out", "-o", type=click.Path(path_type=Path, dir_okay=False), required=True, help="PNG file to write.")
@click.option("--crop", "crop_id", help="Show only this detection, enlarged: d1, d2, ...")
@click.option("--min-confidence", type=float, help="Also draw weaker boxes from this confidence.")
@_model_option
@_json_option
def view(scan: str, out: Path, crop_id: str | None, min_confidence: float | None, model: str, as_json: bool) -> None:
    """Draw a scan's boxes into a picture, or cut one detection out."""
    with _errors_reported(as_json):
        shown = _screener(model).view_scan(scan, detection_id=crop_id, min_confidence=min_confidence)
    picture, verdict = shown.picture, shown.caption.verdict
    try:
        picture.save(out, format="PNG")
    except OSError as error:
        raise click.ClickException(f"cannot write {out}: {error.strerror}") from error
    written = {"file": str(out), "width": picture.width, "height": picture.height, "verdict": verdict}
    click.echo(json.dumps(written) if as_json else f"{verdict}  wrote {out} ({picture.width}x{picture.height})")
    sys.exit(EXIT_CODES[verdict])


@main.command()
@click.argument("source")
@click.option("--out", "-o", type=click.Path(path_type=Path, dir_okay=False), required=True, help="JSON Lines file.")
@click.option("--restart", is_flag=True, help="Begin again instead of going on where the file ends.")
@_full_option
@_model_option
@_json_option
def batch(source: str, out: Path, restart: bool, full: bool, model: str, as_json: bool) -> None:
    """Look at a folder or glob of scans; one JSON line for each.

    A scan that cannot be looked at gets a line with its error, and the rest go on. Run again, it skips what the file
    already holds.
    """
    from xray_agent_tools.batch import run_batch

    scans = _pictures(source)
    if not scans:
        raise click.ClickException(f"no pictures in {source!r}: give a folder or a glob such as 'scans/*.png'")
    with _errors_reported(as_json):
        totals = run_batch(
            _screener(model), scans, out, restart=restart, detail="full" if full else "concise", progress=not as_json
        )
    if as_json:
        click.echo(json.dumps(totals))
    else:
        click.echo(", ".join(f"{count} {name}" for name, count in totals.items()) + f"; wrote {out}")


def _pictures(source: str) -> list[Path]:
    import glob

    folder = Path(source)
    found = folder.rglob("*") if folder.is_dir() else (Path(name) for name in glob.glob(source, recursive=True))
    return sorted(
        path for path in found if path.is_file() and (path.suffix.lower() in _PICTURES or not folder.is_dir())
    )


@main.command()
@click.argument("label", required=False)
@_json_option
def taxonomy(label: str | None, as_json: bool) -> None:
    """List the canonical labels, or show one."""
    from xray_agent_tools.show import show_item, show_taxonomy
    from xray_agent_tools.taxonomy import taxonomy as load

    with _errors_reported(as_json):
        if label is None:
            _print(load(), as_json, show_taxonomy)
        else:
            _print(load().item(label), as_json, show_item)


@main.group()
def policy() -> None:
    """Work with declaration policies."""


@policy.command("check")
@click.argument("name")
@_json_option
def policy_check(name: str, as_json: bool) -> None:
    """Validate a policy file, or show an embedded policy's rules."""
    from xray_agent_tools.declaration.policy import load_policy
    from xray_agent_tools.show import show_policy

    with _errors_reported(as_json):
        loaded = load_policy(name)
    _print(loaded, as_json, show_policy)


@main.group()
def model() -> None:
    """Work with model packages."""


@model.command("show")
@click.argument("name", default="default")
@_json_option
def model_show(name: str, as_json: bool) -> None:
    """Show a model package: operating points, sources, scores."""
    from xray_agent_tools.detector.package import load_package
    from xray_agent_tools.show import show_manifest

    with _errors_reported(as_json):
        manifest = load_package(name).manifest
    _print(manifest, as_json, show_manifest)


@main.command()
@_model_option
@_json_option
def doctor(model: str, as_json: bool) -> None:
    """Check the installation: packages, providers, model package, canary."""
    from xray_agent_tools.doctor import examine
    from xray_agent_tools.show import show_checks

    checks = examine(model)
    if as_json:
        click.echo(json.dumps([check.as_dict() for check in checks]))
    else:
        show_checks(checks)
    sys.exit(0 if all(check.passed for check in checks) else 23)


if __name__ == "__main__":
    main()
