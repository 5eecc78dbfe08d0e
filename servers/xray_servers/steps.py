"""Steps of a request, told by the process that works to the process that talks to the client.

They travel as datagrams over a local socket: a step is one message or none, and a process that is killed in the
middle of its work leaves nothing half said. Where the system has no such sockets, no steps are told.
"""

from __future__ import annotations

import json
import socket
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from functools import cache
from pathlib import Path

import anyio
from anyio import TASK_STATUS_IGNORED
from anyio.abc import TaskStatus

from xray_agent_tools import progress

_LONGEST = 4096


@contextmanager
def told_to(address: str | None, numbers: Sequence[int]) -> Iterator[None]:
    """Tell every step of the block to an address, under each number; a step that cannot be told is lost."""
    if address is None or not _possible():
        yield
        return
    sender = _sender()

    def tell(step: str) -> None:
        for number in numbers:
            with suppress(OSError):
                sender.sendto(json.dumps([number, step]).encode()[:_LONGEST], address)

    with progress.heard_by(tell):
        yield


class StepListener:
    """Hears the steps of all requests, and passes each to whoever asked for that request."""

    def __init__(self) -> None:
        """Make a folder for the socket that only this user can enter."""
        self._folder = tempfile.TemporaryDirectory(prefix="xray-steps-")
        self._path = Path(self._folder.name) / "socket"
        self._heard: dict[int, Callable[[str], None]] = {}

    @property
    def address(self) -> str | None:
        """Where to tell steps to; None where the system has no such sockets."""
        return str(self._path) if _possible() else None

    @contextmanager
    def hearing(self, number: int, heard: Callable[[str], None]) -> Iterator[None]:
        """Pass the steps of a request on while it lasts."""
        self._heard[number] = heard
        try:
            yield
        finally:
            del self._heard[number]

    async def listen(self, *, task_status: TaskStatus[None] = TASK_STATUS_IGNORED) -> None:
        """Listen until cancelled; the task has started when steps can be told."""
        with self._folder:
            if _possible():
                await self._pass_on(task_status)
            else:
                task_status.started()

    async def _pass_on(self, task_status: TaskStatus[None]) -> None:
        async with await anyio.create_unix_datagram_socket(local_path=self._path) as received:
            task_status.started()
            async for message, _ in received:
                with suppress(ValueError, TypeError):
                    number, step = json.loads(message)
                    if (heard := self._heard.get(number)) is not None:
                        heard(str(step))


def _possible() -> bool:
    return hasattr(socket, "AF_UNIX")


@cache
def _sender() -> socket.socket:
    sender = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    sender.setblocking(False)
    return sender
