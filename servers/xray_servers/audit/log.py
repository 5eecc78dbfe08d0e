"""The audit log."""

from __future__ import annotations

import hashlib
import json
import math
import uuid
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, replace
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType
from typing import Any, get_args

from sqlalchemy import Connection, Select, func, insert, select, update

from xray_agent_tools import progress
from xray_agent_tools.errors import BagConflict, InvalidArgument, Misconfigured, UnknownRecord, XrayToolsError
from xray_agent_tools.report import Action
from xray_servers.audit.chain import Anchor, Verification, Walk, hash_of
from xray_servers.audit.database import Database
from xray_servers.audit.record import (
    COLUMNS,
    Entry,
    FeedbackKind,
    Kind,
    Record,
    labels_checked,
    moment,
    names_checked,
    note_checked,
    storable,
)
from xray_servers.audit.tables import head, records
from xray_servers.audit.together import GroupCommit

_PAGE = 200
"""Records that are read at once."""

_BLANK: dict[str, Any] = {**dict.fromkeys(COLUMNS), "labels": "", "hash": ""}

_every = select(*(records.c[name] for name in COLUMNS))


class AuditLog:
    """An append-only, hash-chained log of decisions and of what people said of them.

    Use it from any thread; several processes may write to one database. Make it after a fork, not before.

    What records either returns, and then the record is on disk, or raises, and then nothing was recorded; only
    :class:`RecordUncertain` says that it cannot be known. Recording again under the same request id is always safe.
    """

    def __init__(self, url: str, *, timeout_s: float = 10.0, create: bool = True) -> None:
        """Open a log.

        Args:
            url: path of a SQLite file, ``sqlite:///PATH`` or ``postgresql://USER:PASSWORD@HOST/DATABASE``.
            timeout_s: seconds that the database may take for one step, and that a lock is waited for.
            create: make the log if there is none.

        Raises:
            Misconfigured: the URL is bad, nothing answers there, or what is there is no log of this version.
            StorageFull: there is no room for a new log.
        """
        self._database = Database(url, timeout_s=timeout_s, create=create)
        # A caller may have to wait for the batch before its own.
        self._together = GroupCommit(self._append, patience_s=3 * timeout_s)

    def __enter__(self) -> AuditLog:
        """The open log."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """Close it."""
        self.close()

    def close(self) -> None:
        """Finish what is being recorded, and close the database."""
        self._together.close()
        self._database.close()

    def record(self, entry: Entry) -> Record:
        """Put a decision on record.

        The same request id, or the same bag with the same request once that was answered, gives the first record:
        its answer is the one that holds.

        Raises:
            BagConflict: the bag, or the request id, names another request.
            InvalidArgument: a name is too long, or the answer is no JSON object.
            StorageFull: the disk is full.
            RecordUncertain: the database was lost while it committed.
            AuditUnavailable: the database does not answer, or is locked for too long.
        """
        entry = replace(entry, answer=storable(entry.answer))
        fields = asdict(entry)
        names_checked({name: value for name, value in fields.items() if name != "answer"})
        return self._together.put({**_BLANK, **fields, "kind": "decision"})

    def feedback(
        self,
        record_id: str,
        kind: FeedbackKind,
        *,
        owner: str,
        note: str | None = None,
        labels: Iterable[str] = (),
        request_id: str | None = None,
    ) -> Record:
        """Record what became of a decision. Anybody's decision: whether the owner may say so is the caller's to check.

        Args:
            record_id: the decision.
            kind: ``confirmed``: it was right; ``false_alarm``: nothing was there; ``missed``: something was there that
                it did not see.
            owner: who says so.
            note: in the person's words, at most 4000 characters.
            labels: what it is about: canonical labels of the taxonomy.
            request_id: identifier of the request; one is made up where there is none.

        Raises:
            UnknownRecord: there is no such decision.
            UnknownLabel: a label is not in the taxonomy.
            InvalidArgument: the kind is none of the three, or a text is too long.
            XrayToolsError: see :meth:`record`.
        """
        _one_of("feedback", kind, get_args(FeedbackKind))
        return self._say("feedback", record_id, kind, owner, note, labels_checked(labels), request_id)

    def override(
        self, record_id: str, action: Action, *, owner: str, note: str | None = None, request_id: str | None = None
    ) -> Record:
        """Record that an operator took another action than the decision recommends.

        Args:
            record_id: the decision.
            action: what was done instead.
            owner: who decided so.
            note: why, at most 4000 characters.
            request_id: identifier of the request; one is made up where there is none.

        Raises:
            UnknownRecord: there is no such decision.
            InvalidArgument: the action is none of those that are recommended, or a text is too long.
            XrayToolsError: see :meth:`record`.
        """
        _one_of("the action", action, get_args(Action))
        return self._say("override", record_id, action, owner, note, "", request_id)

    def find(self, owner: str, bag: str) -> Record | None:
        """The answered decision on an owner's bag, by the owner's own identifier.

        Raises:
            AuditUnavailable: the database does not answer.
        """
        with self._database.reading() as connection:
            return _first(connection, _answered(owner, bag))

    def get(self, record_id: str) -> Record:
        """One record.

        Raises:
            UnknownRecord: there is none of that identifier.
            AuditUnavailable: the database does not answer.
        """
        with self._database.reading() as connection:
            found = _first(connection, _every.where(records.c.record_id == record_id))
        if found is None:
            raise _unknown(record_id)
        return found

    def replies(self, record_ids: Sequence[str]) -> list[Record]:
        """Feedback and overrides about some decisions, in the order in which they were recorded.

        Raises:
            AuditUnavailable: the database does not answer.
        """
        query = _every.where(records.c.about.in_(record_ids)).order_by(records.c.sequence)
        with self._database.reading() as connection:
            return [Record(*row) for row in connection.execute(query)]

    def records(
        self,
        *,
        since: datetime | None = None,
        until: datetime | None = None,
        after: int = 0,
        limit: int | None = None,
        kind: Kind | None = None,
        owner: str | None = None,
        newest_first: bool = False,
    ) -> Iterator[Record]:
        """Records in their order.

        Args:
            since: recorded at this time or later.
            until: recorded before this time.
            after: only with a greater sequence number.
            limit: at most so many.
            kind: only of this kind.
            owner: only of this owner.
            newest_first: in the opposite order.

        Raises:
            InvalidArgument: a time names no time zone.
            AuditUnavailable: the database does not answer.
        """
        place = records.c.sequence
        query = _every.where(place > after).order_by(place.desc() if newest_first else place)
        if since is not None:
            query = query.where(records.c.time >= moment(since))
        if until is not None:
            query = query.where(records.c.time < moment(until))
        if kind is not None:
            query = query.where(records.c.kind == kind)
        if owner is not None:
            query = query.where(records.c.owner == owner)
        return self._paged(query, newest_first, math.inf if limit is None else limit)

    def head(self) -> Anchor:
        """The log's own note of its end, unchecked.

        Raises:
            Misconfigured: it is missing.
            AuditUnavailable: the database does not answer.
        """
        with self._database.reading() as connection:
            return _end(connection)

    def verify(self, *, anchor: Anchor | None = None) -> Verification:
        """Go along the whole chain; each page is a step of progress.

        Records that are added meanwhile are checked as well.

        Args:
            anchor: an earlier end of the log, noted elsewhere; finds a log that was cut or written anew.

        Raises:
            AuditUnavailable: the database does not answer.
        """
        walk = Walk(anchor)
        query = _every.order_by(records.c.sequence).limit(_PAGE)
        page = query
        while True:
            with self._database.reading() as connection:
                found = [Record(*row) for row in connection.execute(page)]
                end = _head(connection)
                total = 0 if found else connection.execute(select(func.count()).select_from(records)).scalar_one()
            if not found or walk.broken or not all(walk.step(record) for record in found):
                return walk.end(end, total)
            last = found[-1].sequence
            progress.report(f"checked {last} of {end.count if end else last} records")
            page = query.where(records.c.sequence > last)

    def export(self, folder: str | Path, *, since: datetime | None = None, until: datetime | None = None) -> int:
        """Write the decisions as Parquet, for training and to watch for drift. The chain is verified first.

        Writes ``decisions.parquet``, a row for each with its latest feedback and override, and
        ``detections.parquet``, a row for each detection in their answers. What is there is replaced.

        Args:
            folder: made where it is missing.
            since: recorded at this time or later.
            until: recorded before this time.

        Returns:
            The number of decisions.

        Raises:
            BrokenChain: the log was changed after it was written.
            Misconfigured: pyarrow is not installed, or the folder cannot be written to.
            StorageFull: the disk is full.
            InvalidArgument: a time names no time zone.
            AuditUnavailable: the database does not answer.
        """
        from xray_servers.audit.export import export

        return export(self, Path(folder), since=since, until=until)

    def _say(
        self,
        kind: Kind,
        record_id: str,
        statement: str,
        owner: str,
        note: str | None,
        labels: str,
        request_id: str | None,
    ) -> Record:
        note_checked(note)
        names_checked({"record_id": record_id, "owner": owner, "request_id": request_id})
        said = {"kind": kind, "about": record_id, "statement": statement, "note": note, "labels": labels}
        request = {
            "request_id": request_id or uuid.uuid4().hex,
            "owner": owner,
            "operation": kind,
            "request_sha256": hashlib.sha256(json.dumps(said, sort_keys=True).encode()).hexdigest(),
        }
        return self._together.put({**_BLANK, **said, **request})

    def _append(self, drafts: Sequence[dict[str, Any]]) -> list[Record | XrayToolsError]:
        """Make records of drafts, in one transaction."""
        with self._database.appending() as connection:
            end = _end(connection)
            results: list[Record | XrayToolsError] = []
            for draft in drafts:
                result = _recorded(connection, draft, end)
                if isinstance(result, Record) and result.sequence > end.count:
                    end = Anchor(result.sequence, result.hash)
                results.append(result)
            connection.execute(update(head).values(length=end.count, hash=end.hash))
        return results

    def _paged(self, query: Select[Any], newest_first: bool, left: float) -> Iterator[Record]:
        page = query
        while left > 0:
            with self._database.reading() as connection:
                found = [Record(*row) for row in connection.execute(page.limit(int(min(left, _PAGE))))]
            if not found:
                return
            yield from found
            last, left = found[-1].sequence, left - len(found)
            page = query.where(records.c.sequence < last if newest_first else records.c.sequence > last)


def _recorded(connection: Connection, draft: dict[str, Any], end: Anchor) -> Record | XrayToolsError:
    """The earlier record of a draft, or the one that is made of it after the end of the chain."""
    earlier = _earlier(connection, draft)
    if earlier is not None:
        same = earlier.request_sha256 == draft["request_sha256"]
        return earlier if same else conflict("request id" if earlier.request_id == draft["request_id"] else "bag")
    if draft["about"] is not None and not _is_decision(connection, draft["about"]):
        return _unknown(draft["about"])
    placed = {
        "sequence": end.count + 1,
        "record_id": f"record-{uuid.uuid4().hex}",
        "time": moment(datetime.now(UTC)),
        "previous": end.hash,
    }
    unsealed = Record(**{**draft, **placed})
    record = replace(unsealed, hash=hash_of(unsealed))
    connection.execute(insert(records), asdict(record))
    return record


def _earlier(connection: Connection, draft: Mapping[str, Any]) -> Record | None:
    of_request = _every.where(records.c.owner == draft["owner"], records.c.request_id == draft["request_id"])
    earlier = _first(connection, of_request)
    if earlier is None and draft["bag"] is not None and draft["outcome"] == "answered":
        earlier = _first(connection, _answered(draft["owner"], draft["bag"]))
    return earlier


def _answered(owner: str, bag: str) -> Select[Any]:
    return _every.where(records.c.owner == owner, records.c.bag == bag, records.c.outcome == "answered")


def _is_decision(connection: Connection, record_id: str) -> bool:
    query = select(records.c.sequence).where(records.c.record_id == record_id, records.c.kind == "decision")
    return connection.execute(query).first() is not None


def _first(connection: Connection, query: Select[Any]) -> Record | None:
    row = connection.execute(query).first()
    return None if row is None else Record(*row)


def _head(connection: Connection) -> Anchor | None:
    row = connection.execute(select(head.c.length, head.c.hash)).first()
    return None if row is None else Anchor(row.length, row.hash)


def _end(connection: Connection) -> Anchor:
    end = _head(connection)
    if end is None:
        raise Misconfigured("the audit log's note of its own end is missing", hint="restore the audit database")
    return end


def _one_of(what: str, value: str, known: Sequence[str]) -> None:
    if value not in known:
        raise InvalidArgument(f"{what} cannot be {value!r}", hint=f"give one of {', '.join(known)}")


def conflict(what: str) -> BagConflict:
    """The error of a name, of a bag or a request, that stands for another request on record."""
    return BagConflict(
        f"this {what} already names another request, which is on record",
        hint=f"give a new request a {what} of its own, or repeat the first one unchanged",
    )


def _unknown(record_id: str) -> UnknownRecord:
    return UnknownRecord(
        f"there is no decision {record_id!r} on record", hint="give the record id that came with the answer"
    )
