"""What occlusion and material are worth: against the truth of simulated scans, and beside trivial answers."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from xray_agent_tools.detector.package import EvidenceFigure
from xray_agent_tools.evidence.occlusion import HIDDEN_FROM
from xray_evals.evidence_seen import Seen
from xray_evals.evidence_truth import BANDS
from xray_evals.statistics import (
    Bools,
    Floats,
    Indices,
    Interval,
    auc,
    auc_within,
    balanced_accuracy,
    bootstrapped,
    rank_correlation,
)

CUTS = (0.1, 0.3, 0.5, 0.7)
"""Hidden shares at which the occlusion score is judged."""

THRESHOLDS = (0.4, 0.5, 0.6, 0.7, 0.8, 0.9)
"""Scores from which an item could be called occluded."""

ANSWERS = (*BANDS, "opaque", "none")
"""What the strongest share of a material can say; the last two are never right of an object."""

_SHARES = len(BANDS) + 1


@dataclass(frozen=True, slots=True)
class OcclusionWorth:
    """The occlusion score on one group of objects.

    Attributes:
        group: which objects.
        scans, support: how many, of those whose occlusion could be measured.
        unmeasured: objects whose occlusion could not be.
        hidden: share of the objects of which more than 30 % is hidden.
        auc: of the score, for more than 30 % hidden.
        at_cuts: AUC by hidden share.
        baselines: AUC of trivial scores, each turned the way that suits it; ``label`` is the mean hidden share of the
            label on these very scans.
        lead: AUC less that of the best trivial score.
        within: AUC over pairs of one label, and that of the box's darkness.
        rank: Spearman's correlation of score and hidden share.
        accuracy: of ``occluded``.
        by_threshold: accuracy if items were called occluded from other scores.
        majority: accuracy of the commoner answer.
        balanced: mean of the accuracies of ``occluded`` on hidden and on open objects; any constant gets 0.5.
    """

    group: str
    scans: int
    support: int
    unmeasured: int
    hidden: float
    auc: Interval
    at_cuts: dict[float, float]
    baselines: dict[str, float]
    lead: Interval
    within: tuple[float, float]
    rank: Interval
    accuracy: Interval
    by_threshold: dict[float, float]
    majority: float
    balanced: Interval


@dataclass(frozen=True, slots=True)
class MaterialWorth:
    """The material shares on one group of objects on colour scans.

    All but ``among_own`` is over objects whose materials are all of one band, of which the truth is that band alone.

    Attributes:
        group: which objects.
        scans, support: how many, of one band.
        confusion: rows are ``BANDS``, columns ``ANSWERS``.
        accuracy, balanced: of the strongest share; balanced is the mean over the bands.
        majority: accuracy of the commonest band; its balanced accuracy is one in the number of bands.
        by_label: accuracy and balanced accuracy of the commonest band of each label on these very scans.
        error: mean absolute error of the four shares.
        error_constant, error_by_label: that of the mean shares, of all and of each label on these very scans.
        varied: objects of labels that come in more than one band; accuracy of the strongest share on them, and of the
            commonest band of the label.
        among_own: over all objects, of several bands too: how many, how often the strongest share is one of the object's
            bands, and how often the band is that most objects hold.
    """

    group: str
    scans: int
    support: int
    confusion: tuple[tuple[int, ...], ...]
    accuracy: Interval
    balanced: Interval
    majority: float
    by_label: tuple[float, float]
    error: Interval
    error_constant: float
    error_by_label: float
    varied: tuple[int, Interval, float]
    among_own: tuple[int, Interval, float]


def occlusion_worth(group: str, seen: Sequence[Seen]) -> OcclusionWorth | None:
    """Judge the occlusion of objects; None unless some are hidden and some are not."""
    pairs = [(one, one.occlusion) for one in seen if one.occlusion is not None]
    share = np.array([one.truth.hidden for one, _ in pairs])
    hidden = share > HIDDEN_FROM
    if not len(pairs) or hidden.all() or not hidden.any():
        return None
    scans, labels = np.array([one.scan for one, _ in pairs]), _numbered([one.truth.label for one, _ in pairs])
    score = np.array([occlusion.score for _, occlusion in pairs])
    said = np.array([occlusion.occluded for _, occlusion in pairs])
    trivial = {
        "constant": np.zeros(len(pairs)),
        "box area": np.array([one.area for one, _ in pairs]),
        "darkness inside the box": np.array([one.darkness for one, _ in pairs]),
        "darkness around over inside": np.array([one.contrast for one, _ in pairs]),
        "label": _mean_by(labels, share),
    }
    baselines = {name: _either_way(values, hidden) for name, values in trivial.items()}
    best = trivial[max(baselines, key=baselines.__getitem__)]

    def over(statistic: Callable[[Indices], float]) -> Interval:
        return bootstrapped(statistic, scans)

    return OcclusionWorth(
        group=group,
        scans=len(np.unique(scans)),
        support=len(pairs),
        unmeasured=len(seen) - len(pairs),
        hidden=float(hidden.mean()),
        auc=over(lambda drawn: auc(score[drawn], hidden[drawn])),
        at_cuts={cut: auc(score, share > cut) for cut in CUTS},
        baselines=baselines,
        lead=over(lambda drawn: auc(score[drawn], hidden[drawn]) - _either_way(best[drawn], hidden[drawn])),
        within=(
            auc_within(score, hidden, labels),
            auc_within(trivial["darkness inside the box"], hidden, labels),
        ),
        rank=over(lambda drawn: rank_correlation(score[drawn], share[drawn])),
        accuracy=over(lambda drawn: float((said[drawn] == hidden[drawn]).mean())),
        by_threshold={threshold: float(((score >= threshold) == hidden).mean()) for threshold in THRESHOLDS},
        majority=max(float(hidden.mean()), 1 - float(hidden.mean())),
        balanced=over(lambda drawn: balanced_accuracy(said[drawn].astype(np.int64), hidden[drawn].astype(np.int64))),
    )


def material_worth(group: str, seen: Sequence[Seen]) -> MaterialWorth | None:
    """Judge the materials of objects; None where no scan has colour or no object is of one band."""
    coloured = [one for one in seen if not one.greyscale]
    single = np.array([len(one.truth.bands) == 1 for one in coloured], dtype=bool)
    if not single.any():
        return None
    holds = np.array([[band in one.truth.bands for band in BANDS] for one in coloured])
    shares = np.array([_shares(one) for one in coloured])
    said = np.where(shares.sum(axis=1) > 0, shares.argmax(axis=1), len(ANSWERS) - 1).astype(np.int64)
    own = np.append(holds, np.zeros((len(holds), 2), dtype=bool), axis=1)[np.arange(len(said)), said]
    every_scan = np.array([one.scan for one in coloured])
    scans, truth, answer = every_scan[single], holds[single].argmax(axis=1).astype(np.int64), said[single]
    labels = _numbered([one.truth.label for one, alone in zip(coloured, single, strict=True) if alone])
    right, exact = answer == truth, np.eye(len(BANDS), _SHARES)[truth]
    errors = np.abs(shares[single] - exact).mean(axis=1)
    usual = _commonest_by(labels, truth)
    varied = np.array([len(np.unique(truth[labels == label])) > 1 for label in labels])
    return MaterialWorth(
        group=group,
        scans=len(np.unique(scans)),
        support=len(truth),
        confusion=tuple(
            tuple(int(((truth == band) & (answer == column)).sum()) for column in range(len(ANSWERS)))
            for band in range(len(BANDS))
        ),
        accuracy=bootstrapped(lambda drawn: float(right[drawn].mean()), scans),
        balanced=bootstrapped(lambda drawn: balanced_accuracy(answer[drawn], truth[drawn]), scans),
        majority=float(np.bincount(truth).max()) / len(truth),
        by_label=(float((usual == truth).mean()), balanced_accuracy(usual, truth)),
        error=bootstrapped(lambda drawn: float(errors[drawn].mean()), scans),
        error_constant=float(np.abs(exact.mean(axis=0) - exact).mean()),
        error_by_label=float(np.abs(np.stack([_mean_by(labels, part) for part in exact.T], axis=1) - exact).mean()),
        varied=(
            int(varied.sum()),
            bootstrapped(lambda drawn: float(right[varied][drawn].mean()), scans[varied]) if varied.any() else _NOTHING,
            float((usual == truth)[varied].mean()) if varied.any() else float("nan"),
        ),
        among_own=(
            len(coloured),
            bootstrapped(lambda drawn: float(own[drawn].mean()), every_scan),
            float(holds.mean(axis=0).max()),
        ),
    )


_NOTHING = Interval(float("nan"), float("nan"), float("nan"))


def figures_of(
    occlusion: Sequence[OcclusionWorth], material: Sequence[MaterialWorth], scans: str
) -> list[EvidenceFigure]:
    """The figures that a model card quotes.

    Args:
        occlusion: groups to quote.
        material: groups to quote.
        scans: where they were measured.
    """
    figures: list[EvidenceFigure | None] = []
    for hiding in occlusion:
        where, support = f"{scans}, {hiding.group}", hiding.support
        best = max(hiding.baselines, key=hiding.baselines.__getitem__)
        figures += [
            _figure("occlusion: AUC for over 30 % hidden", hiding.auc, hiding.baselines[best], best, where, support),
            _figure(
                "occlusion: accuracy of occluded", hiding.accuracy, hiding.majority, "commoner answer", where, support
            ),
        ]
    for made in material:
        where, support = f"{scans}, {made.group}", made.support
        kinds = sum(any(row) for row in made.confusion)
        figures += [
            _figure("material: accuracy", made.accuracy, *_better(made.majority, made.by_label[0]), where, support),
            _figure(
                "material: balanced accuracy", made.balanced, *_better(1 / kinds, made.by_label[1]), where, support
            ),
        ]
    return [figure for figure in figures if figure is not None]


def _better(majority: float, by_label: float) -> tuple[float, str]:
    return max((majority, "commonest band"), (by_label, "commonest band of the label"))


def _figure(
    name: str, value: Interval, baseline: float, against: str, scans: str, support: int
) -> EvidenceFigure | None:
    """The figure, unless there were too few objects for an interval."""
    if not np.isfinite(value).all():
        return None
    return EvidenceFigure(
        name=name,
        value=round(value.value, 4),
        low=round(value.low, 4),
        high=round(value.high, 4),
        baseline=round(baseline, 4),
        against=against,
        scans=scans,
        support=support,
    )


def _shares(one: Seen) -> tuple[float, ...]:
    made = one.material
    return (made.organic, made.mixed, made.metal, made.opaque) if made is not None else (0.0,) * _SHARES


def _either_way(values: Floats, positive: Bools) -> float:
    """AUC of a score or of its negative, whichever is larger."""
    found = auc(values, positive)
    return max(found, 1 - found)


def _numbered(labels: Sequence[str]) -> NDArray[np.int64]:
    return np.unique(np.array(labels), return_inverse=True)[1].astype(np.int64)


def _mean_by(groups: NDArray[np.int64], values: Floats) -> Floats:
    """For each member the mean over its group."""
    return np.asarray((np.bincount(groups, values) / np.bincount(groups))[groups])


def _commonest_by(groups: NDArray[np.int64], kinds: NDArray[np.int64]) -> NDArray[np.int64]:
    """For each member the commonest kind in its group."""
    counts = np.zeros((int(groups.max()) + 1, int(kinds.max()) + 1))
    np.add.at(counts, (groups, kinds), 1)
    return np.asarray(counts.argmax(axis=1)[groups], dtype=np.int64)
