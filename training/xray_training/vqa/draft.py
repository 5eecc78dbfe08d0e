"""A question and its answer before they are written down."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from xray_training.datasets.pairs import Boxes, Choice, Count, Items, Kind, Named, Place, Truth, YesNo
from xray_training.vqa.scene import Scene

Negative = Literal["random", "popular", "look_alike"]
Window = tuple[float, float, float, float]
"""Left, top, right and bottom of a part of the picture, in shares of it."""


@dataclass(frozen=True, slots=True)
class Draft:
    """A pair in the making.

    Attributes:
        kind, question, answer, truth, asked, places, negative: as the pair will have them.
        scene: what it is about.
        told: what the words of the question give away; answers are balanced among drafts that give away the same. None
            where there is nothing to balance.
        of_the_told: the answer as it is balanced; the truth's own when empty.
        window: the part of the picture that is shown; None for the whole.
    """

    kind: Kind
    scene: Scene
    question: str
    answer: str
    truth: Truth
    asked: tuple[str, ...] = ()
    places: tuple[Place, ...] = ()
    negative: Negative | None = None
    told: str | None = None
    of_the_told: str = ""
    window: Window | None = None


def answer_of(truth: Truth) -> str:
    """The answer in one spelling, by which answers are compared and counted."""
    match truth:
        case YesNo(yes=yes):
            return "yes" if yes else "no"
        case Choice(word=word):
            return word
        case Count(number=number):
            return str(number)
        case Items(counts=counts):
            return ", ".join(f"{count} {label}" for label, count in sorted(counts.items())) or "nothing"
        case Named(labels=labels):
            return ", ".join(labels)
        case Boxes(label=label):
            return label
        case _:
            return "refused"
