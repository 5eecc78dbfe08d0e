"""Command-line options that both servers share, and what they stand for."""

from __future__ import annotations

import os
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar
from urllib.parse import urlsplit

import click

from xray_agent_tools.errors import Misconfigured, XrayToolsError, outcome_of

if TYPE_CHECKING:
    from mcp.server.auth.provider import TokenVerifier

    from xray_servers.desk import ScreeningDesk

Command = TypeVar("Command", bound=Callable[..., Any])

_MIB = 1024 * 1024
_SHARE_OF_TIME = 0.75
_EVERY_ADDRESS = frozenset({"0.0.0.0", "::"})  # noqa: S104


@contextmanager
def errors_reported(extra: str = "mcp") -> Iterator[None]:
    """Turn the tools' errors into a message and an exit code.

    Args:
        extra: the extra that brings what the block imports.
    """
    try:
        yield
    except ModuleNotFoundError as error:
        raise click.ClickException(f"{error.name} is not installed: pip install 'xray-agent-tools[{extra}]'") from error
    except XrayToolsError as error:
        click.echo(f"error: {error.message}\n  hint: {error.hint}", err=True)
        sys.exit(outcome_of(error).exit_code)


def _options(*options: Callable[[Command], Command]) -> Callable[[Command], Command]:
    def decorate(command: Command) -> Command:
        for option in reversed(options):
            command = option(command)
        return command

    return decorate


def desk_options(default_root: str, *, workers: int = 1) -> Callable[[Command], Command]:
    """Options of :func:`desk_of`.

    Args:
        default_root: what the help says of a server without ``--root``.
        workers: screening processes where none are named.
    """
    return _options(
        click.option(
            "--root",
            "roots",
            multiple=True,
            type=click.Path(path_type=Path, exists=True, file_okay=False),
            help=f"Folder that scans are read from; repeatable.  [default: {default_root}]",
        ),
        click.option("--model", default="default", envvar="XRAY_TOOLS_MODEL", show_default=True, help="Model package."),
        click.option(
            "--policy", default="customs", show_default=True, help="Policy where a call names none, or a YAML file."
        ),
        click.option("--vlm-url", envvar="XRAY_VLM_URL", help="OpenAI-compatible endpoint that words explanations."),
        click.option(
            "--vlm-model", envvar="XRAY_VLM_MODEL", help="Name of the model there; its key is in XRAY_VLM_KEY."
        ),
        click.option(
            "--vlm-frame",
            envvar="XRAY_VLM_FRAME",
            type=click.Path(path_type=Path, exists=True),
            help="Its frame.json, or the folder with it.  [default: the frame of Qwen2.5-VL]",
        ),
        click.option(
            "--workers", type=click.IntRange(1, 64), default=workers, show_default=True, help="Screening processes."
        ),
        click.option(
            "--queue", type=click.IntRange(0, 10_000), default=16, show_default=True, help="Calls that may wait."
        ),
        click.option(
            "--timeout",
            type=click.FloatRange(0.1, 3600),
            default=60.0,
            show_default=True,
            help="Seconds until a call's answer.",
        ),
        click.option(
            "--shelf",
            type=click.Path(path_type=Path, file_okay=False, resolve_path=True),
            help="Folder that scans are kept in; replicas may share it.  [default: one that is removed at the end]",
        ),
        click.option(
            "--keep-minutes",
            type=click.FloatRange(0.01, 10_080),
            default=60.0,
            show_default=True,
            help="Scans are kept so long.",
        ),
        click.option(
            "--keep-mib",
            type=click.IntRange(1),
            default=1024,
            show_default=True,
            help="Scans are kept up to this size.",
        ),
    )


def address_options(default_port: int) -> Callable[[Command], Command]:
    """Options of where to listen, and of :func:`names_answered`."""
    return _options(
        click.option("--host", default="127.0.0.1", show_default=True, help="Address to listen at."),
        click.option(
            "--port",
            type=click.IntRange(0, 65535),
            default=default_port,
            show_default=True,
            help="Port; 0 takes a free one.",
        ),
        click.option(
            "--max-body-mib", type=click.IntRange(1, 4096), default=96, show_default=True, help="Largest request."
        ),
        click.option(
            "--allowed-host",
            "hosts",
            multiple=True,
            envvar="XRAY_ALLOWED_HOSTS",
            help="Other Host header that is answered.",
        ),
        click.option(
            "--allowed-origin",
            "origins",
            multiple=True,
            envvar="XRAY_ALLOWED_ORIGINS",
            help="Other Origin that is answered.",
        ),
    )


def token_options() -> Callable[[Command], Command]:
    """Options of :func:`verifier_of`."""
    return _options(
        click.option(
            "--token-file",
            type=click.Path(path_type=Path, dir_okay=False),
            envvar="XRAY_TOKEN_FILE",
            help="Whose bearer tokens are good; the command `token` makes them.",
        ),
        click.option("--jwt-issuer", help="OAuth authorization server whose signed tokens are good."),
        click.option("--jwt-keys", help="Its keys: a JWKS file or URL."),
        click.option("--resource-url", help="Public URL of this server, which such tokens must be made for."),
    )


def log_option() -> Callable[[Command], Command]:
    """Option of what is logged."""
    return click.option(
        "--log-level",
        type=click.Choice(["DEBUG", "INFO", "WARNING", "ERROR"], case_sensitive=False),
        default="WARNING",
        show_default=True,
        help="What goes to standard error; INFO names each call, never a scan.",
    )


def desk_of(
    *,
    shelf: Path,
    roots: tuple[Path, ...],
    model: str,
    policy: str,
    vlm_url: str | None,
    vlm_model: str | None,
    vlm_frame: Path | None,
    workers: int,
    queue: int,
    timeout: float,
    keep_minutes: float,
    keep_mib: int,
    batch: int = 1,
    batch_wait_ms: float = 0.0,
) -> ScreeningDesk:
    """The desk that the options describe.

    Raises:
        Misconfigured: the options contradict each other.
        InvalidPolicy: there is no such policy, or it breaks the rules for policies.
    """
    from xray_agent_tools.declaration.policy import load_policy
    from xray_agent_tools.detector.onnx import cores
    from xray_agent_tools.explainer.picture import read_frame
    from xray_servers.desk import DeskLimits, ScreeningDesk
    from xray_servers.screening import ScreeningSettings, VlmSettings, policy_named
    from xray_servers.shelf import ShelfLimits

    if (vlm_url is None) != (vlm_model is None):
        raise Misconfigured("--vlm-url and --vlm-model go together", hint="give both, or neither")
    load_policy(policy_named(policy))
    vlm = None
    if vlm_url is not None and vlm_model is not None:
        if vlm_frame is not None:
            read_frame(vlm_frame)
        key = os.environ.get("XRAY_VLM_KEY", "none")
        # The words of the computed explanation must still be sent in time where the model's are not.
        vlm = VlmSettings(vlm_url, vlm_model, key, timeout_s=_SHARE_OF_TIME * timeout, frame=vlm_frame)
    settings = ScreeningSettings(
        roots=tuple(root.absolute() for root in roots),
        shelf=shelf,
        shelf_limits=ShelfLimits(lifetime_s=keep_minutes * 60, max_bytes=keep_mib * _MIB),
        model=model,
        policy=policy,
        vlm=vlm,
        threads=max(1, cores() // workers),
    )
    limits = DeskLimits(
        workers=workers, waiting=queue, timeout_s=timeout, batch=batch, batch_wait_s=batch_wait_ms / 1000
    )
    return ScreeningDesk(settings, limits)


@contextmanager
def shelf_at(chosen: Path | None) -> Iterator[Path]:
    """The folder that scans are kept in; one of our own making is removed at the end."""
    if chosen is not None:
        try:
            chosen.mkdir(parents=True, exist_ok=True, mode=0o700)
        except OSError as error:
            raise Misconfigured(
                f"scans cannot be kept in {chosen}: {error.strerror}", hint="choose another --shelf"
            ) from error
        if not os.access(chosen, os.W_OK | os.X_OK):
            raise Misconfigured(f"scans cannot be kept in {chosen}", hint="choose another --shelf, or allow writing")
        yield chosen
        return
    with tempfile.TemporaryDirectory(prefix="xray-scans-", ignore_cleanup_errors=True) as folder:
        yield Path(folder)


def names_answered(
    host: str, hosts: tuple[str, ...], origins: tuple[str, ...]
) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """The Host headers and the origins that are answered by a server at an address."""
    from xray_servers.boundaries import LOOPBACK, names_of, origins_of

    own = () if host in LOOPBACK or host in _EVERY_ADDRESS else names_of(host)
    known = (*LOOPBACK, *own, *hosts)
    return known, (*origins_of(known), *origins)


def verifier_of(
    *, token_file: Path | None, jwt_issuer: str | None, jwt_keys: str | None, resource_url: str | None
) -> TokenVerifier | None:
    """Whose tokens are good; None where nobody needs one.

    Raises:
        Misconfigured: the options contradict each other, or name files that cannot be used.
    """
    from xray_servers.access import BearerTokens, FirstOf, JwtTokens, signing_keys

    verifiers: list[TokenVerifier] = []
    if token_file is not None:
        verifiers.append(BearerTokens(token_file, resource=resource_url))
    if jwt_issuer is not None:
        if jwt_keys is None or resource_url is None:
            raise Misconfigured("--jwt-issuer needs --jwt-keys and --resource-url", hint="give all three")
        verifiers.append(JwtTokens(issuer=jwt_issuer, audience=resource_url, keys=signing_keys(jwt_keys)))
    elif jwt_keys is not None:
        raise Misconfigured("--jwt-keys without --jwt-issuer keeps nobody out", hint="give both")
    elif resource_url is not None and token_file is None:
        raise Misconfigured("--resource-url says nothing without tokens", hint="add --token-file or --jwt-issuer")
    for option, url in (("--jwt-issuer", jwt_issuer), ("--resource-url", resource_url)):
        if url is not None and not _is_url(url):
            raise Misconfigured(f"{option} {url!r} is no URL", hint="give it as https://screening.example.org/mcp")
    return FirstOf(verifiers) if verifiers else None


def _is_url(text: str) -> bool:
    parts = urlsplit(text)
    return parts.scheme in {"http", "https"} and bool(parts.hostname)


@click.command()
@click.argument("name")
@click.option("--scope", "scopes", multiple=True, help="What it allows; repeatable.  [default: screen]")
@click.option(
    "--file", "file", type=click.Path(path_type=Path, dir_okay=False), help="Token file to add it to; made if missing."
)
def token(name: str, scopes: tuple[str, ...], file: Path | None) -> None:
    """Make a bearer token for NAME. Only its hash is stored; the token is shown once."""
    from xray_servers.access import check_tokens, new_token

    with errors_reported():
        made, line = new_token(name, scopes)
    if file is None:
        click.echo(f"token: {made}\nline for the token file: {line}")
        return
    try:
        with open(os.open(file, os.O_RDWR | os.O_CREAT, 0o600), "r+", encoding="utf-8") as lines:
            before = lines.read()
            between = "" if not before or before.endswith("\n") else "\n"
            with errors_reported():
                check_tokens(f"{before}{between}{line}\n", file)
            lines.write(f"{between}{line}\n")
    except (OSError, UnicodeDecodeError) as error:
        raise click.ClickException(f"cannot write {file}: {error}") from error
    click.echo(f"token: {made}\nadded to {file}")
