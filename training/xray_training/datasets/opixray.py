"""OPIXray: pictures (``.jpg``, some ``.TIFF``) and text files of the layout in ``pixel_lines``.

The lists ``test/test_knife-1.txt`` to ``-3.txt`` tell how much of the item is hidden, from little to much.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from xray_training.datasets.annotation import listed
from xray_training.datasets.fault import FaultReport, refuse
from xray_training.datasets.pixel_lines import read_family, uses_names_of
from xray_training.datasets.record import ScanRecord

SOURCE = "opixray"

LEVELS = {"OL1": "test_knife-1.txt", "OL2": "test_knife-2.txt", "OL3": "test_knife-3.txt"}
"""The lists of test scans by level of occlusion."""


def read(root: Path, *, split: str | None = None, report: FaultReport = refuse) -> Iterator[ScanRecord]:
    """Read OPIXray; the metadata's ``occlusion`` is the level, where the lists are there.

    Args:
        root: the folder that holds ``train`` and ``test``.
        split: ``train`` or ``test``; both when not given.
        report: hears of every fault.

    Raises:
        DatasetError: by the default report, at the first fault.
    """
    lists = {level: listed(root / "test" / file, report) for level, file in LEVELS.items()}
    levels = {("test", stem): {"occlusion": level} for level, stems in lists.items() for stem in stems}
    return read_family(root, SOURCE, split=split, report=report, metadata=levels)


def recognises(root: Path) -> bool:
    """Whether the folder has the layout and OPIXray's classes."""
    return uses_names_of(root, SOURCE)
