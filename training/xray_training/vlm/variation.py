"""Showing the same bag in another way: mirrored, turned, smaller, or as another scanner might.

What is asked must stay true. Boxes move with the picture; a question whose words speak of a place in the picture is left
out where the picture was moved. Yes-or-no answers lose the words after the yes or no instead: a yes tells places more
often than a no does, and leaving out such pairs would teach that moved pictures hold less.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from xray_training.datasets.pairs import Pair, Place
from xray_training.detector.augment import Augmentation, rescan
from xray_training.vlm.config import VariationSettings

_OF_PLACE = re.compile(
    r"\b(left|right|upper|lower|top|bottom|above|below|centre|center|central|middle|corner|edge|horizontal\w*|vertical\w*)\b",
    re.IGNORECASE,
)
_WHITE = 255

Pixels = NDArray[np.uint8]


@dataclass(frozen=True, slots=True)
class Move:
    """A mirror, a number of quarter turns, and a white margin, that keep the frame.

    Attributes:
        mirrored: whether left and right are exchanged, before all else.
        turns: quarter turns, counter-clockwise, 0..3.
        scale: how large the picture is in the frame, a share of each side.
        offset: where its upper left corner lies, shares of the frame's sides.
    """

    mirrored: bool = False
    turns: int = 0
    scale: tuple[float, float] = (1.0, 1.0)
    offset: tuple[float, float] = (0.0, 0.0)

    def place(self, place: Place) -> Place:
        """Where a box comes to lie."""
        xs, ys = (place.x_min, place.x_max), (place.y_min, place.y_max)
        if self.mirrored:
            xs = (1 - xs[1], 1 - xs[0])
        for _ in range(self.turns):
            xs, ys = ys, (1 - xs[1], 1 - xs[0])
        left, right = (min(1.0, self.offset[0] + self.scale[0] * x) for x in xs)
        upper, lower = (min(1.0, self.offset[1] + self.scale[1] * y) for y in ys)
        return Place(label=place.label, x_min=left, y_min=upper, x_max=right, y_max=lower)

    def show(self, pixels: Pixels) -> Pixels:
        """The picture, (height, width, 3), moved; quarter turns exchange height and width."""
        moved = np.rot90(pixels[:, ::-1] if self.mirrored else pixels, self.turns)
        if self.scale == (1.0, 1.0):
            return np.ascontiguousarray(moved)
        height, width = moved.shape[:2]
        left, upper = round(self.offset[0] * width), round(self.offset[1] * height)
        size = (max(1, round(self.scale[0] * width)), max(1, round(self.scale[1] * height)))
        small = Image.fromarray(np.ascontiguousarray(moved)).resize(size, Image.Resampling.BILINEAR)
        canvas = np.full_like(moved, _WHITE)
        part = np.asarray(small)[: height - upper, : width - left]
        canvas[upper : upper + part.shape[0], left : left + part.shape[1]] = part
        return canvas


STILL = Move()


def speaks_of_place(pair: Pair) -> bool:
    """Whether question or answer tell where in the picture something lies, other than by boxes."""
    return bool(_OF_PLACE.search(pair.question) or _OF_PLACE.search(pair.answer))


def draw_move(settings: VariationSettings, rng: np.random.Generator) -> Move:
    """A move at random, or none."""
    if rng.random() >= settings.moved:
        return STILL
    scale = 1 - settings.margin * rng.random(2)
    offset = (1 - scale) * rng.random(2)
    return Move(
        bool(rng.integers(2)),
        int(rng.integers(4)),
        (float(scale[0]), float(scale[1])),
        (float(offset[0]), float(offset[1])),
    )


def as_another_scanner(pixels: Pixels, settings: VariationSettings, rng: np.random.Generator) -> Pixels:
    """The same bag as another scanner might show it, at times: palette, gain, sharpness, noise, compression."""
    return rescan(pixels, Augmentation(), rng) if rng.random() < settings.rescan else pixels
