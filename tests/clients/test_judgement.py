from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.clients.judgement import shortfalls
from tests.clients.sessions import Sight
from tests.library.pictures import ScriptedDetector, bag, found
from xray_agent_tools import Screener
from xray_agent_tools.errors import InvalidScan

DETECTOR = ScriptedDetector([found("gun"), found("knife", 0.95, (150, 100, 220, 130)), found("knife")])
REPORT = Screener(model=DETECTOR).detect_threats(bag())
SHOWN = REPORT.model_dump(mode="json")
ERROR = InvalidScan("there is no file 'bag.png'", hint="give the path of an existing file")

wrappings: st.SearchStrategy[list[Callable[[Any], Any]]] = st.lists(
    st.sampled_from(
        [
            json.dumps,
            lambda seen: [{"type": "text", "text": json.dumps(seen)}],
            lambda seen: {"error": seen},
            lambda seen: f"The tool {{detect_threats}} said:\n{json.dumps(seen)}\n\nFix the errors and try again.",
        ]
    ),
    max_size=3,
)


def judged(value: Any, *, is_error: bool | None = None) -> list[str]:
    return shortfalls(Sight("bag.png", "content", value, is_error), REPORT)


def judged_failure(value: Any, *, is_error: bool | None = None) -> list[str]:
    return shortfalls(Sight("bag.png", "content", value, is_error), ERROR)


@given(wrappings)
def test_a_report_is_found_however_a_framework_wraps_it(wrap: list[Callable[[Any], Any]]) -> None:
    seen: Any = SHOWN
    for around in wrap:
        seen = around(seen)
    assert judged(seen) == []


@given(wrappings)
def test_an_error_is_found_however_a_framework_wraps_it(wrap: list[Callable[[Any], Any]]) -> None:
    seen: Any = ERROR.as_dict()
    for around in wrap:
        seen = around(seen)
    assert judged_failure(seen) == []


@given(
    st.integers(0, len(REPORT.detections) - 1),
    st.sampled_from(["x_min", "y_min", "x_max", "y_max"]),
    st.floats(-1000, 1000),
)
def test_every_coordinate_of_every_box_must_be_right(which: int, side: str, value: float) -> None:
    changed = json.loads(json.dumps(SHOWN))
    changed["detections"][which]["box"][side] = value
    assert bool(judged(changed)) == (value != SHOWN["detections"][which]["box"][side])


@pytest.mark.parametrize("which", range(len(REPORT.detections)))
def test_every_label_must_be_right(which: int) -> None:
    changed = json.loads(json.dumps(SHOWN))
    changed["detections"][which]["label"] = "umbrella"
    assert judged(changed)


@pytest.mark.parametrize("which", range(len(REPORT.detections)))
def test_no_detection_may_be_missing(which: int) -> None:
    changed = json.loads(json.dumps(SHOWN))
    del changed["detections"][which]
    assert judged(changed)


def test_the_verdict_must_be_right() -> None:
    assert judged({**SHOWN, "verdict": "NO_ALARM"}) == [
        "bag.png, content: the verdict is 'NO_ALARM', not 'ALARM'",
    ]


@pytest.mark.parametrize("nothing", [None, "", [], {}, "[image]", "{", json.dumps(SHOWN)[:-1]])
def test_an_empty_or_cut_answer_does_not_pass(nothing: object) -> None:
    assert judged(nothing)
    assert judged_failure(nothing)


def test_an_answer_flagged_as_an_error_does_not_pass() -> None:
    assert judged(SHOWN, is_error=True)


def test_an_error_that_is_not_flagged_does_not_pass() -> None:
    assert judged_failure(ERROR.as_dict(), is_error=False)
    assert not judged_failure(ERROR.as_dict(), is_error=True)


@pytest.mark.parametrize("part", [{"code": "error"}, {"message": "it failed"}, {"hint": ""}])
def test_an_error_must_name_its_cause_and_the_next_step(part: dict[str, str]) -> None:
    assert judged_failure({"error": ERROR.as_dict()["error"] | part})


def test_a_failed_call_must_not_show_a_verdict() -> None:
    assert judged_failure([ERROR.as_dict(), SHOWN])
