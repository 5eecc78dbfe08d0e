"""From the network's output to calibrated boxes on the view."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from xray_agent_tools.detector.package import Manifest
from xray_agent_tools.detector.preprocess import Placement, Region
from xray_agent_tools.detector.protocol import RawDetection

MOST_DETECTIONS = 200
"""Most boxes on one view."""

_MOST_CANDIDATES = 1000
_SMALLEST_SIDE_PX = 1.0


def decode(
    output: NDArray[np.float32],
    manifest: Manifest,
    placement: Placement,
    *,
    within: Region,
    floor: float,
) -> list[RawDetection]:
    """Read boxes from a raw head.

    Args:
        output: shape (4 + classes, anchors): box centres and sizes in network pixels, then scores 0..1.
        manifest: names, calibration and overlap.
        placement: where the view lies in the network input.
        within: what of the view the boxes are cut to, in its pixels.
        floor: lowest calibrated confidence to keep.

    Returns:
        Boxes inside that region, in pixels of the view, most certain first.

    Raises:
        ValueError: the output's shape is not the manifest's, or it holds values that are no numbers.
    """
    if output.ndim != 2 or output.shape[0] != 4 + len(manifest.labels):
        raise ValueError(f"the output's shape is {output.shape}")
    if not np.isfinite(output).all():
        raise ValueError("the output holds NaN or infinite values")
    scores = output[4:]
    classes, anchors = np.nonzero(scores >= manifest.calibration.score(floor))
    best = scores[classes, anchors]
    # What is nearest to alarming comes first, so that the cap never cuts off an alarm behind weaker boxes.
    limits = np.array([manifest.calibration.score(point.threshold) for point in manifest.classes], dtype=np.float32)
    order = np.argsort(limits[classes] - best, kind="stable")[:_MOST_CANDIDATES]
    anchors, classes, best = anchors[order], classes[order], best[order]
    centres, sides = output[:2, anchors].T, output[2:4, anchors].T
    corners = np.concatenate([centres - sides / 2, centres + sides / 2], axis=1)
    boxes = placement.to_scan(corners)
    left, top, right, bottom = within
    boxes = boxes.clip(np.array([left, top] * 2, dtype=np.float32), np.array([right, bottom] * 2, dtype=np.float32))
    real = (boxes[:, 2:] - boxes[:, :2]).min(axis=1, initial=np.inf) >= _SMALLEST_SIDE_PX
    boxes, classes, best = boxes[real], classes[real], best[real]
    kept = suppress(boxes, classes, manifest.overlap)[:MOST_DETECTIONS]
    found = [
        RawDetection(
            manifest.labels[classes[index]],
            manifest.calibration.confidence(float(best[index])),
            (float(boxes[index, 0]), float(boxes[index, 1]), float(boxes[index, 2]), float(boxes[index, 3])),
        )
        for index in kept
    ]
    return sorted(found, key=lambda box: -box.confidence)


def suppress(boxes: NDArray[np.float32], classes: NDArray[np.intp], overlap: float) -> list[int]:
    """Non-maximum suppression within each class.

    Args:
        boxes: corners, shape (n, 4), most certain first.
        classes: class of each box, shape (n,).
        overlap: intersection over union above which the less certain box goes.

    Returns:
        Indices of the boxes that stay, in order.
    """
    left = np.arange(len(boxes))
    kept: list[int] = []
    while left.size:
        best, left = left[0], left[1:]
        kept.append(int(best))
        same = (classes[left] == classes[best]) & (iou(boxes[best], boxes[left]) > overlap)
        left = left[~same]
    return kept


def iou(box: NDArray[np.float32], others: NDArray[np.float32]) -> NDArray[np.float32]:
    """Intersection over union of one box (4,) with others (n, 4)."""
    sides = np.minimum(box[2:], others[:, 2:]) - np.maximum(box[:2], others[:, :2])
    shared = sides.clip(0).prod(axis=1)
    areas = (others[:, 2:] - others[:, :2]).prod(axis=1)
    return np.asarray(shared / np.maximum((box[2:] - box[:2]).prod() + areas - shared, 1e-9), dtype=np.float32)
