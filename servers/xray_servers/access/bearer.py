"""Bearer tokens that the server's owner hands out, kept as hashes in a text file.

One token a line, ``NAME sha256:HEX [scope ...]``; blank lines and what follows a ``#`` are passed over.
"""

from __future__ import annotations

import hashlib
import hmac
import re
import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from mcp.server.auth.provider import AccessToken, TokenVerifier

from xray_agent_tools.errors import InvalidArgument, Misconfigured
from xray_servers.access.watched import WatchedFile

SCREEN_SCOPE = "screen"
"""What a token without scopes may do: call the tools."""

_PREFIX = "xray_"
"""Lets people and secret scanners recognise a token."""

_TOKEN_BYTES = 32
_NAME = re.compile(r"[A-Za-z0-9._-]{1,64}")
_HASH = re.compile(r"sha256:([0-9A-Fa-f]{64})")
_SCOPE = re.compile(r"[A-Za-z0-9._:/-]{1,128}")
_NEXT_STEP = "Write each line as NAME sha256:HEX [scope ...]; `xray-mcp token NAME` makes one."


@dataclass(frozen=True, slots=True)
class _Entry:
    name: str
    digest: bytes
    scopes: tuple[str, ...]


class BearerTokens(TokenVerifier):
    """Knows the callers whose tokens are in a file. Follows the file, so that a token is revoked by deleting its line."""

    def __init__(self, path: Path, *, resource: str | None = None) -> None:
        """Read the file.

        Args:
            path: the file of token hashes.
            resource: URL of this server, written into every answer for gates that compare it.

        Raises:
            Misconfigured: the file cannot be read, holds no token, or has a wrong line, which is named.
        """
        self._file = WatchedFile(path, lambda text: _entries_in(text, path))
        self._resource = resource

    async def verify_token(self, token: str) -> AccessToken | None:
        """The token's name and scopes, or None for a token that is not in the file."""
        digest = _digest_of(token)
        known: _Entry | None = None
        # Every entry is compared, so that the time taken tells nothing about which one fits.
        for entry in self._file.content() or ():
            if hmac.compare_digest(entry.digest, digest):
                known = entry
        if known is None:
            return None
        return AccessToken(
            token=token,
            client_id=known.name,
            subject=known.name,
            scopes=list(known.scopes),
            resource=self._resource,
        )


def new_token(name: str, scopes: Sequence[str] = ()) -> tuple[str, str]:
    """Make a token of 32 random bytes.

    Args:
        name: whom it is for: 1 to 64 letters, digits, dots, underscores or dashes.
        scopes: what it allows; ``screen`` when none are given.

    Returns:
        The token, to be shown once, and its line for the file, which does not reveal it.

    Raises:
        InvalidArgument: the name or a scope has other characters or another length.
    """
    if not _NAME.fullmatch(name):
        raise InvalidArgument(
            f"{name[:80]!r} is no name for a token",
            hint="Use 1 to 64 letters, digits, dots, underscores or dashes.",
        )
    for scope in scopes:
        if not _SCOPE.fullmatch(scope):
            raise InvalidArgument(
                f"{scope[:80]!r} is no scope", hint="Use letters, digits, dots, colons, slashes or dashes."
            )
    token = _PREFIX + secrets.token_urlsafe(_TOKEN_BYTES)
    return token, " ".join([name, f"sha256:{_digest_of(token).hex()}", *scopes])


def check_tokens(text: str, path: Path) -> None:
    """Check the content of a token file before it is written.

    Raises:
        Misconfigured: nobody could come in with it.
    """
    _entries_in(text, path)


def _digest_of(token: str) -> bytes:
    # A plain hash is enough for 256 random bits; a slow one would only slow every call.
    return hashlib.sha256(token.encode("utf-8", errors="surrogatepass")).digest()


def _entries_in(text: str, path: Path) -> tuple[_Entry, ...]:
    entries: dict[str, _Entry] = {}
    owners = {_digest_of(""): "the empty token"}
    for number, line in enumerate(text.splitlines(), start=1):
        words = line.partition("#")[0].split()
        if not words:
            continue
        entry = _entry_of(words, where=f"line {number} of {path}")
        if entry.name in entries:
            raise Misconfigured(f"line {number} of {path} uses a name again: {entry.name}", hint="Rename one of them.")
        if entry.digest in owners:
            raise Misconfigured(
                f"line {number} of {path} has the hash of {owners[entry.digest]}",
                hint="Give every name a token of its own; `xray-mcp token NAME` makes one.",
            )
        entries[entry.name] = entry
        owners[entry.digest] = entry.name
    if not entries:
        raise Misconfigured(f"{path} holds no token", hint="Add a line; `xray-mcp token NAME` makes one.")
    return tuple(entries.values())


def _entry_of(words: list[str], *, where: str) -> _Entry:
    name, *rest = words
    if not _NAME.fullmatch(name):
        raise Misconfigured(f"{where} starts with no valid name", hint=_NEXT_STEP)
    found = _HASH.fullmatch(rest[0]) if rest else None
    if found is None:
        # The word is not quoted: it may be the token itself.
        raise Misconfigured(f"{where} has no sha256: and 64 hexadecimal digits after the name", hint=_NEXT_STEP)
    scopes = tuple(rest[1:]) or (SCREEN_SCOPE,)
    if not all(_SCOPE.fullmatch(scope) for scope in scopes):
        raise Misconfigured(f"{where} has a scope that is none", hint=_NEXT_STEP)
    return _Entry(name, bytes.fromhex(found[1]), scopes)
