"""Pictures for people: a view with its boxes, or one item enlarged."""

from __future__ import annotations

from dataclasses import dataclass
from io import BytesIO

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from xray_agent_tools.errors import InvalidArgument
from xray_agent_tools.report import Box, Detection, PictureCaption, Severity, ThreatReport
from xray_agent_tools.scan import Scan
from xray_agent_tools.wording import words_of

LONGEST_SIDE_PX = 1568
"""Longer sides are scaled down: vision models see no more than this."""

MOST_BYTES = 700_000
"""Size of an encoded picture: in base64 it stays below the 1,048,576 characters that a client has refused."""

_COLOURS: dict[Severity, str] = {
    "critical": "#d0021b",
    "high": "#e8590c",
    "medium": "#8e24aa",
    "low": "#1565c0",
    "none": "#455a64",
}
_OPAQUE_COLOUR = "#212121"
_SMALLEST_CROP_PX = 224
_QUALITIES = (92, 85, 75, 60, 40)


@dataclass(frozen=True, slots=True)
class ScanPicture:
    """A picture of a scan, and what it shows."""

    picture: Image.Image
    caption: PictureCaption


def picture_of(
    scan: Scan, report: ThreatReport, *, detection_id: str | None = None, view: int = 0, boxes: bool = True
) -> ScanPicture:
    """Draw a whole view, or one detection enlarged.

    Args:
        scan: the scan.
        report: what was found on it.
        detection_id: the detection to enlarge; the whole view when not given.
        view: index of the view to show whole.
        boxes: draw the boxes on a whole view.

    Raises:
        InvalidArgument: there is no such detection or view.
    """
    if detection_id is None:
        return _whole_view(scan, report, view, boxes)
    if not isinstance(detection_id, str):
        raise InvalidArgument("detection_id is no text", hint="give d1, d2, ...")
    chosen = next((detection for detection in report.detections if detection.id == detection_id), None)
    if chosen is None:
        listed = ", ".join(detection.id for detection in report.detections[:20]) or "none"
        raise InvalidArgument(
            f"there is no detection {detection_id[:20]!r}",
            hint=f"the detections are: {listed}; give labels and min_confidence as in the call whose ids you use",
        )
    label = words_of(chosen.label)
    shows = f"{chosen.id}, what the detector takes for a {label} ({chosen.confidence:.2f}), enlarged, no box drawn"
    return _captioned(crop(scan, chosen), report, shows, [chosen.id], chosen.view, surroundings(scan, chosen))


def _whole_view(scan: Scan, report: ThreatReport, view: int, boxes: bool) -> ScanPicture:
    height, width = _view_pixels(scan, view).shape[:2]
    whole = Box(x_min=0, y_min=0, x_max=width, y_max=height)
    name = f"view {view + 1} of {len(scan.views)}"
    if not boxes:
        return _captioned(_scaled(scan, view)[0], report, f"{name}, bare", [], view, whole)
    drawn = [detection.id for detection in report.detections if detection.view == view]
    shown = f"the boxes of {', '.join(drawn[:20])}" if drawn else "no box, because nothing is listed on it"
    if any(region.view == view for region in report.opaque_regions):
        shown += ", and thin outlines of what could not be looked into"
    return _captioned(overlay(scan, report, view=view), report, f"{name} with {shown}", drawn, view, whole)


def _captioned(
    picture: Image.Image, report: ThreatReport, shows: str, ids: list[str], view: int, part: Box
) -> ScanPicture:
    caption = PictureCaption(
        scan_id=report.scan_id,
        verdict=report.verdict,
        shows=shows,
        detection_ids=ids,
        view=view,
        part=part,
        width=picture.width,
        height=picture.height,
    )
    return ScanPicture(picture, caption)


def overlay(scan: Scan, report: ThreatReport, *, view: int = 0) -> Image.Image:
    """Draw a report's boxes on a view.

    Boxes at their operating point are solid, weaker ones and opaque regions are thin.

    Raises:
        InvalidArgument: there is no such view.
    """
    picture, scale = _scaled(scan, view)
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


def _scaled(scan: Scan, view: int) -> tuple[Image.Image, float]:
    picture = Image.fromarray(_view_pixels(scan, view))
    scale = min(1.0, LONGEST_SIDE_PX / max(picture.size))
    if scale < 1.0:
        size = (max(1, round(picture.width * scale)), max(1, round(picture.height * scale)))
        picture = picture.resize(size)
    return picture, scale


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


def surroundings(scan: Scan, detection: Detection, *, margin: float = 0.3) -> Box:
    """A detection's box with a margin, in whole pixels within its view.

    Args:
        scan: the scan.
        detection: what to surround.
        margin: how much to add on every side, as a share of the box's longer side.

    Raises:
        InvalidArgument: the scan has no such view, or the margin is negative or above 10.
    """
    if not 0 <= margin <= 10:
        raise InvalidArgument(f"the margin is {margin}", hint="give a number from 0 to 10")
    height, width = _view_pixels(scan, detection.view).shape[:2]
    box = detection.box
    extra = margin * max(box.x_max - box.x_min, box.y_max - box.y_min)
    left, top = max(0, int(box.x_min - extra)), max(0, int(box.y_min - extra))
    right = max(left + 1, min(width, round(box.x_max + extra)))
    bottom = max(top + 1, min(height, round(box.y_max + extra)))
    return Box(x_min=left, y_min=top, x_max=right, y_max=bottom)


def crop(scan: Scan, detection: Detection, *, margin: float = 0.3) -> Image.Image:
    """Cut one detection with its surroundings out of its view, enlarged if it is small.

    Args and raises as :func:`surroundings`.
    """
    part = surroundings(scan, detection, margin=margin)
    rows, columns = slice(int(part.y_min), int(part.y_max)), slice(int(part.x_min), int(part.x_max))
    picture = Image.fromarray(_view_pixels(scan, detection.view)[rows, columns].copy())
    longest = max(picture.size)
    scale = max(1.0, _SMALLEST_CROP_PX / longest) if longest < LONGEST_SIDE_PX else LONGEST_SIDE_PX / longest
    size = (max(1, round(picture.width * scale)), max(1, round(picture.height * scale)))
    return picture.resize(size, Image.Resampling.BICUBIC)


def as_jpeg(picture: Image.Image, *, most_bytes: int = MOST_BYTES) -> bytes:
    """A picture as JPEG, as fine as fits.

    Args:
        picture: an RGB picture.
        most_bytes: size to stay within, at least 2,000: first the quality gives way, then the size in pixels.
    """
    for quality in _QUALITIES:
        buffer = BytesIO()
        picture.save(buffer, format="JPEG", quality=quality, subsampling=0)
        if buffer.tell() <= most_bytes:
            return buffer.getvalue()
    if max(picture.size) == 1:
        raise InvalidArgument(f"no picture fits into {most_bytes} bytes", hint="allow more")
    return as_jpeg(picture.resize((max(1, picture.width // 2), max(1, picture.height // 2))), most_bytes=most_bytes)


def _view_pixels(scan: Scan, view: int) -> NDArray[np.uint8]:
    if isinstance(view, bool) or not isinstance(view, int) or not 0 <= view < len(scan.views):
        raise InvalidArgument(
            f"there is no view {str(view)[:20]}", hint=f"the scan has {len(scan.views)} views, from 0"
        )
    return scan.views[view].pixels
