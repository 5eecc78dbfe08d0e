"""Scans in any folder: a known dataset, or just pictures."""

from __future__ import annotations

from pathlib import Path

from xray_training.datasets.fault import Fault, FaultReport
from xray_training.datasets.folders import PICTURES
from xray_training.datasets.record import DatasetError, ScanRecord
from xray_training.datasets.sources import SOURCES, source_of


def pass_over(fault: Fault) -> None:
    """Go on without a word."""


def scans_in(
    root: Path, name: str | None = None, *, split: str | None = None, report: FaultReport = pass_over
) -> list[ScanRecord]:
    """Read a folder's scans as the dataset it holds, or as pictures without labels where it holds none.

    A scan with a fault is left out, or read without what is wrong.

    Args:
        root: the folder.
        name: what to read it as; found out when None.
        split: keep this split only; a folder of mere pictures has none.
        report: hears of every fault of a dataset, for its scans.

    Raises:
        DatasetError: the folder holds neither, or its index cannot be read.
    """
    if name is not None or any(source.recognises(root) for source in SOURCES.values()):
        records = list(source_of(root, name).read(root, split=split, report=report))
    else:
        records = _pictures_below(root)
    if not records:
        of_split = f" of the split {split!r}" if split else ""
        raise DatasetError(f"{root} holds no scan{of_split} that can be read: give a dataset or a folder of pictures")
    return records


def _pictures_below(root: Path) -> list[ScanRecord]:
    files = sorted(
        file for file in root.rglob("*") if file.suffix.lower() in PICTURES and not file.name.startswith(".")
    )
    return [ScanRecord(file, root.name, root.name, "", str(file), "", (), frozenset()) for file in files]
