"""xray-mcp: the tools for agents that speak the Model Context Protocol."""

from __future__ import annotations

import signal
import sys
from pathlib import Path
from typing import Any

import click

from xray_agent_tools import __version__
from xray_agent_tools.errors import Misconfigured
from xray_servers.mcp.install import install, skill
from xray_servers.settings import (
    address_options,
    desk_of,
    desk_options,
    errors_reported,
    log_option,
    names_answered,
    shelf_at,
    token,
    token_options,
    verifier_of,
)

_MIB = 1024 * 1024


@click.group(invoke_without_command=True, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__)
@desk_options("the working directory")
@click.option("--http", "over_http", is_flag=True, help="Serve Streamable HTTP instead of standard input and output.")
@address_options(8710)
@token_options()
@click.option("--scope", "scopes", multiple=True, help="What a token must allow; repeatable.")
@log_option()
@click.pass_context
def main(context: click.Context, /, **options: Any) -> None:
    """Screen bags for agents that speak the Model Context Protocol.

    Serves one client over standard input and output, or any number with --http. Scans are read only from --root.
    """
    if context.invoked_subcommand is None:
        with errors_reported():
            _serve(**options)


def _serve(
    *,
    over_http: bool,
    host: str,
    port: int,
    max_body_mib: int,
    hosts: tuple[str, ...],
    origins: tuple[str, ...],
    token_file: Path | None,
    jwt_issuer: str | None,
    jwt_keys: str | None,
    resource_url: str | None,
    scopes: tuple[str, ...],
    shelf: Path | None,
    roots: tuple[Path, ...],
    log_level: str,
    **options: Any,
) -> None:
    from xray_servers.mcp.wire import Wire

    wire = Wire()
    # Being asked to stop must unwind like any other end, or the scans that are kept stay behind.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM) if over_http else wire.hang_up())
    verifier = verifier_of(token_file=token_file, jwt_issuer=jwt_issuer, jwt_keys=jwt_keys, resource_url=resource_url)
    if verifier is None and scopes:
        raise Misconfigured("--scope without tokens keeps nobody out", hint="add --token-file or --jwt-issuer")
    if verifier is not None and not over_http:
        raise Misconfigured("tokens mean nothing over standard input and output", hint="add --http")
    with shelf_at(shelf) as folder:
        from xray_servers.mcp.http import Authorization, HttpSettings
        from xray_servers.mcp.serving import serve_http, serve_stdio

        desk = desk_of(shelf=folder, roots=roots or (Path.cwd(),), **options)
        level: Any = log_level.upper()
        if not over_http:
            serve_stdio(desk, wire, level)
            return
        known_hosts, known_origins = names_answered(host, hosts, origins)
        settings = HttpSettings(
            allowed_hosts=known_hosts,
            allowed_origins=known_origins,
            max_body=max_body_mib * _MIB,
            authorization=None if verifier is None else Authorization(verifier, scopes, resource_url, jwt_issuer),
        )
        serve_http(desk, settings, host, port, level)


main.add_command(install)
main.add_command(skill)
main.add_command(token)

if __name__ == "__main__":
    main()
