from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from xray_evals.confusion import BACKGROUND, confuse

from tests.evals.scanned import Corners, scanned

A: Corners = (10, 10, 60, 50)
NEAR_A: Corners = (12, 10, 60, 50)
FAR: Corners = (120, 5, 190, 30)
THRESHOLDS = {"gun": 0.5, "knife": 0.5, "wrench": 0.5}


def test_items_are_found_missed_and_taken_for_another() -> None:
    scans = [
        scanned([("gun", A)], [("gun", 0.9, A)]),
        scanned([("gun", A)], [("knife", 0.9, A)]),
        scanned([("gun", A)], [("gun", 0.4, A)]),
    ]
    assert confuse(scans, THRESHOLDS) == {"gun": {"gun": 1, "knife": 1, BACKGROUND: 1}}


def test_an_alarm_without_a_box_is_false_only_where_its_label_is_annotated() -> None:
    found = [("gun", 0.9, FAR), ("wrench", 0.9, FAR)]
    assert confuse([scanned([("knife", A)], found)], THRESHOLDS) == {BACKGROUND: {"gun": 1}, "knife": {BACKGROUND: 1}}


def test_an_item_that_alarms_for_what_it_is_is_not_taken_for_another() -> None:
    found = [("knife", 0.95, A), ("gun", 0.6, NEAR_A)]
    assert confuse([scanned([("gun", A)], found)], THRESHOLDS) == {BACKGROUND: {"knife": 1}, "gun": {"gun": 1}}


def test_of_two_wrong_alarms_the_one_that_overlaps_most_counts() -> None:
    found = [("knife", 0.95, (10, 10, 60, 40)), ("wrench", 0.6, A)]
    counts = confuse([scanned([("gun", A)], [*found])], THRESHOLDS)
    assert counts == {BACKGROUND: {"knife": 1}, "gun": {"wrench": 1}}


def test_a_box_found_twice_is_one_find_and_one_false_alarm() -> None:
    found = [("gun", 0.9, A), ("gun", 0.8, NEAR_A)]
    assert confuse([scanned([("gun", A)], found)], THRESHOLDS) == {BACKGROUND: {"gun": 1}, "gun": {"gun": 1}}


corners = st.tuples(st.integers(0, 140), st.integers(0, 60), st.integers(8, 60), st.integers(8, 40)).map(
    lambda b: (float(b[0]), float(b[1]), float(b[0] + b[2]), float(b[1] + b[3]))
)
labels = st.sampled_from(["gun", "knife"])


@given(
    truth=st.lists(st.tuples(labels, corners), max_size=5),
    found=st.lists(st.tuples(labels, st.floats(0, 1), corners), max_size=6),
)
def test_every_box_and_every_alarm_is_counted_once(
    truth: list[tuple[str, Corners]], found: list[tuple[str, float, Corners]]
) -> None:
    counts = confuse([scanned(truth, found)], THRESHOLDS)
    alarms = [label for label, confidence, _ in found if confidence >= 0.5]
    for label in ("gun", "knife"):
        assert sum(counts.get(label, {}).values()) == sum(one == label for one, _ in truth)
        assert sum(row.get(label, 0) for row in counts.values()) == alarms.count(label)
