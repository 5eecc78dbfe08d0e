"""The desk in front of the screening processes: it takes requests in, lets few wait, and gives each an end."""

from __future__ import annotations

import itertools
import json
import logging
import math
import time
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import anyio
from anyio import BrokenWorkerProcess, to_process

from xray_agent_tools.errors import InternalError, Overloaded, TimedOut, WorkerLost, XrayToolsError
from xray_servers.screening import Answer, CanaryCheck, Crash, Request, ScreeningSettings, can_share, carry_out
from xray_servers.shelf import ScanShelf
from xray_servers.steps import StepListener

logger = logging.getLogger(__name__)

Heard = Callable[[str], Awaitable[None]]
"""Called with each step of a request, in words."""

_STEPS_WAITING = 64
_FIRST_GUESS_S = 0.2
_MEMORY = 0.9
_READINESS_LASTS_S = 5.0
_LEAST_S = 0.05
_ENDED_WITHIN_S = 2.0


@dataclass(frozen=True, slots=True)
class DeskLimits:
    """How much work is taken in at once.

    Attributes:
        workers: screening processes.
        waiting: requests that may wait for one of them.
        timeout_s: seconds from taking a request in to its answer.
        grace_s: seconds that work goes on after its client has gone, before its process is ended. Starting another
            process costs more than finishing a usual look.
        warm: start the processes at once.
        batch: scans that a process looks at together, where so many wait. It pays with a network that was exported for
            batches, on a device that has room for them.
        batch_wait_s: seconds that a process waits for a batch to fill.
    """

    workers: int = 1
    waiting: int = 16
    timeout_s: float = 60.0
    grace_s: float = 1.0
    warm: bool = True
    batch: int = 1
    batch_wait_s: float = 0.0


@dataclass(eq=False, slots=True)
class _Work:
    """A request on its way.

    Attributes:
        request: what to do.
        number: what its steps are told under.
        deadline: when nobody waits for it any longer.
        running: whether a process has it.
        finished: set when there is an outcome.
        outcome: the answer, or why there is none.
        scope: ends the process that has it.
    """

    request: Request
    number: int
    deadline: float
    running: bool = False
    finished: anyio.Event = field(default_factory=anyio.Event)
    outcome: Answer | XrayToolsError | None = None
    scope: anyio.CancelScope | None = None

    def finish(self, outcome: Answer | XrayToolsError) -> None:
        """Give it an outcome, if it has none."""
        if self.outcome is None:
            self.outcome = outcome
            self.finished.set()


class ScreeningDesk:
    """Passes requests to screening processes. Use it from one event loop, inside :meth:`open`.

    A process that hangs or dies takes its request with it, and never the server.
    """

    def __init__(self, settings: ScreeningSettings, limits: DeskLimits = DeskLimits()) -> None:
        """Choose the parts; no process is started yet."""
        self.settings = settings
        self.limits = limits
        self.shelf = ScanShelf(settings.shelf, settings.shelf_limits)
        self.admitted = 0
        self.noted_batch: Callable[[int], None] = lambda _: None
        self._readiness = (-math.inf, False)
        self._numbers = itertools.count()
        self._usual_s = _FIRST_GUESS_S
        self._queue: deque[_Work] = deque()
        self._closed = True

    @asynccontextmanager
    async def open(self) -> AsyncIterator[None]:
        """Take requests in while the block lasts. Work that is unfinished at its end is ended."""
        self.settings.shelf.mkdir(parents=True, exist_ok=True, mode=0o700)
        self._arrived = anyio.Condition()
        self._processes = anyio.CapacityLimiter(math.inf)
        self._ready_lock = anyio.Lock()
        self._steps = StepListener()
        async with anyio.create_task_group() as tasks:
            await tasks.start(self._steps.listen)
            self._closed = False
            for _ in range(self.limits.workers):
                tasks.start_soon(self._serve)
            yield
            self._closed = True
            for work in self._queue:
                work.finish(_stopping())
            tasks.cancel_scope.cancel()

    async def ask(self, request: Request, heard: Heard | None = None) -> Answer:
        """Have a request carried out.

        If the caller is cancelled, waiting work never starts, and running work is ended after a moment's grace.

        Args:
            request: what to do.
            heard: told each step, in words.

        Raises:
            Overloaded: too many requests wait already.
            TimedOut: it was not finished in time; its process was ended.
            WorkerLost: its process died.
            XrayToolsError: what the tool raises.
        """
        self._refuse_if_full()
        work = self._work(request)
        if heard is None:
            return await self._finish(work)
        sender, receiver = anyio.create_memory_object_stream[str](_STEPS_WAITING)

        def told(step: str) -> None:
            if sender.statistics().current_buffer_used < _STEPS_WAITING:
                sender.send_nowait(step)

        async def pass_on() -> None:
            async for step in receiver:
                await heard(step)

        error: XrayToolsError | None = None
        answer: Answer | None = None
        with sender, receiver:
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(pass_on)
                if self.admitted >= self.limits.workers:
                    told("waiting for a free screening process")
                with self._steps.hearing(work.number, told):
                    try:
                        answer = await self._finish(work)
                    except XrayToolsError as failure:
                        error = failure
                tasks.cancel_scope.cancel()
        if answer is None:
            raise error or InternalError("the request has no answer", hint="try again")
        return answer

    async def ready(self) -> bool:
        """Whether the detector can be loaded and its canary scan alarms, as of at most some seconds ago."""
        async with self._ready_lock:
            checked, alarms = self._readiness
            if anyio.current_time() - checked > _READINESS_LASTS_S:
                alarms = await self._is_ready()
                self._readiness = (anyio.current_time(), alarms)
            return alarms

    async def _is_ready(self) -> bool:
        try:
            answer = await self._finish(self._work(CanaryCheck()), counted=False)
        except XrayToolsError as error:
            logger.warning("not ready: %s", error)
            return False
        return bool(json.loads(answer.text)["alarms"])

    def _work(self, request: Request) -> _Work:
        return _Work(request, next(self._numbers), anyio.current_time() + self.limits.timeout_s)

    async def _finish(self, work: _Work, *, counted: bool = True) -> Answer:
        """Queue work and wait for its outcome."""
        self.admitted += counted
        try:
            async with self._arrived:
                if self._closed:
                    raise _stopping()
                self._queue.append(work)
                self._arrived.notify()
            with anyio.move_on_at(work.deadline):
                await work.finished.wait()
            if work.outcome is None and work.scope is not None:
                # Its process is being ended; whoever hears of it finds it gone.
                with anyio.move_on_after(_ENDED_WITHIN_S):
                    await work.finished.wait()
        except anyio.get_cancelled_exc_class():
            self._abandon(work)
            raise
        finally:
            self.admitted -= counted
        if work.outcome is None:
            self._abandon(work)
            raise self._timed_out(running=work.running)
        if isinstance(work.outcome, XrayToolsError):
            raise work.outcome
        return work.outcome

    def _abandon(self, work: _Work) -> None:
        """Nobody waits for it any longer: it does not start, or its process is ended after a moment's grace."""
        if work in self._queue:
            self._queue.remove(work)
        elif work.scope is not None:
            work.scope.deadline = min(work.scope.deadline, anyio.current_time() + self.limits.grace_s)

    async def _serve(self) -> None:
        """What one screening process does, one batch after the other."""
        if self.limits.warm:
            await self._carry_out([self._work(CanaryCheck())])
        while True:
            if works := await self._next():
                await self._carry_out(works)

    async def _next(self) -> list[_Work]:
        """Wait for work, and take along what can share a look with it; nothing if there is no time left for it."""
        async with self._arrived:
            while not self._queue:
                await self._arrived.wait()
            first = self._queue.popleft()
        if first.deadline - anyio.current_time() < _LEAST_S:
            first.finish(self._timed_out(running=False))
            return []
        first.running = True
        if self.limits.batch == 1 or not can_share(first.request):
            return [first]
        if self.limits.batch_wait_s > 0 and len(self._queue) < self.limits.batch - 1:
            await anyio.sleep(self.limits.batch_wait_s)
        others = [work for work in self._queue if can_share(work.request)][: self.limits.batch - 1]
        for work in others:
            self._queue.remove(work)
        return [first, *others]

    async def _carry_out(self, works: Sequence[_Work]) -> None:
        """Have a process do work. If it dies of several, each is tried alone, so that one picture costs one call."""
        started = time.perf_counter()
        if can_share(works[0].request):
            self.noted_batch(len(works))
        try:
            with anyio.CancelScope(deadline=max(work.deadline for work in works)) as scope:
                for work in works:
                    work.running = True
                    work.scope = scope if len(works) == 1 else None
                outcomes = await self._process(works)
                for work, outcome in zip(works, outcomes, strict=True):
                    work.finish(outcome)
            if scope.cancelled_caught:
                for work in works:
                    work.finish(self._timed_out(running=True))
        except BrokenWorkerProcess:
            logger.error("a screening process died")
            if len(works) == 1:
                works[0].finish(_lost())
            else:
                for work in works:
                    await self._carry_out([work])
        finally:
            self._learn((time.perf_counter() - started) / len(works))
            for work in works:
                work.finish(_stopping())

    def _learn(self, took_s: float) -> None:
        self._usual_s = _MEMORY * self._usual_s + (1 - _MEMORY) * took_s

    async def _process(self, works: Sequence[_Work]) -> Sequence[Answer | XrayToolsError]:
        requests = [work.request for work in works]
        numbers = [work.number for work in works]
        try:
            return await to_process.run_sync(
                carry_out,
                self.settings,
                requests,
                self._steps.address,
                numbers,
                cancellable=True,
                limiter=self._processes,
            )
        except (BrokenWorkerProcess, ProcessLookupError) as error:
            # The second comes of ending a process that is gone already.
            raise BrokenWorkerProcess from error
        except Exception as error:
            if isinstance(error, Crash):
                logger.error("a screening process failed: %s", error)
            else:
                logger.exception("a request failed")
            return [_failed()] * len(works)

    def _refuse_if_full(self) -> None:
        if self.admitted < self.limits.workers + self.limits.waiting:
            return
        waiting = max(0, self.admitted - self.limits.workers)
        wait = max(1, math.ceil(self._usual_s * (waiting + 1) / self.limits.workers))
        raise Overloaded(
            f"{waiting} scans are waiting already; this one was not looked at",
            hint=f"call again in {wait} seconds",
            retry_after=float(wait),
        )

    def _timed_out(self, *, running: bool) -> TimedOut:
        allowed = f"{self.limits.timeout_s:g} seconds"
        if running:
            return TimedOut(
                f"the scan was not finished within {allowed}; no statement can be made about it",
                hint="try a smaller scan or a plainer question, or tell the operator to raise --timeout",
            )
        return TimedOut(f"no screening process became free within {allowed}", hint="call again later")


def _lost() -> WorkerLost:
    return WorkerLost(
        "the process that looked at the scan died; this says nothing about the scan",
        hint="call again, it is being replaced; if it happens again with this scan, export the scan again",
    )


def _stopping() -> WorkerLost:
    return WorkerLost("the server is stopping", hint="call again when it is back")


def _failed() -> InternalError:
    return InternalError(
        "the tools failed unexpectedly; this says nothing about the scan",
        hint="try once more, then tell the operator, whose log has the reason",
    )
