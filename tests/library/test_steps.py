"""Which steps of a question a listener hears, and that stopping at one stops the work."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.library.pictures import ScriptedDetector, bag, encoded, found, screener_that_finds
from xray_agent_tools.errors import InvalidArgument
from xray_agent_tools.progress import heard_by
from xray_agent_tools.screener import Screener

LOADING, READING, WORDING = "loading the detector", "reading the scan", "wording the explanation"
ONE_VIEW = ["looking at view 1 of 1"]
TWO_VIEWS = ["looking at view 1 of 2", "looking at view 2 of 2"]

Ask = Callable[[Screener, Any], object]

QUESTIONS: dict[str, tuple[Ask, list[str]]] = {
    "detect_threats": (lambda screener, scan: screener.detect_threats(scan), []),
    "explain_scan": (lambda screener, scan: screener.explain_scan(scan), [WORDING]),
    "assess_declaration": (lambda screener, scan: screener.assess_declaration(scan, declared_items=[]), []),
    "view_scan": (lambda screener, scan: screener.view_scan(scan), []),
}


def heard(screener: Screener, ask: Ask, scan: Any) -> list[str]:
    steps: list[str] = []
    with heard_by(steps.append):
        ask(screener, scan)
    return steps


@pytest.mark.parametrize("name", QUESTIONS)
@pytest.mark.parametrize(
    ("scan", "looks"),
    [(bag(), ONE_VIEW), ([bag()], ONE_VIEW), ([bag(), bag(240, 180)], TWO_VIEWS)],
    ids=["one view", "a list of one", "two views"],
)
def test_the_first_question_is_heard_step_by_step_and_the_next_without_loading(
    name: str, scan: Any, looks: list[str]
) -> None:
    ask, last = QUESTIONS[name]
    screener = screener_that_finds(found("gun"))
    assert heard(screener, ask, scan) == [READING, LOADING, *looks, *last]
    assert heard(screener, ask, scan) == [READING, *looks, *last]


@pytest.mark.parametrize("name", QUESTIONS)
def test_nobody_has_to_listen(name: str) -> None:
    assert QUESTIONS[name][0](screener_that_finds(found("gun")), bag()) is not None


def test_a_view_that_is_not_worth_looking_at_is_passed_over() -> None:
    blank = np.full((200, 200), 255, np.uint8)
    screener = screener_that_finds()
    assert heard(screener, QUESTIONS["detect_threats"][0], [blank, bag()]) == [READING, LOADING, TWO_VIEWS[1]]


def test_a_finished_report_is_only_worded() -> None:
    screener = screener_that_finds(found("gun"))
    report = screener.detect_threats(bag())
    assert heard(screener, lambda screener, report: screener.explain_scan(report), report) == [WORDING]


def test_each_scan_of_a_batch_is_heard() -> None:
    steps = heard(screener_that_finds(), lambda screener, scans: list(screener.detect_batch(scans)), [bag(), bag()])
    assert steps == [READING, LOADING, *ONE_VIEW, READING, *ONE_VIEW]


def test_the_real_detector_is_heard_loading_once(tmp_path: Path) -> None:
    path = tmp_path / "bag.png"
    path.write_bytes(encoded(bag()))
    screener = Screener()
    assert heard(screener, QUESTIONS["detect_threats"][0], path) == [READING, LOADING, *ONE_VIEW]
    assert heard(screener, QUESTIONS["detect_threats"][0], path) == [READING, *ONE_VIEW]


class _NotWantedAnyMore(Exception):
    pass


@pytest.mark.parametrize("name", QUESTIONS)
@pytest.mark.parametrize(("step", "looks"), [(READING, 0), (LOADING, 0), (TWO_VIEWS[0], 0), (TWO_VIEWS[1], 1)])
def test_work_that_is_cancelled_at_a_step_goes_no_further_and_the_screener_stays_whole(
    name: str, step: str, looks: int
) -> None:
    def stop(heard: str) -> None:
        if heard == step:
            raise _NotWantedAnyMore

    detector = ScriptedDetector([found("gun")])
    screener = Screener(model=detector)
    ask = QUESTIONS[name][0]
    with heard_by(stop), pytest.raises(_NotWantedAnyMore):
        ask(screener, [bag(), bag(240, 180)])
    assert detector.calls == looks
    assert screener.detect_threats(bag()).verdict == "ALARM"


@pytest.mark.parametrize(
    "ask",
    [
        lambda screener, scan: screener.detect_threats(scan, max_detections=0),
        lambda screener, scan: screener.explain_scan(scan, question=5),
        lambda screener, scan: screener.assess_declaration(scan, declared_items=[], detail="long"),
    ],
)
def test_wrong_arguments_are_refused_before_any_step(ask: Ask) -> None:
    steps: list[str] = []
    with heard_by(steps.append), pytest.raises(InvalidArgument):
        ask(screener_that_finds(), bag())
    assert steps == []
