"""STCray: LabelMe-like rectangles in ``Json_BB``, beside pictures in folders named for one item.

Layout::

    {STCray_TrainSet,STCray_TestSet}/Images/Class 4_Knife/*.jpg
    {STCray_TrainSet,STCray_TestSet}/Json_BB/Class 4_Knife/*.json

The folder is no label: ``Class 9_Injection`` holds syringes, ``Class 21_Multilabel Threat`` several items, and
``Class 22_Non Threat`` scans without a threat, which have no file.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from pathlib import Path

from xray_training.datasets.annotation import missing
from xray_training.datasets.duplicates import digest_of
from xray_training.datasets.fault import FaultReport, refuse
from xray_training.datasets.folders import files_in, folders_in, pictures_in, wanted
from xray_training.datasets.labelme import Shapes, shapes_of
from xray_training.datasets.picture import size_of
from xray_training.datasets.placing import labels_of, names_of, place
from xray_training.datasets.record import DatasetError, ScanRecord
from xray_training.datasets.units import Units

SOURCE = "stcray"

BACKGROUND = re.compile(r"Class 22_.*", re.IGNORECASE)
"""The folder of scans without a threat."""

_SPLITS = {"STCray_TrainSet": "train", "STCray_TestSet": "test"}
_PROTOCOL = re.compile(
    r"(?P<instance>.+?)_B(?P<bag>[0-9A-Z]+)_L(?P<level>[0-9A-Z]+)_C(?P<clutter>[0-9A-Z]+)_Loc(?P<location>[0-9A-Z]+)"
    r"_(?P<pose>phi[0-9A-Z]+_th[0-9A-Z]+)(?:_.*)?",
    re.IGNORECASE,
)


def read(root: Path, *, split: str | None = None, report: FaultReport = refuse) -> Iterator[ScanRecord]:
    """Read STCray.

    Scans of the same item instance in the same bag share a group, and so do pictures that are equal byte for byte.
    To find those, every picture of a split is read once before its first record.

    Args:
        root: the folder that holds ``STCray_TrainSet`` and ``STCray_TestSet``.
        split: ``train`` or ``test``; both when not given.
        report: hears of every fault.

    Raises:
        DatasetError: by the default report, at the first fault.
    """
    if not recognises(root):
        report(missing(root, "neither STCray_TrainSet/Images nor STCray_TestSet/Images is there"))
    for name, found in _SPLITS.items():
        images = root / name / "Images"
        if not wanted(found, split) or not images.is_dir():
            continue
        pictures = _pictures(root / name)
        groups = _groups(pictures)
        for picture in pictures:
            size = size_of(picture, report)
            shapes = _shapes(root / name, picture, report) if size else None
            if size is None or shapes is None:
                continue
            boxes = place(
                shapes.boxes,
                picture=size,
                declared=shapes.declared,
                naming=names_of(SOURCE),
                where=str(picture),
                report=report,
            )
            if boxes is None:
                continue
            group = groups[picture]
            metadata = {"folder": picture.parent.name, **_metadata(picture)}
            yield ScanRecord(picture, SOURCE, SOURCE, found, group, group, boxes, labels_of(SOURCE), metadata=metadata)


def recognises(root: Path) -> bool:
    """Whether the folder holds one of STCray's two sets."""
    return any((root / name / "Images").is_dir() for name in _SPLITS)


def _pictures(part: Path) -> list[Path]:
    """Every picture of a set, and for each annotation without one the picture that should be there."""
    pictures = []
    bases = [base for base in (part / "Images", part / "Json_BB") if base.is_dir()]
    for name in sorted({folder.name for base in bases for folder in folders_in(base)}):
        folder = part / "Images" / name
        found = pictures_in(folder)
        stems = {picture.stem for picture in found}
        annotated = [path.stem for path in files_in(part / "Json_BB" / name, ".json")]
        pictures += sorted([*found, *(folder / f"{stem}.jpg" for stem in annotated if stem not in stems)])
    return pictures


def _shapes(part: Path, picture: Path, report: FaultReport) -> Shapes | None:
    if BACKGROUND.fullmatch(picture.parent.name):
        return Shapes(None, ())
    return shapes_of(part / "Json_BB" / picture.parent.name / f"{picture.stem}.json", report)


def _metadata(picture: Path) -> dict[str, str]:
    """What the file name says by the authors' protocol; nothing where it is a time stamp."""
    named = _PROTOCOL.fullmatch(picture.stem)
    return named.groupdict() if named else {}


def _groups(pictures: Iterable[Path]) -> dict[Path, str]:
    units = Units()
    contents = {}
    for picture in pictures:
        contents[picture] = content = _content(picture)
        if named := _metadata(picture):
            units.join(content, f"instance {named['instance']} in bag {named['bag']}")
    return {picture: units.of(content) for picture, content in contents.items()}


def _content(picture: Path) -> str:
    """A name for what the file holds; its path where it cannot be read."""
    try:
        return f"sha256 {digest_of(picture)}"
    except DatasetError:
        return str(picture)
