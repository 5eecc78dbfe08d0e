"""The checks: each looks at all scans and yields what it finds."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import chain

from xray_agent_tools.taxonomy import taxonomy
from xray_training.audit.axes import Axes, axes_of
from xray_training.audit.findings import Finding, Flaw
from xray_training.datasets.duplicates import alike, repeated
from xray_training.datasets.examine import BoxFit, Examined
from xray_training.datasets.fault import FaultKind
from xray_training.datasets.record import LabelledBox, ScanRecord

_TINY_PX = 4.0
_WHOLE_SHARE = 0.95
_EMPTY_SHARE = 0.2
_RARE = 20
_ENOUGH_SQUARE = 20
_COARSE_SHARE = 0.1
_ROUNDING = 1e-6
_NAMED = 4


@dataclass(frozen=True, slots=True)
class Scans:
    """What the checks look at.

    Attributes:
        records: the scans.
        examined: what the pixels of each said, in the same order.
        benign: sources of which no scan holds anything that they annotate.
        name: how a record's file is called in findings.
    """

    records: Sequence[ScanRecord]
    examined: Sequence[Examined]
    benign: frozenset[str]
    name: Callable[[ScanRecord], str]

    def by_source(self) -> dict[str, list[int]]:
        """Positions of the scans of each source, in order of first occurrence."""
        sources: dict[str, list[int]] = defaultdict(list)
        for index, record in enumerate(self.records):
            sources[record.source].append(index)
        return dict(sources)

    def expects_boxes(self, record: ScanRecord) -> bool:
        """Whether a scan without a box is worth a word: something is annotated, and neither source nor scan is benign."""
        benign = record.source in self.benign or record.metadata.get("benign", "").lower() in ("true", "yes", "1")
        return bool(record.annotated) and not benign


Check = Callable[[Scans], Iterator[Finding]]


def pictures(scans: Scans) -> Iterator[Finding]:
    """Pictures that are missing, damaged or Git LFS pointers."""
    for record, examined in zip(scans.records, scans.examined, strict=True):
        if examined.fault is not None:
            yield _finding(scans, examined.fault, record, examined.message)


def boxes(scans: Scans) -> Iterator[Finding]:
    """Boxes that cannot be right, each by itself."""
    annotated = {
        source: frozenset().union(*(scans.records[i].annotated for i in members))
        for source, members in scans.by_source().items()
    }
    for record, examined in zip(scans.records, scans.examined, strict=True):
        for box in record.boxes:
            for kind, message in _flaws_of(box, record, examined, annotated[record.source]):
                yield _finding(scans, kind, record, f"{box.label} {message}", box.label)
        for box, times in Counter(record.boxes).items():
            if times > 1:
                message = f"{box.label} at {_place(box)} is there {times} times"
                yield _finding(scans, Flaw.BOX_REPEATED, record, message, box.label)


def _flaws_of(
    box: LabelledBox, record: ScanRecord, examined: Examined, annotated: frozenset[str]
) -> Iterator[tuple[str, str]]:
    width, height = box.x_max - box.x_min, box.y_max - box.y_min
    place = f"at {_place(box)}"
    if box.label not in annotated:
        yield Flaw.LABEL_NOT_ANNOTATED, f"{place}, which {record.source} annotates on no scan"
    elif box.label not in taxonomy().labels:
        yield FaultKind.UNKNOWN_LABEL, f"{place} is no label of the taxonomy"
    if not (width > 0 and height > 0):
        yield FaultKind.BOX_EMPTY, f"{place} has no area"
        return
    if min(box.x_min, box.y_min) < -_ROUNDING or max(box.x_max, box.y_max) > 1 + _ROUNDING:
        yield FaultKind.BOX_OUTSIDE, f"{place} reaches out of the picture"
    if width * height > _WHOLE_SHARE:
        yield Flaw.BOX_WHOLE_FRAME, f"takes {width * height:.0%} of the frame"
    if examined.fault is None and min(width * examined.width, height * examined.height) < _TINY_PX:
        yield Flaw.BOX_TINY, f"{place} is {width * examined.width:.1f}x{height * examined.height:.1f} pixels"


def aspects(scans: Scans) -> Iterator[Finding]:
    """Sources whose pictures are all square, as exporters that squeeze them leave them."""
    for source, members in scans.by_source().items():
        sizes = [(found.width, found.height) for i in members if (found := scans.examined[i]).fault is None]
        if len(sizes) >= _ENOUGH_SQUARE and all(width == height for width, height in sizes):
            message = f"{source}: all {len(sizes)} pictures are square; if bags look narrow, set a stretch"
            yield Finding(kind=Flaw.ALL_SQUARE, source=source, message=message)


def axes(scans: Scans) -> Iterator[Finding]:
    """Sources, and splits and classes of them, whose boxes have x and y swapped or lie anywhere."""
    for source, members in scans.by_source().items():
        whole = axes_of(chain.from_iterable(scans.examined[i].fits for i in members))
        if whole.transposed:
            yield _transposed(whole, source)
            continue
        if whole.doubtful:
            message = f"{source}: {whole.better_as_is} of {whole.boxes} boxes fit better than with x and y swapped"
            yield Finding(kind=Flaw.BOXES_OFF_ITEMS, source=source, message=message)
        for split in dict.fromkeys(scans.records[i].split for i in members):
            of_split = [scans.examined[i].fits for i in members if scans.records[i].split == split]
            if (found := axes_of(chain.from_iterable(of_split))).transposed:
                yield _transposed(found, source, split=split)
        for label in sorted({box.label for i in members for box in scans.records[i].boxes}):
            if (found := axes_of(_fits_of(scans, members, label))).transposed:
                yield _transposed(found, source, label=label)


def _fits_of(scans: Scans, members: Iterable[int], label: str) -> Iterator[BoxFit | None]:
    for index in members:
        for box, fit in zip(scans.records[index].boxes, scans.examined[index].fits, strict=False):
            if box.label == label:
                yield fit


def _transposed(found: Axes, source: str, *, split: str = "", label: str = "") -> Finding:
    part = " ".join(word for word in (source, split, label) if word)
    message = (
        f"{part}: {found.boxes - found.better_as_is} of {found.boxes} boxes fit better with x and y swapped "
        f"(as {found.reading})"
    )
    return Finding(kind=Flaw.TRANSPOSED_AXES, source=source, split=split, label=label, message=message)


def emptiness(scans: Scans) -> Iterator[Finding]:
    """Sources without a box, or with many scans without one, that nothing declares benign."""
    for source, members in scans.by_source().items():
        expected = [scans.records[i] for i in members if scans.expects_boxes(scans.records[i])]
        if not expected:
            continue
        empty = [record for record in expected if not record.boxes]
        told = f"{source}: {len(empty)} of {len(expected)} scans have no box"
        if len(empty) == len(expected):
            yield Finding(kind=Flaw.NO_BOXES, source=source, message=told)
        elif len(empty) > _EMPTY_SHARE * len(expected):
            yield Finding(
                kind=Flaw.EMPTY_LABELS,
                source=source,
                where=scans.name(empty[0]),
                message=f"{told} ({len(empty) / len(expected):.0%})",
            )


def classes(scans: Scans) -> Iterator[Finding]:
    """Classes that a source says it annotates, of which it holds no box, few, or none to train on."""
    for source, members in scans.by_source().items():
        expected = [scans.records[i] for i in members if scans.expects_boxes(scans.records[i])]
        everywhere = Counter(box.label for record in expected for box in record.boxes)
        if not everywhere:
            continue
        in_train = Counter(box.label for record in expected if record.split == "train" for box in record.boxes)
        for label in sorted({label for record in expected for label in record.annotated}):
            count = everywhere[label]
            if count == 0:
                kind, message = Flaw.CLASS_WITHOUT_BOXES, f"{source}: no box of {label}"
            elif in_train and not in_train[label]:
                kind, message = Flaw.CLASS_NOT_IN_TRAIN, f"{source}: {count} boxes of {label}, none of them in train"
            elif count < _RARE:
                kind, message = Flaw.CLASS_RARE, f"{source}: {count} boxes of {label}"
            else:
                continue
            yield Finding(kind=kind, source=source, label=label, message=message)


def duplicates(scans: Scans) -> Iterator[Finding]:
    """Pictures that are there more than once, byte for byte or nearly."""
    same = repeated(examined.sha256 or None for examined in scans.examined)
    for members in same:
        kinds = Flaw.DUPLICATE_ACROSS_SPLITS, Flaw.DUPLICATE
        yield _together(scans, members, kinds, "the same picture")
    for members in alike([bytes.fromhex(examined.fingerprint) or None for examined in scans.examined]):
        if any(members <= exact for exact in same):
            continue
        kinds = Flaw.NEAR_DUPLICATE_ACROSS_SPLITS, Flaw.NEAR_DUPLICATE
        found = _together(scans, members, kinds, "nearly the same picture")
        groups = {(scans.records[i].source, scans.records[i].group) for i in members}
        if found.kind != Flaw.NEAR_DUPLICATE or len(groups) > 1:
            yield found


def _together(scans: Scans, members: frozenset[int], kinds: tuple[Flaw, Flaw], said: str) -> Finding:
    """A finding on scans that belong together: the first kind where they are in different splits."""
    records = [scans.records[i] for i in sorted(members)]
    splits = list(dict.fromkeys(record.split for record in records))
    named = [f"{scans.name(record)} ({record.split})" for record in _one_of_each_split(records)[:_NAMED]]
    more = f" and {len(records) - len(named)} more" if len(records) > len(named) else ""
    return Finding(
        kind=kinds[0] if len(splits) > 1 else kinds[1],
        where=scans.name(records[0]),
        source=records[0].source,
        split=splits[0] if len(splits) == 1 else "",
        message=f"{said}: {', '.join(named)}{more}",
    )


def _one_of_each_split(records: Sequence[ScanRecord]) -> list[ScanRecord]:
    """The records, but the first of each split before all others."""
    first = {record.split: record for record in reversed(records)}
    return [*first.values(), *(record for record in records if all(record is not other for other in first.values()))]


def divisions(scans: Scans) -> Iterator[Finding]:
    """Groups and blocks that a split divides."""
    sizes = Counter(record.source for record in scans.records)
    for source, group, members in _divided(scans, [record.group for record in scans.records]):
        said = f"{source}: group {group!r} of {len(members)} scans"
        yield _together(scans, members, (Flaw.GROUP_DIVIDED, Flaw.GROUP_DIVIDED), said)
    for source, block, members in _divided(scans, [record.block for record in scans.records]):
        flaw = Flaw.BLOCK_TOO_COARSE if len(members) > _COARSE_SHARE * sizes[source] else Flaw.BLOCK_DIVIDED
        yield _together(scans, members, (flaw, flaw), f"{source}: block {block!r} of {len(members)} scans")


def _divided(scans: Scans, keys: Sequence[str]) -> Iterator[tuple[str, str, frozenset[int]]]:
    """Source, key and positions of scans that share a key and lie in more than one split."""
    for members in repeated((r.source, key) if key else None for r, key in zip(scans.records, keys, strict=True)):
        if len({scans.records[i].split for i in members}) > 1:
            least = min(members)
            yield scans.records[least].source, keys[least], members


CHECKS: tuple[Check, ...] = (pictures, boxes, aspects, axes, emptiness, classes, duplicates, divisions)
"""Every check, in the order of the report."""


def _finding(scans: Scans, kind: str, record: ScanRecord, message: str, label: str = "") -> Finding:
    return Finding(
        kind=kind, where=scans.name(record), message=message, source=record.source, split=record.split, label=label
    )


def _place(box: LabelledBox) -> str:
    return f"{box.x_min:.3f},{box.y_min:.3f} to {box.x_max:.3f},{box.y_max:.3f}"
