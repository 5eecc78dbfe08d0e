"""Pictures that a request names by address instead of sending them: fetched from hosts that the operator allows.

An address is looked up once, checked, and then connected to as checked, at every redirect anew, so that neither a
redirect nor a name that changes its mind leads anywhere else.
"""

from __future__ import annotations

import base64
import ipaddress
import socket
from collections.abc import Sequence
from urllib.parse import urljoin, urlsplit

import anyio
import httpx2

from xray_agent_tools.errors import Misconfigured
from xray_servers.http.errors import Refused

_MOST_REDIRECTS = 3
_REDIRECTS = frozenset({301, 302, 303, 307, 308})
_PORTS = {"http": 80, "https": 443}

Address = ipaddress.IPv4Address | ipaddress.IPv6Address
Network = ipaddress.IPv4Network | ipaddress.IPv6Network


class RemoteImages:
    """Fetches pictures by HTTP from allowed hosts, and from public addresses only unless a network is allowed too."""

    def __init__(self, allowed: Sequence[str], *, most_bytes: int = 64 * 1024 * 1024, timeout: float = 10.0) -> None:
        """Set what is allowed.

        Args:
            allowed: host names, exact, and networks such as ``10.1.0.0/16`` that hosts may have addresses in.
            most_bytes: size of a picture.
            timeout: seconds for a picture, redirects included.

        Raises:
            Misconfigured: an entry is neither.
        """
        self._hosts = frozenset(entry.casefold().rstrip(".") for entry in allowed if "/" not in entry)
        self._networks = tuple(_network(entry) for entry in allowed if "/" in entry)
        self._most_bytes = most_bytes
        self._timeout = timeout

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
        except (httpx2.HTTPError, httpx2.InvalidURL, OSError, ValueError) as error:
            raise _unavailable(type(error).__name__) from error
        return "data:application/octet-stream;base64," + base64.b64encode(content).decode("ascii")

    async def _follow(self, url: str) -> bytes:
        async with httpx2.AsyncClient(follow_redirects=False, trust_env=False, timeout=self._timeout) as client:
            for _ in range(_MOST_REDIRECTS + 1):
                request = await self._request(client, url)
                response = await client.send(request, stream=True)
                try:
                    if response.status_code in _REDIRECTS:
                        url = urljoin(url, response.headers.get("location", ""))
                        continue
                    if response.status_code != 200:
                        raise _unavailable(f"its host answered {response.status_code}")
                    return await self._body(response)
                finally:
                    await response.aclose()
        raise _unavailable(f"more than {_MOST_REDIRECTS} redirects")

    async def _request(self, client: httpx2.AsyncClient, url: str) -> httpx2.Request:
        """A request to the checked address of a URL's host, under the host's name."""
        parts = urlsplit(url)
        host = (parts.hostname or "").casefold().rstrip(".")
        if parts.scheme not in _PORTS or parts.username is not None:
            raise _not_allowed("only plain http and https addresses are fetched")
        if host not in self._hosts:
            raise _not_allowed("pictures are not fetched from this host")
        port = parts.port or _PORTS[parts.scheme]
        address = await self._address(host, port)
        literal = f"[{address}]" if address.version == 6 else str(address)
        target = parts._replace(netloc=f"{literal}:{port}", fragment="").geturl()
        headers = {"host": parts.netloc, "accept": "image/*", "accept-encoding": "identity"}
        return client.build_request("GET", target, headers=headers, extensions={"sni_hostname": host})

    async def _address(self, host: str, port: int) -> Address:
        found = await anyio.getaddrinfo(host, port, type=socket.SOCK_STREAM)
        addresses = [ipaddress.ip_address(entry[4][0]) for entry in found]
        if not addresses or not all(self._may_connect(address) for address in addresses):
            raise _not_allowed("this host has an address that is not public")
        return addresses[0]

    def _may_connect(self, address: Address) -> bool:
        mapped = address.ipv4_mapped if isinstance(address, ipaddress.IPv6Address) else None
        real = mapped or address
        return (real.is_global and not real.is_multicast) or any(real in network for network in self._networks)

    async def _body(self, response: httpx2.Response) -> bytes:
        content = bytearray()
        async for piece in response.aiter_raw():
            content += piece
            if len(content) > self._most_bytes:
                raise _unavailable(f"it has more than {self._most_bytes} bytes")
        return bytes(content)


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
