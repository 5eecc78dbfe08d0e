"""Several collections of scans as one, in which the same picture occurs once."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from xray_training.datasets.duplicates import digest_of, repeated
from xray_training.datasets.record import LabelledBox, ScanRecord
from xray_training.datasets.units import Units

AGREEMENT = 0.005
"""How far a side may lie from the other annotation's, as a share of the picture's, for two boxes to be the same."""


@dataclass(frozen=True, slots=True)
class Merged:
    """Several collections as one.

    Attributes:
        records: the scans, in the order given, without those that say nothing new.
        dropped: pictures left out, because the same bytes came earlier with boxes that agree.
        disagreeing: pairs of pictures with the same bytes whose boxes do not agree; both are kept.
        divided: groups that reach over several splits now.
    """

    records: tuple[ScanRecord, ...]
    dropped: tuple[Path, ...]
    disagreeing: tuple[tuple[Path, Path], ...]
    divided: tuple[str, ...]


def merge(collections: Mapping[str, Iterable[ScanRecord]]) -> Merged:
    """Put collections together.

    What a source annotates stays with its scans. Groups and blocks get the collection's name in front, so that two
    collections never share one by accident. Scans whose pictures have the same bytes share a group. Of such scans from
    different collections the first is kept, with what the others add, if their boxes agree wherever both annotate.

    Args:
        collections: the scans of each, by a name of its own.

    Raises:
        DatasetError: a picture cannot be read.
    """
    records: list[ScanRecord] = []
    homes: list[str] = []
    for name, scans in collections.items():
        for scan in scans:
            records.append(replace(scan, group=f"{name}/{scan.group}", block=f"{name}/{scan.block}"))
            homes.append(name)
    units = Units()
    merged: dict[int, ScanRecord] = dict(enumerate(records))
    dropped: list[Path] = []
    disagreeing: list[tuple[Path, Path]] = []
    for same in _same_bytes(records):
        first, *others = same
        for other in others:
            units.join(records[first].group, records[other].group)
        for kept, other in _across(same, homes):
            if kept not in merged or other not in merged:
                continue
            joint = _joint(merged[kept], merged[other])
            if joint is None:
                disagreeing.append((records[kept].image, records[other].image))
            else:
                merged[kept] = joint
                del merged[other]
                dropped.append(records[other].image)
    scans = tuple(replace(record, group=units.of(record.group)) for record in merged.values())
    return Merged(scans, tuple(dropped), tuple(disagreeing), tuple(_divided(scans)))


def _same_bytes(records: Sequence[ScanRecord]) -> Iterator[list[int]]:
    """Positions of pictures with the same bytes; only those of one size are read."""
    for alike in repeated(_bytes_in(record.image) for record in records):
        positions = sorted(alike)
        for same in repeated(digest_of(records[position].image) for position in positions):
            yield sorted(positions[place] for place in same)


def _bytes_in(path: Path) -> int | None:
    """The size of a file; a missing one has none and is the writer's to report."""
    return path.stat().st_size if path.is_file() else None


def _across(positions: Sequence[int], homes: Sequence[str]) -> Iterator[tuple[int, int]]:
    """Pairs of positions, the first the smaller, from different collections."""
    for place, first in enumerate(positions):
        for other in positions[place + 1 :]:
            if homes[first] != homes[other]:
                yield first, other


def _joint(one: ScanRecord, other: ScanRecord) -> ScanRecord | None:
    """Both annotations of one picture in one record; None where they contradict each other."""
    if _contradicted(one.boxes, other) or _contradicted(other.boxes, one):
        return None
    fresh = tuple(box for box in other.boxes if not any(_same(box, known) for known in one.boxes))
    return replace(
        one,
        boxes=one.boxes + fresh,
        annotated=one.annotated | other.annotated,
        metadata={**other.metadata, **one.metadata},
    )


def _contradicted(boxes: Iterable[LabelledBox], record: ScanRecord) -> bool:
    """Whether a record would have boxed one of these and has not."""
    return any(box.label in record.annotated and not any(_same(box, known) for known in record.boxes) for box in boxes)


def _same(one: LabelledBox, other: LabelledBox) -> bool:
    sides = ((one.x_min, other.x_min), (one.y_min, other.y_min), (one.x_max, other.x_max), (one.y_max, other.y_max))
    return one.label == other.label and all(abs(first - second) <= AGREEMENT for first, second in sides)


def _divided(records: Iterable[ScanRecord]) -> Iterator[str]:
    splits: dict[str, set[str]] = defaultdict(set)
    for record in records:
        splits[record.group].add(record.split)
    return (group for group, found in splits.items() if len(found) > 1)
