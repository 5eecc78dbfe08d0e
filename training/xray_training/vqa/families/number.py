"""How many are there?"""

from __future__ import annotations

import random
from collections.abc import Iterator

from xray_training.datasets.pairs import Count
from xray_training.vqa.draft import Draft
from xray_training.vqa.scene import Scene
from xray_training.vqa.wordings import briefly, drawn
from xray_training.vqa.words import UNCOUNTED, grammar, number_of

MOST = 9
"""More than these nobody counts on a scan."""


def numbers(scene: Scene, draw: random.Random) -> Iterator[Draft]:
    """How many of a label there are: one label that is there, and one that is known not to be."""
    there = [label for label in sorted(scene.counts) if _may_count(scene, label)]
    absent = [label for label in scene.absent() if label not in UNCOUNTED]
    for labels in (there, absent):
        if labels:
            yield _number(scene, draw, draw.choice(labels))


def _may_count(scene: Scene, label: str) -> bool:
    return label in scene.complete and label not in UNCOUNTED and scene.counts[label] <= MOST


def _number(scene: Scene, draw: random.Random, label: str) -> Draft:
    count = scene.counts[label]
    values = grammar(label) | {"counted": number_of(label, count)}
    question = drawn(draw, "count", "ask", values)
    if brief := briefly(draw):
        question = f"{question} {drawn(draw, 'count', 'briefly', values)}"
    return Draft(
        kind="count",
        scene=scene,
        question=question,
        answer=f"{count}." if brief else drawn(draw, "count", "say", values),
        truth=Count(number=count),
        asked=(label,),
        told=label,
    )
