"""Random numbers that are the same on every machine and with every release of NumPy.

NumPy promises the raw bits of its generators for ever, but not what it makes of them, so the few
distributions that a scene needs are made here from the bits.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

Choice = TypeVar("Choice")

_UNIT = 2.0**-53
_WORDS = 4
_MEAN = _WORDS * (2**16 - 1) / 2
_DEVIATION = (_WORDS * (2**32 - 1) / 12) ** 0.5


class Draw:
    """A stream of random numbers that follows from whole numbers alone."""

    def __init__(self, *key: int) -> None:
        # Seed sequences take a key for one with zeros behind it; its length tells them apart.
        self._bits = np.random.PCG64(np.random.SeedSequence((len(key), *key)))

    def uniform(self, low: float = 0.0, high: float = 1.0) -> float:
        """A number from ``low`` up to, but without, ``high``."""
        return low + (high - low) * (int(self._bits.random_raw()) >> 11) * _UNIT

    def uniforms(self, count: int, low: float = 0.0, high: float = 1.0) -> NDArray[np.float64]:
        """``count`` numbers from ``low`` up to, but without, ``high``."""
        raw = np.asarray(self._bits.random_raw(count), dtype=np.uint64)
        return low + (high - low) * (raw >> np.uint64(11)).astype(np.float64) * _UNIT

    def integer(self, low: int, high: int) -> int:
        """A whole number from ``low`` to ``high``, both included."""
        return low + int(self.uniform(0, high - low + 1))

    def chance(self, probability: float) -> bool:
        """True with this probability."""
        return self.uniform() < probability

    def choice(self, options: Sequence[Choice], weights: Sequence[float] | None = None) -> Choice:
        """One of the options, by weight where weights are given."""
        if weights is None:
            return options[self.integer(0, len(options) - 1)]
        mark = self.uniform(0, sum(weights))
        for option, weight in zip(options, weights, strict=True):
            mark -= weight
            if mark < 0:
                return option
        return options[-1]

    def normals(self, *shape: int) -> NDArray[np.float64]:
        """Numbers of mean 0 and deviation 1: sums of four uniform ones, so that none is beyond 3.46."""
        count = int(np.prod(shape))
        words = np.asarray(self._bits.random_raw(count), dtype=np.uint64).view(np.uint16).reshape(count, _WORDS)
        total = words[:, 0].astype(np.int64)
        for word in range(1, _WORDS):
            total += words[:, word]
        return np.asarray((total - _MEAN) / _DEVIATION).reshape(shape)
