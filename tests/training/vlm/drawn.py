"""Drawn bags with questions about them, small enough for a model of a few hundred thousand parameters to learn on."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
from PIL import Image, ImageDraw
from xray_training.datasets.pairs import PAIRS_FILE, Boxes, Choice, Pair, Place, YesNo, write_pairs

LABELS = ("knife", "gun", "bottle")
COLOURS = {"knife": (30, 60, 200), "gun": (20, 20, 20), "bottle": (235, 140, 30)}
SIDE = 112
HALVES = ("left", "right")


@dataclass(frozen=True)
class Bag:
    """A drawn bag and what lies in it."""

    picture: Image.Image
    places: tuple[Place, ...]


def draw(rng: np.random.Generator, side: int = SIDE) -> Bag:
    """A bag that holds each item with an even chance, in a place of its own."""
    picture = Image.new("RGB", (side, side), "white")
    brush = ImageDraw.Draw(picture)
    places = []
    quarters = rng.permutation(4)
    for label, quarter in zip(LABELS, quarters, strict=False):
        if rng.random() < 0.5:
            left, upper = (quarter % 2) * 0.5 + 0.05, (quarter // 2) * 0.5 + 0.05
            right, lower = left + rng.uniform(0.25, 0.4), upper + rng.uniform(0.25, 0.4)
            brush.rectangle([round(side * edge) for edge in (left, upper, right, lower)], fill=COLOURS[label])
            places.append(Place(label=label, x_min=left, y_min=upper, x_max=right, y_max=lower))
    return Bag(picture, tuple(places))


def questions(bag: Bag, name: str, split: Literal["train", "val", "test"], scan: int) -> Iterator[Pair]:
    """Presence of each label, and where what is there lies."""
    about = {
        "image": f"{name}.png", "bag": f"bag-{scan}", "source": "drawn", "scanner": "none", "split": split,
    }  # fmt: skip
    for label in LABELS:
        found = tuple(place for place in bag.places if place.label == label)
        yield Pair(
            id=f"{name}-{label}", kind="presence", question=f"Is there a {label}?", answer="Yes." if found else "No.",
            asked=(label,), truth=YesNo(yes=bool(found)), negative=None if found else "random", **about,
        )  # fmt: skip
        for place in found:
            yield Pair(
                id=f"{name}-{label}-box", kind="grounding", question=f"Give the box of each {label}.", answer="<box:0>",
                asked=(label,), truth=Boxes(label=label), places=(place,), **about,
            )  # fmt: skip
            half = HALVES[place.x_min > 0.5]
            yield Pair(
                id=f"{name}-{label}-half", kind="location", question=f"In which half is the {label}?", answer=half,
                asked=(label,), truth=Choice(word=half, options=HALVES), places=(place,), **about,
            )  # fmt: skip


def write_bags(folder: Path, *, train: int = 96, val: int = 24, seed: int = 5) -> Path:
    """Draw bags and write them with their questions; returns the folder."""
    folder.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(seed)
    pairs = []
    for scan in range(train + val):
        name = f"scan-{scan:04d}"
        bag = draw(rng)
        bag.picture.save(folder / f"{name}.png")
        pairs += list(questions(bag, name, "train" if scan < train else "val", scan))
    write_pairs(pairs, folder / PAIRS_FILE)
    return folder
