"""Where is it, and which of two is where?"""

from __future__ import annotations

import random
from collections.abc import Iterator
from itertools import combinations
from typing import Literal

from xray_training.datasets.pairs import REGIONS, Choice
from xray_training.vqa.draft import Draft
from xray_training.vqa.scene import Scene, Thing
from xray_training.vqa.wordings import briefly, drawn
from xray_training.vqa.words import choices, grammar, name_of

APART = 0.1
"""Least distance of two middles, as a share of the picture, for one to be further to a side."""

TIMES_LARGER = 1.6
"""Least ratio of the areas of two boxes for one to look larger."""

_EDGE = 0.02

Axis = Literal["across", "down", "size"]
_WORDS: dict[Axis, tuple[str, str]] = {
    "across": ("left", "right"),
    "down": ("higher", "lower"),
    "size": ("smaller", "larger"),
}
_MOST_PAIRS = 3


def locations(scene: Scene, draw: random.Random) -> Iterator[Draft]:
    """Where each thing is that is the only one of its label and does not lie on the border of two ninths."""
    for thing in scene.single():
        if _near_a_border(thing):
            continue
        options = draw.sample(REGIONS, len(REGIONS))
        values = grammar(thing.label) | {"word": thing.region, "options": ", ".join(options)}
        question = drawn(draw, "location", "ask", values)
        if brief := briefly(draw):
            question = f"{question} {drawn(draw, 'location', 'briefly', values)}"
        yield Draft(
            kind="location",
            scene=scene,
            question=question,
            answer=f"{thing.region.capitalize()}." if brief else drawn(draw, "location", "say", values),
            truth=Choice(word=thing.region, options=tuple(options)),
            asked=(thing.label,),
            told=thing.label,
        )


def comparisons(scene: Scene, draw: random.Random) -> Iterator[Draft]:
    """Which of two things, each the only one of its label, is further to a side, or looks larger."""
    single = scene.single()
    pairs = list(combinations(single, 2))
    for first, second in draw.sample(pairs, min(_MOST_PAIRS, len(pairs))):
        axes = [axis for axis in _WORDS if _apart(axis, first, second)]
        if axes:
            yield _comparison(scene, draw, draw.choice(axes), first, second)


def measure(axis: Axis, thing: Thing) -> float:
    """What an axis compares: the place of the middle from the left or from the top, or the area of the box."""
    return thing.area if axis == "size" else thing.centre[axis == "down"]


def _apart(axis: Axis, one: Thing, other: Thing) -> bool:
    low, high = sorted((measure(axis, one), measure(axis, other)))
    return high >= TIMES_LARGER * low if axis == "size" else high - low >= APART


def _near_a_border(thing: Thing) -> bool:
    return any(abs(centre - border) < _EDGE for centre in thing.centre for border in (1 / 3, 2 / 3))


def _comparison(scene: Scene, draw: random.Random, axis: Axis, first: Thing, second: Thing) -> Draft:
    offered = draw.sample([first, second], 2)
    least, most = sorted(offered, key=lambda thing: measure(axis, thing))
    end = draw.randrange(2)
    chosen = (least, most)[end]
    names = [f"the {name_of(thing.label)}" for thing in offered]
    values = grammar(chosen.label) | {"options": choices(names), "word": name_of(chosen.label)}
    labels = sorted((first.label, second.label))
    return Draft(
        kind="comparison",
        scene=scene,
        question=drawn(draw, "comparison", _WORDS[axis][end], values),
        answer=drawn(draw, "comparison", "say", values),
        truth=Choice(word=chosen.label, options=tuple(thing.label for thing in offered)),
        asked=tuple(thing.label for thing in offered),
        # Of two labels, one may be the larger nearly always, whereas either may lie to the left.
        told=" ".join(labels) if axis == "size" else "",
        of_the_told=most.label if axis == "size" else str(offered.index(chosen)),
    )
