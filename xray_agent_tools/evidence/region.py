"""Nine words for nine places."""

from __future__ import annotations

from typing import get_args

from xray_agent_tools.report import Region

_WORDS: tuple[Region, ...] = get_args(Region)


def region_of(x: float, y: float, width: float, height: float) -> Region:
    """The word for a point on a picture: thirds of its width and height, x and y in pixels."""
    column = min(2, max(0, int(3 * x / width)))
    row = min(2, max(0, int(3 * y / height)))
    return _WORDS[3 * row + column]
