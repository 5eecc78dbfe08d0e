"""COMPASS-XP: single objects without boxes.

Layout::

    meta.txt                 tab-separated: basename, class, instance, pose, dangerous
    Colour/BASENAME.png      one of several renderings; the others are not read
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from xray_training.datasets.annotation import rows_of
from xray_training.datasets.fault import Fault, FaultKind, FaultReport, refuse
from xray_training.datasets.folders import pictures_by_stem, wanted
from xray_training.datasets.neighbours import block_of
from xray_training.datasets.picture import size_of
from xray_training.datasets.record import ScanRecord

SOURCE = "compass_xp"

COLUMNS = ("class", "instance", "pose", "dangerous")
"""The columns of ``meta.txt`` that become metadata; ``dangerous`` is ``true`` or ``false`` there."""


def read(root: Path, *, split: str | None = None, report: FaultReport = refuse) -> Iterator[ScanRecord]:
    """Read the pseudo-colour scans. Nothing is boxed, so nothing is annotated; all poses of an object share a group.

    Args:
        root: the folder that holds ``meta.txt``.
        split: all is ``train``, for the dataset has no split of its own.
        report: hears of every fault.

    Raises:
        DatasetError: by the default report, at the first fault.
    """
    pictures = pictures_by_stem(root / "Colour")
    for row in rows_of(root / "meta.txt", ("basename", *COLUMNS), report, delimiter="\t"):
        stem = Path(row["basename"]).stem if row["basename"].lower().endswith(".png") else row["basename"]
        picture = pictures.get(stem)
        if picture is None:
            where = str(root / "Colour" / f"{stem}.png")
            report(Fault(FaultKind.MISSING_IMAGE, where, "the picture is not there"))
        elif wanted("train", split) and size_of(picture, report):
            metadata = {name: row[name] for name in COLUMNS} | {"dangerous": row["dangerous"].lower()}
            group = f"{row['class']} {row['instance']}"
            block = block_of(stem, group)
            yield ScanRecord(picture, SOURCE, SOURCE, "train", group, block, (), frozenset(), metadata=metadata)


def recognises(root: Path) -> bool:
    """Whether the folder holds COMPASS-XP's table and its pseudo-colour scans."""
    return (root / "meta.txt").is_file() and (root / "Colour").is_dir()
