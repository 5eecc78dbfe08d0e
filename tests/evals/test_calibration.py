from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from xray_evals.calibration import CalibrationScore, Outcomes, outcomes, pooled, score_calibration
from xray_evals.coco import judge

from tests.evals.scanned import Corners, scanned

A: Corners = (10, 10, 60, 50)
FAR: Corners = (120, 5, 190, 30)
THRESHOLDS = {"gun": 0.5, "knife": 0.5, "wrench": 0.5}


def made(confidences: list[float], hits: list[bool], alarm_from: float = 0.5) -> Outcomes:
    values = np.array(confidences, dtype=np.float64)
    return Outcomes(values, np.array(hits, dtype=np.bool_), values >= alarm_from)


def scored(found: Outcomes) -> CalibrationScore:
    score = score_calibration("north", found)
    assert score is not None
    return score


def test_confidences_that_mean_what_they_say_have_no_error() -> None:
    score = scored(made([0.8] * 10 + [0.2] * 10, [True] * 8 + [False] * 2 + [True] * 2 + [False] * 8))
    assert score.ece == pytest.approx(0.0)
    assert score.brier == pytest.approx(0.16)


def test_overconfidence_is_the_distance_from_the_share_of_hits() -> None:
    score = scored(made([0.9] * 4, [True, False, False, False]))
    assert score.ece == pytest.approx(0.65)
    assert score.brier == pytest.approx((0.01 + 3 * 0.81) / 4)


def test_the_error_of_the_alarms_is_not_drowned_by_the_many_that_do_not_alarm() -> None:
    score = scored(made([0.02] * 98 + [0.9] * 2, [False] * 100))
    assert score.ece == pytest.approx(0.98 * 0.02 + 0.02 * 0.9)
    assert score.alarms == 2
    assert score.alarms_ece == pytest.approx(0.9)


def test_adaptive_bins_hold_equally_many_detections_however_alike_they_are() -> None:
    score = scored(made([0.011 + 0.001 * number for number in range(30)], [False, True] * 15))
    assert len(score.bins) == 1
    assert score.adaptive_ece == pytest.approx(score.ece)
    split = scored(made([0.01] * 14 + [0.05] * 16, [True] * 14 + [False] * 16))
    assert split.ece == pytest.approx((14 * 0.99 - 16 * 0.05) / 30)
    assert split.adaptive_ece == pytest.approx((14 * 0.99 + 16 * 0.05) / 30)


def test_no_detection_has_no_score() -> None:
    assert score_calibration("north", made([], [])) is None


def test_a_score_without_an_alarm_says_so() -> None:
    score = scored(made([0.1], [False]))
    assert (score.alarms, score.alarms_ece) == (0, 0.0)


@given(rows=st.lists(st.tuples(st.floats(0, 1), st.booleans()), min_size=1, max_size=60))
def test_errors_are_shares_and_bins_hold_every_detection(rows: list[tuple[float, bool]]) -> None:
    confidences, hits = [row[0] for row in rows], [row[1] for row in rows]
    score = scored(made(confidences, hits))
    for value in (score.ece, score.adaptive_ece, score.brier, score.alarms_ece):
        assert 0 <= value <= 1
    assert sum(one.detections for one in score.bins) == len(rows) == score.detections
    weighted = sum(abs(one.confidence - one.right) * one.detections for one in score.bins) / len(rows)
    assert score.ece == pytest.approx(weighted)
    assert [one.confidence for one in score.bins] == sorted(one.confidence for one in score.bins)


def test_only_annotated_labels_and_confidences_above_the_floor_count() -> None:
    entry = scanned([("gun", A)], [("gun", 0.9, A), ("knife", 0.6, FAR), ("wrench", 0.8, A), ("gun", 0.005, FAR)])
    found = outcomes([entry], judge([entry]), THRESHOLDS)
    assert found.confidences.tolist() == [0.9, 0.6]
    assert found.hits.tolist() == [True, False]
    assert found.alarms.tolist() == [True, True]


def test_sources_are_pooled_detection_by_detection() -> None:
    both = pooled([made([0.9], [True]), made([0.2, 0.3], [False, False])])
    assert scored(both).detections == 3
    assert both.hits.tolist() == [True, False, False]
