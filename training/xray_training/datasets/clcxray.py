"""CLCXray: COCO files ``annotations/instances_{train,val,test}2017.json`` with pictures in ``{train,val,test}2017/``."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from xray_agent_tools.taxonomy import taxonomy
from xray_training.datasets import coco
from xray_training.datasets.annotation import missing
from xray_training.datasets.fault import FaultReport, refuse
from xray_training.datasets.folders import wanted
from xray_training.datasets.naming import folded_names_of
from xray_training.datasets.neighbours import block_of
from xray_training.datasets.placing import labels_of
from xray_training.datasets.record import ScanRecord

SOURCE = "clcxray"

CORRECTED = {(7547, ".png"): "20_40_04_140.png"}
"""File names that the annotations get wrong, by image id and what they say (issue 2 of the dataset's repository)."""


def read(root: Path, *, split: str | None = None, report: FaultReport = refuse) -> Iterator[ScanRecord]:
    """Read CLCXray, whatever the case and the underscores of its class names.

    Args:
        root: the folder that holds ``annotations``.
        split: ``train``, ``val`` or ``test``; all when not given.
        report: hears of every fault.

    Raises:
        DatasetError: by the default report, at the first fault.
    """
    parts = _parts(root)
    if not parts:
        report(missing(root, "no annotations/instances_{train,val,test}2017.json is there"))
    for part in parts:
        document = coco.document_of(part, report) if wanted(part.split, split) else None
        for scan in document.scans if document else ():
            right = CORRECTED.get((scan.image.id, scan.image.file_name)) if isinstance(scan.image.id, int) else None
            named = replace(scan, path=part.pictures / right) if right else scan
            boxes = coco.boxes_of(named, folded_names_of(SOURCE), report)
            if boxes is None:
                continue
            group = named.path.stem
            yield ScanRecord(
                image=named.path,
                source=SOURCE,
                scanner=SOURCE,
                split=part.split,
                group=group,
                block=block_of(group, group),
                boxes=boxes,
                annotated=labels_of(SOURCE),
            )


def recognises(root: Path) -> bool:
    """Whether the folder holds COCO files of 2017's naming with all of CLCXray's classes and no others."""
    parts = _parts(root)
    document = coco.elsewhere_made(parts[-1]) if parts else None
    if document is None:
        return False
    naming = folded_names_of(SOURCE)
    classes = sum(len(item.datasets.get(SOURCE, ())) for item in taxonomy().items)
    return len(set(document.names)) == classes and {naming(name) for name in document.names} == labels_of(SOURCE)


def _parts(root: Path) -> list[coco.Part]:
    return [part for part in coco.parts_of(root) if part.annotations.stem.endswith("2017")]
