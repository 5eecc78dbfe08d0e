from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from xray_training.datasets import partial_yolo
from xray_training.datasets.record import LabelledBox, ScanRecord
from xray_training.detector.operating_points import (
    Looked,
    calibration_error,
    fit_calibration,
    look_at,
    match,
    mean_recall,
    operating_points,
)

from tests.training.fixed import Fixed
from tests.training.folders import Drawn, write_folder
from xray_agent_tools.detector.package import Calibration
from xray_agent_tools.detector.protocol import RawDetection

IDENTITY = Calibration(slope=1.0, intercept=0.0, error=0.0)
PLACE = (0.1, 0.1, 0.4, 0.5)
PIXELS = (10.0, 10.0, 40.0, 50.0)


def scan(
    *, holds: Sequence[str] = (), annotated: Sequence[str] = ("gun", "knife"), source: str = "north"
) -> ScanRecord:
    boxes = tuple(LabelledBox(label, *PLACE) for label in holds)
    return ScanRecord(Path("x.png"), source, "x", "train", "g", "b", boxes, frozenset(annotated))


def looked(record: ScanRecord, *found: tuple[str, float]) -> Looked:
    """A look at a 100 x 100 scan whose every detection covers the box that may be there."""
    detections = [RawDetection(label, score, PIXELS) for label, score in found]
    return Looked(record, detections, match(detections, record, record.corners(100, 100)))


# --- calibration


def sigmoid(values: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.asarray(1 / (1 + np.exp(-values)))


@pytest.mark.parametrize(("slope", "intercept"), [(1.0, 0.0), (0.6, -1.2), (1.8, 0.7)])
def test_calibration_recovers_a_known_relation(slope: float, intercept: float) -> None:
    rng = np.random.default_rng(0)
    scores = rng.uniform(0.02, 0.98, 30_000)
    chance = sigmoid(slope * np.log(scores / (1 - scores)) + intercept)
    fitted = fit_calibration(scores, rng.random(scores.size) < chance)
    assert fitted.slope == pytest.approx(slope, rel=0.05)
    assert fitted.intercept == pytest.approx(intercept, abs=0.06)
    assert fitted.error < 0.01


@pytest.mark.parametrize("hits", [[True, True, True], [False, False, False], []])
def test_calibration_needs_right_and_wrong_detections(hits: list[bool]) -> None:
    with pytest.raises(ValueError, match="both right and wrong"):
        fit_calibration(np.full(len(hits), 0.5), np.array(hits, dtype=np.bool_))


@given(seed=st.integers(0, 10_000), slope=st.floats(0.2, 2.0), intercept=st.floats(-1.0, 1.0))
def test_calibration_never_turns_the_order_of_scores_round(seed: int, slope: float, intercept: float) -> None:
    rng = np.random.default_rng(seed)
    scores = rng.uniform(0.02, 0.98, 300)
    chance = sigmoid(slope * np.log(scores / (1 - scores)) + intercept)
    fitted = fit_calibration(scores, rng.random(scores.size) < chance)
    confidences = [fitted.confidence(score) for score in (0.1, 0.5, 0.9)]
    assert confidences == sorted(confidences)
    assert 0 <= fitted.error <= 1


@pytest.mark.parametrize(
    ("scores", "right"),
    [
        ([0.71, 0.92, 0.12, 0.72, 0.92, 0.96, 0.02, 0.86], "..+...++"),
        ([0.53, 0.17, 0.8, 0.03, 0.38, 0.47, 0.22, 0.36], "++.+++.."),
        ([0.41, 0.44, 0.53, 0.68, 0.16, 0.32, 0.06, 0.99], "+.++++.."),
    ],
)
def test_calibration_converges_on_few_detections(scores: list[float], right: str) -> None:
    fitted = fit_calibration(np.array(scores), np.array([mark == "+" for mark in right]))
    assert 0 < fitted.slope < 10
    assert abs(fitted.intercept) < 10


def test_confidences_that_come_true_have_no_calibration_error() -> None:
    confidences = np.repeat([0.0, 0.5, 1.0], 100)
    hits = np.concatenate([np.zeros(100), np.tile([0, 1], 50), np.ones(100)]).astype(np.bool_)
    assert calibration_error(confidences, hits) == 0


def test_confidences_that_never_come_true_have_a_large_calibration_error() -> None:
    confidences = np.repeat([0.0, 1.0], 100)
    hits = confidences < 0.5
    assert calibration_error(confidences, hits) == 1


def test_calibration_error_weighs_each_bin_by_its_detections() -> None:
    confidences = np.array([0.9, 0.9, 0.9, 0.1])
    hits = np.array([True, True, True, True])
    assert calibration_error(confidences, hits) == pytest.approx(0.75 * 0.1 + 0.25 * 0.9, abs=1e-4)


# --- match


def test_each_annotated_box_is_matched_once() -> None:
    record = scan(holds=["gun"])
    twice = [RawDetection("gun", 0.9, PIXELS), RawDetection("gun", 0.8, PIXELS)]
    assert match(twice, record, record.corners(100, 100)) == [True, False]


def test_two_boxes_of_a_label_match_two_detections() -> None:
    boxes = (LabelledBox("gun", 0.0, 0.0, 0.2, 0.2), LabelledBox("gun", 0.5, 0.5, 0.9, 0.9))
    record = ScanRecord(Path("x.png"), "s", "x", "train", "g", "b", boxes, frozenset({"gun"}))
    found = [RawDetection("gun", 0.9, (52, 50, 90, 90)), RawDetection("gun", 0.8, (0, 0, 20, 18))]
    assert match(found, record, record.corners(100, 100)) == [True, True]


@pytest.mark.parametrize(
    ("label", "box", "hit"),
    [
        ("gun", (10, 10, 40, 50), True),
        ("gun", (10, 10, 40, 31), True),
        ("gun", (10, 10, 40, 29), False),
        ("gun", (60, 60, 90, 90), False),
        ("knife", (10, 10, 40, 50), False),
    ],
)
def test_a_detection_is_right_when_it_covers_a_box_of_its_label_by_half(
    label: str, box: tuple[float, float, float, float], hit: bool
) -> None:
    record = scan(holds=["gun"])
    assert match([RawDetection(label, 0.9, box)], record, record.corners(100, 100)) == [hit]


def test_nothing_matches_on_a_scan_without_boxes() -> None:
    record = scan()
    assert match([RawDetection("gun", 0.9, PIXELS)], record, record.corners(100, 100)) == [False]
    assert match([], record, record.corners(100, 100)) == []


def test_looking_at_scans_keeps_only_what_their_source_annotates(tmp_path: Path) -> None:
    annotated = {"north": ("gun", "knife"), "south": ("knife",)}
    scans = [Drawn("north", (("gun", (10, 10, 40, 50)),)), Drawn("south")]
    records = partial_yolo.read(write_folder(tmp_path, annotated, scans))
    detector = Fixed(RawDetection("gun", 0.9, (10, 10, 40, 50)), RawDetection("knife", 0.6, (50, 50, 70, 70)))
    first, second = look_at(detector, records)
    assert [(box.label, hit) for box, hit in zip(first.detections, first.hits, strict=True)] == [
        ("gun", True),
        ("knife", False),
    ]
    assert [(box.label, hit) for box, hit in zip(second.detections, second.hits, strict=True)] == [("knife", False)]


# --- operating points


def test_recall_and_false_alarms_are_counted_on_annotated_scans_alone() -> None:
    entries = [
        looked(scan(holds=["gun"]), ("gun", 0.9)),
        looked(scan(holds=["gun"]), ("gun", 0.6)),
        looked(scan(holds=["gun"]), ("gun", 0.2)),
        looked(scan(holds=["gun"])),
        looked(scan(), ("gun", 0.7)),
        looked(scan(), ("gun", 0.3)),
        looked(scan(), ("knife", 0.99)),
        looked(scan(holds=["knife"])),
        looked(scan(annotated=["knife"], source="south"), ("gun", 0.99)),
        looked(scan(annotated=["knife"], holds=["gun"], source="south"), ("gun", 0.99)),
    ]
    (gun,) = operating_points(entries, IDENTITY, ["gun"], false_alarm_rate=0.25, fewest=1)
    assert (gun.label, gun.positives, gun.negatives) == ("gun", 4, 4)
    assert gun.false_alarm_rate == 0.25
    assert 0.3 < gun.threshold < 0.31
    assert gun.recall == 0.5
    assert gun.evidence == "real_scans"


def test_a_stricter_limit_costs_recall() -> None:
    entries = [looked(scan(holds=["gun"]), ("gun", share)) for share in (0.2, 0.4, 0.6, 0.8)]
    entries += [looked(scan(), ("gun", share)) for share in (0.1, 0.3, 0.5, 0.7)]
    points = [
        operating_points(entries, IDENTITY, ["gun"], false_alarm_rate=rate, fewest=1)[0] for rate in (0.0, 0.25, 0.5)
    ]
    assert [point.recall for point in points] == [0.25, 0.5, 0.75]
    assert [point.false_alarm_rate for point in points] == [0.0, 0.25, 0.5]


def test_thresholds_are_calibrated_confidences() -> None:
    calibration = Calibration(slope=0.5, intercept=1.0, error=0.0)
    entries = [looked(scan(holds=["gun"]), ("gun", 0.9)), looked(scan(), ("gun", 0.4))]
    (gun,) = operating_points(entries, calibration, ["gun"], false_alarm_rate=0.0, fewest=1)
    assert gun.threshold == pytest.approx(calibration.confidence(0.4001), abs=1e-4)


def test_a_class_that_no_scan_holds_rests_on_simulated_scans() -> None:
    entries = [looked(scan(holds=["gun"]), ("gun", 0.9)), looked(scan())]
    gun, knife, baton = operating_points(entries, IDENTITY, ["gun", "knife", "baton"], false_alarm_rate=0.1, fewest=1)
    assert (gun.evidence, knife.evidence, baton.evidence) == ("real_scans", "simulated_scans", "simulated_scans")
    assert (knife.positives, knife.negatives, knife.recall) == (0, 2, 0)
    assert (baton.positives, baton.negatives, baton.false_alarm_rate) == (0, 0, 0)


@given(
    peaks=st.lists(st.floats(0.01, 0.94), min_size=1, max_size=60),
    hits=st.lists(st.floats(0.01, 0.99), max_size=20),
    rate=st.floats(0.0, 0.5),
)
def test_a_class_keeps_to_its_rate_of_false_alarms(peaks: list[float], hits: list[float], rate: float) -> None:
    entries = [looked(scan(), ("gun", peak)) for peak in peaks]
    entries += [looked(scan(holds=["gun"]), ("gun", hit)) for hit in hits]
    (gun,) = operating_points(entries, IDENTITY, ["gun"], false_alarm_rate=rate, fewest=1)
    alarms = sum(peak >= gun.threshold for peak in peaks)
    assert alarms <= rate * len(peaks)
    assert gun.false_alarm_rate == pytest.approx(alarms / len(peaks), abs=1e-4)
    assert (gun.positives, gun.negatives) == (len(hits), len(peaks))


def test_a_class_keeps_to_its_rate_even_where_false_alarms_are_certain() -> None:
    entries = [looked(scan(), ("gun", 0.97)) for _ in range(10)]
    (gun,) = operating_points(entries, IDENTITY, ["gun"], false_alarm_rate=0.1, fewest=1)
    assert gun.false_alarm_rate <= 0.1


def test_a_class_keeps_to_its_rate_at_the_rounded_threshold() -> None:
    calibration = Calibration(slope=1.0, intercept=-5.0, error=0.0)
    for peak in np.linspace(0.05, 0.4, 71).tolist():
        (gun,) = operating_points([looked(scan(), ("gun", peak))], calibration, ["gun"], false_alarm_rate=0.0, fewest=1)
        assert calibration.confidence(peak) < gun.threshold


def test_a_class_with_few_real_boxes_is_not_called_validated_on_real_scans() -> None:
    without = [looked(scan()) for _ in range(5)]
    entries = [*without, *[looked(scan(holds=["gun"]), ("gun", 0.9)) for _ in range(4)]]
    assert operating_points(entries, IDENTITY, ["gun"], false_alarm_rate=0.1)[0].evidence == "simulated_scans"
    entries.append(looked(scan(holds=["gun"]), ("gun", 0.9)))
    assert operating_points(entries, IDENTITY, ["gun"], false_alarm_rate=0.1)[0].evidence == "real_scans"
    assert operating_points(entries[1:], IDENTITY, ["gun"], false_alarm_rate=0.1)[0].evidence == "simulated_scans"


def projected(entry: Looked) -> Looked:
    return replace(entry, record=replace(entry.record, metadata={"projected": "gun"}))


def simulated(*, holds: Sequence[str] = ()) -> ScanRecord:
    return scan(source="simulated", annotated=["gun", "knife", "laptop"], holds=holds)


def test_items_projected_into_real_scans_are_no_real_items() -> None:
    entries = [projected(looked(scan(holds=["gun"]), ("gun", 0.9))) for _ in range(9)]
    (gun,) = operating_points(entries, IDENTITY, ["gun"], false_alarm_rate=0.1)
    assert (gun.evidence, gun.positives) == ("simulated_scans", 9)


def test_a_threat_that_only_simulated_scans_show_must_keep_quiet_on_every_real_scan() -> None:
    entries = [looked(simulated(holds=["gun"]), ("gun", 0.9)), looked(simulated(), ("gun", 0.2))]
    (alone,) = operating_points(entries, IDENTITY, ["gun"], false_alarm_rate=0.1)
    assert 0.3 <= alone.threshold < 0.31
    unasked = looked(scan(annotated=["knife"]))
    entries += [replace(unasked, unknown=[RawDetection("gun", 0.7, PIXELS)]), *[unasked] * 30]
    (beside,) = operating_points(entries, IDENTITY, ["gun"], false_alarm_rate=0.1)
    assert 0.7 < beside.threshold < 0.71
    assert beside.recall == 1.0


def test_an_everyday_thing_that_only_simulated_scans_show_needs_a_confidence_of_one_half() -> None:
    entries = [looked(simulated(holds=["laptop"]), ("laptop", 0.9)), looked(simulated(), ("laptop", 0.1))]
    unasked = looked(scan(annotated=["knife"]))
    entries += [replace(unasked, unknown=[RawDetection("laptop", 0.95, PIXELS)])] * 30
    (laptop,) = operating_points(entries, IDENTITY, ["laptop"], false_alarm_rate=0.1)
    assert 0.5 <= laptop.threshold < 0.51


# --- mean recall


def test_a_network_that_tells_every_item_from_the_rest_has_a_mean_recall_of_one() -> None:
    entries = [looked(scan(holds=["gun"]), ("gun", 0.9)), looked(scan(), ("gun", 0.5))]
    assert mean_recall(entries, ["gun", "knife"]) == 1.0
    reversed_entries = [looked(scan(holds=["gun"]), ("gun", 0.4)), looked(scan(), ("gun", 0.5))]
    assert mean_recall(reversed_entries, ["gun"]) == 0.0


def test_mean_recall_counts_simulated_items_only_where_there_are_no_real_ones() -> None:
    missed = [looked(simulated(holds=["gun"])), looked(simulated(), ("gun", 0.5))]
    assert mean_recall(missed, ["gun"]) == 0.0
    assert mean_recall([*missed, looked(scan(holds=["gun"]), ("gun", 0.9))], ["gun"]) == 1.0
    assert mean_recall([], ["gun"]) == 0.0
