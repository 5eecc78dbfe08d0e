"""What was made, measured and dropped, as JSON and as a page."""

from __future__ import annotations

import random
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import Literal

from pydantic import BaseModel, ConfigDict

from xray_training.datasets.pairs import KINDS, Pair, YesNo
from xray_training.vqa.blind import NOT_JUDGED, BlindScore, measure
from xray_training.vqa.draft import answer_of
from xray_training.vqa.rewrite import Usage

SAMPLES = 3
"""Pairs of each kind that the report shows."""

_MOST_ANSWERS = 5
_LONGEST_SHOWN = 300


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True)


class LabelBalance(_Frozen):
    """How often the presence of a label is affirmed and denied in a split."""

    split: str
    label: str
    yes: int
    no: int


class AnswerShares(_Frozen):
    """The commonest answers to a kind of question, as shares (0..1) of its pairs."""

    kind: str
    answers: int
    commonest: dict[str, float]


class Leakage(_Frozen):
    """What is in two splits; each figure is to be 0.

    Attributes:
        bags: bags with pairs in several splits.
        pictures: pictures with pairs in several splits.
        pairs: ids that occur twice.
    """

    bags: int
    pictures: int
    pairs: int

    @property
    def any(self) -> bool:
        """Whether something leaks."""
        return bool(self.bags or self.pictures or self.pairs)


class Report(_Frozen):
    """What was made, and what is to be known before it is trained on.

    Attributes:
        scans, pairs: how many there are.
        counts: pairs by split and kind.
        sources: pairs by source and scanner.
        negatives: denied presence questions by how the label was chosen.
        presence: yes and no for every label of every split.
        answers: the commonest answers to each kind.
        leakage: what is in two splits.
        blind: how good those are that see no picture.
        blind_limit: the accuracy from which they are too good.
        omitted: scans that were left out, by reason.
        dropped: pairs that were dropped, by reason.
        rewriting: what rewording took; None where nothing was reworded.
        samples: a few pairs of each kind.
    """

    scans: int
    pairs: int
    counts: dict[str, dict[str, int]]
    sources: dict[str, int]
    negatives: dict[str, int]
    presence: tuple[LabelBalance, ...]
    answers: tuple[AnswerShares, ...]
    leakage: Leakage
    blind: tuple[BlindScore, ...]
    blind_limit: float
    omitted: dict[str, int]
    dropped: dict[str, int]
    rewriting: Usage | None
    samples: tuple[Pair, ...]

    @property
    def too_blind(self) -> tuple[BlindScore, ...]:
        """The baselines that are too good."""
        return tuple(score for score in self.blind if score.exceeds(self.blind_limit))


def report_on(
    pairs: Sequence[Pair],
    *,
    blind_limit: float,
    omitted: Mapping[str, int],
    dropped: Mapping[str, int],
    rewriting: Usage | None = None,
    seed: int = 0,
) -> Report:
    """Count and measure pairs.

    Args:
        pairs: what was made.
        blind_limit: accuracy (0..1) from which a blind baseline is too good.
        omitted: scans that were left out, by reason.
        dropped: pairs that were dropped, by reason.
        rewriting: what rewording took.
        seed: which samples are shown.
    """
    return Report(
        scans=len({pair.image for pair in pairs if pair.kind != "crop"}),
        pairs=len(pairs),
        counts=_counts(pairs),
        sources=dict(sorted(Counter(f"{pair.source}, {pair.scanner}" for pair in pairs).items())),
        negatives=dict(sorted(Counter(pair.negative for pair in pairs if pair.negative).items())),
        presence=_presence(pairs),
        answers=_answers(pairs),
        leakage=leakage_in(pairs),
        blind=tuple(measure(pairs)),
        blind_limit=blind_limit,
        omitted=dict(omitted),
        dropped=dict(dropped),
        rewriting=rewriting,
        samples=_samples(pairs, seed),
    )


def leakage_in(pairs: Iterable[Pair]) -> Leakage:
    """Count what is in several splits."""
    bags: dict[str, set[str]] = defaultdict(set)
    pictures: dict[str, set[str]] = defaultdict(set)
    ids: Counter[str] = Counter()
    for pair in pairs:
        bags[pair.bag].add(pair.split)
        pictures[pair.image].add(pair.split)
        ids[pair.id] += 1
    return Leakage(
        bags=sum(len(splits) > 1 for splits in bags.values()),
        pictures=sum(len(splits) > 1 for splits in pictures.values()),
        pairs=sum(count > 1 for count in ids.values()),
    )


def as_markdown(report: Report) -> str:
    """The report as a page."""
    parts = [
        f"# {report.pairs} question-answer pairs about {report.scans} scans",
        _table(["split", *KINDS], [[s, *(str(of.get(k, 0)) for k in KINDS)] for s, of in report.counts.items()]),
        "## Answered with the eyes shut",
        _blind_text(report),
        _table(
            ["kind", "baseline", "questions", "accuracy", "at least (95 %)", "judged"],
            [
                [b.kind, _words(b.baseline), str(b.pairs), f"{b.accuracy:.3f}", f"{b.at_least:.3f}", _yes(b.judged)]
                for b in report.blind
            ],
        ),
        "## Leakage",
        f"In more than one split: {report.leakage.bags} bags, {report.leakage.pictures} pictures. Ids that occur twice: "
        f"{report.leakage.pairs}.",
        "## Balance",
        "Denied labels were chosen as: " + (_listed(report.negatives) or "there are none") + ".",
        _table(["split", "label", "yes", "no"], [[b.split, b.label, str(b.yes), str(b.no)] for b in report.presence]),
        _table(
            ["kind", "different answers", "commonest"],
            [
                [a.kind, str(a.answers), "; ".join(f"{_cell(word)} {share:.0%}" for word, share in a.commonest.items())]
                for a in report.answers
            ],
        ),
        "## Left out",
        "Scans: " + (_listed(report.omitted) or "none") + ".",
        "Pairs: " + (_listed(report.dropped) or "none") + ".",
        *(_rewriting(report.rewriting) if report.rewriting else ()),
        "## Samples",
        *(_sample(pair) for pair in report.samples),
    ]
    return "\n\n".join(part for part in parts if part) + "\n"


def _counts(pairs: Iterable[Pair]) -> dict[str, dict[str, int]]:
    counts = Counter((pair.split, pair.kind) for pair in pairs)
    splits = sorted({split for split, _ in counts})
    return {split: {kind: counts[split, kind] for kind in KINDS if counts[split, kind]} for split in splits}


def _presence(pairs: Iterable[Pair]) -> tuple[LabelBalance, ...]:
    counts: dict[tuple[str, str], Counter[bool]] = defaultdict(Counter)
    for pair in pairs:
        if pair.kind == "presence" and isinstance(pair.truth, YesNo):
            counts[pair.split, pair.asked[0]][pair.truth.yes] += 1
    return tuple(
        LabelBalance(split=split, label=label, yes=found[True], no=found[False])
        for (split, label), found in sorted(counts.items())
    )


def _answers(pairs: Iterable[Pair]) -> tuple[AnswerShares, ...]:
    counts: dict[str, Counter[str]] = defaultdict(Counter)
    for pair in pairs:
        counts[pair.kind][answer_of(pair.truth)] += 1
    shares = []
    for kind in KINDS:
        if found := counts[kind]:
            ranked = sorted(found.items(), key=lambda one: (-one[1], one[0]))[:_MOST_ANSWERS]
            commonest = {answer: count / found.total() for answer, count in ranked}
            shares.append(AnswerShares(kind=kind, answers=len(found), commonest=commonest))
    return tuple(shares)


def _samples(pairs: Sequence[Pair], seed: int) -> tuple[Pair, ...]:
    draw = random.Random(f"{seed}/samples")
    shown: list[Pair] = []
    for kind in KINDS:
        pile = [pair for pair in pairs if pair.kind == kind]
        shown += draw.sample(pile, min(SAMPLES, len(pile)))
    return tuple(shown)


def _blind_text(report: Report) -> str:
    exempt = "; ".join(f"{kind} ({why})" for kind, why in NOT_JUDGED.items())
    return (
        "A baseline that sees no picture is too good if its accuracy is above "
        f"{report.blind_limit:.2f} beyond what chance explains. Not judged: {exempt}."
    )


def _rewriting(usage: Usage) -> tuple[str, ...]:
    cost = "not known" if usage.cost is None else f"{usage.cost:.2f}"
    return (
        "## Rewording",
        f"By {usage.model}: {usage.requests} requests, {usage.cached} of them kept from an earlier run, {usage.failed} "
        f"failed, {usage.unreadable} replies unreadable. Tokens sent {usage.tokens_in}, received {usage.tokens_out}; "
        f"cost {cost}. {usage.reworded} pairs have new words, {usage.added} were added. Refused: "
        f"{_listed(usage.refused) or 'none'}.",
    )


def _sample(pair: Pair) -> str:
    question, answer = (_shown(text) for text in (pair.question, pair.answer))
    return f"**{pair.kind}**, {pair.image}\n\n> {question}\n>\n> {answer}"


def _shown(text: str) -> str:
    short = text if len(text) <= _LONGEST_SHOWN else text[:_LONGEST_SHOWN] + " ..."
    return short.replace("<", "&lt;").replace("\n", " ")


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    if not rows:
        return ""
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _listed(counts: Mapping[str, int]) -> str:
    return ", ".join(f"{reason} {count}" for reason, count in counts.items())


def _cell(text: str) -> str:
    return text if len(text) <= 40 else text[:40] + "..."


def _words(baseline: Literal["majority", "text_only"]) -> str:
    return baseline.replace("_", " ")


def _yes(judged: bool) -> str:
    return "yes" if judged else "no"
