"""How often each caller may call."""

from __future__ import annotations

import time

from limits import parse
from limits.aio.storage import MemoryStorage
from limits.aio.strategies import MovingWindowRateLimiter

from xray_agent_tools.errors import Misconfigured
from xray_servers.http.errors import Refused


class Rates:
    """Counts calls in a moving window, for each caller and for each replica of the server."""

    def __init__(self, rate: str | None) -> None:
        """Set the limit, such as ``600/minute``; None for no limit.

        Raises:
            Misconfigured: the limit cannot be read.
        """
        try:
            self._rate = None if rate is None else parse(rate)
        except ValueError as error:
            raise Misconfigured(f"{rate!r} is no rate", hint="give a number per time, such as 600/minute") from error
        self._limiter = MovingWindowRateLimiter(MemoryStorage())

    async def count(self, name: str) -> None:
        """Count a call.

        Raises:
            Refused: the caller has called too often.
        """
        if self._rate is None or await self._limiter.hit(self._rate, name):
            return
        state = await self._limiter.get_window_stats(self._rate, name)
        wait = max(1.0, state.reset_time - time.time())
        raise Refused(
            429,
            "rate_limited",
            f"more than {self._rate} for this key",
            hint=f"call again in {wait:.0f} seconds",
            retry_after=wait,
        )
