from __future__ import annotations

import base64
import json
import os
import signal
from pathlib import Path
from typing import Any

import anyio
import pytest
from xray_servers.desk import DeskLimits, ScreeningDesk
from xray_servers.screening import Answer, ScreeningSettings, ToolCall

from tests.library.batches import batch_package
from tests.library.pictures import bag, encoded
from tests.servers.running import screening_pids_of
from xray_agent_tools.errors import XrayToolsError
from xray_agent_tools.screener import Screener

LEVELS = (20, 60, 100, 140, 180, 220)


@pytest.fixture(scope="module")
def package(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return batch_package(tmp_path_factory.mktemp("batches") / "package")


def picture(level: int) -> bytes:
    pixels = bag()
    pixels[70:130, 80:220] = level
    return encoded(pixels)


def call(content: bytes) -> ToolCall:
    return ToolCall("detect_threats", {"scan": "data:image/png;base64," + base64.b64encode(content).decode()})


def untimed(text: str) -> dict[str, Any]:
    return {name: value for name, value in json.loads(text).items() if name != "timing_ms"}


async def outcomes(desk: ScreeningDesk, calls: list[ToolCall]) -> list[Answer | XrayToolsError]:
    """What becomes of calls that come in at once, in their order."""
    found: dict[int, Answer | XrayToolsError] = {}

    async def ask(number: int, request: ToolCall) -> None:
        try:
            found[number] = await desk.ask(request)
        except XrayToolsError as error:
            found[number] = error

    async with anyio.create_task_group() as tasks:
        for number, request in enumerate(calls):
            tasks.start_soon(ask, number, request)
    return [found[number] for number in range(len(calls))]


def desk_at(package: Path, folder: Path, **limits: Any) -> tuple[ScreeningDesk, list[int]]:
    settings = ScreeningSettings(roots=(), shelf=folder / "shelf", model=str(package))
    desk = ScreeningDesk(settings, DeskLimits(batch=4, **limits))
    sizes: list[int] = []
    desk.noted_batch = sizes.append
    return desk, sizes


def test_scans_that_wait_are_looked_at_together_and_each_caller_gets_its_own_answer(
    package: Path, tmp_path: Path
) -> None:
    calls = [call(picture(level)) for level in LEVELS]
    calls.insert(2, call(b"no picture"))
    calls.insert(4, ToolCall("explain_scan", calls[0].arguments))

    async def talk() -> tuple[list[Answer | XrayToolsError], list[int]]:
        desk, sizes = desk_at(package, tmp_path, warm=False, batch_wait_s=0.05)
        async with desk.open():
            return await outcomes(desk, calls), sizes

    answers, sizes = anyio.run(talk)
    screener = Screener(model=package)
    assert max(sizes) == 4
    assert sum(sizes) == len(LEVELS) + 1
    for request, answer in zip(calls, answers, strict=True):
        if request.tool == "detect_threats" and isinstance(answer, Answer):
            expected = screener.detect_threats(request.arguments["scan"]).model_dump_json()
            assert untimed(answer.text) == untimed(expected)
    assert isinstance(answers[2], XrayToolsError)
    assert answers[2].code == "invalid_scan"
    assert isinstance(answers[4], Answer)
    assert "findings" in json.loads(answers[4].text)


@pytest.mark.skipif(not Path("/proc").is_dir(), reason="finds processes by /proc")
def test_a_process_that_dies_of_a_batch_costs_nobody_an_answer(package: Path, tmp_path: Path) -> None:
    async def talk() -> list[Answer | XrayToolsError]:
        desk, _ = desk_at(package, tmp_path, warm=False, batch_wait_s=0.05)
        async with desk.open():
            await desk.ask(call(picture(20)))
            before = desk.noted_batch

            def kill_at_a_batch(size: int) -> None:
                before(size)
                if size == 4:
                    for pid in screening_pids_of(os.getpid()):
                        os.kill(pid, signal.SIGKILL)

            desk.noted_batch = kill_at_a_batch
            return await outcomes(desk, [call(picture(level)) for level in LEVELS[:4]])

    answers = anyio.run(talk)
    assert all(isinstance(answer, Answer) for answer in answers)
