"""xray-serve: the tools for OpenAI's clients, and for anybody who speaks HTTP."""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path
from typing import Any

import click

from xray_agent_tools import __version__
from xray_agent_tools.errors import Misconfigured
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
from xray_servers.vlm.cli import vlm

_MIB = 1024 * 1024


@click.group(invoke_without_command=True, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__)
@desk_options("none; scans come with the requests", workers=min(4, os.cpu_count() or 1))
@click.option(
    "--batch",
    type=click.IntRange(1, 256),
    default=1,
    show_default=True,
    help="Scans looked at together where so many wait; pays with a network exported for batches, on a GPU.",
)
@click.option(
    "--batch-wait-ms",
    type=click.FloatRange(0, 1000),
    default=0.0,
    show_default=True,
    help="How long a process waits for a batch to fill.",
)
@address_options(8000)
@token_options()
@click.option(
    "--audit",
    "database",
    default="xray-audit.db",
    envvar="XRAY_AUDIT_URL",
    show_default=True,
    help="Where decisions are recorded: a SQLite file, or a postgresql:// URL.",
)
@click.option("--rate", help="Calls of each key per time, such as 600/minute.  [default: no limit]")
@click.option(
    "--image-host", "image_hosts", multiple=True, help="HOST[:PORT] or network that image_url may be fetched from."
)
@click.option("--cors-origin", "cors_origins", multiple=True, help="Page that may read answers; repeatable.")
@click.option("--agent-url", envvar="XRAY_AGENT_URL", help="OpenAI-compatible chat model behind `xray-agent`.")
@click.option("--agent-model", envvar="XRAY_AGENT_MODEL", help="Name of the model there; its key is in XRAY_AGENT_KEY.")
@click.option("--mcp", "with_mcp", is_flag=True, help="Serve the Model Context Protocol at /mcp too.")
@log_option()
@click.pass_context
def main(context: click.Context, /, **options: Any) -> None:
    """Screen bags for OpenAI's clients and over plain HTTP.

    Every decision is recorded before its answer is sent. The routes are described at /docs.
    """
    if context.invoked_subcommand is None:
        with errors_reported("serve"):
            _serve(**options)


def _serve(
    *,
    host: str,
    port: int,
    max_body_mib: int,
    hosts: tuple[str, ...],
    origins: tuple[str, ...],
    token_file: Path | None,
    jwt_issuer: str | None,
    jwt_keys: str | None,
    resource_url: str | None,
    database: str,
    rate: str | None,
    image_hosts: tuple[str, ...],
    cors_origins: tuple[str, ...],
    agent_url: str | None,
    agent_model: str | None,
    with_mcp: bool,
    shelf: Path | None,
    log_level: str,
    **options: Any,
) -> None:
    from xray_servers.http.application import ServeSettings
    from xray_servers.http.openai.agent import Upstream
    from xray_servers.http.serving import serve

    # Being asked to stop must unwind like any other end, or the scans that are kept stay behind.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
    if (agent_url is None) != (agent_model is None):
        raise Misconfigured("--agent-url and --agent-model go together", hint="give both, or neither")
    upstream = None
    if agent_url is not None and agent_model is not None:
        upstream = Upstream(agent_url, agent_model, os.environ.get("XRAY_AGENT_KEY", "none"))
    known_hosts, known_origins = names_answered(host, hosts, origins)
    settings = ServeSettings(
        allowed_hosts=known_hosts,
        allowed_origins=known_origins,
        cors_origins=cors_origins,
        max_body=max_body_mib * _MIB,
        verifier=verifier_of(
            token_file=token_file, jwt_issuer=jwt_issuer, jwt_keys=jwt_keys, resource_url=resource_url
        ),
        rate=rate,
        image_hosts=image_hosts,
        upstream=upstream,
        mcp=with_mcp,
    )
    with shelf_at(shelf) as folder:
        serve(desk_of(shelf=folder, **options), database, settings, host, port, log_level.upper())


main.add_command(token)
main.add_command(vlm)

if __name__ == "__main__":
    main()
