from __future__ import annotations

import json
import os
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import psycopg
import pytest
from sqlalchemy import Engine, event
from xray_servers.audit import AuditLog, AuditUnavailable, Record, RecordUncertain

from tests.servers.audit.entries import entry
from tests.servers.audit.postgres import Postgres, running_postgres
from xray_agent_tools.errors import Misconfigured, StorageFull

ROOT = Path(__file__).parents[3]
LONG = json.dumps({"text": "x" * 20_000})


@contextmanager
def writer(url: str, name: str, count: int) -> Iterator[subprocess.Popen[str]]:
    """A process that waits for a line before it writes to the log; see ``writer.py``."""
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.servers.audit.writer", url, name, str(count)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT), str(ROOT / "servers")])},
    )
    try:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        yield process
    finally:
        process.kill()
        process.communicate()


def let_go(process: subprocess.Popen[str]) -> None:
    assert process.stdin is not None
    process.stdin.write("go\n")
    process.stdin.flush()


def test_processes_that_write_at_once_share_one_chain_and_one_answer_a_bag(url: str) -> None:
    count, names = 15, ["one", "two", "three"]
    AuditLog(url).close()
    with ExitStack() as stack:
        processes = [stack.enter_context(writer(url, name, count)) for name in names]
        for process in processes:
            let_go(process)
        said = [process.communicate()[0].split() for process in processes]
        assert [process.returncode for process in processes] == [0, 0, 0]
    common = [dict(zip(words[0::3], words[1::3], strict=True)) for words in said]
    assert common[0] == common[1] == common[2]
    own = {record_id for words in said for record_id in words[2::3]}
    with AuditLog(url, create=False) as log:
        kept = [record.record_id for record in log.records()]
        assert log.verify().checked == len(kept) == count + count * len(names)
    assert set(kept) == {*common[0].values(), *own}


def test_processes_that_open_a_new_log_at_once_make_one(url: str) -> None:
    program = "import sys; from xray_servers.audit import AuditLog; sys.stdin.readline(); AuditLog(sys.argv[1]).close()"
    command = [sys.executable, "-W", "error", "-c", program, url]
    processes = [subprocess.Popen(command, stdin=subprocess.PIPE, stderr=subprocess.PIPE, text=True) for _ in range(4)]
    for process in processes:
        let_go(process)
    ends = [(process.communicate()[1], process.returncode) for process in processes]
    assert ends == [("", 0)] * 4
    with AuditLog(url, create=False) as log:
        assert log.verify().checked == 0


@pytest.mark.parametrize("lines", [1, 4, 11])
def test_a_writer_that_is_killed_leaves_every_record_that_it_was_told_of(url: str, lines: int) -> None:
    AuditLog(url).close()
    with writer(url, "killed", 10_000) as process:
        let_go(process)
        assert process.stdout is not None
        acknowledged = [process.stdout.readline() for _ in range(lines)]
        process.send_signal(signal.SIGKILL)
        acknowledged += [line for line in process.communicate()[0].splitlines(keepends=True) if line.endswith("\n")]
    promised = {record_id for line in acknowledged for record_id in line.split()[1:]}
    assert len(promised) == 2 * len(acknowledged)
    with AuditLog(url, create=False) as log:
        assert promised <= {record.record_id for record in log.records()}
        assert log.verify().intact
        log.record(entry())
        assert log.verify().intact


def test_a_locked_file_is_an_error_in_time_and_nothing_is_recorded(path: Path) -> None:
    with AuditLog(str(path), timeout_s=0.3) as log:
        holder = sqlite3.connect(path)
        holder.execute("BEGIN IMMEDIATE")
        with pytest.raises(AuditUnavailable, match=r"locked for longer than 0\.3 s") as caught:
            log.record(entry(bag="bag 1"))
        assert not isinstance(caught.value, RecordUncertain)
        assert log.find("gate 7", "bag 1") is None
        holder.rollback()
        holder.close()
        log.record(entry(bag="bag 1"))
        assert log.verify().checked == 1


def test_a_locked_table_is_an_error_in_time_and_nothing_is_recorded(postgres: Postgres) -> None:
    url = postgres.new_database()
    with AuditLog(url, timeout_s=0.5) as log:
        with psycopg.connect(url) as holder:
            holder.execute("SELECT * FROM xray_audit_head FOR UPDATE")
            with pytest.raises(AuditUnavailable, match=r"locked for longer than 0\.5 s") as caught:
                log.record(entry(bag="bag 1"))
            assert not isinstance(caught.value, RecordUncertain)
            assert log.find("gate 7", "bag 1") is None
        log.record(entry(bag="bag 1"))
        assert log.verify().checked == 1


def fill(log: AuditLog, kept: list[Record]) -> None:
    """Record until it fails."""
    while True:
        kept.append(log.record(entry(answer=LONG)))


def test_a_full_disk_is_said_and_nothing_is_recorded(path: Path) -> None:
    pages = 60

    def bound(connection: sqlite3.Connection, _record: Any) -> None:
        connection.execute(f"PRAGMA max_page_count={pages}")

    event.listen(Engine, "connect", bound)
    try:
        with AuditLog(str(path)) as log:
            kept: list[Record] = []
            with pytest.raises(StorageFull):
                fill(log, kept)
            assert kept
            assert list(log.records()) == kept
            assert log.verify().checked == len(kept)
    finally:
        event.remove(Engine, "connect", bound)
    with AuditLog(str(path)) as log:
        log.record(entry(answer=LONG))
        assert log.verify().checked == len(kept) + 1


def test_a_disk_that_fails_leaves_what_was_acknowledged(path: Path) -> None:
    program = (
        "import resource, sys\n"
        "from xray_servers.audit import AuditLog\n"
        "from xray_agent_tools.errors import XrayToolsError\n"
        "from tests.servers.audit.entries import entry\n"
        "log = AuditLog(sys.argv[1])\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (300_000, resource.RLIM_INFINITY))\n"
        "try:\n"
        "    while True:\n"
        "        print(log.record(entry(answer='{\"text\":\"' + 'x' * 20_000 + '\"}')).record_id, flush=True)\n"
        "except XrayToolsError as error:\n"
        "    print(error.code)\n"
    )
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT), str(ROOT / "servers")])}
    done = subprocess.run(
        [sys.executable, "-c", program, path], capture_output=True, text=True, check=True, cwd=ROOT, env=environment
    )
    *kept, code = done.stdout.split()
    assert kept
    assert code in {"audit_uncertain", "storage_full"}
    with AuditLog(str(path)) as log:
        assert [record.record_id for record in log.records()] == kept
        assert log.verify().intact


def test_a_server_that_crashes_and_comes_back_keeps_what_was_acknowledged() -> None:
    with ExitStack() as stack:
        try:
            server = stack.enter_context(running_postgres())
        except Exception as error:  # Whatever it is, the fixture of the other tests says the same.
            pytest.skip(f"PostgreSQL cannot be started: {error}")
        url = server.new_database()
        log = stack.enter_context(AuditLog(url, timeout_s=3))
        kept = [log.record(entry()) for _ in range(5)]
        server.stop("immediate")
        with pytest.raises(AuditUnavailable, match="does not answer"):
            log.record(entry())
        with pytest.raises(AuditUnavailable):
            log.find("gate 7", "bag 1")
        with pytest.raises(Misconfigured):
            AuditLog(url, timeout_s=3)
        server.start()
        kept.append(log.record(entry()))
        assert list(log.records()) == kept
        assert log.verify().intact


@pytest.mark.parametrize("kept", [True, False])
def test_a_connection_lost_while_it_commits_is_uncertain_and_can_be_tried_again(postgres: Postgres, kept: bool) -> None:
    url = postgres.new_database()
    with AuditLog(url, timeout_s=5) as log:
        postgres.execute(
            "CREATE FUNCTION die() RETURNS trigger LANGUAGE plpgsql AS "
            "$$ BEGIN PERFORM pg_terminate_backend(pg_backend_pid()); RETURN NULL; END $$",
            url,
        )
        postgres.execute(
            "CREATE CONSTRAINT TRIGGER die AFTER INSERT ON xray_audit_records "
            "DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION die()",
            url,
        )
        with pytest.raises(RecordUncertain):
            log.record(entry(request_id="r", bag="bag 1"))
        postgres.execute("DROP TRIGGER die ON xray_audit_records", url)
        if kept:
            log.record(entry(request_id="r", bag="bag 1"))
        first = log.record(entry(request_id="r", bag="bag 1"))
        assert first.sequence == 1
        assert log.verify().checked == 1
