"""How much of what attenuates inside a box is likely to belong to something else."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from xray_agent_tools.report import Box, Occlusion

_RING_SHARE = 0.25
_OCCLUDED_FROM = 0.5


def occlusion_in(grey: NDArray[np.uint8], box: Box) -> Occlusion | None:
    """Compare the attenuation around a box with the attenuation in it.

    Thickness adds along a ray, so what lies beside an item usually runs on above or below it: a ring that
    attenuates as much as the box itself means that little of the box stands out.

    Args:
        grey: luminance, shape (height, width), 0..255.
        box: where the item is, in pixels.

    Returns:
        The score, or None if the box fills the view or does not attenuate.
    """
    height, width = grey.shape
    left, top = int(box.x_min), int(box.y_min)
    right, bottom = min(width, int(np.ceil(box.x_max))), min(height, int(np.ceil(box.y_max)))
    margin_x, margin_y = _RING_SHARE * (right - left), _RING_SHARE * (bottom - top)
    outer_left, outer_top = max(0, int(left - margin_x)), max(0, int(top - margin_y))
    outer_right, outer_bottom = min(width, int(np.ceil(right + margin_x))), min(height, int(np.ceil(bottom + margin_y)))
    attenuation = -np.log((grey[outer_top:outer_bottom, outer_left:outer_right].astype(np.float32) + 1) / 256)
    inside = np.zeros(attenuation.shape, dtype=bool)
    inside[top - outer_top : bottom - outer_top, left - outer_left : right - outer_left] = True
    if inside.all() or not inside.any():
        return None
    within = float(attenuation[inside].mean())
    if within < 0.02:
        return None
    score = round(min(1.0, float(attenuation[~inside].mean()) / within), 3)
    return Occlusion(occluded=score >= _OCCLUDED_FROM, score=score)
