"""Which scans an epoch is made of: sources and classes balanced, simulated scans giving way to real ones."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch.utils.data import Sampler

from xray_training.datasets.record import ScanRecord

FRESH = -1
"""Index that stands for a simulated scan yet to be made."""


_PART = 64


class BalancedSampler(Sampler[int]):
    """Draws scans with replacement.

    A source with n scans is drawn in proportion to ``n ** balance``, times its emphasis, which moves in a line from its
    first to its second value as :attr:`progress` goes from 0 to 1. Within a source, a scan that shows a class found on a
    share f of the source's scans is drawn ``max(1, sqrt(rare_below / f))`` times as often, by its rarest class (repeat
    factors: Gupta et al., LVIS, 2019).
    """

    def __init__(
        self,
        records: Sequence[ScanRecord],
        *,
        names: Collection[str],
        length: int,
        balance: float,
        emphasis: Mapping[str, tuple[float, float]] | None = None,
        rare_below: float = 0.0,
        fresh: tuple[float, float] = (0.0, 0.0),
        parts: int = 1,
    ) -> None:
        """Weigh the scans.

        Args:
            records: the training scans.
            names: the classes that are trained; no other makes a scan rare.
            length: draws in an epoch.
            balance: 0: every source alike; 1: every scan alike.
            emphasis: factors at the start and at the end of the run, by source.
            rare_below: share (0..1) below which a class counts as rare.
            fresh: share of draws that are :data:`FRESH`, at the start and at the end of the run.
            parts: processes that share an epoch, each with draws of its own.
        """
        self.progress = 0.0
        self._length = math.ceil(length / parts)
        self._sources = np.array([record.source for record in records])
        self._emphasis = dict(emphasis or {})
        self._fresh = fresh
        totals = Counter(self._sources.tolist())
        within = _repeat_factors(records, names, rare_below)
        sums = {source: float(within[self._sources == source].sum()) for source in totals}
        self._weights = np.array(
            [
                factor / sums[source] * totals[source] ** balance
                for factor, source in zip(within, self._sources, strict=True)
            ]
        )

    def weights(self) -> NDArray[np.float64]:
        """The chance of each scan at the present progress; they sum to 1."""
        factors = {source: self._now(line) for source, line in self._emphasis.items()}
        weights = self._weights * np.array([factors.get(source, 1.0) for source in self._sources])
        return np.asarray(weights / weights.sum())

    def set_epoch(self, epoch: int) -> None:
        """Nothing to do: every epoch is drawn afresh."""

    def __len__(self) -> int:
        return self._length

    def __iter__(self) -> Iterator[int]:
        # Drawn in small parts, because loaders fetch ahead: what is drawn late shall know of the progress made since.
        for start in range(0, self._length, _PART):
            size = min(_PART, self._length - start)
            chosen = torch.multinomial(torch.from_numpy(self.weights()), size, replacement=True)
            chosen[torch.rand(size) < self._now(self._fresh)] = FRESH
            yield from chosen.tolist()

    def _now(self, line: tuple[float, float]) -> float:
        first, last = line
        return first + (last - first) * self.progress


def _repeat_factors(records: Sequence[ScanRecord], names: Collection[str], rare_below: float) -> NDArray[np.float64]:
    shown = [(record.source, {box.label for box in record.boxes}.intersection(names)) for record in records]
    scans = Counter(source for source, _ in shown)
    counts = Counter((source, label) for source, labels in shown for label in labels)
    return np.array(
        [
            max([1.0, *[math.sqrt(rare_below * scans[source] / counts[source, label]) for label in labels]])
            for source, labels in shown
        ]
    )
