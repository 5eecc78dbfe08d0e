"""Where exactly is it?"""

from __future__ import annotations

import json
import random
from collections.abc import Iterator

from xray_training.datasets.pairs import Boxes
from xray_training.vqa.draft import Draft
from xray_training.vqa.scene import Scene
from xray_training.vqa.wordings import drawn
from xray_training.vqa.words import grammar

MOST_BOXES = 6
NOTHING_SHARE = 0.15
"""How often a label is asked for that is not there; the right answer is then an empty list."""


def groundings(scene: Scene, draw: random.Random) -> Iterator[Draft]:
    """The boxes of every thing of a label."""
    absent = scene.absent()
    if absent and draw.random() < NOTHING_SHARE:
        yield _grounding(scene, draw.choice(absent), draw)
        return
    for label, count in sorted(scene.counts.items()):
        if label in scene.complete and count <= MOST_BOXES:
            yield _grounding(scene, label, draw)


def _grounding(scene: Scene, label: str, draw: random.Random) -> Draft:
    things = scene.of(label)
    schema = f'[{{"label": {json.dumps(label)}, "box": [x_min, y_min, x_max, y_max]}}]'
    entries = [f'{{"label": {json.dumps(label)}, "box": <box:{number}>}}' for number in range(len(things))]
    return Draft(
        kind="grounding",
        scene=scene,
        question=drawn(draw, "grounding", "ask", grammar(label) | {"schema": schema}),
        answer=f"[{', '.join(entries)}]",
        truth=Boxes(label=label),
        asked=(label,),
        places=tuple(thing.place for thing in things),
    )
