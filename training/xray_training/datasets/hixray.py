"""HiXray: pictures and text files of the layout in ``pixel_lines``."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from xray_training.datasets.fault import FaultReport, refuse
from xray_training.datasets.pixel_lines import read_family, uses_names_of
from xray_training.datasets.record import ScanRecord

SOURCE = "hixray"


def read(root: Path, *, split: str | None = None, report: FaultReport = refuse) -> Iterator[ScanRecord]:
    """Read HiXray.

    Args:
        root: the folder that holds ``train`` and ``test``.
        split: ``train`` or ``test``; both when not given.
        report: hears of every fault.

    Raises:
        DatasetError: by the default report, at the first fault.
    """
    return read_family(root, SOURCE, split=split, report=report, metadata={})


def recognises(root: Path) -> bool:
    """Whether the folder has the layout and HiXray's classes."""
    return uses_names_of(root, SOURCE)
