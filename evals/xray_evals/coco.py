"""What pycocotools says of detections: average precision, which detections are right, which boxes are found.

A detection counts only where its scan's source annotates its label, because an unannotated object is not an absent one.
"""

from __future__ import annotations

import contextlib
import io
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from xray_evals.scanned import ScannedRecord

Size = Literal["all", "small", "medium", "large"]
SIZES: tuple[Size, ...] = ("all", "small", "medium", "large")

FRAME_PX = 640
"""Sizes are those in a frame whose longer side has this many pixels.

COCO's limits of 32 and 96 pixels then mean the same share of a scan, whatever the scanner's resolution.
"""

_LIMITS: dict[Size, tuple[float, float]] = {
    "all": (0.0, 1e10),
    "small": (0.0, 32.0**2),
    "medium": (32.0**2, 96.0**2),
    "large": (96.0**2, 1e10),
}
_IGNORED_AREA = -1.0

Keep = Callable[[int, int], bool]
"""Whether a box counts, by the index of its scan and its own on that scan."""


@dataclass(frozen=True, slots=True)
class Judgement:
    """What pycocotools says.

    Attributes:
        precision: AP at IoU 0.5, and the mean over 0.5..0.95, by label and size; only where there is a box.
        support: boxes by label and size; only where there are any.
        hits: for each scan and detection whether it covers a free box of its label by half, the most certain first;
            None where that is unknown, because the label is not annotated there or the box does not count.
        reached: for each scan and box the confidence of the detection that hits it, 0..1; 0 where none does.
    """

    precision: dict[tuple[str, Size], tuple[float, float]]
    support: dict[tuple[str, Size], int]
    hits: list[list[bool | None]]
    reached: list[list[float]]


def judge(scanned: Sequence[ScannedRecord], *, keep: Keep | None = None, sizes: Sequence[Size] = SIZES) -> Judgement:
    """Compare detections with the annotated boxes.

    Args:
        scanned: scans with detections.
        keep: which boxes count; all when not given. Finding another is neither right nor wrong.
        sizes: which sizes to tell apart, ``all`` among them; fewer take less time.
    """
    labels = sorted({label for entry in scanned for label in entry.annotated})
    category = {label: number for number, label in enumerate(labels, start=1)}
    boxes, places = _truth(scanned, category, keep)
    support = _support(boxes, labels, sizes)
    hits: list[list[bool | None]] = [[None] * len(entry.detections) for entry in scanned]
    reached = [[0.0] * len(entry.record.boxes) for entry in scanned]
    rows = [
        (image, number)
        for image, entry in enumerate(scanned)
        for number, detection in enumerate(entry.detections)
        if detection.label in entry.annotated
    ]
    if not rows:
        return Judgement(dict.fromkeys(support, (0.0, 0.0)), support, hits, reached)
    evaluation = _evaluate(scanned, boxes, rows, category, sizes)
    table = evaluation.eval["precision"][:, :, :, :, -1]
    precision = {
        (label, size): (
            _mean(table[0, :, category[label] - 1, sizes.index(size)]),
            _mean(table[:, :, category[label] - 1, sizes.index(size)]),
        )
        for label, size in support
    }
    for result in evaluation.evalImgs:
        if result is None or result["aRng"] != list(_LIMITS["all"]):
            continue
        for found, box, ignored in zip(result["dtIds"], result["dtMatches"][0], result["dtIgnore"][0], strict=True):
            image, number = rows[found - 1]
            hits[image][number] = None if ignored else bool(box)
            if box:
                reached[image][places[int(box) - 1][1]] = scanned[image].detections[number].confidence
    return Judgement(precision, support, hits, reached)


def _truth(
    scanned: Sequence[ScannedRecord], category: dict[str, int], keep: Keep | None
) -> tuple[list[dict[str, Any]], list[tuple[int, int]]]:
    """The boxes as COCO's annotations, and the index of scan and box of each."""
    annotations = []
    places = []
    for image, entry in enumerate(scanned):
        corners = entry.record.corners(entry.width, entry.height).astype(float)
        for number, (x_min, y_min, x_max, y_max) in enumerate(corners.tolist()):
            places.append((image, number))
            width, height = x_max - x_min, y_max - y_min
            counts = keep is None or keep(image, number)
            annotations.append(
                {
                    "id": len(places),
                    "image_id": image,
                    "category_id": category[entry.record.boxes[number].label],
                    "bbox": [x_min, y_min, width, height],
                    "area": width * height * _scale(entry) ** 2 if counts else _IGNORED_AREA,
                    "iscrowd": 0,
                }
            )
    return annotations, places


def _support(
    annotations: Sequence[dict[str, Any]], labels: Sequence[str], sizes: Sequence[Size]
) -> dict[tuple[str, Size], int]:
    support: dict[tuple[str, Size], int] = {}
    for annotation in annotations:
        for size in sizes:
            least, most = _LIMITS[size]
            if least <= annotation["area"] <= most:
                key = labels[annotation["category_id"] - 1], size
                support[key] = support.get(key, 0) + 1
    return support


def _evaluate(
    scanned: Sequence[ScannedRecord],
    boxes: list[dict[str, Any]],
    rows: Sequence[tuple[int, int]],
    category: dict[str, int],
    sizes: Sequence[Size],
) -> Any:
    truth = COCO()
    truth.dataset = {
        "info": {},
        "images": [{"id": i, "width": e.width, "height": e.height} for i, e in enumerate(scanned)],
        "categories": [{"id": number, "name": label} for label, number in category.items()],
        "annotations": boxes,
    }
    found = np.zeros((len(rows), 7))
    for row, (image, number) in enumerate(rows):
        detection = scanned[image].detections[number]
        x_min, y_min, x_max, y_max = detection.box
        sides = x_max - x_min, y_max - y_min
        found[row] = image, x_min, y_min, *sides, detection.confidence, category[detection.label]
    with contextlib.redirect_stdout(io.StringIO()):
        truth.createIndex()
        results = truth.loadRes(found)
        for annotation in results.dataset["annotations"]:
            annotation["area"] *= _scale(scanned[annotation["image_id"]]) ** 2
        evaluation = COCOeval(truth, results, "bbox")
        evaluation.params.areaRng = [list(_LIMITS[size]) for size in sizes]
        evaluation.params.areaRngLbl = list(sizes)
        evaluation.evaluate()
        evaluation.accumulate()
    return evaluation


def _scale(entry: ScannedRecord) -> float:
    return FRAME_PX / max(entry.width, entry.height)


def _mean(values: Any) -> float:
    """Mean over recall levels; pycocotools marks what has no truth with -1."""
    valid = values[values > -1]
    return float(valid.mean()) if valid.size else 0.0
