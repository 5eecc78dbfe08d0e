"""Whether a view is an X-ray scan that a detector can be believed on.

The limits were read off 900 training scans of five public sources and 25 photographs and drawings: every scan has
at least 5 % of smooth bright belt, at most 1.5 % of its coloured pixels in hues (red, magenta, violet) that the
palettes do not use, and at least 117 tones of grey. Greyscale photographs with a smooth bright sky and scanned
pages still pass.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from xray_agent_tools.detector.preprocess import Content
from xray_agent_tools.evidence.material import OPAQUE_VALUE, brightest
from xray_agent_tools.report import IssueCode, QualityIssue

SMALLEST_SIDE_PX = 64
"""Below this side length no item of the taxonomy can be made out."""

FATAL: frozenset[IssueCode] = frozenset({"too_small", "blank", "not_an_xray", "incomplete"})
"""Issues with which looking is pointless: the detector is not run."""

_BELT_FROM = 225
_SMOOTH_STEP = 4
_SAMPLED_PX = 160
_FEWEST_SAMPLED_PX = 32
_LEAST_BELT = 0.05
_MOST_FOREIGN = 0.02
_COLOURED_FROM = 0.15
_FOREIGN_HUES = (255, 8)
_BLUE_HUE = 240
_LEAST_CONTENT = 0.003
_LEAST_CONTRAST = 6.0
_MOST_OPAQUE = 0.5
_FEWEST_LEVELS = 32
_MOST_FLAT_TAIL = 0.04
_SMALLEST_SCALE = 1 / 8
_NARROWEST_PX = 64


def view_issues(content: Content, input_size: int) -> list[QualityIssue]:
    """What is wrong with a view; nothing if it supports a verdict.

    Shares are taken over a sample: every second pixel of every second row, or fewer of a view from 480 pixels on.

    Args:
        content: the view.
        input_size: side of the square in pixels that the detector sees the content in.
    """
    *_, width, height = content.frame
    if min(height, width) < SMALLEST_SIDE_PX:
        return [_too_small(width, height)]
    step = max(2, min(max(width, height) // _SAMPLED_PX, min(width, height) // _FEWEST_SAMPLED_PX))
    sample = content.picture.resize((width // step, height // step), Image.Resampling.NEAREST)
    flat = sample if content.curves is None else sample.point(content.curves)
    grey = np.asarray(flat.convert("L"))
    if float((grey < _BELT_FROM).mean()) < _LEAST_CONTENT:
        return [QualityIssue(code="blank", text="the picture shows nothing but an empty belt")]
    left, top, right, bottom = content.box
    if min(right - left, bottom - top) < SMALLEST_SIDE_PX:
        return [_too_small(right - left, bottom - top)]
    if reason := _unlike_an_xray(flat, grey):
        return [QualityIssue(code="not_an_xray", text=reason)]
    if (share := _flat_tail(grey)) >= _MOST_FLAT_TAIL:
        return [QualityIssue(code="incomplete", text=f"the lower {share:.0%} of the picture is one flat colour")]
    issues = []
    if (reason := _too_coarse(right - left, bottom - top, input_size)) is not None:
        issues.append(QualityIssue(code="too_coarse", text=reason))
    if float(content.grey[top:bottom:step, left:right:step].std()) < _LEAST_CONTRAST:
        issues.append(QualityIssue(code="low_contrast", text="the content hardly differs from the belt"))
    inside = np.asarray(sample)[top // step : -(-bottom // step), left // step : -(-right // step)]
    dark = float((brightest(inside) <= OPAQUE_VALUE).mean())
    if dark > _MOST_OPAQUE:
        text = f"{dark:.0%} of the content was not penetrated"
        issues.append(QualityIssue(code="mostly_opaque", text=text))
    return issues


def _too_small(width: int, height: int) -> QualityIssue:
    return QualityIssue(code="too_small", text=f"{width}x{height} pixels are too few to make out an item")


def _too_coarse(width: int, height: int, input_size: int) -> str | None:
    """Why the content loses too much when it is scaled to the detector's input."""
    scale = input_size / max(width, height)
    if scale < _SMALLEST_SCALE:
        return f"the detector would see the content at {scale:.0%} of its size: cut the bags apart"
    if min(width, height) * min(scale, 1.0) < _NARROWEST_PX:
        return f"the content is {max(width, height) / min(width, height):.0f} times as long as wide: cut the bags apart"
    return None


def _flat_tail(grey: NDArray[np.uint8]) -> float:
    """Share of rows at the bottom that all show one colour that is no belt, as in a file that was cut off."""
    flat = (grey == grey[-1, 0]).all(axis=1)
    if grey[-1, 0] >= _BELT_FROM or not flat[-1]:
        return 0.0
    return float(np.argmin(flat[::-1])) / len(flat) if not flat.all() else 1.0


def _unlike_an_xray(flat: Image.Image, grey: NDArray[np.uint8]) -> str | None:
    bright = grey[:, :-1] >= _BELT_FROM
    steps = np.maximum(grey[:, :-1], grey[:, 1:]) - np.minimum(grey[:, :-1], grey[:, 1:])
    smooth_belt = float((bright & (steps <= _SMOOTH_STEP)).mean())
    if smooth_belt < _LEAST_BELT:
        return f"only {smooth_belt:.0%} of the picture looks like a scanner's bright, empty belt"
    if np.count_nonzero(np.bincount(grey[grey < _BELT_FROM], minlength=256)) < _FEWEST_LEVELS:
        return "the picture has the few flat tones of a drawing"
    red, green, blue = (np.asarray(band).astype(np.int16) for band in flat.split())
    highest = np.maximum(np.maximum(red, green), blue)
    chroma = highest - np.minimum(np.minimum(red, green), blue)
    coloured = (highest > OPAQUE_VALUE) & (chroma > np.float32(_COLOURED_FROM) * highest)
    if not coloured.any():
        return None
    foreign = float(_foreign(red[coloured], green[coloured], blue[coloured], chroma[coloured]).mean())
    if foreign > _MOST_FOREIGN:
        return f"{foreign:.0%} of the coloured pixels have hues that no known scanner palette uses"
    return None


def _foreign(
    red: NDArray[np.int16], green: NDArray[np.int16], blue: NDArray[np.int16], chroma: NDArray[np.int16]
) -> NDArray[np.bool_]:
    """Which colours have a hue above 255 degrees (violet, magenta) or below 8 (red), in whole numbers."""
    reddest = (red >= green) & (red >= blue)
    bluest = (blue > red) & (blue > green)
    over, under = _FOREIGN_HUES[0] - _BLUE_HUE, _FOREIGN_HUES[1]
    return (reddest & (60 * (green - blue) < under * chroma)) | (bluest & (60 * (red - green) > over * chroma))
