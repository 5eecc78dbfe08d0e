"""Keeping answers from following from the question."""

from __future__ import annotations

import random
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence

from xray_training.datasets.pairs import Kind
from xray_training.vqa.draft import Draft, answer_of

LEAST_KEPT: dict[Kind, int] = {"location": 1}
"""How many drafts of an answer are kept where it is the only one; none unless said here."""

POOLED: frozenset[Kind] = frozenset({"location"})
"""Kinds whose answers are alike for all labels, so that they are balanced over all labels together too."""


def balanced(drafts: Sequence[Draft], *, seed: int) -> list[Draft]:
    """Thin out answers until none is given more often than the second commonest to questions that give away the same.

    A question whose words always have the same answer is not asked at all: it would teach to answer without looking.

    Args:
        drafts: drafts of one split, of any kinds; those that give away nothing are kept as they are.
        seed: which are kept.

    Returns:
        The drafts that are kept, in their order.
    """
    thinned = _thinned(drafts, {n: (d.kind, d.told) for n, d in enumerate(drafts) if d.told is not None}, seed)
    return _thinned(thinned, {n: (d.kind, "") for n, d in enumerate(thinned) if d.kind in POOLED}, seed)


def _thinned(drafts: Sequence[Draft], group_of: Mapping[int, tuple[Kind, str]], seed: int) -> list[Draft]:
    """The drafts, the commonest answer of each group as often as the second commonest; others as they are."""
    groups: dict[tuple[Kind, str], dict[str, list[int]]] = defaultdict(lambda: defaultdict(list))
    for number, group in group_of.items():
        groups[group][_answer(drafts[number])].append(number)
    dropped: set[int] = set()
    for (kind, told), answers in groups.items():
        most = max(LEAST_KEPT.get(kind, 0), _second(Counter({answer: len(them) for answer, them in answers.items()})))
        for answer, numbers in answers.items():
            draw = random.Random(f"{seed}/balance/{kind}/{told}/{answer}")
            dropped.update(draw.sample(numbers, max(0, len(numbers) - most)))
    return [draft for number, draft in enumerate(drafts) if number not in dropped]


def _answer(draft: Draft) -> str:
    return draft.of_the_told or answer_of(draft.truth)


def _second(counts: Counter[str]) -> int:
    """How often the second commonest answer is given; 0 where there is only one."""
    return [*sorted(counts.values(), reverse=True), 0][1]
