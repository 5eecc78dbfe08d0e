"""Declarations for annotated scans."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from xray_agent_tools.taxonomy import taxonomy
from xray_training.datasets.record import ScanRecord
from xray_training.declarations.expected import expected_of, to_be_declared
from xray_training.declarations.record import DECLARATION_KINDS, Declaration, DeclarationKind, DeclaredText
from xray_training.declarations.writing import categories_of, category, misspelt, named, talked_round, unknown

_EVERYDAY_DECLARED = 0.4
_MOST_ADDED = 3


@dataclass(frozen=True, slots=True)
class Bag:
    """What is known of the content of a scan's bag.

    Attributes:
        seen: how many of each canonical label are annotated.
        annotated: the labels that are annotated wherever they occur.
    """

    seen: Counter[str]
    annotated: frozenset[str]

    @property
    def declarable(self) -> list[str]:
        """Labels that are there and have to be declared."""
        return to_be_declared(self.seen)

    @property
    def everyday(self) -> list[str]:
        """Labels that are there and that nobody has to declare."""
        return [label for label in taxonomy().labels if label in self.seen and label not in self.declarable]


Declaring = Callable[[Bag, random.Random], list[DeclaredText] | None]
"""What a traveller writes; None where a bag does not allow this kind of declaration."""


def bag_of(record: ScanRecord) -> Bag:
    """What a record says of the bag, as far as it is said in canonical labels that its source annotates."""
    annotated = record.annotated.intersection(taxonomy().labels)
    return Bag(Counter(box.label for box in record.boxes if box.label in annotated), annotated)


def declarations_for(
    folder: Path,
    records: Sequence[ScanRecord],
    *,
    kinds: Sequence[DeclarationKind] = DECLARATION_KINDS,
    per_scan: int = 2,
    seed: int = 0,
) -> Iterator[Declaration]:
    """Make declarations for scans: for each, those kinds that there are fewest of so far and that its bag allows.

    The same records and seed give the same declarations.

    Args:
        folder: the dataset's folder; pictures are named relative to it.
        records: the scans.
        kinds: how travellers declare.
        per_scan: most declarations for one scan.
        seed: everything random follows from it and the scan's name.
    """
    made: Counter[DeclarationKind] = Counter()
    for record in records:
        bag = bag_of(record)
        if not bag.annotated:
            continue
        image = record.image.relative_to(folder).as_posix()
        draw = random.Random(f"{seed}/{image}")
        shuffled = draw.sample(list(kinds), len(kinds))
        count = 0
        for kind in sorted(shuffled, key=lambda kind: made[kind]):
            declared = _DECLARING[kind](bag, draw) if count < per_scan else None
            if declared is None:
                continue
            made[kind] += 1
            count += 1
            yield _declaration(folder, record, image, kind, bag, declared)


def _declaration(
    folder: Path, record: ScanRecord, image: str, kind: DeclarationKind, bag: Bag, declared: list[DeclaredText]
) -> Declaration:
    return Declaration(
        id=f"{folder.resolve().name}/{image}/{kind}",
        kind=kind,
        folder=folder.resolve().name,
        image=image,
        source=record.source,
        scanner=record.scanner,
        split=record.split,
        bag=record.group,
        declared=tuple(declared),
        seen=dict(sorted(bag.seen.items())),
        annotated=tuple(sorted(bag.annotated)),
        expected=expected_of(declared, bag.seen, bag.annotated),
    )


def _honest(bag: Bag, draw: random.Random) -> list[DeclaredText] | None:
    """Everything that has to be declared, and some of the rest."""
    labels = bag.declarable + [label for label in bag.everyday if draw.random() < _EVERYDAY_DECLARED]
    labels = labels or bag.everyday[:1]
    return [named(label, draw) for label in draw.sample(labels, len(labels))] or None


def _partial(bag: Bag, draw: random.Random) -> list[DeclaredText] | None:
    """Something, but not all that has to be declared."""
    if not bag.declarable:
        return None
    hidden = set(draw.sample(bag.declarable, draw.randint(1, len(bag.declarable))))
    others = [label for label in (*bag.declarable, *bag.everyday) if label not in hidden]
    if not others:
        return [unknown(draw)]
    return [named(label, draw) for label in draw.sample(others, draw.randint(1, len(others)))]


def _vague(bag: Bag, draw: random.Random) -> list[DeclaredText] | None:
    """Broad words wherever there are some."""
    covered = {label: categories_of(label) for label in (*bag.declarable, *bag.everyday)}
    names = [draw.choice(words) for words in covered.values() if words]
    if not names:
        return None
    declared = [category(name, draw) for name in dict.fromkeys(names)]
    meant = {label for text in declared for label in text.meant}
    return declared + [named(label, draw) for label in bag.declarable if label not in meant]


def _misspelt(bag: Bag, draw: random.Random) -> list[DeclaredText] | None:
    """All that has to be declared, one or more of it misspelt."""
    declared = _honest(bag, draw)
    slips = 0
    for place, text in enumerate(declared or ()):
        slip = misspelt(text.meant[0], draw) if slips == 0 or draw.random() < 0.5 else None
        if slip is not None and declared is not None:
            declared[place] = slip
            slips += 1
    return declared if slips else None


def _over_declared(bag: Bag, draw: random.Random) -> list[DeclaredText] | None:
    """All that has to be declared, and things that are not there."""
    declared = _honest(bag, draw) or []
    absent = [label for label in taxonomy().labels if label not in bag.seen]
    for label in draw.sample(absent, draw.randint(1, min(_MOST_ADDED, len(absent)))):
        declared.append(unknown(draw) if draw.random() < 0.2 else named(label, draw))
    draw.shuffle(declared)
    return declared


def _empty(_bag: Bag, _draw: random.Random) -> list[DeclaredText]:
    return []


def _adversarial(bag: Bag, draw: random.Random) -> list[DeclaredText] | None:
    """Texts that name nothing, in place of what has to be declared."""
    return talked_round(bag.declarable, draw)


_DECLARING: dict[DeclarationKind, Declaring] = {
    "honest": _honest,
    "partial": _partial,
    "vague": _vague,
    "misspelt": _misspelt,
    "over_declared": _over_declared,
    "empty": _empty,
    "adversarial": _adversarial,
}
