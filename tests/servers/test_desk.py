from __future__ import annotations

import json
import socket
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import anyio
import anyio.lowlevel
import pytest
from anyio.from_thread import BlockingPortal, start_blocking_portal
from xray_servers.desk import DeskLimits, Heard, ScreeningDesk
from xray_servers.screening import Answer, ScreeningSettings, ToolCall, Upload, VlmSettings

from tests.library.pictures import bag, encoded
from tests.servers.memory import SCANS
from xray_agent_tools.errors import (
    InvalidArgument,
    InvalidScan,
    Overloaded,
    TimedOut,
    UnknownScan,
    WorkerLost,
    XrayToolsError,
)
from xray_agent_tools.scan import scan_id_of

PATIENCE_S = 60
SHORT_S = 2.0
"""Seconds until a deadline that is meant to pass; a process that is ready takes a tenth of it for a call."""

LOOK = ToolCall("detect_threats", {"scan": "bag_1.png"})
LONG = ToolCall("explain_scan", {"scan": "bag_1.png"})
"""Takes as long as the model that words explanations does, which here is until it is let go."""

ASKING = "asking the vision-language model"
WAITING = "waiting for a free screening process"
LOADING = "loading the detector"


class Endpoint:
    """Where a model that words explanations should be: calls are taken in and stay unanswered."""

    def __init__(self) -> None:
        self._socket = socket.create_server(("127.0.0.1", 0))
        self.vlm = VlmSettings(f"http://127.0.0.1:{self._socket.getsockname()[1]}/v1", "silent")

    def let_go(self) -> None:
        """End every call, now and later."""
        self._socket.close()


@contextmanager
def silent_endpoint() -> Iterator[Endpoint]:
    endpoint = Endpoint()
    try:
        yield endpoint
    finally:
        endpoint.let_go()


@pytest.fixture(scope="module")
def portal() -> Iterator[BlockingPortal]:
    """One event loop for all tests, so that they share screening processes."""
    with start_blocking_portal() as portal:
        yield portal


@pytest.fixture
def settings(tmp_path: Path) -> ScreeningSettings:
    return ScreeningSettings(roots=(SCANS,), shelf=tmp_path)


@pytest.fixture
def endpoint() -> Iterator[Endpoint]:
    with silent_endpoint() as endpoint:
        yield endpoint


@pytest.fixture
def slow(settings: ScreeningSettings, endpoint: Endpoint) -> ScreeningSettings:
    """Settings with which LONG hangs."""
    return replace(settings, vlm=endpoint.vlm)


@asynccontextmanager
async def desk_with(settings: ScreeningSettings, **limits: Any) -> AsyncIterator[ScreeningDesk]:
    desk = ScreeningDesk(settings, DeskLimits(**{"warm": False, "timeout_s": PATIENCE_S, **limits}))
    with anyio.fail_after(PATIENCE_S):
        async with desk.open():
            yield desk


class Asked:
    """A request that is asked in the background, and what came of it."""

    def __init__(self) -> None:
        self.scope = anyio.CancelScope()
        self.steps: list[str] = []
        self.answer: Answer | None = None
        self.error: XrayToolsError | None = None
        self.over = anyio.Event()
        self._news = anyio.Condition()

    async def run(self, desk: ScreeningDesk, request: ToolCall | Upload) -> None:
        try:
            with self.scope:
                self.answer = await desk.ask(request, self._heard)
        except XrayToolsError as error:
            self.error = error
        finally:
            self.over.set()

    async def has_heard(self, step: str) -> None:
        """Wait for a step."""
        async with self._news:
            while step not in self.steps:
                await self._news.wait()

    async def _heard(self, step: str) -> None:
        async with self._news:
            self.steps.append(step)
            self._news.notify_all()


async def steps_of(desk: ScreeningDesk, request: ToolCall | Upload) -> list[str]:
    asked = Asked()
    await asked.run(desk, request)
    assert asked.answer is not None, asked.error
    return asked.steps


async def be_ready(settings: ScreeningSettings) -> None:
    """Let a screening process start, import and load what it needs."""
    async with desk_with(settings) as desk:
        await desk.ask(LOOK)


def upload(number: int) -> Upload:
    """A scan that no other upload is like."""
    return Upload((encoded(bag(300 + number, 200)),))


# Answers


def test_a_tool_call_is_answered_and_its_scan_is_kept(portal: BlockingPortal, settings: ScreeningSettings) -> None:
    async def asks() -> None:
        async with desk_with(settings) as desk:
            report = json.loads((await desk.ask(LOOK)).text)
            assert report["verdict"] == "ALARM"
            assert desk.shelf.listed("") == [report["scan_id"]]
            again = await desk.ask(ToolCall("view_scan", {"scan": report["scan_id"]}))
            assert again.picture is not None

    portal.call(asks)


def test_an_upload_is_answered_with_what_was_kept_and_for_how_long(
    portal: BlockingPortal, settings: ScreeningSettings
) -> None:
    async def asks() -> None:
        request = Upload((encoded(bag(300, 200)), encoded(bag(320, 200))))
        async with desk_with(settings) as desk:
            assert json.loads((await desk.ask(request)).text) == {
                "scan_id": scan_id_of(request.views),
                "kept_for_s": settings.shelf_limits.lifetime_s,
                "views": 2,
                "width": 300,
                "height": 200,
            }

    portal.call(asks)


def test_a_scan_is_known_only_to_its_owner(portal: BlockingPortal, settings: ScreeningSettings) -> None:
    async def asks() -> None:
        mine = replace(upload(0), owner="officer-7")
        name = scan_id_of(mine.views)
        async with desk_with(settings) as desk:
            await desk.ask(mine)
            assert (await desk.ask(ToolCall("detect_threats", {"scan": name}, "officer-7"))).text
            with pytest.raises(UnknownScan):
                await desk.ask(ToolCall("detect_threats", {"scan": name}, "officer-8"))

    portal.call(asks)


def test_what_a_tool_refuses_reaches_the_caller_as_it_is(portal: BlockingPortal, settings: ScreeningSettings) -> None:
    async def asks() -> None:
        async with desk_with(settings) as desk:
            with pytest.raises(InvalidScan):
                await desk.ask(Upload((b"no picture",)))
            with pytest.raises(InvalidArgument, match="labels"):
                await desk.ask(ToolCall("detect_threats", {"scan": "bag_1.png", "labels": 5}))
            with pytest.raises(InvalidArgument) as refusal:
                await desk.ask(ToolCall("clear_bag", {"scan": "bag_1.png"}))
            assert "detect_threats" in refusal.value.hint

    portal.call(asks)


# Progress


def test_the_steps_of_a_request_are_told_in_order(portal: BlockingPortal, settings: ScreeningSettings) -> None:
    async def asks() -> None:
        async with desk_with(settings) as desk:
            first = await steps_of(desk, LOOK)
            assert first == ["reading the scan", LOADING, "looking at view 1 of 1"]
            assert await steps_of(desk, LOOK) == ["reading the scan", "looking at view 1 of 1"]

    portal.call(asks)


def test_processes_work_at_once_and_each_caller_hears_of_its_own_request_alone(
    portal: BlockingPortal, slow: ScreeningSettings
) -> None:
    async def asks() -> None:
        two_views = ToolCall("detect_threats", {"scan": ["bag_1.png", "bag_2.png"]})
        async with desk_with(slow, workers=2, grace_s=0) as desk, anyio.create_task_group() as tasks:
            long = Asked()
            tasks.start_soon(long.run, desk, LONG)
            await long.has_heard(ASKING)
            heard = list(long.steps)
            other = await steps_of(desk, two_views)
            assert [step for step in other if "view" in step] == ["looking at view 1 of 2", "looking at view 2 of 2"]
            assert (WAITING in other, long.over.is_set(), long.steps) == (False, False, heard)
            long.scope.cancel()

    portal.call(asks)


def test_a_listener_that_does_not_come_back_does_not_hold_the_answer_up(
    portal: BlockingPortal, settings: ScreeningSettings
) -> None:
    async def never_comes_back(_: str) -> None:
        await anyio.sleep_forever()

    async def asks() -> None:
        async with desk_with(settings) as desk:
            assert (await desk.ask(LOOK, never_comes_back)).text

    portal.call(asks)


# A full desk


def test_a_full_desk_refuses_and_says_when_to_call_again(
    portal: BlockingPortal, slow: ScreeningSettings, endpoint: Endpoint
) -> None:
    async def asks() -> None:
        async with desk_with(slow, waiting=1) as desk, anyio.create_task_group() as tasks:
            long, second = Asked(), Asked()
            tasks.start_soon(long.run, desk, LONG)
            await long.has_heard(ASKING)
            tasks.start_soon(second.run, desk, LOOK)
            await second.has_heard(WAITING)
            with pytest.raises(Overloaded) as refusal:
                await desk.ask(LOOK)
            assert 1 <= refusal.value.retry_after <= PATIENCE_S
            assert f"{refusal.value.retry_after:.0f} seconds" in refusal.value.hint
            assert not second.over.is_set()
            endpoint.let_go()
            await second.over.wait()
            assert second.answer is not None
            assert (await desk.ask(LOOK)).text

    portal.call(asks)


def test_without_a_place_to_wait_a_free_desk_still_works(portal: BlockingPortal, settings: ScreeningSettings) -> None:
    async def asks() -> None:
        async with desk_with(settings, waiting=0) as desk:
            for _ in range(3):
                assert (await desk.ask(LOOK)).text

    portal.call(asks)


async def nothing(_: str) -> None:
    """Hear a step, and do nothing about it."""


@pytest.mark.parametrize("heard", [None, nothing], ids=["unheard", "heard"])
def test_of_many_that_come_at_once_only_as_many_are_taken_in_as_may_wait(
    portal: BlockingPortal, settings: ScreeningSettings, heard: Heard | None
) -> None:
    outcomes: list[str] = []

    async def ask(desk: ScreeningDesk) -> None:
        try:
            await desk.ask(LOOK, heard)
            outcomes.append("answered")
        except Overloaded:
            outcomes.append("refused")

    async def asks() -> None:
        async with desk_with(settings, waiting=3) as desk, anyio.create_task_group() as tasks:
            for _ in range(12):
                tasks.start_soon(ask, desk)

    portal.call(asks)
    assert sorted(outcomes) == ["answered"] * 4 + ["refused"] * 8


# Callers that leave


def test_waiting_work_whose_caller_leaves_never_starts(
    portal: BlockingPortal, slow: ScreeningSettings, endpoint: Endpoint
) -> None:
    async def asks() -> None:
        async with desk_with(slow, waiting=1) as desk, anyio.create_task_group() as tasks:
            long, left = Asked(), Asked()
            tasks.start_soon(long.run, desk, LONG)
            await long.has_heard(ASKING)
            tasks.start_soon(left.run, desk, upload(1))
            await left.has_heard(WAITING)
            left.scope.cancel()
            await left.over.wait()
            stayed = Asked()
            tasks.start_soon(stayed.run, desk, upload(2))
            await stayed.has_heard(WAITING)
            endpoint.let_go()
            await stayed.over.wait()
            assert scan_id_of(upload(1).views) not in desk.shelf.listed("")
            assert scan_id_of(upload(2).views) in desk.shelf.listed("")

    portal.call(asks)


def test_running_work_whose_caller_leaves_is_ended_with_its_process(
    portal: BlockingPortal, slow: ScreeningSettings
) -> None:
    async def asks() -> None:
        async with desk_with(slow, grace_s=0.05) as desk, anyio.create_task_group() as tasks:
            long = Asked()
            tasks.start_soon(long.run, desk, LONG)
            await long.has_heard(ASKING)
            long.scope.cancel()
            await long.over.wait()
            assert LOADING in await steps_of(desk, LOOK)

    portal.call(asks)


def test_running_work_that_ends_within_its_grace_keeps_its_process(
    portal: BlockingPortal, slow: ScreeningSettings, endpoint: Endpoint
) -> None:
    async def asks() -> None:
        async with desk_with(slow, grace_s=PATIENCE_S) as desk, anyio.create_task_group() as tasks:
            long = Asked()
            tasks.start_soon(long.run, desk, LONG)
            await long.has_heard(ASKING)
            long.scope.cancel()
            await long.over.wait()
            endpoint.let_go()
            assert LOADING not in await steps_of(desk, LOOK)

    portal.call(asks)


# Deadlines


def test_work_that_takes_too_long_is_ended_and_says_so(portal: BlockingPortal, slow: ScreeningSettings) -> None:
    async def asks() -> None:
        await be_ready(slow)
        async with desk_with(slow, timeout_s=SHORT_S) as desk:
            with pytest.raises(TimedOut, match="not finished within 2 seconds") as refusal:
                await desk.ask(LONG)
            assert "--timeout" in refusal.value.hint
        async with desk_with(slow) as desk:
            assert LOADING in await steps_of(desk, LOOK)

    portal.call(asks)


def test_work_that_waits_too_long_never_starts_and_says_so(portal: BlockingPortal, slow: ScreeningSettings) -> None:
    async def asks() -> None:
        await be_ready(slow)
        async with desk_with(slow, timeout_s=SHORT_S) as desk, anyio.create_task_group() as tasks:
            tasks.start_soon(Asked().run, desk, LONG)
            await anyio.lowlevel.checkpoint()
            with pytest.raises(TimedOut, match="no screening process became free within 2 seconds"):
                await desk.ask(upload(3))
            assert scan_id_of(upload(3).views) not in desk.shelf.listed("")

    portal.call(asks)


# The end


def test_a_desk_that_closes_leaves_nobody_without_an_answer(portal: BlockingPortal, slow: ScreeningSettings) -> None:
    async def asks() -> None:
        running, waiting, late = Asked(), Asked(), Asked()
        async with anyio.create_task_group() as tasks, desk_with(slow) as desk:
            tasks.start_soon(running.run, desk, LONG)
            await running.has_heard(ASKING)
            tasks.start_soon(waiting.run, desk, LOOK)
            await waiting.has_heard(WAITING)
            tasks.start_soon(late.run, desk, LOOK)
            await anyio.lowlevel.checkpoint()
        for asked in (running, waiting, late):
            assert isinstance(asked.error, WorkerLost)
            assert "stopping" in asked.error.message

    portal.call(asks)


# Readiness


def test_a_desk_is_ready_if_the_canary_scan_alarms(portal: BlockingPortal, settings: ScreeningSettings) -> None:
    async def asks() -> None:
        async with desk_with(settings) as desk:
            assert await desk.ready()

    portal.call(asks)


def test_a_desk_without_its_model_is_not_ready_and_the_log_says_why(
    portal: BlockingPortal, settings: ScreeningSettings, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async def asks() -> None:
        async with desk_with(replace(settings, model=str(tmp_path / "nowhere"))) as desk:
            assert not await desk.ready()

    portal.call(asks)
    assert "nowhere" in caplog.text


def test_a_desk_whose_processes_are_all_busy_too_long_is_not_ready(
    portal: BlockingPortal, slow: ScreeningSettings
) -> None:
    async def asks() -> None:
        await be_ready(slow)
        async with (
            desk_with(slow, timeout_s=SHORT_S, grace_s=PATIENCE_S) as desk,
            anyio.create_task_group() as tasks,
        ):
            long = Asked()
            tasks.start_soon(long.run, desk, LONG)
            await long.has_heard(ASKING)
            long.scope.cancel()
            await long.over.wait()
            assert not await desk.ready()

    portal.call(asks)
