"""Reading a pseudo-colour scan back as transmissions."""

from __future__ import annotations

import colorsys
from dataclasses import dataclass
from functools import lru_cache

import cv2
import numpy as np
from numpy.typing import NDArray
from scipy.spatial import KDTree

from xray_agent_tools.detector.preprocess import content_box
from xray_training.simulator.palette import colourise
from xray_training.simulator.scanners import Palette

_LEVELS, _RATIOS = 96, 40
_LEAST_RATIO, _GREATEST_RATIO = 1.1, 3.2
_FLOOR = 3e-4
_COLOURED = 0.12
_BANDS = ((15.0, 60.0), (75.0, 170.0), (190.0, 250.0))
_RAMP_HUES = (33.0, 107.0, 218.0)
_MOST_TURN = 25.0
_FEW = 200
_SATURATIONS = (0.4, 3.5)
_USUAL_BAG_MM = 480.0


@dataclass(frozen=True, slots=True)
class Reading:
    """What a scan says of itself.

    Attributes:
        pixels: RGB, shape (height, width, 3), 0..255.
        palette: colours fitted to it.
        photons: photons per pixel of the empty belt that would make its noise.
        content: x_min, y_min, x_max, y_max of what it shows, pixels.
        pitch_mm: millimetres per pixel, guessed from the content's size.
    """

    pixels: NDArray[np.uint8]
    palette: Palette
    photons: float
    content: tuple[int, int, int, int]
    pitch_mm: float

    def transmissions(self, window: tuple[slice, slice]) -> NDArray[np.float64]:
        """Low- and high-energy transmission of a window, by the nearest colour of the palette; shape (2, h, w)."""
        tree, table = _inverse(self.palette)
        part = self.pixels[window]
        _, nearest = tree.query(part.reshape(-1, 3).astype(np.float64))
        return np.ascontiguousarray(table[:, nearest].reshape(2, *part.shape[:2]))


def read_scan(pixels: NDArray[np.uint8], *, pitch_mm: float | None = None) -> Reading:
    """Fit a palette to a scan and measure its noise.

    Args:
        pixels: RGB, shape (height, width, 3), 0..255.
        pitch_mm: millimetres per pixel; when not given, the content's longer side counts as a bag of 480 mm.
    """
    content = content_box(pixels)
    left, top, right, bottom = content
    inside = pixels[top:bottom, left:right]
    longest = max(right - left, bottom - top, 1)
    palette = _palette_of(inside, _background(pixels))
    return Reading(pixels, palette, _photons(inside, palette.gamma), content, pitch_mm or _USUAL_BAG_MM / longest)


def _background(pixels: NDArray[np.uint8]) -> tuple[int, int, int]:
    """The colour of the empty belt: the median of the brightest tenth."""
    brightness = pixels.mean(axis=2)
    brightest = pixels[brightness >= np.quantile(brightness, 0.9)]
    red, green, blue = (int(value) for value in np.median(brightest, axis=0))
    return red, green, blue


def _palette_of(pixels: NDArray[np.uint8], background: tuple[int, int, int]) -> Palette:
    """A palette whose hues and saturation are those of the scan's orange, green and blue."""
    plain = Palette(background=background)
    hsv = np.asarray(cv2.cvtColor(pixels, cv2.COLOR_RGB2HSV_FULL), dtype=np.float64).reshape(-1, 3)
    hue, saturation, value = hsv[:, 0] * 360 / 256, hsv[:, 1] / 255, hsv[:, 2] / 255
    shown = (value > 0.2) & (value < 0.95)
    coloured = shown & (saturation > _COLOURED)
    if coloured.sum() < max(_FEW, 0.02 * shown.sum()):
        return Palette(saturation=0.0, background=background)
    turns, strengths = [], []
    for (low, high), usual in zip(_BANDS, _RAMP_HUES, strict=True):
        band = coloured & (hue >= low) & (hue < high)
        if band.sum() < _FEW:
            turns.append(0.0)
            continue
        turns.append(float(np.clip(np.median(hue[band]) - usual, -_MOST_TURN, _MOST_TURN)))
        strengths.append(float(np.median(saturation[band] * value[band])))
    strength = float(np.mean(strengths)) / _usual_strength() if strengths else 1.0
    vividness = float(np.clip(plain.saturation * strength, *_SATURATIONS))
    orange, green, blue = turns
    return Palette(plain.gamma, vividness, (orange, green, blue), background=background)


@lru_cache(maxsize=1)
def _usual_strength() -> float:
    """Saturation times value of the plain palette's mid-tones, over its three ramps."""
    bands = _grid(Palette())
    middle = (bands[1] > 0.1) & (bands[1] < 0.6)
    colours = colourise(bands, Palette())[middle] / 255
    parts = [colorsys.rgb_to_hsv(*(float(channel) for channel in colour)) for colour in colours[::7]]
    return float(np.median([saturation * value for _, saturation, value in parts]))


def _photons(pixels: NDArray[np.uint8], gamma: float) -> float:
    """From the noise of mid-tones: the variance of a transmission ``T`` is ``T / photons``."""
    transmission = (pixels.mean(axis=2) / 255) ** (1 / gamma)
    smooth = np.asarray(cv2.GaussianBlur(transmission, (0, 0), 1.2))
    residual = transmission - smooth
    flat = (np.abs(smooth - np.asarray(cv2.GaussianBlur(transmission, (0, 0), 3.0))) < 0.02) & (smooth > 0.05)
    flat &= smooth < 0.8
    if flat.sum() < _FEW:
        return 10_000.0
    deviation = 1.4826 * float(np.median(np.abs(residual[flat] / np.sqrt(smooth[flat]))))
    return float(np.clip(1 / max(deviation, 1e-4) ** 2, 300, 100_000))


def _grid(palette: Palette) -> NDArray[np.float64]:
    """Transmissions over brightness and ratio, shape (2, levels, ratios)."""
    brightness = np.linspace(_FLOOR**palette.gamma, 1.0, _LEVELS)[:, None]
    ratio = np.linspace(_LEAST_RATIO, _GREATEST_RATIO, _RATIOS)[None, :]
    opacity = -np.log(brightness) / palette.gamma
    return np.exp(-np.stack([opacity * ratio, opacity * np.ones_like(ratio)]))


@lru_cache(maxsize=64)
def _inverse(palette: Palette) -> tuple[KDTree, NDArray[np.float64]]:
    """Colours of the palette as a search tree, and the transmissions that make each; shape (2, colours)."""
    bands = _grid(palette)
    colours = colourise(np.clip(bands, _FLOOR, 1.0), palette).reshape(-1, 3).astype(np.float64)
    return KDTree(colours), bands.reshape(2, -1)
