"""How alike the pictures of two sets of scans look, whatever lies in the bags."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict

from xray_agent_tools import markdown
from xray_agent_tools.detector.preprocess import content_box, luminance
from xray_agent_tools.evidence.material import OPAQUE_VALUE, brightest, hue_and_saturation
from xray_training.datasets.record import ScanRecord

SCHEMA = "xray-likeness/1"

_WHITE_VALUE = 235
_COLOURLESS = 0.06
_STRONG_EDGE = 40.0
_FLAT_GRADIENT = 12.0
_SPECTRUM_PX = 256
_FREQUENCIES = (0.03, 0.35)
_SMALLEST_SCALE = 1e-3
_SMALLEST_SHARE = 0.01

# Hue bands in degrees as measured on scans of several public datasets: organic, mixed and metal.
_HUES = {"orange_share": (15.0, 60.0), "green_share": (75.0, 150.0), "blue_share": (195.0, 240.0)}

Look = Mapping[str, float]
"""The figures of one picture, by the names in :data:`MEANINGS`."""

MEANINGS: dict[str, str] = {
    "content_fill": "share of the frame that the box around the content takes",
    "content_aspect": "width of that box by its height",
    "brightness_mean": "mean luminance in it, 0..255",
    "brightness_p05": "5th percentile of luminance",
    "brightness_p25": "25th percentile",
    "brightness_p50": "median",
    "brightness_p75": "75th percentile",
    "brightness_p95": "95th percentile",
    "orange_share": "share of pixels with hue 15 to 60 degrees: organic",
    "green_share": "share with hue 75 to 150: mixed",
    "blue_share": "share with hue 195 to 240: metal",
    "other_hue_share": "share with any other hue",
    "grey_share": "share without colour, neither white nor black",
    "black_share": "share too dark to tell (brightest channel up to 46)",
    "white_share": "share as bright as the belt (darkest channel from 235)",
    "saturation_mean": "mean saturation of coloured pixels, 0..1",
    "saturation_p95": "95th percentile of their saturation",
    "edge_share": "share of pixels with a strong edge (Scharr gradient from 40 grey levels a pixel)",
    "edge_mean": "mean gradient, grey levels a pixel",
    "noise": "median local standard deviation (5 by 5) in flat regions that attenuate, grey levels",
    "belt_noise": "the same on the belt",
    "spectral_slope": "slope of the logarithmic power spectrum over logarithmic frequency, 0.03 to 0.35 cycles a pixel",
}
"""Every figure, and what it measures."""


class Spread(BaseModel):
    """How one figure is spread over the pictures of a set."""

    model_config = ConfigDict(frozen=True)

    mean: float
    std: float
    p05: float
    p50: float
    p95: float


class Compared(BaseModel):
    """One figure in both sets.

    ``distance`` is the Wasserstein distance of the two distributions in standard deviations of the first.
    """

    model_config = ConfigDict(frozen=True)

    name: str
    meaning: str
    first: Spread
    second: Spread
    distance: float


class Likeness(BaseModel):
    """How alike two sets of scans look: a figure each, and the mean of their distances."""

    model_config = ConfigDict(frozen=True)

    format: str = SCHEMA
    first: str
    second: str
    first_scans: int
    second_scans: int
    distance: float
    statistics: tuple[Compared, ...]


def look_at(record: ScanRecord) -> Look:
    """Measure one scan inside the box around its content.

    Raises:
        DatasetError: the picture cannot be read.
    """
    return look_of(record.pixels())


def look_of(pixels: NDArray[np.uint8]) -> Look:
    """Measure RGB pixels, shape (height, width, 3), 0..255, inside the box around their content."""
    height, width = pixels.shape[:2]
    left, top, right, bottom = content_box(pixels)
    content = np.ascontiguousarray(pixels[top:bottom, left:right])
    grey = luminance(content)
    frame = {
        "content_fill": (right - left) * (bottom - top) / (width * height),
        "content_aspect": (right - left) / (bottom - top),
    }
    return {**frame, **_brightness(grey), **_colours(content), **_texture(grey)}


def _brightness(grey: NDArray[np.uint8]) -> dict[str, float]:
    shares = (5, 25, 50, 75, 95)
    percentiles = {f"brightness_p{share:02d}": float(np.percentile(grey, share)) for share in shares}
    return {"brightness_mean": float(grey.mean()), **percentiles}


def _colours(content: NDArray[np.uint8]) -> dict[str, float]:
    """Shares of the pixels by colour, which sum to 1, and the saturation of the coloured ones."""
    hue, saturation = hue_and_saturation(content)
    black = brightest(content) <= OPAQUE_VALUE
    white = content.min(axis=-1) >= _WHITE_VALUE
    coloured = ~black & ~white & (saturation >= _COLOURLESS)
    hues, vivid = hue[coloured], saturation[coloured]
    shares = {name: float(((hues >= low) & (hues <= high)).sum() / black.size) for name, (low, high) in _HUES.items()}
    return {
        **shares,
        "other_hue_share": float(coloured.mean()) - sum(shares.values()),
        "grey_share": float((~black & ~white & ~coloured).mean()),
        "black_share": float(black.mean()),
        "white_share": float(white.mean()),
        "saturation_mean": float(vivid.mean()) if vivid.size else 0.0,
        "saturation_p95": float(np.percentile(vivid, 95)) if vivid.size else 0.0,
    }


def _texture(grey: NDArray[np.uint8]) -> dict[str, float]:
    values = grey.astype(np.float32)
    gradient = np.hypot(cv2.Scharr(values, cv2.CV_32F, 1, 0), cv2.Scharr(values, cv2.CV_32F, 0, 1)) / 32
    mean, square = cv2.blur(values, (5, 5)), cv2.blur(values * values, (5, 5))
    deviation = np.sqrt(np.maximum(np.asarray(square) - np.asarray(mean) ** 2, 0))
    flat = np.asarray(cv2.blur(gradient, (5, 5))) < _FLAT_GRADIENT
    attenuating = flat & (grey < _WHITE_VALUE) & (grey > OPAQUE_VALUE)
    belt = flat & (grey >= _WHITE_VALUE)
    return {
        "edge_share": float((gradient >= _STRONG_EDGE).mean()),
        "edge_mean": float(gradient.mean()),
        "noise": float(np.median(deviation[attenuating])) if attenuating.any() else 0.0,
        "belt_noise": float(np.median(deviation[belt])) if belt.any() else 0.0,
        "spectral_slope": _spectral_slope(values),
    }


def _spectral_slope(grey: NDArray[np.float32]) -> float:
    """Slope of log power over log frequency of the central square of up to 256 pixels, windowed; 0 if even or tiny."""
    side = min(_SPECTRUM_PX, *grey.shape)
    top, left = (grey.shape[0] - side) // 2, (grey.shape[1] - side) // 2
    square = grey[top : top + side, left : left + side]
    window = np.hanning(side)
    power = np.abs(np.fft.rfft2((square - square.mean()) * np.outer(window, window))) ** 2
    frequency = np.hypot(np.fft.fftfreq(side)[:, None], np.fft.rfftfreq(side)[None])
    used = (frequency >= _FREQUENCIES[0]) & (frequency <= _FREQUENCIES[1]) & (power > 0)
    if side < 32 or not used.any():
        return 0.0
    return float(np.polyfit(np.log(frequency[used]), np.log(power[used]), 1)[0])


def likeness_of(first: Sequence[Look], second: Sequence[Look], *, first_name: str, second_name: str) -> Likeness:
    """Compare what was measured on two sets of scans.

    Args:
        first: the figures of each scan of the set that is the measure, two at least.
        second: those of the other.
        first_name: what to call the first set.
        second_name: what to call the other.
    """
    rows = []
    for name, meaning in MEANINGS.items():
        one, other = (np.array([look[name] for look in looks]) for looks in (first, second))
        scale = max(float(one.std()), _SMALLEST_SHARE * abs(float(one.mean())), _SMALLEST_SCALE)
        distance = wasserstein(one, other) / scale
        rows.append(Compared(name=name, meaning=meaning, first=_spread(one), second=_spread(other), distance=distance))
    return Likeness(
        first=first_name,
        second=second_name,
        first_scans=len(first),
        second_scans=len(second),
        distance=float(np.mean([row.distance for row in rows])),
        statistics=tuple(rows),
    )


def wasserstein(one: NDArray[np.float64], other: NDArray[np.float64]) -> float:
    """Wasserstein-1 distance of two samples: the area between their cumulative distributions."""
    values = np.sort(np.concatenate([one, other]))
    below = [np.searchsorted(np.sort(sample), values[:-1], side="right") / sample.size for sample in (one, other)]
    return float((np.abs(below[0] - below[1]) * np.diff(values)).sum())


def _spread(values: NDArray[np.float64]) -> Spread:
    p05, p50, p95 = np.percentile(values, (5, 50, 95)).tolist()
    return Spread(mean=float(values.mean()), std=float(values.std()), p05=p05, p50=p50, p95=p95)


def as_markdown(found: Likeness) -> str:
    """The comparison for people, the figures furthest apart first."""
    head = ["figure", found.first, found.second, "distance", "what it measures"]
    rows = [
        [row.name, _range(row.first), _range(row.second), f"{row.distance:.2f}", row.meaning]
        for row in sorted(found.statistics, key=lambda row: -row.distance)
    ]
    return "\n".join(
        [
            f"# How {found.second} looks beside {found.first}",
            "",
            f"{found.first_scans} scans of {found.first}, {found.second_scans} of {found.second}. Mean distance "
            f"{found.distance:.2f}.",
            "",
            f"Each cell is the mean over scans, with the 5th and the 95th percentile. The distance is Wasserstein's, in "
            f"standard deviations of {found.first}: 0 is the same distribution, 1 a shift by one deviation.",
            "",
            markdown.table(head, rows),
            "",
        ]
    )


def _range(spread: Spread) -> str:
    return f"{spread.mean:.3g} ({spread.p05:.3g} to {spread.p95:.3g})"


def write_likeness(found: Likeness, out: Path) -> None:
    """Write ``likeness.json`` and ``LIKENESS.md``."""
    out.mkdir(parents=True, exist_ok=True)
    (out / "likeness.json").write_text(json.dumps(found.model_dump(), indent=1) + "\n", encoding="utf-8")
    (out / "LIKENESS.md").write_text(as_markdown(found), encoding="utf-8")
