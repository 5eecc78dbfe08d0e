"""The pseudo-colour an officer sees, from the two transmissions.

The ratio ``R = ln T_low / ln T_high`` tells the effective atomic number; beam hardening makes it fall
with thickness, so the calibration is a table over the high-energy attenuation. Brightness follows the
high-energy transmission with a gamma.
"""

from __future__ import annotations

import colorsys
from functools import lru_cache
from typing import Any

import numpy as np
from array_api_compat import array_namespace, device
from numpy.typing import NDArray

from xray_training.simulator.scanners import Palette

Array = Any
"""A NumPy or torch array."""

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

_LUMINANCE = np.array([0.299, 0.587, 0.114])
_BRIGHTNESSES = 512
_RATIO_STEPS = 128
_LEAST_RATIO, _GREATEST_RATIO = 0.9, 3.6
_FAINT = 0.03


def atomic_number(ratio: NDArray[np.float64], attenuation: NDArray[np.float64]) -> NDArray[np.float64]:
    """Effective atomic number, 6..26, from the ratio R and the high-energy attenuation, which are broadcast."""
    clipped = np.clip(attenuation, _ATTENUATIONS[0], _ATTENUATIONS[-1])
    curves = [np.interp(clipped, _ATTENUATIONS, row) for row in _RATIOS]
    number = np.full(np.broadcast_shapes(ratio.shape, attenuation.shape), _ATOMIC_NUMBERS[0])
    for start, end, step in zip(curves[:-1], curves[1:], np.diff(_ATOMIC_NUMBERS), strict=True):
        number += np.clip((ratio - start) * (step / (end - start)), 0, step)
    return number


def colourise(measured: Array, palette: Palette) -> Array:
    """Pseudo-colour of what was measured.

    Args:
        measured: low- and high-energy transmission, shape (2, height, width), above 0.
        palette: the scanner's colours.

    Returns:
        RGB, shape (height, width, 3), uint8.
    """
    xp = array_namespace(measured)
    lookup = xp.asarray(_table(palette), device=device(measured))
    high = measured[1]
    opacity = -xp.log(measured)
    ratio = opacity[0] / xp.clip(opacity[1], 1e-6, None)
    level = xp.astype(xp.clip(high**palette.gamma, 0.0, 1.0) * (_BRIGHTNESSES - 1) + 0.5, xp.int64)
    share = (ratio - _LEAST_RATIO) / (_GREATEST_RATIO - _LEAST_RATIO)
    column = xp.astype(xp.clip(share, 0.0, 1.0) * (_RATIO_STEPS - 1) + 0.5, xp.int64)
    return lookup[level * _RATIO_STEPS + column]


@lru_cache(maxsize=32)
def _table(palette: Palette) -> NDArray[np.uint8]:
    """The palette over brightness and ratio, shape (brightnesses * ratios, 3)."""
    brightness = np.linspace(0, 1, _BRIGHTNESSES)
    ratio = np.linspace(_LEAST_RATIO, _GREATEST_RATIO, _RATIO_STEPS)
    attenuation = -np.log(np.maximum(brightness, 1e-3)) / palette.gamma
    number = atomic_number(ratio[None, :], attenuation[:, None])
    green = np.clip((number - palette.green_from) / palette.blend + 0.5, 0, 1)
    blue = np.clip((number - palette.blue_from) / (2 * palette.blend) + 0.5, 0, 1)
    colour = np.zeros((*number.shape, 3))
    for ramp, hue, weight in zip(_RAMPS, palette.hues, (1 - green, green * (1 - blue), green * blue), strict=True):
        turned = _turned(ramp, hue)
        shown = np.stack([np.interp(brightness * 255, _LEVELS, turned[:, channel]) for channel in range(3)], axis=-1)
        colour += weight[..., None] * _vivid(shown, palette.saturation)[:, None, :]
    faded = 255 + (colour - 255) * np.clip(attenuation / _FAINT, 0, 1)[:, None, None]
    painted = np.clip(faded, 0, 255) * np.asarray(palette.background) / 255
    return np.asarray(np.round(painted), dtype=np.uint8).reshape(-1, 3)


def _vivid(colours: NDArray[np.float64], saturation: float) -> NDArray[np.float64]:
    """Colours at a multiple of their distance from the grey of the same luminance."""
    grey = (colours @ _LUMINANCE)[..., None]
    return np.asarray(grey + (colours - grey) * saturation)


def _turned(ramp: NDArray[np.float64], degrees: float) -> NDArray[np.float64]:
    """A ramp with its hue turned."""
    colours = []
    for red, green, blue in ramp / 255:
        hue, saturation, value = colorsys.rgb_to_hsv(red, green, blue)
        colours.append(colorsys.hsv_to_rgb((hue + degrees / 360) % 1.0, saturation, value))
    return np.array(colours) * 255
