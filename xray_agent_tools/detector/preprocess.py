"""From a scan's pixels to the network's input, and boxes back again.

Training, evaluation and inference all come through here: a detector that is trained on one
geometry and run on another loses small items first.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
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
_BELT_SPREAD = 2
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


@dataclass(frozen=True, eq=False)
class Content:
    """A view's pixels and what follows from them, each part computed once, when it is first asked for.

    Attributes:
        pixels: RGB, uint8, shape (height, width, 3), 0..255; they must not change any more.
    """

    pixels: NDArray[np.uint8] = field(repr=False)

    @cached_property
    def frame(self) -> Region:
        """The whole view."""
        return 0, 0, int(self.pixels.shape[1]), int(self.pixels.shape[0])

    @cached_property
    def picture(self) -> Image.Image:
        """The pixels as a picture of mode RGB."""
        return Image.fromarray(self.pixels)

    @cached_property
    def grey(self) -> NDArray[np.uint8]:
        """Rec. 601 luma, shape (height, width), 0..255, read-only."""
        return np.asarray(self._grey_picture)

    @cached_property
    def belt(self) -> int | None:
        """The most common bright luminance (180..255), which is the empty belt's; None where there is none."""
        return _belt_level(self._grey_picture)

    @cached_property
    def box(self) -> Region:
        """The part that holds the bag or bags; see :func:`content_box`."""
        *_, width, height = self.frame
        step = max(1, max(height, width) // _LARGEST_SEARCHED_PX)
        grey = self.grey[::step, ::step]
        level = self.belt if step == 1 else _belt_level(Image.fromarray(grey))
        found = None
        if level is not None:
            found = _box_of(grey < min(_WHITE_LEVEL, level - _BELOW_BACKGROUND), step, width, height)
        if found is None:
            return self.frame
        left, top, right, bottom = found
        if right - left < _SMALLEST_SHARE * width or bottom - top < _SMALLEST_SHARE * height:
            return self.frame
        return found

    @cached_property
    def curves(self) -> tuple[int, ...] | None:
        """For each channel what its 256 values become when the belt is made white; None where nothing changes."""
        if self.belt is None or self.belt >= _WHITE_LEVEL:
            return None
        near = [255 * (abs(level - self.belt) <= _BELT_SPREAD) for level in range(256)]
        counts = np.array(self.picture.histogram(self._grey_picture.point(near))).reshape(3, 256)
        belt = counts @ np.arange(256) / counts[0].sum()
        gain = BACKGROUND / np.maximum(belt, 1.0)
        return tuple(np.clip(np.outer(gain, np.arange(256)), 0, 255).astype(np.uint8).ravel().tolist())

    def flat(self, region: Region) -> Image.Image:
        """A region as a picture whose belt is white; see :func:`flatten_field`."""
        cut = self.picture if region == self.frame else self.picture.crop(region)
        return cut if self.curves is None else cut.point(self.curves)

    @cached_property
    def _grey_picture(self) -> Image.Image:
        return self.picture.convert("L")


def luminance(pixels: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Rec. 601 luma of RGB pixels, shape (height, width, 3) to (height, width), 0..255."""
    return Content(pixels).grey


def flatten_field(pixels: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Scale each channel so that the empty belt becomes white, as a flat-field correction would.

    Args:
        pixels: RGB, shape (height, width, 3), 0..255.

    Returns:
        The same shape and range; the pixels themselves where the belt is white already or unseen.
    """
    content = Content(pixels)
    return pixels if content.curves is None else np.array(content.flat(content.frame))


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
    return Content(pixels).box


def place(pixels: NDArray[np.uint8], size: int) -> tuple[NDArray[np.float32], Placement]:
    """Crop a scan to its content and place that; see :func:`place_region`.

    Args:
        pixels: RGB, shape (height, width, 3), 0..255.
        size: side of the network input in pixels.
    """
    content = Content(pixels)
    return place_region(content, content.box, size)


def place_region(content: Content, region: Region, size: int) -> tuple[NDArray[np.float32], Placement]:
    """Scale a region of a view to fit the network's square input and centre it on white.

    Args:
        content: the view.
        region: what to place, in the view's pixels and inside it.
        size: side of the network input in pixels.

    Returns:
        The input, float32 of shape (3, size, size) with values 0..1, and its placement.
    """
    left, top, right, bottom = region
    width, height = right - left, bottom - top
    scale = size / max(height, width)
    scaled_width = min(size, max(1, round(width * scale)))
    scaled_height = min(size, max(1, round(height * scale)))
    resized = content.flat(region).resize((scaled_width, scaled_height), Image.Resampling.BILINEAR)
    pad_x, pad_y = (size - scaled_width) // 2, (size - scaled_height) // 2
    network_input = np.ones((3, size, size), dtype=np.float32)
    for channel, band in zip(network_input, resized.split(), strict=True):
        inside = channel[pad_y : pad_y + scaled_height, pad_x : pad_x + scaled_width]
        np.divide(np.asarray(band), np.float32(255), out=inside)
    return network_input, Placement(left, top, scale, pad_x, pad_y)


def _belt_level(grey: Image.Image) -> int | None:
    bright = grey.histogram()[_BRIGHT_FROM:]
    if sum(bright) < _BELT_SHARE * grey.width * grey.height:
        return None
    return _BRIGHT_FROM + bright.index(max(bright))


def _box_of(occupied: NDArray[np.bool_], step: int, width: int, height: int) -> Region | None:
    rows = _lines(occupied, axis=1)
    columns = _lines(occupied, axis=0)
    if rows.size == 0 or columns.size == 0:
        return None
    left, right = _span(columns, step, width)
    top, bottom = _span(rows, step, height)
    return left, top, right, bottom


def _lines(occupied: NDArray[np.bool_], *, axis: int) -> NDArray[np.intp]:
    """Indices of the rows (axis 1) or columns (axis 0) of which enough is occupied."""
    # Adding bytes into 32 bits is several times as fast as the mean of truth values.
    counts = np.add.reduce(occupied.view(np.uint8), axis=axis, dtype=np.uint32)
    return np.flatnonzero(counts / occupied.shape[axis] >= _OCCUPIED_SHARE)


def _span(occupied: NDArray[np.intp], step: int, limit: int) -> tuple[int, int]:
    """First and last occupied line with a margin, in full-size pixels within 0..limit."""
    return max(0, int(occupied[0]) * step - _MARGIN_PX), min(limit, (int(occupied[-1]) + 1) * step + _MARGIN_PX)
