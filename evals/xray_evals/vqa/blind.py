"""Answers of those who never see a picture: the commonest answer, and what the words of the question give away.

Whoever sees the picture has to beat both. The second learns from the questions of the training split, as a model can
that ignores its pictures.
"""

from __future__ import annotations

import json
import math
import random
from collections import Counter
from collections.abc import Callable, Sequence

import numpy as np
from xray_training.datasets.pairs import (
    PLACE_MARK,
    Boxes,
    Choice,
    Count,
    Items,
    Kind,
    Named,
    Pair,
    Place,
    Refused,
    YesNo,
)
from xray_training.datasets.replies import NOTHING
from xray_training.datasets.word_reader import WordReader, terms_of

from xray_agent_tools.evidence.region import region_of
from xray_evals.vqa.answering import Answer

MOST_TAUGHT = 20_000
"""Pairs of a kind that the text-only baseline learns from, drawn with a fixed seed."""

REFUSAL = "The picture does not tell."

Predict = Callable[[Pair, Sequence[str], Sequence[str]], str]
"""Of a pair, the features of a question and the answers that are allowed (any, if there are none): one answer."""


def majority_answers(train: Sequence[Pair], pairs: Sequence[Pair]) -> list[Answer]:
    """The commonest answer of each kind of question in the training pairs, of those that a question allows."""
    counts: dict[Kind, Counter[str]] = {}
    for pair in train:
        counts.setdefault(pair.kind, Counter()).update(answer for _, answer in _lessons(pair))

    def commonest(pair: Pair, _: Sequence[str], allowed: Sequence[str]) -> str:
        of_kind = counts.get(pair.kind, Counter())
        return max(sorted(allowed) or sorted(of_kind), key=lambda answer: of_kind[answer], default="")

    everywhere = _typical([place for pair in train if isinstance(pair.truth, Boxes) for place in pair.places])
    return [_reply(pair, commonest, lambda _: everywhere) for pair in pairs]


def text_only_answers(train: Sequence[Pair], pairs: Sequence[Pair], *, seed: int = 0) -> list[Answer]:
    """What the words of a question, and the boxes in it, make the likeliest answer, by logistic regression for each kind.

    Args:
        train: pairs to learn from; their pictures are not opened.
        pairs: what to answer.
        seed: of the pairs that are drawn from many.
    """
    of_kind: dict[Kind, list[Pair]] = {}
    for pair in train:
        of_kind.setdefault(pair.kind, []).append(pair)
    readers: dict[Kind, WordReader] = {}
    for kind, taught in of_kind.items():
        drawn = taught if len(taught) <= MOST_TAUGHT else random.Random(seed).sample(taught, MOST_TAUGHT)
        lessons = [lesson for pair in drawn for lesson in _lessons(pair)]
        if lessons:
            readers[kind] = WordReader([terms for terms, _ in lessons], [answer for _, answer in lessons])

    def likeliest(pair: Pair, features: Sequence[str], allowed: Sequence[str]) -> str:
        reader = readers.get(pair.kind)
        said = reader.answer(features, allowed or None) if reader else ""
        return said or min(allowed, default="")

    located: dict[str, list[Place]] = {}
    for pair in train:
        if isinstance(pair.truth, Boxes):
            located.setdefault(pair.truth.label, []).extend(pair.places)
    boxes = {label: _typical(places) for label, places in located.items()}
    return [_reply(pair, likeliest, lambda label: boxes.get(label, [])) for pair in pairs]


def _reply(pair: Pair, predict: Predict, box: Callable[[str], list[float]]) -> Answer:
    match pair.truth:
        case Boxes(label=label):
            found = box(label)
            reply = json.dumps([{"box": found}] if found else [])
        case Named():
            names = [predict(pair, _of_region(pair, i), (*pair.asked, NOTHING)) for i in range(len(pair.places))]
            reply = "; ".join(f"{number}: {name}" for number, name in enumerate(names, 1))
        case Choice(options=options):
            reply = predict(pair, _features(pair), options)
        case _:
            reply = predict(pair, _features(pair), ())
    return Answer(id=pair.id, reply=reply)


def _lessons(pair: Pair) -> list[tuple[list[str], str]]:
    """What a pair teaches: features and answers, one for each of its regions if it is about several."""
    match pair.truth:
        case Boxes():
            return []
        case Named(labels=labels):
            return [(_of_region(pair, number), label) for number, label in enumerate(labels[: len(pair.places)])]
        case truth:
            return [(_features(pair), _said(truth))]


def _said(truth: YesNo | Choice | Count | Items | Refused) -> str:
    match truth:
        case YesNo(yes=yes):
            return "Yes." if yes else "No."
        case Choice(word=word):
            return word
        case Count(number=number):
            return f"{number}."
        case Items(counts=counts):
            return json.dumps({"items": [{"label": label, "count": counts[label]} for label in sorted(counts)]})
        case Refused():
            return REFUSAL


def _features(pair: Pair) -> list[str]:
    """What a question says: its words, singly and in pairs, and the size and place of the first box in it."""
    features = terms_of(pair.question)
    if pair.places and PLACE_MARK.search(pair.question):
        features += _of_place(pair.places[0])
    return features


def _of_region(pair: Pair, number: int) -> list[str]:
    offered = [f"offered {label}" for label in pair.asked]
    return [*offered, f"regions {len(pair.places)}", *_of_place(pair.places[number])]


def _of_place(place: Place) -> list[str]:
    width, height = place.x_max - place.x_min, place.y_max - place.y_min
    middle = region_of((place.x_min + place.x_max) / 2, (place.y_min + place.y_max) / 2, 1.0, 1.0)
    size = round(math.log2(max(width * height, 1e-6)))
    shape = round(2 * math.log2(max(width, 1e-3) / max(height, 1e-3)))
    return [f"at {middle}", f"size {size}", f"shape {shape}"]


def _typical(places: Sequence[Place]) -> list[float]:
    """The median box, in shares; nothing of none."""
    if not places:
        return []
    corners = np.array([(place.x_min, place.y_min, place.x_max, place.y_max) for place in places])
    return [round(float(corner), 4) for corner in np.median(corners, axis=0)]
