from __future__ import annotations

import hashlib
import json
import shutil
import sqlite3
import tempfile
from collections.abc import Callable
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from xray_servers.audit import Anchor, AuditLog, BrokenChain, Record, Verification
from xray_servers.audit.chain import hash_of
from xray_servers.audit.record import COLUMNS

from tests.servers.audit.entries import entry
from xray_agent_tools.errors import Misconfigured

LENGTH = 8

places = st.integers(1, LENGTH)
values = st.one_of(st.none(), st.text(max_size=8), st.integers(-(2**62), 2**62), st.floats(), st.binary(max_size=8))


@pytest.fixture(scope="module")
def original(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A log of every kind of record, of which nothing hinders a tamperer."""
    path = tmp_path_factory.mktemp("log") / "audit.db"
    with AuditLog(str(path)) as log:
        decisions = [log.record(entry(bag=f"bag {number}", policy_sha256="f" * 64)) for number in range(4)]
        log.record(entry(outcome="refused", error_code="invalid_scan", answer=None))
        log.feedback(decisions[0].record_id, "confirmed", owner="ann", note="yes")
        log.feedback(decisions[1].record_id, "missed", owner="ann", labels=["knife"])
        log.override(decisions[2].record_id, "REVIEW", owner="bob")
        assert log.head().count == LENGTH
    with sqlite3.connect(path) as connection:
        free(connection, "xray_audit_records")
        free(connection, "xray_audit_head")
    connection.close()
    return path


def free(connection: sqlite3.Connection, table: str) -> None:
    """Make a table anew, without constraints and triggers."""
    connection.execute(f"CREATE TABLE copy AS SELECT * FROM {table}")
    connection.execute(f"DROP TABLE {table}")
    connection.execute(f"ALTER TABLE copy RENAME TO {table}")


def tampered(
    original: Path, tamper: Callable[[sqlite3.Connection], object], anchor: Anchor | None = None
) -> Verification:
    """What verification finds after the tampering, which has to have changed something."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(shutil.copy(original, folder))
        connection = sqlite3.connect(path)
        connection.text_factory = bytes
        before = everything(connection)
        with connection:
            tamper(connection)
        assume(everything(connection) != before)
        connection.close()
        with AuditLog(str(path), create=False) as log:
            return log.verify(anchor=anchor)


def everything(connection: sqlite3.Connection) -> list[tuple[Any, ...]]:
    fields = ", ".join(f"{name}, typeof({name})" for name in COLUMNS)
    query = f"SELECT {fields} FROM xray_audit_records ORDER BY sequence, rowid"
    head = "SELECT length, typeof(length), hash, typeof(hash) FROM xray_audit_head"
    return [*connection.execute(query), *connection.execute(head)]


def records_of(path: Path) -> list[Record]:
    with AuditLog(str(path), create=False) as log:
        return list(log.records())


def write(connection: sqlite3.Connection, *records: Record) -> None:
    marks = ",".join("?" * len(COLUMNS))
    rows = [tuple(asdict(record).values()) for record in records]
    connection.executemany(f"INSERT INTO xray_audit_records ({','.join(COLUMNS)}) VALUES ({marks})", rows)


def test_an_untouched_log_is_intact(original: Path) -> None:
    with AuditLog(str(original)) as log:
        found = log.verify()
        assert (found.intact, found.checked, found.broken, found.anchor) == (True, LENGTH, None, log.head())
        assert log.verify(anchor=found.anchor).intact


def test_an_empty_log_is_intact_and_can_be_anchored(path: Path) -> None:
    with AuditLog(str(path)) as log:
        anchor = log.verify().anchor
        log.record(entry())
        assert log.verify(anchor=anchor).intact
        assert not log.verify(anchor=Anchor(0, "f" * 64)).intact


def test_the_hash_can_be_repeated_by_hand(original: Path) -> None:
    for record in records_of(original):
        fields = asdict(record)
        stated = fields.pop("hash")
        canonical = json.dumps(fields, sort_keys=True, separators=(",", ":"), ensure_ascii=True)
        assert hashlib.sha256(canonical.encode()).hexdigest() == stated


@given(places, st.sampled_from(COLUMNS), values)
@settings(max_examples=150)
def test_any_change_of_a_field_is_found_where_it_was_made(original: Path, place: int, column: str, value: Any) -> None:
    statement = f"UPDATE xray_audit_records SET {column} = ? WHERE sequence = ?"
    found = tampered(original, lambda connection: connection.execute(statement, (value, place)))
    assert found.broken is not None
    assert found.broken.reason
    assert column == "sequence" or found.broken.sequence == place


@given(places)
def test_a_text_that_is_no_utf8_is_found(original: Path, place: int) -> None:
    statement = "UPDATE xray_audit_records SET owner = CAST(x'ff' AS TEXT) WHERE sequence = ?"
    found = tampered(original, lambda connection: connection.execute(statement, (place,)))
    assert found.broken is not None
    assert found.broken.reason == f"record {place} was changed"


@given(st.sampled_from(["length", "hash"]), values)
def test_any_change_of_the_head_is_found(original: Path, column: str, value: Any) -> None:
    statement = f"UPDATE xray_audit_head SET {column} = ?"
    found = tampered(original, lambda connection: connection.execute(statement, (value,)))
    assert found.broken is not None
    assert found.checked == LENGTH


@given(st.sets(places, min_size=1))
def test_any_removal_is_found(original: Path, removed: set[int]) -> None:
    def tamper(connection: sqlite3.Connection) -> None:
        connection.executemany("DELETE FROM xray_audit_records WHERE sequence = ?", [(place,) for place in removed])

    found = tampered(original, tamper)
    assert found.broken is not None
    assert found.broken.sequence == min(removed)


@given(places, places)
def test_any_swap_is_found(original: Path, one: int, other: int) -> None:
    assume(one != other)

    def tamper(connection: sqlite3.Connection) -> None:
        move = "UPDATE xray_audit_records SET sequence = ? WHERE sequence = ?"
        connection.executemany(move, [(-1, one), (one, other), (other, -1)])

    found = tampered(original, tamper)
    assert found.broken is not None
    assert found.broken.sequence == min(one, other)


@given(places, st.integers(-3, LENGTH + 3), st.booleans())
def test_any_insertion_is_found(original: Path, copied: int, place: int, forged: bool) -> None:
    records = records_of(original)
    inserted = replace(records[copied - 1], sequence=place, owner="forger")
    if forged and 1 <= place <= LENGTH + 1:
        inserted = replace(inserted, previous=records[place - 2].hash if place > 1 else "0" * 64)
        inserted = replace(inserted, hash=hash_of(inserted))
    assert not tampered(original, lambda connection: write(connection, inserted)).intact


def test_a_copy_of_a_record_beside_it_is_found_even_across_pages(path: Path) -> None:
    with AuditLog(str(path)) as log:
        for _ in range(200):
            log.record(entry())
        last = log.record(entry())
    with sqlite3.connect(path) as connection:
        free(connection, "xray_audit_records")
        write(connection, replace(last, sequence=200))
    connection.close()
    with AuditLog(str(path)) as log:
        assert not log.verify().intact


def cut(connection: sqlite3.Connection, left: list[Record]) -> None:
    """Cut the end of a log as a careful tamperer would."""
    connection.execute("DELETE FROM xray_audit_records WHERE sequence > ?", (len(left),))
    connection.execute("UPDATE xray_audit_head SET length = ?, hash = ?", (len(left), left[-1].hash))


@given(st.integers(1, LENGTH - 1))
def test_a_cut_end_whose_head_was_set_back_is_found_with_an_anchor_alone(original: Path, left: int) -> None:
    records = records_of(original)
    anchor = Anchor(LENGTH, records[-1].hash)

    def tamper(connection: sqlite3.Connection) -> None:
        cut(connection, records[:left])

    assert tampered(original, tamper).intact
    found = tampered(original, tamper, anchor)
    assert found.broken is not None
    assert found.broken.reason == f"the anchor names {LENGTH} records; {left} are left"


@given(places)
def test_a_log_written_anew_is_found_with_an_anchor(original: Path, changed: int) -> None:
    records = records_of(original)
    anchor = Anchor(LENGTH, records[-1].hash)

    def tamper(connection: sqlite3.Connection) -> None:
        connection.execute("DELETE FROM xray_audit_records")
        forged: list[Record] = []
        for record in records:
            previous = forged[-1].hash if forged else "0" * 64
            owner = "forger" if record.sequence == changed else record.owner
            again = replace(record, owner=owner, previous=previous)
            forged.append(replace(again, hash=hash_of(again)))
        write(connection, *forged)
        connection.execute("UPDATE xray_audit_head SET hash = ?", (forged[-1].hash,))

    assert tampered(original, tamper).intact
    assert not tampered(original, tamper, anchor).intact


def test_nothing_is_exported_from_a_log_that_was_changed(original: Path, tmp_path: Path) -> None:
    path = Path(shutil.copy(original, tmp_path))
    with sqlite3.connect(path) as connection:
        connection.execute("UPDATE xray_audit_records SET statement = 'missed' WHERE statement = 'confirmed'")
    connection.close()
    with AuditLog(str(path)) as log, pytest.raises(BrokenChain, match="record 6 was changed"):
        log.export(tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_an_anchor_survives_a_file_and_another_file_is_none(tmp_path: Path) -> None:
    anchor = Anchor(3, "a" * 64)
    anchor.write(tmp_path / "anchor.json")
    assert Anchor.read(tmp_path / "anchor.json") == anchor
    for content in ("", "[]", "{}", '{"count": "many", "hash": ""}'):
        (tmp_path / "other").write_text(content)
        with pytest.raises(Misconfigured, match="no anchor"):
            Anchor.read(tmp_path / "other")
    with pytest.raises(Misconfigured, match="cannot write"):
        anchor.write(tmp_path)
