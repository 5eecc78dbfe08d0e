"""Where long work is: it says each step, and whoever asked for the work hears it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar

_listener: ContextVar[Callable[[str], None] | None] = ContextVar("xray_agent_tools_progress", default=None)


def report(step: str) -> None:
    """Say which step begins, to the listener of this context; without one nothing happens.

    What the listener raises stops the work and reaches the caller. That is how work is cancelled between two steps.

    Args:
        step: what is done now, such as ``loading the detector``.
    """
    listener = _listener.get()
    if listener is not None:
        listener(step)


@contextmanager
def heard_by(listener: Callable[[str], None]) -> Iterator[None]:
    """Let a listener hear every step reported inside the block.

    Of nested listeners the innermost hears, alone. A listener belongs to its context: a thread started in the
    block has none, unless it runs in a copy of the context (``contextvars.copy_context().run``).

    Args:
        listener: called with each step, in the thread that works. It should return soon; what it raises stops the
            work.
    """
    token = _listener.set(listener)
    try:
        yield
    finally:
        _listener.reset(token)
