from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as npst
from numpy.typing import NDArray

from tests.library.pictures import BLACK, BLUE, GREEN, ORANGE, bag
from xray_agent_tools.detector.preprocess import Content, Placement, content_box, flatten_field, luminance, place
from xray_agent_tools.evidence.material import material_in
from xray_agent_tools.evidence.occlusion import FEATURES, FITTED, occlusion_in
from xray_agent_tools.evidence.opacity import opaque_regions
from xray_agent_tools.evidence.quality import view_issues
from xray_agent_tools.evidence.region import region_of
from xray_agent_tools.report import Box

PIXELS = npst.arrays(np.uint8, st.tuples(st.integers(1, 60), st.integers(1, 60), st.just(3)))
WHOLE = Box(x_min=0, y_min=0, x_max=40, y_max=40)


def plain(colour: tuple[int, int, int], side: int = 40) -> NDArray[np.uint8]:
    return np.full((side, side, 3), colour, np.uint8)


@pytest.mark.parametrize(
    ("x", "y", "word"), [(1, 1, "upper-left"), (50, 50, "centre"), (99, 99, "lower-right"), (50, 99, "lower-centre")]
)
def test_places_have_nine_words(x: float, y: float, word: str) -> None:
    assert region_of(x, y, 100, 100) == word


@pytest.mark.parametrize(
    ("colour", "name"), [(ORANGE, "organic"), (GREEN, "mixed"), (BLUE, "metal"), (BLACK, "opaque")]
)
def test_a_material_is_read_from_its_colour(colour: tuple[int, int, int], name: str) -> None:
    material = material_in(plain(colour), WHOLE)
    assert material is not None
    assert getattr(material, name) == 1.0


def test_material_shares_are_those_of_the_area() -> None:
    pixels = plain(ORANGE)
    pixels[:10] = BLUE
    material = material_in(pixels, WHOLE)
    assert material is not None
    assert (material.organic, material.metal) == (0.75, 0.25)


def test_an_empty_belt_has_no_material() -> None:
    assert material_in(plain((255, 255, 255)), WHOLE) is None


@given(PIXELS, st.floats(0, 40), st.floats(0, 40), st.floats(1, 60), st.floats(1, 60))
def test_material_shares_sum_to_one(pixels: NDArray[np.uint8], x: float, y: float, width: float, height: float) -> None:
    material = material_in(pixels, Box(x_min=x, y_min=y, x_max=x + width, y_max=y + height))
    if material is not None:
        assert sum(material.model_dump().values()) == pytest.approx(1, abs=1e-6)


def test_a_material_is_that_of_the_item_and_not_of_what_lies_around_it() -> None:
    pixels = np.full((100, 100, 3), ORANGE, np.uint8)
    both = np.multiply(ORANGE, BLUE) // 255
    pixels[40:60, 40:60] = both
    material = material_in(pixels, Box(x_min=38, y_min=38, x_max=62, y_max=62))
    assert material is not None
    assert material.metal == 1.0


def test_a_box_in_which_nothing_stands_out_has_the_material_of_everything_in_it() -> None:
    material = material_in(plain(ORANGE, side=100), WHOLE)
    assert material is not None
    assert material.organic == 1.0


def test_what_lies_outside_of_the_view_has_no_evidence() -> None:
    outside = Box(x_min=50, y_min=50, x_max=60, y_max=60)
    assert material_in(plain(ORANGE), outside) is None
    assert occlusion_in(luminance(plain(ORANGE)), outside) is None


def steel_bar(*, covered: bool) -> tuple[NDArray[np.uint8], Box]:
    """A bar on a belt, or under a larger and thicker block; attenuations add, so luminances multiply."""
    grey = np.full((300, 300), 255, np.uint8)
    grey[140:160, 80:220] = 70
    if covered:
        grey[60:240, 40:260] = (grey[60:240, 40:260].astype(int) * 40 // 255).astype(np.uint8)
    return grey, Box(x_min=80, y_min=140, x_max=220, y_max=160)


def test_an_item_on_an_empty_belt_is_not_occluded_and_one_under_a_thick_block_is() -> None:
    alone, covered = (occlusion_in(*steel_bar(covered=covered)) for covered in (False, True))
    assert alone is not None
    assert covered is not None
    assert (alone.occluded, covered.occluded) == (False, True)
    assert alone.score < covered.score - 0.2


def test_occlusion_is_the_same_in_a_mirror() -> None:
    grey = luminance(bag())
    box = Box(x_min=60, y_min=66, x_max=90, y_max=100)
    mirrored = Box(x_min=grey.shape[1] - 90, y_min=66, x_max=grey.shape[1] - 60, y_max=100)
    found, turned = occlusion_in(grey, box), occlusion_in(np.ascontiguousarray(grey[:, ::-1]), mirrored)
    assert found is not None
    assert turned is not None
    assert found.score == pytest.approx(turned.score, abs=0.02)


@given(PIXELS, st.floats(-20, 60), st.floats(-20, 60), st.floats(0.1, 60), st.floats(0.1, 60))
def test_any_box_on_any_picture_has_a_finite_occlusion_or_none(
    pixels: NDArray[np.uint8], x: float, y: float, width: float, height: float
) -> None:
    occlusion = occlusion_in(luminance(pixels), Box(x_min=x, y_min=y, x_max=x + width, y_max=y + height))
    assert occlusion is None or occlusion.occluded == (occlusion.score >= 0.7)


def test_weights_are_given_for_every_measure() -> None:
    assert {len(part) for part in FITTED[1:]} == {len(FEATURES)}
    assert all(low < high for low, high in zip(FITTED.lowest, FITTED.highest, strict=True))


def test_occlusion_of_a_box_that_fills_the_view_is_not_guessed() -> None:
    assert occlusion_in(np.full((40, 40), 60, np.uint8), WHOLE) is None


def content_area(content: Content) -> int:
    left, top, right, bottom = content.box
    return (right - left) * (bottom - top)


def test_a_dark_block_is_one_opaque_region_where_it_lies() -> None:
    pixels = bag()
    pixels[80:140, 100:200] = BLACK
    content = Content(pixels)
    (region,) = opaque_regions(content, 0)
    assert abs(region.box.x_min - 100) <= 5
    assert abs(region.box.y_max - 140) <= 5
    assert region.share == pytest.approx(100 * 60 / content_area(content), abs=0.02)


def test_a_bag_without_dark_parts_has_no_opaque_region() -> None:
    assert opaque_regions(Content(bag()), 0) == []


def test_a_scan_like_picture_has_no_quality_issue() -> None:
    assert view_issues(Content(bag()), 320) == []


def strip_of_bags() -> NDArray[np.uint8]:
    return np.concatenate([bag()] * 5, axis=1)


def drawing() -> NDArray[np.uint8]:
    pixels = np.full((300, 400, 3), 255, np.uint8)
    pixels[80:200, 90:300] = BLUE
    return pixels


def cut_off() -> NDArray[np.uint8]:
    pixels = bag()
    pixels[150:] = 128
    return pixels


def speck() -> NDArray[np.uint8]:
    pixels = np.full((640, 640, 3), 255, np.uint8)
    pixels[300:346, 300:346] = 90
    return pixels


@pytest.mark.parametrize(
    ("pixels", "code"),
    [
        (strip_of_bags(), "too_coarse"),
        (bag(6000, 4000), "too_coarse"),
        (drawing(), "not_an_xray"),
        (cut_off(), "incomplete"),
        (speck(), "too_small"),
    ],
)
def test_what_a_detector_cannot_be_believed_on_is_an_issue(pixels: NDArray[np.uint8], code: str) -> None:
    assert [issue.code for issue in view_issues(Content(pixels), 320)] == [code]


@given(PIXELS)
def test_every_picture_can_be_judged(pixels: NDArray[np.uint8]) -> None:
    assert [issue.code for issue in view_issues(Content(pixels), 320)] in ([], ["too_small"])


def test_the_content_box_holds_the_bag_with_a_margin() -> None:
    assert np.allclose(content_box(bag()), (37 - 6, 25 - 6, 262 + 6, 175 + 6), atol=1)


def test_a_grey_belt_is_cropped_and_whitened_like_a_white_one() -> None:
    grey_belt = np.minimum(bag(), np.array([205, 206, 200], np.uint8))
    assert content_box(grey_belt) == content_box(bag())
    assert flatten_field(grey_belt)[0, 0].min() >= 254


def test_a_frame_without_a_belt_is_taken_whole() -> None:
    assert content_box(plain(ORANGE)) == (0, 0, 40, 40)


@given(PIXELS)
def test_the_content_box_is_never_empty_and_lies_inside(pixels: NDArray[np.uint8]) -> None:
    left, top, right, bottom = content_box(pixels)
    assert 0 <= left < right <= pixels.shape[1]
    assert 0 <= top < bottom <= pixels.shape[0]


@given(PIXELS)
def test_any_picture_can_be_placed_in_the_network_input(pixels: NDArray[np.uint8]) -> None:
    network_input, _ = place(pixels, 64)
    assert network_input.shape == (3, 64, 64)
    assert network_input.dtype == np.float32
    assert 0 <= network_input.min() <= network_input.max() <= 1


def test_an_item_lies_where_its_placement_says() -> None:
    pixels = bag()
    network_input, placement = place(pixels, 320)
    bar = np.array([[60, 66, 150, 100]], np.float32)
    left, top, right, bottom = placement.to_input(bar)[0].round().astype(int)
    inside = network_input[:, top + 3 : bottom - 3, left + 3 : right - 3]
    assert np.allclose(inside * 255, np.array(BLUE)[:, None, None], atol=22)


@given(
    st.floats(0, 500), st.floats(0, 500), st.floats(0.05, 8), st.floats(0, 200), st.floats(0, 200),
    npst.arrays(np.float32, (5, 4), elements=st.floats(0, 1000, width=32)),
)  # fmt: skip
def test_placing_and_placing_back_is_the_identity(
    x: float, y: float, scale: float, pad_x: float, pad_y: float, boxes: NDArray[np.float32]
) -> None:
    placement = Placement(x, y, scale, pad_x, pad_y)
    assert np.allclose(placement.to_scan(placement.to_input(boxes)), boxes, atol=0.05)


def test_luminance_is_the_usual_luma() -> None:
    assert luminance(plain((255, 0, 0)))[0, 0] == 76
