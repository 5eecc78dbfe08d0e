"""Material shares from the pseudo-colour.

Dual-energy scanners paint low effective atomic numbers orange, medium ones green, high ones blue and what
they cannot penetrate black. The hue bands are those measured on scans of several public datasets: orange
15..60 degrees, green 75..150, blue 195..240; a pixel counts for the band whose centre is nearest.
"""

from __future__ import annotations

from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from xray_agent_tools.report import Box, Material

_Number = TypeVar("_Number", bound=np.generic)

OPAQUE_VALUE = 46
"""Brightest channel value (0..255) of a pixel that is too dark to tell: 18 % of full brightness."""

_BELT_VALUE = 235
_COLOURLESS = 0.06
_BAND_CENTRES = np.array([36.0, 112.0, 215.0])


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
    """Shares of the attenuating pixels in a box by material colour.

    Args:
        pixels: RGB of a pseudo-coloured view, shape (height, width, 3), 0..255.
        box: where to look, in pixels.

    Returns:
        The shares, or None if nothing in the box attenuates or shows a colour.
    """
    patch = pixels[int(box.y_min) : int(np.ceil(box.y_max)), int(box.x_min) : int(np.ceil(box.x_max))].reshape(-1, 3)
    attenuating = patch[patch.min(axis=1, initial=255) < _BELT_VALUE] if len(patch) else patch
    if not len(attenuating):
        return None
    opaque = brightest(attenuating) <= OPAQUE_VALUE
    hue, saturation = hue_and_saturation(attenuating)
    coloured = ~opaque & (saturation >= _COLOURLESS)
    distance = np.abs(hue[coloured, None] - _BAND_CENTRES)
    nearest = np.minimum(distance, 360 - distance).argmin(axis=1)
    counts = [*np.bincount(nearest, minlength=3)[:3].tolist(), int(opaque.sum())]
    total = sum(counts)
    if total == 0:
        return None
    shares = [round(count / total, 3) for count in counts]
    shares[int(np.argmax(shares))] += 1 - sum(shares)
    organic, mixed, metal, dark = (round(share, 3) for share in shares)
    return Material(organic=organic, mixed=mixed, metal=metal, opaque=dark)
