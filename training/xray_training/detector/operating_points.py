"""Calibration and per-class operating points, fitted on held-out training scans."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray
from rich.progress import track

from xray_agent_tools.detector.package import Calibration, OperatingPoint
from xray_agent_tools.detector.postprocess import iou
from xray_agent_tools.detector.protocol import Detector, RawDetection
from xray_agent_tools.report import Evidence, is_threat
from xray_agent_tools.taxonomy import taxonomy
from xray_training.datasets.record import ScanRecord
from xray_training.projection.folder import PROJECTED
from xray_training.simulator.write import SOURCE

_MATCH_IOU = 0.5
_FLOOR = 0.01
_BINS = 15
_ITERATIONS = 60
_RIDGE = 1e-2
_SMALLEST_SLOPE = 0.05
_LOWEST_SCORE = 0.05
_FEWEST = 5
_CAUTION = 0.1
_EVERYDAY_CONFIDENCE = 0.5
_UNPROVEN_CONFIDENCE = 0.3
_RATES = (0.005, 0.01, 0.02, 0.05, 0.1)


@dataclass(frozen=True, slots=True)
class Looked:
    """A scan and what the detector said of it.

    Attributes:
        record: the scan.
        detections: of labels that its source annotates, the most certain first.
        hits: which of these match an annotated box.
        unknown: detections of other labels, of which nobody knows whether they are right.
    """

    record: ScanRecord
    detections: list[RawDetection]
    hits: list[bool]
    unknown: list[RawDetection] = field(default_factory=list)

    @property
    def real(self) -> bool:
        """Whether nothing on it is simulated."""
        return self.record.source != SOURCE and PROJECTED not in self.record.metadata


def look_at(detector: Detector, records: Sequence[ScanRecord]) -> list[Looked]:
    """Run a detector over records, setting classes apart that a record's source does not annotate."""
    looked = []
    for record in track(records, description="Looking at held-out scans", transient=True):
        pixels = record.pixels()
        everything = detector.detect(pixels, floor=_FLOOR)
        found = [box for box in everything if box.label in record.annotated]
        unknown = [box for box in everything if box.label not in record.annotated]
        truth = record.corners(pixels.shape[1], pixels.shape[0])
        looked.append(Looked(record, found, match(found, record, truth), unknown))
    return looked


def match(detections: Sequence[RawDetection], record: ScanRecord, truth: NDArray[np.float32]) -> list[bool]:
    """Which detections, taken in order, are the first to cover an annotated box of their label by half."""
    free = list(range(len(record.boxes)))
    hits = []
    for detection in detections:
        rivals = [index for index in free if record.boxes[index].label == detection.label]
        overlaps = iou(np.array(detection.box, dtype=np.float32), truth[rivals]) if rivals else np.zeros(1)
        hit = bool(rivals) and float(overlaps.max()) >= _MATCH_IOU
        if hit:
            free.remove(rivals[int(overlaps.argmax())])
        hits.append(hit)
    return hits


def fit_calibration(scores: NDArray[np.float64], hits: NDArray[np.bool_]) -> Calibration:
    """Logistic (Platt) calibration of raw scores by Newton's method, with the error it leaves.

    Args:
        scores: raw scores 0..1 of detections, shape (n,).
        hits: which of them were right.

    Raises:
        ValueError: there is no hit or no miss to learn from.
    """
    if hits.all() or not hits.any():
        raise ValueError("calibration needs both right and wrong detections")
    clipped = scores.clip(1e-6, 1 - 1e-6)
    logits = np.log(clipped / (1 - clipped))
    # Platt's targets keep the fit finite where few detections are perfectly separable.
    right, wrong = int(hits.sum()), int((~hits).sum())
    targets = np.where(hits, (right + 1) / (right + 2), 1 / (wrong + 2))
    slope, intercept = _fit_logistic(logits, targets)
    if slope < _SMALLEST_SLOPE:
        slope, intercept = _SMALLEST_SLOPE, _fit_intercept(_SMALLEST_SLOPE * logits, targets)
    fitted = Calibration(slope=slope, intercept=intercept, error=0.0)
    confidences = np.array([fitted.confidence(float(score)) for score in scores])
    return fitted.model_copy(update={"error": calibration_error(confidences, hits)})


def _fit_logistic(logits: NDArray[np.float64], targets: NDArray[np.float64]) -> tuple[float, float]:
    """Slope and intercept by Newton's method with a ridge, each step halved until the loss falls."""
    design = np.column_stack([logits, np.ones(len(logits))])
    weights = np.array([1.0, 0.0])
    for _ in range(_ITERATIONS):
        chance = _sigmoid(design @ weights)
        gradient = design.T @ (targets - chance) - _RIDGE * (weights - np.array([1.0, 0.0]))
        curvature = (design * (chance * (1 - chance))[:, None]).T @ design + _RIDGE * np.eye(2)
        step = np.linalg.solve(curvature, gradient)
        while (
            _loss(design @ (weights + step), targets) > _loss(design @ weights, targets) and np.abs(step).max() > 1e-9
        ):
            step /= 2
        weights = weights + step
    return float(weights[0]), float(weights[1])


def _fit_intercept(offsets: NDArray[np.float64], targets: NDArray[np.float64]) -> float:
    """The intercept at which the mean chance is the mean target, by bisection."""
    low, high = -30.0, 30.0
    for _ in range(_ITERATIONS):
        middle = (low + high) / 2
        if _sigmoid(offsets + middle).mean() < targets.mean():
            low = middle
        else:
            high = middle
    return (low + high) / 2


def _sigmoid(values: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.asarray(1 / (1 + np.exp(-values.clip(-30, 30))))


def _loss(values: NDArray[np.float64], targets: NDArray[np.float64]) -> float:
    return float((np.logaddexp(0, values) - targets * values).sum())


def calibration_error(confidences: NDArray[np.float64], hits: NDArray[np.bool_]) -> float:
    """Expected calibration error over 15 bins of equal width."""
    bins = np.minimum((confidences * _BINS).astype(int), _BINS - 1)
    gaps = [
        abs(float(confidences[bins == index].mean() - hits[bins == index].mean())) * float((bins == index).mean())
        for index in np.unique(bins)
    ]
    return round(sum(gaps), 4)


def operating_points(
    looked: Sequence[Looked],
    calibration: Calibration,
    labels: Sequence[str],
    *,
    false_alarm_rate: float,
    fewest: int = _FEWEST,
) -> list[OperatingPoint]:
    """For each class, the lowest confidence at which it keeps to a rate of false alarms.

    A false alarm is a scan whose source annotates the class, that holds none, and that alarms for it. A class with
    enough boxes on real scans, and enough real scans without it, is judged on those alone. Any other is judged on
    simulated and projected items, and cautiously: a threat must keep to a tenth of the rate on every real scan,
    whatever its source annotates, and have a confidence of 0.3; an everyday thing needs one half.

    Args:
        looked: detections with raw scores as confidences.
        calibration: turns raw scores into confidences.
        labels: the classes, in the network's order.
        false_alarm_rate: share (0..1) of such scans that may alarm for one class.
        fewest: boxes, and scans without any, from which a class is judged on real scans.
    """
    real = [entry for entry in looked if entry.real]
    points = []
    for label in labels:
        if _positives(real, label) >= fewest and len(_peaks_without(real, label)) >= fewest:
            points.append(_point(label, real, calibration, _limit(_peaks_without(real, label), false_alarm_rate)))
            continue
        limit = _limit(_peaks_without(looked, label), false_alarm_rate)
        if is_threat(taxonomy().item(label).severity):
            anywhere = _limit(_peaks_anywhere(real, label), _CAUTION * false_alarm_rate)
            limit = max(limit, anywhere, calibration.score(_UNPROVEN_CONFIDENCE))
        else:
            limit = max(limit, calibration.score(_EVERYDAY_CONFIDENCE))
        points.append(_point(label, looked, calibration, limit, evidence="simulated_scans"))
    return points


def mean_recall(looked: Sequence[Looked], labels: Sequence[str]) -> float:
    """How well a network tells items from the rest: recall at five rates of false alarms (0.5 to 10 %), over the classes.

    Classes with boxes on real scans count, judged on real scans; if there are none, all that have boxes.
    """
    real = [entry for entry in looked if entry.real]
    scans = real if any(_positives(real, label) for label in labels) else list(looked)
    recalls = []
    for label in labels:
        positives = _positives(scans, label)
        if positives:
            peaks, hits = _peaks_without(scans, label), np.array(_hits(scans, label))
            recalls += [float((hits > _limit(peaks, rate)).sum()) / positives for rate in _RATES]
    return float(np.mean(recalls)) if recalls else 0.0


def _point(
    label: str,
    looked: Sequence[Looked],
    calibration: Calibration,
    limit: float,
    *,
    evidence: Evidence = "real_scans",
) -> OperatingPoint:
    """The operating point just above a raw score that must not alarm, with what it brings and costs."""
    # Rounded up, so that the published threshold still lies above the last scan that must not alarm.
    threshold = min(1.0, math.ceil(calibration.confidence(max(limit + 1e-4, _LOWEST_SCORE)) * 1e4) / 1e4)
    positives, peaks = _positives(looked, label), _peaks_without(looked, label)
    reached = sum(calibration.confidence(hit) >= threshold for hit in _hits(looked, label))
    alarms = sum(calibration.confidence(peak) >= threshold for peak in peaks.tolist())
    return OperatingPoint(
        label=label,
        threshold=threshold,
        recall=round(reached / positives, 3) if positives else 0.0,
        false_alarm_rate=round(alarms / len(peaks), 4) if len(peaks) else 0.0,
        positives=positives,
        negatives=len(peaks),
        evidence=evidence,
    )


def _limit(peaks: NDArray[np.float64], rate: float) -> float:
    """The highest score that must not alarm, so that at most a share of scans does."""
    allowed = int(rate * len(peaks))
    return float(np.sort(peaks)[::-1][allowed]) if len(peaks) > allowed else 0.0


def _positives(looked: Sequence[Looked], label: str) -> int:
    return sum(box.label == label for entry in looked if label in entry.record.annotated for box in entry.record.boxes)


def _hits(looked: Sequence[Looked], label: str) -> list[float]:
    return [
        box.confidence
        for entry in looked
        if label in entry.record.annotated
        for box, hit in zip(entry.detections, entry.hits, strict=True)
        if hit and box.label == label
    ]


def _peaks_without(looked: Sequence[Looked], label: str) -> NDArray[np.float64]:
    """Highest scores of a class on the scans known to hold none of it."""
    without = [
        entry
        for entry in looked
        if label in entry.record.annotated and all(box.label != label for box in entry.record.boxes)
    ]
    return np.array([_peak(entry.detections, label) for entry in without])


def _peaks_anywhere(looked: Sequence[Looked], label: str) -> NDArray[np.float64]:
    """Highest scores of a class on scans of which none is annotated as holding it."""
    without = [entry for entry in looked if all(box.label != label for box in entry.record.boxes)]
    return np.array([_peak([*entry.detections, *entry.unknown], label) for entry in without])


def _peak(detections: Sequence[RawDetection], label: str) -> float:
    return max((box.confidence for box in detections if box.label == label), default=0.0)
