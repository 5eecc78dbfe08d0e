"""Whether a view is an X-ray scan that a detector can be believed on.

The limits were read off 900 training scans of five public sources and 25 photographs and drawings: every scan has
at least 5 % of smooth bright belt, at most 1.5 % of its coloured pixels in hues (red, magenta, violet) that the
palettes do not use, and at least 117 tones of grey. Greyscale photographs with a smooth bright sky and scanned
pages still pass.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from xray_agent_tools.detector.preprocess import content_box, flatten_field, luminance
from xray_agent_tools.evidence.material import OPAQUE_VALUE, brightest, hue_and_saturation
from xray_agent_tools.evidence.opacity import opaque_share
from xray_agent_tools.report import IssueCode, QualityIssue

SMALLEST_SIDE_PX = 64
"""Below this side length no item of the taxonomy can be made out."""

FATAL: frozenset[IssueCode] = frozenset({"too_small", "blank", "not_an_xray", "incomplete"})
"""Issues with which looking is pointless: the detector is not run."""

_BELT_FROM = 225
_SMOOTH_STEP = 4
_LEAST_BELT = 0.05
_MOST_FOREIGN = 0.02
_COLOURED_FROM = 0.15
_FOREIGN_HUES = (255, 8)
_LEAST_CONTENT = 0.003
_LEAST_CONTRAST = 6.0
_MOST_OPAQUE = 0.5
_FEWEST_LEVELS = 32
_MOST_FLAT_TAIL = 0.04
_SMALLEST_SCALE = 1 / 8
_NARROWEST_PX = 64


def view_issues(pixels: NDArray[np.uint8], input_size: int) -> list[QualityIssue]:
    """What is wrong with a view; nothing if it supports a verdict.

    Args:
        pixels: RGB, shape (height, width, 3), 0..255.
        input_size: side of the square in pixels that the detector sees the content in.
    """
    height, width = pixels.shape[:2]
    if min(height, width) < SMALLEST_SIDE_PX:
        return [_too_small(width, height)]
    half = flatten_field(np.ascontiguousarray(pixels[::2, ::2]))
    grey = luminance(half)
    if float((grey < _BELT_FROM).mean()) < _LEAST_CONTENT:
        return [QualityIssue(code="blank", text="the picture shows nothing but an empty belt")]
    content = content_box(pixels)
    left, top, right, bottom = content
    if min(right - left, bottom - top) < SMALLEST_SIDE_PX:
        return [_too_small(right - left, bottom - top)]
    if reason := _unlike_an_xray(half, grey):
        return [QualityIssue(code="not_an_xray", text=reason)]
    if (flat := _flat_tail(grey)) >= _MOST_FLAT_TAIL:
        return [QualityIssue(code="incomplete", text=f"the lower {flat:.0%} of the picture is one flat colour")]
    issues = []
    if (reason := _too_coarse(right - left, bottom - top, input_size)) is not None:
        issues.append(QualityIssue(code="too_coarse", text=reason))
    if float(luminance(np.ascontiguousarray(pixels[top:bottom, left:right])).std()) < _LEAST_CONTRAST:
        issues.append(QualityIssue(code="low_contrast", text="the content hardly differs from the belt"))
    dark = opaque_share(pixels, content)
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


def _unlike_an_xray(pixels: NDArray[np.uint8], grey: NDArray[np.uint8]) -> str | None:
    bright = grey[:, :-1] >= _BELT_FROM
    steps = np.abs(np.diff(grey.astype(np.int16), axis=1))
    smooth_belt = float((bright & (steps <= _SMOOTH_STEP)).mean())
    if smooth_belt < _LEAST_BELT:
        return f"only {smooth_belt:.0%} of the picture looks like a scanner's bright, empty belt"
    if np.count_nonzero(np.bincount(grey[grey < _BELT_FROM], minlength=256)) < _FEWEST_LEVELS:
        return "the picture has the few flat tones of a drawing"
    hue, saturation = hue_and_saturation(pixels)
    coloured = (saturation > _COLOURED_FROM) & (brightest(pixels) > OPAQUE_VALUE)
    if not coloured.any():
        return None
    foreign = float(((hue > _FOREIGN_HUES[0]) | (hue < _FOREIGN_HUES[1]))[coloured].mean())
    if foreign > _MOST_FOREIGN:
        return f"{foreign:.0%} of the coloured pixels have hues that no known scanner palette uses"
    return None
