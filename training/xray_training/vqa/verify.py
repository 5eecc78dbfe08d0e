"""Is a pair true of its scan? Checked against the annotations, whoever worded it."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Sequence

from xray_agent_tools.wording import calls_harmless
from xray_training.datasets.pairs import (
    PLACE_MARK,
    REGIONS,
    Boxes,
    Choice,
    Count,
    Items,
    Named,
    Pair,
    Place,
    Refused,
    YesNo,
)
from xray_training.datasets.replies import NOTHING, verdict_of
from xray_training.vqa.families.matter import HIDDEN, OPEN
from xray_training.vqa.families.place import TIMES_LARGER
from xray_training.vqa.matter import BANDS
from xray_training.vqa.scene import Scene, Thing


def problem_of(pair: Pair, scene: Scene) -> str | None:
    """What is wrong with a pair, in a few words; None where nothing is.

    Checked are its label, place, count and polarity against the scan's annotations, that what is denied or counted is
    annotated there at all, that every box has its place, that the answer, read as any reply is read, is right, and that
    nothing in it says that a bag is harmless.
    """
    if calls_harmless(pair.answer) or calls_harmless(pair.question):
        return "calls something harmless"
    marks = {int(number) for number in PLACE_MARK.findall(pair.question + pair.answer)}
    if marks != set(range(len(pair.places))):
        return "boxes and their marks differ"
    if any(_thing_at(place, scene) is None for place in pair.places if place.label != NOTHING):
        return "a box is not annotated"
    problem = _against(pair, scene)
    if problem is not None:
        return problem
    return None if verdict_of(pair, _as_replied(pair)) == "right" else "its answer is not read as right"


def _as_replied(pair: Pair) -> str:
    """The answer as a model would give it, with boxes in shares of the picture."""

    def corners(mark: re.Match[str]) -> str:
        place = pair.places[int(mark.group(1))]
        return json.dumps([place.x_min, place.y_min, place.x_max, place.y_max])

    return PLACE_MARK.sub(corners, pair.answer)


def _against(pair: Pair, scene: Scene) -> str | None:
    match pair.truth:
        case YesNo(yes=yes):
            return _presence(pair, yes, scene) if pair.kind == "presence" else _occlusion(pair, yes, scene)
        case Choice(word=word, options=options):
            return _choice(pair, word, options, scene)
        case Count(number=number):
            return _differ(pair.asked, dict.fromkeys(pair.asked, number), scene)
        case Items(counts=counts):
            return _differ(pair.asked, counts, scene)
        case Boxes(label=label):
            return _boxes(pair, label, scene)
        case Named(labels=labels):
            return _named(pair, labels, scene)
        case Refused():
            return "something is answered" if any(number for number in _numbers(pair.answer)) else None


def _numbers(text: str) -> list[str]:
    return re.findall(r"\d+", text)


def _thing_at(place: Place, scene: Scene) -> Thing | None:
    return next((thing for thing in scene.things if thing.place == place), None)


def _presence(pair: Pair, yes: bool, scene: Scene) -> str | None:
    (label,) = pair.asked
    there = scene.counts[label] > 0
    if yes != there:
        return "the polarity is wrong"
    if not there and label not in scene.complete:
        return "what is denied is not annotated"
    return None if (pair.negative is None) == yes else "the negative is wrong"


def _occlusion(pair: Pair, yes: bool, scene: Scene) -> str | None:
    thing = _thing_at(pair.places[0], scene) if pair.places else None
    if thing is None or thing.hidden is None:
        return "nobody knows whether it is hidden"
    return None if (thing.hidden >= HIDDEN if yes else thing.hidden <= OPEN) else "the polarity is wrong"


def _choice(pair: Pair, word: str, options: Sequence[str], scene: Scene) -> str | None:
    if word not in options or len(set(options)) != len(options):
        return "the options are wrong"
    checks: dict[str, Callable[[Pair, str, Scene], str | None]] = {
        "location": _location,
        "material": _material,
        "comparison": _comparison,
        "crop": _crop,
    }
    return checks[pair.kind](pair, word, scene) if pair.kind in checks else "the kind has no choices"


def _only(label: str, scene: Scene) -> Thing | None:
    """The thing of a label that is known to be the only one."""
    things = scene.of(label)
    return things[0] if len(things) == 1 and label in scene.complete else None


def _location(pair: Pair, word: str, scene: Scene) -> str | None:
    thing = _only(pair.asked[0], scene)
    if thing is None:
        return "it is not the only one"
    return None if word in REGIONS and word == thing.region else "the place is wrong"


def _material(pair: Pair, word: str, scene: Scene) -> str | None:
    thing = _thing_at(pair.places[0], scene) if pair.places else None
    if thing is None or not scene.coloured:
        return "nobody knows its material"
    return None if word in BANDS and word == thing.band else "the material is wrong"


_SIDES: tuple[tuple[re.Pattern[str], Callable[[Thing, Thing], bool]], ...] = (
    (re.compile(r"\bleft\b"), lambda one, other: one.centre[0] < other.centre[0]),
    (re.compile(r"\bright\b"), lambda one, other: one.centre[0] > other.centre[0]),
    (re.compile(r"\b(higher|upper)\b"), lambda one, other: one.centre[1] < other.centre[1]),
    (re.compile(r"\b(lower)\b"), lambda one, other: one.centre[1] > other.centre[1]),
    (re.compile(r"\b(larger|more of)\b"), lambda one, other: one.area >= TIMES_LARGER * other.area),
    (re.compile(r"\b(smaller|less of)\b"), lambda one, other: other.area >= TIMES_LARGER * one.area),
)


def _comparison(pair: Pair, word: str, scene: Scene) -> str | None:
    things = [_only(label, scene) for label in pair.asked]
    chosen = _only(word, scene)
    others = [thing for thing in things if thing is not None and thing is not chosen]
    if chosen is None or len(things) != 2 or len(others) != 1:
        return "it is not the only one"
    meant = [holds for pattern, holds in _SIDES if pattern.search(pair.question)]
    if len(meant) != 1:
        return "it does not say what is compared"
    return None if meant[0](chosen, others[0]) else "the comparison is wrong"


def _crop(pair: Pair, word: str, scene: Scene) -> str | None:
    if not scene.counts[word]:
        return "the label is wrong"
    return None if scene.record.annotated.issuperset(pair.asked) else "what is denied is not annotated"


def _differ(asked: Sequence[str], counts: dict[str, int], scene: Scene) -> str | None:
    if not scene.complete.issuperset(asked):
        return "what is counted is not annotated"
    there = {label: scene.counts[label] for label in asked if scene.counts[label]}
    return None if {label: count for label, count in counts.items() if count} == there else "the count is wrong"


def _boxes(pair: Pair, label: str, scene: Scene) -> str | None:
    if label not in scene.complete:
        return "what is sought is not annotated"
    wanted = {thing.place for thing in scene.of(label)}
    return None if wanted == set(pair.places) and len(wanted) == len(pair.places) else "boxes are missing"


def _named(pair: Pair, labels: Sequence[str], scene: Scene) -> str | None:
    if [place.label for place in pair.places] != list(labels):
        return "the labels are wrong"
    if not scene.complete.issuperset(pair.asked):
        return "what is offered is not annotated"
    empty = [place for place in pair.places if place.label == NOTHING]
    if any(_overlap(place, thing.place) for place in empty for thing in scene.things):
        return "a region is not empty"
    return None


def _overlap(one: Place, other: Place) -> bool:
    across = min(one.x_max, other.x_max) - max(one.x_min, other.x_min)
    down = min(one.y_max, other.y_max) - max(one.y_min, other.y_min)
    return across > 0 and down > 0
