"""SIXray: pictures in ``JPEGImage`` or in folders ``0`` to ``20``, VOC files for the positive ones, splits as tables.

Layout::

    JPEGImage/*.jpg or 0/*.jpg ... 20/*.jpg
    Annotation/P*.xml
    ImageSet/{10,100,1000}/{train,test}.csv    name,Gun,Knife,Wrench,Pliers,Scissors with 1 and -1
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from xray_training.datasets.annotation import bad, missing, rows_of
from xray_training.datasets.fault import Fault, FaultKind, FaultReport, refuse
from xray_training.datasets.folders import pictures_by_stem, wanted
from xray_training.datasets.neighbours import block_of
from xray_training.datasets.picture import size_of
from xray_training.datasets.placing import names_of, place
from xray_training.datasets.record import ScanRecord
from xray_training.datasets.voc import Objects, objects_of

SOURCE = "sixray"

CLASSES = ("Gun", "Knife", "Wrench", "Pliers", "Scissors")
"""The classes of the tables. Hammer, the sixth of the paper, is in none: its boxes are left out, its absence unknown."""

_SETS = ("10", "100", "1000")
_FOLDERS = ("JPEGImage", "JPEGImages", *map(str, range(21)))


@dataclass(slots=True)
class _Listed:
    """What the tables say of a scan: its split, the classes it holds, and the image sets it is in."""

    split: str
    present: frozenset[str]
    sets: list[str] = field(default_factory=list)


def read(root: Path, *, split: str | None = None, report: FaultReport = refuse) -> Iterator[ScanRecord]:
    """Read every scan of the image sets that are there.

    A negative has no XML file. A positive without one is a fault, never a scan without items. A scan that one image
    set tests on is a test scan. The metadata's ``imageset`` names the sets, as in ``10,100``.

    Args:
        root: the folder that holds ``Annotation`` and ``ImageSet``.
        split: ``train`` or ``test``; both when not given.
        report: hears of every fault.

    Raises:
        DatasetError: by the default report, at the first fault.
    """
    pictures = pictures_by_stem(*(root / folder for folder in _FOLDERS))
    naming = names_of(SOURCE)
    for stem, listed in _listed(root, report).items():
        if not wanted(listed.split, split):
            continue
        picture = pictures.get(stem)
        if picture is None:
            where = str(root / _FOLDERS[0] / f"{stem}.jpg")
            report(Fault(FaultKind.MISSING_IMAGE, where, "the picture is not there, nor in a folder 0 to 20"))
            continue
        size = size_of(picture, report)
        objects = _objects(root, stem, listed, report) if size else None
        if size is None or objects is None:
            continue
        found = [box for box in objects.boxes if box.name != "Hammer"]
        boxes = place(found, picture=size, declared=objects.declared, naming=naming, where=str(picture), report=report)
        if boxes is None:
            continue
        unboxed = listed.present - {box.name for box in found}
        yield ScanRecord(
            image=picture,
            source=SOURCE,
            scanner=SOURCE,
            split=listed.split,
            group=stem,
            block=block_of(stem, stem),
            boxes=boxes,
            annotated=frozenset(label for name in CLASSES if name not in unboxed and (label := naming(name))),
            metadata={"imageset": ",".join(listed.sets)},
        )


def recognises(root: Path) -> bool:
    """Whether the folder holds one of SIXray's tables."""
    return any((root / "ImageSet" / name / f"{part}.csv").is_file() for name in _SETS for part in ("train", "test"))


def _objects(root: Path, stem: str, listed: _Listed, report: FaultReport) -> Objects | None:
    path = root / "Annotation" / f"{stem}.xml"
    if not path.is_file() and not listed.present and not stem.startswith("P"):
        return Objects(None, ())
    return objects_of(path, report)


def _listed(root: Path, report: FaultReport) -> dict[str, _Listed]:
    tables = [(name, part, root / "ImageSet" / name / f"{part}.csv") for name in _SETS for part in ("train", "test")]
    tables = [table for table in tables if table[2].is_file()]
    if not tables:
        report(missing(root, "no ImageSet/{10,100,1000}/{train,test}.csv is there"))
    found: dict[str, _Listed] = {}
    for name, part, path in tables:
        for row in rows_of(path, ("name", *CLASSES), report):
            if any(row[label] not in ("1", "-1") for label in CLASSES):
                report(bad(path, f"{row['name'][:40]!r}: a value is neither 1 nor -1"))
                continue
            present = frozenset(label for label in CLASSES if row[label] == "1")
            listed = found.setdefault(row["name"], _Listed(part, present))
            listed.sets.append(name)
            listed.split = "test" if part == "test" else listed.split
    return found
