"""A detector's scores on annotated scans: per source with pycocotools, and per image.

A source counts only on the classes it annotates, because an unannotated object is not an absent one. A class that
the source annotates and the model does not know counts with an average precision of zero.
"""

from __future__ import annotations

import contextlib
import io
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval
from rich.progress import track
from xray_training.datasets.record import ScanRecord

from xray_agent_tools.detector.protocol import Detector, RawDetection

_FLOOR = 0.001
_BOOTSTRAPS = 1000
FALSE_POSITIVE_RATES = (0.01, 0.05, 0.1)
"""Where the true positive rate per image is reported."""


@dataclass(frozen=True, slots=True)
class ScannedRecord:
    """A record, its size in pixels and everything the detector found on it."""

    record: ScanRecord
    width: int
    height: int
    detections: list[RawDetection]


@dataclass(frozen=True, slots=True)
class ClassScore:
    """Average precision of one class: at IoU 0.5, and the mean over 0.5..0.95. ``support`` counts boxes."""

    label: str
    ap50: float
    ap50_95: float
    support: int
    known: bool


@dataclass(frozen=True, slots=True)
class SourceScore:
    """Scores of one source over the classes it annotates and its scans hold."""

    source: str
    scans: int
    classes: tuple[ClassScore, ...]

    @property
    def map50(self) -> float:
        """Mean AP50; unknown classes count zero."""
        return float(np.mean([score.ap50 for score in self.classes]))

    @property
    def map50_95(self) -> float:
        """Mean AP50-95; unknown classes count zero."""
        return float(np.mean([score.ap50_95 for score in self.classes]))

    @property
    def map50_known(self) -> float:
        """Mean AP50 over the classes that the model knows; zero if it knows none."""
        known = [score.ap50 for score in self.classes if score.known]
        return float(np.mean(known)) if known else 0.0


@dataclass(frozen=True, slots=True)
class ImageScore:
    """Alarms per image: the share of scans with a threat that alarm.

    ``at_rate`` maps a false positive rate on the benign scans to the true positive rate there with its bootstrap 95 %
    interval; ``operating`` holds the rates at the model's own operating points.
    """

    source: str
    positives: int
    negatives: int
    at_rate: dict[float, tuple[float, float, float]]
    operating: tuple[float, float]


def scan_all(detector: Detector, records: Sequence[ScanRecord]) -> list[ScannedRecord]:
    """Run a detector over records."""
    scanned = []
    for record in track(records, description="Detecting", transient=True):
        pixels = record.pixels()
        found = detector.detect(pixels, floor=_FLOOR)
        scanned.append(ScannedRecord(record, pixels.shape[1], pixels.shape[0], found))
    return scanned


def score_source(scanned: Sequence[ScannedRecord], known: frozenset[str]) -> SourceScore | None:
    """Score the scans of one source; None if they hold no annotated box."""
    support: dict[str, int] = {}
    for entry in scanned:
        for box in entry.record.boxes:
            support[box.label] = support.get(box.label, 0) + 1
    if not support:
        return None
    labels = sorted(support)
    precision = _average_precisions(scanned, labels)
    classes = tuple(ClassScore(label, *precision[label], support[label], label in known) for label in labels)
    return SourceScore(scanned[0].record.source, len(scanned), classes)


def _average_precisions(scanned: Sequence[ScannedRecord], labels: Sequence[str]) -> dict[str, tuple[float, float]]:
    category = {label: number for number, label in enumerate(labels, start=1)}
    truth = COCO()
    truth.dataset = {
        "info": {},
        "images": [{"id": i, "width": e.width, "height": e.height} for i, e in enumerate(scanned)],
        "categories": [{"id": number, "name": label} for label, number in category.items()],
        "annotations": [],
    }
    found = []
    for image, entry in enumerate(scanned):
        corners = entry.record.corners(entry.width, entry.height).astype(float)
        for box, (x_min, y_min, x_max, y_max) in zip(entry.record.boxes, corners.tolist(), strict=True):
            sides = (x_max - x_min, y_max - y_min)
            truth.dataset["annotations"].append(
                {
                    "id": len(truth.dataset["annotations"]) + 1,
                    "image_id": image,
                    "category_id": category[box.label],
                    "bbox": [x_min, y_min, *sides],
                    "area": sides[0] * sides[1],
                    "iscrowd": 0,
                }
            )
        for detection in entry.detections:
            if detection.label in category:
                x_min, y_min, x_max, y_max = detection.box
                found.append(
                    [image, x_min, y_min, x_max - x_min, y_max - y_min, detection.confidence, category[detection.label]]
                )
    with contextlib.redirect_stdout(io.StringIO()):
        truth.createIndex()
        if not found:
            return dict.fromkeys(labels, (0.0, 0.0))
        evaluation = COCOeval(truth, truth.loadRes(np.array(found, dtype=np.float64)), "bbox")
        evaluation.evaluate()
        evaluation.accumulate()
    table: NDArray[np.float64] = evaluation.eval["precision"][:, :, :, 0, 2]
    return {
        label: (_mean_precision(table[0, :, number - 1]), _mean_precision(table[:, :, number - 1]))
        for label, number in category.items()
    }


def _mean_precision(values: NDArray[np.float64]) -> float:
    """Mean over recall levels; pycocotools marks what has no truth with -1."""
    valid = values[values > -1]
    return float(valid.mean()) if valid.size else 0.0


def score_images(
    source: str,
    positive: Sequence[ScannedRecord],
    negative: Sequence[ScannedRecord],
    thresholds: dict[str, float],
    *,
    seed: int = 0,
) -> ImageScore:
    """Rates of alarms per image; an image's score is its most certain detection."""
    threat = np.array([_peak(entry) for entry in positive])
    benign = np.array([_peak(entry) for entry in negative])
    rng = np.random.default_rng(seed)
    rates = {}
    for rate in FALSE_POSITIVE_RATES:
        draws = [
            _rate_above(rng.choice(threat, len(threat)), rng.choice(benign, len(benign)), rate)
            for _ in range(_BOOTSTRAPS)
        ]
        low, high = np.percentile(draws, [2.5, 97.5])
        rates[rate] = (_rate_above(threat, benign, rate), float(low), float(high))
    operating = tuple(
        float(np.mean([any(d.confidence >= thresholds[d.label] for d in entry.detections) for entry in group]))
        for group in (positive, negative)
    )
    return ImageScore(source, len(positive), len(negative), rates, (operating[0], operating[1]))


def _peak(entry: ScannedRecord) -> float:
    return max((detection.confidence for detection in entry.detections), default=0.0)


def _rate_above(threat: NDArray[np.float64], benign: NDArray[np.float64], rate: float) -> float:
    """Share of threat scans above the lowest threshold that at most the given share of benign scans exceeds."""
    allowed = int(rate * len(benign))
    return float((threat > np.sort(benign)[::-1][allowed]).mean())
