"""Do confidences mean what they say? Of detections with confidence 0.8, four of five should be right."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from xray_evals.coco import Judgement
from xray_evals.scanned import ScannedRecord

BINS = 15
LOWEST_CONFIDENCE = 0.01
"""Calibrated confidence below which detections do not count. The calibration is fitted on others: held-out scans, and raw
scores from 0.01 on."""


@dataclass(frozen=True, slots=True)
class Outcomes:
    """Detections on labels that are annotated: their confidences 0..1, which are right, which alarm; shape (n,)."""

    confidences: NDArray[np.float64]
    hits: NDArray[np.bool_]
    alarms: NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class Bin:
    """Detections of like confidence: their mean confidence, the share of them that is right, their number."""

    confidence: float
    right: float
    detections: int


@dataclass(frozen=True, slots=True)
class CalibrationScore:
    """How far confidences lie from the truth.

    Attributes:
        source: whose scans.
        detections: how many detections count.
        ece: expected calibration error, 15 bins of equal width.
        adaptive_ece: the same, 15 bins with equally many detections.
        brier: mean squared distance of the confidence from 1 where right and 0 where wrong.
        alarms: how many of them reach their operating point.
        alarms_ece: the expected calibration error of those.
        bins: the bins of equal width that hold a detection, least certain first.
    """

    source: str
    detections: int
    ece: float
    adaptive_ece: float
    brier: float
    alarms: int
    alarms_ece: float
    bins: tuple[Bin, ...]


def outcomes(scanned: Sequence[ScannedRecord], judgement: Judgement, thresholds: dict[str, float]) -> Outcomes:
    """The detections from the lowest confidence on of which is known whether they are right."""
    rows = [
        (found.confidence, hit, found.confidence >= thresholds[found.label])
        for entry, hits in zip(scanned, judgement.hits, strict=True)
        for found, hit in zip(entry.detections, hits, strict=True)
        if hit is not None and found.confidence >= LOWEST_CONFIDENCE
    ]
    table = np.array(rows, dtype=np.float64).reshape(-1, 3)
    return Outcomes(table[:, 0], table[:, 1] > 0, table[:, 2] > 0)


def pooled(parts: Sequence[Outcomes]) -> Outcomes:
    """The detections of several sources as one."""
    return Outcomes(
        np.concatenate([part.confidences for part in parts]),
        np.concatenate([part.hits for part in parts]),
        np.concatenate([part.alarms for part in parts]),
    )


def score_calibration(source: str, found: Outcomes) -> CalibrationScore | None:
    """Score the detections of one source; None if there is none."""
    if not found.confidences.size:
        return None
    places = np.minimum((found.confidences * BINS).astype(int), BINS - 1)
    order = np.argsort(found.confidences, kind="stable")
    alike = np.empty_like(places)
    alike[order] = np.arange(len(places)) * BINS // len(places)
    alarms = found.alarms
    return CalibrationScore(
        source=source,
        detections=len(places),
        ece=_error(found.confidences, found.hits, places),
        adaptive_ece=_error(found.confidences, found.hits, alike),
        brier=float(((found.confidences - found.hits) ** 2).mean()),
        alarms=int(alarms.sum()),
        alarms_ece=_error(found.confidences[alarms], found.hits[alarms], places[alarms]),
        bins=tuple(
            Bin(float(found.confidences[here].mean()), float(found.hits[here].mean()), int(here.sum()))
            for here in (places == place for place in np.unique(places))
        ),
    )


def _error(confidences: NDArray[np.float64], hits: NDArray[np.bool_], places: NDArray[np.intp]) -> float:
    """Mean distance of confidence and share of hits over bins, each weighted with its detections; zero of nothing."""
    gaps = [abs(float(confidences[places == place].sum() - hits[places == place].sum())) for place in np.unique(places)]
    return sum(gaps) / len(places) if gaps else 0.0
