"""Standard input and output as the protocol's wire, and nothing else."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from io import TextIOWrapper
from threading import Lock, Thread

_CHUNK = 65_536


class Wire:
    """Standard output, held back while anything else might print, and standard input, which can be hung up.

    Between making it and :meth:`lent` whatever is printed, by Python or by a library below it, goes to standard
    error. The protocol's own transport diverts prints while the wire is lent to it.
    """

    def __init__(self) -> None:
        """Hold the wire from now on."""
        self._output = os.dup(1)
        self._feed: int | None = None
        self._hung_up = Lock()
        if isinstance(sys.stdout, TextIOWrapper):
            # Nothing may stay in a buffer that would be written to the wire later.
            sys.stdout.reconfigure(write_through=True)
        self._hold()

    @contextmanager
    def lent(self) -> Iterator[None]:
        """Give the wire to the protocol for the block."""
        self._take_over_input()
        sys.stdout.flush()
        os.dup2(self._output, 1)
        try:
            yield
        finally:
            self._hold()

    def hang_up(self) -> None:
        """End the input as if the client had closed it, so that whoever reads it comes to an end."""
        if self._hung_up.acquire(blocking=False) and self._feed is not None:
            os.close(self._feed)

    def _hold(self) -> None:
        sys.stdout.flush()
        os.dup2(2, 1)

    def _take_over_input(self) -> None:
        """Put a pipe in front of the input: a thread that reads from a terminal or a client cannot be woken otherwise."""
        source = os.dup(0)
        read_end, feed = os.pipe()
        os.dup2(read_end, 0)
        os.close(read_end)
        if self._hung_up.locked():
            os.close(feed)
            return
        self._feed = feed
        Thread(target=self._pass_on, args=(source, feed), daemon=True).start()

    def _pass_on(self, source: int, feed: int) -> None:
        with suppress(OSError):
            while (data := os.read(source, _CHUNK)) and not self._hung_up.locked():
                _write_all(feed, data)
        self.hang_up()


def _write_all(descriptor: int, data: bytes) -> None:
    view = memoryview(data)
    while view:
        view = view[os.write(descriptor, view) :]
