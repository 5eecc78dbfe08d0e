"""Whether a view is an X-ray scan that a detector can be believed on.

The limits were read off 900 training scans of five public sources and 25 photographs and drawings: every
scan has at least 5 % of smooth bright belt and at most 1.5 % of its coloured pixels in hues (red, magenta,
violet) that the palettes do not use. Greyscale photographs with a smooth bright sky still pass.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from xray_agent_tools.detector.preprocess import content_box, flatten_field, luminance
from xray_agent_tools.evidence.material import OPAQUE_VALUE, hue_and_saturation
from xray_agent_tools.evidence.opacity import opaque_share
from xray_agent_tools.report import IssueCode, QualityIssue

SMALLEST_SIDE_PX = 64
"""Below this side length no item of the taxonomy can be made out."""

FATAL: frozenset[IssueCode] = frozenset({"too_small", "blank", "not_an_xray"})
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


def view_issues(pixels: NDArray[np.uint8]) -> list[QualityIssue]:
    """What is wrong with a view; nothing if it supports a verdict.

    Args:
        pixels: RGB, shape (height, width, 3), 0..255.
    """
    height, width = pixels.shape[:2]
    if min(height, width) < SMALLEST_SIDE_PX:
        return [QualityIssue(code="too_small", text=f"{width}x{height} pixels are too few to make out an item")]
    half = flatten_field(np.ascontiguousarray(pixels[::2, ::2]))
    grey = luminance(half)
    if float((grey < _BELT_FROM).mean()) < _LEAST_CONTENT:
        return [QualityIssue(code="blank", text="the picture shows nothing but an empty belt")]
    if reason := _unlike_an_xray(half, grey):
        return [QualityIssue(code="not_an_xray", text=reason)]
    issues = []
    content = content_box(pixels)
    left, top, right, bottom = content
    if float(luminance(np.ascontiguousarray(pixels[top:bottom, left:right])).std()) < _LEAST_CONTRAST:
        issues.append(QualityIssue(code="low_contrast", text="the content hardly differs from the belt"))
    dark = opaque_share(pixels, content)
    if dark > _MOST_OPAQUE:
        text = f"{dark:.0%} of the content was not penetrated"
        issues.append(QualityIssue(code="mostly_opaque", text=text))
    return issues


def _unlike_an_xray(pixels: NDArray[np.uint8], grey: NDArray[np.uint8]) -> str | None:
    bright = grey[:, :-1] >= _BELT_FROM
    steps = np.abs(np.diff(grey.astype(np.int16), axis=1))
    smooth_belt = float((bright & (steps <= _SMOOTH_STEP)).mean())
    if smooth_belt < _LEAST_BELT:
        return f"only {smooth_belt:.0%} of the picture looks like a scanner's bright, empty belt"
    hue, saturation = hue_and_saturation(pixels)
    coloured = (saturation > _COLOURED_FROM) & (pixels.max(axis=2) > OPAQUE_VALUE)
    if not coloured.any():
        return None
    foreign = float(((hue > _FOREIGN_HUES[0]) | (hue < _FOREIGN_HUES[1]))[coloured].mean())
    if foreign > _MOST_FOREIGN:
        return f"{foreign:.0%} of the coloured pixels have hues that no known scanner palette uses"
    return None
