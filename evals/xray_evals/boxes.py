"""A detector's scores on the boxes of one source: by class and by size.

A class that the source annotates and the model does not know counts with an average precision of zero.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from xray_evals.coco import SIZES, Judgement, Size
from xray_evals.scanned import ScannedRecord


@dataclass(frozen=True, slots=True)
class ClassScore:
    """Average precision of one class: at IoU 0.5, and the mean over 0.5..0.95. ``support`` counts boxes."""

    label: str
    ap50: float
    ap50_95: float
    support: int
    known: bool


@dataclass(frozen=True, slots=True)
class SizeScore:
    """Mean AP50 over the classes that have boxes of one size; ``support`` counts those boxes."""

    size: Size
    map50: float
    classes: int
    support: int


@dataclass(frozen=True, slots=True)
class SourceScore:
    """Scores of one source over the classes it annotates and its scans hold."""

    source: str
    scans: int
    classes: tuple[ClassScore, ...]
    sizes: tuple[SizeScore, ...]

    @property
    def map50(self) -> float:
        """Mean AP50; unknown classes count zero."""
        return mean_of([score.ap50 for score in self.classes])

    @property
    def map50_95(self) -> float:
        """Mean AP50-95; unknown classes count zero."""
        return mean_of([score.ap50_95 for score in self.classes])

    @property
    def map50_known(self) -> float:
        """Mean AP50 over the classes that the model knows; zero if it knows none."""
        return mean_of([score.ap50 for score in self.classes if score.known])


def mean_of(values: Sequence[float]) -> float:
    """The mean; zero of nothing."""
    return float(np.mean(values)) if values else 0.0


def score_source(scanned: Sequence[ScannedRecord], judgement: Judgement, known: frozenset[str]) -> SourceScore | None:
    """Score the scans of one source; None if they hold no annotated box.

    Args:
        scanned: the scans, of one source.
        judgement: what ``judge`` says of them.
        known: the labels that the model knows.
    """
    labels = sorted(label for label, size in judgement.support if size == "all")
    if not labels:
        return None
    classes = tuple(
        ClassScore(label, *judgement.precision[label, "all"], judgement.support[label, "all"], label in known)
        for label in labels
    )
    sizes = []
    for size in SIZES[1:]:
        present = [label for label in labels if (label, size) in judgement.support]
        if present:
            score = mean_of([judgement.precision[label, size][0] for label in present])
            support = sum(judgement.support[label, size] for label in present)
            sizes.append(SizeScore(size, score, len(present), support))
    return SourceScore(scanned[0].record.source, len(scanned), classes, tuple(sizes))
