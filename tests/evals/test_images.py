from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from xray_evals.images import ImageScore, predictive_value, score_images, wilson
from xray_evals.scanned import ScannedRecord

from tests.evals.scanned import Corners, alarming, scanned

A: Corners = (10, 10, 60, 50)
B: Corners = (100, 20, 180, 90)
COUNTED = frozenset({"gun", "knife"})
THRESHOLDS = {"gun": 0.5, "knife": 0.9, "battery": 0.3, "laptop": 0.1}


def scored(threat: list[ScannedRecord], benign: list[ScannedRecord], seed: int = 0) -> ImageScore:
    return score_images("north", threat, benign, THRESHOLDS, counted=COUNTED, seed=seed)


def test_the_rate_of_alarms_is_taken_at_the_rate_of_false_alarms() -> None:
    benign = alarming(*[0.05 * n for n in range(10)], *[0.0] * 10)
    score = scored(alarming(0.9, 0.43, 0.2, 0.0), benign)
    assert (score.source, score.positives, score.negatives) == ("north", 4, 20)
    assert {rate: values[0] for rate, values in score.at_rate.items()} == {0.01: 0.25, 0.05: 0.5, 0.1: 0.5}
    assert (score.operating.tpr[0], score.operating.fpr[0]) == (0.25, 0.0)


def test_each_class_alarms_at_its_own_threshold() -> None:
    threat = [scanned(found=[("knife", 0.8, A)]), scanned(found=[("knife", 0.8, A), ("gun", 0.5, B)])]
    score = scored(threat, alarming(0.6, 0.1))
    assert (score.operating.tpr[0], score.operating.fpr[0]) == (0.5, 0.5)


def test_scans_without_a_detection_never_alarm() -> None:
    score = scored(alarming(0.0, 0.0), alarming(0.0, 0.0))
    assert all(values == (0, 0, 0) for values in score.at_rate.values())
    assert (score.operating.tpr[0], score.operating.fpr[0]) == (0, 0)
    assert score.auc[0] == 0.5


def test_what_the_benign_scans_were_not_searched_for_is_no_false_alarm() -> None:
    searched = scored(alarming(0.9, 0.4), alarming(0.6, 0.2))
    others: list[tuple[str, float, Corners]] = [("laptop", 0.99, A), ("battery", 0.95, A)]
    full = [scanned(found=[("gun", score, A), *others]) for score in (0.6, 0.2)]
    loud = scored(alarming(0.9, 0.4), full)
    assert (loud.auc, loud.at_rate, loud.operating) == (searched.auc, searched.at_rate, searched.operating)
    assert loud.alarming.fpr[0] == 1.0
    assert searched.alarming.fpr[0] == 0.5


def test_everyday_items_never_count_as_alarms() -> None:
    laptops = [scanned(found=[("laptop", 0.99, A)])]
    assert scored(laptops, laptops).alarming.tpr[0] == 0.0


rates = st.lists(st.floats(0.0, 1.0), min_size=1, max_size=40)


@settings(max_examples=15)
@given(threat=rates, benign=rates)
def test_allowing_more_false_alarms_never_lowers_the_rate_of_alarms(threat: list[float], benign: list[float]) -> None:
    score = scored(alarming(*threat), alarming(*benign))
    points = [score.at_rate[rate] for rate in sorted(score.at_rate)]
    assert [point for point, _, _ in points] == sorted(point for point, _, _ in points)
    assert list(score.roc) == sorted(score.roc)
    assert len(score.roc) == len(benign) + 1
    assert score.roc[-1] == 1.0
    for point, low, high in points:
        assert 0 <= low <= high <= 1
        assert 0 <= point <= 1


@settings(max_examples=15)
@given(threat=rates, benign=rates)
def test_the_area_is_the_chance_that_a_threat_scores_above_a_benign_scan(
    threat: list[float], benign: list[float]
) -> None:
    pairs = [(one > other) + (one == other) / 2 for one in threat for other in benign]
    assert scored(alarming(*threat), alarming(*benign)).auc[0] == pytest.approx(np.mean(pairs))


@pytest.mark.parametrize("seed", range(4))
def test_the_intervals_contain_their_figures_and_follow_from_the_seed(seed: int) -> None:
    rng = np.random.default_rng(seed)
    threat, benign = alarming(*rng.beta(4, 2, 60)), alarming(*rng.beta(2, 4, 60))
    score = scored(threat, benign, seed)
    for point, low, high in (score.auc, *score.at_rate.values()):
        assert low <= point <= high
        assert low < high
    assert score == scored(threat, benign, seed)


# --- what an alarm is worth


def test_the_predictive_value_is_the_share_of_right_alarms_among_all() -> None:
    assert predictive_value(0.9, 0.1, 0.01) == pytest.approx(9 / (9 + 99))
    assert predictive_value(0.0, 0.1, 0.01) == 0.0
    assert predictive_value(0.0, 0.0, 0.01) == 0.0


def test_no_false_alarm_among_few_scans_is_not_taken_for_none_at_all() -> None:
    score = scored(alarming(0.9), alarming(*[0.1] * 30))
    assert score.operating.fpr[0] == 0.0
    assert score.ppv["operating"][0.01] == pytest.approx(predictive_value(1.0, 0.1, 0.01))


def test_an_alarm_is_worth_less_where_threats_are_rarer_or_false_alarms_more_frequent() -> None:
    score = scored(alarming(0.9, 0.9), alarming(0.6, *[0.1] * 30))
    for worth in score.ppv.values():
        assert list(worth.values()) == sorted(worth.values(), reverse=True)
    assert score.ppv["0.01"][0.01] > score.ppv["0.05"][0.01] > score.ppv["0.1"][0.01]


def test_an_interval_of_a_share_is_that_of_wilson() -> None:
    assert wilson(8, 10) == pytest.approx((0.8, 0.4902, 0.9433), abs=1e-4)
    assert wilson(0, 10) == pytest.approx((0.0, 0.0, 0.2775), abs=1e-4)


@given(trials=st.integers(1, 500), share=st.floats(0, 1))
def test_an_interval_contains_its_share_and_stays_between_zero_and_one(trials: int, share: float) -> None:
    value, low, high = wilson(round(share * trials), trials)
    assert 0 <= low <= value <= high <= 1
    assert low < high
