"""Running the server, over standard input and output or over HTTP."""

from __future__ import annotations

import sys
from typing import Any

import anyio
import uvicorn
from mcp.server import MCPServer
from mcp.server.stdio import stdio_server

from xray_agent_tools import __version__
from xray_servers.boundaries import refused_by_protocol
from xray_servers.desk import ScreeningDesk
from xray_servers.draining import Draining, DrainingServer
from xray_servers.listening import check_exposure, listening, log_to_stderr
from xray_servers.mcp.application import LogLevel, build_server
from xray_servers.mcp.http import HttpSettings, http_app
from xray_servers.mcp.wire import Wire


def serve_stdio(desk: ScreeningDesk, wire: Wire, log_level: LogLevel) -> None:
    """Serve one client over standard input and output, until it closes them."""
    log_to_stderr(log_level)
    anyio.run(_speak, build_server(desk, log_level=log_level), wire)


async def _speak(server: MCPServer[Any], wire: Wire) -> None:
    """Run a server on a wire. Its own way to run takes the process's streams, where others might print."""
    reading, writing = wire.streams()
    inner = server._lowlevel_server
    async with stdio_server(reading, writing) as (received, sent):
        await inner.run(received, sent, inner.create_initialization_options())


def serve_http(desk: ScreeningDesk, settings: HttpSettings, host: str, port: int, log_level: LogLevel) -> None:
    """Serve clients over HTTP, until the process is asked to stop; then finish what was taken in.

    Args:
        desk: who answers.
        settings: what is taken in, and from whom.
        host: address to listen at.
        port: port to listen at; 0 takes a free one.
        log_level: what goes to standard error.

    Raises:
        Misconfigured: nobody would be kept out, or the address cannot be listened at.
    """
    check_exposure(host, open_to_all=settings.authorization is None)
    log_to_stderr(log_level)
    server = build_server(desk, uploads="/scans", log_level=log_level)
    app = Draining(http_app(server, desk, settings), refused_by_protocol)
    config = uvicorn.Config(app, log_config=None, access_log=False, server_header=False)
    with listening(host, port) as listener:
        sys.stderr.write(_start_line(desk, settings, host, listener.getsockname()[1]) + "\n")
        DrainingServer(config, app, within_s=desk.limits.timeout_s).run(sockets=[listener])


def _start_line(desk: ScreeningDesk, settings: HttpSettings, host: str, port: int) -> str:
    shown = f"[{host}]" if ":" in host and not host.startswith("[") else host
    kept_out = "a token is required" if settings.authorization is not None else "no token is required on this machine"
    return (
        f"xray-mcp {__version__} serves http://{shown}:{port}/mcp\n"
        f"  hosts allowed: {', '.join(settings.allowed_hosts)} (add others with --allowed-host)\n"
        f"  origins allowed: {', '.join(settings.allowed_origins)} (add others with --allowed-origin)\n"
        f"  scans are read from: {', '.join(str(root) for root in desk.settings.roots)}\n"
        f"  {kept_out}; {desk.limits.workers} screening "
        f"{'process' if desk.limits.workers == 1 else 'processes'}, {desk.limits.waiting} requests may wait"
    )
