"""What is in each of these regions?"""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence

from xray_training.datasets.pairs import Named, Place
from xray_training.datasets.replies import NOTHING
from xray_training.vqa.draft import Draft
from xray_training.vqa.negatives import resemble
from xray_training.vqa.scene import Scene, Thing
from xray_training.vqa.wordings import drawn
from xray_training.vqa.words import choices, name_of

MOST_REGIONS = 4
MOST_OPTIONS = 6
DECOY_SHARE = 0.5
"""How often a region is among them that holds nothing of what is offered."""

_ATTEMPTS = 20
_LEAST_SIDE, _MOST_SIDE = 0.08, 0.35


def regions(scene: Scene, draw: random.Random) -> Iterator[Draft]:
    """Names for a few regions, chosen among labels that the source annotates, or nothing of these."""
    known = [thing for thing in scene.things if thing.label in scene.complete]
    if not known or len(scene.complete) < 2:
        return
    things = draw.sample(known, min(len(known), draw.randint(1, MOST_REGIONS)))
    options = _options(scene, {thing.label for thing in things}, draw)
    places = [thing.place for thing in things]
    # Only a region that touches nothing boxed, where all that is offered is boxed, is known to hold none of it.
    if draw.random() < DECOY_SHARE and (decoy := _decoy(scene.things, draw)):
        places.append(decoy)
    draw.shuffle(places)
    names = [NOTHING if place.label == NOTHING else name_of(place.label) for place in places]
    values = {
        "regions": "; ".join(f"{number}: <box:{number - 1}>" for number in range(1, len(places) + 1)),
        "options": choices([*(name_of(label) for label in options), "nothing of these"]),
    }
    question = f"{drawn(draw, 'regions', 'ask', values)} {drawn(draw, 'regions', 'more', values)}"
    yield Draft(
        kind="regions",
        scene=scene,
        question=question,
        answer="; ".join(f"{number}: {name}" for number, name in enumerate(names, 1)) + ".",
        truth=Named(labels=tuple(place.label for place in places)),
        asked=tuple(options),
        places=tuple(places),
        told=f"{len(places)} {' '.join(sorted(options))}" if len(scene.complete) <= MOST_OPTIONS else None,
    )


def _options(scene: Scene, shown: set[str], draw: random.Random) -> list[str]:
    """The labels of the regions, look-alikes of them, and others, shuffled; all annotated on the scan."""
    alike = {other for label in shown for other in resemble(label)} & scene.complete - shown
    others = scene.complete - shown - alike
    ranked = [*draw.sample(sorted(alike), len(alike)), *draw.sample(sorted(others), len(others))]
    chosen = [*sorted(shown), *ranked[: max(1, MOST_OPTIONS - len(shown))]]
    return draw.sample(chosen, len(chosen))


def _decoy(things: Sequence[Thing], draw: random.Random) -> Place | None:
    """A region that touches no box; None where there is no room for one."""
    for _ in range(_ATTEMPTS):
        width, height = (draw.uniform(_LEAST_SIDE, _MOST_SIDE) for _ in range(2))
        left, top = draw.uniform(0.05, 0.95 - width), draw.uniform(0.05, 0.95 - height)
        sides = (round(side, 6) for side in (left, top, left + width, top + height))
        decoy = Place(label=NOTHING, **dict(zip(("x_min", "y_min", "x_max", "y_max"), sides, strict=True)))
        if not any(_touch(decoy, thing.place) for thing in things):
            return decoy
    return None


def _touch(one: Place, other: Place) -> bool:
    return min(one.x_max, other.x_max) > max(one.x_min, other.x_min) and min(one.y_max, other.y_max) > max(
        one.y_min, other.y_min
    )
