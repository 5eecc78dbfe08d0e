"""The server over HTTP: the protocol at ``/mcp``, uploads at ``/scans``, and who may come in at all."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Any

from mcp.server import MCPServer
from mcp.server.auth.middleware.auth_context import AuthContextMiddleware, get_access_token
from mcp.server.auth.middleware.bearer_auth import BearerAuthBackend, RequireAuthMiddleware
from mcp.server.auth.provider import TokenVerifier
from mcp.server.auth.routes import build_resource_metadata_url
from mcp.server.transport_security import TransportSecuritySettings
from pydantic import AnyHttpUrl
from starlette.applications import Starlette
from starlette.middleware.authentication import AuthenticationMiddleware
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp, Receive, Scope, Send

from xray_agent_tools.errors import XrayToolsError
from xray_servers.access import owner_of
from xray_servers.boundaries import LOOPBACK, AllowedHosts, BoundedBody, refused, refused_by_protocol
from xray_servers.desk import ScreeningDesk
from xray_servers.screening import Upload
from xray_servers.uploads import views_in

_OPEN_PATHS = ("/healthz", "/readyz")


@dataclass(frozen=True, slots=True)
class Authorization:
    """Who may call.

    Attributes:
        verifier: tells whose a token is.
        scopes: what a token has to allow.
        resource_url: public address of the protocol's endpoint, where clients have to find out how to get a token.
        issuer_url: the authorization server that gives tokens out.
    """

    verifier: TokenVerifier
    scopes: tuple[str, ...] = ()
    resource_url: str | None = None
    issuer_url: str | None = None


@dataclass(frozen=True, slots=True)
class HttpSettings:
    """What the server takes in over HTTP.

    Attributes:
        allowed_hosts: Host headers that are answered, ``name:*`` for any port.
        allowed_origins: Origin headers that are answered; a request without one is no browser's.
        max_body: bytes of a request.
        authorization: who may call; None for anybody who reaches the port.
        stateless: keep no sessions, so that any replica can answer.
    """

    allowed_hosts: tuple[str, ...] = LOOPBACK
    allowed_origins: tuple[str, ...] = tuple(f"http://{host}" for host in LOOPBACK)
    max_body: int = 96 * 1024 * 1024
    authorization: Authorization | None = None
    stateless: bool = True


def http_app(server: MCPServer[Any], desk: ScreeningDesk, settings: HttpSettings) -> ASGIApp:
    """Make the application to serve; it opens the desk for as long as it runs."""
    app = endpoint(server, settings, _routes(desk))
    return AllowedHosts(_bounded(app, settings.max_body), _security(settings))


def endpoint(server: MCPServer[Any], settings: HttpSettings, others: Sequence[Route] = ()) -> ASGIApp:
    """The protocol at ``/mcp`` for callers who may come in, without the checks that every request passes.

    It serves within the block of ``server.session_manager.run()``, which it enters itself where it is served alone.

    Args:
        server: what is served.
        settings: what is taken in, and from whom.
        others: further routes for the same callers.
    """
    inner = server.streamable_http_app(
        stateless_http=settings.stateless,
        max_request_body_size=settings.max_body,
        transport_security=_security(settings),
    )
    inner.router.routes.extend(others)
    return inner if settings.authorization is None else _guarded(inner, settings.authorization)


def _security(settings: HttpSettings) -> TransportSecuritySettings:
    return TransportSecuritySettings(
        allowed_hosts=list(settings.allowed_hosts), allowed_origins=list(settings.allowed_origins)
    )


def _bounded(app: ASGIApp, max_body: int) -> ASGIApp:
    """Bound bodies, and word the refusal as the path's clients read it."""
    protocol, plain = (BoundedBody(app, max_body, refusal) for refusal in (refused_by_protocol, refused))

    async def bounded(scope: Scope, receive: Receive, send: Send) -> None:
        await (protocol if scope.get("path") == "/mcp" else plain)(scope, receive, send)

    return bounded


def _routes(desk: ScreeningDesk) -> list[Route]:
    async def alive(_: Request) -> Response:
        return JSONResponse({"status": "alive"})

    async def ready(_: Request) -> Response:
        if await desk.ready():
            return JSONResponse({"status": "ready"})
        return JSONResponse({"status": "not ready", "hint": "run `xray-tools doctor`"}, status_code=503)

    async def upload(request: Request) -> Response:
        try:
            views = await views_in(request)
            answer = await desk.ask(Upload(views, owner_of(get_access_token())))
        except XrayToolsError as error:
            return refused(error)
        return Response(answer.text, status_code=201, media_type="application/json")

    return [
        Route("/healthz", alive),
        Route("/readyz", ready),
        Route("/scans", upload, methods=["POST"]),
    ]


def _metadata(authorization: Authorization) -> Callable[[Request], Awaitable[Response]]:
    """Protected-resource metadata (RFC 9728), the issuer spelt exactly as its own metadata spells it."""
    document = {
        "resource": authorization.resource_url,
        "authorization_servers": [authorization.issuer_url],
        "scopes_supported": list(authorization.scopes),
        "bearer_methods_supported": ["header"],
    }

    async def metadata(_: Request) -> Response:
        return JSONResponse(document, headers={"cache-control": "public, max-age=3600"})

    return metadata


def _guarded(inner: Starlette, authorization: Authorization) -> ASGIApp:
    """Let only holders of a token in, but for the pages that say how to get one and whether the server lives."""
    metadata = None
    open_paths = set(_OPEN_PATHS)
    if authorization.resource_url is not None and authorization.issuer_url is not None:
        resource = AnyHttpUrl(authorization.resource_url)
        metadata = build_resource_metadata_url(resource)
        open_paths.add(metadata.path or "")
        inner.router.routes.append(Route(metadata.path or "", _metadata(authorization)))
    required = RequireAuthMiddleware(inner, list(authorization.scopes), metadata)

    async def gate(scope: Scope, receive: Receive, send: Send) -> None:
        is_open = scope["type"] != "http" or scope["path"] in open_paths
        await (inner if is_open else required)(scope, receive, send)

    return AuthenticationMiddleware(AuthContextMiddleware(gate), backend=BearerAuthBackend(authorization.verifier))
