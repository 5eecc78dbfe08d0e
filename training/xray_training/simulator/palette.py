"""Virtual scanners: how two transmissions become the pseudo-colour an officer sees.

The ratio ``R = ln T_low / ln T_high`` tells the effective atomic number; beam hardening makes it fall
with thickness, so the calibration is a table over the high-energy attenuation. Brightness follows the
high-energy transmission with a gamma. Orange is organic, green mixed, blue metal, black opaque.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

_ATTENUATIONS = np.array([0.02, 0.1, 0.25, 0.5, 1.0, 1.5, 2.0, 3.0, 4.0])
_ATOMIC_NUMBERS = np.array([6.0, 7.4, 9.0, 10.0, 13.0, 16.0, 20.0, 26.0])
_RATIOS = np.array(
    [
        [1.181, 1.179, 1.176, 1.170, 1.162, 1.155, 1.149, 1.140, 1.134],
        [1.276, 1.269, 1.258, 1.242, 1.220, 1.204, 1.192, 1.175, 1.163],
        [1.365, 1.351, 1.329, 1.302, 1.265, 1.242, 1.225, 1.202, 1.187],
        [1.541, 1.507, 1.459, 1.405, 1.342, 1.306, 1.282, 1.249, 1.227],
        [1.985, 1.872, 1.740, 1.618, 1.501, 1.441, 1.401, 1.346, 1.305],
        [2.463, 2.232, 2.001, 1.816, 1.657, 1.574, 1.516, 1.428, 1.363],
        [2.989, 2.607, 2.272, 2.034, 1.834, 1.720, 1.632, 1.500, 1.410],
        [3.441, 2.928, 2.516, 2.244, 2.009, 1.852, 1.728, 1.555, 1.446],
    ]
)

_LEVELS = np.array([0, 16, 48, 80, 112, 144, 176, 208, 240, 255], dtype=np.float64)
_ORANGE = [(0, 0, 0), (28, 18, 0), (70, 50, 12), (113, 82, 30), (152, 105, 44), (188, 138, 70)]
_ORANGE += [(211, 172, 126), (231, 208, 179), (244, 227, 206), (255, 255, 255)]
_GREEN = [(0, 0, 0), (8, 28, 3), (36, 66, 30), (60, 97, 47), (90, 134, 71), (124, 168, 104)]
_GREEN += [(155, 193, 140), (196, 216, 178), (225, 239, 204), (255, 255, 255)]
_BLUE = [(0, 0, 0), (3, 22, 50), (23, 56, 101), (47, 85, 145), (76, 114, 182), (118, 148, 204)]
_BLUE += [(154, 178, 220), (190, 208, 237), (216, 230, 252), (255, 255, 255)]
_RAMPS = np.array([_ORANGE, _GREEN, _BLUE], dtype=np.float64)


@dataclass(frozen=True, slots=True)
class Scanner:
    """A virtual scanner.

    Attributes:
        pitch_mm: millimetres per pixel.
        gamma: brightness is ``255 T_high ** gamma``.
        saturation: factor on the palette's distance from grey.
        photons: photons per pixel without an object, high-energy detector.
        blur_px: standard deviation of the blur in pixels.
        scatter: share of scattered radiation.
        row_gain: standard deviation of a row's gain.
        floor: lowest transmission that can be told from black.
    """

    pitch_mm: float = 1.2
    gamma: float = 0.45
    saturation: float = 1.0
    photons: float = 12_000.0
    blur_px: float = 0.6
    scatter: float = 0.015
    row_gain: float = 0.004
    floor: float = 3e-4


SCANNERS = {
    "alder": Scanner(),
    "birch": Scanner(pitch_mm=1.5, gamma=0.40, saturation=1.5, photons=6_000, blur_px=0.8),
    "cedar": Scanner(pitch_mm=1.0, gamma=0.52, saturation=1.2, photons=20_000, blur_px=0.5, row_gain=0.008),
    "dogwood": Scanner(pitch_mm=1.8, gamma=0.48, saturation=0.7, photons=4_000, scatter=0.03),
}
"""Virtual scanners by name."""


def atomic_number(low: NDArray[np.float64], high: NDArray[np.float64]) -> NDArray[np.float64]:
    """Effective atomic number, 6..26, from the two transmissions (any shape)."""
    attenuation = np.clip(-np.log(high), _ATTENUATIONS[0], _ATTENUATIONS[-1])
    ratio = -np.log(low) / np.maximum(-np.log(high), 1e-6)
    position = np.interp(attenuation, _ATTENUATIONS, np.arange(_ATTENUATIONS.size))
    lower = np.minimum(position.astype(int), _ATTENUATIONS.size - 2)
    weight = position - lower
    number = np.full(ratio.shape, _ATOMIC_NUMBERS[0])
    for row in range(_ATOMIC_NUMBERS.size - 1):
        start = _RATIOS[row][lower] * (1 - weight) + _RATIOS[row][lower + 1] * weight
        end = _RATIOS[row + 1][lower] * (1 - weight) + _RATIOS[row + 1][lower + 1] * weight
        share = np.clip((ratio - start) / (end - start), 0, 1)
        step = _ATOMIC_NUMBERS[row + 1] - _ATOMIC_NUMBERS[row]
        number = np.where(ratio > start, _ATOMIC_NUMBERS[row] + share * step, number)
    return number


def colourise(low: NDArray[np.float64], high: NDArray[np.float64], scanner: Scanner) -> NDArray[np.uint8]:
    """Pseudo-colour of two transmissions, shape (height, width, 3), RGB 0..255."""
    number = atomic_number(low, high)
    green_from_orange = np.clip((number - 9) / 2, 0, 1)
    blue_from_green = np.clip((number - 14) / 4, 0, 1)
    weights = np.stack([1 - green_from_orange, green_from_orange * (1 - blue_from_green), blue_from_green])
    level = 255 * high**scanner.gamma
    colour = np.zeros((*level.shape, 3))
    for ramp, weight in zip(_RAMPS, weights, strict=True):
        shown = np.stack([np.interp(level, _LEVELS, ramp[:, channel]) for channel in range(3)], axis=-1)
        colour += weight[..., None] * shown
    grey = colour.mean(axis=-1, keepdims=True)
    vivid = grey + (colour - grey) * scanner.saturation
    faded = np.clip(-np.log(high) / 0.03, 0, 1)[..., None]
    return np.asarray(np.clip(255 + (vivid - 255) * faded, 0, 255), dtype=np.uint8)
