"""How many questions can be answered with the eyes shut."""

from __future__ import annotations

import hashlib
import math
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Sequence
from typing import Literal

from pydantic import BaseModel, ConfigDict
from scipy.stats import binomtest

from xray_training.datasets.pairs import KINDS, Boxes, Choice, Kind, Pair, Place
from xray_training.datasets.replies import IOU_RIGHT, iou
from xray_training.datasets.word_reader import WordReader, terms_of
from xray_training.vqa.draft import answer_of

LIMIT = 0.6
"""Accuracy of a blind baseline that is too good."""

NOT_JUDGED: dict[Kind, str] = {"unanswerable": "the right answer is always that the picture does not tell"}
"""Kinds whose answers no picture changes, and why."""

FOLDS = 3

_ENOUGH = 20
_MOST_LEARNED_FROM = 10_000

Baseline = Literal["majority", "text_only"]
Answerer = Callable[[Pair], str]


class BlindScore(BaseModel):
    """How well a baseline that sees no picture answers questions of one kind.

    Attributes:
        kind: kind of question.
        baseline: ``majority`` gives the commonest answer to all, ``text_only`` has learned from the words of questions.
        pairs: how many questions were tried.
        accuracy: share (0..1) of right answers.
        at_least: lower end of its 95 % Wilson interval.
        judged: whether too good a score stops.
    """

    model_config = ConfigDict(frozen=True)

    kind: Kind
    baseline: Baseline
    pairs: int
    accuracy: float
    at_least: float
    judged: bool

    def exceeds(self, limit: float) -> bool:
        """Whether the accuracy is above a limit beyond what chance explains."""
        return self.judged and self.at_least > limit


def measure(pairs: Sequence[Pair]) -> list[BlindScore]:
    """Let both baselines answer every kind of question.

    They learn from the training pairs and are tried on the others. Where there are few of either, they learn from two
    thirds of the bags and are tried on the last one, in turn.
    """
    by_kind: dict[Kind, list[Pair]] = defaultdict(list)
    for pair in pairs:
        by_kind[pair.kind].append(pair)
    return [score for kind in KINDS if by_kind[kind] for score in _measured(kind, by_kind[kind])]


def wilson_low(right: int, total: int) -> float:
    """Lower end of the 95 % Wilson interval of a share."""
    if not total:
        return 0.0
    return max(0.0, float(binomtest(right, total).proportion_ci(confidence_level=0.95, method="wilson").low))


def _measured(kind: Kind, pairs: Sequence[Pair]) -> Iterable[BlindScore]:
    parts = _parts(pairs)
    tried = sum(len(test) for _, test in parts)
    for baseline, learn in (("majority", _majority), ("text_only", _text_only)):
        best = 0
        for encoding in _encodings(pairs):
            right = 0
            for training, test in parts:
                answer = learn(training, encoding)
                right += sum(_is_right(pair, answer(pair), encoding) for pair in test)
            best = max(best, right)
        yield BlindScore(
            kind=kind,
            baseline="majority" if baseline == "majority" else "text_only",
            pairs=tried,
            accuracy=best / tried if tried else 0.0,
            at_least=wilson_low(best, tried),
            judged=kind not in NOT_JUDGED,
        )


def _parts(pairs: Sequence[Pair]) -> list[tuple[list[Pair], list[Pair]]]:
    """What is learned from and what is tried, in each turn."""
    training = [pair for pair in pairs if pair.split == "train"]
    test = [pair for pair in pairs if pair.split != "train"]
    if len(training) >= _ENOUGH and len(test) >= _ENOUGH:
        return [(training, test)]
    folds: list[list[Pair]] = [[] for _ in range(FOLDS)]
    for pair in pairs:
        folds[int(hashlib.sha256(pair.bag.encode()).hexdigest(), 16) % FOLDS].append(pair)
    parts = []
    for number, fold in enumerate(folds):
        others = [pair for other in folds[:number] + folds[number + 1 :] for pair in other]
        if fold and others:
            parts.append((others, fold))
    return parts


class _Encoding:
    """Answers as texts to be guessed: in words, or as the place among the options."""

    def __init__(self, *, by_place: bool) -> None:
        self.by_place = by_place

    def of(self, pair: Pair) -> str:
        if self.by_place and isinstance(pair.truth, Choice):
            return str(pair.truth.options.index(pair.truth.word))
        return "nothing" if isinstance(pair.truth, Boxes) and not pair.places else answer_of(pair.truth)

    def offered(self, pair: Pair) -> frozenset[str] | None:
        if not isinstance(pair.truth, Choice):
            return None
        return frozenset(map(str, range(len(pair.truth.options))) if self.by_place else pair.truth.options)


def _encodings(pairs: Sequence[Pair]) -> list[_Encoding]:
    choices = any(isinstance(pair.truth, Choice) for pair in pairs)
    return [_Encoding(by_place=by_place) for by_place in ((False, True) if choices else (False,))]


def _is_right(pair: Pair, answer: str, encoding: _Encoding) -> bool:
    if isinstance(pair.truth, Boxes) and pair.places:
        return answer == "box"
    return answer == encoding.of(pair)


def _majority(training: Sequence[Pair], encoding: _Encoding) -> Answerer:
    ranked = _ranked(encoding.of(pair) for pair in training)
    box = _usual_box(place for pair in training if isinstance(pair.truth, Boxes) for place in pair.places[:1])

    def answer(pair: Pair) -> str:
        if isinstance(pair.truth, Boxes):
            return "box" if _hits(pair, box) else ""
        offered = encoding.offered(pair)
        return next((one for one in ranked if offered is None or one in offered), "")

    return answer


def _text_only(training: Sequence[Pair], encoding: _Encoding) -> Answerer:
    if any(isinstance(pair.truth, Boxes) for pair in training):
        return _box_by_label(training)
    step = math.ceil(len(training) / _MOST_LEARNED_FROM)
    taken = training[::step]
    reader = WordReader([terms_of(pair.question) for pair in taken], [encoding.of(pair) for pair in taken])
    return lambda pair: reader.answer(terms_of(pair.question), encoding.offered(pair))


def _box_by_label(training: Sequence[Pair]) -> Answerer:
    """The usual box of the label that is asked for, or none where the label is mostly absent."""
    places: dict[str, list[Place]] = defaultdict(list)
    absent: Counter[str] = Counter()
    for pair in training:
        label = answer_of(pair.truth)
        places[label] += pair.places[:1]
        absent[label] += not pair.places
    boxes = {label: _usual_box(found) for label, found in places.items()}

    def answer(pair: Pair) -> str:
        label = answer_of(pair.truth)
        if absent[label] > len(places[label]):
            return "nothing"
        return "box" if _hits(pair, boxes.get(label)) else ""

    return answer


def _hits(pair: Pair, box: Place | None) -> bool:
    return box is not None and len(pair.places) == 1 and iou(pair.places[0], box) >= IOU_RIGHT


def _usual_box(places: Iterable[Place]) -> Place | None:
    """The median of each side."""
    found = list(places)
    if not found:
        return None
    sides = {
        side: sorted(getattr(place, side) for place in found)[len(found) // 2]
        for side in ("x_min", "y_min", "x_max", "y_max")
    }
    return Place(label="", **sides)


def _ranked(answers: Iterable[str]) -> list[str]:
    counts = Counter(answers)
    return sorted(counts, key=lambda answer: (-counts[answer], answer))
