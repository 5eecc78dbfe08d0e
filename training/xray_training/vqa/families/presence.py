"""Is it there?"""

from __future__ import annotations

import random

from xray_training.datasets.pairs import YesNo
from xray_training.vqa.draft import Draft
from xray_training.vqa.negatives import Asked
from xray_training.vqa.wordings import briefly, drawn
from xray_training.vqa.words import found_in_words, grammar


def presence(asked: Asked, draw: random.Random) -> Draft:
    """A question whether a label is there."""
    things = asked.scene.of(asked.label)
    values = grammar(asked.label) | {"found": found_in_words(things)}
    question = drawn(draw, "presence", "ask", values)
    brief = briefly(draw)
    if brief:
        question = f"{question} {drawn(draw, 'presence', 'briefly', values)}"
        answer = "Yes." if things else "No."
    else:
        answer = drawn(draw, "presence", "affirmed" if things else "denied", values)
    return Draft(
        kind="presence",
        scene=asked.scene,
        question=question,
        answer=answer,
        truth=YesNo(yes=bool(things)),
        asked=(asked.label,),
        negative=asked.negative,
    )
