from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path

import pytest
from pyarrow import parquet
from xray_servers.audit import AuditLog

from tests.servers.audit.entries import assessment, entry
from xray_agent_tools.errors import Misconfigured


def test_each_decision_is_a_row_with_its_latest_feedback_and_override(log: AuditLog, tmp_path: Path) -> None:
    answer = assessment("gun")
    seen = log.record(entry(operation="assess", answer=answer, bag="bag 1"))
    refused = log.record(entry(outcome="refused", error_code="invalid_scan", answer='{"error":{}}'))
    log.feedback(seen.record_id, "false_alarm", owner="ann")
    latest = log.feedback(seen.record_id, "missed", owner="bob", labels=["knife", "gun"], note="look again")
    log.override(seen.record_id, "REVIEW", owner="cy")
    assert log.export(tmp_path / "out") == 2
    rows = parquet.read_table(tmp_path / "out" / "decisions.parquet").to_pylist()
    assert [row["record_id"] for row in rows] == [seen.record_id, refused.record_id]
    first, second = rows
    assert {name: first[name] for name in ("bag", "hash", "answer", "operation")} == {
        "bag": "bag 1",
        "hash": seen.hash,
        "answer": answer,
        "operation": "assess",
    }
    assert (first["verdict"], first["recommended_action"], first["detections"]) == ("ALARM", "PHYSICAL_INSPECTION", 1)
    assert first["time"] == datetime.fromisoformat(seen.time)
    assert (first["feedback"], first["feedback_owner"], first["feedback_labels"]) == ("missed", "bob", ["gun", "knife"])
    assert (first["feedback_note"], first["feedback_time"]) == ("look again", datetime.fromisoformat(latest.time))
    assert (first["override"], first["override_owner"]) == ("REVIEW", "cy")
    assert (second["outcome"], second["error_code"], second["verdict"]) == ("refused", "invalid_scan", None)
    assert second["feedback"] is None


def test_each_detection_is_a_row_wherever_the_report_is_in_the_answer(log: AuditLog, tmp_path: Path) -> None:
    assessed = json.loads(assessment("gun", "knife"))
    wrapped = log.record(entry(answer=json.dumps({"risk_level": "high", "result": assessed})))
    plain = log.record(entry(answer=json.dumps(assessed["report"])))
    log.record(entry(answer='{"answer":"words alone"}'))
    log.feedback(wrapped.record_id, "confirmed", owner="ann")
    log.export(tmp_path)
    rows = parquet.read_table(tmp_path / "detections.parquet").to_pylist()
    assert [row["record_id"] for row in rows] == [wrapped.record_id] * 2 + [plain.record_id] * 2
    thresholds = {point["label"]: point["confidence"] for point in assessed["report"]["model"]["thresholds"]}
    for row, found in zip(rows, assessed["report"]["detections"] * 2, strict=True):
        assert {name: row[name] for name in ("label", "confidence", "region")} == {
            name: found[name] for name in ("label", "confidence", "region")
        }
        assert {edge: row[edge] for edge in found["box"]} == found["box"]
        assert row["threshold"] == thresholds[found["label"]]
        assert (row["view_width"], row["view_height"]) == (300, 200)
    assert [row["feedback"] for row in rows] == ["confirmed", "confirmed", None, None]


def test_an_export_holds_only_the_time_asked_for_and_replaces_an_earlier_one(log: AuditLog, tmp_path: Path) -> None:
    for _ in range(3):
        log.record(entry())
    assert log.export(tmp_path) == 3
    assert log.export(tmp_path, until=datetime(2020, 1, 1, tzinfo=UTC)) == 0
    assert parquet.read_table(tmp_path / "decisions.parquet").num_rows == 0
    assert sorted(file.name for file in tmp_path.glob("*parquet")) == ["decisions.parquet", "detections.parquet"]
    assert not list(tmp_path.glob(".unfinished*"))


def test_a_folder_that_cannot_be_written_to_is_named(log: AuditLog, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(Misconfigured, match="cannot write to"):
        log.export(tmp_path / "file" / "folder")


def test_without_pyarrow_the_next_step_is_said(log: AuditLog, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "pyarrow.parquet", None)
    with pytest.raises(Misconfigured) as caught:
        log.export(tmp_path)
    assert caught.value.hint == "pip install pyarrow"
