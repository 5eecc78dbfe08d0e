from __future__ import annotations

import json
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from pyarrow import parquet
from xray_servers.audit import AuditLog
from xray_servers.audit.cli import audit

from tests.servers.audit.entries import assessment, entry


def run(*arguments: str | Path, database: str | Path | None = None) -> Result:
    environment = {"XRAY_AUDIT_URL": None if database is None else str(database)}
    return CliRunner().invoke(audit, [str(argument) for argument in arguments], env=environment)


@pytest.fixture
def decisions(url: str) -> list[str]:
    """Record ids of three decisions."""
    with AuditLog(url) as log:
        return [
            log.record(entry(bag="bag 1", answer=assessment("gun"))).record_id,
            log.record(entry(bag="bag\x1b[31m 2", owner="gate 8")).record_id,
            log.record(entry(outcome="refused", error_code="invalid_scan", answer=None)).record_id,
        ]


def damage(path: Path) -> None:
    with sqlite3.connect(path) as connection:
        connection.execute("DROP TRIGGER xray_audit_no_update")
        connection.execute("UPDATE xray_audit_records SET owner = 'nobody' WHERE sequence = 1")
    connection.close()


@pytest.mark.usefixtures("decisions")
def test_an_intact_log_exits_with_0_and_tells_its_head(url: str) -> None:
    readable, machine = run("verify", "--database", url), run("verify", "--json", database=url)
    assert (readable.exit_code, machine.exit_code) == (0, 0)
    found = json.loads(machine.output)
    assert (found["intact"], found["checked"], found["broken"]) == (True, 3, None)
    assert f"intact: 3 records, the last with hash {found['head']}" in readable.output


def test_a_changed_log_exits_with_1_and_names_the_record(path: Path, tmp_path: Path) -> None:
    with AuditLog(str(path)) as log:
        record_id = log.record(entry()).record_id
    damage(path)
    readable, machine = run("verify", database=path), run("verify", "--json", database=path)
    assert (readable.exit_code, machine.exit_code) == (1, 1)
    assert "BROKEN at record 1: record 1 was changed" in readable.output
    assert json.loads(machine.output)["broken"] == {
        "sequence": 1,
        "record_id": record_id,
        "reason": "record 1 was changed",
    }
    assert run("verify", "--write-anchor", tmp_path / "anchor", database=path).exit_code == 1
    assert not (tmp_path / "anchor").exists()
    exported = run("export", tmp_path / "out", database=path)
    assert exported.exit_code == 1
    assert "nothing was exported" in exported.output


def test_an_anchor_finds_a_log_that_was_replaced(path: Path, tmp_path: Path) -> None:
    with AuditLog(str(path)) as log:
        log.record(entry())
    anchor = tmp_path / "anchor.json"
    assert run("verify", "--write-anchor", anchor, database=path).exit_code == 0
    assert run("verify", "--anchor", anchor, database=path).exit_code == 0
    path.unlink()
    AuditLog(str(path)).close()
    assert run("verify", database=path).exit_code == 0
    result = run("verify", "--anchor", anchor, database=path)
    assert result.exit_code == 1
    assert "the anchor names 1 records; 0 are left" in result.output


def test_the_latest_records_are_shown_newest_first_and_cannot_steer_the_terminal(
    url: str, decisions: list[str]
) -> None:
    result = run("show", "--limit", "2", database=url)
    assert result.exit_code == 0
    assert result.output.index(decisions[2]) < result.output.index(decisions[1])
    assert decisions[0] not in result.output
    assert "refused invalid_scan" in result.output
    assert r"bag\x1b[31m 2" in result.output
    assert "\x1b" not in result.output


def test_records_are_shown_by_time_and_owner(url: str, decisions: list[str]) -> None:
    lines = run("show", "--since", "2020-01-01", "--owner", "gate 7", "--json", database=url).output.splitlines()
    assert [json.loads(line)["record_id"] for line in lines] == [decisions[0], decisions[2]]
    assert run("show", "--until", "2020-01-01", database=url).output == ""


def test_feedback_is_recorded_and_shown_with_its_decision(url: str, decisions: list[str]) -> None:
    said = run(
        "feedback", decisions[0], "false-alarm", "--label", "gun", "--note", "a toy", "--by", "ann", database=url
    )
    assert said.exit_code == 0
    assert "false_alarm gun a toy" in said.output
    shown = run("show", decisions[0], database=url)
    assert '"verdict": "ALARM"' in shown.output
    assert f"ann  feedback about {decisions[0]}: false_alarm gun a toy" in shown.output


def test_feedback_is_the_users_own_unless_told_otherwise(
    url: str, decisions: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LOGNAME", "eve")
    assert json.loads(run("feedback", decisions[0], "confirmed", "--json", database=url).output)["owner"] == "eve"


@pytest.mark.usefixtures("decisions")
def test_an_export_writes_both_files(url: str, tmp_path: Path) -> None:
    result = run("export", tmp_path / "out", database=url)
    assert result.exit_code == 0
    assert "3 decisions" in result.output
    assert parquet.read_table(tmp_path / "out" / "decisions.parquet").num_rows == 3
    assert parquet.read_table(tmp_path / "out" / "detections.parquet").num_rows == 1
    assert json.loads(run("export", tmp_path / "out", "--json", database=url).output)["decisions"] == 3


@pytest.mark.parametrize("arguments", [["verify"], ["show"], ["feedback", "x", "confirmed"], ["export", "out"]])
def test_a_log_that_is_not_there_is_an_error_with_the_next_step_and_is_not_made(
    arguments: list[str], path: Path
) -> None:
    readable, machine = run(*arguments, database=path), run(*arguments, "--json", database=path)
    assert (readable.exit_code, machine.exit_code) == (23, 23)
    assert "hint:" in readable.output
    assert json.loads(machine.output)["error"]["code"] == "misconfigured"
    assert not path.exists()


def test_bad_usage_exits_with_2(url: str, decisions: list[str]) -> None:
    assert run("verify").exit_code == 2
    assert run("feedback", decisions[0], "wrong", database=url).exit_code == 2
    assert run("show", "--since", "yesterday", database=url).exit_code == 2


@pytest.mark.usefixtures("decisions")
def test_feedback_on_a_record_that_is_not_there_says_so(url: str) -> None:
    assert run("feedback", "nothing", "confirmed", database=url).exit_code == 30


def test_without_sqlalchemy_the_next_step_is_said(path: Path) -> None:
    program = (
        "import sys; sys.modules['sqlalchemy'] = None\n"
        "from xray_servers.audit.cli import audit\n"
        f"audit(['verify', '--database', {str(path)!r}])"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert done.returncode == 23
    assert "pip install 'xray-agent-tools[serve]'" in done.stderr
    assert "Traceback" not in done.stderr
