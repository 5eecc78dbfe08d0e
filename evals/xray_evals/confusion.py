"""What items are taken for, at the operating points."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import numpy as np

from xray_agent_tools.detector.postprocess import iou
from xray_agent_tools.detector.protocol import RawDetection
from xray_evals.scanned import ScannedRecord

BACKGROUND = "background"
"""What an alarm without a box shows, and what an item is taken for where nothing alarms."""

_MATCH_IOU = 0.5


Counts = dict[str, dict[str, int]]
"""``counts[what it is][what it is taken for]``: boxes and alarms; either may be the background."""


def confuse(scanned: Sequence[ScannedRecord], thresholds: dict[str, float]) -> Counts:
    """Match alarms with boxes at IoU 0.5 whatever their labels, and count.

    Each alarm and each box is used once; pairs of one label go first, then those that overlap most. So an item counts as
    taken for another only where nothing alarmed for what it is. An alarm without a box counts only where its label is
    annotated: elsewhere nobody looked for it.
    """
    counts: dict[str, Counter[str]] = {}
    for entry in scanned:
        alarms = [found for found in entry.detections if found.confidence >= thresholds[found.label]]
        for truth, taken in _pairs(entry, alarms):
            counts.setdefault(truth, Counter())[taken] += 1
    return {truth: dict(sorted(counts[truth].items())) for truth in sorted(counts)}


def _pairs(entry: ScannedRecord, alarms: Sequence[RawDetection]) -> list[tuple[str, str]]:
    boxes = entry.record.boxes
    corners = entry.record.corners(entry.width, entry.height)
    overlaps = [iou(np.array(alarm.box, dtype=np.float32), corners) for alarm in alarms]
    candidates = sorted(
        (alarm.label != box.label, -float(overlaps[first][second]), first, second)
        for first, alarm in enumerate(alarms)
        for second, box in enumerate(boxes)
        if overlaps[first][second] >= _MATCH_IOU
    )
    alarm_of: dict[int, int] = {}
    used: set[int] = set()
    for _, _, first, second in candidates:
        if first not in used and second not in alarm_of:
            alarm_of[second] = first
            used.add(first)
    pairs = [
        (box.label, alarms[alarm_of[second]].label if second in alarm_of else BACKGROUND)
        for second, box in enumerate(boxes)
    ]
    pairs += [
        (BACKGROUND, alarm.label)
        for first, alarm in enumerate(alarms)
        if first not in used and alarm.label in entry.annotated
    ]
    return pairs
