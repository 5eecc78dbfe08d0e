from __future__ import annotations

from io import BytesIO

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from tests.library.pictures import bag, found, screener_that_finds
from xray_agent_tools.errors import InvalidArgument
from xray_agent_tools.render import LONGEST_SIDE_PX, MOST_BYTES, as_jpeg, crop, overlay
from xray_agent_tools.report import ThreatReport
from xray_agent_tools.scan import Scan, load_scan

RED = (208, 2, 27)


def drawn(pixels: np.ndarray, box: tuple[float, float, float, float]) -> tuple[Scan, ThreatReport]:
    scan = load_scan(pixels)
    return scan, screener_that_finds(found("gun", 0.97, box)).detect_threats(scan)


def test_a_box_is_drawn_in_the_colour_of_its_severity_where_it_is() -> None:
    scan, report = drawn(bag(), (60, 68, 120, 100))
    picture = np.asarray(overlay(scan, report))
    assert tuple(picture[85, 60]) == RED
    assert tuple(picture[100, 90]) == RED
    assert np.array_equal(picture[110:], bag()[110:])


def test_a_large_scan_is_scaled_down_with_its_boxes() -> None:
    scan, report = drawn(bag(3000, 2000), (600, 680, 1200, 1000))
    picture = overlay(scan, report)
    assert max(picture.size) == LONGEST_SIDE_PX
    scale = LONGEST_SIDE_PX / 3000
    assert np.asarray(picture)[round(850 * scale), round(600 * scale)].tolist() == list(RED)


@pytest.mark.parametrize("box", [(0, 0, 300, 200), (0, 0, 2, 2), (297, 197, 300, 200), (100, 60, 101.2, 61.2)])
def test_boxes_at_the_edges_can_be_drawn_and_cut_out(box: tuple[float, float, float, float]) -> None:
    scan, report = drawn(bag(), box)
    assert overlay(scan, report).size == (300, 200)
    assert max(crop(scan, report.detections[0]).size) >= 224


def test_a_crop_shows_the_item_with_a_margin() -> None:
    scan, report = drawn(bag(), (60, 68, 120, 100))
    picture = crop(scan, report.detections[0], margin=0)
    assert picture.width / picture.height == pytest.approx(60 / 32, rel=0.02)


def test_what_cannot_be_drawn_is_refused() -> None:
    scan, report = drawn(bag(), (60, 68, 120, 100))
    with pytest.raises(InvalidArgument):
        overlay(scan, report, view=1)
    with pytest.raises(InvalidArgument):
        crop(scan, report.detections[0], margin=-1)


def opened(content: bytes) -> Image.Image:
    """An encoded picture, decoded in full."""
    picture = Image.open(BytesIO(content))
    picture.load()
    return picture


def noise(width: int, height: int, values: list[int]) -> Image.Image:
    """A picture that compresses as badly as one of these values can."""
    pixels = np.random.default_rng(0).choice(np.array(values, dtype=np.uint8), (height, width, 3))
    return Image.fromarray(pixels)


def test_a_scan_is_sent_as_a_fine_jpeg_of_its_own_size() -> None:
    scan, report = drawn(bag(), (60, 68, 120, 100))
    picture = overlay(scan, report)
    sent = opened(as_jpeg(picture))
    assert (sent.format, sent.mode, sent.size) == ("JPEG", "RGB", picture.size)
    assert np.abs(np.asarray(sent).astype(int) - np.asarray(picture)).mean() < 4


@pytest.mark.parametrize("values", [list(range(256)), [0, 255]], ids=["grey noise", "black and white noise"])
def test_the_noisiest_picture_stays_small_enough_for_every_client(values: list[int]) -> None:
    content = as_jpeg(noise(LONGEST_SIDE_PX, LONGEST_SIDE_PX, values))
    assert len(content) <= MOST_BYTES
    sent = opened(content)
    assert sent.format == "JPEG"
    assert sent.width == sent.height <= LONGEST_SIDE_PX


@given(st.integers(1, 400), st.integers(1, 400), st.integers(2_000, 200_000))
@settings(max_examples=40)
def test_a_jpeg_stays_within_the_bound_asked_for(width: int, height: int, most_bytes: int) -> None:
    content = as_jpeg(noise(width, height, [0, 255]), most_bytes=most_bytes)
    assert len(content) <= most_bytes
    assert opened(content).mode == "RGB"


def test_a_bound_that_no_picture_can_keep_is_refused() -> None:
    with pytest.raises(InvalidArgument, match="100 bytes"):
        as_jpeg(noise(30, 30, [0, 255]), most_bytes=100)


def test_a_picture_is_made_coarser_only_as_far_as_it_must() -> None:
    picture = noise(300, 300, list(range(256)))
    finest = as_jpeg(picture, most_bytes=10_000_000)
    coarser = as_jpeg(picture, most_bytes=len(finest) - 1)
    assert as_jpeg(picture, most_bytes=len(finest)) == finest
    assert len(finest) / 2 < len(coarser) < len(finest)
