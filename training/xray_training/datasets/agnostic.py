"""One class for everything, for a detector that asks where something lies and not what it is."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace

from xray_training.datasets.record import ScanRecord

COVERS = "covers"
"""The metadata that says which labels the one class stands for on a scan."""


def agnostic(records: Iterable[ScanRecord], *, label: str = "item") -> Iterator[ScanRecord]:
    """Give every box the same label.

    A box keeps its name in ``original``: the source's own, or the canonical one where they are the same. The one label
    counts as annotated on every scan, though a source that boxes knives alone leaves its bottles unboxed: which labels
    it stands for on a scan is kept in the scan's metadata, separated by spaces.

    Args:
        records: the scans.
        label: the one label.
    """
    for record in records:
        yield replace(
            record,
            boxes=tuple(
                replace(box, label=label, original=_name(box.original, box.label, label)) for box in record.boxes
            ),
            annotated=frozenset({label}),
            metadata={COVERS: " ".join(sorted(record.annotated)), **record.metadata},
        )


def _name(original: str, label: str, one_label: str) -> str:
    return original or ("" if label == one_label else label)
