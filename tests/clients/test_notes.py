from __future__ import annotations

import json
import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from xray_servers.http.openai.words import words_for

from tests.clients.notes import REFUSALS, Note, problems_of
from tests.library.pictures import ScriptedDetector, bag, found
from xray_agent_tools import Screener

DETECTOR = ScriptedDetector([found("gun"), found("knife", 0.95, (150, 100, 220, 130)), found("power_bank")])
REPORT = Screener(model=DETECTOR).detect_threats(bag())
WORDS = words_for(REPORT)
SHOWN = REPORT.model_dump(mode="json")


def problems(value: Any = None, *, asked: str = "chat", **raised: Any) -> list[str]:
    return problems_of(Note(asked, "" if asked in REFUSALS else "bag.png", value, **raised), {"bag.png": REPORT})


def test_the_words_and_the_report_pass() -> None:
    assert problems(WORDS) == []
    assert problems(SHOWN) == []


def test_another_verdict_does_not_pass() -> None:
    assert problems(WORDS.replace("Verdict: ALARM", "Verdict: NO_ALARM"))
    assert problems(SHOWN | {"verdict": "NO_ALARM"})


@given(st.integers(0, len(re.findall(r"\d+", WORDS)) - 1))
def test_no_number_of_a_box_may_be_another(which: int) -> None:
    [*places] = re.finditer(r"\d+", WORDS)
    start, end = places[which].span()
    changed = f"{WORDS[:start]}{int(WORDS[start:end]) + 1}{WORDS[end:]}"
    in_box = bool(re.search(r"(?:x|y|to) $", WORDS[:start]))
    assert bool(problems(changed)) == in_box


@pytest.mark.parametrize("words", ["gun", "knife", "power bank"])
def test_every_label_must_be_right(words: str) -> None:
    assert problems(WORDS.replace(f": {words} (", ": umbrella ("))


@pytest.mark.parametrize("line", [line for line in WORDS.splitlines() if line.startswith("- ")])
def test_no_detection_may_be_missing(line: str) -> None:
    assert problems(WORDS.replace(line + "\n", ""))


@pytest.mark.parametrize("nothing", [None, "", {}, [], json.dumps(SHOWN)[:-1]])
def test_nothing_does_not_pass(nothing: object) -> None:
    assert problems(nothing)


def test_a_call_that_should_be_answered_must_not_fail() -> None:
    assert problems(raised=("NotFoundError",), text="there is no such page") == [
        "chat on bag.png: raised NotFoundError: there is no such page"
    ]


@pytest.mark.parametrize("asked", REFUSALS)
def test_a_refusal_passes_as_its_typed_exception_that_says_why(asked: str) -> None:
    kind, reason = REFUSALS[asked]
    assert problems(asked=asked, raised=("TheirOwn", kind, "Exception"), text=f"400 - {reason}.") == []
    assert problems(asked=asked, raised=("TheirOwn", "Exception"), text=f"400 - {reason}.")
    assert problems(asked=asked, raised=(kind,), text="400")
    assert problems(WORDS, asked=asked)
