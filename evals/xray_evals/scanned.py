"""What a detector finds on annotated scans. Everything else here is computed from this, and it is computed once."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from rich import get_console
from rich.progress import track
from xray_training.datasets.record import ScanRecord

from xray_agent_tools.detector.protocol import Detector, RawDetection

FLOOR = 0.001
"""Lowest confidence that is kept: average precision needs the tail."""


@dataclass(frozen=True, slots=True)
class ScannedRecord:
    """A record, its size in pixels, everything the detector found on it, and how many seconds that took."""

    record: ScanRecord
    width: int
    height: int
    detections: list[RawDetection]
    seconds: float = 0.0

    @property
    def annotated(self) -> frozenset[str]:
        """The labels whose absence from the boxes means absence from the scan, and those of the boxes."""
        return self.record.annotated | {box.label for box in self.record.boxes}


def scan_all(
    detector: Detector,
    records: Sequence[ScanRecord],
    *,
    description: str = "Detecting",
    change: Callable[[NDArray[np.uint8]], NDArray[np.uint8]] | None = None,
) -> list[ScannedRecord]:
    """Run a detector over records, in their order, with a progress bar.

    Args:
        detector: looks.
        records: what at.
        description: what the progress bar says.
        change: alters the pixels of each scan before the look; RGB, shape (height, width, 3), 0..255. The record's
            boxes have to be right for what it gives.

    Raises:
        DatasetError: a picture is missing or damaged.
        ModelUnavailable: the network failed.
    """
    scanned = []
    quiet = not get_console().is_terminal
    for record in track(records, description=description, transient=True, disable=quiet):
        pixels = record.pixels() if change is None else change(record.pixels())
        begun = time.perf_counter()
        found = detector.detect(pixels, floor=FLOOR)
        spent = time.perf_counter() - begun
        scanned.append(ScannedRecord(record, pixels.shape[1], pixels.shape[0], found, spent))
    return scanned
