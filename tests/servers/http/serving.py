"""Applications that answer at a real port of loopback, and what tests of the chat routes share."""

from __future__ import annotations

import socket
import threading
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path

import uvicorn
from fastapi import APIRouter, FastAPI
from mcp.server.auth.provider import TokenVerifier
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import ASGIApp
from xray_servers.audit import AuditLog
from xray_servers.desk import DeskLimits, ScreeningDesk
from xray_servers.http.access import Access
from xray_servers.http.decisions import Decisions
from xray_servers.http.errors import Refused, response_of
from xray_servers.http.metrics import Metrics
from xray_servers.http.observed import Observed
from xray_servers.http.openai.conversation import ChatModel
from xray_servers.http.openai.screener import ScreenerModel
from xray_servers.http.rates import Rates
from xray_servers.http.service import Service
from xray_servers.screening import ScreeningSettings

from xray_agent_tools.errors import XrayToolsError

ON_DEMAND = DeskLimits(warm=False)
"""One screening process, which starts at the first scan."""


def service_at(
    folder: Path, *, limits: DeskLimits = ON_DEMAND, models: Sequence[Callable[[Decisions], ChatModel]] = ()
) -> Service:
    """A service with ``xray-screener`` that keeps its scans and its records in a folder.

    Args:
        folder: where to keep them.
        limits: of its desk.
        models: makers of other models.
    """
    desk = ScreeningDesk(ScreeningSettings(roots=(), shelf=folder / "shelf"), limits)
    audit = AuditLog(f"sqlite:///{folder / 'audit.db'}")
    metrics = Metrics(desk)
    decisions = Decisions(desk, audit, metrics)
    made = [make(decisions) for make in (ScreenerModel, *models)]
    return Service(desk, decisions, audit, metrics, {model.model_id: model for model in made})


def app_with(service: Service, *routers: APIRouter, verifier: TokenVerifier | None = None) -> ASGIApp:
    """An application with these routes, which opens the service's desk for as long as it runs."""

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        with service.audit:
            async with service.desk.open():
                yield

    app = FastAPI(lifespan=lifespan)
    app.state.access = Access(verifier, Rates(None))
    for router in routers:
        app.include_router(router)

    async def explained(_: Request, error: Exception) -> Response:
        assert isinstance(error, XrayToolsError | Refused)
        return response_of(error)

    app.add_exception_handler(XrayToolsError, explained)
    app.add_exception_handler(Refused, explained)
    return Observed(app, service.metrics)


@contextmanager
def serving(app: ASGIApp) -> Iterator[str]:
    """Serve an application at a free port of loopback, in a thread; gives the origin to call."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        server = uvicorn.Server(uvicorn.Config(app, log_config=None, ws="none"))
        # The socket listens already: who calls before the server has started waits, and is answered.
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]}, name="serving")
        thread.start()
        try:
            yield f"http://127.0.0.1:{listener.getsockname()[1]}"
        finally:
            server.should_exit = True
            thread.join()
