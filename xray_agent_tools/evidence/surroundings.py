"""A box and the ring around it, thinned out so that large boxes cost no more than small ones."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from xray_agent_tools.report import Box

_Number = TypeVar("_Number", bound=np.generic)

_RING_SHARE = 0.25
_LEAST_RING_PX = 2
_SAMPLES = 40
_FEWEST_SAMPLES = 4


@dataclass(frozen=True, slots=True)
class Surroundings:
    """Which samples of a view belong to a box and to the ring of a quarter of its sides around it.

    Attributes:
        rows, columns: the samples of the window, box and ring.
        left, top, right, bottom: the box's samples within the window, right and bottom exclusive.
        area: the box's area inside the view, pixels.
    """

    rows: slice
    columns: slice
    left: int
    top: int
    right: int
    bottom: int
    area: int

    def window(self, view: NDArray[_Number]) -> NDArray[_Number]:
        """The samples of a view, shape (height, width, ...), in the window."""
        return view[self.rows, self.columns]

    def inside(self, window: NDArray[_Number]) -> NDArray[_Number]:
        """Those of a window that lie in the box, shape (height, width, ...)."""
        return window[self.top : self.bottom, self.left : self.right]

    def ring(self, window: NDArray[_Number]) -> NDArray[_Number]:
        """Those of a window that lie outside of the box, shape (samples, ...); none where the box fills the view."""
        outside = np.ones(window.shape[:2], dtype=bool)
        self.inside(outside)[:] = False
        return window[outside]


def surroundings_of(view: NDArray[Any], box: Box) -> Surroundings | None:
    """Find the samples of a box and of its ring.

    Args:
        view: shape (height, width, ...).
        box: in pixels; it may reach out of the view.

    Returns:
        About 40 samples to a side of the box, or every pixel of a smaller one; None if it lies outside of the view.
    """
    height, width = view.shape[:2]
    left, top = max(0, int(box.x_min)), max(0, int(box.y_min))
    right, bottom = min(width, int(np.ceil(box.x_max))), min(height, int(np.ceil(box.y_max)))
    if right <= left or bottom <= top:
        return None
    area = (right - left) * (bottom - top)
    step = max(1, int(area**0.5 / _SAMPLES))
    columns, inner_left, inner_right = _sampled(left, right, width, step)
    rows, inner_top, inner_bottom = _sampled(top, bottom, height, step)
    return Surroundings(rows, columns, inner_left, inner_top, inner_right, inner_bottom, area)


def _sampled(low: int, high: int, limit: int, step: int) -> tuple[slice, int, int]:
    """Every ``step``-th pixel of a side with its margins, more where it is short; and where the side lies in them."""
    step = min(step, max(1, (high - low) // _FEWEST_SAMPLES))
    margin = max(_LEAST_RING_PX, int(_RING_SHARE * (high - low)))
    start = max(0, low - margin)
    return slice(start, min(limit, high + margin), step), -(-(low - start) // step), -(-(high - start) // step)
