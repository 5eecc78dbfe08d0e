"""Standard input and output as the protocol's wire, and nothing else."""

from __future__ import annotations

import os
import sys
from contextlib import suppress
from io import TextIOWrapper
from threading import Lock, Thread

import anyio

_CHUNK = 65_536


class Wire:
    """The client's two pipes, taken away from everybody but the protocol.

    From the moment it is made, whatever is printed, by Python or by a library below it, goes to standard error, and
    whoever reads standard input finds it empty.
    """

    def __init__(self) -> None:
        """Take the pipes."""
        if isinstance(sys.stdout, TextIOWrapper):
            # What is printed goes out at once, so that nothing waits in a buffer for its turn.
            sys.stdout.reconfigure(write_through=True)
        self._source = os.dup(0)
        self._output = os.dup(1)
        os.dup2(2, 1)
        nothing = os.open(os.devnull, os.O_RDONLY)
        os.dup2(nothing, 0)
        os.close(nothing)
        # A read from a terminal or a client cannot be woken, one from a pipe of our own can: by closing its other end.
        self._input, self._feed = os.pipe()
        self._hung_up = Lock()

    def streams(self) -> tuple[anyio.AsyncFile[str], anyio.AsyncFile[str]]:
        """Input and output for the protocol; call it once."""
        Thread(target=self._pass_on, daemon=True).start()
        reading = TextIOWrapper(os.fdopen(self._input, "rb"), encoding="utf-8", errors="replace")
        writing = TextIOWrapper(os.fdopen(self._output, "wb"), encoding="utf-8")
        return anyio.wrap_file(reading), anyio.wrap_file(writing)

    def hang_up(self) -> None:
        """End the input as if the client had closed it, so that whoever reads it comes to an end."""
        if self._hung_up.acquire(blocking=False):
            os.close(self._feed)

    def _pass_on(self) -> None:
        with suppress(OSError):
            while (data := os.read(self._source, _CHUNK)) and not self._hung_up.locked():
                _write_all(self._feed, data)
        self.hang_up()


def _write_all(descriptor: int, data: bytes) -> None:
    view = memoryview(data)
    while view:
        view = view[os.write(descriptor, view) :]
