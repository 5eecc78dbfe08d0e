"""Decisions: each is made once, and on record before anybody hears of it."""

from __future__ import annotations

import hashlib
import json
import logging
import time
import uuid
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any

from anyio import to_thread

from xray_agent_tools.errors import InternalError, Overloaded, XrayToolsError
from xray_servers.audit import AuditLog, Entry, Record
from xray_servers.audit.log import conflict
from xray_servers.desk import Heard, ScreeningDesk
from xray_servers.http.callers import SCOPES, Caller
from xray_servers.http.errors import Refused
from xray_servers.http.metrics import Metrics, decisive_part
from xray_servers.screening import Answer, ToolCall

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Work:
    """What came of a request, before it is on record.

    Attributes:
        answer: the answer, as plain data.
        image_sha256: hash over the views that were looked at.
    """

    answer: dict[str, Any]
    image_sha256: str


@dataclass(frozen=True, slots=True)
class Decided:
    """A decision on record.

    Attributes:
        answer: the answer, as plain data.
        record_id: identifier of its record, for feedback.
        repeated: whether it is an earlier decision on the same bag, given again.
    """

    answer: dict[str, Any]
    record_id: str
    repeated: bool


class Decisions:
    """Makes decisions on a desk and records each."""

    def __init__(self, desk: ScreeningDesk, audit: AuditLog, metrics: Metrics) -> None:
        """Use a desk that is open while requests come in."""
        self._desk = desk
        self._audit = audit
        self._metrics = metrics

    async def ask(
        self,
        caller: Caller,
        tool: str,
        arguments: Mapping[str, Any],
        *,
        bag: str | None = None,
        grounded: bool = False,
    ) -> Decided:
        """Decide by one call of a tool.

        Raises:
            XrayToolsError: what the tool raises, already on record; or what kept it from being put on record.
        """

        async def work() -> Work:
            return work_of(await self.call(caller, tool, arguments, grounded=grounded))

        request = {"tool": tool, "arguments": dict(arguments), "grounded": grounded}
        return await self.decide(caller, tool, request, work, bag=bag)

    async def call(self, caller: Caller, tool: str, arguments: Mapping[str, Any], *, grounded: bool = False) -> Answer:
        """Call a tool as a part of a decision; nothing is recorded.

        Raises:
            XrayToolsError: what the tool raises.
        """
        return await self._desk.ask(ToolCall(tool, dict(arguments), caller.name, grounded))

    async def answer(self, call: ToolCall, heard: Heard) -> Answer:
        """Have a call of a tool over the Model Context Protocol carried out, and record it.

        Raises:
            XrayToolsError: as :meth:`decide`.
        """
        answers: list[Answer] = []

        async def work() -> Work:
            answers.append(await self._desk.ask(call, heard))
            return work_of(answers[0])

        caller = Caller(call.owner, SCOPES, uuid.uuid4().hex)
        await self.decide(caller, call.tool, {"tool": call.tool, "arguments": call.arguments}, work)
        return answers[0]

    async def decide(
        self,
        caller: Caller,
        operation: str,
        request: Mapping[str, Any],
        work: Callable[[], Awaitable[Work]],
        *,
        bag: str | None = None,
    ) -> Decided:
        """Make a decision and record it, or give an earlier one on the same bag again.

        Args:
            caller: who asks.
            operation: what is asked for, as the record names it.
            request: the request as plain data; the same bag with another request is a conflict.
            work: makes the answer.
            bag: the caller's own identifier of the bag; each has one decision.

        Raises:
            XrayToolsError: what the work raises, already on record, or what kept the decision from being put on record.
                ``Overloaded`` is not recorded: such a request was not taken in.
        """
        started = time.perf_counter()
        try:
            decided = await self._decide(caller, operation, _digest(request), work, bag)
        except XrayToolsError as error:
            self._metrics.refused(operation, error.code)
            raise
        if not decided.repeated:
            self._metrics.decided(operation, decided.answer, time.perf_counter() - started)
        return decided

    async def _decide(
        self, caller: Caller, operation: str, digest: str, work: Callable[[], Awaitable[Work]], bag: str | None
    ) -> Decided:
        if bag is not None:
            earlier = await to_thread.run_sync(self._audit.find, caller.name, bag)
            if earlier is not None and earlier.request_sha256 != digest:
                raise conflict("bag")
            if earlier is not None:
                return _again(earlier)
        try:
            with self._metrics.stage("look"):
                done = await work()
        except Overloaded:
            raise
        except Refused:
            raise
        except XrayToolsError as error:
            await self._record(_entry(caller, operation, bag, digest, error=error))
            raise
        except Exception as error:
            logger.exception("a decision failed")
            failure = unforeseen_error()
            await self._record(_entry(caller, operation, bag, digest, error=failure))
            raise failure from error
        record = await self._record(_entry(caller, operation, bag, digest, done))
        if record.request_id != caller.request_id:
            return _again(record)
        return Decided(done.answer, record.record_id, repeated=False)

    async def _record(self, entry: Entry) -> Record:
        with self._metrics.stage("audit"):
            return await to_thread.run_sync(self._audit.record, entry)


def unforeseen_error() -> InternalError:
    """What a caller is told of an error that nobody foresaw."""
    return InternalError(
        "the request failed unexpectedly; this says nothing about the scan",
        hint="send it again, then tell the operator, whose log has the reason",
    )


def work_of(answer: Answer) -> Work:
    """A tool's answer as the work of a decision."""
    return Work(json.loads(answer.text), answer.image_sha256)


def _digest(request: Mapping[str, Any]) -> str:
    canonical = json.dumps(request, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return hashlib.sha256(canonical.encode("utf-8", "surrogatepass")).hexdigest()


def _again(record: Record) -> Decided:
    return Decided(json.loads(record.answer or "{}"), record.record_id, repeated=True)


def _entry(
    caller: Caller,
    operation: str,
    bag: str | None,
    digest: str,
    done: Work | None = None,
    error: XrayToolsError | None = None,
) -> Entry:
    answer = done.answer if done is not None else (error.as_dict() if error is not None else {})
    decisive = decisive_part(answer)
    report = decisive.get("report", decisive)
    return Entry(
        request_id=caller.request_id,
        owner=caller.name,
        operation=operation,
        bag=bag if error is None else None,
        request_sha256=digest,
        image_sha256=done.image_sha256 if done is not None else None,
        model_sha256=report.get("model", {}).get("sha256"),
        policy_sha256=decisive.get("policy", {}).get("sha256"),
        outcome="answered" if error is None else "refused",
        error_code=None if error is None else error.code,
        answer=json.dumps(answer, separators=(",", ":"), ensure_ascii=False),
    )
