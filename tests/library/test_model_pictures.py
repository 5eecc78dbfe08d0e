"""Pictures are sent in a size that Qwen's processors leave alone, and boxes are told in it."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Literal

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from xray_agent_tools.errors import Misconfigured
from xray_agent_tools.explainer.picture import QWEN2_5_VL, Frame, read_frame
from xray_agent_tools.explainer.prompt import quoted
from xray_agent_tools.report import Box
from xray_agent_tools.scan import load_scan

SIDES = st.integers(1, 20_000)
SMALL = Frame(min_pixels=20_736, max_pixels=69_696)


def as_the_processor_resizes(width: int, height: int, grid: int, least: int, most: int) -> tuple[int, int]:
    """The rule of Qwen's image processors, from their documentation: round to the grid, then keep within the bounds."""
    assert max(width, height) / min(width, height) <= 200
    across, down = round(width / grid) * grid, round(height / grid) * grid
    if across * down > most:
        shrink = math.sqrt(width * height / most)
        across, down = (max(grid, math.floor(side / shrink / grid) * grid) for side in (width, height))
    elif across * down < least:
        grow = math.sqrt(least / (width * height))
        across, down = (math.ceil(side * grow / grid) * grid for side in (width, height))
    return across, down


@given(SIDES, SIDES)
def test_a_picture_of_the_frames_size_goes_through_the_processor_unchanged(width: int, height: int) -> None:
    for frame in (QWEN2_5_VL, SMALL, Frame(cell=32, min_pixels=262_144, max_pixels=802_816)):
        across, down = frame.size_of(width, height)
        least = min(frame.min_pixels, across * down)
        assert as_the_processor_resizes(across, down, frame.cell, least, frame.max_pixels) == (across, down)


@given(st.integers(150, 4000), st.integers(150, 4000))
def test_the_size_of_a_usual_scan_is_the_one_that_the_processor_would_choose(width: int, height: int) -> None:
    frame = QWEN2_5_VL
    assume(max(width, height) < 8 * min(width, height))
    theirs = as_the_processor_resizes(width, height, frame.cell, frame.min_pixels, frame.max_pixels)
    assert frame.size_of(width, height) == theirs


@given(SIDES, SIDES)
def test_the_size_keeps_the_bounds_unless_the_picture_is_but_a_line(width: int, height: int) -> None:
    across, down = QWEN2_5_VL.size_of(width, height)
    assert across % 28 == down % 28 == 0
    assert across * down <= QWEN2_5_VL.max_pixels
    assert across * down >= QWEN2_5_VL.min_pixels or max(across, down) == 200 * min(across, down)


@settings(max_examples=60, deadline=None)
@given(st.integers(1, 900), st.integers(1, 900), st.sampled_from(["pixels", "thousandths"]), st.data())
def test_a_box_told_of_the_sent_picture_leads_back_to_where_it_was(
    width: int, height: int, boxes: Literal["pixels", "thousandths"], data: st.DataObject
) -> None:
    x_min, x_max = sorted(data.draw(st.floats(0, width)) for _ in range(2))
    y_min, y_max = sorted(data.draw(st.floats(0, height)) for _ in range(2))
    frame = Frame(boxes=boxes)
    scan = load_scan(np.zeros((height, width, 3), np.uint8))
    sent = frame.box_sent(Box(x_min=x_min, y_min=y_min, x_max=x_max, y_max=y_max), scan, 0)
    across, down = frame.size_of(width, height) if boxes == "pixels" else (1000, 1000)
    assert 0 <= sent[0] <= sent[2] <= across
    assert 0 <= sent[1] <= sent[3] <= down
    units = (width / across, height / down) * 2
    for told, true, unit in zip(sent, (x_min, y_min, x_max, y_max), units, strict=True):
        assert abs(told * unit - true) <= unit / 2 + 1e-6


@pytest.mark.parametrize("size", [(1, 20_000), (20_000, 1), (1, 1)])
def test_even_a_line_becomes_a_picture_that_a_processor_takes(size: tuple[int, int]) -> None:
    across, down = QWEN2_5_VL.size_of(*size)
    assert max(across, down) / min(across, down) <= 200


def test_the_frame_of_a_trained_model_is_read_from_its_folder(tmp_path: Path) -> None:
    text = '{"cell": 28, "min_pixels": 20736, "max_pixels": 69696, "boxes": "thousandths"}'
    (tmp_path / "frame.json").write_text(text, encoding="utf-8")
    frame = Frame(min_pixels=20_736, max_pixels=69_696, boxes="thousandths")
    assert read_frame(tmp_path) == read_frame(tmp_path / "frame.json") == frame


@pytest.mark.parametrize("text", ["", "{", '{"cell": 0}', '{"grid": 28}', '{"min_pixels": 9000, "max_pixels": 9001}'])
def test_what_is_no_frame_is_refused_with_what_to_do(text: str, tmp_path: Path) -> None:
    (tmp_path / "frame.json").write_text(text, encoding="utf-8")
    with pytest.raises(Misconfigured, match=r"frame\.json"):
        read_frame(tmp_path)


def test_a_missing_frame_is_refused(tmp_path: Path) -> None:
    with pytest.raises(Misconfigured, match="cannot be read"):
        read_frame(tmp_path)


@given(st.text())
def test_what_is_quoted_comes_back_as_it_was_and_cannot_end_its_quotation(text: str) -> None:
    shown = quoted({"question": text})
    inside = shown.removeprefix("<data>\n").removesuffix("\n</data>")
    assert json.loads(inside) == {"question": text}
    assert "<" not in inside
    assert ">" not in inside
