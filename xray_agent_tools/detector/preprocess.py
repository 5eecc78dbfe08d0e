"""From a scan's pixels to the network's input, and boxes back again.

Training, evaluation and inference all come through here: a detector that is trained on one
geometry and run on another loses small items first.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray
from PIL import Image

BACKGROUND = 255
"""Fill value of the padding: an empty belt is white, never grey."""

_WHITE_LEVEL = 235
_BRIGHT_FROM = 180
_BELOW_BACKGROUND = 12
_BELT_SHARE = 0.02
_OCCUPIED_SHARE = 0.01
_MARGIN_PX = 6
_SMALLEST_SHARE = 0.08
_LARGEST_SEARCHED_PX = 1500

Region: TypeAlias = tuple[int, int, int, int]
"""``left, top, right, bottom`` in pixels, right and bottom exclusive."""


@dataclass(frozen=True, slots=True)
class Placement:
    """How a crop of a scan was placed in the square network input.

    ``input_xy = (scan_xy - offset) * scale + pad`` on either axis, in pixels.
    """

    offset_x: float
    offset_y: float
    scale: float
    pad_x: float
    pad_y: float

    def to_scan(self, boxes: NDArray[np.float32]) -> NDArray[np.float32]:
        """Map boxes of shape (n, 4), corners in network pixels, to corners in scan pixels."""
        pad = np.array([self.pad_x, self.pad_y] * 2, dtype=np.float32)
        offset = np.array([self.offset_x, self.offset_y] * 2, dtype=np.float32)
        return np.asarray((boxes - pad) / np.float32(self.scale) + offset, dtype=np.float32)

    def to_input(self, boxes: NDArray[np.float32]) -> NDArray[np.float32]:
        """Map boxes of shape (n, 4), corners in scan pixels, to corners in network pixels."""
        pad = np.array([self.pad_x, self.pad_y] * 2, dtype=np.float32)
        offset = np.array([self.offset_x, self.offset_y] * 2, dtype=np.float32)
        return np.asarray((boxes - offset) * np.float32(self.scale) + pad, dtype=np.float32)


def luminance(pixels: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Rec. 601 luma of RGB pixels, shape (height, width, 3) to (height, width), 0..255."""
    return np.asarray(Image.fromarray(pixels).convert("L"))


def belt_level(grey: NDArray[np.uint8]) -> int | None:
    """The most common bright luminance (180..255), which is the empty belt's; None where there is none."""
    bright = np.bincount(grey.ravel(), minlength=256)[_BRIGHT_FROM:]
    if bright.sum() < _BELT_SHARE * grey.size:
        return None
    return _BRIGHT_FROM + int(bright.argmax())


def flatten_field(pixels: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Scale each channel so that the empty belt becomes white, as a flat-field correction would.

    Args:
        pixels: RGB, shape (height, width, 3), 0..255.

    Returns:
        The same shape and range; the pixels themselves where the belt is white already or unseen.
    """
    grey = luminance(pixels)
    level = belt_level(grey)
    if level is None or level >= _WHITE_LEVEL:
        return pixels
    belt = pixels[np.abs(grey.astype(np.int16) - level) <= 2].mean(axis=0)
    gain = BACKGROUND / np.maximum(belt, 1.0)
    return np.asarray(np.clip(pixels * gain, 0, 255), dtype=np.uint8)


def content_box(pixels: NDArray[np.uint8]) -> Region:
    """Find the part of a scan that holds the bag or bags.

    The belt is the most common bright level. Rows and columns in which at least 1 % of the pixels
    are clearly darker than it count as content. A frame without a bright background, or without
    content, is returned whole.

    Args:
        pixels: RGB, shape (height, width, 3), 0..255.

    Returns:
        ``(left, top, right, bottom)`` in pixels, right and bottom exclusive.
    """
    height, width = pixels.shape[:2]
    step = max(1, max(height, width) // _LARGEST_SEARCHED_PX)
    occupied = _occupied(pixels, step)
    found = None if occupied is None else _box_of(occupied, step, width, height)
    if found is None:
        return 0, 0, width, height
    left, top, right, bottom = found
    if right - left < _SMALLEST_SHARE * width or bottom - top < _SMALLEST_SHARE * height:
        return 0, 0, width, height
    return found


def _occupied(pixels: NDArray[np.uint8], step: int) -> NDArray[np.bool_] | None:
    """Where every ``step``-th pixel is clearly darker than the belt; None where there is no belt."""
    grey = luminance(np.ascontiguousarray(pixels[::step, ::step]))
    level = belt_level(grey)
    return None if level is None else grey < min(_WHITE_LEVEL, level - _BELOW_BACKGROUND)


def _box_of(occupied: NDArray[np.bool_], step: int, width: int, height: int) -> Region | None:
    rows = np.flatnonzero(occupied.mean(axis=1) >= _OCCUPIED_SHARE)
    columns = np.flatnonzero(occupied.mean(axis=0) >= _OCCUPIED_SHARE)
    if rows.size == 0 or columns.size == 0:
        return None
    left, right = _span(columns, step, width)
    top, bottom = _span(rows, step, height)
    return left, top, right, bottom


def _span(occupied: NDArray[np.intp], step: int, limit: int) -> tuple[int, int]:
    """First and last occupied line with a margin, in full-size pixels within 0..limit."""
    return max(0, int(occupied[0]) * step - _MARGIN_PX), min(limit, (int(occupied[-1]) + 1) * step + _MARGIN_PX)


def place(pixels: NDArray[np.uint8], size: int) -> tuple[NDArray[np.float32], Placement]:
    """Crop a scan to its content, scale that to fit the network's square input and centre it on white.

    Args:
        pixels: RGB, shape (height, width, 3), 0..255.
        size: side of the network input in pixels.

    Returns:
        The input, float32 of shape (3, size, size) with values 0..1, and its placement.
    """
    left, top, right, bottom = content_box(pixels)
    crop = flatten_field(pixels)[top:bottom, left:right]
    height, width = crop.shape[:2]
    scale = size / max(height, width)
    scaled_width = min(size, max(1, round(width * scale)))
    scaled_height = min(size, max(1, round(height * scale)))
    resized = Image.fromarray(np.ascontiguousarray(crop)).resize(
        (scaled_width, scaled_height), Image.Resampling.BILINEAR
    )
    pad_x, pad_y = (size - scaled_width) // 2, (size - scaled_height) // 2
    canvas = np.full((size, size, 3), BACKGROUND, dtype=np.uint8)
    canvas[pad_y : pad_y + scaled_height, pad_x : pad_x + scaled_width] = np.asarray(resized)
    network_input = np.ascontiguousarray(canvas.transpose(2, 0, 1), dtype=np.float32) / np.float32(255)
    return network_input, Placement(left, top, scale, pad_x, pad_y)
