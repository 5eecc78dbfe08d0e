"""Sheets of scans with their boxes, made to be looked at."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from xray_agent_tools.detector.preprocess import content_box
from xray_agent_tools.taxonomy import taxonomy
from xray_training.datasets.record import LabelledBox, ScanRecord

TILE_PX = (360, 300)
"""Width and height of the space for one scan."""

_GUTTER = 18
_CAPTION = 46
_TITLE = 44
_HEADING = 32
_LARGE, _MEDIUM, _TEXT, _SMALL = 24, 19, 15, 13
_INK, _FAINT, _FRAME = "#1b1b1b", "#6a6a6a", "#d9d9d9"
_MARGIN = 0.03

# Okabe and Ito's colours for those who see fewer, darkened until white letters stand on them.
_PALETTE = ("#c2410c", "#005f9e", "#00745a", "#a3337a", "#7a5c00", "#2f4b9f", "#8b1a1a", "#4d4d4d")


@dataclass(frozen=True, slots=True)
class Tile:
    """One scan of a sheet: its pixels, its boxes, and up to two lines of text below it."""

    pixels: NDArray[np.uint8]
    boxes: tuple[LabelledBox, ...]
    caption: tuple[str, ...]
    marked: bool = False


@dataclass(frozen=True, slots=True)
class Block:
    """Scans in columns, with a heading over them."""

    tiles: Sequence[Tile]
    columns: int
    heading: str = ""

    @property
    def rows(self) -> list[Sequence[Tile]]:
        """The tiles, so many a row; the last row may be shorter."""
        return [self.tiles[start : start + self.columns] for start in range(0, len(self.tiles), self.columns)]


def tile_of(record: ScanRecord, *caption: str, cropped: bool = True, marked: bool = False) -> Tile:
    """Read a scan for a sheet.

    Args:
        record: the scan.
        caption: lines below it.
        cropped: leave away the empty belt around bag and boxes.
        marked: frame it in red.

    Raises:
        DatasetError: the picture cannot be read.
    """
    pixels = record.pixels()
    if not cropped:
        return Tile(pixels, record.boxes, caption, marked)
    height, width = pixels.shape[:2]
    corners = np.vstack([record.corners(width, height), np.array([content_box(pixels)], dtype=np.float32)])
    margin = _MARGIN * max(width, height)
    left, top = np.maximum(0, np.floor(corners[:, :2].min(axis=0) - margin)).astype(int).tolist()
    right, bottom = np.minimum((width, height), np.ceil(corners[:, 2:].max(axis=0) + margin)).astype(int).tolist()
    crop = np.ascontiguousarray(pixels[top:bottom, left:right])
    boxes = tuple(
        LabelledBox(
            box.label,
            (box.x_min * width - left) / crop.shape[1],
            (box.y_min * height - top) / crop.shape[0],
            (box.x_max * width - left) / crop.shape[1],
            (box.y_max * height - top) / crop.shape[0],
        )
        for box in record.boxes
    )
    return Tile(crop, boxes, caption, marked)


def colour_of(label: str) -> str:
    """The colour of a label: that of its group in the taxonomy."""
    return _colours().get(label, _PALETTE[-1])


@cache
def _colours() -> dict[str, str]:
    groups = list(taxonomy().groups)
    return {item.label: _PALETTE[groups.index(item.group) % len(_PALETTE)] for item in taxonomy().items}


def sheet(blocks: Sequence[Block], *, title: str) -> Image.Image:
    """Put blocks of scans beside each other on white, under one title.

    Every scan is scaled to fill its space, so that two blocks show bags at the same size whatever their pixels.
    """
    rows = max((len(block.rows) for block in blocks), default=0)
    widths = [_GUTTER + block.columns * (TILE_PX[0] + _GUTTER) for block in blocks]
    top = _GUTTER + _TITLE + (_HEADING if any(block.heading for block in blocks) else 0)
    page = Image.new("RGB", (sum(widths), top + rows * (TILE_PX[1] + _CAPTION + _GUTTER)), "white")
    draw = ImageDraw.Draw(page)
    draw.text((_GUTTER, _GUTTER), _fitting(title, _LARGE, page.width - 2 * _GUTTER), fill=_INK, font=_font(_LARGE))
    left = 0
    for number, (block, width) in enumerate(zip(blocks, widths, strict=True)):
        if number:
            draw.line((left, top, left, page.height - _GUTTER), fill=_FRAME, width=2)
        heading = _fitting(block.heading, _MEDIUM, width - 2 * _GUTTER)
        draw.text((left + _GUTTER, top - _HEADING), heading, fill=_INK, font=_font(_MEDIUM))
        _lay(page, block, left + _GUTTER, top)
        left += width
    return page


def _lay(page: Image.Image, block: Block, left: int, top: int) -> None:
    draw = ImageDraw.Draw(page)
    for row, tiles in enumerate(block.rows):
        for column, tile in enumerate(tiles):
            x, y = left + column * (TILE_PX[0] + _GUTTER), top + row * (TILE_PX[1] + _CAPTION + _GUTTER)
            page.paste(_drawn(tile), (x, y))
            _write_caption(draw, tile, (x, y + TILE_PX[1] + 4))


def _drawn(tile: Tile) -> Image.Image:
    """The scan with its boxes, centred in its space."""
    space = Image.new("RGB", TILE_PX, "white")
    picture = Image.fromarray(tile.pixels)
    scale = min((TILE_PX[0] - 4) / picture.width, (TILE_PX[1] - 4) / picture.height)
    size = (max(1, round(picture.width * scale)), max(1, round(picture.height * scale)))
    picture = picture.resize(size, Image.Resampling.LANCZOS)
    draw = ImageDraw.Draw(picture)
    for box in sorted(tile.boxes, key=lambda box: (box.x_max - box.x_min) * (box.y_max - box.y_min), reverse=True):
        _draw_box(draw, box, size)
    left, top = (TILE_PX[0] - size[0]) // 2, (TILE_PX[1] - size[1]) // 2
    space.paste(picture, (left, top))
    frame = (left - 1, top - 1, left + size[0], top + size[1]) if not tile.marked else (0, 0, *np.subtract(TILE_PX, 1))
    ImageDraw.Draw(space).rectangle(frame, outline="#d0021b" if tile.marked else _FRAME, width=2 if tile.marked else 1)
    return space


def _draw_box(draw: ImageDraw.ImageDraw, box: LabelledBox, size: tuple[int, int]) -> None:
    left, right = sorted((box.x_min * size[0], box.x_max * size[0]))
    top, bottom = sorted((box.y_min * size[1], box.y_max * size[1]))
    colour = colour_of(box.label)
    draw.rectangle((left, top, right, bottom), outline=colour, width=2)
    text = box.label.replace("_", " ")
    extent = draw.textbbox((0, 0), text, font=_font(_SMALL))
    width, height = extent[2] - extent[0] + 6, extent[3] - extent[1] + 6
    x = max(0.0, min(left, size[0] - width))
    y = top - height if top >= height else min(bottom, size[1] - height)
    draw.rectangle((x, y, x + width, y + height), fill=colour)
    draw.text((x + 3 - extent[0], y + 3 - extent[1]), text, fill="white", font=_font(_SMALL))


def _write_caption(draw: ImageDraw.ImageDraw, tile: Tile, place: tuple[int, int]) -> None:
    for line, text in enumerate(tile.caption[:2]):
        size, colour = ((_TEXT, _INK), (_SMALL, _FAINT))[line]
        draw.text((place[0], place[1] + 20 * line), _fitting(text, size, TILE_PX[0]), fill=colour, font=_font(size))


def _fitting(text: str, size: int, width: int) -> str:
    """The text, its middle left out where it would be too wide."""
    font = _font(size)
    if font.getlength(text) <= width:
        return text
    kept = len(text)
    while kept > 2 and font.getlength(_without_middle(text, kept)) > width:
        kept -= 1
    return _without_middle(text, kept)


def _without_middle(text: str, kept: int) -> str:
    return f"{text[: (kept + 1) // 2]}…{text[len(text) - kept // 2 :]}"


@cache
def _font(size: int) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    return ImageFont.load_default(size=size)
