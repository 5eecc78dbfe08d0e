"""Drawing solids as maps of thickness along the ray, one millimetre a pixel."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import cv2
import numpy as np
from numpy.typing import NDArray

from xray_training.simulator.materials import INDEX, MATERIALS

_SUPERSAMPLING_BITS = 4
Point = tuple[float, float]


class Solid:
    """A canvas of material thicknesses in millimetres, shape (materials, height, width).

    Coordinates are millimetres from the canvas's upper left. Drawing adds thickness; :meth:`cut` removes it.
    """

    def __init__(self, width: float, height: float) -> None:
        self.thickness: NDArray[np.float32] = np.zeros((len(MATERIALS), round(height), round(width)), np.float32)

    @property
    def size(self) -> tuple[int, int]:
        """Width and height in millimetres."""
        return self.thickness.shape[2], self.thickness.shape[1]

    def plate(self, material: str, depth: float, outline: Sequence[Point]) -> None:
        """A flat piece of the given depth."""
        self.thickness[INDEX[material]] += self._mask(outline) * np.float32(depth)

    def box(self, material: str, depth: float, left: float, top: float, right: float, bottom: float) -> None:
        """A flat rectangular piece."""
        self.plate(material, depth, [(left, top), (right, top), (right, bottom), (left, bottom)])

    def disc(self, material: str, depth: float, centre: Point, radius: float) -> None:
        """A flat round piece."""
        self.plate(material, depth, _circle(centre, radius))

    def ring(self, material: str, depth: float, centre: Point, outer: float, inner: float) -> None:
        """A flat ring."""
        band = self._mask(_circle(centre, outer)) - self._mask(_circle(centre, inner))
        self.thickness[INDEX[material]] += np.clip(band, 0, 1) * np.float32(depth)

    def rod(self, material: str, start: Point, end: Point, radius: float, *, wall: float | None = None) -> None:
        """A cylinder seen from the side, or a tube when ``wall`` (mm) is given: chord length per ray."""
        height, width = self.thickness.shape[1:]
        y, x = np.mgrid[0:height, 0:width].astype(np.float32) + 0.5
        axis = np.subtract(end, start)
        length = float(np.hypot(*axis)) or 1.0
        direction = axis / length
        along = (x - start[0]) * direction[0] + (y - start[1]) * direction[1]
        across = np.abs((y - start[1]) * direction[0] - (x - start[0]) * direction[1])
        inside = (along >= 0) & (along <= length)
        chord = 2 * np.sqrt(np.clip(radius**2 - across**2, 0, None))
        if wall is not None:
            chord -= 2 * np.sqrt(np.clip((radius - wall) ** 2 - across**2, 0, None))
        self.thickness[INDEX[material]] += np.where(inside, chord, 0).astype(np.float32)

    def line(self, material: str, depth: float, points: Iterable[Point], breadth: float) -> None:
        """A bent bar or wire of the given breadth and depth."""
        mask = np.zeros(self.thickness.shape[1:], np.uint8)
        cv2.polylines(
            mask, [_fixed(list(points))], False, 255, max(1, round(breadth)), cv2.LINE_AA, _SUPERSAMPLING_BITS
        )
        self.thickness[INDEX[material]] += mask.astype(np.float32) / 255 * np.float32(depth)

    def cut(self, outline: Sequence[Point]) -> None:
        """Remove everything inside the outline."""
        self.thickness *= 1 - self._mask(outline)

    def cut_disc(self, centre: Point, radius: float) -> None:
        """Drill a round hole."""
        self.cut(_circle(centre, radius))

    def _mask(self, outline: Sequence[Point]) -> NDArray[np.float32]:
        mask = np.zeros(self.thickness.shape[1:], np.uint8)
        cv2.fillPoly(mask, [_fixed(list(outline))], 255, cv2.LINE_AA, _SUPERSAMPLING_BITS)
        return np.asarray(mask / 255, dtype=np.float32)


def _fixed(points: list[Point]) -> NDArray[np.int32]:
    return np.round(np.array(points) * (1 << _SUPERSAMPLING_BITS)).astype(np.int32)


def _circle(centre: Point, radius: float) -> list[Point]:
    angles = np.linspace(0, 2 * np.pi, 48, endpoint=False)
    return [(centre[0] + radius * float(np.cos(a)), centre[1] + radius * float(np.sin(a))) for a in angles]
