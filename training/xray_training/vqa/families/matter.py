"""What is it made of, and is it hidden? Only where the simulator knows."""

from __future__ import annotations

import random
from collections.abc import Iterator

from xray_agent_tools.evidence.occlusion import HIDDEN_FROM
from xray_training.datasets.pairs import Choice, YesNo
from xray_training.vqa.draft import Draft
from xray_training.vqa.matter import BANDS
from xray_training.vqa.scene import Scene
from xray_training.vqa.wordings import briefly, drawn
from xray_training.vqa.words import choices

HIDDEN, OPEN = HIDDEN_FROM + 0.1, HIDDEN_FROM - 0.15
"""Hidden shares from which, and up to which, the answer is beyond doubt; between them nothing is asked."""

SHOWS_ITS_COLOUR = 0.5
"""Hidden share above which a thing's colour is that of what lies over it."""


def materials(scene: Scene, draw: random.Random) -> Iterator[Draft]:
    """What each thing is made of that is of one kind of matter and shows its colour.

    The question points at the thing and does not name it, for its name would tell.
    """
    if not scene.coloured:
        return
    for thing in scene.things:
        if thing.band is None or thing.hidden is None or thing.hidden > SHOWS_ITS_COLOUR:
            continue
        options = draw.sample(BANDS, len(BANDS))
        values = {"options": choices(options), "word": thing.band}
        yield Draft(
            kind="material",
            scene=scene,
            question=drawn(draw, "material", "ask", values),
            answer=drawn(draw, "material", "brief" if briefly(draw) else "say", values),
            truth=Choice(word=thing.band, options=tuple(options)),
            places=(thing.place,),
            told="",
        )


def occlusions(scene: Scene, draw: random.Random) -> Iterator[Draft]:
    """Whether each thing is hidden, of which it is known beyond doubt."""
    for thing in scene.things:
        if thing.hidden is None or OPEN < thing.hidden < HIDDEN:
            continue
        hidden = thing.hidden >= HIDDEN
        question = drawn(draw, "occlusion", "ask", {})
        if brief := briefly(draw):
            question = f"{question} {drawn(draw, 'occlusion', 'briefly', {})}"
        plain = "Yes." if hidden else "No."
        yield Draft(
            kind="occlusion",
            scene=scene,
            question=question,
            answer=plain if brief else drawn(draw, "occlusion", "affirmed" if hidden else "denied", {}),
            truth=YesNo(yes=hidden),
            places=(thing.place,),
            told="",
        )
