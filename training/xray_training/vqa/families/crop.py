"""What is this, of what it may be taken for?"""

from __future__ import annotations

import random
from collections.abc import Iterator

from xray_agent_tools.taxonomy import taxonomy
from xray_training.datasets.pairs import Choice, Place
from xray_training.vqa.draft import Draft, Window
from xray_training.vqa.negatives import resemble
from xray_training.vqa.scene import Scene, Thing
from xray_training.vqa.wordings import drawn
from xray_training.vqa.words import choices, grammar, some

MARGIN = 0.25
"""How much of its surroundings is shown on every side, as a share of the item's own size."""

LEAST_PIXELS = 24
"""A part whose longer side has fewer pixels shows too little."""

MOST_HIDDEN = 0.7


def crops(scene: Scene, draw: random.Random) -> Iterator[Draft]:
    """Each item enlarged, to be told from its look-alikes.

    Offered are a label and what it is taken for, both as far as the source tells them apart. That label is the item's
    own, or another one that is taken for the item's: so the same choice is offered for different items, and which are
    offered does not tell which is right.
    """
    for thing in scene.things:
        if not _shows_enough(thing, scene):
            continue
        anchors = sorted({thing.label, *(a for a in resemble(thing.label) if thing.label in _offer(a, scene))})
        anchors = [anchor for anchor in anchors if len(_offer(anchor, scene)) > 1]
        if anchors:
            yield _crop(scene, thing, draw.choice(anchors), draw)


def window_of(place: Place) -> Window:
    """The part of the picture around a box."""
    across, down = MARGIN * (place.x_max - place.x_min), MARGIN * (place.y_max - place.y_min)
    return (
        max(0.0, place.x_min - across),
        max(0.0, place.y_min - down),
        min(1.0, place.x_max + across),
        min(1.0, place.y_max + down),
    )


def _shows_enough(thing: Thing, scene: Scene) -> bool:
    left, top, right, bottom = window_of(thing.place)
    longer = max((right - left) * scene.width, (bottom - top) * scene.height)
    return longer >= LEAST_PIXELS and (thing.hidden or 0.0) <= MOST_HIDDEN


def _offer(anchor: str, scene: Scene) -> list[str]:
    """A label and its look-alikes, of those that the scan's source tells apart."""
    return [label for label in (anchor, *taxonomy().item(anchor).look_alikes) if label in scene.record.annotated]


def _crop(scene: Scene, thing: Thing, anchor: str, draw: random.Random) -> Draft:
    offered = sorted(_offer(anchor, scene))
    options = draw.sample(offered, len(offered))
    values = grammar(thing.label) | {"options": choices([some(label) for label in options])}
    return Draft(
        kind="crop",
        scene=scene,
        question=drawn(draw, "crop", "ask", values),
        answer=drawn(draw, "crop", "say", values),
        truth=Choice(word=thing.label, options=tuple(options)),
        asked=tuple(options),
        told=" ".join(offered),
        window=window_of(thing.place),
    )
