"""Listening at an address, and never where nobody is kept out."""

from __future__ import annotations

import ipaddress
import logging
import socket
import sys

from xray_agent_tools.errors import Misconfigured

_TALKATIVE = ("httpx2", "httpcore2", "openai", "python_multipart")


def log_to_stderr(level: str) -> None:
    """Log plain lines to standard error from a level on.

    What clients below would log of their own accord, such as the address of every picture that is fetched, needs DEBUG.
    """
    for name in _TALKATIVE:
        logging.getLogger(name).setLevel(logging.DEBUG if level == "DEBUG" else logging.WARNING)
    logging.basicConfig(level=level, format="%(asctime)s %(levelname)s %(name)s: %(message)s", stream=sys.stderr)


def check_exposure(host: str, *, open_to_all: bool) -> None:
    """Refuse to serve a network to which nobody has the key.

    Args:
        host: address to listen at.
        open_to_all: whether anybody who reaches it may call.

    Raises:
        Misconfigured: the address is reachable from other machines, and no authorization is set.
    """
    if open_to_all and not is_loopback(host):
        raise Misconfigured(
            f"{host} can be reached from other machines, and nobody would need a token",
            hint="add --token-file or --jwt-issuer, or listen at 127.0.0.1",
        )


def is_loopback(host: str) -> bool:
    """Whether only this machine can reach an address."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False


def listening(host: str, port: int) -> socket.socket:
    """A socket that listens at an address; port 0 takes a free one.

    Raises:
        Misconfigured: the address is taken or not this machine's.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    # asyncio sends answers at once (TCP_NODELAY) only over sockets that say they are TCP; others wait for the client.
    listener = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((host.strip("[]"), port))
        listener.listen(128)
    except (OSError, OverflowError) as error:
        listener.close()
        raise Misconfigured(
            f"cannot listen at {host}:{port}: {error}", hint="choose another --port, or 0 for a free one"
        ) from error
    return listener
