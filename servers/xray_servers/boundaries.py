"""What every request over HTTP has to pass: a known host and origin, and a body that is not too large."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import suppress

import anyio
from mcp.server.transport_security import TransportSecurityMiddleware, TransportSecuritySettings
from mcp.types import INVALID_REQUEST
from starlette.datastructures import Headers
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from xray_agent_tools.adapters.calls import error_text
from xray_agent_tools.errors import Overloaded, ScanTooLarge, TimedOut, XrayToolsError, outcome_of

LOOPBACK = ("127.0.0.1", "127.0.0.1:*", "localhost", "localhost:*", "[::1]", "[::1]:*")
"""Host headers of a browser on the same machine, on any port."""


HTTP_MISDIRECTED = 421

Refusal = Callable[[XrayToolsError], Response]
"""How a server words an error that ends a request before any route is reached."""


def refused(error: XrayToolsError) -> Response:
    """An error as a response: its status, its JSON, and when to come back."""
    return JSONResponse(error.as_dict(), status_code=outcome_of(error).http_status, headers=retry_after(error))


def refused_by_protocol(error: XrayToolsError) -> Response:
    """The same as a JSON-RPC error, because clients of the Model Context Protocol show nothing else to an agent."""
    reason = error.as_dict()["error"]
    body = {
        "jsonrpc": "2.0",
        "id": None,
        "error": {"code": INVALID_REQUEST, "message": error_text(error), "data": reason},
    }
    return JSONResponse(body, status_code=outcome_of(error).http_status, headers=retry_after(error))


def retry_after(error: XrayToolsError) -> dict[str, str] | None:
    """The header that says when to come back, for an error that knows."""
    return {"Retry-After": str(max(1, round(error.retry_after)))} if isinstance(error, Overloaded) else None


class AllowedHosts:
    """Answers only requests for a known host and from a known origin, whatever their path."""

    def __init__(self, app: ASGIApp, settings: TransportSecuritySettings) -> None:
        """Wrap an application."""
        self._app = app
        self._security = TransportSecurityMiddleware(settings)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on, or refuse it."""
        if scope["type"] == "http":
            refusal = await self._security.validate_request(Request(scope))
            if refusal is not None:
                await _unknown(refusal)(scope, receive, send)
                return
        await self._app(scope, receive, send)


def _unknown(refusal: Response) -> Response:
    """The refusal of a host or an origin, as every other error is worded."""
    subject = "host" if refusal.status_code == HTTP_MISDIRECTED else "origin"
    error = {
        "message": bytes(refusal.body).decode(),
        "type": "invalid_request_error",
        "param": None,
        "code": f"unknown_{subject}",
        "hint": f"ask the operator to allow it (--allowed-{subject})",
    }
    return JSONResponse({"error": error}, status_code=refusal.status_code)


class BoundedBody:
    """Refuses a request that is too large, or does not come to its end, and says what to do instead."""

    def __init__(self, app: ASGIApp, max_body: int, refusal: Refusal, *, patience_s: float = 30.0) -> None:
        """Wrap an application.

        Args:
            app: what is behind it.
            max_body: bytes of a request.
            refusal: how an error is worded.
            patience_s: seconds to wait for the next part of a body.
        """
        self._app = app
        self._max_body = max_body
        self._refusal = refusal
        self._patience_s = patience_s

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on, or refuse it."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        length = Headers(scope=scope).get("content-length", "")
        if length.isdecimal() and int(length) > self._max_body:
            await self._refusal(_too_large(self._max_body))(scope, receive, send)
            return
        received, begun, complete, stopped = 0, False, False, False

        async def stop(error: XrayToolsError) -> Message:
            nonlocal stopped
            stopped = True
            if not begun:
                await self._refusal(error)(scope, receive, send)
            return {"type": "http.disconnect"}

        async def counted() -> Message:
            nonlocal received, complete
            if stopped:
                return {"type": "http.disconnect"}
            try:
                # Once the body is complete, what comes next is the client's end, which may take as long as it likes.
                with anyio.fail_after(None if complete else self._patience_s):
                    message = await receive()
            except TimeoutError:
                return await stop(_too_slow(self._patience_s))
            received += len(message.get("body", b""))
            complete = not message.get("more_body", False)
            return await stop(_too_large(self._max_body)) if received > self._max_body else message

        async def passed_on(message: Message) -> None:
            nonlocal begun
            if not stopped:
                begun = True
                await send(message)

        # Further in, a request that was refused here looks like one whose client has gone.
        with suppress(ClientDisconnect):
            await self._app(scope, counted, passed_on)


def _too_slow(patience_s: float) -> TimedOut:
    return TimedOut(f"the request did not go on for {patience_s:g} seconds", hint="send it again, without a pause")


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
