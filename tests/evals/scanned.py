"""Scans with what a detector found on them, made by hand."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from xray_evals.detector import ScannedRecord
from xray_training.datasets.record import LabelledBox, ScanRecord

from xray_agent_tools.detector.protocol import RawDetection

Corners = tuple[float, float, float, float]
WIDTH, HEIGHT = 200, 100


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
