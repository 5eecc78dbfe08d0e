"""Which presence questions are asked: as many to be affirmed as to be denied, for every label."""

from __future__ import annotations

import random
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from xray_agent_tools.taxonomy import taxonomy
from xray_training.vqa.draft import Negative
from xray_training.vqa.scene import Scene

POPULAR_SHARE = 1 / 2
"""How many of a split's labels, the most frequent first, count as popular."""

_WISHES: tuple[Negative, ...] = ("look_alike", "popular", "random")


@dataclass(frozen=True, slots=True)
class Asked:
    """A presence question: which scan, which label, and how the label was chosen where it is absent."""

    scene: Scene
    label: str
    negative: Negative | None


def presence_questions(scenes: Sequence[Scene], *, most: int, seed: int) -> list[Asked]:
    """Choose presence questions for the scans of one split.

    Every label gets as many scans that show it as scans that do not, each scan from the same source and scanner as its
    counterpart as long as there are such, so that neither the words nor the look of a scanner tell the answer. Denied
    labels are in turn look-alikes of something that is there, frequent ones, and any (after Li et al., "Evaluating
    object hallucination in large vision-language models", 2023). Only labels that are annotated wherever they occur
    are denied.

    Args:
        scenes: the scans.
        most: how many such questions a scan gets at most.
        seed: which are drawn.

    Returns:
        The questions, those about one scan together, in the order of the scans.
    """
    strata: dict[tuple[str, str], list[Scene]] = defaultdict(list)
    for scene in scenes:
        strata[scene.record.source, scene.record.scanner].append(scene)
    popular = _popular(scenes)
    taken = _Taken()
    for level in range(1, most + 1):
        for name, members in [*sorted(strata.items()), (("", ""), list(scenes))]:
            _fill(members, popular, taken, level, random.Random(f"{seed}/presence/{level}/{name}"))
    order = {scene.name: number for number, scene in enumerate(scenes)}
    return sorted(taken.chosen, key=lambda asked: (order[asked.scene.name], asked.label))


def resemble(label: str) -> frozenset[str]:
    """Labels that a label is easily taken for, or that are easily taken for it."""
    known = taxonomy()
    others = {item.label for item in known.items if label in item.look_alikes}
    return frozenset(others.union(known.item(label).look_alikes))


@dataclass(slots=True)
class _Taken:
    """The questions chosen so far, and how many each scan has."""

    chosen: list[Asked] = field(default_factory=list)
    of_scan: Counter[str] = field(default_factory=Counter)
    known: set[tuple[str, str]] = field(default_factory=set)

    def has_room(self, scene: Scene, label: str, level: int) -> bool:
        return self.of_scan[scene.name] < level and (scene.name, label) not in self.known

    def add(self, asked: Asked) -> None:
        self.chosen.append(asked)
        self.of_scan[asked.scene.name] += 1
        self.known.add((asked.scene.name, asked.label))


def _popular(scenes: Sequence[Scene]) -> frozenset[str]:
    shown = Counter(label for scene in scenes for label in scene.counts)
    ranked = sorted(shown, key=lambda label: (-shown[label], label))
    return frozenset(ranked[: max(1, round(POPULAR_SHARE * len(ranked)))])


class _Candidates:
    """Scans that may be asked about one label, each offered once."""

    def __init__(self, scenes: Sequence[Scene], label: str, *, popular: bool, turn: int) -> None:
        alike = resemble(label)
        absent = [scene for scene in scenes if label in scene.complete and not scene.counts[label]]
        self.label = label
        self._with = iter([scene for scene in scenes if scene.counts[label]])
        self._without: dict[Negative, Iterator[Scene]] = {
            "look_alike": iter([scene for scene in absent if alike & scene.counts.keys()]),
            "popular": iter(absent if popular else ()),
            "random": iter(absent),
        }
        self._turn = turn

    def pair(self, taken: _Taken, level: int) -> tuple[Asked, Asked] | None:
        """One scan that shows the label and one that does not; None where either is lacking."""
        shows = self._next(self._with, taken, level)
        if shows is None:
            return None
        wish = _WISHES[self._turn % len(_WISHES)]
        self._turn += 1
        for how in dict.fromkeys((wish, *reversed(_WISHES))):
            lacks = self._next(self._without[how], taken, level)
            if lacks is not None:
                return Asked(shows, self.label, None), Asked(lacks, self.label, how)
        return None

    def _next(self, scenes: Iterator[Scene], taken: _Taken, level: int) -> Scene | None:
        return next((scene for scene in scenes if taken.has_room(scene, self.label, level)), None)


def _fill(scenes: Sequence[Scene], popular: frozenset[str], taken: _Taken, level: int, draw: random.Random) -> None:
    """Add questions label by label, the rarest label first, until no scan has room for another one."""
    shown = Counter(label for scene in scenes for label in scene.counts)
    waiting = []
    for label in sorted(shown, key=lambda label: (shown[label], label)):
        shuffled = draw.sample(scenes, len(scenes))
        waiting.append(_Candidates(shuffled, label, popular=label in popular, turn=draw.randrange(len(_WISHES))))
    while waiting:
        going_on = []
        for candidates in waiting:
            pair = candidates.pair(taken, level)
            if pair is None:
                continue
            for asked in pair:
                taken.add(asked)
            going_on.append(candidates)
        waiting = going_on
