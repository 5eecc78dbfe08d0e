from __future__ import annotations

from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from tests.library.pictures import ORANGE, found
from xray_agent_tools.detector.look import NetworkDetector
from xray_agent_tools.detector.onnx import OnnxDetector
from xray_agent_tools.detector.package import ModelPackage, SecondLook, load_package
from xray_agent_tools.detector.preprocess import Content, Region, place_region
from xray_agent_tools.detector.protocol import RawDetection
from xray_agent_tools.detector.second_look import doubted, merge, whole, windows
from xray_agent_tools.screener import Screener

PACKAGE = load_package("default")
THRESHOLDS = PACKAGE.thresholds
GUN = THRESHOLDS["gun"]
WIDTH, HEIGHT = 420, 300


def with_items(*items: Region) -> NDArray[np.uint8]:
    """A bag on a white belt that holds black items."""
    pixels = np.full((HEIGHT, WIDTH, 3), 255, np.uint8)
    pixels[30:-30, 30:-30] = ORANGE
    for left, top, right, bottom in items:
        pixels[top:bottom, left:right] = 0
    grain = np.random.default_rng(0).integers(-20, 21, (HEIGHT, WIDTH, 1))
    return np.where(pixels < 255, (pixels + grain).clip(0, 254), 255).astype(np.uint8)


class Shortsighted(NetworkDetector):
    """A network that takes black blocks for guns: surely the large ones, while it doubts the small."""

    backend = "shortsighted"
    takes_batches = False
    sure_from_px = 20

    def __init__(self, package: ModelPackage = PACKAGE, *, doubt: float = 0.8 * GUN, **options: object) -> None:
        super().__init__(package, **options)  # type: ignore[arg-type]
        self._scores = [package.manifest.calibration.score(confidence) for confidence in (doubt, 0.97)]
        self.inputs: list[NDArray[np.float32]] = []
        self.runs = 0

    def _run(self, network_input: NDArray[np.float32]) -> NDArray[np.float32]:
        self.inputs.extend(network_input)
        self.runs += 1
        return np.stack([self._output(view) for view in network_input])

    def _output(self, view: NDArray[np.float32]) -> NDArray[np.float32]:
        black = np.asarray((view < 0.2).all(axis=0))
        columns = np.flatnonzero(np.diff(np.pad(black.any(axis=0).astype(int), 1)))
        output = np.zeros((4 + len(THRESHOLDS), 16), np.float32)
        for anchor, (left, right) in enumerate(zip(columns[::2], columns[1::2], strict=True)):
            rows = np.flatnonzero(black[:, left:right].any(axis=1))
            top, bottom = rows[0], rows[-1] + 1
            output[:4, anchor] = (left + right) / 2, (top + bottom) / 2, right - left, bottom - top
            sure = bool(min(right - left, bottom - top) >= self.sure_from_px)
            output[4 + list(THRESHOLDS).index("gun"), anchor] = self._scores[sure]
        return output


class Together(Shortsighted):
    """The same network, exported for any number of views."""

    takes_batches = True


SMALL: Region = (200, 150, 214, 164)
LARGE: Region = (60, 60, 120, 110)


def test_a_second_look_finds_a_small_item_that_the_first_look_doubted() -> None:
    pixels = with_items(SMALL)
    (doubt,) = Shortsighted().detect(pixels, floor=0.01)
    (seen,) = Shortsighted(second_look=True).detect(pixels, floor=0.01)
    assert doubt.confidence < GUN < 0.9 < seen.confidence
    assert np.allclose(seen.box, SMALL, atol=1.5)


def test_a_doubt_that_the_second_look_shares_stays_a_doubt() -> None:
    pixels = with_items((200, 150, 205, 155))
    assert [box.confidence for box in Shortsighted(second_look=True).detect(pixels, floor=0.01)] == pytest.approx(
        [0.8 * GUN]
    )


def test_a_second_look_turns_no_alarm_into_an_alarm_through_the_front_door() -> None:
    pixels = with_items(SMALL)

    class Alive(Shortsighted):
        def detect(self, pixels: NDArray[np.uint8], *, floor: float) -> list[RawDetection]:
            """Only the canary comes this way."""
            return [found(PACKAGE.manifest.canary.label)]

    verdicts = [Screener(model=Alive(second_look=chosen)).detect_threats(pixels).verdict for chosen in (False, True)]
    assert verdicts == ["NO_ALARM", "ALARM"]


def test_off_means_exactly_the_first_look() -> None:
    pixels = with_items(SMALL, LARGE)
    silent = Shortsighted(second_look=False)
    plain = Shortsighted()
    assert silent.detect(pixels, floor=0.01) == plain.detect(pixels, floor=0.01)
    assert (silent.runs, plain.runs) == (1, 1)


def test_what_is_certain_is_not_looked_at_again() -> None:
    sure = Shortsighted(second_look=True)
    assert sure.detect(with_items(LARGE), floor=0.01) == Shortsighted().detect(with_items(LARGE), floor=0.01)
    assert sure.runs == 1


def test_what_is_far_from_alarming_is_not_looked_at_again() -> None:
    indifferent = Shortsighted(doubt=0.4 * GUN, second_look=SecondLook(lowest=0.5))
    indifferent.detect(with_items(SMALL), floor=0.01)
    assert indifferent.runs == 1


@pytest.mark.parametrize("most", [1, 2, 3])
def test_the_number_of_further_looks_is_bounded(most: int) -> None:
    detector = Shortsighted(second_look=SecondLook(most=most, zoom=6))
    detector.detect(with_items(*[(x, 100, x + 6, 106) for x in range(60, 380, 40)]), floor=0.01)
    assert len(detector.inputs) == 1 + most


def test_neighbouring_doubts_share_a_window() -> None:
    detector = Shortsighted(second_look=True)
    boxes = detector.detect(with_items(SMALL, (230, 150, 244, 164)), floor=0.01)
    assert len(detector.inputs) == 2
    assert all(box.confidence > GUN for box in boxes)


def test_a_network_for_batches_looks_at_all_windows_in_one_run_and_sees_the_same() -> None:
    pixels = with_items((50, 60, 64, 74), (350, 220, 364, 234))
    alone, together = Shortsighted(second_look=True), Together(second_look=True)
    assert alone.detect(pixels, floor=0.01) == together.detect(pixels, floor=0.01)
    assert (alone.runs, together.runs) == (3, 2)


def test_a_weak_floor_does_not_hide_what_the_second_look_needs() -> None:
    (seen,) = Shortsighted(second_look=True).detect(with_items(SMALL), floor=0.9)
    assert seen.confidence > 0.9
    assert Shortsighted(second_look=True).detect(with_items((200, 150, 205, 155)), floor=GUN) == []


def test_without_content_crop_the_whole_frame_is_looked_at() -> None:
    pixels = with_items(LARGE)
    cropped, whole_frame = Shortsighted(), Shortsighted(content_crop=False)
    boxes = [detector.detect(pixels, floor=0.01) for detector in (cropped, whole_frame)]
    content, size = Content(pixels), PACKAGE.manifest.input_size
    assert np.array_equal(cropped.inputs[0], place_region(content, content.box, size)[0])
    assert np.array_equal(whole_frame.inputs[0], place_region(content, content.frame, size)[0])
    assert not np.array_equal(cropped.inputs[0], whole_frame.inputs[0])
    for (box,) in boxes:
        assert np.allclose(box.box, LARGE, atol=1.5)


def test_a_package_from_before_there_was_a_second_look_has_none() -> None:
    manifest = PACKAGE.manifest.model_dump(exclude={"content_crop", "second_look"})
    older = type(PACKAGE.manifest).model_validate(manifest)
    assert (older.content_crop, older.second_look) == (True, None)


@pytest.mark.parametrize(
    ("chosen", "expected"),
    [
        (None, SecondLook(most=1)),
        (True, SecondLook(most=1)),
        (False, None),
        (SecondLook(zoom=3), SecondLook(zoom=3)),
    ],
)
def test_the_manifest_decides_unless_the_caller_does(
    chosen: SecondLook | bool | None, expected: SecondLook | None
) -> None:
    manifest = PACKAGE.manifest.model_copy(update={"second_look": SecondLook(most=1), "content_crop": False})
    package = replace(PACKAGE, manifest=manifest)
    detector = OnnxDetector(package, second_look=chosen, threads=1)
    assert detector.second_look == expected
    assert not detector.content_crop
    assert Shortsighted(package, content_crop=True).content_crop


# --- windows

REGIONS = st.tuples(st.integers(0, 300), st.integers(0, 300), st.integers(40, 900), st.integers(40, 900)).map(
    lambda r: (r[0], r[1], r[0] + r[2], r[1] + r[3])
)
SETTINGS = st.builds(
    SecondLook,
    lowest=st.floats(0.1, 0.9),
    most=st.integers(1, 4),
    zoom=st.floats(1.25, 6),
    margin=st.floats(0, 1),
)


@st.composite
def scenes(draw: st.DrawFn) -> tuple[Region, list[RawDetection]]:
    """A region and boxes inside it."""
    region = draw(REGIONS)
    boxes = []
    for share in draw(st.lists(st.tuples(*[st.floats(0, 1)] * 4), max_size=6)):
        xs = sorted(region[0] + (region[2] - region[0]) * value for value in share[::2])
        ys = sorted(region[1] + (region[3] - region[1]) * value for value in share[1::2])
        boxes.append(found("gun", 0.3, (xs[0], ys[0], xs[1], ys[1])))
    return region, boxes


@given(scenes(), SETTINGS)
def test_windows_are_few_lie_inside_and_enlarge(scene: tuple[Region, list[RawDetection]], chosen: SecondLook) -> None:
    region, doubts = scene
    found_windows = windows(doubts, region, chosen)
    assert len(found_windows) <= min(chosen.most, len(doubts))
    for left, top, right, bottom in found_windows:
        assert region[0] <= left < right <= region[2]
        assert region[1] <= top < bottom <= region[3]
        longest = max(region[2] - region[0], region[3] - region[1])
        assert max(right - left, bottom - top) <= longest / chosen.zoom + 0.5
        assert any(d.box[0] >= left and d.box[1] >= top and d.box[2] <= right and d.box[3] <= bottom for d in doubts)


@settings(max_examples=25)
@given(st.integers(36, 366), st.integers(36, 246), st.integers(10, 18))
def test_a_box_found_in_a_window_lies_where_the_item_is(x: int, y: int, side: int) -> None:
    item = (x, y, x + side, y + side)
    (seen,) = Shortsighted(second_look=SecondLook(zoom=3)).detect(with_items(item), floor=0.01)
    assert seen.confidence > GUN
    assert np.allclose(seen.box, item, atol=1.5)


def test_a_box_that_a_window_cuts_is_not_taken_and_one_at_the_edge_of_the_content_is() -> None:
    region, window = (0, 0, 400, 300), (0, 100, 200, 250)
    inside, at_content, cut = (
        found("gun", box=box)
        for box in ((20.0, 120.0, 60.0, 160.0), (0.0, 120.0, 40.0, 160.0), (150.0, 120.0, 200.0, 160.0))
    )
    assert whole([inside, at_content, cut], window, region) == [inside, at_content]


def test_the_doubt_nearest_to_its_operating_point_comes_first() -> None:
    knife = THRESHOLDS["knife"]
    boxes = [found("gun", GUN), found("gun", 0.6 * GUN), found("knife", 0.9 * knife), found("knife", 0.2 * knife)]
    assert doubted(boxes, THRESHOLDS, SecondLook(lowest=0.5)) == [boxes[2], boxes[1]]


# --- merging

BOXES = st.builds(
    lambda label, confidence, x, y, side: RawDetection(label, confidence, (x, y, x + side, y + side)),
    st.sampled_from(["gun", "knife"]),
    st.floats(0.01, 1),
    st.integers(0, 60).map(float),
    st.integers(0, 60).map(float),
    st.integers(5, 40).map(float),
)


@given(st.lists(BOXES, max_size=8), st.lists(st.lists(BOXES, max_size=5), max_size=2))
def test_no_second_look_removes_an_alarm_or_lowers_what_is_there(
    first: list[RawDetection], again: list[list[RawDetection]]
) -> None:
    merged = merge(first, again, THRESHOLDS)
    for box in first:
        if box.confidence >= THRESHOLDS[box.label]:
            assert box in merged
        assert any(other.label == box.label and other.confidence >= box.confidence for other in merged)
    assert {*merged} <= {*first, *(box for look in again for box in look)}
    if again:
        assert all(one.confidence >= other.confidence for one, other in pairwise(merged))


def test_of_two_looks_at_one_item_the_more_certain_counts_once() -> None:
    weak, strong = found("gun", 0.3, (10, 10, 50, 50)), found("gun", 0.8, (11, 11, 51, 51))
    assert merge([weak], [[strong]], THRESHOLDS) == [strong]
    assert merge([strong], [[weak]], THRESHOLDS) == [strong]
    assert merge([weak], [[replace(strong, label="knife")]], THRESHOLDS) == [replace(strong, label="knife"), weak]


def test_two_windows_that_see_one_item_report_it_once() -> None:
    one, other = found("gun", 0.7, (10, 10, 50, 50)), found("gun", 0.8, (11, 11, 51, 51))
    assert merge([], [[one], [other]], THRESHOLDS) == [other]


def test_a_cap_never_cuts_off_an_alarm() -> None:
    weak = [found("gun", 0.9 * GUN, (20.0 * n, 0, 20.0 * n + 10, 10)) for n in range(300)]
    alarm = found("lighter", THRESHOLDS["lighter"], (0, 50, 10, 60))
    assert THRESHOLDS["lighter"] < 0.9 * GUN
    merged = merge(weak, [[alarm]], THRESHOLDS)
    assert len(merged) == 200
    assert alarm in merged
