"""A picture of a scan, and the caption that says what it shows."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from tests.library.pictures import BLACK, ScriptedDetector, bag, found, screener_that_finds
from xray_agent_tools.detector.protocol import RawDetection
from xray_agent_tools.errors import InvalidArgument, InvalidScan, UnknownLabel, XrayToolsError
from xray_agent_tools.render import LONGEST_SIDE_PX, ScanPicture, surroundings
from xray_agent_tools.report import Box
from xray_agent_tools.scan import load_scan
from xray_agent_tools.screener import Screener

GUN, KNIFE = found("gun", 0.97, (60, 68, 120, 100)), found("knife", 0.95, (150, 100, 220, 130))
WHOLE = Box(x_min=0, y_min=0, x_max=300, y_max=200)


def changed(shown: ScanPicture, pixels: Any) -> bool:
    """Whether anything is drawn over a view that is shown at its own size."""
    return not np.array_equal(np.asarray(shown.picture), pixels)


def test_a_whole_view_is_shown_with_the_boxes_and_ids_found_on_it() -> None:
    shown = screener_that_finds(GUN, KNIFE).view_scan(bag())
    caption = shown.caption
    assert changed(shown, bag())
    assert caption.shows == "view 1 of 1 with the boxes of d1, d2"
    assert (caption.detection_ids, caption.view, caption.part) == (["d1", "d2"], 0, WHOLE)
    assert (caption.verdict, caption.scan_id) == ("ALARM", load_scan(bag()).scan_id)


def test_a_bare_view_is_the_scan_itself_and_names_no_detection() -> None:
    shown = screener_that_finds(GUN).view_scan(bag(), boxes=False)
    assert not changed(shown, bag())
    assert (shown.caption.shows, shown.caption.detection_ids) == ("view 1 of 1, bare", [])
    assert shown.caption.verdict == "ALARM"


def test_a_view_on_which_nothing_was_found_says_so() -> None:
    shown = screener_that_finds().view_scan(bag())
    assert not changed(shown, bag())
    assert "no box" in shown.caption.shows
    assert (shown.caption.verdict, shown.caption.detection_ids) == ("NO_ALARM", [])


def test_what_is_outlined_without_a_detection_is_said() -> None:
    dark = bag()
    dark[110:160, 60:130] = BLACK
    shown = screener_that_finds().view_scan(dark)
    assert changed(shown, dark)
    assert "thin outlines of what could not be looked into" in shown.caption.shows


def test_one_detection_is_shown_enlarged_with_its_surroundings_and_no_box() -> None:
    shown = screener_that_finds(GUN, KNIFE).view_scan(bag(), detection_id="d2")
    caption = shown.caption
    assert caption.shows == "d2, what the detector takes for a knife (0.95), enlarged, no box drawn"
    assert (caption.detection_ids, caption.view) == (["d2"], 0)
    assert caption.part == Box(x_min=129, y_min=79, x_max=241, y_max=151)
    cut = Image.fromarray(bag()[79:151, 129:241]).resize(shown.picture.size, Image.Resampling.BICUBIC)
    assert not changed(shown, np.asarray(cut))


def test_every_view_of_a_bag_can_be_shown_with_its_own_boxes() -> None:
    views = [bag(), bag(240, 180)]
    screener = screener_that_finds(GUN)
    first, second = (screener.view_scan(views, view=index) for index in (0, 1))
    assert (first.caption.detection_ids, second.caption.detection_ids) == (["d1"], ["d2"])
    assert second.caption.shows == "view 2 of 2 with the boxes of d2"
    assert (second.caption.view, second.caption.part) == (1, Box(x_min=0, y_min=0, x_max=240, y_max=180))


def test_a_detection_is_cut_out_of_the_view_it_was_found_on_whatever_view_is_asked_for() -> None:
    caption = screener_that_finds(GUN).view_scan([bag(), bag(240, 180)], detection_id="d2", view=0).caption
    assert caption.view == 1
    assert caption.part.x_max <= 240


def test_labels_and_min_confidence_give_the_ids_of_the_report_made_with_them() -> None:
    screener = screener_that_finds(GUN, KNIFE, found("knife", 0.02, (10, 150, 50, 190)))
    narrowed = screener.view_scan(bag(), detection_id="d1", labels=["knife"])
    wider = screener.view_scan(bag(), min_confidence=0.01)
    assert "knife" in narrowed.caption.shows
    assert wider.caption.detection_ids == ["d1", "d2", "d3"]
    assert screener.view_scan(bag()).caption.detection_ids == ["d1", "d2"]


@pytest.mark.parametrize(
    ("boxes", "known"), [([], "the detections are: none"), ([GUN, KNIFE], "the detections are: d1, d2")]
)
@pytest.mark.parametrize("name", ["d9", "D1", "", "d" * 1_000, "gun"])
def test_an_unknown_detection_is_answered_with_those_there_are(
    boxes: list[RawDetection], known: str, name: str
) -> None:
    with pytest.raises(InvalidArgument) as caught:
        screener_that_finds(*boxes).view_scan(bag(), detection_id=name)
    assert known in caught.value.hint
    assert "labels and min_confidence" in caught.value.hint
    assert len(caught.value.message) < 80


@pytest.mark.parametrize("boxes", [True, False])
@pytest.mark.parametrize("view", [-1, 1, 10**9])
def test_a_view_that_is_not_there_is_answered_with_how_many_there_are(view: int, *, boxes: bool) -> None:
    with pytest.raises(InvalidArgument, match="no view") as caught:
        screener_that_finds(GUN).view_scan(bag(), view=view, boxes=boxes)
    assert "1 views, from 0" in caught.value.hint


@pytest.mark.parametrize(
    ("arguments", "error"),
    [
        ({"labels": ["gnu"]}, UnknownLabel),
        ({"labels": []}, InvalidArgument),
        ({"min_confidence": 0}, InvalidArgument),
        ({"min_confidence": "much"}, InvalidArgument),
        ({"view": "first"}, InvalidArgument),
        ({"view": 0.5}, InvalidArgument),
        ({"detection_id": 1}, InvalidArgument),
    ],
)
def test_wrong_arguments_get_a_typed_error(arguments: dict[str, Any], error: type[XrayToolsError]) -> None:
    with pytest.raises(error):
        screener_that_finds(GUN).view_scan(bag(), **arguments)


def test_what_is_no_scan_cannot_be_viewed() -> None:
    with pytest.raises(InvalidScan):
        screener_that_finds().view_scan(b"broken")


def test_a_scan_without_a_verdict_can_still_be_viewed() -> None:
    dead = screener_that_finds(GUN, alive=False).view_scan(bag())
    assert (dead.caption.verdict, dead.caption.detection_ids) == ("UNKNOWN", [])


def test_a_picture_costs_one_look() -> None:
    detector = ScriptedDetector([GUN])
    Screener(model=detector).view_scan(bag(), detection_id="d1")
    assert detector.calls == 1


@pytest.mark.parametrize("size", [(3000, 2000), (2000, 3000), (1569, 64), (1568, 1568), (300, 200)])
def test_no_picture_is_longer_than_a_model_sees_and_none_is_enlarged_whole(size: tuple[int, int]) -> None:
    shown = screener_that_finds(found("gun", 0.97, (2, 2, size[0] - 2, size[1] - 2))).view_scan(bag(*size))
    assert max(shown.picture.size) == min(LONGEST_SIDE_PX, max(size))
    assert (shown.caption.part.x_max, shown.caption.part.y_max) == size


corners = st.tuples(st.floats(0, 1), st.floats(0, 1), st.floats(0, 1), st.floats(0, 1))
sizes = st.tuples(st.integers(120, 700), st.integers(120, 700))


def box_within(shares: tuple[float, float, float, float], width: int, height: int) -> tuple[float, float, float, float]:
    """A box within a view, at least one pixel each way, from shares of the view's sides."""
    left, right = sorted((shares[0] * (width - 1), shares[1] * (width - 1)))
    top, bottom = sorted((shares[2] * (height - 1), shares[3] * (height - 1)))
    return left, top, right + 1, bottom + 1


@given(corners, sizes)
@settings(max_examples=30)
def test_a_caption_tells_the_true_size_and_a_part_within_the_view(
    shares: tuple[float, float, float, float], size: tuple[int, int]
) -> None:
    box = box_within(shares, *size)
    shown = screener_that_finds(found("gun", 0.97, box)).view_scan(bag(*size), detection_id="d1")
    part = shown.caption.part
    assert 0 <= part.x_min < part.x_max <= size[0]
    assert 0 <= part.y_min < part.y_max <= size[1]
    assert part.x_min <= box[0]
    assert part.y_min <= box[1]
    assert part.x_max >= box[2] - 0.6
    assert part.y_max >= box[3] - 0.6
    assert (shown.caption.width, shown.caption.height) == shown.picture.size
    assert 224 <= max(shown.picture.size) <= LONGEST_SIDE_PX
    wanted = (part.x_max - part.x_min) / (part.y_max - part.y_min)
    got = shown.picture.width / shown.picture.height
    assert got == pytest.approx(wanted, rel=1 / min(shown.picture.size))


@given(st.floats(0, 10), st.floats(0, 10))
@settings(max_examples=30)
def test_a_wider_margin_never_shows_less(first: float, second: float) -> None:
    scan = load_scan(bag())
    (gun,) = screener_that_finds(GUN).detect_threats(scan).detections
    narrow, wide = (surroundings(scan, gun, margin=margin) for margin in sorted((first, second)))
    assert (wide.x_min <= narrow.x_min, wide.y_min <= narrow.y_min) == (True, True)
    assert (wide.x_max >= narrow.x_max, wide.y_max >= narrow.y_max) == (True, True)


@pytest.mark.parametrize("margin", [-0.1, 10.1, float("nan"), float("inf")])
def test_a_margin_out_of_range_is_refused(margin: float) -> None:
    scan = load_scan(bag())
    (gun,) = screener_that_finds(GUN).detect_threats(scan).detections
    with pytest.raises(InvalidArgument, match="margin"):
        surroundings(scan, gun, margin=margin)
