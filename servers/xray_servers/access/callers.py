"""Several ways to know a caller, and one name for each caller known."""

from __future__ import annotations

import json
from collections.abc import Sequence

from mcp.server.auth.provider import AccessToken, TokenVerifier, principal_components


class FirstOf(TokenVerifier):
    """Asks several verifiers in turn; the first that knows the token answers."""

    def __init__(self, verifiers: Sequence[TokenVerifier]) -> None:
        """Choose the verifiers.

        Args:
            verifiers: asked in this order; without any, nobody is known.
        """
        self._verifiers = tuple(verifiers)

    async def verify_token(self, token: str) -> AccessToken | None:
        """The answer of the first verifier that knows the token, or None."""
        for verifier in self._verifiers:
            if known := await verifier.verify_token(token):
                return known
        return None


def owner_of(token: AccessToken | None) -> str:
    """The stable name under which a caller's scans are kept.

    Two tokens of one principal have the same owner, two principals never do: the name holds the issuer
    and the subject, or the client where the token has no subject.

    Args:
        token: what a verifier answered; None for a caller who needs no token.

    Returns:
        A JSON array ``[issuer, subject, client]``, or an empty text for nobody.
    """
    if token is None:
        return ""
    client, issuer, subject = principal_components(token)
    return json.dumps([issuer, subject or None, None if subject else client])
