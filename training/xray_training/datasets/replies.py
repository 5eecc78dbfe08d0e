"""What a free-text reply says, held against the truth of its pair.

The same reader serves the check of generated pairs, the gates of training and the evaluation, so that a reply cannot
count as right in one place and as wrong in another.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from xray_training.datasets.pairs import Boxes, Choice, Count, Items, Named, Pair, Place, Refused, YesNo
from xray_training.datasets.reply_items import counts_in, label_named, named_in
from xray_training.datasets.reply_json import boxes_of, counts_of, document_in, names_of, values_in
from xray_training.datasets.reply_words import choice_in, denies_all, guesses, number_in, refuses, yes_in

Verdict = Literal["right", "wrong", "unparsed"]
"""``unparsed`` replies are no answers; whoever counts them counts them as wrong."""

IOU_RIGHT = 0.5
NOTHING = "nothing"
"""What a region that holds no item of the taxonomy is called."""

_LONGEST = 4000
_MARK = re.compile(r"<box:(\d{1,4})>")
_NUMBERED = re.compile(
    r"(?:^|[\n;,.]|\band\b)[\s*]*(?:the )?(?:region|box)?\s*#?(\d{1,3})[\s*]*(?:[:.)=-]|\b(?:is|holds|contains|shows)\b)",
    re.IGNORECASE,
)
_CORNERS = re.compile(r"[\[(]\s*\d+(?:\.\d+)?(?:\s*,\s*\d+(?:\.\d+)?){3}\s*[\])]")


@dataclass(frozen=True, slots=True)
class Reading:
    """What was understood of a reply; every field that the pair's truth does not ask for is None.

    Attributes:
        yes: it says yes, or no.
        word: the option that it names.
        number: how many it counts.
        counts: the labels that it names, with how many of each it says there are (None: it does not say).
        unknown: names in its inventory that are no label of the taxonomy.
        boxes: where it points, in shares of the picture.
        labels: what it calls each region, in the pair's order (None: it does not say).
        refused: it says that the picture does not tell.
        guessed: it offers a guess beside.
    """

    yes: bool | None = None
    word: str | None = None
    number: int | None = None
    counts: Mapping[str, int | None] | None = None
    unknown: tuple[str, ...] = ()
    boxes: tuple[Place, ...] | None = None
    labels: tuple[str | None, ...] | None = None
    refused: bool = False
    guessed: bool = False

    @property
    def understood(self) -> bool:
        """Whether it answers in the way that was asked for; a refusal answers nothing else."""
        answers = (self.yes, self.word, self.number, self.counts, self.boxes, self.labels)
        return any(answer is not None for answer in answers)


def read_reply(pair: Pair, reply: str, *, size: tuple[int, int] | None = None) -> Reading:
    """Read a reply in the way that its pair's truth asks for. Any text gives a reading.

    Args:
        pair: what was asked.
        reply: what was answered; what is behind 4,000 characters is not read.
        size: width and height of the picture that boxes are relative to, in the model's unit: the pixels of the
            picture that was sent, or (1000, 1000) for a model that answers in thousandths. None for boxes in shares.
    """
    text = _unwrapped(reply[:_LONGEST], pair)
    refused, guessed = refuses(text), guesses(text)
    match pair.truth:
        case YesNo():
            yes = yes_in(text, pair.asked, hidden=pair.kind == "occlusion", question=pair.question)
            return Reading(yes=yes, refused=refused, guessed=guessed)
        case Choice(options=options):
            word = None if refused else choice_in(text, options)
            return Reading(word=word, refused=refused, guessed=guessed)
        case Count():
            number = None if refused else number_in(text, pair.asked)
            return Reading(number=number, refused=refused, guessed=guessed)
        case Items():
            return _items(pair, text, refused=refused)
        case Boxes(label=label):
            return Reading(boxes=_boxes(pair, text, label, size), refused=refused)
        case Named(labels=labels):
            return Reading(labels=_labels(text, len(labels)), refused=refused)
        case Refused():
            return Reading(refused=refused, guessed=guessed)


def verdict_of(pair: Pair, reply: str, *, size: tuple[int, int] | None = None) -> Verdict:
    """Whether a reply is right, wrong, or no answer; see ``read_reply`` for the arguments.

    Right is a reply that says all of the truth and nothing against it: of the labels that were asked about, those that
    are there, and the same number of each where it gives one (an inventory always does); as many boxes as there are,
    each with an IoU of at least 0.5 to another one; the right label for every region; a refusal without a guess.
    """
    reading = read_reply(pair, reply, size=size)
    if isinstance(pair.truth, Refused):
        if not reply.strip():
            return "unparsed"
        return "right" if reading.refused and not reading.guessed else "wrong"
    if not reading.understood:
        return "unparsed"
    return "right" if _agrees(pair, reading) else "wrong"


def _agrees(pair: Pair, reading: Reading) -> bool:
    match pair.truth:
        case YesNo(yes=yes):
            return reading.yes == yes
        case Choice(word=word):
            return reading.word == word
        case Count(number=number):
            return reading.number == number
        case Items(counts=counts):
            said = {label: n for label, n in (reading.counts or {}).items() if not pair.asked or label in pair.asked}
            there = {label: count for label, count in counts.items() if count}
            return (
                not reading.unknown
                and said.keys() == there.keys()
                and all(number in (None, there[label]) for label, number in said.items())
            )
        case Boxes():
            return _same_boxes(wanted_boxes(pair), reading.boxes or ())
        case Named(labels=labels):
            return reading.labels == labels
        case Refused():
            return reading.refused and not reading.guessed


def wanted_boxes(pair: Pair) -> tuple[Place, ...]:
    """The boxes that a grounding question asks for: the pair's places of the label."""
    label = pair.truth.label if isinstance(pair.truth, Boxes) else None
    return tuple(place for place in pair.places if place.label == label)


def iou(one: Place, other: Place) -> float:
    """Intersection over union of two boxes of one picture, 0..1."""
    width = min(one.x_max, other.x_max) - max(one.x_min, other.x_min)
    height = min(one.y_max, other.y_max) - max(one.y_min, other.y_min)
    if width <= 0 or height <= 0:
        return 0.0
    areas = [(box.x_max - box.x_min) * (box.y_max - box.y_min) for box in (one, other)]
    return width * height / (sum(areas) - width * height)


def matched(wanted: Sequence[Place], found: Sequence[Place]) -> list[float]:
    """The IoU of each wanted box with the box that is taken for it, 0 where none is left: the best overlaps first."""
    overlaps = sorted(((iou(w, f), i, j) for i, w in enumerate(wanted) for j, f in enumerate(found)), reverse=True)
    best, taken = [0.0] * len(wanted), set()
    done: set[int] = set()
    for overlap, i, j in overlaps:
        if overlap > 0 and i not in done and j not in taken:
            best[i] = overlap
            done.add(i)
            taken.add(j)
    return best


def _same_boxes(wanted: Sequence[Place], found: Sequence[Place]) -> bool:
    return len(wanted) == len(found) and all(overlap >= IOU_RIGHT for overlap in matched(wanted, found))


def _unwrapped(reply: str, pair: Pair) -> str:
    """The answer inside a JSON object that has one, where the question asks for words."""
    if isinstance(pair.truth, Items | Boxes | Named):
        return reply
    document = document_in(reply) if reply.lstrip().startswith(("{", "```")) else None
    if isinstance(document, dict):
        answer = next((document[key] for key in ("answer", "count", "label") if key in document), None)
        if isinstance(answer, bool):
            return "yes" if answer else "no"
        if isinstance(answer, str | int):
            return str(answer)
    return reply


def _items(pair: Pair, text: str, *, refused: bool) -> Reading:
    document = document_in(text)
    inventory = counts_of(document) if document is not None else None
    if inventory is not None:
        counts, unknown = inventory
        return Reading(counts=dict(counts), unknown=unknown, refused=refused)
    if pair.kind == "inventory":
        return Reading(refused=refused)
    said = counts_in(text)
    understood = bool(said) or (denies_all(text) and not refused)
    return Reading(counts=said if understood else None, refused=refused)


def _boxes(pair: Pair, text: str, label: str, size: tuple[int, int] | None) -> tuple[Place, ...] | None:
    marks = [int(number) for number in _MARK.findall(text)]
    if marks:
        return tuple(pair.places[number] for number in marks if number < len(pair.places))
    values: list[Any] = list(values_in(text))
    found = [place for value in values for place in boxes_of(value, label, size or (1, 1))]
    if found:
        return tuple(found)
    empty = any(value in ([], {}) or _lists_nothing(value) for value in values)
    return () if empty or (not values and not refuses(text) and denies_all(text)) else None


def _lists_nothing(value: Any) -> bool:
    return isinstance(value, dict) and bool(value) and all(part == [] for part in value.values())


def _labels(text: str, regions: int) -> tuple[str | None, ...] | None:
    """What a reply calls each region: by JSON, by the region's number or box, or by a list as long as the regions."""
    named = names_of(document_in(text)) or _named_by_box(text, regions) or _named_by_number(text)
    if not named:
        parts = [part for part in re.split(r"[,;\n]|\band\b", text) if part.strip()]
        named = [(None, part) for part in parts] if len(parts) == regions else []
    first = 0 if any(number == 0 for number, _ in named) else 1
    found: list[str | None] = [None] * regions
    for position, (number, name) in enumerate(named):
        place = position if number is None else number - first
        if 0 <= place < regions:
            found[place] = _region_label(name)
    return tuple(found) if any(found) else None


def _named_by_number(text: str) -> list[tuple[int | None, str]]:
    _, *parts = _NUMBERED.split(_CORNERS.sub(" ", text))
    return [(int(number), name) for number, name in zip(parts[::2], parts[1::2], strict=True)]


def _named_by_box(text: str, regions: int) -> list[tuple[int | None, str]]:
    """Names behind their boxes, or before them; boxes come as marks or as numbers, in the pair's order."""
    marks = _MARK.split(text)
    if len(marks) > 1:
        before, *parts = marks
        numbers, names = [int(part) for part in parts[::2]], parts[1::2]
    else:
        before, *names = _CORNERS.split(text)
        numbers = list(range(len(names)))
        if len(names) != regions:
            return []
    if named_in(before).claimed:
        names = [before, *names[:-1]]
    return list(zip([number + 1 for number in numbers], names, strict=True))


def _region_label(name: str) -> str | None:
    label = label_named(name)
    return label or (NOTHING if denies_all(name) and not named_in(name).claimed else None)
