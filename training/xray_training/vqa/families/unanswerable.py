"""What no scan can tell."""

from __future__ import annotations

import random
from collections.abc import Iterator

from xray_agent_tools.taxonomy import taxonomy
from xray_training.datasets.pairs import Refused
from xray_training.vqa.draft import Draft
from xray_training.vqa.scene import Scene
from xray_training.vqa.wordings import drawn
from xray_training.vqa.words import grammar


def unanswerable(scene: Scene, draw: random.Random) -> Iterator[Draft]:
    """A question about something that is there, or about the bag, that no picture answers."""
    label = draw.choice(sorted(scene.counts)) if scene.counts and draw.random() < 0.7 else None
    part = "of_the_bag"
    if label is not None:
        firearm = taxonomy().item(label).group == "firearm"
        part = "of_a_firearm" if firearm and draw.random() < 0.5 else "of_an_item"
    values = grammar(label) if label else {}
    yield Draft(
        kind="unanswerable",
        scene=scene,
        question=drawn(draw, "unanswerable", part, values),
        answer=drawn(draw, "unanswerable", "say", values),
        truth=Refused(),
        asked=(label,) if label else (),
    )
