"""Scores on simulated scans of virtual scanners, where every object and its occlusion is known."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from xray_training.datasets import partial_yolo
from xray_training.datasets.record import DatasetError, LabelledBox, ScanRecord

from xray_evals.boxes import ClassScore, SourceScore, mean_of, score_source
from xray_evals.coco import Judgement, judge
from xray_evals.images import ImageScore, score_images
from xray_evals.labels import threats
from xray_evals.scanned import ScannedRecord

TRUTH_FILE = "truth.jsonl"
OCCLUSION_BANDS = ((0.0, 0.1), (0.1, 0.3), (0.3, 0.6), (0.6, 1.0))
"""Shares of an object that others hide; each band holds its lower end, the last one both."""

_ROUNDING_PX = 2.0


@dataclass(frozen=True, slots=True)
class SimulatedScans:
    """Records of simulated scans with the occlusion (0..1) of each box."""

    records: tuple[ScanRecord, ...]
    occlusions: tuple[tuple[float, ...], ...]


@dataclass(frozen=True, slots=True)
class OcclusionScore:
    """Threats of one band of occlusion.

    Attributes:
        least, most: the band, 0..1.
        support: boxes.
        map50: mean AP50 over the threat categories; boxes of other bands are ignored, false alarms count in every band.
        recall: share of the boxes found at the operating points.
    """

    least: float
    most: float
    support: int
    map50: float
    recall: float


@dataclass(frozen=True, slots=True)
class SimulatedScore:
    """Scores on simulated scans; a category that the model does not know counts zero."""

    boxes: SourceScore
    images: ImageScore | None
    occlusion: tuple[OcclusionScore, ...]

    @property
    def threats(self) -> tuple[ClassScore, ...]:
        """The threat categories: severity medium or higher, and whatever else STCray names."""
        return tuple(score for score in self.boxes.classes if score.label in threats())

    @property
    def everyday(self) -> tuple[ClassScore, ...]:
        """Everything else."""
        return tuple(score for score in self.boxes.classes if score.label not in threats())

    @property
    def threats_map50(self) -> float:
        """Mean AP50 over the threat categories."""
        return mean_of([score.ap50 for score in self.threats])

    @property
    def everyday_map50(self) -> float:
        """Mean AP50 over the everyday items."""
        return mean_of([score.ap50 for score in self.everyday])


def read_simulated(folder: Path, *, split: str, limit: int | None = None) -> SimulatedScans:
    """Read a folder that ``xray-train data simulate`` wrote.

    Args:
        folder: holds the scans and ``truth.jsonl``.
        split: which of them.
        limit: keep only the first scans.

    Raises:
        DatasetError: a part is missing or malformed, or there is no scan, or none with a box.
    """
    records = partial_yolo.read(folder, split=split)[:limit]
    if not records:
        raise DatasetError(f"{folder} holds no scan of the split {split!r}: simulate some with --split {split}")
    if not any(record.boxes for record in records):
        more = " or raise --limit" if limit else ""
        raise DatasetError(f"the chosen scans of {folder} hold no box: simulate some without --benign{more}")
    truth = _truth(folder / TRUTH_FILE)
    occlusions = []
    for record in records:
        file = record.image.relative_to(folder).as_posix()
        if file not in truth:
            raise DatasetError(f"{folder / TRUTH_FILE} says nothing of {file}: simulate the scans again")
        occlusions.append(tuple(_occlusion(box, truth[file], file) for box in record.boxes))
    return SimulatedScans(tuple(records), tuple(occlusions))


def _truth(path: Path) -> dict[str, list[_Object]]:
    try:
        with path.open(encoding="utf-8") as lines:
            return {said["file"]: [_Object.of(part) for part in said["objects"]] for said in map(json.loads, lines)}
    except FileNotFoundError as error:
        raise DatasetError(f"{path} is missing: write the scans with `xray-train data simulate`") from error
    except (ValueError, KeyError, TypeError) as error:
        raise DatasetError(f"{path} has a line that is not a scan's truth: {type(error).__name__}") from error


@dataclass(frozen=True, slots=True)
class _Object:
    """An object as ``truth.jsonl`` has it: its box in pixels and the size of the picture."""

    label: str
    box: tuple[float, float, float, float]
    occlusion: float
    width: int
    height: int

    @classmethod
    def of(cls, said: dict[str, object]) -> _Object:
        """Read one object.

        Raises:
            KeyError, TypeError, ValueError: it lacks a part or a part is of another kind.
        """
        silhouette = said["silhouette"]
        box = said["box"]
        if not isinstance(silhouette, dict) or not isinstance(box, list):
            raise TypeError("silhouette is an object and box a list")
        height, width = silhouette["size"]
        x_min, y_min, x_max, y_max = (float(corner) for corner in box)
        return cls(str(said["label"]), (x_min, y_min, x_max, y_max), float(str(said["occlusion"])), width, height)

    def distance(self, box: LabelledBox) -> float:
        """Largest distance of the corners, in pixels."""
        corners = box.x_min * self.width, box.y_min * self.height, box.x_max * self.width, box.y_max * self.height
        return max(abs(one - other) for one, other in zip(corners, self.box, strict=True))


def _occlusion(box: LabelledBox, objects: Sequence[_Object], file: str) -> float:
    alike = [one for one in objects if one.label == box.label and one.distance(box) <= _ROUNDING_PX]
    if not alike:
        raise DatasetError(f"{TRUTH_FILE} has no {box.label} where {file} boxes one: simulate the scans again")
    return min(alike, key=lambda one: one.distance(box)).occlusion


def score_simulated(
    scanned: Sequence[ScannedRecord], scans: SimulatedScans, thresholds: dict[str, float]
) -> SimulatedScore:
    """Score a detector on simulated scans.

    Args:
        scanned: what it found on them, in their order.
        scans: the scans.
        thresholds: confidence from which each label alarms; the model knows these labels and no others.

    Raises:
        DatasetError: no scan holds a box.
    """
    judgement = judge(scanned)
    boxes = score_source(scanned, judgement, frozenset(thresholds))
    if boxes is None:
        raise DatasetError("the simulated scans hold no box: simulate some without --benign")
    positive = [entry for entry in scanned if _holds_threat(entry)]
    negative = [entry for entry in scanned if not _holds_threat(entry)]
    images = (
        score_images(boxes.source, positive, negative, thresholds, counted=threats()) if positive and negative else None
    )
    bands = (_in_band(scanned, scans, judgement, thresholds, band) for band in OCCLUSION_BANDS)
    return SimulatedScore(boxes, images, tuple(band for band in bands if band.support))


def _holds_threat(entry: ScannedRecord) -> bool:
    return any(box.label in threats() for box in entry.record.boxes)


def _in_band(
    scanned: Sequence[ScannedRecord],
    scans: SimulatedScans,
    judgement: Judgement,
    thresholds: dict[str, float],
    band: tuple[float, float],
) -> OcclusionScore:
    least, most = band

    def keep(image: int, number: int) -> bool:
        occlusion = scans.occlusions[image][number]
        inside = least <= occlusion < most or occlusion == most == OCCLUSION_BANDS[-1][1]
        return inside and scanned[image].record.boxes[number].label in threats()

    precision = [value for value, _ in judge(scanned, keep=keep, sizes=("all",)).precision.values()]
    found = [
        judgement.reached[image][number] >= thresholds.get(box.label, 2.0)
        for image, entry in enumerate(scanned)
        for number, box in enumerate(entry.record.boxes)
        if keep(image, number)
    ]
    return OcclusionScore(least, most, len(found), mean_of(precision), mean_of(found))
