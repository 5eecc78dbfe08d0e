"""xray-mcp: the tools for agents that speak the Model Context Protocol."""

from __future__ import annotations

import os
import signal
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from xray_agent_tools import __version__
from xray_agent_tools.errors import Misconfigured, XrayToolsError, outcome_of
from xray_servers.mcp.install import install, skill

if TYPE_CHECKING:
    from xray_servers.desk import ScreeningDesk
    from xray_servers.mcp.http import Authorization, HttpSettings

_MIB = 1024 * 1024
_EVERY_ADDRESS = frozenset({"0.0.0.0", "::"})  # noqa: S104


@contextmanager
def _errors_reported() -> Iterator[None]:
    try:
        yield
    except XrayToolsError as error:
        click.echo(f"error: {error.message}\n  hint: {error.hint}", err=True)
        sys.exit(outcome_of(error).exit_code)


@click.group(invoke_without_command=True, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__)
@click.option(
    "--root",
    "roots",
    multiple=True,
    type=click.Path(path_type=Path, exists=True, file_okay=False),
    help="Folder that scans are read from; repeatable.  [default: the working directory]",
)
@click.option("--model", default="default", envvar="XRAY_TOOLS_MODEL", show_default=True, help="Model package.")
@click.option("--policy", default="customs", show_default=True, help="Policy where a call names none, or a YAML file.")
@click.option("--vlm-url", envvar="XRAY_VLM_URL", help="OpenAI-compatible endpoint that words explanations.")
@click.option("--vlm-model", envvar="XRAY_VLM_MODEL", help="Name of the model there; its key is in XRAY_VLM_KEY.")
@click.option("--workers", type=click.IntRange(1, 64), default=1, show_default=True, help="Screening processes.")
@click.option("--queue", type=click.IntRange(0, 10_000), default=16, show_default=True, help="Calls that may wait.")
@click.option(
    "--timeout",
    type=click.FloatRange(0.1, 3600),
    default=60.0,
    show_default=True,
    help="Seconds until a call's answer.",
)
@click.option(
    "--shelf",
    type=click.Path(path_type=Path, file_okay=False, resolve_path=True),
    help="Folder that scans are kept in; replicas may share it.  [default: one that is removed at the end]",
)
@click.option(
    "--keep-minutes",
    type=click.FloatRange(0.01, 10_080),
    default=60.0,
    show_default=True,
    help="Scans are kept so long.",
)
@click.option(
    "--keep-mib", type=click.IntRange(1), default=1024, show_default=True, help="Scans are kept up to this size."
)
@click.option("--http", "over_http", is_flag=True, help="Serve Streamable HTTP instead of standard input and output.")
@click.option("--host", default="127.0.0.1", show_default=True, help="Address to listen at.")
@click.option(
    "--port", type=click.IntRange(0, 65535), default=8710, show_default=True, help="Port; 0 takes a free one."
)
@click.option("--max-body-mib", type=click.IntRange(1, 4096), default=96, show_default=True, help="Largest request.")
@click.option(
    "--allowed-host", "hosts", multiple=True, envvar="XRAY_ALLOWED_HOSTS", help="Other Host header that is answered."
)
@click.option(
    "--allowed-origin", "origins", multiple=True, envvar="XRAY_ALLOWED_ORIGINS", help="Other Origin that is answered."
)
@click.option(
    "--token-file",
    type=click.Path(path_type=Path, dir_okay=False),
    envvar="XRAY_TOKEN_FILE",
    help="Whose bearer tokens are good; `xray-mcp token` makes them.",
)
@click.option("--jwt-issuer", help="OAuth authorization server whose signed tokens are good.")
@click.option("--jwt-keys", help="Its keys: a JWKS file or URL.")
@click.option("--resource-url", help="Public URL of /mcp, which such tokens must be made for.")
@click.option("--scope", "scopes", multiple=True, help="What a token must allow; repeatable.")
@click.option(
    "--log-level",
    type=click.Choice(["DEBUG", "INFO", "WARNING", "ERROR"], case_sensitive=False),
    default="WARNING",
    show_default=True,
    help="What goes to standard error; INFO names each call, never a scan.",
)
@click.pass_context
def main(context: click.Context, /, **options: Any) -> None:
    """Screen bags for agents that speak the Model Context Protocol.

    Serves one client over standard input and output, or any number with --http. Scans are read only from --root.
    """
    if context.invoked_subcommand is None:
        with _errors_reported():
            _serve(**options)


def _serve(
    *,
    over_http: bool,
    host: str,
    port: int,
    max_body_mib: int,
    hosts: tuple[str, ...],
    origins: tuple[str, ...],
    log_level: str,
    **options: Any,
) -> None:
    from xray_servers.mcp.wire import Wire

    wire = Wire()
    # Being asked to stop must unwind like any other end, or the scans that are kept stay behind.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM) if over_http else wire.hang_up())
    authorization = _authorization(
        *(options.pop(name) for name in ("token_file", "jwt_issuer", "jwt_keys", "resource_url", "scopes"))
    )
    with _shelf(options.pop("shelf")) as shelf:
        from xray_servers.mcp.serving import serve_http, serve_stdio

        desk = _desk(shelf=shelf, **options)
        level: Any = log_level.upper()
        if over_http:
            settings = _http_settings(host, hosts, origins, max_body_mib * _MIB, authorization)
            serve_http(desk, settings, host, port, level)
        else:
            serve_stdio(desk, wire, level)


def _desk(
    *,
    shelf: Path,
    roots: tuple[Path, ...],
    model: str,
    policy: str,
    vlm_url: str | None,
    vlm_model: str | None,
    workers: int,
    queue: int,
    timeout: float,
    keep_minutes: float,
    keep_mib: int,
) -> ScreeningDesk:
    from xray_servers.desk import DeskLimits, ScreeningDesk
    from xray_servers.screening import ScreeningSettings, VlmSettings
    from xray_servers.shelf import ShelfLimits

    if (vlm_url is None) != (vlm_model is None):
        raise Misconfigured("--vlm-url and --vlm-model go together", hint="give both, or neither")
    vlm = None
    if vlm_url is not None and vlm_model is not None:
        vlm = VlmSettings(vlm_url, vlm_model, os.environ.get("XRAY_VLM_KEY", "none"))
    settings = ScreeningSettings(
        roots=tuple(root.absolute() for root in roots) or (Path.cwd(),),
        shelf=shelf,
        shelf_limits=ShelfLimits(lifetime_s=keep_minutes * 60, max_bytes=keep_mib * _MIB),
        model=model,
        policy=policy,
        vlm=vlm,
    )
    return ScreeningDesk(settings, DeskLimits(workers=workers, waiting=queue, timeout_s=timeout))


@contextmanager
def _shelf(chosen: Path | None) -> Iterator[Path]:
    if chosen is not None:
        yield chosen
        return
    with tempfile.TemporaryDirectory(prefix="xray-scans-", ignore_cleanup_errors=True) as folder:
        yield Path(folder)


def _http_settings(
    host: str, hosts: tuple[str, ...], origins: tuple[str, ...], max_body: int, authorization: Authorization | None
) -> HttpSettings:
    from xray_servers.boundaries import LOOPBACK, names_of, origins_of
    from xray_servers.mcp.http import HttpSettings

    own = () if host in LOOPBACK or host in _EVERY_ADDRESS else names_of(host)
    known = (*LOOPBACK, *own, *hosts)
    return HttpSettings(
        allowed_hosts=known,
        allowed_origins=(*origins_of(known), *origins),
        max_body=max_body,
        authorization=authorization,
    )


def _authorization(
    token_file: Path | None,
    jwt_issuer: str | None,
    jwt_keys: str | None,
    resource_url: str | None,
    scopes: tuple[str, ...],
) -> Authorization | None:
    from xray_servers.access import BearerTokens, FirstOf, JwtTokens, signing_keys
    from xray_servers.mcp.http import Authorization

    verifiers: list[Any] = []
    if token_file is not None:
        verifiers.append(BearerTokens(token_file, resource=resource_url))
    if jwt_issuer is not None:
        if jwt_keys is None or resource_url is None:
            raise Misconfigured("--jwt-issuer needs --jwt-keys and --resource-url", hint="give all three")
        verifiers.append(JwtTokens(issuer=jwt_issuer, audience=resource_url, keys=signing_keys(jwt_keys)))
    elif jwt_keys is not None:
        raise Misconfigured("--jwt-keys without --jwt-issuer keeps nobody out", hint="give both")
    if not verifiers:
        if scopes:
            raise Misconfigured("--scope without tokens keeps nobody out", hint="add --token-file or --jwt-issuer")
        return None
    return Authorization(FirstOf(verifiers), scopes, resource_url, jwt_issuer)


@main.command()
@click.argument("name")
@click.option(
    "--file", "file", type=click.Path(path_type=Path, dir_okay=False), help="Token file to add it to; made if missing."
)
def token(name: str, file: Path | None) -> None:
    """Make a bearer token for NAME. Only its hash is stored; the token is shown once."""
    from xray_servers.access import new_token

    with _errors_reported():
        made, line = new_token(name)
    if file is None:
        click.echo(f"token: {made}\nline for the token file: {line}")
        return
    try:
        with open(os.open(file, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600), "a", encoding="utf-8") as lines:
            lines.write(line + "\n")
    except OSError as error:
        raise click.ClickException(f"cannot write {file}: {error.strerror}") from error
    click.echo(f"token: {made}\nadded to {file}")


main.add_command(install)
main.add_command(skill)

if __name__ == "__main__":
    main()
