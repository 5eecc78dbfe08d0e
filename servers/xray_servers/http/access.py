"""Who may call which route."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from mcp.server.auth.provider import TokenVerifier
from starlette.requests import Request

from xray_servers.access import owner_of
from xray_servers.http.callers import SCOPES, Caller
from xray_servers.http.errors import Refused
from xray_servers.http.rates import Rates

_SCHEME = "bearer "


class Access:
    """Tells who calls, and turns away who may not.

    Keys come as ``Authorization: Bearer KEY``, as OpenAI's clients send them. Without a verifier anybody who reaches the
    port may do anything.
    """

    def __init__(self, verifier: TokenVerifier | None, rates: Rates) -> None:
        """Use a verifier of keys, and limits on how often each may call."""
        self._verifier = verifier
        self._rates = rates

    async def admit(self, request: Request, scope: str) -> Caller:
        """The caller of a request, if it may do what the scope names.

        Raises:
            Refused: it has no good key, the key does not allow this, or it calls too often.
        """
        caller = await self._identify(request)
        if scope not in caller.scopes:
            raise Refused(
                403, "insufficient_scope", f"this key does not allow {scope!r}", hint="ask the operator for the scope"
            )
        await self._rates.count(caller.name)
        return caller

    async def _identify(self, request: Request) -> Caller:
        request_id: str = request.state.request_id
        if self._verifier is None:
            return Caller("", SCOPES, request_id)
        header = request.headers.get("authorization", "")
        token = header[len(_SCHEME) :].strip() if header.lower().startswith(_SCHEME) else ""
        known = await self._verifier.verify_token(token) if token else None
        if known is None:
            raise Refused(
                401, "invalid_api_key", "no valid key was sent", hint="send 'Authorization: Bearer KEY' with a good key"
            )
        return Caller(owner_of(known), frozenset(known.scopes) & SCOPES, request_id)


def caller(scope: str) -> Callable[[Request], Awaitable[Caller]]:
    """A dependency that gives the caller of a request; the application's state holds the :class:`Access`."""

    async def admitted(request: Request) -> Caller:
        access: Access = request.app.state.access
        return await access.admit(request, scope)

    return admitted
