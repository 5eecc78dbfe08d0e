"""What every error promises, wherever it was raised and whichever process it came from."""

from __future__ import annotations

import json
import pickle
import re
import traceback
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from xray_agent_tools.errors import (
    TABLE,
    InternalError,
    InvalidScan,
    Misconfigured,
    Outcome,
    Overloaded,
    ScanNotFound,
    StorageFull,
    TimedOut,
    UnknownScan,
    WorkerLost,
    XrayToolsError,
    outcome_of,
)


def kinds_below(kind: type[XrayToolsError]) -> list[type[XrayToolsError]]:
    """Every error of the library below one, near or far."""
    below = [found for found in kind.__subclasses__() if found.__module__ == "xray_agent_tools.errors"]
    return [*below, *(far for near in below for far in kinds_below(near))]


KINDS = kinds_below(XrayToolsError)


def made(kind: type[XrayToolsError], message: str, hint: str, retry_after: float = 1.5) -> XrayToolsError:
    if issubclass(kind, Overloaded):
        return kind(message, hint=hint, retry_after=retry_after)
    return kind(message, hint=hint)


@given(st.sampled_from(KINDS), st.text(), st.text(), st.floats(0, 1e6), st.integers(2, pickle.HIGHEST_PROTOCOL))
def test_an_error_comes_back_from_another_process_as_it_was(
    kind: type[XrayToolsError], message: str, hint: str, retry_after: float, protocol: int
) -> None:
    error = made(kind, message, hint, retry_after)
    back = pickle.loads(pickle.dumps(error, protocol))
    assert type(back) is kind
    assert back.as_dict() == error.as_dict()
    assert (str(back), back.args) == (str(error), error.args)


def test_an_error_that_was_raised_and_noted_can_still_be_sent() -> None:
    try:
        try:
            raise OSError("the disk is gone")
        except OSError as cause:
            raise StorageFull("no room", hint="wait") from cause
    except StorageFull as error:
        error.add_note("while keeping a scan")
        back = pickle.loads(pickle.dumps(error))
        assert (
            back.as_dict()
            == error.as_dict()
            == {"error": {"code": "storage_full", "message": "no room", "hint": "wait"}}
        )
        assert "the disk is gone" in "".join(traceback.format_exception(error))


def test_how_long_to_wait_is_part_of_what_every_interface_sends() -> None:
    error = Overloaded("the queue is full", hint="call again later", retry_after=2.5)
    assert error.as_dict() == {
        "error": {
            "code": "overloaded",
            "message": "the queue is full",
            "hint": "call again later",
            "retry_after": 2.5,
        }
    }


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.__name__)
def test_every_error_has_an_outcome_and_can_be_sent_as_json(kind: type[XrayToolsError]) -> None:
    error = made(kind, "what went wrong", "what to do")
    outcome = outcome_of(error)
    assert any(near in TABLE for near in kind.__mro__)
    assert 0 < outcome.exit_code < 126
    assert 400 <= outcome.http_status < 600
    assert json.loads(json.dumps(error.as_dict()))["error"]["code"] == kind.code
    assert str(error) == "what went wrong (what to do)"


def test_the_table_holds_each_code_once() -> None:
    codes = [kind.code for kind in TABLE]
    assert len(set(codes)) == len(codes)
    assert {kind.code for kind in KINDS} == set(codes)


@pytest.mark.parametrize(
    ("kind", "code", "exit_code", "status", "retryable"),
    [
        (UnknownScan, "unknown_scan", 24, 404, False),
        (TimedOut, "timed_out", 25, 504, True),
        (WorkerLost, "worker_lost", 26, 503, True),
        (StorageFull, "storage_full", 27, 507, True),
        (InternalError, "internal_error", 28, 500, False),
        (Overloaded, "overloaded", 22, 429, True),
    ],
)
def test_what_happens_to_servers_has_outcomes_of_its_own(
    kind: type[XrayToolsError], code: str, exit_code: int, status: int, *, retryable: bool
) -> None:
    assert kind.code == code
    assert TABLE[kind] == Outcome(exit_code, status, retryable)


def test_a_file_that_is_not_there_is_an_invalid_scan_to_every_interface() -> None:
    error = ScanNotFound("there is no such file", hint="give another")
    assert isinstance(error, InvalidScan)
    assert error.as_dict()["error"]["code"] == "invalid_scan"
    assert outcome_of(error) == TABLE[InvalidScan]


def test_an_error_of_somebody_elses_making_has_the_outcome_of_the_nearest_kind() -> None:
    class LaneClosed(TimedOut):
        code = "lane_closed"

    class Odd(XrayToolsError):
        code = "odd"

    assert outcome_of(LaneClosed("closed", hint="wait")) == TABLE[TimedOut]
    assert outcome_of(Odd("odd", hint="none")) == TABLE[Misconfigured]


def test_the_page_of_answers_lists_every_error_with_its_outcome() -> None:
    page = (Path(__file__).parents[2] / "docs" / "answers.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| `(\w+)` \| (\d+) \| (\d+) \| (yes)? ?\|$", page, re.MULTILINE)
    listed = {code: Outcome(int(exit_code), int(status), again == "yes") for code, exit_code, status, again in rows}
    assert listed == {kind.code: outcome for kind, outcome in TABLE.items()}
