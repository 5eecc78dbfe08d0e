"""Scans with what a detector found on them, made by hand, and a detector that finds dark rectangles."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from xray_evals.scanned import ScannedRecord
from xray_training.datasets.record import LabelledBox, ScanRecord

from xray_agent_tools.detector.package import ModelPackage, load_package
from xray_agent_tools.detector.protocol import RawDetection

Corners = tuple[float, float, float, float]
WIDTH, HEIGHT = 200, 100
_DARK = 128


def scanned(
    truth: Iterable[tuple[str, Corners]] = (),
    found: Iterable[tuple[str, float, Corners]] = (),
    *,
    source: str = "north",
    annotated: Iterable[str] = ("gun", "knife", "baton"),
) -> ScannedRecord:
    """A 200 x 100 scan; all corners in pixels."""
    boxes = tuple(
        LabelledBox(label, box[0] / WIDTH, box[1] / HEIGHT, box[2] / WIDTH, box[3] / HEIGHT) for label, box in truth
    )
    record = ScanRecord(Path("x.png"), source, "x", "test", "g", "b", boxes, frozenset(annotated))
    return ScannedRecord(record, WIDTH, HEIGHT, [RawDetection(*detection) for detection in found])


def alarming(*scores: float) -> list[ScannedRecord]:
    """Scans whose most certain detection has the given score; none where it is zero."""
    return [scanned(found=[("gun", score, (0, 0, 50, 50))] if score else []) for score in scores]


class DarkRectangles:
    """Finds what is dark on a scan, as one gun."""

    def __init__(self) -> None:
        self.looks = 0

    @property
    def package(self) -> ModelPackage:
        return load_package("default")

    @property
    def backend(self) -> str:
        return "none"

    def detect(self, pixels: NDArray[np.uint8], *, floor: float) -> list[RawDetection]:
        self.looks += 1
        rows, columns = np.nonzero(pixels.min(axis=2) < _DARK)
        if not rows.size:
            return []
        box = (columns.min(), rows.min(), columns.max() + 1, rows.max() + 1)
        return [RawDetection("gun", 0.9, (float(box[0]), float(box[1]), float(box[2]), float(box[3])))]
