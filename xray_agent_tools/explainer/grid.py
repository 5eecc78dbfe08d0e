"""How a picture is laid out in the cells of a model's grid, each of which becomes one visual token."""

from __future__ import annotations

import math


def fewest_and_most(cell: int, min_pixels: int, max_pixels: int) -> tuple[int, int]:
    """How many cells a picture may have whose area lies within the bounds; none fits if the first is the larger."""
    return max(1, math.ceil(min_pixels / cell**2)), max_pixels // cell**2


def grid_of(width: int, height: int, *, cell: int, min_pixels: int, max_pixels: int) -> tuple[int, int]:
    """Columns and rows of whole cells in which a picture is shown.

    The area lies within the bounds and the aspect is kept as nearly as whole cells allow; a size that fits already is
    kept. This is ``smart_resize`` of transformers' Qwen2-VL image processor wherever that keeps its own bounds; for very
    long pictures, for which it does not, the long side gives way.

    Args:
        width: of the picture in pixels, at least 1.
        height: of the picture in pixels, at least 1.
        cell: side of a cell in pixels.
        min_pixels: least area; some number of whole cells has to lie between the bounds.
        max_pixels: largest area.
    """
    fewest, most = fewest_and_most(cell, min_pixels, max_pixels)
    columns, rows = _usual(width, height, cell, min_pixels, max_pixels)
    if fewest <= columns * rows <= most:
        return columns, rows
    area = min(max(width * height, min_pixels), max_pixels)
    aspect = max(width, height) / min(width, height)
    short = max(1, min(math.isqrt(most), round(math.sqrt(area / aspect) / cell)))
    while math.ceil(fewest / short) > most // short:
        short -= 1
    long = min(max(round(short * aspect), math.ceil(fewest / short)), most // short)
    return (long, short) if width >= height else (short, long)


def _usual(width: int, height: int, cell: int, min_pixels: int, max_pixels: int) -> tuple[int, int]:
    columns, rows = round(width / cell), round(height / cell)
    area = columns * rows * cell**2
    if area > max_pixels:
        shrink = math.sqrt(width * height / max_pixels)
        return max(1, math.floor(width / shrink / cell)), max(1, math.floor(height / shrink / cell))
    if area < min_pixels:
        grow = math.sqrt(min_pixels / (width * height))
        return math.ceil(width * grow / cell), math.ceil(height * grow / cell)
    return columns, rows
