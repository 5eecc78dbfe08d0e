"""Pictures in a model's grid, held against the processor that would resize them: sizes, and boxes that mean the same."""

from __future__ import annotations

import json

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from PIL import Image
from transformers.models.qwen2_vl.image_processing_qwen2_vl import smart_resize
from xray_training.datasets.pairs import Place, in_pixels

from xray_agent_tools.explainer.picture import Frame

sides = st.integers(1, 4000)
cells = st.sampled_from([24, 28, 32])


@st.composite
def frames(draw: st.DrawFn) -> Frame:
    cell = draw(cells)
    fewest = draw(st.integers(1, 64))
    return Frame(cell=cell, min_pixels=fewest * cell**2, max_pixels=draw(st.integers(fewest, 1200)) * cell**2)


@given(frames(), sides, sides)
def test_a_picture_is_whole_cells_within_the_bounds(frame: Frame, width: int, height: int) -> None:
    framed = frame.size_of(width, height)
    assert [side % frame.cell for side in framed] == [0, 0]
    assert framed[0] * framed[1] <= frame.max_pixels
    assert framed[0] * framed[1] >= frame.min_pixels or max(framed) == 200 * min(framed)
    assert min(framed) > 0


@given(frames(), sides, sides)
def test_a_framed_picture_is_not_resized_again(frame: Frame, width: int, height: int) -> None:
    framed = frame.size_of(width, height)
    assume(max(framed) / min(framed) < 200)
    assert frame.size_of(*framed) == framed
    again = smart_resize(framed[1], framed[0], frame.cell, frame.min_pixels, frame.max_pixels)
    assert again == framed[::-1]


@given(st.integers(100, 3000), st.integers(100, 3000))
def test_a_server_that_resizes_by_itself_shows_the_same_grid(width: int, height: int) -> None:
    frame = Frame(cell=28, min_pixels=200704, max_pixels=802816)
    assume(max(width, height) / min(width, height) < 12)
    assert smart_resize(height, width, 28, 200704, 802816) == frame.size_of(width, height)[::-1]


@given(st.integers(200, 3000), st.integers(200, 3000))
def test_the_aspect_is_kept_as_nearly_as_cells_allow(width: int, height: int) -> None:
    frame = Frame(cell=28, min_pixels=200704, max_pixels=802816)
    assume(max(width, height) / min(width, height) < 3)
    framed = frame.size_of(width, height)
    scale = (framed[0] * framed[1] / (width * height)) ** 0.5
    assert abs(framed[0] - width * scale) <= 1.5 * frame.cell
    assert abs(framed[1] - height * scale) <= 1.5 * frame.cell


@given(
    frames(), st.integers(60, 3000), st.integers(60, 3000), st.tuples(*[st.floats(0, 1)] * 4), st.sampled_from([0, 1])
)
def test_boxes_survive_the_round_trip(
    frame: Frame, width: int, height: int, corners: tuple[float, float, float, float], unit: int
) -> None:
    frame = frame.model_copy(update={"boxes": ("pixels", "thousandths")[unit]})
    left, upper, right, lower = corners
    place = Place(
        label="knife", x_min=min(left, right), y_min=min(upper, lower), x_max=max(left, right), y_max=max(upper, lower)
    )
    size = frame.box_size(*frame.size_of(width, height))
    written = json.loads(in_pixels("<box:0>", [place], *size))
    for number, share, side in zip(
        written, (place.x_min, place.y_min, place.x_max, place.y_max), (*size, *size), strict=True
    ):
        assert abs(number / side - share) <= 0.5 / side + 1e-9


def test_a_picture_is_shown_in_colour_and_size() -> None:
    frame = Frame(cell=28, min_pixels=3136, max_pixels=12544)
    shown = frame.show(Image.new("L", (500, 300), 40))
    assert (shown.mode, shown.size) == ("RGB", frame.size_of(500, 300))
    fits = Image.new("RGB", (112, 56), "red")
    assert frame.show(fits).tobytes() == fits.tobytes()


def test_bounds_that_no_picture_fits_are_refused() -> None:
    with pytest.raises(ValueError, match="raise max_pixels"):
        Frame(cell=28, min_pixels=785, max_pixels=785)
