"""A decision is made once, and nobody hears of one that is not on record."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import Any

import anyio
import anyio.lowlevel
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from xray_servers.audit import AuditLog, Record
from xray_servers.desk import DeskLimits, ScreeningDesk
from xray_servers.http.callers import SCOPES, Caller
from xray_servers.http.decisions import Decided, Decisions, Work
from xray_servers.http.metrics import Metrics
from xray_servers.screening import ScreeningSettings

from xray_agent_tools.errors import (
    AuditUnavailable,
    BagConflict,
    InvalidScan,
    Overloaded,
    TimedOut,
    WorkerLost,
    XrayToolsError,
)

_numbers = count()

REPORT: dict[str, Any] = {
    "verdict": "ALARM",
    "detections": [
        {"label": "gun", "above_threshold": True},
        {"label": "knife", "above_threshold": False},
    ],
    "model": {"id": "m", "version": "1", "sha256": "a" * 64},
}
ASSESSMENT: dict[str, Any] = {
    "risk_level": "high",
    "recommended_action": "PHYSICAL_INSPECTION",
    "policy": {"name": "customs", "version": "1", "sha256": "b" * 64},
    "report": REPORT,
}
ERRORS: tuple[XrayToolsError, ...] = (
    InvalidScan("it is no picture", hint="send one"),
    TimedOut("too slow", hint="call again"),
    WorkerLost("it died", hint="call again"),
)
TEXTS = st.text(max_size=40)
REQUESTS = st.dictionaries(TEXTS, st.recursive(st.none() | st.booleans() | TEXTS, st.lists, max_leaves=4), max_size=4)


@dataclass
class Room:
    """Decisions with a real log, and work that counts how often it is done."""

    audit: AuditLog
    metrics: Metrics
    decisions: Decisions
    done: int = 0

    def decide(
        self,
        request: dict[str, Any],
        *,
        answer: dict[str, Any] = REPORT,
        error: XrayToolsError | None = None,
        bag: str | None = None,
        owner: str = "gate-7",
        request_id: str | None = None,
    ) -> Decided:
        """Make one decision, whose work gives an answer or raises an error."""
        return anyio.run(lambda: self.deciding(request, answer, error, bag, owner, request_id))

    async def deciding(
        self,
        request: dict[str, Any],
        answer: dict[str, Any] = REPORT,
        error: XrayToolsError | None = None,
        bag: str | None = None,
        owner: str = "gate-7",
        request_id: str | None = None,
    ) -> Decided:
        async def work() -> Work:
            self.done += 1
            await anyio.lowlevel.checkpoint()
            if error is not None:
                raise error
            return Work(answer, "c" * 64)

        caller = Caller(owner, SCOPES, request_id or fresh())
        return await self.decisions.decide(caller, "detect_threats", request, work, bag=bag)

    def records(self) -> list[Record]:
        return list(self.audit.records())

    def value(self, name: str, **labels: str) -> float:
        """A metric's value; 0 where it was never counted."""
        return self.metrics.registry.get_sample_value(name, labels) or 0.0


def fresh(what: str = "request") -> str:
    """A name that nothing else has."""
    return f"{what}-{next(_numbers):06d}"


@contextmanager
def room_at(folder: Path, timeout_s: float = 10.0) -> Iterator[Room]:
    desk = ScreeningDesk(ScreeningSettings(roots=(), shelf=folder / "shelf"), DeskLimits(warm=False))
    metrics = Metrics(desk)
    with AuditLog(str(folder / "audit.db"), timeout_s=timeout_s) as audit:
        yield Room(audit, metrics, Decisions(desk, audit, metrics))


@pytest.fixture
def room(tmp_path: Path) -> Iterator[Room]:
    with room_at(tmp_path) as opened:
        yield opened


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Room]:
    """A room that many examples share."""
    with room_at(tmp_path_factory.mktemp("shared")) as opened:
        yield opened


# On record


def test_an_answer_is_on_record_with_what_made_it(room: Room) -> None:
    decided = room.decide({"tool": "assess"}, answer=ASSESSMENT, request_id="request-of-gate-7")
    [record] = room.records()
    assert decided == Decided(ASSESSMENT, record.record_id, repeated=False)
    assert json.loads(record.answer or "") == ASSESSMENT
    assert (record.owner, record.request_id, record.operation) == ("gate-7", "request-of-gate-7", "detect_threats")
    assert (record.outcome, record.error_code, record.image_sha256) == ("answered", None, "c" * 64)
    assert (record.model_sha256, record.policy_sha256) == ("a" * 64, "b" * 64)


def test_an_inspections_record_names_the_model_and_the_policy_inside_it(room: Room) -> None:
    room.decide({}, answer={"scan_id": "bag", "assessment": ASSESSMENT})
    [record] = room.records()
    assert (record.model_sha256, record.policy_sha256) == ("a" * 64, "b" * 64)


@pytest.mark.parametrize("error", ERRORS, ids=lambda error: str(error.code))
def test_an_error_is_on_record_before_the_caller_hears_of_it(room: Room, error: XrayToolsError) -> None:
    with pytest.raises(type(error)):
        room.decide({}, error=error, bag="bag-1")
    [record] = room.records()
    assert (record.outcome, record.error_code, record.bag) == ("refused", error.code, None)
    assert json.loads(record.answer or "") == error.as_dict()
    assert room.value("xray_errors_total", operation="detect_threats", code=error.code) == 1


def test_a_request_that_was_not_taken_in_is_not_on_record(room: Room) -> None:
    with pytest.raises(Overloaded):
        room.decide({}, error=Overloaded("full", hint="call again", retry_after=1.0))
    assert room.records() == []
    assert room.value("xray_errors_total", operation="detect_threats", code="overloaded") == 1


# Once for each bag


@settings(max_examples=25)
@given(request=REQUESTS, owner=TEXTS.filter(lambda text: "\0" not in text))
def test_the_same_request_about_a_bag_gets_the_first_answer_whatever_a_second_look_would_say(
    shared: Room, request: dict[str, Any], owner: str
) -> None:
    bag, before = fresh("bag"), shared.done
    first = shared.decide(request, bag=bag, owner=owner)
    again = shared.decide(dict(reversed(request.items())), bag=bag, owner=owner, answer=ASSESSMENT)
    assert again == Decided(first.answer, first.record_id, repeated=True)
    assert shared.done == before + 1


@settings(max_examples=25)
@given(requests=st.lists(REQUESTS, min_size=2, max_size=2, unique_by=lambda one: json.dumps(one, sort_keys=True)))
def test_another_request_about_a_bag_is_a_conflict_and_leaves_the_first(
    shared: Room, requests: list[dict[str, Any]]
) -> None:
    first, other = requests
    bag = fresh("bag")
    decided = shared.decide(first, bag=bag)
    before = shared.audit.head()
    with pytest.raises(BagConflict):
        shared.decide(other, bag=bag)
    assert shared.audit.head() == before
    assert shared.decide(first, bag=bag).record_id == decided.record_id


def test_two_owners_may_give_their_bags_the_same_name(room: Room) -> None:
    first = room.decide({"a": "1"}, bag="bag-1", owner="gate-7")
    second = room.decide({"a": "2"}, bag="bag-1", owner="gate-8")
    assert first.record_id != second.record_id
    assert not second.repeated


def test_requests_without_a_bag_are_decided_each_time(room: Room) -> None:
    decided = [room.decide({"a": "1"}) for _ in range(3)]
    assert room.done == len({one.record_id for one in decided}) == 3


def test_a_bag_whose_request_failed_is_free(room: Room) -> None:
    with pytest.raises(WorkerLost):
        room.decide({"a": "1"}, bag="bag-1", error=ERRORS[2])
    assert not room.decide({"a": "2"}, bag="bag-1").repeated


def test_requests_about_a_bag_that_come_at_once_all_get_the_one_answer_that_is_on_record(room: Room) -> None:
    answers = [REPORT | {"summary": str(number)} for number in range(12)]
    decided: list[Decided] = []

    async def ask(answer: dict[str, Any]) -> None:
        decided.append(await room.deciding({"a": "1"}, answer, bag="bag-1"))

    async def at_once() -> None:
        async with anyio.create_task_group() as tasks:
            for answer in answers:
                tasks.start_soon(ask, answer)

    anyio.run(at_once)
    [record] = room.records()
    assert {one.record_id for one in decided} == {record.record_id}
    assert all(one.answer == json.loads(record.answer or "") for one in decided)
    assert [one.repeated for one in decided].count(False) == 1


# No record, no answer


@contextmanager
def locked(database: Path) -> Iterator[None]:
    """Another program holds the database."""
    holder = sqlite3.connect(database, isolation_level=None)
    holder.execute("BEGIN IMMEDIATE")
    try:
        yield
    finally:
        holder.execute("ROLLBACK")
        holder.close()


@pytest.mark.parametrize("error", [None, ERRORS[0]], ids=["answer", "error"])
def test_what_cannot_be_recorded_is_not_told(tmp_path: Path, error: XrayToolsError | None) -> None:
    with room_at(tmp_path, timeout_s=0.2) as room:
        with locked(tmp_path / "audit.db"), pytest.raises(AuditUnavailable):
            room.decide({}, error=error, bag="bag-1")
        assert room.done == 1
        assert room.records() == []
        assert room.value("xray_verdicts_total", verdict="ALARM") == 0
        assert room.value("xray_errors_total", operation="detect_threats", code="audit_unavailable") == 1
        assert not room.decide({}, bag="bag-1").repeated


# What is counted


def test_decisions_are_counted_by_what_they_say(room: Room) -> None:
    room.decide({}, answer=REPORT)
    room.decide({}, answer=ASSESSMENT)
    room.decide({}, answer={"scan_id": "bag", "assessment": ASSESSMENT})
    assert room.value("xray_verdicts_total", verdict="ALARM") == 3
    assert room.value("xray_risk_levels_total", risk_level="high") == 2
    assert room.value("xray_actions_total", action="PHYSICAL_INSPECTION") == 2
    assert room.value("xray_detections_total", label="gun") == 3
    assert room.value("xray_detections_total", label="knife") == 0
    assert room.value("xray_decision_seconds_count", operation="detect_threats") == 3
    assert room.value("xray_stage_seconds_count", stage="audit") == 3
    assert room.value("xray_model_info", id="m", version="1", sha256="a" * 64) == 1


def test_a_repeated_decision_is_not_counted_again(room: Room) -> None:
    for _ in range(3):
        room.decide({}, bag="bag-1")
    assert room.value("xray_verdicts_total", verdict="ALARM") == 1
