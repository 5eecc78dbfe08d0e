"""Pascal VOC: an XML file a picture.

Layout::

    Annotations/*.xml
    JPEGImages/*.jpg
    ImageSets/Main/{train,val,test}.txt    names; without any list every scan is for training
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from xml.etree.ElementTree import Element

from xray_training.datasets.annotation import bad, listed, missing, xml_of
from xray_training.datasets.fault import Fault, FaultKind, FaultReport, refuse
from xray_training.datasets.folders import files_in, pictures_by_stem, wanted
from xray_training.datasets.naming import canonical
from xray_training.datasets.neighbours import block_of, uploaded_stem
from xray_training.datasets.picture import Size, size_of
from xray_training.datasets.placing import PixelBox, place
from xray_training.datasets.record import ScanRecord

_LONGEST_SIDE = 1_000_000
_CORNERS = ("xmin", "ymin", "xmax", "ymax")


@dataclass(frozen=True, slots=True)
class Objects:
    """What one file says: the size it claims for its picture, if it does, and its boxes."""

    declared: Size | None
    boxes: tuple[PixelBox, ...]


def objects_of(path: Path, report: FaultReport) -> Objects | None:
    """Read one file; None, and a fault, where it or one of its objects is malformed.

    A size of 0, which some tools write, is none.
    """
    root = xml_of(path, report)
    if root is None:
        return None
    try:
        declared = _size(root)
        return Objects(declared, tuple(_box(item) for item in root.iter("object")))
    except ValueError as error:
        report(bad(path, str(error)))
        return None


def read(root: Path, *, split: str | None = None, report: FaultReport = refuse) -> Iterator[ScanRecord]:
    """Read a VOC folder whose names are canonical labels.

    Every label that occurs in ``Annotations`` counts as annotated on all scans. Where there are lists, only what they
    name is read.

    Args:
        root: the folder; its name is the records' source.
        split: keep only this split.
        report: hears of every fault.

    Raises:
        DatasetError: by the default report, at the first fault.
    """
    source = root.resolve().name
    files = files_in(root / "Annotations", ".xml")
    if not files:
        report(missing(root, "no Annotations/*.xml is there"))
    said = {path.stem: objects_of(path, report) for path in files}
    names = {box.name for objects in said.values() if objects for box in objects.boxes}
    annotated = frozenset(label for name in names if (label := canonical(name)))
    pictures = pictures_by_stem(root / "JPEGImages")
    for stem, found in _splits(root, list(said), report):
        if not wanted(found, split):
            continue
        if stem not in said:
            report(missing(root / "Annotations" / f"{stem}.xml", "a list names it, but it is not there"))
        picture = pictures.get(stem)
        if picture is None:
            where = root / "JPEGImages" / f"{stem}.jpg"
            report(Fault(FaultKind.MISSING_IMAGE, str(where), "the picture is not there"))
            continue
        objects = said.get(stem)
        size = size_of(picture, report) if objects else None
        if size is None or objects is None:
            continue
        boxes = place(
            objects.boxes, picture=size, declared=objects.declared, naming=canonical, where=str(picture), report=report
        )
        if boxes is None:
            continue
        group = uploaded_stem(stem) or stem
        yield ScanRecord(picture, source, source, found, group, block_of(group, group), boxes, annotated)


def recognises(root: Path) -> bool:
    """Whether the folder has the layout."""
    return bool(files_in(root / "Annotations", ".xml")) and (root / "JPEGImages").is_dir()


def _splits(root: Path, stems: list[str], report: FaultReport) -> list[tuple[str, str]]:
    lists = {name: root / "ImageSets" / "Main" / f"{name}.txt" for name in ("train", "val", "test")}
    if not any(path.is_file() for path in lists.values()):
        return [(stem, "train") for stem in stems]
    return [(stem, name) for name, path in lists.items() for stem in listed(path, report)]


def _size(root: Element) -> Size | None:
    size = root.find("size")
    if size is None:
        return None
    width, height = (_number(size, side) for side in ("width", "height"))
    if not (0 <= width <= _LONGEST_SIDE and 0 <= height <= _LONGEST_SIDE):
        raise ValueError(f"a size of {width:g}x{height:g}")
    return (round(width), round(height)) if width >= 1 and height >= 1 else None


def _box(item: Element) -> PixelBox:
    name, box = (item.findtext("name") or "").strip(), item.find("bndbox")
    if not name or box is None:
        raise ValueError("an object has no name or no bndbox")
    return PixelBox(name, *(_number(box, corner) for corner in _CORNERS))


def _number(parent: Element, tag: str) -> float:
    text = parent.findtext(tag) or ""
    try:
        number = float(text)
    except ValueError:
        number = math.nan
    if not math.isfinite(number):
        raise ValueError(f"{parent.tag} has no number {tag}, but {text[:40]!r}")
    return number
