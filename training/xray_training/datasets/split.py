"""Cutting a validation part out of training scans without dividing near-duplicates."""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Iterable, Mapping

from xray_training.datasets.record import ScanRecord


def hold_out(
    records: Iterable[ScanRecord], shares: Mapping[str, float], *, default: float, seed: int
) -> tuple[list[ScanRecord], list[ScanRecord]]:
    """Divide records into a training and a validation part.

    Scans that share a near-duplicate group or a block of neighbouring ids stay together, unless a
    block is a whole source (more than ``default`` of its scans), when its groups are the unit.

    Args:
        records: the training scans.
        shares: the share (0..1) to hold out, by source.
        default: the share for every other source.
        seed: which units are drawn.

    Returns:
        ``(training, validation)``, each in the order given.
    """
    everything = list(records)
    sizes: dict[str, int] = defaultdict(int)
    blocks: dict[tuple[str, str], int] = defaultdict(int)
    for record in everything:
        sizes[record.source] += 1
        blocks[record.source, record.block] += 1
    unit = _Units()
    for record in everything:
        group = (record.source, "group", record.group)
        if blocks[record.source, record.block] <= default * sizes[record.source]:
            unit.join(group, (record.source, "block", record.block))
    units: dict[str, dict[str, list[int]]] = defaultdict(lambda: defaultdict(list))
    for index, record in enumerate(everything):
        units[record.source][unit.of((record.source, "group", record.group))[2]].append(index)
    held: set[int] = set()
    for source, members in units.items():
        wanted = shares.get(source, default) * sizes[source]
        taken = 0
        for key in sorted(members, key=lambda name: _draw(seed, source, name)):
            if taken >= wanted:
                break
            held.update(members[key])
            taken += len(members[key])
    training = [record for index, record in enumerate(everything) if index not in held]
    validation = [record for index, record in enumerate(everything) if index in held]
    return training, validation


class _Units:
    """Names that belong together, by union and find; a unit is named by its least name."""

    def __init__(self) -> None:
        self._parent: dict[tuple[str, ...], tuple[str, ...]] = {}

    def of(self, name: tuple[str, ...]) -> tuple[str, ...]:
        while (parent := self._parent.get(name, name)) != name:
            name = parent
        return name

    def join(self, one: tuple[str, ...], other: tuple[str, ...]) -> None:
        first, second = sorted((self.of(one), self.of(other)))
        self._parent[second] = first


def _draw(seed: int, source: str, name: str) -> str:
    return hashlib.sha256(f"{seed}/{source}/{name}".encode()).hexdigest()
