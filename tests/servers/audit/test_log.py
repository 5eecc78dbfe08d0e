from __future__ import annotations

import json
import stat
import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, replace
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path

import psycopg
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import create_engine, text
from sqlalchemy.exc import DatabaseError
from xray_servers.audit import (
    AuditLog,
    AuditUnavailable,
    BagConflict,
    Entry,
    RecordUncertain,
    UnknownRecord,
)
from xray_servers.audit.together import GroupCommit

from tests.servers.audit.entries import entry, sha256
from tests.servers.audit.postgres import Postgres
from xray_agent_tools.errors import InvalidArgument, Misconfigured, UnknownLabel


def test_a_decision_is_kept_as_it_was_given(log: AuditLog, url: str) -> None:
    given_ = entry(bag="bag 1", policy_sha256=sha256("a policy"), answer='{"text": "Straße 🧳"}')
    before = datetime.now(UTC)
    record = log.record(given_)
    with AuditLog(url, create=False) as again:
        assert again.get(record.record_id) == record
    assert {**asdict(record), **asdict(given_)} == asdict(record)
    assert (record.sequence, record.kind, record.previous) == (1, "decision", "0" * 64)
    assert before <= datetime.fromisoformat(record.time) <= datetime.now(UTC)


def test_the_same_bag_with_the_same_request_gives_the_first_record(log: AuditLog) -> None:
    first = log.record(entry(bag="bag 1"))
    assert log.record(entry(bag="bag 1", answer='{"verdict":"ALARM"}')) == first
    assert log.find("gate 7", "bag 1") == first
    assert list(log.records()) == [first]


def test_the_same_bag_with_another_request_is_a_conflict(log: AuditLog) -> None:
    log.record(entry(bag="bag 1"))
    with pytest.raises(BagConflict, match="bag already names another request"):
        log.record(entry(bag="bag 1", request_sha256=sha256("another")))
    assert log.head().count == 1


def test_the_same_request_id_gives_the_first_record_and_with_another_request_is_a_conflict(log: AuditLog) -> None:
    first = log.record(entry(request_id="r"))
    assert log.record(entry(request_id="r")) == first
    with pytest.raises(BagConflict, match="request id already names another request"):
        log.record(entry(request_id="r", request_sha256=sha256("another")))


def test_owners_do_not_share_bags_or_request_ids(log: AuditLog) -> None:
    mine = log.record(entry(request_id="r", bag="bag 1"))
    theirs = log.record(entry(request_id="r", bag="bag 1", owner="gate 8", request_sha256=sha256("another")))
    assert (log.find("gate 7", "bag 1"), log.find("gate 8", "bag 1")) == (mine, theirs)
    assert log.find("gate 9", "bag 1") is None


def test_a_refused_request_leaves_its_bag_free(log: AuditLog) -> None:
    refused = {"outcome": "refused", "error_code": "worker_lost", "bag": "bag 1"}
    log.record(entry(**refused, answer=None))
    assert log.find("gate 7", "bag 1") is None
    answered = log.record(entry(bag="bag 1", request_sha256=sha256("another")))
    log.record(entry(**refused))
    assert log.find("gate 7", "bag 1") == answered


def test_each_kind_of_feedback_and_an_override_follow_the_decision(log: AuditLog) -> None:
    decision = log.record(entry())
    said = [
        log.feedback(decision.record_id, "false_alarm", owner="ann", note="a hair dryer"),
        log.feedback(decision.record_id, "missed", owner="bob", labels=["knife", "gun", "knife"]),
        log.feedback(decision.record_id, "confirmed", owner="cy", request_id="r-9"),
        log.override(decision.record_id, "PHYSICAL_INSPECTION", owner="ann", note="it rattles"),
    ]
    assert log.replies([decision.record_id]) == said
    assert [(record.kind, record.owner, record.statement, record.labels) for record in said] == [
        ("feedback", "ann", "false_alarm", ""),
        ("feedback", "bob", "missed", "gun,knife"),
        ("feedback", "cy", "confirmed", ""),
        ("override", "ann", "PHYSICAL_INSPECTION", ""),
    ]
    assert said[0].note == "a hair dryer"
    assert log.verify().checked == 5


def test_feedback_that_is_sent_twice_is_recorded_once(log: AuditLog) -> None:
    decision = log.record(entry())
    first = log.feedback(decision.record_id, "confirmed", owner="ann", request_id="r-9")
    assert log.feedback(decision.record_id, "confirmed", owner="ann", request_id="r-9") == first
    with pytest.raises(BagConflict):
        log.feedback(decision.record_id, "missed", owner="ann", request_id="r-9")


def test_feedback_needs_a_decision_a_known_kind_and_known_labels(log: AuditLog) -> None:
    decision = log.record(entry())
    reply = log.feedback(decision.record_id, "confirmed", owner="ann")
    for record_id in ("nothing", reply.record_id):
        with pytest.raises(UnknownRecord, match="no decision"):
            log.feedback(record_id, "confirmed", owner="ann")
    with pytest.raises(UnknownRecord):
        log.get("nothing")
    with pytest.raises(InvalidArgument, match="feedback cannot be 'wrong'"):
        log.feedback(decision.record_id, "wrong", owner="ann")  # type: ignore[arg-type]
    with pytest.raises(InvalidArgument, match="the action cannot be 'RELEASE'"):
        log.override(decision.record_id, "RELEASE", owner="ann")  # type: ignore[arg-type]
    with pytest.raises(UnknownLabel):
        log.feedback(decision.record_id, "missed", owner="ann", labels=["gnu"])
    assert log.head().count == 2


def test_records_are_chosen_by_time_place_kind_and_owner(log: AuditLog) -> None:
    decisions = [log.record(entry(owner=f"gate {number % 2}")) for number in range(450)]
    reply = log.feedback(decisions[0].record_id, "confirmed", owner="ann")
    assert list(log.records()) == [*decisions, reply]
    assert list(log.records(newest_first=True)) == [reply, *reversed(decisions)]
    assert list(log.records(after=440, limit=3)) == decisions[440:443]
    assert list(log.records(owner="gate 1", newest_first=True, limit=300)) == decisions[:0:-2]
    assert list(log.records(kind="feedback")) == [reply]
    middle = datetime.fromisoformat(decisions[200].time).astimezone(timezone(timedelta(hours=5)))
    assert list(log.records(until=middle)) == decisions[:200]
    assert list(log.records(since=middle)) == [*decisions[200:], reply]
    with pytest.raises(InvalidArgument, match="time zone"):
        log.records(since=datetime(2026, 1, 1))


@given(st.text(st.characters(codec=None)), st.text(st.characters(codec=None)))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow], max_examples=60)
def test_whatever_a_caller_calls_a_bag_is_kept_or_refused_with_a_reason(log: AuditLog, name: str, said: str) -> None:
    owner = f"gate {log.head().count}"
    try:
        record = log.record(entry(owner=owner, bag=name, answer=json.dumps({"said": said}, ensure_ascii=False)))
    except InvalidArgument:
        assert len(name) > 256 or "\0" in name or any("\ud800" <= letter <= "\udfff" for letter in name)
    else:
        assert log.find(owner, name) == record
        assert json.loads(record.answer or "") == {"said": said}
    assert log.verify().intact


@pytest.mark.parametrize("changes", [{"bag": "b" * 257}, {"owner": "a\0b"}, {"answer": "text"}, {"answer": "[1]"}])
def test_what_cannot_be_stored_is_refused(log: AuditLog, changes: dict[str, str]) -> None:
    with pytest.raises(InvalidArgument):
        log.record(entry(**changes))
    assert log.head().count == 0


def test_the_longest_names_fit(log: AuditLog) -> None:
    name = "🧳" * 256
    record = log.record(entry(owner=name, bag=name, request_id=name))
    assert log.find(name, name) == record


def test_many_threads_record_at_once_and_each_gets_its_own(log: AuditLog) -> None:
    wanted = [entry() for _ in range(120)]
    with ThreadPoolExecutor(16) as pool:
        made = list(pool.map(log.record, wanted))
    assert [record.request_id for record in made] == [given_.request_id for given_ in wanted]
    assert sorted(record.sequence for record in made) == list(range(1, 121))
    assert log.verify().checked == 120


def test_a_closed_log_takes_nothing_more(url: str) -> None:
    log = AuditLog(url)
    log.record(entry())
    log.close()
    with pytest.raises(AuditUnavailable, match="closed"):
        log.record(entry())


def test_a_record_cannot_be_changed_or_removed_by_mistake(log: AuditLog, url: str) -> None:
    log.record(entry())
    engine = create_engine(url.replace("postgresql://", "postgresql+psycopg://"))
    for statement in ("UPDATE xray_audit_records SET owner = 'x'", "DELETE FROM xray_audit_records"):
        with pytest.raises(DatabaseError, match="append-only"), engine.begin() as connection:
            connection.execute(text(statement))
    engine.dispose()
    assert log.verify().checked == 1


def test_a_file_is_named_by_a_plain_path_and_is_for_its_owner_only(path: Path) -> None:
    with AuditLog(str(path)) as log:
        log.record(entry())
        assert {stat.S_IMODE(file.stat().st_mode) for file in path.parent.iterdir()} == {0o600}


@pytest.mark.parametrize(
    "url",
    [
        "mysql://u:secret@h/d",
        "postgresql+asyncpg://u:secret@h/d",
        "postgresql://u:secret@[h/d",
        "sqlite://",
        "sqlite:///:memory:",
        ":memory:",
        "sqlite:///x.db?mode=ro",
        "sqlite://host/x.db",
        "",
        "/no/such/folder/audit.db",
        "/",
        "postgresql://u:secret@127.0.0.1:1/d",
    ],
)
def test_a_url_that_cannot_be_used_is_refused_with_the_next_step_and_without_its_password(url: str) -> None:
    with pytest.raises(Misconfigured) as caught:
        AuditLog(url, timeout_s=2)
    assert caught.value.hint
    assert "secret" not in str(caught.value)


def test_a_file_of_another_kind_is_no_log(path: Path) -> None:
    path.write_bytes(b"this is not a database" * 100)
    with pytest.raises(Misconfigured, match="file is not a database"):
        AuditLog(str(path))


def test_a_log_is_not_made_where_one_is_expected(path: Path, postgres: Postgres) -> None:
    with pytest.raises(Misconfigured, match="no such file"):
        AuditLog(str(path), create=False)
    assert not path.exists()
    with pytest.raises(Misconfigured, match="no audit log"):
        AuditLog(postgres.new_database(), create=False)


@pytest.mark.parametrize(
    ("damage", "reason"),
    [
        ("UPDATE xray_audit_head SET version = 2", "version 2"),
        ("DELETE FROM xray_audit_head", "version None"),
        ("DROP TABLE xray_audit_head", "two tables is missing"),
    ],
)
def test_a_log_of_another_version_or_without_its_head_is_refused(url: str, damage: str, reason: str) -> None:
    AuditLog(url).close()
    engine = create_engine(url.replace("postgresql://", "postgresql+psycopg://"))
    with engine.begin() as connection:
        connection.execute(text(damage))
    engine.dispose()
    with pytest.raises(Misconfigured, match=reason):
        AuditLog(url)


def test_a_caller_whose_turn_never_comes_is_told_that_nothing_was_recorded() -> None:
    begun, let_go, committed = threading.Event(), threading.Event(), []

    def commit(items: object) -> list[str]:
        begun.set()
        let_go.wait()
        committed.append(items)
        return ["done"]

    together: GroupCommit[str, str] = GroupCommit(commit, patience_s=0.2)
    with ThreadPoolExecutor(2) as pool:
        first = pool.submit(together.put, "first")
        begun.wait()
        second = pool.submit(together.put, "second")
        with pytest.raises(RecordUncertain):
            first.result()
        with pytest.raises(AuditUnavailable) as caught:
            second.result()
    assert not isinstance(caught.value, RecordUncertain)
    let_go.set()
    together.close()
    assert committed == [["first"]]


def test_an_entry_is_not_changed_by_being_recorded(log: AuditLog) -> None:
    given_ = entry(bag="bag 1")
    copy = replace(given_)
    log.record(given_)
    assert given_ == copy
    assert isinstance(copy, Entry)


def test_a_lost_connection_is_opened_again(postgres: Postgres) -> None:
    url = postgres.new_database()
    with AuditLog(url) as log:
        log.record(entry())
        with psycopg.connect(url) as connection:
            connection.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
                "WHERE datname = current_database() AND pid <> pg_backend_pid()"
            )
        log.record(entry())
        assert log.verify().checked == 2


def test_a_server_whose_transactions_are_serializable_by_default_makes_no_difference(postgres: Postgres) -> None:
    url = f"{postgres.new_database()}%20-cdefault_transaction_isolation=serializable"
    with AuditLog(url) as one, AuditLog(url) as other, ThreadPoolExecutor(2) as pool:
        made = [pool.submit(log.record, entry()) for _ in range(20) for log in (one, other)]
        assert sorted(done.result().sequence for done in made) == list(range(1, 41))
        assert one.verify().checked == 40
