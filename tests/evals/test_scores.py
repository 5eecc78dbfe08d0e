from __future__ import annotations

import contextlib
import io
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval
from xray_evals.detector import ScannedRecord, SourceScore, score_images, score_source

from tests.evals.scanned import HEIGHT, WIDTH, Corners, alarming, scanned

A: Corners = (10, 10, 60, 50)
B: Corners = (100, 20, 180, 90)
FAR: Corners = (120, 5, 190, 30)
KNOWN = frozenset({"gun", "knife"})


def scored(entries: list[ScannedRecord], known: frozenset[str] = KNOWN) -> SourceScore:
    score = score_source(entries, known)
    assert score is not None
    return score


def shifted(box: Corners, by: float) -> Corners:
    return box[0] + by, box[1], box[2] + by, box[3]


# --- per source


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
    assert score_source([scanned(found=[("gun", 0.9, A)])], KNOWN) is None
    assert score_source([], KNOWN) is None


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
    score = score_source(entries, KNOWN)
    present = sorted({box.label for entry in entries for box in entry.record.boxes})
    if score is None:
        assert not present
        return
    assert [c.label for c in score.classes] == present
    for one in score.classes:
        assert (one.ap50, one.ap50_95) == pytest.approx(direct(entries, one.label), abs=1e-6)
    assert score.map50 == pytest.approx(np.mean([c.ap50 for c in score.classes]))


# --- per image

THRESHOLDS = {"gun": 0.5, "knife": 0.9}


def test_the_rate_of_alarms_is_taken_at_the_rate_of_false_alarms() -> None:
    benign = alarming(*[0.05 * n for n in range(10)], *[0.0] * 10)
    threat = alarming(0.9, 0.43, 0.2, 0.0)
    score = score_images("north", threat, benign, THRESHOLDS)
    assert (score.source, score.positives, score.negatives) == ("north", 4, 20)
    assert {rate: values[0] for rate, values in score.at_rate.items()} == {0.01: 0.25, 0.05: 0.5, 0.1: 0.5}
    assert score.operating == (0.25, 0.0)


def test_each_class_alarms_at_its_own_threshold() -> None:
    threat = [scanned(found=[("knife", 0.8, A)]), scanned(found=[("knife", 0.8, A), ("gun", 0.5, B)])]
    score = score_images("north", threat, alarming(0.6, 0.1), THRESHOLDS)
    assert score.operating == (0.5, 0.5)


def test_scans_without_a_detection_never_alarm() -> None:
    score = score_images("north", alarming(0.0, 0.0), alarming(0.0, 0.0), THRESHOLDS)
    assert all(values == (0, 0, 0) for values in score.at_rate.values())
    assert score.operating == (0, 0)


rates = st.lists(st.floats(0.0, 1.0), min_size=1, max_size=40)


@settings(max_examples=30)
@given(threat=rates, benign=rates)
def test_allowing_more_false_alarms_never_lowers_the_rate_of_alarms(threat: list[float], benign: list[float]) -> None:
    score = score_images("north", alarming(*threat), alarming(*benign), THRESHOLDS)
    points = [score.at_rate[rate] for rate in sorted(score.at_rate)]
    assert [point for point, _, _ in points] == sorted(point for point, _, _ in points)
    for point, low, high in points:
        assert 0 <= low <= high <= 1
        assert 0 <= point <= 1


@pytest.mark.parametrize("seed", range(6))
def test_the_interval_contains_the_rate_and_follows_from_the_seed(seed: int) -> None:
    rng = np.random.default_rng(seed)
    threat, benign = alarming(*rng.beta(4, 2, 60)), alarming(*rng.beta(2, 4, 60))
    score = score_images("north", threat, benign, THRESHOLDS, seed=seed)
    for point, low, high in score.at_rate.values():
        assert low <= point <= high
        assert low < high
    assert score == score_images("north", threat, benign, THRESHOLDS, seed=seed)
