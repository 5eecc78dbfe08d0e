"""From a traveller's words to canonical labels.

Words are compared whole: "hat" is not in "that", and "gun" is not in "gunmetal". Longer phrases win over
shorter ones, so that a "toy gun" is a toy. What is written is data; it is matched and quoted, never obeyed.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cache

from xray_agent_tools.taxonomy import taxonomy

_WORD = re.compile(r"[^\W_]+")
_CLAUSE_END = re.compile(r"[,.;\n]|\bbut\b")
_NOT_ONLY = re.compile(r"\bnot only\b")
_CONTRACTED_NOT = re.compile(r"n['\u2019]t\b")
_NEGATIONS = frozenset({"no", "not", "without", "none", "never", "zero", "nor", "neither"})
_NEGATION_REACH = 3
_TRAILING_NEGATIONS = frozenset({"no", "none"})
_IRREGULAR = {"axes": "axe", "scarves": "scarf", "mice": "mouse"}
_SINGULAR_S = frozenset({"canvas", "lens", "plus", "this"})


@dataclass(frozen=True, slots=True)
class Match:
    """What a text names.

    Attributes:
        labels: canonical labels it covers, in the order of the text, then of the taxonomy.
        phrases: how each was matched: "alias: laptop" or "category: electronics".
        negated: phrases it mentions only to deny them ("no knife").
    """

    labels: tuple[str, ...]
    phrases: tuple[str, ...]
    negated: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class _Target:
    kind: str
    name: str


def words_in(text: str) -> list[str]:
    """The text's words: compatibility forms unified, case folded, plurals made singular."""
    return [_singular(word) for word in _WORD.findall(unicodedata.normalize("NFKC", text).casefold())]


def _singular(word: str) -> str:
    if word in _IRREGULAR:
        return _IRREGULAR[word]
    if len(word) < 4 or not word.endswith("s") or word.endswith("ss") or word in _SINGULAR_S:
        return word
    if word.endswith("knives"):
        return word[:-3] + "fe"
    if word.endswith("ies"):
        return word[:-3] + "y"
    if word.endswith(("ches", "shes", "xes", "sses", "zes")):
        return word[:-2]
    return word[:-1]


@cache
def _phrases() -> dict[tuple[str, ...], _Target]:
    """Every phrase that means something, and those that mean nothing although they contain one that does."""
    table: dict[tuple[str, ...], _Target] = {}
    for item in taxonomy().items:
        for phrase in item.not_meant:
            table.setdefault(tuple(words_in(phrase)), _Target("nothing", phrase))
    for name, category in taxonomy().categories.items():
        for phrase in (name, *category.aliases):
            table[tuple(words_in(phrase))] = _Target("category", name)
    for item in taxonomy().items:
        for phrase in item.aliases:
            table[tuple(words_in(phrase))] = _Target("alias", item.label)
    return table


@cache
def _longest_phrase() -> int:
    return max(len(phrase) for phrase in _phrases())


def find_items(text: str) -> Match:
    """Find every item and category that a text names."""
    folded = _NOT_ONLY.sub(" ", unicodedata.normalize("NFKC", text).casefold())
    labels: dict[str, None] = {}
    phrases: dict[str, None] = {}
    negated: dict[str, None] = {}
    for clause in _CLAUSE_END.split(_CONTRACTED_NOT.sub(" not", folded)):
        words = words_in(clause)
        for position, length, target in _targets(words):
            phrase = " ".join(words[position : position + length])
            before = words[max(0, position - _NEGATION_REACH) : position]
            if _NEGATIONS.intersection(before) or words[-1] in _TRAILING_NEGATIONS or words[0] == "neither":
                negated[phrase] = None
            else:
                phrases[f"{target.kind}: {phrase}"] = None
                labels.update(dict.fromkeys(_covered(target)))
    return Match(tuple(labels), tuple(phrases), tuple(negated))


def _targets(words: list[str]) -> Iterator[tuple[int, int, _Target]]:
    """Each phrase of the table among the words, longest first: its position, its length, what it means."""
    table, longest = _phrases(), _longest_phrase()
    position = 0
    while position < len(words):
        lengths = range(min(longest, len(words) - position), 0, -1)
        length = next((n for n in lengths if tuple(words[position : position + n]) in table), 0)
        if length:
            target = table[tuple(words[position : position + length])]
            if target.kind != "nothing":
                yield position, length, target
        position += length or 1


def _covered(target: _Target) -> Iterable[str]:
    if target.kind == "alias":
        return (target.name,)
    members = taxonomy().members(target.name)
    return (label for label in taxonomy().labels if label in members)
