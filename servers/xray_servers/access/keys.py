"""The public keys that an authorization server signs its tokens with, from a file or from its URL."""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Protocol
from urllib.parse import urlsplit

import anyio
import anyio.to_thread
import jwt

from xray_agent_tools.errors import Misconfigured
from xray_servers.access.watched import WatchedFile
from xray_servers.listening import is_loopback

ALGORITHMS = ("RS256", "PS256", "ES256", "EdDSA")
"""Signatures that are taken. All are asymmetric, so that no public key can be used to sign."""

_FRESH_SECONDS = 300.0
"""How long fetched keys are used before they are fetched again: the lifespan that PyJWT's own client has."""

_KEPT_SECONDS = 3600.0
"""How long fetched keys are used while their URL does not answer."""

_PAUSE_SECONDS = 30.0
"""Least time between two fetches, so that tokens with made-up key ids cause no traffic."""

_NEXT_STEP = "Give the JWKS that your authorization server publishes: public keys with `kid`, for " + ", ".join(
    ALGORITHMS
)

_logger = logging.getLogger(__name__)


class SigningKeys(Protocol):
    """A set of public keys."""

    async def find(self, kid: str) -> jwt.PyJWK | None:
        """The key with this id, or None."""


class KeysInFile(SigningKeys):
    """The keys of a JWKS file. Follows the file."""

    def __init__(self, path: Path) -> None:
        """Read the file.

        Raises:
            Misconfigured: the file cannot be read or holds no key that can be used.
        """
        self._file = WatchedFile(path, lambda text: _keys_in(text, str(path)))

    async def find(self, kid: str) -> jwt.PyJWK | None:
        """The key with this id as the file stands now, or None."""
        return (self._file.content() or {}).get(kid)


class KeysAtUrl(SigningKeys):
    """The keys at a JWKS URL, fetched when first needed, when five minutes old and for an id that is new.

    There are 30 seconds at least between two fetches. While the URL does not answer, the last keys serve for
    an hour; from then on no token is taken.
    """

    def __init__(self, url: str, *, timeout: float = 5.0, clock: Callable[[], float] = time.monotonic) -> None:
        """Name the URL; nothing is fetched yet.

        Args:
            url: https, or http on a loopback address. Redirects are not followed.
            timeout: seconds that the URL may be silent; a whole fetch may take twice as long.
            clock: seconds from any start, never going back.

        Raises:
            Misconfigured: the URL is of another kind, or the timeout is not positive.
        """
        if not _trustworthy(url):
            raise Misconfigured(
                f"Keys cannot be fetched from {url!r}", hint="Use an https URL; http is taken on loopback only."
            )
        if not 0 < timeout < float("inf"):
            raise Misconfigured(f"{timeout} is no timeout", hint="Use a positive number of seconds.")
        self._client = jwt.PyJWKClient(url, cache_jwk_set=False, timeout=timeout)
        self._clock = clock
        self._lock = anyio.Lock()
        self._keys: dict[str, jwt.PyJWK] = {}
        self._fetched = self._tried = float("-inf")

    async def find(self, kid: str) -> jwt.PyJWK | None:
        """The key with this id, or None; a URL that does not answer is logged."""
        if self._outdated(kid):
            async with self._lock:
                # Whoever waited for the lock finds that it was tried just now.
                if self._clock() - self._tried >= _PAUSE_SECONDS:
                    await self._fetch()
        return self._keys.get(kid) if self._age() < _KEPT_SECONDS else None

    def _age(self) -> float:
        return self._clock() - self._fetched

    def _outdated(self, kid: str) -> bool:
        return kid not in self._keys or self._age() >= _FRESH_SECONDS

    async def _fetch(self) -> None:
        try:
            # The client's timeout bounds a silence; a server that sends drop by drop needs a bound on the whole.
            # The shield keeps callers who hang up from holding off the others' keys.
            with anyio.fail_after(2 * self._client.timeout, shield=True):
                keys = await anyio.to_thread.run_sync(self._client.get_signing_keys, abandon_on_cancel=True)
            self._keys = _usable(keys, self._client.uri)
            self._fetched = self._clock()
        except Exception as error:  # PyJWT lets errors of many types through. Whatever it was, the last keys stay.
            _logger.error("no signing keys from %s (%s: %s)", self._client.uri, type(error).__name__, error)
        finally:
            self._tried = self._clock()


def signing_keys(place: str, *, timeout: float = 5.0) -> KeysInFile | KeysAtUrl:
    """The keys at a URL, if the place looks like one, or else in a file.

    Args:
        place: a JWKS URL or the path of a JWKS file.
        timeout: seconds that a URL may be silent.

    Raises:
        Misconfigured: see :class:`KeysInFile` and :class:`KeysAtUrl`.
    """
    return KeysAtUrl(place, timeout=timeout) if "://" in place else KeysInFile(Path(place))


def _trustworthy(url: str) -> bool:
    try:
        parts = urlsplit(url)
        host = parts.hostname
    except ValueError:
        return False
    if parts.scheme == "https":
        return bool(host)
    return parts.scheme == "http" and host is not None and is_loopback(host)


def _keys_in(text: str, place: str) -> dict[str, jwt.PyJWK]:
    try:
        content = json.loads(text)
        if not isinstance(content, dict):
            raise ValueError("it is no JSON object")
        found = jwt.PyJWKSet.from_dict(content)
    except Exception as error:  # For malformed keys PyJWT lets errors of many types through.
        raise Misconfigured(f"{place} is no key set ({type(error).__name__}: {error})", hint=_NEXT_STEP) from None
    return _usable(found, place)


def _usable(keys: Iterable[jwt.PyJWK], place: str) -> dict[str, jwt.PyJWK]:
    """The keys by id, of those that can verify a signature that is taken."""
    usable = {
        key.key_id: key
        for key in keys
        if key.key_id and key.public_key_use in ("sig", None) and key.algorithm_name in ALGORITHMS
    }
    if any(hasattr(key.key, "private_bytes") for key in usable.values()):
        raise Misconfigured(f"{place} holds a private key", hint="Replace that key, and publish public keys only.")
    if not usable:
        raise Misconfigured(f"{place} holds no key that can be used", hint=_NEXT_STEP)
    return usable
