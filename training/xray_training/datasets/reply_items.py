"""Items and numbers that a reply names, in words."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache, lru_cache

from xray_agent_tools.declaration.matcher import find_items, words_in
from xray_agent_tools.taxonomy import taxonomy
from xray_agent_tools.wording import as_read, counted

NUMBER_WORDS = {
    "zero": 0,
    "one": 1,
    "two": 2,
    "three": 3,
    "four": 4,
    "five": 5,
    "six": 6,
    "seven": 7,
    "eight": 8,
    "nine": 9,
    "ten": 10,
    "eleven": 11,
    "twelve": 12,
    "thirteen": 13,
    "fourteen": 14,
    "fifteen": 15,
    "sixteen": 16,
    "seventeen": 17,
    "eighteen": 18,
    "nineteen": 19,
    "twenty": 20,
}
_BEFORE_ITEMS = NUMBER_WORDS | {
    "a": 1,
    "an": 1,
    "single": 1,
    "pair": 2,
    "couple": 2,
    "both": 2,
    "dozen": 12,
    "no": 0,
    "none": 0,
}
_REACH = 3
_MOST_DIGITS = 6
_PARTS = re.compile(r"[,.;:()\[\]\n]|\b(?:but|and|plus|with|or|at|in|on)\b")
_THE_BAG_ITSELF = re.compile(
    r"\b(the|this|that|my|his|her|their|your) (bag|suitcase|baggage|luggage|backpack|handbag)\b"
    r"|\b(of|in|inside|within) an? (bag|backpack|handbag)\b"
)
_I_SAW = re.compile(r"\b(i|we|one) saw\b")
_NO_SIGN_OF = re.compile(r"\b(sign|evidence|trace|indication|hint)s? of (an?|any)?\b")
_DENIED_AFTER = re.compile(
    r"[^,.;\n]{0,60}?(\b(is|are|was|were|be|been)\W+not (present|there|visible|seen|detected|found|shown|in)\b"
    r"|\b(is|are|was|were) (absent|missing|nowhere)\b|\b(cannot|can not|could not) be (seen|found|detected)\b)"
)
_NOT_LOOKED_FOR = re.compile(r"\b(?:(?:did|does|do|could) not cover|look(?:s|ed|ing)? for) [^.;\n]*")
_NOT_SEEN = re.compile(
    r"\bnot (?:make out|see|find|detect|spot|identify|recogni[sz]e|notice|show|contain|hold|include)\b"
    r" (?:(?:an?|any|the) )?"
)
_DENIED_LIST = re.compile(r"\bno ((?:(?!\b(?:but|however|though)\b)[^.;:()\n])*)")
_LIST_MARK = re.compile(r"\s*,\s*(?:and |or )?|\s+(?:and|or)\s+")
_SOMETHING_NEW = re.compile(rf"(?:an?|the|some|there|it|its|i|this|that|which|\d+|{'|'.join(NUMBER_WORDS)})\b|$")
_MODAL = r"(?!\s+(?:(?:still|also|only|not)\s+)?(?:be|see|tell|say|detect|find|identify|have|make|not|still|also)\b)"


@dataclass(frozen=True, slots=True)
class NamedItems:
    """The labels that a text claims to be there, and those that it names only to deny them, in its order."""

    claimed: tuple[str, ...]
    denied: tuple[str, ...]


@lru_cache(maxsize=256)
def named_in(text: str) -> NamedItems:
    """Find the items that a reply names by canonical name or alias; a word for many kinds names none of them."""
    match = find_items(_prepared(text))
    claimed = dict.fromkeys(label for phrase in match.phrases for label in _labels(phrase))
    denied = dict.fromkeys(label for phrase in match.negated for label in find_items(phrase).labels)
    denied |= dict.fromkeys(label for label in claimed if _denied_after(text, label))
    return NamedItems(tuple(label for label in claimed if label not in denied), tuple(denied))


def label_named(name: str) -> str | None:
    """The label of a name that stands alone, as in a list; None if it is none or several."""
    if (written := "_".join(as_read(name).casefold().split())) in taxonomy().labels:
        return written
    found = named_in(name).claimed
    return found[0] if len(found) == 1 else None


def counts_in(text: str) -> dict[str, int | None]:
    """How many of each claimed item a reply says there are; None where it does not say, or not in one way.

    "A knife at the left and a knife at the right" gives no one number, for each may be a further one.
    """
    found: dict[str, list[int]] = {}
    for part in _PARTS.split(_prepared(text)):
        words = words_in(part)
        for label, start in _starts(part, words):
            before = [n for word in words[max(0, start - _REACH) : start] if (n := number_of(word)) is not None]
            found.setdefault(label, []).extend(before[-1:])
    return {label: agreed(found.get(label, [])) for label in named_in(text).claimed}


def number_of(word: str) -> int | None:
    """The number that a word or digits mean before an item ("a" is one), or None."""
    if word.isdecimal() and len(word) <= _MOST_DIGITS:
        return int(word)
    return _BEFORE_ITEMS.get(word)


def agreed(numbers: Sequence[int]) -> int | None:
    """The one number that all say; None if there are several, or more than one "one", for each may be a further one."""
    return numbers[0] if len(set(numbers)) == 1 and (len(numbers) == 1 or numbers[0] != 1) else None


def _starts(part: str, words: list[str]) -> Iterator[tuple[str, int]]:
    """Each label that a part names, with where its words start."""
    for phrase in find_items(part).phrases:
        sought = words_in(phrase.partition(": ")[2])
        for label in _labels(phrase):
            for start in range(len(words) - len(sought) + 1):
                if words[start : start + len(sought)] == sought:
                    yield label, start


def _labels(phrase: str) -> tuple[str, ...]:
    kind, _, words = phrase.partition(": ")
    return find_items(words).labels if kind == "alias" else ()


def _denied_after(text: str, label: str) -> bool:
    """Whether a text denies an item behind its name: "a knife is not present"."""
    prepared = _prepared(text)
    names = (*taxonomy().item(label).aliases, counted(label, 2).removeprefix("2 "), label.replace("_", " "))
    return any(
        _DENIED_AFTER.match(prepared, found.end())
        for name in names
        for found in re.finditer(rf"\b{re.escape(name)}s?\b", prepared)
    )


@lru_cache(maxsize=256)
def _prepared(text: str) -> str:
    """A text with canonical names in words that the matcher knows, and without what only looks like an item."""
    lowered = as_read(text).casefold().replace("cannot", "can not")
    lowered = re.sub(r"n't\b", " not", lowered)
    for nothing in (_THE_BAG_ITSELF, _I_SAW, _NO_SIGN_OF, _NOT_LOOKED_FOR):
        lowered = nothing.sub(" ", lowered)
    lowered = _DENIED_LIST.sub(_spread, _NOT_SEEN.sub("no ", lowered))
    pattern, plain = _odd_names()
    renamed = pattern.sub(lambda found: plain[" ".join(re.split(r"[\s_-]+", found.group()))], lowered)
    return _can_as_item().sub("tin", renamed)


def _spread(denial: re.Match[str]) -> str:
    """A denial said of each item of a list: "no gun, knife or bat" as "no gun, no knife, no bat"."""
    said, position = "no ", 0
    for mark in _LIST_MARK.finditer(denial.group(1)):
        if _SOMETHING_NEW.match(denial.group(1), mark.end()):
            break
        said += denial.group(1)[position : mark.start()] + ", no "
        position = mark.end()
    return said + denial.group(1)[position:]


@cache
def _odd_names() -> tuple[re.Pattern[str], dict[str, str]]:
    """Canonical names, singular and plural, that the matcher does not read as their own label, with an alias it does."""
    plain: dict[str, str] = {}
    for item in taxonomy().items:
        alias = next(alias for alias in item.aliases if find_items(alias).labels == (item.label,))
        for name in (item.words, counted(item.label, 2).removeprefix("2 ")):
            if " " in name and find_items(name).labels != (item.label,):
                plain[name] = alias
    names = sorted(plain, key=len, reverse=True)
    spelt = "|".join(r"[\s_-]+".join(map(re.escape, name.split())) for name in names)
    return re.compile(rf"(?<![^\W_])(?:{spelt})(?![^\W_])"), plain


@cache
def _can_as_item() -> re.Pattern[str]:
    """The can that holds something, not the one that may: behind a number or an article, or in a list."""
    before = [*_BEFORE_ITEMS, "the", "any", "another", *map(str, range(10))]
    behind = "|".join(rf"(?<={re.escape(word)} )" for word in before)
    aliases = (alias.split() for item in taxonomy().items for alias in item.aliases)
    longer = "".join({rf"(?<!{re.escape(words[-2])} )" for words in aliases if words[-1] == "can" and len(words) > 1})
    return re.compile(
        rf"{longer}\bcans\b|(?:^|(?<=[,:;\"\[(*])|(?<=, )|(?<=: )|(?<=\band ))can(?=\s*(?:$|[,.;:\"\])*]|and\b))"
        rf"|(?:{behind})can\b{_MODAL}",
        re.MULTILINE,
    )
