"""Changes to a scan that a detector must survive."""

from __future__ import annotations

import io
from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from xray_training.datasets.record import LabelledBox, ScanRecord

Pixels = NDArray[np.uint8]
Sides = tuple[float, float, float, float]

_JPEG_QUALITY = 40
_HUE_TURN = 60
_PALETTE_GAMMA = 1.8


def _unmoved(sides: Sides) -> Sides:
    return sides


@dataclass(frozen=True, slots=True)
class Change:
    """A change of a scan.

    Attributes:
        name: what it does, for people.
        pixels: alters RGB pixels, shape (height, width, 3), 0..255; the shape may change.
        sides: where a box lies afterwards; x_min, y_min, x_max, y_max in shares (0..1) of the frame.
    """

    name: str
    pixels: Callable[[Pixels], Pixels]
    sides: Callable[[Sides], Sides] = _unmoved

    def of(self, record: ScanRecord) -> ScanRecord:
        """The record with its boxes where they lie after the change; its picture is the unchanged one."""
        return replace(record, boxes=tuple(self._moved(box) for box in record.boxes))

    def _moved(self, box: LabelledBox) -> LabelledBox:
        sides = self.sides((box.x_min, box.y_min, box.x_max, box.y_max))
        return LabelledBox(box.label, *sides, box.original)


def _greyscale(pixels: Pixels) -> Pixels:
    return np.asarray(Image.fromarray(pixels).convert("L").convert("RGB"))


def _red_and_blue_swapped(pixels: Pixels) -> Pixels:
    return np.ascontiguousarray(pixels[:, :, ::-1])


def _hues_turned(pixels: Pixels) -> Pixels:
    """Each hue turned by 60 degrees; white and greys stay."""
    hue, saturation, value = Image.fromarray(pixels).convert("HSV").split()
    turned = Image.fromarray((np.asarray(hue).astype(np.int16) + _HUE_TURN * 256 // 360).astype(np.uint8))
    return np.asarray(Image.merge("HSV", (turned, saturation, value)).convert("RGB"))


def _darker(pixels: Pixels) -> Pixels:
    """Steeper from white to dark, as another penetration curve shows it; white stays white."""
    curve = np.round(255 * (np.arange(256) / 255) ** _PALETTE_GAMMA).astype(np.uint8)
    return np.asarray(curve[pixels])


def _compressed(pixels: Pixels) -> Pixels:
    coded = io.BytesIO()
    Image.fromarray(pixels).save(coded, "JPEG", quality=_JPEG_QUALITY)
    with Image.open(coded) as picture:
        return np.asarray(picture.convert("RGB"))


def _scaled_to(longer: int) -> Callable[[Pixels], Pixels]:
    def scale(pixels: Pixels) -> Pixels:
        height, width = pixels.shape[:2]
        factor = longer / max(height, width)
        size = max(1, round(width * factor)), max(1, round(height * factor))
        kernel = Image.Resampling.BOX if factor < 1 else Image.Resampling.BICUBIC
        return np.asarray(Image.fromarray(pixels).resize(size, kernel))

    return scale


def _rotated(quarters: int) -> Callable[[Pixels], Pixels]:
    def rotate(pixels: Pixels) -> Pixels:
        return np.ascontiguousarray(np.rot90(pixels, quarters))

    return rotate


def _sides_rotated(quarters: int) -> Callable[[Sides], Sides]:
    """Where boxes go when a frame is turned counter-clockwise by so many right angles."""

    def rotate(sides: Sides) -> Sides:
        for _ in range(quarters):
            x_min, y_min, x_max, y_max = sides
            sides = y_min, 1 - x_max, y_max, 1 - x_min
        return sides

    return rotate


def _mirrored(pixels: Pixels) -> Pixels:
    return np.ascontiguousarray(pixels[:, ::-1])


def _sides_mirrored(sides: Sides) -> Sides:
    x_min, y_min, x_max, y_max = sides
    return 1 - x_max, y_min, 1 - x_min, y_max


UNCHANGED = Change("as it is", lambda pixels: pixels)

CHANGES: tuple[Change, ...] = (
    UNCHANGED,
    Change("greyscale", _greyscale),
    Change("palette: red and blue swapped", _red_and_blue_swapped),
    Change(f"palette: hues turned by {_HUE_TURN} degrees", _hues_turned),
    Change(f"palette: darker, gamma {_PALETTE_GAMMA}", _darker),
    Change(f"JPEG quality {_JPEG_QUALITY}", _compressed),
    Change("scaled to 200 px", _scaled_to(200)),
    Change("scaled to 4,000 px", _scaled_to(4000)),
    Change("mirrored", _mirrored, _sides_mirrored),
    *(Change(f"rotated by {90 * n} degrees", _rotated(n), _sides_rotated(n)) for n in (1, 2, 3)),
)
"""Every change, the unchanged scan first."""
