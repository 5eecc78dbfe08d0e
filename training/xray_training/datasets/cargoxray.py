"""CargoXray: Roboflow's COCO segmentation export, ``{train,valid,test}/_annotations.coco.json`` beside the pictures."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from xray_training.datasets import coco
from xray_training.datasets.annotation import missing
from xray_training.datasets.fault import FaultReport, refuse
from xray_training.datasets.folders import wanted
from xray_training.datasets.neighbours import block_of, uploaded_stem
from xray_training.datasets.placing import labels_of, names_of
from xray_training.datasets.record import ScanRecord

SOURCE = "cargoxray"

GROUPING = "xray_objects"
"""The super-category, which Roboflow lists as category 0."""

_TELLING = 8  # so many of its names are no accident

UNLABELLED = frozenset({"tools", "unknown", GROUPING})
"""Classes too wide for a canonical label; their boxes are left out without a fault."""


def read(root: Path, *, split: str | None = None, report: FaultReport = refuse) -> Iterator[ScanRecord]:
    """Read CargoXray; copies of one upload share a group, on whichever sides of the random split they lie.

    Args:
        root: the folder that holds ``train``, ``valid`` and ``test``.
        split: ``train``, ``val`` or ``test``; all when not given.
        report: hears of every fault.

    Raises:
        DatasetError: by the default report, at the first fault.
    """
    parts = coco.parts_of(root)
    if not parts:
        report(missing(root, "no {train,valid,test}/_annotations.coco.json is there"))
    for part in parts:
        document = coco.document_of(part, report) if wanted(part.split, split) else None
        for scan in document.scans if document else ():
            labelled = tuple(mark for mark in scan.marks if mark.box.name not in UNLABELLED)
            boxes = coco.boxes_of(replace(scan, marks=labelled), names_of(SOURCE), report)
            if boxes is None:
                continue
            group = uploaded_stem(scan.path.stem) or scan.path.stem
            yield ScanRecord(
                image=scan.path,
                source=SOURCE,
                scanner=SOURCE,
                split=part.split,
                group=group,
                block=block_of(group, group),
                boxes=boxes,
                annotated=labels_of(SOURCE),
            )


def recognises(root: Path) -> bool:
    """Whether the folder is a Roboflow export of CargoXray: its super-category or most of its classes, and no others."""
    parts = [part for part in coco.parts_of(root) if part.annotations.name == coco.ROBOFLOW]
    document = coco.elsewhere_made(parts[-1]) if parts else None
    if document is None:
        return False
    naming = names_of(SOURCE)
    names = frozenset(document.names) - UNLABELLED
    grouped = GROUPING in document.groups or GROUPING in document.names
    return bool(names) and all(naming(name) for name in names) and (grouped or len(names) >= _TELLING)
