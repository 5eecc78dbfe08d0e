"""Figures of answers: how many are right, by everything that may matter. What is no answer counts as wrong."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
from numpy.typing import NDArray
from xray_training.datasets.pairs import KINDS, Boxes, Items, Kind, Pair, YesNo, in_pixels
from xray_training.datasets.replies import Reading, Verdict, matched, read_reply, verdict_of, wanted_boxes

from xray_evals.statistics import Bools, Indices, Interval, bootstrapped
from xray_evals.vqa.answering import Answer, Answerer
from xray_evals.vqa.claims import Claims, claims_of, rates
from xray_evals.vqa.explained import Look
from xray_evals.vqa.overlap import bleu, rouge_l

FEW = 100
"""A figure of fewer questions than this is marked: it says little."""

NEGATIVES = ("random", "popular", "look_alike")
LISTING: tuple[Kind, ...] = ("overview", "inventory")
NO_REPLY = "no reply was recorded"

_THOUSANDTHS = (1000, 1000)
_NO_ANSWER = Reading()


@dataclass(frozen=True, slots=True)
class Judged:
    """A question, what was understood of its reply, and what that is worth."""

    pair: Pair
    answer: Answer
    reading: Reading
    verdict: Verdict


@dataclass(frozen=True, slots=True)
class Accuracy:
    """The share of right answers to some questions, its interval by bags, and how many were no answers."""

    value: float
    low: float
    high: float
    questions: int
    unparsed: int


@dataclass(frozen=True, slots=True)
class Rated:
    """Precision, recall and their harmonic mean, 0..1, with the interval of the latter by bags."""

    precision: float
    recall: float
    f1: Interval
    support: int


@dataclass(frozen=True, slots=True)
class Grounding:
    """How well boxes are given.

    Attributes:
        boxes: how many are wanted.
        at_25, at_50: share of them that a box of the reply overlaps with an IoU of at least 0.25 and 0.5.
        mean_iou: mean of the overlaps, zero where nothing overlaps.
        surplus: boxes for each question beyond those wanted.
    """

    boxes: int
    at_25: Interval
    at_50: Interval
    mean_iou: float
    surplus: float


@dataclass(frozen=True, slots=True)
class Scores:
    """Every figure of one answerer.

    Attributes:
        name, role, about: who it is.
        failed: questions that got no reply, by the reason.
        macro: mean over the kinds of question of the accuracy.
        kinds: accuracy of each kind.
        presence: of "yes", where an answer that is none counts as missed on pictures that show the item.
        yes_share: how often presence questions that were answered were answered with yes.
        polarity: accuracy of presence where the item is there, and where it is not, by how it was chosen.
        items: of the labels that overviews and inventories list.
        grounding: of the boxes; None without such questions.
        claims: shares of items named that are not there; see ``claims``.
        described: replies that those rest on.
        agreement: share of answers on presence that say what the detector says, where it looks for the label.
        assessed: accuracy of the same answers.
        sources, scanners: accuracy over all kinds.
        presence_scanners: accuracy on presence alone.
        bleu, rouge_l: likeness to the wanted words.
        lead: accuracy on presence above the text-only baseline, and over all kinds; None for that baseline itself.
    """

    name: str
    role: str
    about: str
    failed: Mapping[str, int]
    macro: Interval
    kinds: Mapping[str, Accuracy]
    presence: Rated | None
    yes_share: float | None
    polarity: Mapping[str, Accuracy]
    items: Rated | None
    grounding: Grounding | None
    claims: Mapping[str, float | None]
    described: int
    agreement: Accuracy | None
    assessed: Accuracy | None
    sources: Mapping[str, Accuracy]
    scanners: Mapping[str, Accuracy]
    presence_scanners: Mapping[str, Accuracy]
    bleu: float
    rouge_l: float
    lead: Mapping[str, Interval] | None = None


def judge(pairs: Sequence[Pair], answers: Mapping[str, Answer]) -> list[Judged]:
    """Read every reply; a missing one is a failure."""
    judged = []
    for pair in pairs:
        answer = answers.get(pair.id) or Answer(id=pair.id, failed=NO_REPLY)
        if answer.failed is not None:
            judged.append(Judged(pair, answer, _NO_ANSWER, "unparsed"))
            continue
        reading = read_reply(pair, answer.reply, size=answer.size)
        judged.append(Judged(pair, answer, reading, verdict_of(pair, answer.reply, size=answer.size)))
    return judged


def score(
    answerer: Answerer,
    pairs: Sequence[Pair],
    looks: Mapping[str, Look],
    annotated: Mapping[str, frozenset[str]],
    *,
    beside: Answerer | None = None,
    draws: int = 300,
) -> Scores:
    """Everything about one answerer.

    Args:
        answerer: who answered.
        pairs: every question that was asked; at least one.
        looks: what the detector says of the pictures.
        annotated: the labels that are known to be on each picture.
        beside: the baseline that it should lead.
        draws: of the bootstrap; whole bags are drawn.
    """
    judged = judge(pairs, answerer.answers)
    drawn = _Drawn(judged, draws)
    claims = _claims(judged, looks, annotated)
    replied = [one for one in judged if one.answer.failed is None]
    return Scores(
        name=answerer.name,
        role=answerer.role,
        about=answerer.about,
        failed=_failures(judged),
        macro=drawn.macro(drawn.right),
        kinds={kind: drawn.accuracy(partial(_is, _kind_of, kind)) for kind in drawn.kinds},
        presence=_presence(judged, drawn),
        yes_share=_yes_share(judged),
        polarity=_polarity(judged, drawn),
        items=_items(judged, drawn),
        grounding=_grounding(judged, drawn),
        claims=rates(claims),
        described=len(claims),
        agreement=_agreement(judged, looks, draws),
        assessed=_assessed(judged, looks, drawn),
        sources=_each(judged, drawn, lambda pair: pair.source),
        scanners=_each(judged, drawn, _scanner_of),
        presence_scanners=_each(judged, drawn, lambda pair: _scanner_of(pair) if pair.kind == "presence" else None),
        bleu=bleu([one.answer.reply for one in replied], [_wanted(one) for one in replied]),
        rouge_l=sum(rouge_l(one.answer.reply, _wanted(one)) for one in replied) / len(judged),
        lead=None if beside is None else _lead(drawn, pairs, beside),
    )


class _Drawn:
    """The verdicts as arrays, and figures over them with intervals by bags."""

    def __init__(self, judged: Sequence[Judged], draws: int) -> None:
        self.judged = judged
        self.draws = draws
        self.right = np.array([one.verdict == "right" for one in judged])
        self.unparsed = np.array([one.verdict == "unparsed" for one in judged])
        self.bags = bags_of([one.pair for one in judged])
        present = {one.pair.kind for one in judged}
        self.kinds = [kind for kind in KINDS if kind in present]
        self.kind = np.array([self.kinds.index(one.pair.kind) for one in judged])

    def accuracy(self, wanted: Callable[[Judged], bool]) -> Accuracy:
        """Of the questions that are wanted, of which there is at least one."""
        chosen = np.array([wanted(one) for one in self.judged])
        right = self.right[chosen]
        found = bootstrapped(lambda drawn: float(right[drawn].mean()), self.bags[chosen], draws=self.draws)
        return Accuracy(*found, questions=len(right), unparsed=int(self.unparsed[chosen].sum()))

    def macro(self, values: NDArray[np.float64] | Bools) -> Interval:
        """The mean over the kinds of the mean value of a kind's questions."""

        def mean(drawn: Indices) -> float:
            counts = np.bincount(self.kind[drawn], minlength=len(self.kinds))
            sums = np.bincount(self.kind[drawn], weights=values[drawn], minlength=len(self.kinds))
            return float(np.mean(sums[counts > 0] / counts[counts > 0]))

        return bootstrapped(mean, self.bags, draws=self.draws)


def _is(name: Callable[[Pair], str | None], wanted: str, one: Judged) -> bool:
    return name(one.pair) == wanted


def _kind_of(pair: Pair) -> str:
    return pair.kind


def _scanner_of(pair: Pair) -> str:
    return f"{pair.source}, {pair.scanner}"


def _negative_of(pair: Pair) -> str | None:
    return pair.negative


def bags_of(pairs: Sequence[Pair]) -> NDArray[np.int64]:
    """The number of each pair's bag; bags of different sources are different ones."""
    numbers: dict[tuple[str, str], int] = {}
    return np.array([numbers.setdefault((pair.source, pair.bag), len(numbers)) for pair in pairs], dtype=np.int64)


def _wanted(one: Judged) -> str:
    """The wanted words, boxes in the unit of the reply."""
    return in_pixels(one.pair.answer, one.pair.places, *(one.answer.size or _THOUSANDTHS))


def _failures(judged: Sequence[Judged]) -> dict[str, int]:
    reasons: dict[str, int] = {}
    for one in judged:
        if one.answer.failed is not None:
            reasons[one.answer.failed] = reasons.get(one.answer.failed, 0) + 1
    return dict(sorted(reasons.items(), key=lambda entry: -entry[1]))


def _rated(
    true: NDArray[np.float64], said: NDArray[np.float64], there: NDArray[np.float64], drawn: _Drawn, chosen: Bools
) -> Rated:
    """Precision and recall from three counts for each of the chosen questions."""

    def f1(indices: Indices) -> float:
        both = said[indices].sum() + there[indices].sum()
        return float(2 * true[indices].sum() / both) if both else float("nan")

    return Rated(
        precision=float(true.sum() / said.sum()) if said.sum() else 0.0,
        recall=float(true.sum() / there.sum()) if there.sum() else 0.0,
        f1=bootstrapped(f1, drawn.bags[chosen], draws=drawn.draws),
        support=int(there.sum()),
    )


def _presence(judged: Sequence[Judged], drawn: _Drawn) -> Rated | None:
    chosen = np.array([one.pair.kind == "presence" for one in judged])
    asked = [one for one in judged if one.pair.kind == "presence"]
    if not asked:
        return None
    there = np.array([float(_is_yes(one.pair)) for one in asked])
    said = np.array([float(one.reading.yes is True) for one in asked])
    return _rated(there * said, said, there, drawn, chosen)


def _is_yes(pair: Pair) -> bool:
    return isinstance(pair.truth, YesNo) and pair.truth.yes


def _yes_share(judged: Sequence[Judged]) -> float | None:
    said = [one.reading.yes for one in judged if one.pair.kind == "presence" and one.reading.yes is not None]
    return sum(said) / len(said) if said else None


def _polarity(judged: Sequence[Judged], drawn: _Drawn) -> dict[str, Accuracy]:
    found = {}
    if any(one.pair.kind == "presence" and _is_yes(one.pair) for one in judged):
        found["there"] = drawn.accuracy(lambda one: one.pair.kind == "presence" and _is_yes(one.pair))
    for chosen in NEGATIVES:
        if any(one.pair.negative == chosen for one in judged):
            found[chosen] = drawn.accuracy(partial(_is, _negative_of, chosen))
    return found


def _items(judged: Sequence[Judged], drawn: _Drawn) -> Rated | None:
    """Over how many of each label; where a reply gives no number, one that is right where the label is."""
    chosen = np.array([one.pair.kind in LISTING for one in judged])
    counted = [_counted(one) for one in judged if one.pair.kind in LISTING]
    if not counted:
        return None
    true, said, there = np.array(counted, dtype=np.float64).T
    return _rated(true, said, there, drawn, chosen)


def _counted(one: Judged) -> tuple[int, int, int]:
    """How many items are named rightly, named, and there, of those that were asked about."""
    if not isinstance(one.pair.truth, Items):
        return 0, 0, 0
    there, asked = one.pair.truth.counts, one.pair.asked
    said = {
        label: max(1, there.get(label, 0)) if number is None else number
        for label, number in (one.reading.counts or {}).items()
        if not asked or label in asked
    }
    true = sum(min(number, there.get(label, 0)) for label, number in said.items())
    return true, sum(said.values()) + len(one.reading.unknown), sum(there.values())


def _grounding(judged: Sequence[Judged], drawn: _Drawn) -> Grounding | None:
    overlaps: list[float] = []
    owners: list[int] = []
    surplus = questions = 0
    for number, one in enumerate(judged):
        if not isinstance(one.pair.truth, Boxes):
            continue
        wanted, found = wanted_boxes(one.pair), one.reading.boxes or ()
        best = matched(wanted, found)
        questions += 1
        overlaps += best
        owners += [number] * len(best)
        surplus += max(0, len(found) - len(wanted))
    if not overlaps:
        return None
    reached, bags = np.array(overlaps), drawn.bags[owners]

    def share(least: float) -> Interval:
        return bootstrapped(lambda indices: float((reached[indices] >= least).mean()), bags, draws=drawn.draws)

    return Grounding(len(overlaps), share(0.25), share(0.5), float(reached.mean()), surplus / questions)


def _claims(
    judged: Sequence[Judged], looks: Mapping[str, Look], annotated: Mapping[str, frozenset[str]]
) -> list[Claims]:
    found = [
        claims_of(one.pair, one.reading, annotated.get(one.pair.image, frozenset()), looks.get(one.pair.image))
        for one in judged
    ]
    return [claim for claim in found if claim is not None]


def _agreement(judged: Sequence[Judged], looks: Mapping[str, Look], draws: int) -> Accuracy | None:
    """Over presence questions about labels that the detector looks for, on pictures that it looked at."""
    asked = [one for one in judged if _is_assessed(looks, one)]
    if not asked:
        return None
    same = np.array([one.reading.yes == (not looks[one.pair.image].found.isdisjoint(one.pair.asked)) for one in asked])
    found = bootstrapped(lambda drawn: float(same[drawn].mean()), bags_of([one.pair for one in asked]), draws=draws)
    return Accuracy(*found, questions=len(asked), unparsed=sum(one.reading.yes is None for one in asked))


def _assessed(judged: Sequence[Judged], looks: Mapping[str, Look], drawn: _Drawn) -> Accuracy | None:
    chosen = partial(_is_assessed, looks)
    return drawn.accuracy(chosen) if any(map(chosen, judged)) else None


def _is_assessed(looks: Mapping[str, Look], one: Judged) -> bool:
    """Whether the detector has something to say on a question about presence."""
    look = looks.get(one.pair.image)
    return one.pair.kind == "presence" and look is not None and look.assessed.issuperset(one.pair.asked)


def _each(judged: Sequence[Judged], drawn: _Drawn, name: Callable[[Pair], str | None]) -> dict[str, Accuracy]:
    names = sorted({found for one in judged if (found := name(one.pair)) is not None})
    return {each: drawn.accuracy(partial(_is, name, each)) for each in names}


def _lead(drawn: _Drawn, pairs: Sequence[Pair], beside: Answerer) -> dict[str, Interval]:
    """How much larger the accuracy is than the other's on the same questions."""
    theirs = np.array([one.verdict == "right" for one in judge(pairs, beside.answers)])
    more = drawn.right.astype(np.float64) - theirs
    leads = {"macro": drawn.macro(more)}
    chosen = np.array([pair.kind == "presence" for pair in pairs])
    if chosen.any():
        of_presence = more[chosen]
        leads["presence"] = bootstrapped(
            lambda indices: float(of_presence[indices].mean()), drawn.bags[chosen], draws=drawn.draws
        )
    return leads
