"""Pictures that a request names by address instead of sending them: fetched from hosts that the operator allows.

A name is looked up once, its addresses are checked, and the one that was checked is connected to, at every redirect anew.
So neither a redirect nor a name that changes its mind leads anywhere else. One parser reads a URL for the check and for
the connection, and each fetch has a connection of its own.
"""

from __future__ import annotations

import base64
import ipaddress
import re
import socket
import ssl
from collections.abc import Iterator, Sequence

import anyio
import httpx2

from xray_agent_tools.errors import Misconfigured
from xray_servers.http.errors import Refused

_MOST_REDIRECTS = 3
_REDIRECTS = frozenset({301, 302, 303, 307, 308})
_PORTS = {"http": 80, "https": 443}
_NAME = re.compile(r"[a-z0-9_]([a-z0-9_-]*[a-z0-9_])?(\.[a-z0-9_]([a-z0-9_-]*[a-z0-9_])?)*")
_GLOBAL_UNICAST = ipaddress.IPv6Network("2000::/3")
"""All that is given out of IPv6 (RFC 4291, section 2.4). Addresses outside it may stand for any of IPv4."""

Address = ipaddress.IPv4Address | ipaddress.IPv6Address
Network = ipaddress.IPv4Network | ipaddress.IPv6Network


class RemoteImages:
    """Fetches pictures by HTTP from allowed hosts, and from public addresses only unless a network is allowed too."""

    def __init__(
        self,
        allowed: Sequence[str],
        *,
        most_bytes: int = 64 * 1024 * 1024,
        timeout: float = 10.0,
        certificates: ssl.SSLContext | None = None,
    ) -> None:
        """Set what is allowed.

        Args:
            allowed: hosts, exact: ``pictures.example.org`` for the usual ports, ``pictures.example.org:8443`` for
                another one; and networks such as ``10.1.0.0/16``, in which hosts may have addresses that are not public.
            most_bytes: size of a picture.
            timeout: seconds for a picture, redirects included.
            certificates: how hosts prove who they are; by the authorities that the system trusts when not given.

        Raises:
            Misconfigured: an entry is neither.
        """
        self._places = frozenset(place for entry in allowed if "/" not in entry for place in _places(entry))
        self._networks = tuple(_network(entry) for entry in allowed if "/" in entry)
        self._most_bytes = most_bytes
        self._timeout = timeout
        self._certificates = certificates

    async def fetch(self, url: str) -> str:
        """A picture as a data URI.

        Raises:
            Refused: its host is not allowed, or it cannot be had.
        """
        try:
            with anyio.fail_after(self._timeout):
                content = await self._follow(url)
        except TimeoutError:
            raise _unavailable(f"it did not arrive within {self._timeout:g} seconds") from None
        except (httpx2.InvalidURL, ValueError):
            raise _unavailable("an address on the way to it is no URL") from None
        except (httpx2.HTTPError, OSError) as error:
            raise _unavailable(f"its host cannot be reached, or breaks off ({type(error).__name__})") from error
        return "data:application/octet-stream;base64," + base64.b64encode(content).decode("ascii")

    async def _follow(self, url: str) -> bytes:
        place = httpx2.URL(url)
        for _ in range(_MOST_REDIRECTS + 1):
            found = await self._get(place)
            if isinstance(found, bytes):
                return found
            if place.scheme == "https" and found.scheme == "http":
                raise _not_allowed("a redirect leads from https to http")
            place = found
        raise _unavailable(f"there are more than {_MOST_REDIRECTS} redirects")

    async def _get(self, url: httpx2.URL) -> bytes | httpx2.URL:
        """What is at a URL: a picture, or the way to another one."""
        host, port = self._place(url)
        address = await self._address(host, port)
        async with (
            httpx2.AsyncClient(verify=self._certificates or True, trust_env=False, timeout=None) as client,
            client.stream(
                "GET",
                url.copy_with(host=str(address)),
                headers={"host": url.netloc.decode("ascii"), "accept": "image/*", "accept-encoding": "identity"},
                extensions={"sni_hostname": host},
            ) as response,
        ):
            if response.status_code in _REDIRECTS and "location" in response.headers:
                return url.join(response.headers["location"])
            if response.status_code != 200:
                raise _unavailable(f"its host answered {response.status_code}")
            return await self._body(response)

    def _place(self, url: httpx2.URL) -> tuple[str, int]:
        """The host and the port of a URL, if they are allowed."""
        if url.scheme not in _PORTS or url.userinfo:
            raise _not_allowed("only http and https addresses without a user's name are fetched")
        place = url.raw_host.decode("ascii"), _PORTS[url.scheme] if url.port is None else url.port
        if place not in self._places:
            raise _not_allowed("pictures are not fetched from this host and port")
        return place

    async def _address(self, host: str, port: int) -> Address:
        found = await anyio.getaddrinfo(host, port, type=socket.SOCK_STREAM)
        addresses = [ipaddress.ip_address(entry[4][0]) for entry in found]
        if not addresses or not all(self._may_connect(address) for address in addresses):
            raise _not_allowed("this host has an address that is not public")
        return addresses[0]

    def _may_connect(self, address: Address) -> bool:
        real = (address.ipv4_mapped if isinstance(address, ipaddress.IPv6Address) else None) or address
        return _is_public(real) or any(real in network for network in self._networks)

    async def _body(self, response: httpx2.Response) -> bytes:
        content = bytearray()
        async for piece in response.aiter_raw():
            content += piece
            if len(content) > self._most_bytes:
                raise _unavailable(f"it has more than {self._most_bytes} bytes")
        return bytes(content)


def _is_public(address: Address) -> bool:
    if isinstance(address, ipaddress.IPv6Address) and (address not in _GLOBAL_UNICAST or address.sixtofour):
        return False
    return address.is_global and not address.is_multicast


def _places(entry: str) -> Iterator[tuple[str, int]]:
    """The ports of a host that an entry allows."""
    try:
        url = httpx2.URL(f"//{entry}")
        host = url.raw_host.decode("ascii")
    except (httpx2.InvalidURL, ValueError) as error:
        raise _no_host(entry) from error
    ports = _PORTS.values() if url.port is None else (url.port,)
    named = _NAME.fullmatch(host) or _is_address(host)
    if not named or url.userinfo or url.query or url.fragment or not all(0 < port < 65536 for port in ports):
        raise _no_host(entry)
    yield from ((host, port) for port in ports)


def _is_address(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True


def _no_host(entry: str) -> Misconfigured:
    return Misconfigured(
        f"{entry!r} is no host", hint="give a host name as pictures.example.org, with :PORT for an unusual one"
    )


def _network(entry: str) -> Network:
    try:
        return ipaddress.ip_network(entry)
    except ValueError as error:
        raise Misconfigured(f"{entry!r} is no network", hint="give a host name, or a network as 10.1.0.0/16") from error


def _not_allowed(reason: str) -> Refused:
    return Refused(
        400,
        "image_url_not_allowed",
        reason,
        hint="send the picture as a data URI, or ask the operator to allow its host (--image-host)",
        param="image_url",
    )


def _unavailable(reason: str) -> Refused:
    return Refused(
        400,
        "image_url_unavailable",
        f"the picture cannot be fetched: {reason}",
        hint="send the picture as a data URI",
        param="image_url",
    )
