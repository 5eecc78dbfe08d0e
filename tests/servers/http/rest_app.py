"""The REST routes with a real desk and a real audit log, spoken to in memory."""

from __future__ import annotations

import base64
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fastapi import FastAPI
from mcp.server.auth.provider import TokenVerifier
from starlette.requests import Request
from starlette.responses import Response
from starlette.testclient import TestClient
from starlette.types import ASGIApp
from xray_servers.audit import AuditLog, Record
from xray_servers.desk import DeskLimits, ScreeningDesk
from xray_servers.http import rest
from xray_servers.http.access import Access
from xray_servers.http.decisions import Decisions
from xray_servers.http.errors import Refused, response_of
from xray_servers.http.metrics import Metrics
from xray_servers.http.observed import Observed
from xray_servers.http.rates import Rates
from xray_servers.http.service import Service
from xray_servers.screening import ScreeningSettings

from tests.conftest import ROOT
from xray_agent_tools.errors import XrayToolsError

SCANS = ROOT / "examples" / "scans"
"""The simulated scans that ship with the project."""


@dataclass(frozen=True, slots=True)
class RestApp:
    """An application with the REST routes alone.

    Attributes:
        routes: the application.
        asgi: the same behind what gives each request its identifier.
        service: what its routes work with.
    """

    routes: FastAPI
    asgi: ASGIApp
    service: Service

    def records(self) -> list[Record]:
        """Everything on record."""
        return list(self.service.audit.records())


_LIMITS = DeskLimits(warm=False)


def rest_app(
    folder: Path,
    *,
    roots: tuple[Path, ...] = (),
    limits: DeskLimits = _LIMITS,
    verifier: TokenVerifier | None = None,
) -> RestApp:
    """Make an application that keeps its scans and its records in a folder."""
    desk = ScreeningDesk(ScreeningSettings(roots=roots, shelf=folder / "shelf"), limits)
    audit = AuditLog(f"sqlite:///{folder / 'audit.db'}")
    metrics = Metrics(desk)
    service = Service(desk, Decisions(desk, audit, metrics), audit, metrics, {})

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        with audit:
            async with desk.open():
                yield

    app = FastAPI(title="REST", lifespan=lifespan)
    app.state.access = Access(verifier, Rates(None))
    app.include_router(rest.router(service))

    async def refused(_: Request, error: Exception) -> Response:
        assert isinstance(error, XrayToolsError | Refused)
        return response_of(error)

    app.add_exception_handler(XrayToolsError, refused)
    app.add_exception_handler(Refused, refused)
    return RestApp(app, Observed(app, metrics), service)


@contextmanager
def talking_to(app: RestApp) -> Iterator[TestClient]:
    """A client of an application that runs meanwhile."""
    with TestClient(app.asgi, base_url="http://127.0.0.1") as client:
        yield client


def picture(name: str = "bag_1.png") -> bytes:
    """A simulated scan's file."""
    return (SCANS / name).read_bytes()


def text_of(content: bytes) -> str:
    """Bytes as base64 text."""
    return base64.b64encode(content).decode()


def uri(name: str = "bag_1.png") -> str:
    """A simulated scan as a data URI."""
    return "data:image/png;base64," + text_of(picture(name))


def timeless(answer: Any) -> Any:
    """An answer without what depends on the clock."""
    if isinstance(answer, dict):
        return {
            name: timeless(value) for name, value in answer.items() if name not in {"timing_ms", "processing_time_ms"}
        }
    return answer
