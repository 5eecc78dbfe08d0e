"""From folders of annotated scans to scenes that can be asked about, each bag in one split."""

from __future__ import annotations

import random
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from PIL import Image

from xray_training.datasets.duplicates import digest_of
from xray_training.datasets.fault import Fault, FaultKind, FaultReport
from xray_training.datasets.folders import split_called
from xray_training.datasets.picture import UNREADABLE, size_of
from xray_training.datasets.plain import scans_in
from xray_training.datasets.record import DatasetError, LabelledBox, ScanRecord
from xray_training.datasets.split import hold_out
from xray_training.datasets.units import Units
from xray_training.datasets.writers.names import FileNames
from xray_training.vqa.scene import Scene, Thing, in_reading_order, place_of
from xray_training.vqa.simulated import Known, read_truth
from xray_training.vqa.words import said

SPLITS = ("train", "val", "test")

_SIMULATED = "simulated"
_GREY_CHROMA = 16
_GREY_SHARE = 0.001
_SAMPLE = 96


@dataclass(frozen=True, slots=True)
class Reading:
    """Which scans to ask about.

    Attributes:
        folders: annotated datasets of any kind that can be read, and simulated ones.
        seed: which scans are drawn and held out.
        limit: at most so many scans; all when None.
        val: share (0..1) of the training bags to hold out, where no folder has a split ``val``.
        colours: whether to find out which pictures show material colours; it costs decoding the simulated ones.
    """

    folders: tuple[Path, ...]
    seed: int = 0
    limit: int | None = None
    val: float = 0.1
    colours: bool = True


@dataclass(frozen=True, slots=True)
class Scenes:
    """The scenes, and how many scans were left out for which reason."""

    scenes: tuple[Scene, ...]
    omitted: Mapping[str, int]


@dataclass(frozen=True, slots=True)
class _Found:
    """A scan, the objects that the simulator knows on it, the key of its bag, and the hash of its picture."""

    record: ScanRecord
    known: tuple[Known, ...] | None
    bag: str
    digest: str


def read_scenes(
    plan: Reading, *, report: FaultReport, shown: Callable[[list[ScanRecord]], Iterable[ScanRecord]] = list
) -> Scenes:
    """Read scans and what is known of them.

    No bag is in two splits afterwards: pictures with the same bytes are one bag, and where a bag's scans are in several
    splits, only those of the test split are kept, or else those of the validation split.

    Args:
        plan: which scans.
        report: hears of every fault of a dataset; a scan with one is left out.
        shown: lets the scans of a folder through one by one, to show how far it is.

    Raises:
        DatasetError: a folder holds no annotated scan, a split is none of train, val and test, or a truth is malformed.
    """
    omitted: Counter[str] = Counter()
    found: list[_Found] = []
    for name, folder in _named(plan.folders).items():
        found += _in_folder(name, folder, report, shown, omitted)
    found = _one_split_each(_with_validation(_without_repeats(found, omitted), plan), omitted)
    if plan.limit is not None and len(found) > plan.limit:
        omitted["over the limit"] += len(found) - plan.limit
        chosen = set(random.Random(f"{plan.seed}/limit").sample(range(len(found)), plan.limit))
        found = [scan for number, scan in enumerate(found) if number in chosen]
    names = FileNames()
    scenes = [scene for one in found if (scene := _scene(one, names, plan, report)) is not None]
    omitted["fault"] += len(found) - len(scenes)
    if not scenes:
        raise DatasetError("no scan is left to ask about: give folders of annotated scans")
    return Scenes(tuple(scenes), {reason: count for reason, count in sorted(omitted.items()) if count})


def _named(folders: Sequence[Path]) -> dict[str, Path]:
    """The folders by their names, which are numbered where several have the same."""
    named: dict[str, Path] = {}
    for folder in folders:
        name, number = folder.resolve().name, 1
        while (key := name if number == 1 else f"{name}:{number}") in named:
            number += 1
        named[key] = folder
    return named


def _in_folder(
    name: str,
    folder: Path,
    report: FaultReport,
    shown: Callable[[list[ScanRecord]], Iterable[ScanRecord]],
    omitted: Counter[str],
) -> list[_Found]:
    truth = read_truth(folder)
    records = scans_in(folder, report=report)
    annotated = [record for record in records if said(record.annotated)]
    if not annotated:
        raise DatasetError(
            f"{folder} says of no scan which items are boxed on it: give an annotated dataset "
            "(`xray-train data convert` makes one)"
        )
    omitted["nothing annotated"] += len(records) - len(annotated)
    found = []
    for record in shown(annotated):
        split = split_called(record.split)
        if split not in SPLITS:
            raise DatasetError(
                f"{record.image}: the split {record.split!r} is none of {', '.join(SPLITS)}: "
                f"divide the scans with `xray-train data split {folder} --out DIR`"
            )
        if size_of(record.image, report) is None:
            omitted["fault"] += 1
            continue
        known = truth.get(record.image.relative_to(folder).as_posix()) if truth else None
        # The simulator's groups say all of a bag, so that two folders of one seed share theirs.
        bag = f"{_SIMULATED if known is not None else name}/{record.group}"
        found.append(_Found(replace(record, split=split), known, bag, digest_of(record.image)))
    return found


def _without_repeats(found: Sequence[_Found], omitted: Counter[str]) -> list[_Found]:
    """The scans without those whose picture was met before in the same split."""
    met: set[tuple[str, str]] = set()
    kept = []
    for one in found:
        key = (one.record.split, one.digest)
        if key in met:
            omitted["picture met before"] += 1
            continue
        met.add(key)
        kept.append(one)
    return kept


def _with_validation(found: Sequence[_Found], plan: Reading) -> list[_Found]:
    """The scans, some bags of the training ones held out where there is no validation split."""
    if plan.val <= 0 or any(one.record.split == "val" for one in found):
        return list(found)
    training = [replace(one.record, group=one.bag) for one in found if one.record.split == "train"]
    _, held = hold_out(training, {}, default=plan.val, seed=plan.seed)
    bags = {record.group for record in held}
    return [
        replace(one, record=replace(one.record, split="val"))
        if one.record.split == "train" and one.bag in bags
        else one
        for one in found
    ]


def _one_split_each(found: Sequence[_Found], omitted: Counter[str]) -> list[_Found]:
    units = Units()
    for one in found:
        units.join(f"bag {one.bag}", f"picture {one.digest}")
    splits: dict[str, set[str]] = defaultdict(set)
    bags = [units.of(f"bag {one.bag}").removeprefix("bag ") for one in found]
    for bag, one in zip(bags, found, strict=True):
        splits[bag].add(one.record.split)
    kept = [
        replace(one, bag=bag)
        for bag, one in zip(bags, found, strict=True)
        if one.record.split == max(splits[bag], key=SPLITS.index)
    ]
    omitted["bag in another split too"] += len(found) - len(kept)
    return kept


def _scene(one: _Found, names: FileNames, plan: Reading, report: FaultReport) -> Scene | None:
    record = one.record
    size = size_of(record.image, report)
    if size is None:
        return None
    name = Path(names.name(record))
    width, height = size
    if record.stretch != 1.0:
        width, name = round(width * record.stretch), name.with_suffix(".png")
    things = [_thing(box, one.known) for box in record.boxes]
    wanted = said(record.annotated)
    return Scene(
        record=record,
        name=f"images/{record.split}/{name.as_posix()}",
        bag=one.bag,
        width=width,
        height=height,
        things=in_reading_order([thing for thing in things if thing.label in wanted]),
        complete=wanted - _overlooked(record, one.known or ()),
        coloured=plan.colours and one.known is not None and _is_coloured(record, report),
    )


def _thing(box: LabelledBox, known: Sequence[Known] | None) -> Thing:
    same = next((item for item in known or () if item.is_boxed_by(box)), None)
    return Thing(place_of(box), same.hidden, same.band) if same else Thing(place_of(box))


def _overlooked(record: ScanRecord, known: Iterable[Known]) -> set[str]:
    """Labels of objects that are in the bag but not boxed, since next to nothing of them shows."""
    return {item.label for item in known if not any(item.is_boxed_by(box) for box in record.boxes)}


def _is_coloured(record: ScanRecord, report: FaultReport) -> bool:
    try:
        with Image.open(record.image) as picture:
            small = np.asarray(picture.convert("RGB").resize((_SAMPLE, _SAMPLE), Image.Resampling.NEAREST), np.int16)
    except UNREADABLE as error:
        report(Fault(FaultKind.UNREADABLE_IMAGE, str(record.image), f"damaged: {type(error).__name__}"))
        return False
    chroma = small.max(axis=-1) - small.min(axis=-1)
    return bool((chroma > _GREY_CHROMA).mean() >= _GREY_SHARE)
