"""Which items a text names, read strictly: what looks like a name to the eye is one, even where it is denied.

:mod:`xray_agent_tools.declaration.matcher` reads a traveller's words in good faith. This reads a model's words in bad
faith: names spelt with other characters, spaced out or run together count, and a denial is a naming too, because whether
something is absent is for the detector to say.

The vocabulary is the taxonomy's names, aliases, categories and phrases that are not meant, and some goods that no
detector here knows. What none of them lists, and what is named in another language, is not recognised.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from functools import cache, lru_cache

from xray_agent_tools.declaration.matcher import find_items, words_in
from xray_agent_tools.explainer.lettering import readings
from xray_agent_tools.report import is_threat
from xray_agent_tools.taxonomy import taxonomy

_OTHER_GOODS = (
    *("drug", "narcotic", "cocaine", "heroin", "cannabis", "marijuana", "hashish", "amphetamine", "methamphetamine"),
    *("opium", "fentanyl", "ecstasy", "cigarette", "cigar", "tobacco", "cash", "banknote", "money", "gold", "ivory"),
    *("jewellery", "jewelry", "diamond", "animal", "snake", "tortoise", "parrot", "meat", "cheese", "fruit", "silver"),
    *("poison", "acid", "bleach", "mercury", "paint", "petrol", "gasoline", "kerosene", "diesel", "propane", "butane"),
    *("chainsaw", "drill", "drone", "taser", "stun gun", "crossbow", "bow and arrow", "missile", "rocket", "mortar"),
    *("landmine", "semtex", "c4", "tnt", "fuse", "blasting cap", "silencer", "chisel", "crowbar", "drill bit"),
    *("knuckle duster", "brass knuckles", "whip", "chain"),
)
_THE_BAG_ITSELF = ("bag",)
_WORD = re.compile(r"[a-z0-9]+")
_PLAIN_WORD = re.compile(r"[A-Za-z0-9]+")
_SOFT = re.compile(r"[ \t'_-]*")
_IN_WORD = re.compile(r"(?<=[a-z0-9])[@$!|](?=[a-z0-9])|[@$](?=[a-z])")
_SIGNS = {"@": "a", "$": "s", "!": "i", "|": "l"}
_PLURALS_PLURAL = re.compile(r"(?<=[^aiou])s{2,}$")
_DIGITS = str.maketrans("013456789", "oieasgtbg")
_SHORT = 3
_MOST_PARTS = 3
_MOST_LETTERS = 24


@dataclass(frozen=True, slots=True)
class _Word:
    key: str
    letters: str
    gap: str
    """What parts it from the word before."""


@dataclass(frozen=True, slots=True)
class _Naming:
    start: int
    end: int
    phrase: str
    labels: frozenset[str]
    """Labels any of which makes the name true; none for goods that no label stands for."""


def unsupported_names(text: str, labels: Collection[str]) -> list[str]:
    """The items that a text names and that none of these labels is, in the order of the text.

    A name inside a longer one that is true is not counted: "knife" in "Swiss army knife" where that was detected.

    Args:
        text: as a model wrote it.
        labels: canonical labels that the text may name.
    """
    allowed = frozenset(labels)
    found: dict[str, None] = {}
    for letters in readings(text):
        words = _words(letters)
        namings = list(_namings(words))
        true = [naming for naming in namings if naming.labels & allowed and _connected(words, naming)]
        for naming in namings:
            if not naming.labels & allowed and not any(_within(naming, longer) for longer in true):
                found[naming.phrase] = None
    return list(found)


def denied_labels(text: str, labels: Collection[str]) -> list[str]:
    """Which of these labels a text says are not there ("no knife")."""
    denied = [phrase for letters in readings(text) for phrase in find_items(letters).negated]
    named = {label for phrase in denied for label in find_items(phrase).labels}
    return [label for label in dict.fromkeys(labels) if label in named]


def name_spans(text: str, label: str) -> list[tuple[int, int]]:
    """Where a text names a label in plain letters, as ranges of its characters."""
    words = list(_PLAIN_WORD.finditer(text))
    spans = set()
    for phrase in _names_of(label):
        for first in range(len(words) - len(phrase) + 1):
            part = words[first : first + len(phrase)]
            if tuple(words_in(" ".join(word[0] for word in part))) == phrase:
                spans.add((part[0].start(), part[-1].end()))
    return sorted(spans)


@cache
def _names_of(label: str) -> frozenset[tuple[str, ...]]:
    item = taxonomy().item(label)
    return frozenset(tuple(words_in(name)) for name in (item.words, *item.aliases))


def _within(naming: _Naming, longer: _Naming) -> bool:
    return longer.start <= naming.start and naming.end <= longer.end and longer.end - longer.start > 1


def _connected(words: Sequence[_Word], naming: _Naming) -> bool:
    """Whether nothing but spaces, hyphens or apostrophes part the words of a name."""
    return all(_SOFT.fullmatch(word.gap) for word in words[naming.start + 1 : naming.end])


def _words(letters: str) -> list[_Word]:
    spelt = _IN_WORD.sub(lambda sign: _SIGNS[sign[0]], letters.lower())
    words, end = [], 0
    for match in _WORD.finditer(spelt):
        words.append(_Word(_key(match[0]), match[0], spelt[end : match.start()]))
        end = match.end()
    return words


@lru_cache(maxsize=4096)
def _key(word: str) -> str:
    """A word as it is compared: singular, digits read as the letters they stand for, letters that look alike as one.

    "Scissorss" is no word, but whoever reads it sees scissors.

    Short words are compared as they are, or every "led" would be an "ied", unless a digit betrays the disguise.
    """
    mixed = any(map(str.isdigit, word)) and any(map(str.isalpha, word))
    plain = _PLURALS_PLURAL.sub("s", word.translate(_DIGITS) if mixed else word)
    singular = "".join(words_in(plain))
    if len(singular) <= _SHORT:
        return f"~{_skeleton(singular)}" if mixed else singular
    return _skeleton(singular)


def _skeleton(word: str) -> str:
    return word.replace("i", "l").replace("rn", "m").replace("vv", "w")


def _keys(word: str) -> list[str]:
    """The keys under which a word of the vocabulary may be met."""
    key = _key(word)
    return [key, f"~{_skeleton(word)}"] if len(key) <= _SHORT and not key.startswith("~") else [key]


@cache
def _vocabulary() -> dict[tuple[str, ...], frozenset[str]]:
    """Every name, as the keys of its words, with the labels that make it true."""
    table: dict[tuple[str, ...], set[str]] = defaultdict(set)

    def add(name: str, labels: Collection[str]) -> None:
        phrases: list[tuple[str, ...]] = [()]
        for word in _WORD.findall(name.lower()):
            phrases = [(*phrase, key) for phrase in phrases for key in _keys(word)]
        for phrase in phrases:
            table[phrase].update(labels)

    for goods in _OTHER_GOODS:
        add(goods, ())
    for name, category in taxonomy().categories.items():
        for alias in (name, *category.aliases):
            add(alias, taxonomy().members(name))
    for item in taxonomy().items:
        for name in (item.words, *item.aliases):
            add(name, (item.label,))
        for name in item.not_meant:
            add(name, ())
    del table[_THE_BAG_ITSELF]
    return {phrase: frozenset(labels) for phrase, labels in table.items()}


@cache
def _run_together() -> dict[str, frozenset[str]]:
    """Names of items written as one word, as the key of that word."""
    table: dict[str, set[str]] = defaultdict(set)
    for item in taxonomy().items:
        for name in (item.words, *item.aliases):
            table[_key("".join(_WORD.findall(name.lower())))].add(item.label)
    del table[_key("".join(_THE_BAG_ITSELF))]
    return {letters: frozenset(labels) for letters, labels in table.items()}


@cache
def _threats() -> frozenset[str]:
    return frozenset(item.label for item in taxonomy().items if is_threat(item.severity))


@cache
def _longest() -> int:
    return max(map(len, _vocabulary()))


def _namings(words: Sequence[_Word]) -> Iterator[_Naming]:
    vocabulary, longest = _vocabulary(), _longest()
    for start in range(len(words)):
        for end in range(start + 1, min(start + _MOST_LETTERS, len(words)) + 1):
            part = words[start:end]
            spelt_out = all(len(word.letters) == 1 for word in part)
            if end - start > longest and not spelt_out:
                break
            labels = vocabulary.get(tuple(word.key for word in part))
            if labels is None and (spelt_out or end - start <= _MOST_PARTS):
                labels = _joined(part, spelt_out)
            if labels is not None:
                yield _Naming(start, end, " ".join(word.letters for word in part), labels)


def _joined(part: Sequence[_Word], spelt_out: bool) -> frozenset[str] | None:
    """What words name when they are read as one: letters spelt out, a word cut up, or words run together.

    A short name in two words is taken for one only where no space parts them or a threat is named, because "to y" is
    no toy.
    """
    letters = "".join(word.letters for word in part)
    labels = _run_together().get(_key(letters))
    if labels is None or len(letters) > _SHORT or spelt_out:
        return labels
    parted = any(" " in word.gap or "\n" in word.gap for word in part[1:])
    return None if parted and not labels & _threats() else labels
