"""Dividing scans into parts without dividing a bag, an item or near-duplicates."""

from __future__ import annotations

import hashlib
import math
from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from xray_training.datasets.record import ScanRecord
from xray_training.datasets.units import Units

_NOTHING = 1e-9


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
    unit = Units()
    for record in everything:
        if blocks[record.source, record.block] <= default * sizes[record.source]:
            unit.join(_name(record, "group", record.group), _name(record, "block", record.block))
    units: dict[str, dict[str, list[int]]] = defaultdict(lambda: defaultdict(list))
    for index, record in enumerate(everything):
        name = unit.of(_name(record, "group", record.group)).split("\0", 2)[2]
        units[record.source][name].append(index)
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


def _name(record: ScanRecord, kind: str, key: str) -> str:
    return "\0".join((record.source, kind, key))


def divide(
    records: Iterable[ScanRecord],
    shares: Mapping[str, float],
    *,
    seed: int,
    belonging: Iterable[Collection[int]] = (),
) -> list[ScanRecord]:
    """Give every record a new split.

    Scans that share a group or a block, whatever their source, or that are said to belong together, form a unit, and no
    unit is divided. Units are dealt out one by one, the weightiest first (those of many scans, and those of rare labels):
    each goes to the split that its source's scans and its labels are shortest of (after Sechidis et al., "On the
    stratification of multi-label data", 2011, with units in place of examples). A split gets no unit of a source once
    it has its share of that source, so it holds at most its share and one unit more.

    Args:
        records: the scans.
        shares: the share (0..1) of each split; they sum to 1.
        seed: which of several equal units goes where.
        belonging: positions of records that belong together for another reason, such as near-duplicates.

    Returns:
        The records in the order given. The splits depend on the records and not on their order.

    Raises:
        ValueError: the shares do not sum to 1, or one is negative.
    """
    if min(shares.values()) < 0 or not math.isclose(sum(shares.values()), 1.0):
        raise ValueError(f"shares {dict(shares)} are not parts of a whole")
    everything = list(records)
    names = _unit_names(everything, belonging)
    members: dict[str, list[ScanRecord]] = defaultdict(list)
    for name, record in zip(names, everything, strict=True):
        members[name].append(record)
    units = [_unit(name, scans) for name, scans in members.items()]
    deal = _Deal(shares, units)
    given = {unit.name: deal.give(unit) for unit in sorted(units, key=lambda unit: deal.turn(unit, seed))}
    return [replace(record, split=given[name]) for name, record in zip(names, everything, strict=True)]


def _unit_names(records: Sequence[ScanRecord], belonging: Iterable[Collection[int]]) -> list[str]:
    units = Units()
    for record in records:
        units.join(f"block {record.block}", f"group {record.group}")
    for positions in belonging:
        first, *others = (f"group {records[position].group}" for position in sorted(positions))
        for other in others:
            units.join(first, other)
    return [units.of(f"group {record.group}") for record in records]


@dataclass(frozen=True, slots=True)
class _Unit:
    """Scans that stay together: how many of each stratum, and the source that most of them are from."""

    name: str
    counts: Mapping[str, int]
    source: str


def _unit(name: str, scans: Iterable[ScanRecord]) -> _Unit:
    counts: Counter[str] = Counter()
    sources: Counter[str] = Counter()
    for scan in scans:
        sources[_source(scan)] += 1
        labels = {box.label for box in scan.boxes} or {""}
        counts.update(f"{_source(scan)}, label {label}" for label in labels)
    source = min(sources, key=lambda name: (-sources[name], name))
    return _Unit(name, dict(sorted((counts + sources).items())), source)


def _source(scan: ScanRecord) -> str:
    return f"source {scan.source}"


class _Deal:
    """Splits being filled with units."""

    def __init__(self, shares: Mapping[str, float], units: Iterable[_Unit]) -> None:
        self._shares = shares
        self._whole: Counter[str] = Counter()
        for unit in units:
            self._whole.update(unit.counts)
        self._held: dict[str, Counter[str]] = {split: Counter() for split in shares}

    def turn(self, unit: _Unit, seed: int) -> tuple[int, str]:
        """When a unit is dealt: by the power of two of its weight, then by lot."""
        weight = math.fsum(count / self._whole[stratum] for stratum, count in unit.counts.items())
        return -math.floor(math.log2(weight)), _draw(seed, unit.source, unit.name)

    def give(self, unit: _Unit) -> str:
        """Put a unit into the split that needs it most."""
        short = [split for split in self._shares if self._shortage(split, unit.source) > _NOTHING]
        chosen = min(short, key=lambda split: (self._cost(split, unit), split))
        self._held[chosen].update(unit.counts)
        return chosen

    def _shortage(self, split: str, stratum: str) -> float:
        return self._shares[split] * self._whole[stratum] - self._held[split][stratum]

    def _cost(self, split: str, unit: _Unit) -> float:
        """By how much the squared distance of the split's shares from the wanted ones grows, over the strata."""
        costs = []
        for stratum, count in unit.counts.items():
            added = count / self._whole[stratum]
            away = self._held[split][stratum] / self._whole[stratum] - self._shares[split]
            costs.append(added * (2 * away + added))
        return math.fsum(costs)


def _draw(seed: int, source: str, name: str) -> str:
    return hashlib.sha256(f"{seed}/{source}/{name}".encode()).hexdigest()
