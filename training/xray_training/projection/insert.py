"""Multiplying a threat into a scan."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from xray_training.projection.reading import Reading
from xray_training.projection.threat import Threat
from xray_training.simulator.draw import Draw
from xray_training.simulator.palette import colourise

_BLUR_PX = 0.6
_TRIES = 24
_FLOOR = 3e-4
_BAG_TRANSMISSION = 0.94
_INSIDE = 0.85
_DENSE = 0.02
_MOST_DENSE = 0.4


@dataclass(frozen=True, slots=True)
class Projected:
    """A scan with a threat in it.

    Attributes:
        pixels: RGB, shape (height, width, 3), 0..255; outside the window they are the scan's own.
        box: x_min, y_min, x_max, y_max of the threat in pixels.
        label: its canonical label.
        hidden: share (0..1) of its silhouette where the bag attenuates more than it does.
        origin: where the threat comes from.
    """

    pixels: NDArray[np.uint8]
    box: tuple[float, float, float, float]
    label: str
    hidden: float
    origin: str


def project(reading: Reading, threat: Threat, draw: Draw, *, at: tuple[int, int] | None = None) -> Projected | None:
    """Put a threat into a scan.

    Args:
        reading: the scan.
        threat: the threat, at the scan's own scale.
        draw: where it goes, and the noise it adds.
        at: upper left corner of the threat in pixels; drawn within the bag, off its densest parts, when not given.

    Returns:
        The new scan, or None where the bag has no room for it.
    """
    where = threat.silhouette
    corner = (at or _place(reading, threat, draw)) if where.any() else None
    if corner is None:
        return None
    left, top = corner
    height, width = where.shape
    rows, columns = reading.pixels.shape[:2]
    if left < 0 or top < 0 or left + width > columns or top + height > rows:
        return None
    window = slice(top, top + height), slice(left, left + width)
    bag = reading.transmissions(window)
    through = np.stack([np.asarray(cv2.GaussianBlur(band, (0, 0), _BLUR_PX)) for band in threat.transmissions])
    spread = np.sqrt(np.clip(bag * through * (1 - through), 0, None) / reading.photons)
    together = bag * through + spread * draw.normals(2, height, width)
    before = colourise(np.clip(bag, _FLOOR, 1.0), reading.palette).astype(np.float64)
    after = colourise(np.clip(together, _FLOOR, 1.0), reading.palette).astype(np.float64)
    changed = reading.pixels[window] * (after + 1) / (before + 1)
    pixels = reading.pixels.copy()
    shown = (through[1] < 1 - 1e-3)[..., None]
    pixels[window] = np.where(shown, np.clip(np.round(changed), 0, 255), pixels[window]).astype(np.uint8)
    hidden = float((bag[1] < threat.transmissions[1])[where].mean())
    ys, xs = np.flatnonzero(where.any(axis=1)), np.flatnonzero(where.any(axis=0))
    box = (left + float(xs[0]), top + float(ys[0]), left + float(xs[-1]) + 1, top + float(ys[-1]) + 1)
    return Projected(pixels, box, threat.label, hidden, threat.origin)


def _place(reading: Reading, threat: Threat, draw: Draw) -> tuple[int, int] | None:
    """A corner at which the threat lies within the bag and not mostly on what no ray gets through."""
    left, top, right, bottom = reading.content
    where = threat.silhouette
    height, width = where.shape
    if right - left < width or bottom - top < height:
        return None
    brightness = reading.pixels[top:bottom, left:right].mean(axis=2) / max(
        float(np.mean(reading.palette.background)), 1.0
    )
    transmission = np.asarray(cv2.blur(brightness, (5, 5))).clip(0) ** (1 / reading.palette.gamma)
    kernel = np.ones((15, 15), np.uint8)
    bag = np.asarray(cv2.morphologyEx((transmission < _BAG_TRANSMISSION).astype(np.uint8), cv2.MORPH_CLOSE, kernel))
    dense = transmission < _DENSE
    for _ in range(_TRIES):
        x, y = draw.integer(0, right - left - width), draw.integer(0, bottom - top - height)
        window = slice(y, y + height), slice(x, x + width)
        if bag[window][where].mean() >= _INSIDE and dense[window][where].mean() <= _MOST_DENSE:
            return left + x, top + y
    return None
