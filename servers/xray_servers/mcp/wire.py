"""Keeping standard output for the protocol alone."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from io import TextIOWrapper


class Wire:
    """Standard output, which is the protocol's wire, held back while anything else might print.

    Between :meth:`hold` and :meth:`lend` whatever is printed, by Python or by a library below it, goes to standard
    error. The protocol's own transport diverts prints while the wire is lent to it.
    """

    def __init__(self) -> None:
        """Hold the wire from now on."""
        self._fd = os.dup(1)
        os.set_inheritable(self._fd, False)
        if isinstance(sys.stdout, TextIOWrapper):
            # Nothing may stay in a buffer that would be written to the wire later.
            sys.stdout.reconfigure(write_through=True)
        self._hold()

    @contextmanager
    def lent(self) -> Iterator[None]:
        """Give the wire back for the block."""
        sys.stdout.flush()
        os.dup2(self._fd, 1)
        try:
            yield
        finally:
            self._hold()

    def _hold(self) -> None:
        sys.stdout.flush()
        os.dup2(2, 1)
