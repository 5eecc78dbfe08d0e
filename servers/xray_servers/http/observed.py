"""What is noted of each request: an identifier, a line in the log, a measurement. Never a scan or a declaration."""

from __future__ import annotations

import json
import logging
import re
import time
import uuid

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from xray_servers.http.metrics import Metrics

logger = logging.getLogger(__name__)

_GOOD_ID = re.compile(r"[A-Za-z0-9._-]{8,64}")
_SECURITY = {
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
    "referrer-policy": "no-referrer",
    "cache-control": "no-store",
    "content-security-policy": "default-src 'none'; frame-ancestors 'none'",
}
_WITH_SCRIPTS = frozenset({"/docs", "/docs/oauth2-redirect", "/redoc"})


class Observed:
    """Gives each request an identifier, each response its security headers, and notes what came of it."""

    def __init__(self, app: ASGIApp, metrics: Metrics) -> None:
        """Wrap an application."""
        self._app = app
        self._metrics = metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on, and note its end."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        request_id = _identifier(Headers(scope=scope).get("x-request-id", ""))
        scope.setdefault("state", {})["request_id"] = request_id
        started = time.perf_counter()
        status = 500

        async def noted(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                headers = MutableHeaders(scope=message)
                headers["x-request-id"] = request_id
                if scope["path"] not in _WITH_SCRIPTS:
                    for name, value in _SECURITY.items():
                        headers.setdefault(name, value)
            await send(message)

        try:
            await self._app(scope, receive, noted)
        finally:
            seconds = time.perf_counter() - started
            route = getattr(scope.get("route"), "path", "other")
            self._metrics.requested(route, status, seconds)
            _log(request_id, scope["method"], route, status, seconds)


def _identifier(given: str) -> str:
    """The client's own identifier with something of ours, so that no two requests share one; or a new one."""
    fresh = uuid.uuid4().hex
    return f"{given}.{fresh[:12]}" if _GOOD_ID.fullmatch(given) else fresh


def _log(request_id: str, method: str, route: str, status: int, seconds: float) -> None:
    line = {
        "request_id": request_id,
        "method": method,
        "route": route,
        "status": status,
        "milliseconds": round(seconds * 1000, 1),
    }
    logger.info("%s", json.dumps(line, separators=(",", ":")))
