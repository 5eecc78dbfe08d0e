"""Simulated scans made while training runs."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from xray_training.detector.augment import Sample
from xray_training.detector.config import FreshScans
from xray_training.simulator.objects.library import LABELS, THREATS
from xray_training.simulator.scene import Contents, simulate_views
from xray_training.simulator.write import SOURCE, labelled


class Simulated:
    """Makes simulated scans that no folder holds; the threats in them are drawn from those that are trained."""

    def __init__(self, settings: FreshScans, names: Sequence[str]) -> None:
        self._settings = settings
        trained = tuple(label for label in THREATS if label in names)
        self._contents = Contents(None, trained or THREATS, settings.most)
        self._index = {name: number for number, name in enumerate(names)}
        self._mask = np.array([name in LABELS for name in names], dtype=np.bool_)

    def make(self, rng: np.random.Generator) -> tuple[Sample, NDArray[np.bool_], str]:
        """A scan, the classes annotated on it, shape (classes,), and a name that tells how to make it again."""
        seed = int(rng.integers(2**32))
        scanner = self._settings.scanners[int(rng.integers(len(self._settings.scanners)))]
        scan = simulate_views(seed, scanner=scanner, contents=self._contents)[0]
        shown = [item for item in labelled(scan) if item.label in self._index]
        boxes = np.array([item.box for item in shown], dtype=np.float32).reshape(-1, 4)
        labels = np.array([self._index[item.label] for item in shown], dtype=np.int64)
        return Sample(scan.pixels, boxes, labels), self._mask, f"{SOURCE}_{scanner}_{seed}"
