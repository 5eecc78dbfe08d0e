"""A limit on what an answer lists changes what is listed and nothing else."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.library.pictures import bag, found, screener_that_finds
from xray_agent_tools.detector.protocol import RawDetection
from xray_agent_tools.errors import InvalidArgument, XrayToolsError
from xray_agent_tools.report import ThreatReport
from xray_agent_tools.screener import Screener

WEAKEST = 0.01
GUN, KNIFE, LIGHTER = found("gun"), found("knife", 0.95, (150, 100, 220, 130)), found("lighter", 0.92)

boxes_found = st.lists(
    st.builds(found, st.sampled_from(["gun", "knife", "scissors", "lighter", "hammer"]), st.floats(0, 1)), max_size=12
)
most_listed = st.integers(1, 15)


def both(boxes: list[RawDetection], most: int) -> tuple[ThreatReport, ThreatReport]:
    """The whole report and the shortened one, weak boxes included."""
    screener = screener_that_finds(*boxes)
    whole = screener.detect_threats(bag(), min_confidence=WEAKEST)
    return whole, screener.detect_threats(bag(), min_confidence=WEAKEST, max_detections=most)


@given(boxes_found, most_listed)
@settings(max_examples=30)
def test_the_verdict_and_the_summary_never_depend_on_how_many_are_listed(boxes: list[RawDetection], most: int) -> None:
    whole, short = both(boxes, most)
    assert (short.verdict, short.summary) == (whole.verdict, whole.summary)
    assert (short.quality, short.opaque_regions, short.not_assessed) == (
        whole.quality,
        whole.opaque_regions,
        whole.not_assessed,
    )


@given(boxes_found, most_listed)
@settings(max_examples=30)
def test_what_is_listed_and_what_is_left_out_are_all_that_was_found(boxes: list[RawDetection], most: int) -> None:
    whole, short = both(boxes, most)
    assert whole.left_out == 0
    assert len(short.detections) == min(most, len(whole.detections))
    assert len(short.detections) + short.left_out == len(whole.detections)


@given(boxes_found, most_listed)
@settings(max_examples=30)
def test_what_is_listed_keeps_its_id_and_its_place(boxes: list[RawDetection], most: int) -> None:
    whole, short = both(boxes, most)
    listed = {detection.id for detection in short.detections}
    assert short.detections == [detection for detection in whole.detections if detection.id in listed]


@given(boxes_found, most_listed)
@settings(max_examples=30)
def test_what_alarms_is_left_out_last_of_all(boxes: list[RawDetection], most: int) -> None:
    whole, short = both(boxes, most)
    alarming = [detection for detection in whole.detections if detection.alarms]
    assert [detection for detection in short.detections if detection.alarms] == alarming[:most]


def test_a_weak_gun_makes_room_for_a_lighter_that_alarms() -> None:
    _, short = both([found("gun", 0.02), LIGHTER], 1)
    assert [(detection.id, detection.label) for detection in short.detections] == [("d2", "lighter")]
    assert (short.verdict, short.left_out) == ("ALARM", 1)


def test_a_shortened_report_gives_the_operating_points_of_what_it_lists() -> None:
    screener = screener_that_finds(GUN, KNIFE, LIGHTER)
    concise, full = (screener.detect_threats(bag(), max_detections=1, detail=d) for d in ("concise", "full"))
    assert [threshold.label for threshold in concise.model.thresholds] == ["gun"]
    assert full.model.thresholds == screener.detect_threats(bag(), detail="full").model.thresholds


def test_without_a_limit_python_lists_everything() -> None:
    report = screener_that_finds(*[GUN] * 70).detect_threats(bag())
    assert (len(report.detections), report.left_out) == (70, 0)


def test_each_report_of_a_batch_is_shortened() -> None:
    reports = list(screener_that_finds(GUN, KNIFE).detect_batch([bag(), b"broken", bag()], max_detections=1))
    assert [report.left_out for report in reports if isinstance(report, ThreatReport)] == [1, 1]


def test_detections_of_all_views_share_one_limit() -> None:
    report = screener_that_finds(GUN, KNIFE).detect_threats([bag(), bag(240, 180)], max_detections=3)
    assert [(detection.label, detection.view) for detection in report.detections] == [
        ("gun", 0),
        ("gun", 1),
        ("knife", 0),
    ]
    assert report.left_out == 1


NO_LIMIT: list[Any] = [0, -1, 1.0, 2.5, True, False, "3", float("nan"), [1], "x" * 1_000]


@pytest.mark.parametrize("most", NO_LIMIT, ids=lambda value: repr(value)[:20])
@pytest.mark.parametrize("tool", ["detect_threats", "explain_scan", "assess_declaration"])
def test_what_is_no_limit_is_refused_before_the_scan_is_read(tool: str, most: Any) -> None:
    arguments: dict[str, Any] = {"declared_items": []} if tool == "assess_declaration" else {}
    with pytest.raises(InvalidArgument, match="max_detections") as caught:
        getattr(screener_that_finds(), tool)(b"broken", max_detections=most, **arguments)
    assert caught.value.hint == "give a whole number from 1"
    assert len(caught.value.message) < 80


def test_a_batch_with_a_bad_limit_gives_the_error_for_each_scan() -> None:
    results = list(screener_that_finds().detect_batch([bag(), bag()], max_detections=0))
    assert [type(result) for result in results] == [InvalidArgument, InvalidArgument]
    assert all(isinstance(result, XrayToolsError) for result in results)


@pytest.mark.parametrize("most", [None, 1, 5])
def test_a_shortened_report_is_neither_explained_nor_assessed(most: int | None) -> None:
    screener = screener_that_finds(GUN, KNIFE)
    short = screener.detect_threats(bag(), max_detections=1)
    for call in (
        lambda: screener.explain_scan(short, max_detections=most),
        lambda: screener.assess_declaration(short, declared_items=["knife"], max_detections=most),
    ):
        with pytest.raises(InvalidArgument, match="leaves out 1") as caught:
            call()
        assert "give the scan" in caught.value.hint


def test_a_report_whose_limit_was_never_reached_is_whole() -> None:
    screener = screener_that_finds(GUN, KNIFE)
    report = screener.detect_threats(bag(), max_detections=2)
    assert screener.explain_scan(report).left_out == 0
    assert screener.assess_declaration(report, declared_items=[]).report.left_out == 0


@given(boxes_found, most_listed, st.lists(st.sampled_from(["knife", "lighter", "laptop", "a thing"]), max_size=3))
@settings(max_examples=30)
def test_an_assessment_rests_on_everything_while_its_report_is_shortened(
    boxes: list[RawDetection], most: int, declared: list[str]
) -> None:
    screener = screener_that_finds(*boxes)
    whole = screener.assess_declaration(bag(), declared_items=declared)
    short = screener.assess_declaration(bag(), declared_items=declared, max_detections=most)
    assert (short.items, short.reasons) == (whole.items, whole.reasons)
    assert (short.declaration_match, short.risk_level, short.recommended_action) == (
        whole.declaration_match,
        whole.risk_level,
        whole.recommended_action,
    )
    assert len(short.report.detections) == min(most, len(whole.report.detections))
    assert len(short.report.detections) + short.report.left_out == len(whole.report.detections)


def test_an_assessment_cites_detections_that_its_report_does_not_list() -> None:
    answer = screener_that_finds(GUN, KNIFE, LIGHTER).assess_declaration(bag(), declared_items=[], max_detections=1)
    assert [detection.id for detection in answer.report.detections] == ["d1"]
    assert {reference for item in answer.items for reference in item.detection_ids} == {"d1", "d2", "d3"}
    assert {reference for reason in answer.reasons for reference in reason.detection_ids} == {"d1", "d2", "d3"}


def test_an_assessment_carries_the_report_that_detect_threats_gives_with_the_same_limit() -> None:
    screener = screener_that_finds(GUN, KNIFE, LIGHTER)
    assessed = screener.assess_declaration(bag(), declared_items=[], max_detections=1).report
    detected = screener.detect_threats(bag(), max_detections=1)
    assert assessed.model_copy(update={"timing_ms": 0}) == detected.model_copy(update={"timing_ms": 0})


@given(boxes_found, most_listed, st.sampled_from([None, "Where is the knife?", "Is there a gun?", "How many items?"]))
@settings(max_examples=30)
def test_an_explanation_gives_its_whole_answer_and_counts_the_findings_left_out(
    boxes: list[RawDetection], most: int, question: str | None
) -> None:
    screener = screener_that_finds(*boxes)
    whole = screener.explain_scan(bag(), question=question)
    short = screener.explain_scan(bag(), question=question, max_detections=most)
    assert (short.answer, short.answered, short.verdict) == (whole.answer, whole.answered, whole.verdict)
    assert whole.left_out == 0
    assert short.findings == whole.findings[:most]
    assert len(short.findings) + short.left_out == len(whole.findings)


def test_an_explanation_of_a_report_gives_the_finding_that_alarms_first() -> None:
    screener = screener_that_finds(found("gun", 0.02), KNIFE)
    report = screener.detect_threats(bag(), min_confidence=WEAKEST)
    answer = Screener().explain_scan(report, max_detections=1)
    assert [finding.detection_ids for finding in answer.findings] == [["d2"]]
    assert answer.left_out == 1
