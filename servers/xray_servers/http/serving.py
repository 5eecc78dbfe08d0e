"""Running the server."""

from __future__ import annotations

import sys

import uvicorn

from xray_agent_tools import __version__
from xray_servers.audit import AuditLog
from xray_servers.desk import ScreeningDesk
from xray_servers.draining import Draining, DrainingServer
from xray_servers.http.application import ServeSettings, create_app, surrounded
from xray_servers.http.decisions import Decisions
from xray_servers.http.errors import response_of
from xray_servers.http.metrics import Metrics
from xray_servers.http.openai.agent import AgentModel
from xray_servers.http.openai.conversation import ChatModel
from xray_servers.http.openai.screener import ScreenerModel
from xray_servers.http.openai.vlm import VlmModel
from xray_servers.http.service import Service
from xray_servers.listening import check_exposure, listening, log_to_stderr


def serve(desk: ScreeningDesk, database: str, settings: ServeSettings, host: str, port: int, log_level: str) -> None:
    """Serve clients until the process is asked to stop; then finish what was taken in.

    Args:
        desk: who looks at scans.
        database: where decisions are recorded.
        settings: what is taken in, and from whom.
        host: address to listen at.
        port: port to listen at; 0 takes a free one.
        log_level: what goes to standard error.

    Raises:
        Misconfigured: nobody would be kept out, or the address or the database cannot be used.
    """
    check_exposure(host, open_to_all=settings.verifier is None)
    log_to_stderr(log_level)
    service = service_of(desk, AuditLog(database), settings)
    app = Draining(surrounded(create_app(service, settings), service, settings), response_of)
    config = uvicorn.Config(app, log_config=None, access_log=False, server_header=False)
    with listening(host, port) as listener:
        sys.stderr.write(_start_line(service, settings, host, listener.getsockname()[1], database) + "\n")
        DrainingServer(config, app, within_s=desk.limits.timeout_s).run(sockets=[listener])


def service_of(desk: ScreeningDesk, audit: AuditLog, settings: ServeSettings) -> Service:
    """Everything that the routes work with."""
    metrics = Metrics(desk)
    decisions = Decisions(desk, audit, metrics)
    models: list[ChatModel] = [ScreenerModel(decisions)]
    if desk.settings.vlm is not None:
        models.append(VlmModel(decisions))
    if settings.upstream is not None:
        models.append(AgentModel(decisions, settings.upstream))
    return Service(desk, decisions, audit, metrics, {model.model_id: model for model in models})


def _start_line(service: Service, settings: ServeSettings, host: str, port: int, database: str) -> str:
    shown = f"[{host}]" if ":" in host and not host.startswith("[") else host
    kept_out = "a key is required" if settings.verifier is not None else "no key is required on this machine"
    limits = service.desk.limits
    return (
        f"xray-serve {__version__} serves http://{shown}:{port}/v1 (routes at /docs)\n"
        f"  models: {', '.join(service.models)}\n"
        f"  hosts allowed: {', '.join(settings.allowed_hosts)} (add others with --allowed-host)\n"
        f"  decisions are recorded in: {database.rsplit('@', 1)[-1]}\n"
        f"  {kept_out}; {limits.workers} screening {'process' if limits.workers == 1 else 'processes'}, "
        f"{limits.waiting} requests may wait"
    )
