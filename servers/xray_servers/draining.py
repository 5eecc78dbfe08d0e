"""Stopping a server over HTTP: what was taken in is finished, and nothing new is."""

from __future__ import annotations

import socket

import anyio
import uvicorn
from sse_starlette.sse import AppStatus
from starlette.types import ASGIApp, Receive, Scope, Send

from xray_agent_tools.errors import Overloaded
from xray_servers.boundaries import Refusal

_LOOK_AGAIN_S = 0.05
_FLUSHED_WITHIN_S = 5


class Draining:
    """Counts the requests that ask for work, and refuses further ones once the server stops."""

    def __init__(self, app: ASGIApp, refusal: Refusal) -> None:
        """Wrap an application."""
        self._app = app
        self._refusal = refusal
        self._stopping = False
        self.working = 0

    def stop(self) -> None:
        """Refuse requests from now on."""
        self._stopping = True

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on. What only reads or listens keeps nobody waiting."""
        if scope["type"] != "http" or scope["method"] in {"GET", "HEAD"}:
            await self._app(scope, receive, send)
        elif self._stopping:
            await self._refusal(_stopping())(scope, receive, send)
        else:
            self.working += 1
            try:
                await self._app(scope, receive, send)
            finally:
                self.working -= 1


def _stopping() -> Overloaded:
    return Overloaded("the server is stopping", hint="call again in a few seconds", retry_after=5.0)


class DrainingServer(uvicorn.Server):
    """Finishes what it took in before it stops; a second signal stops it at once."""

    def __init__(self, config: uvicorn.Config, draining: Draining, *, within_s: float) -> None:
        """Serve an application.

        Args:
            config: how to serve it.
            draining: the application's outermost layer.
            within_s: seconds that unfinished work may take.
        """
        super().__init__(config)
        config.timeout_graceful_shutdown = _FLUSHED_WITHIN_S
        self._draining = draining
        self._within_s = within_s
        # Otherwise every stream ends at the signal, those with an unfinished answer too.
        AppStatus.enable_automatic_graceful_drain = False

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Finish the work, then close what only listens."""
        self._draining.stop()
        with anyio.move_on_after(self._within_s):
            while self._draining.working and not self.force_exit:
                await anyio.sleep(_LOOK_AGAIN_S)
        AppStatus.should_exit = True
        await super().shutdown(sockets)
