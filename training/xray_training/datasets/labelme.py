"""LabelMe: a JSON file beside each picture, of the same name.

Pictures may lie in ``train/``, ``val/`` (or ``valid/``) and ``test/``; those in the folder itself are training scans.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from pydantic import BaseModel, Field, FiniteFloat

from xray_training.datasets.annotation import json_of, missing
from xray_training.datasets.fault import Fault, FaultReport, refuse
from xray_training.datasets.folders import files_in, folders_in, pictures_by_stem, split_called, wanted
from xray_training.datasets.naming import canonical
from xray_training.datasets.neighbours import block_of, uploaded_stem
from xray_training.datasets.picture import Size, size_of
from xray_training.datasets.placing import PixelBox, place
from xray_training.datasets.record import ScanRecord

Side = Annotated[int, Field(ge=1, le=1_000_000)]
Point = tuple[FiniteFloat, FiniteFloat]


class _Shape(BaseModel):
    label: str
    points: Annotated[list[Point], Field(min_length=1)]
    shape_type: str = "polygon"


class _File(BaseModel):
    shapes: list[_Shape]
    imageWidth: Side | None = None  # noqa: N815 - the format's own spelling
    imageHeight: Side | None = None  # noqa: N815


@dataclass(frozen=True, slots=True)
class Shapes:
    """What one file says: the size it claims for its picture, if it does, and the boxes around its shapes."""

    declared: Size | None
    boxes: tuple[PixelBox, ...]


def shapes_of(path: Path, report: FaultReport) -> Shapes | None:
    """Read one file; None, and a fault, where it is none."""
    content = json_of(path, _File, report)
    if content is None:
        return None
    width, height = content.imageWidth, content.imageHeight
    declared = None if width is None or height is None else (width, height)
    return Shapes(declared, tuple(PixelBox(shape.label, *_corners(shape)) for shape in content.shapes))


def read(root: Path, *, split: str | None = None, report: FaultReport = refuse) -> Iterator[ScanRecord]:
    """Read a folder of LabelMe files whose labels are canonical ones.

    Every label that occurs in the folder counts as annotated on all of its scans. A picture without a file was never
    looked at: it is a fault, not a scan without items. So is a LabelMe file without its picture.

    Args:
        root: the folder; its name is the records' source.
        split: keep only this split.
        report: hears of every fault.

    Raises:
        DatasetError: by the default report, at the first fault.
    """
    source = root.resolve().name
    scans = list(_scans(root, report))
    if not scans:
        report(missing(root, "no picture with a JSON file of its name is there"))
    names = {box.name for _, _, shapes in scans for box in shapes.boxes}
    annotated = frozenset(label for name in names if (label := canonical(name)))
    for found, picture, shapes in scans:
        size = size_of(picture, report) if wanted(found, split) else None
        if size is None:
            continue
        boxes = place(
            shapes.boxes, picture=size, declared=shapes.declared, naming=canonical, where=str(picture), report=report
        )
        if boxes is None:
            continue
        group = uploaded_stem(picture.stem) or f"{found}/{picture.stem}"
        yield ScanRecord(picture, source, source, found, group, block_of(group, group), boxes, annotated)


def recognises(root: Path) -> bool:
    """Whether a picture with a LabelMe file of its name lies in the folder."""
    for _, folder in _folders(root):
        pictures = pictures_by_stem(folder)
        file = next((path for path in files_in(folder, ".json") if path.stem in pictures), None)
        if file is not None:
            return shapes_of(file, _overlook) is not None
    return False


def _folders(root: Path) -> list[tuple[str, Path]]:
    below = [(split_called(folder.name), folder) for folder in folders_in(root)] if root.is_dir() else []
    return [("train", root), *((name, folder) for name, folder in below if name in ("train", "val", "test"))]


def _overlook(fault: Fault) -> None:
    """A JSON file without a picture may be of any other kind."""


def _scans(root: Path, report: FaultReport) -> Iterator[tuple[str, Path, Shapes]]:
    """Each picture with its shapes, and each file of shapes with the picture that should be there."""
    for split, folder in _folders(root):
        pictures = pictures_by_stem(folder)
        for stem in sorted(pictures.keys() | {path.stem for path in files_in(folder, ".json")}):
            shapes = shapes_of(folder / f"{stem}.json", report if stem in pictures else _overlook)
            if shapes is not None:
                yield split, pictures.get(stem, folder / f"{stem}.jpg"), shapes


def _corners(shape: _Shape) -> tuple[float, float, float, float]:
    """The box around a shape; a circle is given by its centre and a point of its edge."""
    across, down = zip(*shape.points, strict=True)
    if shape.shape_type == "circle" and len(shape.points) == 2:
        return _around(shape.points)
    return min(across), min(down), max(across), max(down)


def _around(circle: Sequence[Point]) -> tuple[float, float, float, float]:
    (x, y), edge = circle
    radius = math.dist((x, y), edge)
    return x - radius, y - radius, x + radius, y + radius
