"""Decisions as Parquet: what a training set and a look for drift start from."""

from __future__ import annotations

import errno
import json
import os
import tempfile
from collections.abc import Iterable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from datetime import datetime
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

from xray_agent_tools import progress
from xray_agent_tools.errors import BrokenChain, Misconfigured, StorageFull
from xray_servers.audit.record import Record

if TYPE_CHECKING:
    from xray_servers.audit.log import AuditLog

_GROUP = 1000
"""Decisions that are written at once."""

_OF_A_DECISION = {
    "sequence": "int64",
    "record_id": "string",
    "time": "time",
    "owner": "string",
    "operation": "string",
    "bag": "string",
    "request_id": "string",
    "request_sha256": "string",
    "image_sha256": "string",
    "model_sha256": "string",
    "policy_sha256": "string",
    "outcome": "string",
    "error_code": "string",
    "verdict": "string",
    "risk_level": "string",
    "recommended_action": "string",
    "declaration_match": "bool",
    "detections": "int64",
    "answer": "string",
    "hash": "string",
    "feedback": "string",
    "feedback_owner": "string",
    "feedback_time": "time",
    "feedback_note": "string",
    "feedback_labels": "strings",
    "override": "string",
    "override_owner": "string",
    "override_time": "time",
    "override_note": "string",
}

_OF_A_DETECTION = {
    "sequence": "int64",
    "record_id": "string",
    "time": "time",
    "image_sha256": "string",
    "model_sha256": "string",
    "detection_id": "string",
    "label": "string",
    "group": "string",
    "severity": "string",
    "confidence": "float64",
    "threshold": "float64",
    "above_threshold": "bool",
    "view": "int64",
    "view_width": "int64",
    "view_height": "int64",
    "x_min": "float64",
    "y_min": "float64",
    "x_max": "float64",
    "y_max": "float64",
    "region": "string",
    "occlusion": "float64",
    "feedback": "string",
}


def export(log: AuditLog, folder: Path, *, since: datetime | None, until: datetime | None) -> int:
    """See :meth:`AuditLog.export`."""
    try:
        import pyarrow.parquet
    except ImportError as error:
        raise Misconfigured("exporting needs pyarrow", hint="pip install pyarrow") from error
    broken = log.verify().broken
    if broken is not None:
        raise BrokenChain(
            f"{broken.reason}; nothing was exported", hint="restore the database, or see `xray-tools audit verify`"
        )
    count = 0
    with _writable(folder), ExitStack() as files:
        decisions = files.enter_context(_file(pyarrow, folder / "decisions.parquet", _OF_A_DECISION))
        detections = files.enter_context(_file(pyarrow, folder / "detections.parquet", _OF_A_DETECTION))
        for group in _groups(log.records(since=since, until=until, kind="decision")):
            replies = _latest(log.replies([record.record_id for record in group]))
            answered = [(record, json.loads(record.answer or "{}")) for record in group]
            rows = [_decision(record, answer, replies) for record, answer in answered]
            decisions.write(rows)
            detections.write([row for record, answer in answered for row in _detections(record, answer, replies)])
            count += len(group)
            progress.report(f"exported {count} decisions")
    return count


_Replies = Mapping[tuple[str | None, str], Record]


class _ParquetFile:
    """A Parquet file to which rows are added group by group."""

    def __init__(self, pyarrow: Any, path: str, columns: Mapping[str, str]) -> None:
        types = {
            "time": pyarrow.timestamp("us", tz="UTC"),
            "strings": pyarrow.list_(pyarrow.string()),
            "bool": pyarrow.bool_(),
        }
        self._table = pyarrow.Table
        self._schema = pyarrow.schema(
            [(name, types.get(kind) or pyarrow.type_for_alias(kind)) for name, kind in columns.items()]
        )
        self._writer = pyarrow.parquet.ParquetWriter(path, self._schema, compression="zstd")

    def write(self, rows: list[dict[str, Any]]) -> None:
        """Add rows; a column that a row lacks is null there."""
        self._writer.write_table(self._table.from_pylist(rows, schema=self._schema))

    def close(self) -> None:
        """Finish the file."""
        self._writer.close()


@contextmanager
def _file(pyarrow: Any, path: Path, columns: Mapping[str, str]) -> Iterator[_ParquetFile]:
    """A file that appears when it is whole, or not at all."""
    descriptor, unfinished = tempfile.mkstemp(dir=path.parent, prefix=".unfinished-")
    os.close(descriptor)
    try:
        file = _ParquetFile(pyarrow, unfinished, columns)
        try:
            yield file
        finally:
            file.close()
        os.replace(unfinished, path)
    except BaseException:
        Path(unfinished).unlink(missing_ok=True)
        raise


@contextmanager
def _writable(folder: Path) -> Iterator[None]:
    try:
        folder.mkdir(parents=True, exist_ok=True)
        yield
    except OSError as error:
        if error.errno in {errno.ENOSPC, errno.EDQUOT}:
            raise StorageFull("there is no room for the export", hint="make room, or name another folder") from error
        raise Misconfigured(f"cannot write to {folder}: {error.strerror}", hint="name another folder") from error


def _groups(records: Iterable[Record]) -> Iterator[list[Record]]:
    left = iter(records)
    while group := list(islice(left, _GROUP)):
        yield group


def _latest(replies: Iterable[Record]) -> _Replies:
    """The last feedback and the last override about each decision."""
    return {(reply.about, reply.kind): reply for reply in replies}


def _decision(record: Record, answer: dict[str, Any], replies: _Replies) -> dict[str, Any]:
    report = _report_in(answer)
    row: dict[str, Any] = {name: getattr(record, name) for name in _OF_A_DECISION if hasattr(record, name)}
    row["time"] = datetime.fromisoformat(record.time)
    for name in ("verdict", "risk_level", "recommended_action", "declaration_match"):
        row[name] = _first_in(answer, name)
    row["detections"] = None if report is None else len(report["detections"])
    for kind in ("feedback", "override"):
        reply = replies.get((record.record_id, kind))
        if reply is not None:
            row[kind] = reply.statement
            row[f"{kind}_owner"], row[f"{kind}_note"] = reply.owner, reply.note
            row[f"{kind}_time"] = datetime.fromisoformat(reply.time)
            row[f"{kind}_labels"] = reply.labels.split(",") if reply.labels else []
    return row


def _detections(record: Record, answer: dict[str, Any], replies: _Replies) -> Iterator[dict[str, Any]]:
    report = _report_in(answer)
    if report is None:
        return
    thresholds = {point["label"]: point["confidence"] for point in report["model"]["thresholds"]}
    feedback = replies.get((record.record_id, "feedback"))
    for found in report["detections"]:
        view = report["image"]["views"][found["view"]]
        row = {name: found[name] for name in _OF_A_DETECTION if name in found}
        yield {
            **row,
            **found["box"],
            "sequence": record.sequence,
            "record_id": record.record_id,
            "time": datetime.fromisoformat(record.time),
            "image_sha256": record.image_sha256,
            "model_sha256": record.model_sha256,
            "detection_id": found["id"],
            "threshold": thresholds.get(found["label"]),
            "view_width": view["width"],
            "view_height": view["height"],
            "occlusion": None if found["occlusion"] is None else found["occlusion"]["score"],
            "feedback": None if feedback is None else feedback.statement,
        }


def _objects_in(answer: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """An answer and the objects in it, outer ones first."""
    layer = [answer]
    while layer:
        yield from layer
        layer = [value for outer in layer for value in outer.values() if isinstance(value, dict)]


def _first_in(answer: dict[str, Any], name: str) -> Any:
    return next((part[name] for part in _objects_in(answer) if name in part), None)


def _report_in(answer: dict[str, Any]) -> dict[str, Any] | None:
    """The threat report that an answer is or holds, or None."""
    shape = {"verdict", "detections", "model", "image"}
    return next((part for part in _objects_in(answer) if shape <= part.keys()), None)
