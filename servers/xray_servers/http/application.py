"""The application: every route, who may call it, and what every request passes."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from typing import Annotated

from fastapi import Depends, FastAPI
from fastapi.exceptions import RequestValidationError
from mcp.server.auth.provider import TokenVerifier
from mcp.server.transport_security import TransportSecuritySettings
from starlette.exceptions import HTTPException
from starlette.middleware.cors import CORSMiddleware
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp

from xray_agent_tools import __version__
from xray_agent_tools.errors import Overloaded, XrayToolsError
from xray_servers.boundaries import LOOPBACK, AllowedHosts, BoundedBody
from xray_servers.desk import Heard
from xray_servers.http import rest
from xray_servers.http.access import Access, caller
from xray_servers.http.callers import METRICS, SCREEN, Caller
from xray_servers.http.decisions import unforeseen_error
from xray_servers.http.errors import Refused, error_body, response_of
from xray_servers.http.observed import Observed
from xray_servers.http.openai import chat, models, responses
from xray_servers.http.openai.agent import Upstream
from xray_servers.http.rates import Rates
from xray_servers.http.remote import RemoteImages
from xray_servers.http.service import Service
from xray_servers.mcp.application import build_server
from xray_servers.mcp.http import Authorization, HttpSettings, endpoint
from xray_servers.mcp.tools import Ask
from xray_servers.screening import Answer, ToolCall


@dataclass(frozen=True, slots=True)
class ServeSettings:
    """What the server takes in.

    Attributes:
        allowed_hosts: Host headers that are answered, ``name:*`` for any port.
        allowed_origins: Origin headers that are answered; a request without one is no browser's.
        cors_origins: pages that may read answers; none by default.
        max_body: bytes of a request.
        verifier: whose keys are good; None for anybody who reaches the port.
        rate: calls of each key per time, such as ``600/minute``; None for no limit.
        image_hosts: hosts that ``image_url`` may be fetched from; none by default.
        upstream: the chat model behind ``xray-agent``; without one there is no such model.
        mcp: serve the Model Context Protocol at ``/mcp`` too.
    """

    allowed_hosts: tuple[str, ...] = LOOPBACK
    allowed_origins: tuple[str, ...] = tuple(f"http://{host}" for host in LOOPBACK)
    cors_origins: tuple[str, ...] = ()
    max_body: int = 96 * 1024 * 1024
    verifier: TokenVerifier | None = None
    rate: str | None = None
    image_hosts: tuple[str, ...] = ()
    upstream: Upstream | None = None
    mcp: bool = False


def create_app(service: Service, settings: ServeSettings) -> FastAPI:
    """Make the application with all its routes; it opens the desk for as long as it runs.

    Raises:
        Misconfigured: a setting cannot be used.
    """

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        async with AsyncExitStack() as stack:
            await stack.enter_async_context(service.desk.open())
            if protocol is not None:
                await stack.enter_async_context(protocol.session_manager.run())
            yield

    rates = Rates(settings.rate)
    protocol = None
    if settings.mcp:
        protocol = build_server(
            service.desk, ask=_counted(service, rates), uploads="/v1/scans", opens_desk=False, log_level="WARNING"
        )

    app = FastAPI(
        title="X-ray baggage screening",
        version=__version__,
        description="Detects threats on X-ray scans of baggage, explains them, and checks declarations. Answers are "
        "advice to an officer; NO_ALARM never means that a bag is clear or safe.",
        lifespan=lifespan,
    )
    app.state.access = Access(settings.verifier, rates)
    remote = RemoteImages(settings.image_hosts)
    app.include_router(rest.router(service))
    app.include_router(models.router(service))
    app.include_router(chat.router(service, remote))
    app.include_router(responses.router(service, remote))
    _add_operations(app, service)
    if protocol is not None:
        app.router.routes.append(Route("/mcp", endpoint(protocol, _protocol_settings(settings))))
    _explain_errors(app)
    if settings.cors_origins:
        app.add_middleware(
            CORSMiddleware,
            allow_origins=list(settings.cors_origins),
            allow_methods=["*"],
            allow_headers=["*"],
            expose_headers=["x-request-id", "x-record-id", "x-repeated", "retry-after"],
        )
    return app


def _counted(service: Service, rates: Rates) -> Ask:
    """Calls over the Model Context Protocol, under the same limits as all others."""

    async def answer(call: ToolCall, heard: Heard) -> Answer:
        try:
            await rates.count(call.owner)
        except Refused as error:
            wait = error.retry_after or 1.0
            raise Overloaded(error.message, hint=error.hint, retry_after=wait) from error
        return await service.decisions.answer(call, heard)

    return answer


def _protocol_settings(settings: ServeSettings) -> HttpSettings:
    return HttpSettings(
        allowed_hosts=settings.allowed_hosts,
        allowed_origins=settings.allowed_origins,
        max_body=settings.max_body,
        authorization=None if settings.verifier is None else Authorization(settings.verifier, (SCREEN,)),
    )


def surrounded(app: ASGIApp, service: Service, settings: ServeSettings) -> ASGIApp:
    """The application behind what every request passes: its host, its size, and a note of what came of it."""
    security = TransportSecuritySettings(
        allowed_hosts=list(settings.allowed_hosts),
        allowed_origins=[*settings.allowed_origins, *settings.cors_origins],
    )
    return Observed(AllowedHosts(BoundedBody(app, settings.max_body, response_of), security), service.metrics)


def _add_operations(app: FastAPI, service: Service) -> None:
    @app.get("/healthz", tags=["operations"], summary="Whether the server lives")
    async def alive() -> dict[str, str]:
        return {"status": "alive"}

    @app.get(
        "/readyz",
        tags=["operations"],
        summary="Whether the canary scan still alarms",
        responses={503: {"description": "It does not, or the detector cannot be loaded."}},
    )
    async def ready() -> JSONResponse:
        if await service.desk.ready():
            return JSONResponse({"status": "ready"})
        return JSONResponse({"status": "not ready", "hint": "run `xray-tools doctor`"}, status_code=503)

    @app.get(
        "/metrics",
        tags=["operations"],
        summary="What is counted, for Prometheus",
        response_class=PlainTextResponse,
    )
    async def metrics(_: Annotated[Caller, Depends(caller(METRICS))]) -> Response:
        content, media_type = service.metrics.render()
        return Response(content, media_type=media_type)


def _explain_errors(app: FastAPI) -> None:
    @app.exception_handler(Exception)
    async def unforeseen(_: Request, __: Exception) -> Response:
        return response_of(unforeseen_error())

    @app.exception_handler(XrayToolsError)
    async def failed(_: Request, error: XrayToolsError) -> Response:
        return response_of(error)

    @app.exception_handler(Refused)
    async def refused(_: Request, error: Refused) -> Response:
        return response_of(error)

    @app.exception_handler(RequestValidationError)
    async def invalid(_: Request, error: RequestValidationError) -> Response:
        first = error.errors()[0]
        param = ".".join(str(part) for part in first["loc"][1:]) or None
        message = f"{param}: {first['msg']}" if param else str(first["msg"])
        return JSONResponse(
            error_body(400, "invalid_argument", message, "correct the request; /docs describes it", param), 400
        )

    @app.exception_handler(HTTPException)
    async def unroutable(_: Request, error: HTTPException) -> Response:
        code = {404: "not_found", 405: "method_not_allowed"}.get(error.status_code, "invalid_request")
        body = error_body(error.status_code, code, str(error.detail), "see /docs for the routes there are")
        return JSONResponse(body, error.status_code, headers=dict(error.headers or {}))
