"""The audit's sheet of scans with their boxes: every kind of fault, every source, every class."""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence

from PIL.Image import Image

from xray_training.audit.checks import Scans
from xray_training.audit.findings import Finding, Severity, severity_of
from xray_training.datasets.overlay import Block, sheet, tile_of

_SCANS = 24
_OF_A_KIND = 2
_COLUMNS = 6


def overlays(scans: Scans, findings: Sequence[Finding]) -> Image | None:
    """Draw about two dozen scans with their boxes; None where no picture can be read.

    First up to two scans of each kind of error and warning, framed in red, then one of each source and class, then
    others drawn at random, the same each time.
    """
    chosen: dict[int, str] = {}
    for index, kind in _in_turn(scans, findings):
        if len(chosen) == _SCANS:
            break
        if scans.examined[index].fault is None:
            chosen.setdefault(index, kind)
    if not chosen:
        return None
    tiles = []
    for index, kind in chosen.items():
        record = scans.records[index]
        origin = f"{record.source} · {record.split}"
        first = f"{kind.replace('_', ' ')} · {origin}" if kind else origin
        tiles.append(tile_of(record, first, record.image.name, cropped=False, marked=bool(kind)))
    block = Block(tiles, min(_COLUMNS, len(tiles)))
    return sheet([block], title=f"{len(tiles)} of {len(scans.records)} scans; faulty ones in red")


def _in_turn(scans: Scans, findings: Sequence[Finding]) -> Iterator[tuple[int, str]]:
    """Positions worth showing, the most telling first, with the kind of fault or nothing."""
    places = {scans.name(record): index for index, record in enumerate(scans.records)}
    located = [f for f in findings if f.where in places and severity_of(f.kind) is not Severity.NOTE]
    for turn in range(_OF_A_KIND):
        for kind in dict.fromkeys(finding.kind for finding in located):
            of_kind = list(dict.fromkeys(f.where for f in located if f.kind == kind))
            if turn < len(of_kind):
                yield places[of_kind[turn]], kind
    shown: set[tuple[str, str]] = set()
    order = random.Random(0).sample(range(len(scans.records)), len(scans.records))
    for index in order:
        record = scans.records[index]
        if (record.source, "") not in shown:
            shown.add((record.source, ""))
            yield index, ""
    for index in order:
        record = scans.records[index]
        if fresh := {(record.source, box.label) for box in record.boxes} - shown:
            shown |= fresh
            yield index, ""
    for index in order:
        yield index, ""
