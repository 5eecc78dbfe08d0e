"""Signed tokens of an authorization server: the resource-server side of OAuth."""

from __future__ import annotations

import logging
from typing import Any

import jwt
from mcp.server.auth.provider import AccessToken, TokenVerifier

from xray_agent_tools.errors import Misconfigured
from xray_servers.access.keys import ALGORITHMS, SigningKeys

_MOST_LEEWAY = 300.0

_logger = logging.getLogger(__name__)


class _Unacceptable(Exception):
    """A token that PyJWT would take and this server does not. Its text quotes nothing of the token."""


class JwtTokens(TokenVerifier):
    """Knows the callers whose tokens an authorization server signed for this server.

    A token needs a key id, a signature by one of :data:`ALGORITHMS` (the one that its key is for), this issuer,
    this audience, a time of expiry, and a subject or client.
    """

    def __init__(self, *, issuer: str, audience: str, keys: SigningKeys, leeway: float = 30.0) -> None:
        """Say whose tokens are taken.

        Args:
            issuer: the authorization server, exactly as it writes itself in ``iss``.
            audience: the URL of this server as it stands in ``aud``; a slash at its end makes no difference.
            keys: the issuer's public keys, see :func:`signing_keys`.
            leeway: seconds, 0 to 300, by which the clocks of both servers may differ.

        Raises:
            Misconfigured: the issuer or the audience is empty or has a space, or the leeway is out of range.
        """
        for name, value in (("issuer", issuer), ("audience", audience)):
            if value.split() != [value]:
                raise Misconfigured(f"{value!r} is no {name}", hint=f"Give the {name} as it stands in the tokens.")
        if not 0 <= leeway <= _MOST_LEEWAY:
            raise Misconfigured(f"A leeway of {leeway} is out of range", hint="Use 0 to 300 seconds.")
        self._issuer = issuer
        self._audience = audience
        self._keys = keys
        self._leeway = leeway

    async def verify_token(self, token: str) -> AccessToken | None:
        """Whose token this is and what it allows, or None for a token that is not taken; the log says why."""
        try:
            return _access_of(token, await self._claims_of(token), self._audience)
        except _Unacceptable as error:
            reason = str(error)
        except Exception as error:  # Whatever else goes wrong, nobody gets in.
            # The type alone is logged: the text may quote the token.
            reason = type(error).__name__
        _logger.warning("refused a signed token: %s", reason)
        return None

    async def _claims_of(self, token: str) -> dict[str, Any]:
        kid = jwt.get_unverified_header(token).get("kid")
        if not kid:
            raise _Unacceptable("it names no key")
        key = await self._keys.find(kid)
        if key is None:
            raise _Unacceptable("its key is unknown")
        audience = self._audience.rstrip("/")
        return jwt.decode(
            token,
            key,
            algorithms=ALGORITHMS,
            issuer=self._issuer,
            audience=[audience, audience + "/"],
            leeway=self._leeway,
            options={"require": ["exp", "iss", "aud"], "enforce_minimum_key_length": True},
        )


def _access_of(token: str, claims: dict[str, Any], audience: str) -> AccessToken:
    subject = claims.get("sub") or None
    client = claims.get("client_id") or claims.get("azp") or subject
    if client is None:
        raise _Unacceptable("it names neither subject nor client")
    return AccessToken(
        token=token,
        client_id=client,
        subject=subject,
        scopes=_scopes_of(claims),
        expires_at=int(claims["exp"]),
        resource=audience,
        claims=claims,
    )


def _scopes_of(claims: dict[str, Any]) -> Any:
    """The scopes in ``scope`` (RFC 9068: one text) or ``scp`` (at some issuers a list), either written either way."""
    granted = claims.get("scope") or claims.get("scp") or []
    return granted.split() if isinstance(granted, str) else granted
