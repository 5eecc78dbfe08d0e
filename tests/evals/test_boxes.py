from __future__ import annotations

import contextlib
import io
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval
from xray_evals.boxes import SourceScore, score_source
from xray_evals.coco import judge
from xray_evals.scanned import ScannedRecord

from tests.evals.scanned import HEIGHT, WIDTH, Corners, scanned

A: Corners = (10, 10, 60, 50)
B: Corners = (100, 20, 180, 90)
FAR: Corners = (120, 5, 190, 30)
KNOWN = frozenset({"gun", "knife"})


def scored(entries: list[ScannedRecord], known: frozenset[str] = KNOWN) -> SourceScore:
    score = score_source(entries, judge(entries), known)
    assert score is not None
    return score


def shifted(box: Corners, by: float) -> Corners:
    return box[0] + by, box[1], box[2] + by, box[3]


def test_perfect_detections_score_one() -> None:
    score = scored(
        [
            scanned([("gun", A), ("knife", B)], [("gun", 0.9, A), ("knife", 0.8, B)]),
            scanned([("gun", B)], [("gun", 0.7, B)]),
        ]
    )
    assert score.source == "north"
    assert score.scans == 2
    assert [(c.label, c.support, c.known) for c in score.classes] == [("gun", 2, True), ("knife", 1, True)]
    assert (score.map50, score.map50_95, score.map50_known) == pytest.approx((1, 1, 1))


def test_no_detections_score_zero() -> None:
    score = scored([scanned([("gun", A)]), scanned([("knife", B)])])
    assert (score.map50, score.map50_95, score.map50_known) == (0, 0, 0)


def test_a_source_without_annotated_boxes_has_no_score() -> None:
    for entries in ([scanned(found=[("gun", 0.9, A)])], []):
        assert score_source(entries, judge(entries), KNOWN) is None


def test_a_class_that_the_model_does_not_know_counts_zero_but_for_the_known_mean() -> None:
    score = scored([scanned([("gun", A), ("baton", B)], [("gun", 0.9, A)])])
    assert [(c.label, round(c.ap50, 6), c.known) for c in score.classes] == [("baton", 0, False), ("gun", 1, True)]
    assert score.map50 == pytest.approx(0.5)
    assert score.map50_known == pytest.approx(1.0)


def test_a_source_of_which_the_model_knows_no_class_scores_zero() -> None:
    assert scored([scanned([("baton", B)])]).map50_known == 0


def test_a_box_found_twice_counts_once() -> None:
    once = scored([scanned([("gun", A), ("gun", B)], [("gun", 0.9, A), ("gun", 0.7, B)])])
    twice = scored([scanned([("gun", A), ("gun", B)], [("gun", 0.9, A), ("gun", 0.8, A), ("gun", 0.7, B)])])
    assert once.map50 == pytest.approx(1)
    assert twice.map50 == pytest.approx((51 + 50 * 2 / 3) / 101)


def test_half_of_the_boxes_found_gives_half_the_average_precision() -> None:
    score = scored([scanned([("gun", A)], [("gun", 0.9, A)]), scanned([("gun", B)])])
    assert score.map50 == pytest.approx(51 / 101)


@pytest.mark.parametrize(("width", "ap50", "ap50_95"), [(0.9, 1.0, 0.9), (0.72, 1.0, 0.5), (0.45, 0.0, 0.0)])
def test_a_box_that_covers_a_share_counts_up_to_that_overlap(width: float, ap50: float, ap50_95: float) -> None:
    narrow = (A[0], A[1], A[0] + width * (A[2] - A[0]) + 0.01, A[3])
    score = scored([scanned([("gun", A)], [("gun", 0.9, narrow)])])
    assert (score.map50, score.map50_95) == pytest.approx((ap50, ap50_95))


def test_detections_of_classes_that_the_source_does_not_annotate_do_not_count() -> None:
    truth = [("gun", A)]
    quiet = scored([scanned(truth, [("gun", 0.5, A)], annotated=["gun"])])
    loud = scored([scanned(truth, [("gun", 0.5, A), ("knife", 0.99, FAR)], annotated=["gun"])])
    assert loud == quiet
    assert [c.label for c in loud.classes] == ["gun"]


def test_a_false_alarm_of_an_annotated_class_costs_precision() -> None:
    score = scored([scanned([("gun", A)], [("gun", 0.5, A), ("gun", 0.9, FAR)])])
    assert score.map50 == pytest.approx(0.5)


corners = st.tuples(st.integers(0, 140), st.integers(0, 60), st.integers(8, 60), st.integers(8, 40)).map(
    lambda b: (float(b[0]), float(b[1]), float(b[0] + b[2]), float(b[1] + b[3]))
)
labels = st.sampled_from(["gun", "knife"])


@st.composite
def looks(draw: st.DrawFn) -> ScannedRecord:
    truth = draw(st.lists(st.tuples(labels, corners), max_size=4))
    found = [
        (label, draw(st.integers(1, 99)) / 100, shifted(box, draw(st.integers(-12, 12)) + 0.37))
        for label, box in truth
        if draw(st.booleans())
    ]
    found += draw(st.lists(st.tuples(labels, st.integers(1, 99).map(lambda n: n / 100), corners), max_size=3))
    return scanned(truth, found)


def direct(entries: list[ScannedRecord], label: str) -> tuple[float, float]:
    """AP50 and AP50-95 of one class as pycocotools computes them from COCO dictionaries."""
    images: list[dict[str, Any]] = []
    annotations: list[dict[str, Any]] = []
    results: list[dict[str, Any]] = []
    for number, entry in enumerate(entries, start=1):
        images.append({"id": number, "width": WIDTH, "height": HEIGHT})
        for box in entry.record.boxes:
            if box.label == label:
                left, top = box.x_min * WIDTH, box.y_min * HEIGHT
                width, height = box.x_max * WIDTH - left, box.y_max * HEIGHT - top
                annotations.append(
                    {
                        "id": len(annotations) + 1,
                        "image_id": number,
                        "category_id": 7,
                        "bbox": [left, top, width, height],
                        "area": width * height,
                        "iscrowd": 0,
                    }
                )
        for found in entry.detections:
            if found.label == label:
                left, top, right, bottom = found.box
                bbox = [left, top, right - left, bottom - top]
                results.append({"image_id": number, "category_id": 7, "bbox": bbox, "score": found.confidence})
    if not results:
        return 0.0, 0.0
    with contextlib.redirect_stdout(io.StringIO()):
        truth = COCO()
        truth.dataset = {"info": {}, "images": images, "annotations": annotations, "categories": [{"id": 7}]}
        truth.createIndex()
        evaluation = COCOeval(truth, truth.loadRes(results), "bbox")
        evaluation.evaluate()
        evaluation.accumulate()
        evaluation.summarize()
    return float(evaluation.stats[1]), float(evaluation.stats[0])


@given(entries=st.lists(looks(), min_size=1, max_size=4))
def test_scores_are_those_of_pycocotools(entries: list[ScannedRecord]) -> None:
    score = score_source(entries, judge(entries), KNOWN)
    present = sorted({box.label for entry in entries for box in entry.record.boxes})
    if score is None:
        assert not present
        return
    assert [c.label for c in score.classes] == present
    for one in score.classes:
        assert (one.ap50, one.ap50_95) == pytest.approx(direct(entries, one.label), abs=1e-6)
    assert score.map50 == pytest.approx(np.mean([c.ap50 for c in score.classes]))


# --- by size


def test_sizes_are_shares_of_the_frame_and_not_pixels() -> None:
    score = scored([scanned([("gun", (0, 0, 9, 9)), ("gun", (50, 0, 70, 20)), ("gun", (100, 20, 180, 90))])])
    assert [(size.size, size.classes, size.support) for size in score.sizes] == [
        ("small", 1, 1),
        ("medium", 1, 1),
        ("large", 1, 1),
    ]


def test_each_size_is_scored_on_its_own_boxes_and_classes() -> None:
    small: Corners = (10, 10, 18, 18)
    score = scored([scanned([("gun", B), ("knife", small)], [("gun", 0.9, B)])])
    assert [(size.size, size.classes, round(size.map50, 6)) for size in score.sizes] == [
        ("small", 1, 0.0),
        ("large", 1, 1.0),
    ]
    assert score.map50 == pytest.approx(0.5)


# --- which detections are right, which boxes are found


def test_a_detection_is_right_where_it_covers_a_free_box_of_its_label_by_half() -> None:
    found: list[tuple[str, float, Corners]] = [
        ("gun", 0.9, A),
        ("gun", 0.5, A),
        ("gun", 0.4, FAR),
        ("knife", 0.3, A),
        ("wrench", 0.2, A),
    ]
    judgement = judge([scanned([("gun", A), ("gun", B)], found)])
    assert judgement.hits == [[True, False, False, False, None]]
    assert judgement.reached == [[0.9, 0.0]]


def test_boxes_that_do_not_count_make_nothing_right_or_wrong() -> None:
    entries = [scanned([("gun", A), ("gun", B)], [("gun", 0.9, A), ("gun", 0.8, B), ("gun", 0.7, FAR)])]
    judgement = judge(entries, keep=lambda _, number: number == 1)
    assert judgement.hits == [[None, True, False]]
    assert judgement.support["gun", "all"] == 1
    assert judgement.precision["gun", "all"][0] == pytest.approx(1.0)


@given(entries=st.lists(looks(), min_size=1, max_size=4))
def test_there_are_as_many_right_detections_as_found_boxes(entries: list[ScannedRecord]) -> None:
    judgement = judge(entries)
    for entry, hits, reached in zip(entries, judgement.hits, judgement.reached, strict=True):
        right = sorted(d.confidence for d, hit in zip(entry.detections, hits, strict=True) if hit)
        assert right == sorted(value for value in reached if value)
