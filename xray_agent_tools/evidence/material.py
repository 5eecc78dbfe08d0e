"""Material shares from the pseudo-colour.

Dual-energy scanners paint low effective atomic numbers orange, medium ones green, high ones blue and what
they cannot penetrate black. The hue bands are those measured on scans of several public datasets: orange
15..60 degrees, green 75..150, blue 195..240; a pixel counts for the band whose centre is nearest.

A pixel shows the mean along its ray. What the surroundings attenuate is taken off first, so that the colour of a blade
in a pile of clothes is that of the blade.
"""

from __future__ import annotations

from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from xray_agent_tools.evidence.surroundings import Surroundings, surroundings_of
from xray_agent_tools.report import Box, Material

_Number = TypeVar("_Number", bound=np.generic)

OPAQUE_VALUE = 46
"""Brightest channel value (0..255) of a pixel that is too dark to tell: 18 % of full brightness."""

_BELT_VALUE = 235
_COLOURLESS = 0.06
_BAND_CENTRES = np.array([36.0, 112.0, 215.0])
_STANDS_OUT = 1.15
_FEWEST_PIXELS = 4
_ATTENUATION = np.log(256 / np.arange(1, 257)).astype(np.float32)


def brightest(pixels: NDArray[_Number]) -> NDArray[_Number]:
    """The largest of the three channels, shape (..., 3) to (...); many times as fast as ``max(axis=-1)``."""
    return np.asarray(np.maximum(np.maximum(pixels[..., 0], pixels[..., 1]), pixels[..., 2]))


def hue_and_saturation(pixels: NDArray[np.uint8]) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Hue in degrees 0..360 and saturation 0..1 of RGB pixels, shape (..., 3)."""
    values = pixels.astype(np.float32)
    highest, lowest = brightest(values), -brightest(-values)
    chroma = np.maximum(highest - lowest, 1e-6)
    red, green, blue = values[..., 0], values[..., 1], values[..., 2]
    sector = np.where(
        highest == red,
        ((green - blue) / chroma) % 6,
        np.where(highest == green, (blue - red) / chroma + 2, (red - green) / chroma + 4),
    )
    saturation = np.where(highest > 0, (highest - lowest) / np.maximum(highest, 1), 0)
    return (60 * sector).astype(np.float32), saturation.astype(np.float32)


def material_in(pixels: NDArray[np.uint8], box: Box) -> Material | None:
    """Shares of what stands out in a box by material colour.

    The median attenuation of a ring around the box is taken off every pixel, channel by channel, and pixels that exceed
    the ring's median by less than 15 % are left out. Where nothing stands out, the shares are those of everything in the
    box, surroundings included.

    Args:
        pixels: RGB of a pseudo-coloured view, shape (height, width, 3), 0..255.
        box: where to look, in pixels.

    Returns:
        The shares, or None if nothing in the box attenuates or shows a colour.
    """
    place = surroundings_of(pixels, box)
    if place is None:
        return None
    window = place.window(pixels)
    inside = place.inside(window).reshape(-1, 3)
    attenuating = inside.min(axis=1) < _BELT_VALUE
    opaque = attenuating & (brightest(inside) <= OPAQUE_VALUE)
    own, stands_out = _without_surroundings(window, place)
    counts = _counted(own[stands_out & ~opaque], int((opaque & stands_out).sum()))
    if sum(counts) < _FEWEST_PIXELS:
        counts = _counted(inside[attenuating & ~opaque], int(opaque.sum()))
    return _shared(counts)


def _without_surroundings(
    window: NDArray[np.uint8], place: Surroundings
) -> tuple[NDArray[np.uint8], NDArray[np.bool_]]:
    """The box's pixels, shape (n, 3), as they would be without the ring's median, and which of them stand out from it."""
    attenuation = _ATTENUATION[window]
    inside = place.inside(attenuation).reshape(-1, 3)
    ring = place.ring(attenuation)
    if not len(ring):
        return place.inside(window).reshape(-1, 3), np.ones(len(inside), dtype=bool)
    excess = np.maximum(inside - np.median(ring, axis=0), 0)
    own = np.asarray(np.clip(256 * np.exp(-excess) - 1, 0, 255), dtype=np.uint8)
    return own, inside.mean(axis=1) > _STANDS_OUT * float(np.median(ring.mean(axis=1)))


def _counted(pixels: NDArray[np.uint8], opaque: int) -> list[int]:
    """Pixels, shape (n, 3), that attenuate and show a colour, by band; and those too dark to tell."""
    shown = pixels[pixels.min(axis=1, initial=255) < _BELT_VALUE]
    hue, saturation = hue_and_saturation(shown)
    distance = np.abs(hue[saturation >= _COLOURLESS, None] - _BAND_CENTRES)
    nearest = np.minimum(distance, 360 - distance).argmin(axis=1)
    return [*np.bincount(nearest, minlength=3)[:3].tolist(), opaque]


def _shared(counts: list[int]) -> Material | None:
    """Counts as shares that sum to 1."""
    total = sum(counts)
    if total == 0:
        return None
    shares = [round(count / total, 3) for count in counts]
    shares[int(np.argmax(shares))] += 1 - sum(shares)
    organic, mixed, metal, dark = (round(share, 3) for share in shares)
    return Material(organic=organic, mixed=mixed, metal=metal, opaque=dark)
