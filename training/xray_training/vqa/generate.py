"""From scenes to question-answer pairs."""

from __future__ import annotations

import random
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from xray_training.datasets.pairs import KINDS, Kind, Pair
from xray_training.vqa.balance import balanced
from xray_training.vqa.draft import Draft, Window
from xray_training.vqa.families.crop import crops
from xray_training.vqa.families.grounding import groundings
from xray_training.vqa.families.listing import inventories, overviews
from xray_training.vqa.families.matter import materials, occlusions
from xray_training.vqa.families.number import numbers
from xray_training.vqa.families.place import comparisons, locations
from xray_training.vqa.families.presence import presence
from xray_training.vqa.families.regions import regions
from xray_training.vqa.families.unanswerable import unanswerable
from xray_training.vqa.negatives import presence_questions
from xray_training.vqa.scene import Scene
from xray_training.vqa.verify import problem_of

Family = Callable[[Scene, random.Random], Iterable[Draft]]

FAMILIES: dict[Kind, Family] = {
    "overview": overviews,
    "location": locations,
    "count": numbers,
    "material": materials,
    "occlusion": occlusions,
    "comparison": comparisons,
    "inventory": inventories,
    "grounding": groundings,
    "unanswerable": unanswerable,
    "regions": regions,
    "crop": crops,
}
"""Every kind but presence, which is chosen for all scans together."""

_PRESENCE_SHARE = 1 / 3


@dataclass(frozen=True, slots=True)
class Plan:
    """What to ask.

    Attributes:
        kinds: kinds of question.
        per_scan: most questions about one scan; a third of them ask for presence, where that is wanted.
        seed: everything random follows from it and the scans.
    """

    kinds: tuple[Kind, ...] = KINDS
    per_scan: int = 8
    seed: int = 0


@dataclass(frozen=True, slots=True)
class Made:
    """A pair, what it is about, and the part of the picture that it shows (None: the whole)."""

    pair: Pair
    scene: Scene
    window: Window | None = None


@dataclass(frozen=True, slots=True)
class Generated:
    """The pairs, and how many drafts were dropped for which reason."""

    made: tuple[Made, ...]
    dropped: Mapping[str, int]


def generate(scenes: Sequence[Scene], plan: Plan) -> Generated:
    """Ask about scans, keep answers balanced within each split, and check every pair against the annotations.

    The same scenes and plan give the same pairs.
    """
    dropped: Counter[str] = Counter()
    made: list[Made] = []
    by_split: dict[str, list[Scene]] = defaultdict(list)
    for scene in scenes:
        by_split[scene.split].append(scene)
    for split, members in sorted(by_split.items()):
        drafts = list(_drafts(members, plan))
        kept = balanced(drafts, seed=plan.seed)
        dropped["answers out of balance"] += len(drafts) - len(kept)
        presence_drafts = _presence(members, plan, split)
        numbers: Counter[tuple[str, Kind]] = Counter()
        for draft in _by_scene(members, [*presence_drafts, *kept]):
            one = _made(draft, numbers)
            problem = problem_of(one.pair, one.scene)
            if problem is None:
                made.append(one)
            else:
                dropped[f"{draft.kind}: {problem}"] += 1
    return Generated(tuple(made), {reason: count for reason, count in sorted(dropped.items()) if count})


def _slots(plan: Plan) -> tuple[int, int]:
    """How many questions of a scan ask for presence, and how many for something else."""
    if "presence" not in plan.kinds:
        return 0, plan.per_scan
    if plan.kinds == ("presence",):
        return plan.per_scan, 0
    presence_slots = max(1, round(_PRESENCE_SHARE * plan.per_scan))
    return presence_slots, plan.per_scan - presence_slots


def _presence(scenes: Sequence[Scene], plan: Plan, split: str) -> list[Draft]:
    most, _ = _slots(plan)
    chosen = presence_questions(scenes, most=most, seed=plan.seed) if most else []
    return [
        presence(asked, random.Random(f"{plan.seed}/{split}/{asked.scene.name}/presence/{asked.label}"))
        for asked in chosen
    ]


def _drafts(scenes: Sequence[Scene], plan: Plan) -> Iterator[Draft]:
    """Drafts for the other slots of every scan: one of each kind that it allows, drawn; then further ones."""
    _, slots = _slots(plan)
    kinds = [kind for kind in KINDS if kind in plan.kinds and kind in FAMILIES]
    for scene in scenes:
        draw = random.Random(f"{plan.seed}/{scene.name}")
        piles = []
        for kind in kinds:
            drafts = list(FAMILIES[kind](scene, random.Random(f"{plan.seed}/{scene.name}/{kind}")))
            draw.shuffle(drafts)
            if drafts:
                piles.append(drafts)
        draw.shuffle(piles)
        yield from _dealt(piles, slots)


def _dealt(piles: list[list[Draft]], slots: int) -> list[Draft]:
    """The first of every pile, then the second of every pile, until there are enough."""
    deepest = max((len(pile) for pile in piles), default=0)
    turns = [pile[level] for level in range(deepest) for pile in piles if level < len(pile)]
    return turns[:slots]


def _by_scene(scenes: Sequence[Scene], drafts: Iterable[Draft]) -> list[Draft]:
    order = {scene.name: number for number, scene in enumerate(scenes)}
    return sorted(drafts, key=lambda draft: (order[draft.scene.name], KINDS.index(draft.kind)))


def _made(draft: Draft, numbers: Counter[tuple[str, Kind]]) -> Made:
    scene = draft.scene
    picture = Path(scene.name)
    number = numbers[scene.name, draft.kind]
    numbers[scene.name, draft.kind] += 1
    image = scene.name
    if draft.window is not None:
        image = f"crops/{scene.split}/{picture.stem}_{number}.png"
    return Made(
        Pair(
            id=f"{scene.split}/{picture.stem}/{draft.kind}/{number}",
            kind=draft.kind,
            image=image,
            bag=scene.bag,
            source=scene.record.source,
            scanner=scene.record.scanner,
            split=scene.split,
            question=draft.question,
            answer=draft.answer,
            asked=draft.asked,
            negative=draft.negative,
            truth=draft.truth,
            places=draft.places,
        ),
        scene,
        draft.window,
    )
