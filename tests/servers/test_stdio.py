"""Over standard input and output there is the protocol and nothing else, and at the end there is nothing left."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from textwrap import dedent
from threading import Timer
from typing import IO, Any

import anyio
import pytest
from mcp import Client
from mcp.types import CallToolResult, TextContent, jsonrpc_message_adapter

from tests.conftest import ROOT
from tests.servers.running import COMMAND, PATIENCE_S, is_alive, over_stdio, screening_pids_of, wait_until

SCANS = ROOT / "examples" / "scans"
SCAN = "bag_1.png"
ERAS = ["auto", "legacy"]
VERSIONS = {"auto": "2026-07-28", "legacy": "2025-11-25"}

NOISE = b"what a lovely day\n"

IN_THE_SERVER = '''
    """Noise on standard output by whatever the server imports, all the time from then on, and at its end."""

    import atexit, os, sys, threading, time

    NOISE = b"what a lovely day\\n"

    def by_python():
        print(NOISE.decode(), end="")
        sys.__stdout__.write(NOISE.decode())

    def below_python():
        os.write(1, NOISE)

    def all_the_time():
        while True:
            below_python()
            by_python()
            time.sleep(0.002)

    class Noisy:
        heard = set()

        def find_spec(self, name, path=None, target=None):
            if name in {"mcp", "mcp.server", "starlette", "pydantic_settings", "xray_servers.desk"} - self.heard:
                if not self.heard:
                    atexit.register(below_python)
                    atexit.register(by_python)
                    threading.Thread(target=all_the_time, daemon=True).start()
                self.heard.add(name)
                below_python()
                by_python()

    if os.path.basename(sys.argv[0]) == "xray-mcp":
        sys.meta_path.insert(0, Noisy())
'''

IN_THE_SCREENING_PROCESS = '''
    """Noise on standard output by what a screening process imports, and by a thread from then on."""

    import os, sys, threading, time

    def all_the_time():
        while True:
            os.write(1, b"what a lovely day\\n")
            time.sleep(0.002)

    class Noisy:
        def find_spec(self, name, path=None, target=None):
            if name == "onnxruntime":
                print("what a lovely day", flush=True)
                os.write(1, b"what a lovely day\\n")
                threading.Thread(target=all_the_time, daemon=True).start()
                sys.meta_path.remove(self)

    sys.meta_path.insert(0, Noisy())
'''

pytestmark = pytest.mark.skipif(not Path("/proc/self/stat").is_file(), reason="processes are looked up in /proc")


@dataclass
class Conversation:
    """A server on the other side of two pipes, spoken to line by line."""

    process: subprocess.Popen[bytes]
    requests: IO[bytes]
    answers: IO[bytes]
    era: str
    lines: list[bytes]

    def ask(self, number: int, method: str, **params: Any) -> dict[str, Any]:
        """Send a request; its answer."""
        self.tell(method, number, **params)
        while line := self.answers.readline():
            self.lines.append(line)
            if line.startswith(b"{") and json.loads(line).get("id") == number:
                answer: dict[str, Any] = json.loads(line)
                return answer
        raise AssertionError(f"no answer, but {self.lines}")

    def tell(self, method: str, number: int | None = None, **params: Any) -> None:
        """Send a message."""
        if self.era == "auto":
            params["_meta"] = {
                "io.modelcontextprotocol/protocolVersion": VERSIONS[self.era],
                "io.modelcontextprotocol/clientInfo": {"name": "test", "version": "0"},
                "io.modelcontextprotocol/clientCapabilities": {},
            }
        message = {"jsonrpc": "2.0", "method": method, "params": params}
        self.requests.write(json.dumps(message if number is None else {**message, "id": number}).encode() + b"\n")
        self.requests.flush()

    def greet(self) -> None:
        """What a client of the era does first."""
        if self.era == "legacy":
            me = {"name": "test", "version": "0"}
            self.ask(1, "initialize", protocolVersion=VERSIONS[self.era], capabilities={}, clientInfo=me)
            self.tell("notifications/initialized")
        else:
            self.ask(1, "server/discover")

    def hang_up(self) -> list[bytes]:
        """Close the server's input and wait for its end; every line that it ever wrote."""
        self.requests.close()
        self.lines += self.answers.readlines()
        self.process.wait(PATIENCE_S)
        return self.lines


@contextmanager
def conversation(folder: Path, era: str, *options: str, **env: str) -> Iterator[Conversation]:
    """Start a server that has its home and its temporary files in a folder."""
    places = {"TMPDIR": folder / "tmp", "HOME": folder / "home"}
    for place in places.values():
        place.mkdir()
    plain = {name: value for name, value in os.environ.items() if not name.startswith("XRAY_")}
    with (
        (folder / "log").open("wb") as log,
        subprocess.Popen(
            [COMMAND, "--root", str(SCANS), *options],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=log,
            env=plain | {name: str(place) for name, place in places.items()} | env,
        ) as process,
    ):
        assert process.stdin is not None
        assert process.stdout is not None
        # A server that says nothing more must not hold the tests up for ever.
        watchdog = Timer(2 * PATIENCE_S, process.kill)
        watchdog.start()
        try:
            yield Conversation(process, process.stdin, process.stdout, era, [])
        finally:
            watchdog.cancel()
            process.kill()


@pytest.fixture(params=ERAS)
def era(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def noise_on_path(folder: Path, text: str) -> str:
    """A folder for PYTHONPATH with a module that every Python imports first."""
    place = folder / "noise"
    place.mkdir()
    (place / "sitecustomize.py").write_text(dedent(text))
    return str(place)


def assert_protocol(lines: list[bytes]) -> None:
    assert lines
    for line in lines:
        jsonrpc_message_adapter.validate_json(line, by_name=False)


def verdict_in(answer: dict[str, Any]) -> str:
    result = answer["result"]
    assert not result.get("isError"), result
    return str(result["structuredContent"]["verdict"])


def detect(server: Conversation, number: int, scan: str = SCAN) -> dict[str, Any]:
    return server.ask(number, "tools/call", name="detect_threats", arguments={"scan": scan})


def what_is_left(folder: Path) -> list[Path]:
    """What a server has left in its temporary folder and at home."""
    return [path for place in ("tmp", "home") for path in (folder / place).rglob("*")]


def test_whatever_prints_in_the_server_the_wire_carries_only_the_protocol(tmp_path: Path, era: str) -> None:
    with conversation(tmp_path, era, PYTHONPATH=noise_on_path(tmp_path, IN_THE_SERVER)) as server:
        server.greet()
        assert len(server.ask(2, "tools/list")["result"]["tools"]) == 4
        assert verdict_in(detect(server, 3)) == "ALARM"
        lines = server.hang_up()
    assert_protocol(lines)
    assert (tmp_path / "log").read_bytes().count(NOISE) > 20
    assert server.process.returncode == 0


def test_whatever_prints_in_a_screening_process_the_scan_is_looked_at(tmp_path: Path, era: str) -> None:
    with conversation(tmp_path, era, PYTHONPATH=noise_on_path(tmp_path, IN_THE_SCREENING_PROCESS)) as server:
        server.greet()
        assert verdict_in(detect(server, 2)) == "ALARM"
        assert verdict_in(detect(server, 3)) == "ALARM"
        assert_protocol(server.hang_up())


def test_what_the_server_says_to_people_goes_to_standard_error(tmp_path: Path) -> None:
    with conversation(tmp_path, "legacy", "--log-level", "DEBUG") as server:
        server.greet()
        detect(server, 2)
        assert_protocol(server.hang_up())
    assert b"detect_threats" in (tmp_path / "log").read_bytes()


def test_a_line_that_is_no_message_does_not_end_the_conversation(tmp_path: Path, era: str) -> None:
    with conversation(tmp_path, era) as server:
        server.greet()
        server.requests.write(b"what a lovely day\n\n\xff\xfe\n{}\n[]\n")
        server.requests.flush()
        assert len(server.ask(2, "tools/list")["result"]["tools"]) == 4
        assert_protocol(server.hang_up())


def test_when_the_client_hangs_up_nothing_is_left(tmp_path: Path, era: str) -> None:
    with conversation(tmp_path, era, "--workers", "2") as server:
        server.greet()
        assert verdict_in(detect(server, 2)) == "ALARM"
        assert list((tmp_path / "tmp").glob("xray-*"))
        pids = [server.process.pid, *screening_pids_of(server.process.pid)]
        assert len(pids) > 1
        assert_protocol(server.hang_up())
    assert server.process.returncode == 0
    wait_until(lambda: not any(map(is_alive, pids)), "the end of all processes")
    assert what_is_left(tmp_path) == []


def test_when_the_client_hangs_up_in_mid_call_nothing_is_left(tmp_path: Path, era: str) -> None:
    with conversation(tmp_path, era) as server:
        server.greet()
        wait_until(lambda: bool(screening_pids_of(server.process.pid)), "a screening process")
        pids = [server.process.pid, *screening_pids_of(server.process.pid)]
        for number, scan in enumerate(sorted(SCANS.glob("*.png")), start=2):
            server.tell("tools/call", number, name="detect_threats", arguments={"scan": scan.name})
        assert_protocol(server.hang_up())
    wait_until(lambda: not any(map(is_alive, pids)), "the end of all processes")
    assert what_is_left(tmp_path) == []


def test_when_nobody_ever_speaks_nothing_is_left(tmp_path: Path) -> None:
    with conversation(tmp_path, "legacy") as server:
        assert server.hang_up() == []
    assert server.process.returncode == 0
    assert what_is_left(tmp_path) == []


def ask_once(era: str, tool: str, *options: str, **arguments: Any) -> CallToolResult:
    """Call a tool as a client does that starts the server itself."""

    async def talk() -> CallToolResult:
        with anyio.fail_after(2 * PATIENCE_S):
            async with Client(over_stdio("--root", str(SCANS), *options), mode=era) as client:
                return await client.call_tool(tool, arguments)

    return anyio.run(talk)


def test_a_client_that_starts_the_server_itself_screens_a_bag(era: str) -> None:
    result = ask_once(era, "detect_threats", scan=SCAN)
    assert not result.is_error
    assert result.structured_content is not None
    assert result.structured_content["verdict"] == "ALARM"
    [block] = result.content
    assert isinstance(block, TextContent)
    assert json.loads(block.text) == result.structured_content


def test_a_server_without_its_model_starts_and_its_tools_say_so(tmp_path: Path, era: str) -> None:
    result = ask_once(era, "detect_threats", "--model", str(tmp_path / "gone"), scan=SCAN)
    assert result.is_error
    assert result.structured_content is None
    [block] = result.content
    assert isinstance(block, TextContent)
    error = json.loads(block.text)["error"]
    assert error["code"] == "model_unavailable"
    assert error["hint"]


def test_a_root_that_is_missing_is_named_at_the_start(tmp_path: Path) -> None:
    tried = subprocess.run(
        [COMMAND, "--root", str(tmp_path / "gone")],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        timeout=PATIENCE_S,
        check=False,
    )
    assert tried.returncode == 2
    assert b"does not exist" in tried.stderr
    assert str(tmp_path / "gone").encode() in tried.stderr.replace(b"\n", b"")
    assert tried.stdout == b""
