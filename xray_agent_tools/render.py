"""Pictures for people: a view with its boxes, or one item enlarged."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from xray_agent_tools.errors import InvalidArgument
from xray_agent_tools.report import Detection, Severity, ThreatReport
from xray_agent_tools.scan import Scan
from xray_agent_tools.wording import words_of

LONGEST_SIDE_PX = 1568
"""Longer sides are scaled down: vision models see no more than this."""

_COLOURS: dict[Severity, str] = {
    "critical": "#d0021b",
    "high": "#e8590c",
    "medium": "#8e24aa",
    "low": "#1565c0",
    "none": "#455a64",
}
_OPAQUE_COLOUR = "#212121"
_SMALLEST_CROP_PX = 224


def overlay(scan: Scan, report: ThreatReport, *, view: int = 0) -> Image.Image:
    """Draw a report's boxes on a view.

    Boxes at their operating point are solid, weaker ones and opaque regions are thin.

    Raises:
        InvalidArgument: there is no such view.
    """
    pixels = _view_pixels(scan, view)
    picture = Image.fromarray(pixels)
    scale = min(1.0, LONGEST_SIDE_PX / max(picture.size))
    if scale < 1.0:
        picture = picture.resize((round(picture.width * scale), round(picture.height * scale)))
    draw = ImageDraw.Draw(picture)
    stroke = max(2, round(max(picture.size) / 300))
    font = ImageFont.load_default(size=max(11, round(max(picture.size) / 45)))
    for region in report.opaque_regions:
        if region.view == view:
            box = region.box
            corners = (box.x_min * scale, box.y_min * scale, box.x_max * scale, box.y_max * scale)
            draw.rectangle(corners, outline=_OPAQUE_COLOUR, width=1)
    for detection in reversed(report.detections):
        if detection.view == view:
            _draw_detection(draw, detection, scale, stroke, font, picture.width)
    return picture


def _draw_detection(
    draw: ImageDraw.ImageDraw,
    detection: Detection,
    scale: float,
    stroke: int,
    font: ImageFont.FreeTypeFont | ImageFont.ImageFont,
    width: int,
) -> None:
    box = detection.box
    corners = (box.x_min * scale, box.y_min * scale, box.x_max * scale, box.y_max * scale)
    colour = _COLOURS[detection.severity]
    draw.rectangle(corners, outline=colour, width=stroke if detection.above_threshold else 1)
    text = f"{detection.id} {words_of(detection.label)} {detection.confidence:.2f}"
    left, top, right, bottom = draw.textbbox((0, 0), text, font=font)
    text_width, text_height = right - left + 6, bottom - top + 6
    x = max(0.0, min(corners[0], width - text_width))
    y = corners[1] - text_height if corners[1] >= text_height else corners[1]
    draw.rectangle((x, y, x + text_width, y + text_height), fill=colour)
    draw.text((x + 3 - left, y + 3 - top), text, fill="white", font=font)


def crop(scan: Scan, detection: Detection, *, margin: float = 0.3) -> Image.Image:
    """Cut one detection out of its view, enlarged if it is small.

    Args:
        scan: the scan.
        detection: what to show.
        margin: how much to add on every side, as a share of the box's longer side.

    Raises:
        InvalidArgument: the scan has no such view, or the margin is negative or above 10.
    """
    if not 0 <= margin <= 10:
        raise InvalidArgument(f"the margin is {margin}", hint="give a number from 0 to 10")
    pixels = _view_pixels(scan, detection.view)
    box = detection.box
    extra = margin * max(box.x_max - box.x_min, box.y_max - box.y_min)
    left, top = max(0, int(box.x_min - extra)), max(0, int(box.y_min - extra))
    right = max(left + 1, min(pixels.shape[1], round(box.x_max + extra)))
    bottom = max(top + 1, min(pixels.shape[0], round(box.y_max + extra)))
    picture = Image.fromarray(pixels[top:bottom, left:right].copy())
    longest = max(picture.size)
    scale = max(1.0, _SMALLEST_CROP_PX / longest) if longest < LONGEST_SIDE_PX else LONGEST_SIDE_PX / longest
    size = (max(1, round(picture.width * scale)), max(1, round(picture.height * scale)))
    return picture.resize(size, Image.Resampling.BICUBIC)


def _view_pixels(scan: Scan, view: int) -> NDArray[np.uint8]:
    if not 0 <= view < len(scan.views):
        raise InvalidArgument(f"there is no view {view}", hint=f"the scan has {len(scan.views)} views, from 0")
    return scan.views[view].pixels
