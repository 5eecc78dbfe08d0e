"""Simulated scans made while training runs."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from xray_training.datasets.record import ScanRecord
from xray_training.datasets.writers.yolo import box_in_shares
from xray_training.detector.config import TrainingConfig
from xray_training.detector.records import as_trained
from xray_training.simulator.objects.library import LABELS, THREATS
from xray_training.simulator.scene import Contents, simulate_views
from xray_training.simulator.write import SOURCE, labelled


class Simulated:
    """Makes simulated scans that no folder holds; the threats in them are drawn from those that are trained."""

    def __init__(self, config: TrainingConfig) -> None:
        self._config = config
        trained = tuple(label for label in THREATS if config.aliases.get(label, label) in config.names)
        self._contents = Contents(None, trained or THREATS, config.fresh.most)

    def make(self, rng: np.random.Generator) -> tuple[NDArray[np.uint8], ScanRecord]:
        """A scan, RGB of shape (height, width, 3), and its record, whose name tells how to make it again."""
        seed = int(rng.integers(2**32))
        scanners = self._config.fresh.scanners
        scanner = scanners[int(rng.integers(len(scanners)))]
        scan = simulate_views(seed, scanner=scanner, contents=self._contents)[0]
        boxes = tuple(box_in_shares(item.label, item.box, scan.pixels) for item in labelled(scan))
        name = f"{SOURCE}_{scanner}_{seed}"
        record = ScanRecord(Path(name), SOURCE, scanner, "train", name, name, boxes, frozenset(LABELS))
        return scan.pixels, as_trained(record, self._config)
