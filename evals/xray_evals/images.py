"""Scores per image: does a scan with a threat alarm, and a benign one not?

The score of an image is its most certain detection among the labels that count. A false alarm can be told only for
labels that the benign scans were searched for, so only those count, but for the rate of all alarms. The bootstrap draws
scans one by one, as if neighbouring ones were independent, so its intervals are too narrow.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.stats import binomtest

from xray_evals.labels import alarming
from xray_evals.scanned import ScannedRecord
from xray_evals.statistics import Interval, auc

FALSE_POSITIVE_RATES = (0.01, 0.05, 0.1)
"""Where the true positive rate per image is reported."""

PREVALENCES = (1e-2, 1e-3, 1e-4)
"""Shares of bags with a threat for which the positive predictive value is stated."""

OPERATING = "operating"

_BOOTSTRAPS = 1000
_RULE_OF_THREE = 3


@dataclass(frozen=True, slots=True)
class Rates:
    """Shares of the threat scans and of the benign scans that alarm at the operating points; intervals are Wilson's."""

    tpr: Interval
    fpr: Interval


@dataclass(frozen=True, slots=True)
class ImageScore:
    """Alarms per image.

    Attributes:
        source: where the scans with a threat come from.
        positives: number of scans with a threat.
        negatives: number of benign scans.
        auc: area under the ROC curve, with its bootstrap 95 % interval.
        at_rate: false positive rate to true positive rate there, with its bootstrap 95 % interval.
        operating: rates at the model's own operating points, of the labels that count.
        alarming: the same of every label of severity medium or higher; on benign scans these may be false or not.
        ppv: positive predictive value by point (``operating``, or a false positive rate) and prevalence. Where no benign
            scan alarms at the operating points, three of their number does, the upper end of what that can mean.
        roc: true positive rate where ``k`` of the benign scans alarm, for ``k`` from 0 to their number.
    """

    source: str
    positives: int
    negatives: int
    auc: Interval
    at_rate: dict[float, Interval]
    operating: Rates
    alarming: Rates
    ppv: dict[str, dict[float, float]]
    roc: tuple[float, ...]


def score_images(
    source: str,
    positive: Sequence[ScannedRecord],
    negative: Sequence[ScannedRecord],
    thresholds: dict[str, float],
    *,
    counted: frozenset[str],
    seed: int = 0,
) -> ImageScore:
    """Rates of alarms per image.

    Args:
        source: name of the scans with a threat.
        positive: scans with a threat; at least one.
        negative: scans without; at least one.
        thresholds: confidence from which each label alarms.
        counted: the labels that count.
        seed: seed of the bootstrap.
    """
    threat = np.array([_peak(entry, counted) for entry in positive])
    benign = np.array([_peak(entry, counted) for entry in negative])
    rates, areas = _bootstrap(threat, benign, np.random.default_rng(seed))
    roc = _curve(threat, benign)
    at_rate = {
        rate: Interval(float(roc[_allowed(rate, len(benign))]), *_limits(rates[rate])) for rate in FALSE_POSITIVE_RATES
    }
    operating = _rates(positive, negative, thresholds, counted)
    points = {OPERATING: (operating.tpr[0], operating.fpr[0] or min(1.0, _RULE_OF_THREE / len(benign)))}
    points |= {str(rate): (values[0], rate) for rate, values in at_rate.items()}
    return ImageScore(
        source=source,
        positives=len(positive),
        negatives=len(negative),
        auc=Interval(_area(threat, benign), *_limits(areas)),
        at_rate=at_rate,
        operating=operating,
        alarming=_rates(positive, negative, thresholds, alarming()),
        ppv={name: {p: predictive_value(*point, p) for p in PREVALENCES} for name, point in points.items()},
        roc=tuple(roc.tolist()),
    )


def predictive_value(tpr: float, fpr: float, prevalence: float) -> float:
    """Share of alarms that are right, where a share ``prevalence`` of all bags holds a threat; all 0..1."""
    right = tpr * prevalence
    every = right + fpr * (1 - prevalence)
    return right / every if every else 0.0


def wilson(successes: int, trials: int) -> Interval:
    """A share with Wilson's 95 % interval; ``trials`` is at least one."""
    found = binomtest(successes, trials).proportion_ci(confidence_level=0.95, method="wilson")
    share = successes / trials
    return Interval(share, min(share, max(0.0, float(found.low))), max(share, min(1.0, float(found.high))))


def _peak(entry: ScannedRecord, counted: frozenset[str]) -> float:
    return max((found.confidence for found in entry.detections if found.label in counted), default=0.0)


def _rates(
    positive: Sequence[ScannedRecord],
    negative: Sequence[ScannedRecord],
    thresholds: dict[str, float],
    counted: frozenset[str],
) -> Rates:
    alarms = [
        sum(any(d.label in counted and d.confidence >= thresholds[d.label] for d in e.detections) for e in group)
        for group in (positive, negative)
    ]
    return Rates(wilson(alarms[0], len(positive)), wilson(alarms[1], len(negative)))


def _allowed(rate: float, negatives: int) -> int:
    """How many benign scans may alarm at a rate."""
    return int(rate * negatives)


def _curve(threat: NDArray[np.float64], benign: NDArray[np.float64]) -> NDArray[np.float64]:
    """Share of threat scans above the lowest threshold that at most k benign scans exceed; shape (benign + 1,)."""
    limits = np.append(np.sort(benign)[::-1], -np.inf)
    return np.asarray(1 - np.searchsorted(np.sort(threat), limits, side="right") / len(threat))


def _area(threat: NDArray[np.float64], benign: NDArray[np.float64]) -> float:
    return auc(np.concatenate([threat, benign]), np.arange(len(threat) + len(benign)) < len(threat))


def _bootstrap(
    threat: NDArray[np.float64], benign: NDArray[np.float64], rng: np.random.Generator
) -> tuple[dict[float, list[float]], list[float]]:
    rates: dict[float, list[float]] = {rate: [] for rate in FALSE_POSITIVE_RATES}
    areas = []
    for _ in range(_BOOTSTRAPS):
        drawn, others = rng.choice(threat, len(threat)), rng.choice(benign, len(benign))
        limits = np.sort(others)[::-1]
        for rate, values in rates.items():
            values.append(float((drawn > limits[_allowed(rate, len(benign))]).mean()))
        areas.append(_area(drawn, others))
    return rates, areas


def _limits(draws: Sequence[float]) -> tuple[float, float]:
    low, high = np.percentile(draws, [2.5, 97.5])
    return float(low), float(high)
