"""Fitting the weights of the occlusion score to simulated scans."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from rich.progress import track
from scipy.optimize import minimize

from xray_agent_tools.detector.preprocess import luminance
from xray_agent_tools.evidence.occlusion import FEATURES, HIDDEN_FROM, Weights, features_in, scores_of
from xray_agent_tools.report import Box
from xray_agent_tools.scan import load_scan
from xray_evals.evidence_truth import TrueScan
from xray_evals.statistics import Bools, Floats, auc

_JITTER = 0.06
_CUT = (1.0, 99.0)
_PENALTY = 1e-3
_FOLDS = 5
_DIGITS = 4


@dataclass(frozen=True, slots=True)
class Fit:
    """Weights fitted to all objects, and how well weights fitted to four fifths of the scans do on the last fifth.

    Attributes:
        weights: rounded to four digits.
        support: boxes, two for each object.
        auc: on the last fifth, for more than 30 % hidden.
        threshold: score from which calling an object occluded is right most often, on all, with labels counting alike.
    """

    weights: Weights
    support: int
    auc: float
    threshold: float


def fit_occlusion(scans: Sequence[TrueScan]) -> Fit:
    """Fit the score to objects in their true boxes and in boxes as inexact as a detector's.

    Every label counts alike, as if a bag held a gun as often as a shirt: clothes are most of what bags hold and seldom
    what is asked about.

    Raises:
        XrayToolsError: a picture cannot be read.
    """
    features, hidden, fold, share = _measured(scans)
    kept = fold < _FOLDS - 1
    checked = scores_of(features[~kept], fitted(features[kept], hidden[kept], share[kept]))
    weights = fitted(features, hidden, share)
    score = scores_of(features, weights)
    candidates = np.linspace(0.2, 0.8, 61)
    right = [float(np.average((score >= threshold) == hidden, weights=share)) for threshold in candidates]
    return Fit(weights, len(hidden), auc(checked, hidden[~kept]), float(candidates[int(np.argmax(right))]))


def fitted(features: Floats, hidden: Bools, share: Floats) -> Weights:
    """A logistic regression with a small penalty on the standardised weights.

    Args:
        features: shape (n, 8).
        hidden: what to tell, shape (n,).
        share: how much each counts, above 0, shape (n,).
    """
    lowest, highest = (_rounded(limit) for limit in np.percentile(features, _CUT, axis=0))
    cut = np.clip(features, lowest, highest)
    middle, spread = cut.mean(axis=0), np.maximum(cut.std(axis=0), 1e-9)
    counts = share / share.sum()
    standard = np.column_stack([np.ones(len(cut)), (cut - middle) / spread])

    def loss(weights: Floats) -> tuple[float, Floats]:
        logit = standard @ weights
        penalised = np.append(0.0, weights[1:])
        wrong = 1 / (1 + np.exp(-logit)) - hidden
        value = float(counts @ (np.logaddexp(0, logit) - hidden * logit) + _PENALTY * (penalised**2).sum())
        return value, standard.T @ (counts * wrong) + 2 * _PENALTY * penalised

    found = np.asarray(minimize(loss, np.zeros(standard.shape[1]), jac=True, method="L-BFGS-B").x)
    weights = found[1:] / spread
    return Weights(_rounded([found[0] - weights @ middle])[0], _rounded(weights), lowest, highest)


def _rounded(values: Floats | list[float]) -> tuple[float, ...]:
    return tuple(float(f"{value:.{_DIGITS}g}") for value in values)


def _measured(scans: Sequence[TrueScan]) -> tuple[Floats, Bools, NDArray[np.int64], Floats]:
    """For each box its measures, whether the object is hidden, the fold of its scan, and one over its label's boxes."""
    rng = np.random.default_rng(0)
    rows, hidden, fold, labels = [], [], [], []
    for number, scan in enumerate(track(scans, description="Measuring", transient=True)):
        grey = luminance(load_scan(scan.image).views[0].pixels)
        for item in scan.items:
            corners = np.array(item.box)
            sides = np.tile(corners[2:] - corners[:2], 2)
            for moved in (corners, corners + rng.normal(0, _JITTER, 4) * sides):
                x_min, y_min, x_max, y_max = moved.tolist()
                features = features_in(grey, Box(x_min=x_min, y_min=y_min, x_max=x_max, y_max=y_max))
                if features is not None:
                    rows.append(features)
                    hidden.append(item.hidden > HIDDEN_FROM)
                    fold.append(number % _FOLDS)
                    labels.append(item.label)
    _, number_of, counts = np.unique(np.array(labels), return_inverse=True, return_counts=True)
    return (
        np.array(rows).reshape(-1, len(FEATURES)),
        np.array(hidden, dtype=bool),
        np.array(fold, dtype=np.int64),
        1 / counts[number_of],
    )
