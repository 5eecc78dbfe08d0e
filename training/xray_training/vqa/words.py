"""Labels in the words of a question or an answer."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from xray_agent_tools.taxonomy import taxonomy
from xray_agent_tools.wording import counted, listed, words_of
from xray_training.vqa.scene import Thing

UNSAID = frozenset({"bag", "other_sharp"})
"""Labels that no question is about: every question speaks of the bag, and the other name covers all sharp things."""

UNCOUNTED = frozenset({"clothes", "textiles", "tableware", "small_electronics", "shoes", "keys", "auto_parts"})
"""Labels that nobody counts piece by piece."""

_OTHER_NAMES = {"gun_3d_printed": "3D-printed gun", "can": "drinks can"}
_OTHER_PLURALS = {"gun_3d_printed": "3D-printed guns", "can": "drinks cans"}


def said(labels: Iterable[str]) -> frozenset[str]:
    """Those labels that a question may be about."""
    return frozenset(labels).intersection(taxonomy().labels) - UNSAID


def name_of(label: str) -> str:
    """A label as a question has it; the matcher of declarations reads the name as that label."""
    return _OTHER_NAMES.get(label) or words_of(label)


def many(label: str) -> str:
    """Several of them: "knives"."""
    return _OTHER_PLURALS.get(label) or counted(label, 2).removeprefix("2 ")


def is_plural(label: str) -> bool:
    """Whether one of them takes a plural verb, as scissors do."""
    return many(label) == name_of(label)


def some(label: str) -> str:
    """One of them with its article, or the bare plural: "an umbrella", "scissors"."""
    name = name_of(label)
    if is_plural(label):
        return name
    if label == "tableware":
        return name
    return f"{'an' if name[0] in 'aeiou' else 'a'} {name}"


def number_of(label: str, count: int) -> str:
    """So many of them: "2 knives", "1 gun"; just the name where nobody counts them."""
    if label in UNCOUNTED:
        return name_of(label)
    return f"{count} {name_of(label) if count == 1 else many(label)}"


def grammar(label: str) -> dict[str, str]:
    """What the wordings of a question about one label are filled with."""
    plural = is_plural(label)
    return {
        "one": name_of(label),
        "some": some(label),
        "many": many(label),
        "is": "are" if plural else "is",
        "Is": "Are" if plural else "Is",
        "does": "do" if plural else "does",
        "lies": "lie" if plural else "lies",
    }


def regions_of(things: Sequence[Thing]) -> str:
    """Where things are, each place once: "upper-left and centre"."""
    return listed(list(dict.fromkeys(thing.region for thing in things)))


def found_in_words(things: Sequence[Thing]) -> str:
    """What things there are, counted, with their places: "2 knives (centre and lower-right) and 1 gun (upper-left)"."""
    by_label: dict[str, list[Thing]] = {}
    for thing in things:
        by_label.setdefault(thing.label, []).append(thing)
    return listed([f"{number_of(label, len(group))} ({regions_of(group)})" for label, group in by_label.items()])


def choices(names: Sequence[str]) -> str:
    """Names to choose from: "a, b or c"."""
    return " or ".join([", ".join(names[:-1]), names[-1]]) if len(names) > 1 else "".join(names)
