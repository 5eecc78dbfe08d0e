from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from threading import Barrier, Thread
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from pydantic import ValidationError

from tests.library.pictures import BLACK, KNOWN, ScriptedDetector, bag, found, package_of, screener_that_finds
from xray_agent_tools import screener as screener_module
from xray_agent_tools.detector.onnx import OnnxDetector
from xray_agent_tools.detector.package import load_package
from xray_agent_tools.detector.protocol import RawDetection
from xray_agent_tools.errors import InvalidArgument, InvalidScan, ModelUnavailable, UnknownLabel, XrayToolsError
from xray_agent_tools.report import ThreatReport
from xray_agent_tools.screener import Screener


def test_a_threat_at_its_operating_point_alarms() -> None:
    report = screener_that_finds(found("gun")).detect_threats(bag())
    assert report.verdict == "ALARM"
    assert report.summary.startswith("Alarm: gun (centre-left, 0.97)")
    (detection,) = report.detections
    assert (detection.id, detection.label, detection.group, detection.severity) == ("d1", "gun", "firearm", "critical")
    assert detection.above_threshold
    assert detection.region == "centre-left"
    assert detection.material is not None
    assert detection.material.metal > 0.9


def test_a_finished_look_at_a_usable_scan_that_finds_nothing_is_no_alarm() -> None:
    report = screener_that_finds().detect_threats(bag())
    assert report.verdict == "NO_ALARM"
    assert report.quality.usable
    assert "were not looked for" in report.summary
    assert {"explosive", "laptop"} <= set(report.not_assessed)


@pytest.mark.parametrize(
    ("pixels", "code"),
    [
        (np.full((1, 1, 3), 255, np.uint8), "too_small"),
        (np.full((60, 400, 3), 90, np.uint8), "too_small"),
        (np.full((200, 200, 3), 255, np.uint8), "blank"),
        (np.zeros((200, 200, 3), np.uint8), "not_an_xray"),
        (np.random.default_rng(0).integers(0, 256, (200, 200, 3), np.uint8), "not_an_xray"),
    ],
)
def test_a_picture_that_supports_no_verdict_is_unknown_and_not_even_looked_at(
    pixels: NDArray[np.uint8], code: str
) -> None:
    detector = ScriptedDetector([found("gun")])
    report = Screener(model=detector).detect_threats(pixels)
    assert report.verdict == "UNKNOWN"
    assert [issue.code for issue in report.quality.issues] == [code]
    assert detector.calls == 0
    assert "gun" in report.not_assessed


def photograph() -> NDArray[np.uint8]:
    """A blue sky over a red and green landscape, with texture."""
    rng = np.random.default_rng(1)
    y, x = np.mgrid[0:240, 0:320]
    sky = np.stack([120 + y / 3, 160 + y / 4, 235 - y / 8], axis=2)
    ground = np.stack([170 + 40 * np.sin(x / 9), 60 + y / 6, 50 + 30 * np.cos(x / 13)], axis=2)
    scene = np.where((y < 110)[..., None], sky, ground) + rng.normal(0, 12, (240, 320, 3))
    return np.asarray(scene.clip(0, 255), dtype=np.uint8)


def test_a_photograph_is_no_xray_scan() -> None:
    report = screener_that_finds().detect_threats(photograph())
    assert report.verdict == "UNKNOWN"
    assert [issue.code for issue in report.quality.issues] == ["not_an_xray"]


def test_a_mostly_opaque_bag_cannot_be_no_alarm_but_can_alarm() -> None:
    dark = bag()
    dark[30:170, 45:255] = BLACK
    silent, alarmed = (screener_that_finds(*boxes).detect_threats(dark) for boxes in ([], [found("gun")]))
    assert (silent.verdict, alarmed.verdict) == ("UNKNOWN", "ALARM")
    assert silent.opaque_regions[0].share > 0.5


def test_when_the_canary_stops_alarming_every_verdict_turns_unknown() -> None:
    report = screener_that_finds(found("gun"), alive=False).detect_threats(bag())
    assert report.verdict == "UNKNOWN"
    assert [issue.code for issue in report.quality.issues] == ["canary_failed"]


def test_the_canary_is_looked_at_again_after_the_interval() -> None:
    detector = ScriptedDetector()
    screener = Screener(model=detector, canary_interval=60)
    assert screener.canary_alarms(now=1000)
    detector.alive = False
    assert screener.canary_alarms(now=1059)
    assert not screener.canary_alarms(now=1061)
    detector.alive = True
    assert screener.canary_alarms(now=1200)


def test_labels_narrow_the_look_and_say_what_was_left_out() -> None:
    report = screener_that_finds(found("gun"), found("knife")).detect_threats(bag(), labels=["knife"])
    assert [detection.label for detection in report.detections] == ["knife"]
    assert "gun" in report.not_assessed


def test_asking_for_a_label_the_model_cannot_see_is_unknown_and_never_no_alarm() -> None:
    report = screener_that_finds().detect_threats(bag(), labels=["gun", "explosive"])
    assert report.verdict == "UNKNOWN"
    assert report.quality.issues[0].code == "labels_not_assessed"


def test_min_confidence_lists_weaker_boxes_and_leaves_the_verdict() -> None:
    screener = screener_that_finds(found("gun", 0.011))
    plain, wider = screener.detect_threats(bag()), screener.detect_threats(bag(), min_confidence=0.01)
    assert (plain.verdict, wider.verdict) == ("NO_ALARM", "NO_ALARM")
    assert plain.detections == []
    assert [detection.above_threshold for detection in wider.detections] == [False]
    assert "Below the operating point: 1 gun" in wider.summary


def test_a_high_min_confidence_hides_no_alarm() -> None:
    threshold = package_of().thresholds["gun"]
    report = screener_that_finds(found("gun", min(threshold + 0.01, 1.0))).detect_threats(bag(), min_confidence=1.0)
    assert report.verdict == "ALARM"


def test_full_detail_gives_every_operating_point() -> None:
    screener = screener_that_finds(found("gun"))
    concise, full = (screener.detect_threats(bag(), detail=detail) for detail in ("concise", "full"))
    assert [threshold.label for threshold in concise.model.thresholds] == ["gun"]
    assert len(full.model.thresholds) == len(KNOWN)
    assert "d1: gun" in full.summary


def test_detections_come_most_severe_and_most_certain_first() -> None:
    boxes = [found("lighter", 0.99), found("knife", 0.95), found("gun", 0.91), found("gun", 0.96)]
    report = screener_that_finds(*boxes).detect_threats(bag())
    assert [(d.id, d.label, d.confidence) for d in report.detections] == [
        ("d1", "gun", 0.96),
        ("d2", "gun", 0.91),
        ("d3", "knife", 0.95),
        ("d4", "lighter", 0.99),
    ]


def test_views_are_looked_at_one_by_one_and_reported_together() -> None:
    report = screener_that_finds(found("gun")).detect_threats([bag(), bag(240, 180)])
    assert [detection.view for detection in report.detections] == [0, 1]
    assert [(view.width, view.height) for view in report.image.views] == [(300, 200), (240, 180)]


def test_one_bad_view_makes_the_bag_unusable() -> None:
    report = screener_that_finds().detect_threats([bag(), np.full((200, 200), 255, np.uint8)])
    assert report.verdict == "UNKNOWN"
    assert report.quality.issues[0].text.startswith("view 2: ")


def test_a_threat_on_the_good_view_alarms_although_another_view_is_bad() -> None:
    report = screener_that_finds(found("gun")).detect_threats([np.full((200, 200), 255, np.uint8), bag()])
    assert report.verdict == "ALARM"
    assert not report.quality.usable
    assert [detection.view for detection in report.detections] == [1]


def test_a_batch_goes_on_after_a_bad_scan() -> None:
    results = list(screener_that_finds().detect_batch([bag(), b"broken", bag()]))
    assert [type(result) for result in results] == [ThreatReport, InvalidScan, ThreatReport]


@pytest.mark.parametrize(
    ("arguments", "error"),
    [
        ({"labels": ["gnu"]}, UnknownLabel),
        ({"labels": []}, InvalidArgument),
        ({"labels": "gun"}, InvalidArgument),
        ({"labels": [1]}, InvalidArgument),
        ({"labels": iter(["gun"])}, InvalidArgument),
        ({"labels": 5}, InvalidArgument),
        ({"labels": {"gun": 1}}, InvalidArgument),
        ({"detail": np.array(["full"])}, InvalidArgument),
        ({"min_confidence": 0}, InvalidArgument),
        ({"min_confidence": 1.1}, InvalidArgument),
        ({"min_confidence": float("nan")}, InvalidArgument),
        ({"min_confidence": "0.5"}, InvalidArgument),
        ({"min_confidence": True}, InvalidArgument),
        ({"detail": "verbose"}, InvalidArgument),
    ],
)
def test_wrong_arguments_get_a_typed_error(arguments: dict[str, Any], error: type[XrayToolsError]) -> None:
    with pytest.raises(error):
        screener_that_finds().detect_threats(bag(), **arguments)


def test_the_same_input_gives_the_same_answer_but_for_timing() -> None:
    answers = []
    for _ in range(2):
        answer = json.loads(Screener().detect_threats(bag(), detail="full").model_dump_json())
        del answer["timing_ms"]
        answers.append(json.dumps(answer))
    assert answers[0] == answers[1]


def test_a_report_cannot_be_built_with_a_verdict_its_evidence_contradicts() -> None:
    alarmed = screener_that_finds(found("gun")).detect_threats(bag()).model_dump()
    blind = screener_that_finds().detect_threats(np.full((200, 200), 255, np.uint8)).model_dump()
    for values in ({**alarmed, "verdict": "NO_ALARM"}, {**blind, "verdict": "NO_ALARM"}, {**blind, "verdict": "ALARM"}):
        with pytest.raises(ValidationError):
            ThreatReport.model_validate(values)


class _Injected(Exception):
    pass


class _BrokenSession:
    """A runtime session that fails, or gives nonsense."""

    def __init__(self, answer: Any) -> None:
        self._answer = answer

    def run(self, *_: Any) -> Any:
        if isinstance(self._answer, Exception):
            raise self._answer
        return self._answer

    def get_providers(self) -> list[str]:
        return ["CPUExecutionProvider"]


@pytest.mark.parametrize(
    "answer",
    [
        RuntimeError("the device is gone"),
        MemoryError(),
        None,
        [],
        [None],
        [np.zeros((1, 3, 10), np.float32)],
        [np.full((1, 16, 10), np.nan, np.float32)],
        [np.full((1, 16, 10), np.inf, np.float32)],
        [np.zeros((0, 16, 10), np.float32)],
    ],
    ids=repr,
)
def test_a_network_that_fails_or_answers_nonsense_gives_no_verdict(
    answer: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    detector = OnnxDetector(load_package("default"))
    screener = Screener(model=detector)
    assert screener.canary_alarms()
    monkeypatch.setattr(detector, "_session", _BrokenSession(answer))
    with pytest.raises(ModelUnavailable):
        screener.detect_threats(bag())


def test_a_network_that_goes_blind_is_noticed_by_the_canary(monkeypatch: pytest.MonkeyPatch) -> None:
    detector = OnnxDetector(load_package("default"))
    screener = Screener(model=detector, canary_interval=0)
    assert screener.detect_threats(bag()).verdict != "UNKNOWN"
    monkeypatch.setattr(detector, "_session", _BrokenSession([np.zeros((1, 16, 10), np.float32)]))
    assert screener.detect_threats(bag()).verdict == "UNKNOWN"


STAGES: list[str] = [
    "load_scan",
    "view_issues",
    "Content",
    "opaque_regions",
    "material_in",
    "occlusion_in",
    "region_of",
    "summarise",
    "taxonomy",
    "detect_all",
    "_detections",
    "_verdict",
    "_identity",
    "_image",
]


@pytest.mark.parametrize("stage", STAGES)
@pytest.mark.parametrize("boxes", [[], [found("gun")]], ids=["nothing found", "gun found"])
def test_a_fault_at_any_stage_never_leads_to_no_alarm(
    stage: str, boxes: list[RawDetection], monkeypatch: pytest.MonkeyPatch
) -> None:
    fired = False

    def fault(*_: Any, **__: Any) -> Any:
        nonlocal fired
        fired = True
        raise _Injected

    screener = screener_that_finds(*boxes)
    assert screener.canary_alarms()
    monkeypatch.setattr(screener_module, stage, fault)
    try:
        verdict: str | None = screener.detect_threats(bag()).verdict
    except _Injected:
        verdict = None
    assert fired or not boxes
    assert verdict != "NO_ALARM" or not fired


@given(st.lists(st.tuples(st.sampled_from(["gun", "knife", "lighter"]), st.floats(0, 1)), max_size=8))
@settings(deadline=None, max_examples=40)
def test_the_verdict_is_alarm_exactly_if_a_box_reaches_its_operating_point(boxes: list[tuple[str, float]]) -> None:
    thresholds = package_of().thresholds
    report = screener_that_finds(*[found(label, confidence) for label, confidence in boxes]).detect_threats(bag())
    expected = any(confidence >= thresholds[label] for label, confidence in boxes)
    assert report.verdict == ("ALARM" if expected else "NO_ALARM")


def test_one_screener_answers_many_threads_alike() -> None:
    screener = Screener()
    barrier = Barrier(6)
    answers: list[str] = []

    def ask() -> None:
        barrier.wait(timeout=30)
        answers.extend(
            screener.detect_threats(bag()).model_copy(update={"timing_ms": 0.0}).model_dump_json() for _ in range(3)
        )

    threads = [Thread(target=ask) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout=60)
    assert len(answers) == 18
    assert len(set(answers)) == 1


@pytest.mark.parametrize(
    "call", [lambda s: s.explain_scan(b"broken"), lambda s: s.assess_declaration(b"", declared_items=[])]
)
def test_the_other_tools_refuse_a_broken_scan_too(call: Callable[[Screener], object]) -> None:
    with pytest.raises(InvalidScan):
        call(screener_that_finds())


# --- what alarms, and what nobody validated


def test_everyday_things_and_those_of_low_severity_are_listed_and_do_not_alarm() -> None:
    package = package_of("bottle", "laptop", "explosive")
    quiet = Screener(model=ScriptedDetector([found("bottle"), found("laptop")], package=package)).detect_threats(bag())
    assert [(item.label, item.severity, item.alarms) for item in quiet.detections] == [
        ("bottle", "low", False),
        ("laptop", "none", False),
    ]
    assert quiet.verdict == "NO_ALARM"
    loud = Screener(model=ScriptedDetector([found("explosive")], package=package)).detect_threats(bag())
    assert (loud.verdict, loud.detections[0].evidence) == ("ALARM", "simulated_scans")


def test_a_report_names_the_threats_that_only_simulated_scans_validated() -> None:
    screener = Screener(model=ScriptedDetector(package=package_of("explosive", "dart", "laptop", "bottle")))
    report = screener.detect_threats(bag())
    assert report.not_validated == ["explosive", "dart"]
    assert "the look for 2 more was validated on simulated scans alone" in report.summary
    assert screener.detect_threats(bag(), labels=["gun", "dart"]).not_validated == ["dart"]
    assert screener_that_finds().detect_threats(bag()).not_validated == []


def test_nothing_is_unvalidated_on_a_scan_that_was_not_looked_at() -> None:
    screener = Screener(model=ScriptedDetector(package=package_of("explosive")))
    report = screener.detect_threats(np.full((99, 99), 255, np.uint8))
    assert report.verdict == "UNKNOWN"
    assert "explosive" in report.not_assessed
    assert report.not_validated == []


def test_a_class_that_found_nothing_where_its_recall_was_measured_counts_as_not_looked_for() -> None:
    package = package_of("explosive", "dart")
    points = [p.model_copy(update={"recall": 0.0}) if p.label == "dart" else p for p in package.manifest.classes]
    blind = replace(package, manifest=package.manifest.model_copy(update={"classes": tuple(points)}))
    screener = Screener(model=ScriptedDetector(package=blind))
    report = screener.detect_threats(bag())
    assert "dart" in report.not_assessed
    assert report.not_validated == ["explosive"]
    assert screener.detect_threats(bag(), labels=["dart"]).verdict == "UNKNOWN"
    alarmed = Screener(model=ScriptedDetector([found("dart")], package=blind)).detect_threats(bag())
    assert alarmed.verdict == "ALARM"
