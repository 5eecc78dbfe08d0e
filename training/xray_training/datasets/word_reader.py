"""A reader that sees the words of a question and nothing else: what pairs give away without their pictures."""

from __future__ import annotations

import re
import zlib
from collections import Counter
from collections.abc import Collection, Iterable, Sequence
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize
from scipy.sparse import csr_matrix

from xray_training.datasets.pairs import PLACE_MARK

FEATURES = 2048
"""Places that terms are hashed to; the last one is every answer's own weight."""
MOST_ANSWERS = 100
"""Rarer answers are never given."""

_ITERATIONS = 40
_DECAY = 1e-4
_WORD = re.compile(r"[a-z0-9_]+(?:-[a-z]+)*")


def terms_of(question: str) -> list[str]:
    """Words and word pairs of a question, each once; the marks of boxes are left out."""
    words = _WORD.findall(PLACE_MARK.sub(" ", question.casefold()))
    return list(dict.fromkeys([*words, *(" ".join(two) for two in pairwise(words))]))


class WordReader:
    """Softmax regression on which terms a question has."""

    def __init__(self, questions: Sequence[Collection[str]], answers: Sequence[str]) -> None:
        """Learn which answers follow which terms.

        Args:
            questions: the terms of each question.
            answers: what is right, in one spelling.

        Raises:
            ValueError: there is nothing to learn from, or not an answer to each question.
        """
        if not questions or len(questions) != len(answers):
            raise ValueError("there must be questions, and an answer to each")
        common = sorted(Counter(answers).items(), key=lambda one: (-one[1], one[0]))
        self.answers = sorted(answer for answer, _ in common[:MOST_ANSWERS])
        places = {answer: place for place, answer in enumerate(self.answers)}
        known = [number for number, answer in enumerate(answers) if answer in places]
        right = np.array([places[answers[number]] for number in known])
        self._weights = _fitted(_hashed(questions[number] for number in known), right, len(self.answers))

    def answer(self, terms: Collection[str], among: Collection[str] | None = None) -> str:
        """The likeliest answer, of those that are offered if any are; nothing if it has met none of them."""
        scores = _hashed([terms]) @ self._weights
        allowed = [number for number, answer in enumerate(self.answers) if among is None or answer in among]
        if not allowed:
            return ""
        return self.answers[max(allowed, key=lambda number: float(scores[0, number]))]


def _hashed(questions: Iterable[Collection[str]]) -> csr_matrix:
    """Which terms there are, (questions, FEATURES); the last one is always 1."""
    columns: list[int] = []
    ends = [0]
    for terms in questions:
        columns += sorted({zlib.crc32(term.encode()) % (FEATURES - 1) for term in terms} | {FEATURES - 1})
        ends.append(len(columns))
    return csr_matrix((np.ones(len(columns)), columns, ends), shape=(len(ends) - 1, FEATURES))


def _fitted(features: csr_matrix, right: NDArray[np.int_], answers: int) -> NDArray[np.float64]:
    """Weights of the least mean cross entropy with a squared penalty, shape (FEATURES, answers)."""
    met = np.unique(features.indices)  # what never occurs has no gradient but the penalty's, and stays at 0
    features = features[:, met]
    count = features.shape[0]
    wanted = np.zeros((count, answers))
    wanted[np.arange(count), right] = 1
    transposed = features.T.tocsr()

    def loss(flat: NDArray[np.float64]) -> tuple[float, NDArray[np.float64]]:
        weights = flat.reshape(len(met), answers)
        scores = features @ weights
        scores -= scores.max(axis=1, keepdims=True)
        logs = scores - np.log(np.exp(scores).sum(axis=1, keepdims=True))
        gradient = transposed @ (np.exp(logs) - wanted) / count + 2 * _DECAY * weights
        return float(-(logs * wanted).sum() / count + _DECAY * (flat**2).sum()), gradient.ravel()

    found = minimize(loss, np.zeros(len(met) * answers), jac=True, method="L-BFGS-B", options={"maxiter": _ITERATIONS})
    weights = np.zeros((FEATURES, answers))
    weights[met] = found.x.reshape(len(met), answers)
    return weights
