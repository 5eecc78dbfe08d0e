"""Threat image projection as augmentation."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from xray_training.detector.augment import Sample
from xray_training.projection import Reading, Threat, project, read_scan, simulated_threat
from xray_training.simulator.draw import Draw
from xray_training.simulator.objects.library import THREATS

_STOCK = 16
_STOCK_PITCH_MM = 1.0


class Projector:
    """Puts one simulated threat into a scan, of a class that the scan's source annotates."""

    def __init__(self, names: Sequence[str]) -> None:
        self._names = tuple(names)
        self._readings: dict[int, Reading] = {}

    def add(self, number: int, sample: Sample, mask: NDArray[np.bool_], rng: np.random.Generator) -> Sample:
        """The scan with a threat more, or as it was where it has no room for one.

        Args:
            number: the scan's place in the data, under which its reading is kept.
            sample: the scan's content.
            mask: which classes its source annotates, shape (classes,).
            rng: chooses threat and place.
        """
        choices = [index for index in np.flatnonzero(mask) if self._names[index] in THREATS]
        if not choices:
            return sample
        label = int(rng.choice(choices))
        reading = replace(self._read(number, sample), pixels=sample.pixels)
        threat = _stocked(self._names[label], int(rng.integers(_STOCK))).at(reading.pitch_mm)
        added = project(reading, threat, Draw(int(rng.integers(2**32))))
        if added is None:
            return sample
        box = np.array([added.box], dtype=np.float32)
        return Sample(added.pixels, np.concatenate([sample.boxes, box]), np.append(sample.labels, label))

    def _read(self, number: int, sample: Sample) -> Reading:
        if number not in self._readings:
            empty = np.empty((0, 0, 3), dtype=np.uint8)
            self._readings[number] = replace(read_scan(sample.pixels), pixels=empty)
        return self._readings[number]


@lru_cache(maxsize=2048)
def _stocked(label: str, number: int) -> Threat:
    return simulated_threat(label, Draw(number), pitch_mm=_STOCK_PITCH_MM)
