"""The server over HTTP: the protocol at ``/mcp``, uploads at ``/scans``, and who may come in at all."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from mcp.server import MCPServer
from mcp.server.auth.middleware.auth_context import AuthContextMiddleware, get_access_token
from mcp.server.auth.middleware.bearer_auth import BearerAuthBackend, RequireAuthMiddleware
from mcp.server.auth.provider import TokenVerifier
from mcp.server.auth.routes import build_resource_metadata_url, create_protected_resource_routes
from mcp.server.transport_security import TransportSecurityMiddleware, TransportSecuritySettings
from pydantic import AnyHttpUrl
from starlette.applications import Starlette
from starlette.datastructures import Headers, UploadFile
from starlette.exceptions import HTTPException
from starlette.middleware.authentication import AuthenticationMiddleware
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from xray_agent_tools.errors import InvalidScan, Overloaded, ScanTooLarge, XrayToolsError, outcome_of
from xray_servers.access import owner_of
from xray_servers.desk import ScreeningDesk
from xray_servers.screening import Upload

LOOPBACK = ("127.0.0.1", "127.0.0.1:*", "localhost", "localhost:*", "[::1]", "[::1]:*")
"""Host headers of a browser on the same machine, on any port."""

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
    security = TransportSecuritySettings(
        allowed_hosts=list(settings.allowed_hosts), allowed_origins=list(settings.allowed_origins)
    )
    inner = server.streamable_http_app(
        stateless_http=settings.stateless, max_request_body_size=settings.max_body, transport_security=security
    )
    inner.router.routes.extend(_routes(desk))
    app: ASGIApp = inner
    if settings.authorization is not None:
        app = _guarded(inner, settings.authorization)
    return _AllowedHosts(_BoundedBody(app, settings.max_body), security)


def _routes(desk: ScreeningDesk) -> list[Route]:
    async def alive(_: Request) -> Response:
        return JSONResponse({"status": "alive"})

    async def ready(_: Request) -> Response:
        if await desk.ready():
            return JSONResponse({"status": "ready"})
        return JSONResponse({"status": "not ready", "hint": "run `xray-tools doctor`"}, status_code=503)

    async def upload(request: Request) -> Response:
        try:
            views = await _views_in(request)
            answer = await desk.ask(Upload(views, owner_of(get_access_token())))
        except XrayToolsError as error:
            return _refused(error)
        return Response(answer.text, status_code=201, media_type="application/json")

    return [
        Route("/healthz", alive),
        Route("/readyz", ready),
        Route("/scans", upload, methods=["POST"]),
    ]


async def _views_in(request: Request) -> tuple[bytes, ...]:
    """The pictures of an upload: its body, or the ``view`` parts of a form."""
    try:
        if not request.headers.get("content-type", "").lower().startswith("multipart/form-data"):
            return (await request.body(),)
        async with request.form(max_part_size=64 * 1024 * 1024) as form:
            parts = [part for part in form.getlist("view") if isinstance(part, UploadFile)]
            views = tuple([await part.read() for part in parts])
    except ClientDisconnect as error:
        raise InvalidScan("the upload broke off", hint="send it again") from error
    except HTTPException as error:
        raise InvalidScan("the form cannot be read", hint="send one file for each view, named 'view'") from error
    if not views:
        raise InvalidScan("the form holds no scan", hint="send one file for each view, named 'view'")
    return views


def _refused(error: XrayToolsError) -> Response:
    headers = {"Retry-After": str(round(error.retry_after))} if isinstance(error, Overloaded) else None
    return JSONResponse(error.as_dict(), status_code=outcome_of(error).http_status, headers=headers)


def _guarded(inner: Starlette, authorization: Authorization) -> ASGIApp:
    """Let only holders of a token in, but for the pages that say how to get one and whether the server lives."""
    metadata = None
    open_paths = set(_OPEN_PATHS)
    if authorization.resource_url is not None and authorization.issuer_url is not None:
        resource = AnyHttpUrl(authorization.resource_url)
        metadata = build_resource_metadata_url(resource)
        open_paths.add(metadata.path or "")
        inner.router.routes.extend(
            create_protected_resource_routes(
                resource_url=resource,
                authorization_servers=[AnyHttpUrl(authorization.issuer_url)],
                scopes_supported=list(authorization.scopes) or None,
            )
        )
    required = RequireAuthMiddleware(inner, list(authorization.scopes), metadata)

    async def gate(scope: Scope, receive: Receive, send: Send) -> None:
        is_open = scope["type"] != "http" or scope["path"] in open_paths
        await (inner if is_open else required)(scope, receive, send)

    return AuthenticationMiddleware(AuthContextMiddleware(gate), backend=BearerAuthBackend(authorization.verifier))


class _AllowedHosts:
    """Answers only requests for a known host and from a known origin, whatever their path."""

    def __init__(self, app: ASGIApp, settings: TransportSecuritySettings) -> None:
        self._app = app
        self._security = TransportSecurityMiddleware(settings)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            refusal = await self._security.validate_request(Request(scope))
            if refusal is not None:
                await refusal(scope, receive, send)
                return
        await self._app(scope, receive, send)


class _BoundedBody:
    """Refuses a request that is too large, and says what to do instead."""

    def __init__(self, app: ASGIApp, max_body: int) -> None:
        self._app = app
        self._max_body = max_body

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        length = Headers(scope=scope).get("content-length", "")
        if length.isdecimal() and int(length) > self._max_body:
            await _refused(_too_large(self._max_body))(scope, receive, send)
            return
        received, begun, refused = 0, False, False

        async def counted() -> Message:
            nonlocal received, refused
            message = await receive()
            received += len(message.get("body", b""))
            if received > self._max_body and not refused:
                refused = True
                if not begun:
                    await _refused(_too_large(self._max_body))(scope, receive, send)
            return {"type": "http.disconnect"} if refused else message

        async def passed_on(message: Message) -> None:
            nonlocal begun
            if not refused:
                begun = True
                await send(message)

        # Further in, a request that was refused here looks like one whose client has gone.
        with suppress(ClientDisconnect):
            await self._app(scope, counted, passed_on)


def _too_large(max_body: int) -> ScanTooLarge:
    return ScanTooLarge(
        f"the request has more than the {max_body} bytes that this server takes",
        hint="give the path of the scan instead of its bytes, or upload it to /scans as PNG or JPEG",
    )


def names_of(address: str) -> tuple[str, ...]:
    """The Host headers under which an address that is listened at is known, on any port."""
    name = f"[{address}]" if ":" in address and not address.startswith("[") else address
    return (name, f"{name}:*")


def origins_of(hosts: Sequence[str]) -> tuple[str, ...]:
    """The origins of pages that a host itself serves."""
    return tuple(f"{scheme}://{host}" for host in hosts for scheme in ("http", "https"))
