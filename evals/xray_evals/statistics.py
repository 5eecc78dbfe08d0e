"""Ranks, rates and bootstrap intervals."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.stats import rankdata

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]
Indices = NDArray[np.intp]

DRAWS = 300


class Interval(NamedTuple):
    """A figure and its bootstrap 95 % interval."""

    value: float
    low: float
    high: float


def auc(scores: Floats, positive: Bools) -> float:
    """Probability that a positive's score exceeds a negative's, ties counting half; NaN without both kinds."""
    positives = int(positive.sum())
    negatives = len(positive) - positives
    if not positives or not negatives:
        return float("nan")
    return float((rankdata(scores)[positive].sum() - positives * (positives + 1) / 2) / (positives * negatives))


def auc_within(scores: Floats, positive: Bools, groups: NDArray[np.int64]) -> float:
    """The same over pairs of one group only, every pair counting once; NaN where no group holds both kinds."""
    right = pairs = 0.0
    for group in np.unique(groups):
        members = groups == group
        weight = float(positive[members].sum()) * float((~positive[members]).sum())
        if weight:
            right += weight * auc(scores[members], positive[members])
            pairs += weight
    return right / pairs if pairs else float("nan")


def rank_correlation(one: Floats, other: Floats) -> float:
    """Spearman's; NaN where either does not vary."""
    first, second = rankdata(one), rankdata(other)
    if len(one) < 2 or not first.std() or not second.std():
        return float("nan")
    return float(np.corrcoef(first, second)[0, 1])


def balanced_accuracy(said: NDArray[np.int64], truth: NDArray[np.int64]) -> float:
    """Mean over the classes that occur in the truth of the share answered rightly."""
    return float(np.mean([(said[truth == kind] == kind).mean() for kind in np.unique(truth)]))


def bootstrapped(
    statistic: Callable[[Indices], float], clusters: NDArray[np.int64], *, draws: int = DRAWS, seed: int = 0
) -> Interval:
    """A statistic over everything, with its interval when whole clusters are drawn again.

    Args:
        statistic: takes the indices of the members that were drawn; draws that give NaN are left out.
        clusters: the cluster of every member, shape (n,): members of one scan are not independent.
        draws: how often to draw.
        seed: of the draws.
    """
    members = [np.flatnonzero(clusters == cluster) for cluster in np.unique(clusters)]
    rng = np.random.default_rng(seed)
    found = []
    for _ in range(draws):
        drawn = statistic(np.concatenate([members[number] for number in rng.integers(0, len(members), len(members))]))
        if not np.isnan(drawn):
            found.append(drawn)
    low, high = np.percentile(found, [2.5, 97.5]) if found else (float("nan"), float("nan"))
    return Interval(statistic(np.arange(len(clusters))), float(low), float(high))
