"""Regions that the radiation did not penetrate."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from xray_agent_tools.detector.preprocess import Content
from xray_agent_tools.evidence.material import OPAQUE_VALUE, brightest
from xray_agent_tools.report import Box, OpaqueRegion

_CELLS = 64
_SMALLEST_SHARE = 0.01
_DARK_SHARE_OF_CELL = 0.7


def opaque_regions(content: Content, view: int) -> list[OpaqueRegion]:
    """Connected dark regions of at least 1 % of the content, largest first.

    Args:
        content: the view.
        view: index to report.
    """
    left, top, right, bottom = content.box
    # Luminance is never above the brightest channel, and it is there already: mostly too little is dark.
    likely = content.grey[top:bottom, left:right] <= OPAQUE_VALUE
    if np.count_nonzero(likely) < _SMALLEST_SHARE * likely.size:
        return []
    dark = brightest(content.pixels[top:bottom, left:right]) <= OPAQUE_VALUE
    rows, columns = _edges(bottom - top), _edges(right - left)
    bands = np.add.reduceat(dark.view(np.uint8), rows[:-1], axis=0, dtype=np.uint32)
    sums = np.add.reduceat(bands, columns[:-1], axis=1)
    filled = sums / np.outer(np.diff(rows), np.diff(columns)) >= _DARK_SHARE_OF_CELL
    regions = []
    for cells in _components(filled):
        share = float(sum(sums[cell] for cell in cells)) / dark.size
        if share >= _SMALLEST_SHARE:
            ys, xs = [y for y, _ in cells], [x for _, x in cells]
            box = Box(
                x_min=float(left + columns[min(xs)]),
                y_min=float(top + rows[min(ys)]),
                x_max=float(left + columns[max(xs) + 1]),
                y_max=float(top + rows[max(ys) + 1]),
            )
            regions.append(OpaqueRegion(view=view, box=box, share=round(share, 3)))
    return sorted(regions, key=lambda region: -region.share)


def _edges(length: int) -> NDArray[np.intp]:
    """Where the cells along an axis begin, and where the last one ends."""
    return np.linspace(0, length, min(_CELLS, length) + 1).astype(np.intp)


def _components(filled: NDArray[np.bool_]) -> list[list[tuple[int, int]]]:
    """Cells of each region whose cells touch side by side."""
    left = {(int(y), int(x)) for y, x in zip(*np.nonzero(filled), strict=True)}
    components = []
    while left:
        frontier = [left.pop()]
        component = []
        while frontier:
            y, x = frontier.pop()
            component.append((y, x))
            for neighbour in ((y - 1, x), (y + 1, x), (y, x - 1), (y, x + 1)):
                if neighbour in left:
                    left.remove(neighbour)
                    frontier.append(neighbour)
        components.append(component)
    return components
