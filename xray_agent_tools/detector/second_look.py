"""The second look: where a first look leaves doubt, and what a look at that place, enlarged, changes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from xray_agent_tools.detector.package import SecondLook
from xray_agent_tools.detector.postprocess import MOST_DETECTIONS, iou
from xray_agent_tools.detector.preprocess import Region
from xray_agent_tools.detector.protocol import RawDetection
from xray_agent_tools.report import is_threat
from xray_agent_tools.taxonomy import taxonomy

_SAME_ITEM = 0.5
_EDGE_PX = 2.0


def doubted(
    found: Sequence[RawDetection], thresholds: Mapping[str, float], second_look: SecondLook
) -> list[RawDetection]:
    """Boxes of threats that nearly alarm, the nearest to their operating point first.

    Args:
        found: boxes of the first look.
        thresholds: confidence from which each label alarms, 0..1.
        second_look: from which share of it on a box counts as doubted.
    """
    threats = [box for box in found if is_threat(taxonomy().item(box.label).severity)]
    nearness = [(box.confidence / max(thresholds[box.label], 1e-6), box) for box in threats]
    near = [entry for entry in nearness if second_look.lowest <= entry[0] < 1]
    return [box for _, box in sorted(near, key=lambda entry: -entry[0])]


def windows(doubts: Sequence[RawDetection], region: Region, second_look: SecondLook) -> list[Region]:
    """Where to look again: windows of one size inside the region of the first look, each around one doubt or more.

    Args:
        doubts: boxes, the most important first.
        region: what the first look was at.
        second_look: size of the windows, room around a box, and how many windows at most.

    Returns:
        At most as many windows as there are doubts. A doubt that is too large to be enlarged opens none.
    """
    left, top, right, bottom = region
    side = max(1, round(max(right - left, bottom - top) / second_look.zoom))
    chosen: list[Region] = []
    for doubt in doubts:
        x_min, y_min, x_max, y_max = doubt.box
        room_x, room_y = second_look.margin * (x_max - x_min), second_look.margin * (y_max - y_min)
        around = (
            max(x_min - room_x, left),
            max(y_min - room_y, top),
            min(x_max + room_x, right),
            min(y_max + room_y, bottom),
        )
        if any(_holds(window, around) for window in chosen):
            continue
        x, width = _span(around[0], around[2], side, left, right)
        y, height = _span(around[1], around[3], side, top, bottom)
        window = x, y, x + width, y + height
        if _holds(window, around):
            chosen.append(window)
        if len(chosen) == second_look.most:
            break
    return chosen


def whole(found: Sequence[RawDetection], window: Region, region: Region) -> list[RawDetection]:
    """Boxes that the edge of a window does not cut: an edge that is the region's own cuts nothing.

    Args:
        found: boxes of the look at the window, in pixels of the view.
        window: where that look was.
        region: what the first look was at.
    """
    inner = [
        (corner, edge, sign)
        for corner, sign, edge, limit in zip(range(4), (1, 1, -1, -1), window, region, strict=True)
        if edge != limit
    ]
    return [box for box in found if all(sign * (box.box[corner] - edge) > _EDGE_PX for corner, edge, sign in inner)]


def merge(
    first: Sequence[RawDetection], again: Sequence[Sequence[RawDetection]], thresholds: Mapping[str, float]
) -> list[RawDetection]:
    """One list from a first look and the looks at its windows.

    What alarms at the first look stays as it is. Of other boxes of one label that come from different looks and cover
    each other by more than half (intersection over union), the more certain one stays, with the confidence it has.

    Args:
        first: boxes of the first look.
        again: boxes of each further look.
        thresholds: confidence from which each label alarms, 0..1.

    Returns:
        At most 200 boxes, those that alarm before others, most certain first.
    """
    if not again:
        return list(first)
    alarms = [(0, box) for box in first if box.confidence >= thresholds[box.label]]
    rest = [(0, box) for box in first if box.confidence < thresholds[box.label]]
    rest += [(number, box) for number, look in enumerate(again, start=1) for box in look]
    kept = alarms
    for number, box in sorted(rest, key=lambda entry: -entry[1].confidence):
        rivals = [other.box for look, other in kept if look != number and other.label == box.label]
        if not rivals or iou(np.array(box.box, np.float32), np.array(rivals, np.float32)).max() <= _SAME_ITEM:
            kept.append((number, box))
    merged = sorted((box for _, box in kept), key=lambda box: thresholds[box.label] - box.confidence)
    return sorted(merged[:MOST_DETECTIONS], key=lambda box: -box.confidence)


def _span(low: float, high: float, side: int, first: int, last: int) -> tuple[int, int]:
    """Start and length of a window around the middle of low..high, moved into first..last."""
    length = min(side, last - first)
    start = round((low + high) / 2 - length / 2)
    return min(max(start, first), last - length), length


def _holds(window: Region, box: tuple[float, float, float, float]) -> bool:
    return box[0] >= window[0] and box[1] >= window[1] and box[2] <= window[2] and box[3] <= window[3]
