"""How well a detector survives changes of its scans."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from xray_agent_tools.detector.protocol import Detector
from xray_evals.boxes import mean_of, score_source
from xray_evals.changes import CHANGES, UNCHANGED, Change
from xray_evals.coco import judge
from xray_evals.scanned import ScannedRecord, scan_all

_SEED = 0


@dataclass(frozen=True, slots=True)
class ChangeScore:
    """Scores under one change: mAP50 by source, their mean, and how many scans and boxes it stands on."""

    change: str
    map50: dict[str, float]
    scans: int
    boxes: int

    @property
    def mean_map50(self) -> float:
        """Mean over the sources, each with the same weight."""
        return mean_of(list(self.map50.values()))


def score_changes(
    detector: Detector,
    groups: Mapping[str, Sequence[ScannedRecord]],
    *,
    scans: int,
    changes: Sequence[Change] = CHANGES,
) -> list[ChangeScore]:
    """Score a detector under each change, always on the same scans.

    Args:
        detector: looks at the changed scans.
        groups: what it found on the unchanged ones, by source.
        scans: how many scans of each source; drawn at random with a fixed seed among those with a box.
        changes: what to change.

    Raises:
        DatasetError: a picture is missing or damaged.
        ModelUnavailable: the network failed.
    """
    drawn = {source: _drawn(group, scans) for source, group in groups.items()}
    known = frozenset(detector.package.manifest.labels)
    count = sum(len(group) for group in drawn.values())
    boxes = sum(len(entry.record.boxes) for group in drawn.values() for entry in group)
    scores = []
    for change in changes:
        map50 = {}
        for source, group in drawn.items():
            scanned = group if change is UNCHANGED else _changed(detector, group, change, source)
            score = score_source(scanned, judge(scanned, sizes=("all",)), known)
            if score is not None:
                map50[source] = score.map50
        scores.append(ChangeScore(change.name, map50, count, boxes))
    return scores


def _changed(
    detector: Detector, group: Sequence[ScannedRecord], change: Change, source: str
) -> Sequence[ScannedRecord]:
    records = [change.of(entry.record) for entry in group]
    return scan_all(detector, records, description=f"{change.name}: {source}", change=change.pixels)


def _drawn(group: Sequence[ScannedRecord], most: int) -> Sequence[ScannedRecord]:
    boxed = [entry for entry in group if entry.record.boxes]
    places = np.random.default_rng(_SEED).permutation(len(boxed))[:most]
    return [boxed[place] for place in sorted(places)]
