"""The desk in front of the screening processes: it takes requests in, lets few wait, and gives each an end."""

from __future__ import annotations

import itertools
import logging
import math
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import anyio
from anyio import BrokenWorkerProcess, to_process
from anyio.abc import TaskGroup

from xray_agent_tools.errors import InternalError, Overloaded, TimedOut, WorkerLost, XrayToolsError
from xray_servers.screening import Answer, Crash, ScreeningSettings, ToolCall, Upload, carry_out, is_ready, warm_up
from xray_servers.shelf import ScanShelf
from xray_servers.steps import StepListener

logger = logging.getLogger(__name__)

Heard = Callable[[str], Awaitable[None]]
"""Called with each step of a request, in words."""

_STEPS_WAITING = 64
_FIRST_GUESS_S = 0.2
_MEMORY = 0.9
_READINESS_LASTS_S = 5.0


@dataclass(frozen=True, slots=True)
class DeskLimits:
    """How much work is taken in at once.

    Attributes:
        workers: screening processes; each looks at one scan at a time.
        waiting: requests that may wait for one of them.
        timeout_s: seconds from taking a request in to its answer.
        grace_s: seconds that work goes on after its client has gone, before its process is ended. Starting another
            process costs more than finishing a usual look.
        warm: start the processes at once.
    """

    workers: int = 1
    waiting: int = 16
    timeout_s: float = 60.0
    grace_s: float = 1.0
    warm: bool = True


@dataclass(eq=False, slots=True)
class _Work:
    """A request on its way. The scope can end it, whoever is waiting for it."""

    scope: anyio.CancelScope
    finished: anyio.Event = field(default_factory=anyio.Event)
    running: bool = False
    answer: Answer | None = None
    error: XrayToolsError | None = None


class ScreeningDesk:
    """Passes requests to screening processes. Use it from one event loop, inside :meth:`open`.

    A process that hangs or dies takes one request with it, and never the server.
    """

    def __init__(self, settings: ScreeningSettings, limits: DeskLimits = DeskLimits()) -> None:
        """Choose the parts; no process is started yet."""
        self.settings = settings
        self.limits = limits
        self.shelf = ScanShelf(settings.shelf, settings.shelf_limits)
        self._readiness = (-math.inf, False)
        self._numbers = itertools.count()
        self.admitted = 0
        self._usual_s = _FIRST_GUESS_S

    @asynccontextmanager
    async def open(self) -> AsyncIterator[None]:
        """Take requests in while the block lasts. Work that is unfinished at its end is ended."""
        self.settings.shelf.mkdir(parents=True, exist_ok=True, mode=0o700)
        self._seats = anyio.CapacityLimiter(self.limits.workers)
        self._processes = anyio.CapacityLimiter(math.inf)
        self._ready_lock = anyio.Lock()
        self._steps = StepListener()
        async with anyio.create_task_group() as tasks:
            self._tasks: TaskGroup = tasks
            await tasks.start(self._steps.listen)
            if self.limits.warm:
                for _ in range(self.limits.workers):
                    tasks.start_soon(self._warm_up)
            yield
            tasks.cancel_scope.cancel()

    async def ask(self, request: ToolCall | Upload, heard: Heard | None = None) -> Answer:
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
        work = _Work(anyio.CancelScope(deadline=anyio.current_time() + self.limits.timeout_s))
        number = next(self._numbers)
        if heard is None:
            return await self._finish(work, request, number)
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
                if self._seats.available_tokens < 1:
                    told("waiting for a free screening process")
                with self._steps.hearing(number, told):
                    try:
                        answer = await self._finish(work, request, number)
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
            with anyio.fail_after(self.limits.timeout_s):
                async with self._seats:
                    return await to_process.run_sync(is_ready, self.settings, cancellable=True, limiter=self._processes)
        except (XrayToolsError, BrokenWorkerProcess, TimeoutError) as error:
            logger.warning("not ready: %s", error)
            return False

    async def _finish(self, work: _Work, request: ToolCall | Upload, number: int) -> Answer:
        self.admitted += 1
        self._tasks.start_soon(self._carry_out, work, request, number)
        try:
            await work.finished.wait()
        except anyio.get_cancelled_exc_class():
            work.scope.deadline = anyio.current_time() + (self.limits.grace_s if work.running else 0)
            raise
        if work.error is not None:
            raise work.error
        if work.answer is None:
            raise WorkerLost("the server is stopping", hint="call again when it is back")
        return work.answer

    async def _carry_out(self, work: _Work, request: ToolCall | Upload, number: int) -> None:
        address = self._steps.address
        try:
            with work.scope:
                async with self._seats:
                    work.running = True
                    started = time.perf_counter()
                    try:
                        work.answer = await to_process.run_sync(
                            carry_out,
                            self.settings,
                            request,
                            address,
                            number,
                            cancellable=True,
                            limiter=self._processes,
                        )
                    finally:
                        self._learn(time.perf_counter() - started)
            if work.scope.cancelled_caught:
                work.error = self._timed_out(work.running)
        except XrayToolsError as error:
            work.error = error
        except BrokenWorkerProcess:
            logger.exception("a screening process died")
            work.error = WorkerLost(
                "the process that looked at the scan died; this says nothing about the scan",
                hint="call again, it is being replaced; if it happens again with this scan, export the scan again",
            )
        except Exception as error:
            if isinstance(error, Crash):
                logger.error("a screening process failed: %s", error)
            else:
                logger.exception("a request failed")
            work.error = InternalError(
                "the tools failed unexpectedly; this says nothing about the scan",
                hint="try once more, then tell the operator, whose log has the reason",
            )
        finally:
            self.admitted -= 1
            work.finished.set()

    def _learn(self, took_s: float) -> None:
        self._usual_s = _MEMORY * self._usual_s + (1 - _MEMORY) * took_s

    async def _warm_up(self) -> None:
        try:
            async with self._seats:
                await to_process.run_sync(warm_up, self.settings, cancellable=True, limiter=self._processes)
        except BrokenWorkerProcess:
            logger.exception("a screening process died while it started")

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

    def _timed_out(self, running: bool) -> TimedOut:
        allowed = f"{self.limits.timeout_s:g} seconds"
        if running:
            return TimedOut(
                f"the scan was not finished within {allowed}; no statement can be made about it",
                hint="try a smaller scan or a plainer question, or tell the operator to raise --timeout",
            )
        return TimedOut(f"no screening process became free within {allowed}", hint="call again later")
