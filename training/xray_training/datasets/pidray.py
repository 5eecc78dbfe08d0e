"""PIDray: COCO files with pictures in ``train/``, ``easy/``, ``hard/`` and ``hidden/``.

Layout::

    annotations/{xray_train,xray_test_easy,xray_test_hard,xray_test_hidden}.json
    train/*.png  easy/*.png  hard/*.png  hidden/*.png
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from xray_training.datasets import coco
from xray_training.datasets.annotation import missing
from xray_training.datasets.fault import FaultReport, refuse
from xray_training.datasets.folders import wanted
from xray_training.datasets.neighbours import block_of
from xray_training.datasets.placing import labels_of, names_of
from xray_training.datasets.record import ScanRecord

SOURCE = "pidray"

_PARTS = {
    "train": ("train", "xray_train.json"),
    "easy": ("test", "xray_test_easy.json"),
    "hard": ("test", "xray_test_hard.json"),
    "hidden": ("test", "xray_test_hidden.json"),
}


def read(root: Path, *, split: str | None = None, report: FaultReport = refuse) -> Iterator[ScanRecord]:
    """Read PIDray; the metadata's ``part`` tells easy (one item), hard (several) and hidden (concealed on purpose).

    Args:
        root: the folder that holds ``annotations``.
        split: ``train`` or ``test``; both when not given.
        report: hears of every fault.

    Raises:
        DatasetError: by the default report, at the first fault.
    """
    if not recognises(root):
        report(missing(root, "none of annotations/xray_train.json and annotations/xray_test_*.json is there"))
    for name, (found, file) in _PARTS.items():
        part = coco.Part(found, root / "annotations" / file, root / name)
        if not wanted(found, split) or not part.annotations.is_file():
            continue
        document = coco.document_of(part, report)
        for scan in document.scans if document else ():
            boxes = coco.boxes_of(scan, names_of(SOURCE), report)
            if boxes is None:
                continue
            group = scan.path.stem
            yield ScanRecord(
                image=scan.path,
                source=SOURCE,
                scanner=SOURCE,
                split=found,
                group=group,
                block=block_of(scan.path.stem, group),
                boxes=boxes,
                annotated=labels_of(SOURCE),
                metadata={"part": name},
            )


def recognises(root: Path) -> bool:
    """Whether the folder holds an annotation file of PIDray."""
    return any((root / "annotations" / file).is_file() for _, file in _PARTS.values())
