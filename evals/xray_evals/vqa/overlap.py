"""BLEU and ROUGE-L: how like the wanted words a reply is worded, whatever it says.

sacrebleu and rouge-score would bring lxml, regex, nltk and absl along for two figures that nobody should decide by. The
formulas are those of the papers; the tokens are words and numbers in lower case, so that neither figure compares with a
published one.
"""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Sequence

_TOKEN = re.compile(r"\w+")
_LONGEST = 4
_MOST_TOKENS = 400


def tokens_of(text: str) -> list[str]:
    """The words and numbers of a text in lower case, at most 400."""
    return _TOKEN.findall(text.casefold())[:_MOST_TOKENS]


def bleu(replies: Sequence[str], wanted: Sequence[str]) -> float:
    """Corpus BLEU with 1- to 4-grams, one reference for each reply, without smoothing (Papineni et al. 2002), 0..1."""
    matched, given = [0] * _LONGEST, [0] * _LONGEST
    length = reference = 0
    for reply, want in zip(replies, wanted, strict=True):
        said, sought = tokens_of(reply), tokens_of(want)
        length, reference = length + len(said), reference + len(sought)
        for size in range(1, _LONGEST + 1):
            ours, theirs = _grams(said, size), _grams(sought, size)
            matched[size - 1] += (ours & theirs).total()
            given[size - 1] += ours.total()
    orders = [order for order in range(_LONGEST) if given[order]]
    if not orders or not all(matched[order] for order in orders):
        return 0.0
    precision = sum(math.log(matched[order] / given[order]) for order in orders) / len(orders)
    return math.exp(precision + min(0.0, 1 - reference / length))


def rouge_l(reply: str, wanted: str) -> float:
    """ROUGE-L: the F1 of the longest common subsequence of words (Lin 2004), 0..1."""
    said, sought = tokens_of(reply), tokens_of(wanted)
    common = _common_length(said, sought)
    return 2 * common / (len(said) + len(sought)) if common else 0.0


def _grams(tokens: Sequence[str], size: int) -> Counter[tuple[str, ...]]:
    return Counter(tuple(tokens[start : start + size]) for start in range(len(tokens) - size + 1))


def _common_length(one: Sequence[str], other: Sequence[str]) -> int:
    lengths = [0] * (len(other) + 1)
    for token in one:
        before = 0
        for position, match in enumerate(other, 1):
            before, lengths[position] = (
                lengths[position],
                before + 1 if token == match else max(lengths[position], lengths[position - 1]),
            )
    return lengths[-1]
