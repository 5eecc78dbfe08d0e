"""Others' programs and the running server: OpenAI's packages, as its page says to use them, and CompatCanary."""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.request import urlopen

import openai
import pytest
import xray_servers.http
from xray_servers.http.cli import main as serve_command

from tests.conftest import ROOT
from tests.library.chat_server import chat_server
from tests.servers.running import PATIENCE_S, wait_until
from xray_agent_tools import detect_threats
from xray_agent_tools.errors import TABLE

PAGE = (ROOT / "docs" / "openai.md").read_text(encoding="utf-8")
SCRIPTS = Path(sys.executable).parent
ORIGIN = "http://127.0.0.1:8000"
"""Where the page has the server; the tests put another port into it."""

SCAN = "examples/scans/bag_1.png"
_SERVES = re.compile(r"serves (http://\S+)/v1 ")


@dataclass(frozen=True, slots=True)
class Place:
    """A folder in which the page's blocks run as they would in a checkout, beside a server that was started there.

    Attributes:
        folder: has ``.venv`` and ``examples``, and takes what the blocks write.
        origin: the server's scheme, address and port.
        node: folder with ``node_modules``.
    """

    folder: Path
    origin: str
    node: Path

    def said_by(self, *command: str) -> str:
        """Run a command in the folder; gives what it prints."""
        return self.run(*command, check=True).stdout

    def run(self, *command: str, check: bool = False) -> subprocess.CompletedProcess[str]:
        done = subprocess.run(
            command, cwd=self.folder, env=environment(self), capture_output=True, text=True, timeout=PATIENCE_S
        )
        assert not check or done.returncode == 0, done.stderr + done.stdout
        return done

    def literally(self, block: str) -> str:
        """A block of the page, but for the server's port."""
        return block.replace(ORIGIN, self.origin)


def environment(place: Place) -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("XRAY_", "OPENAI_"))}
    path = os.pathsep.join((str(place.node / "node_modules" / ".bin"), kept.get("PATH", os.defpath)))
    return kept | {"PATH": path, "NO_PROXY": "127.0.0.1", "OPENAI_BASE_URL": f"{place.origin}/v1"}


def blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```$", PAGE, re.DOTALL | re.MULTILINE)


def node_folder() -> Path:
    return Path(os.environ.get("XRAY_NODE") or ROOT / "out" / "node").resolve()


@contextmanager
def serving(folder: Path, *options: str) -> Iterator[str]:
    """Run ``xray-serve`` in a folder on a free port of loopback; gives its origin."""
    log = folder / "server.log"
    with log.open("wb") as output:
        server = subprocess.Popen(
            [SCRIPTS / "xray-serve", "--port", "0", *options],
            cwd=folder,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            env={name: value for name, value in os.environ.items() if not name.startswith("XRAY_")},
        )
    try:

        def said() -> re.Match[str] | None:
            return _SERVES.search(log.read_text(encoding="utf-8"))

        wait_until(lambda: said() is not None or server.poll() is not None, "the server's first line")
        line = said()
        assert line is not None, log.read_text(encoding="utf-8")
        with urlopen(f"{line[1]}/healthz", timeout=PATIENCE_S) as answer:
            assert answer.status == 200
        yield line[1]
    finally:
        server.terminate()
        try:
            server.wait(PATIENCE_S)
        finally:
            server.kill()
            server.wait()


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    folder, node = tmp_path_factory.mktemp("checkout"), node_folder()
    (folder / ".venv").mkdir()
    (folder / ".venv" / "bin").symlink_to(SCRIPTS)
    (folder / "examples").symlink_to(ROOT / "examples")
    if (node / "node_modules").is_dir():
        (folder / "node_modules").symlink_to(node / "node_modules")
    with serving(folder) as origin:
        yield Place(folder, origin, node)


@pytest.fixture(scope="module")
def node(place: Place) -> Place:
    """The place, if Node.js and OpenAI's package are there."""
    if shutil.which("node", path=environment(place)["PATH"]) is None:
        pytest.skip("there is no node: run 'make conformance' once, or set XRAY_NODE")
    if not (place.folder / "node_modules" / "openai").is_dir():
        pytest.skip(f"no openai in {place.node}: run 'make conformance' once, or set XRAY_NODE")
    return place


@pytest.fixture(scope="module")
def words() -> str:
    """How what Python says of the scan begins in words."""
    report = detect_threats(ROOT / SCAN)
    return f"Verdict: {report.verdict}. {report.summary}"


def test_the_curl_blocks_of_the_page_do_what_they_say(place: Place) -> None:
    said = [place.said_by("bash", "-euo", "pipefail", "-c", place.literally(block)) for block in blocks("bash")]
    first, chat, rest, feedback, keys, operation = said
    direct = detect_threats(ROOT / SCAN).model_dump(mode="json")
    assert without_timing(json.loads(first)) == without_timing(direct)
    kept, completion = map(json.loads, re.split(r"(?<=})\s*(?={\"id\")", chat))
    assert kept["scan_id"] == direct["scan_id"]
    assert f"Verdict: {direct['verdict']}" in completion["choices"][0]["message"]["content"]
    assert inspected(rest)["recommended_action"] in {"REVIEW", "PHYSICAL_INSPECTION"}
    assert sorted(re.findall(r'"status":(\d+)', rest)) == ["200", "404"]
    assert (place.folder / "alarm.jpg").read_bytes().startswith(b"\xff\xd8")
    assert json.loads(feedback)["about"].startswith("record-")
    assert keys.count("added to tokens.txt") == 2
    assert '{"status":"alive"}{"status":"ready"}' in operation
    assert 'xray_verdicts_total{verdict="ALARM"}' in operation


def test_the_error_on_the_page_is_the_one_that_is_given(place: Place) -> None:
    [block] = blocks("json")
    with pytest.raises(openai.BadRequestError) as refused:
        openai.OpenAI(base_url=f"{place.origin}/v1", api_key="none").chat.completions.create(
            model="xray-screener", messages=[{"role": "user", "content": "Good morning."}]
        )
    stated, given = json.loads(block)["error"], refused.value.body
    assert isinstance(given, dict)
    assert given.pop("hint").startswith(stated.pop("hint").removesuffix("..."))
    assert given == stated


def without_timing(report: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in report.items() if name != "timing_ms"}


def inspected(text: str) -> dict[str, Any]:
    """The first of several JSON texts."""
    answer, _ = json.JSONDecoder().raw_decode(text)
    assert isinstance(answer, dict)
    return answer


def test_the_python_blocks_of_the_page_do_what_they_say(place: Place, words: str) -> None:
    said = place.said_by(sys.executable, "-W", "error", "-c", place.literally("\n\n".join(blocks("python"))))
    assert said.count(words) == 4
    assert re.search(r"^(REVIEW|PHYSICAL_INSPECTION) record-[0-9a-f]{32}$", said, re.MULTILINE)
    for detection in detect_threats(ROOT / SCAN).detections:
        assert f"{detection.id} {detection.label} {detection.box}" in said
    assert "CompletionUsage(" in said


def test_the_javascript_block_of_the_page_does_what_it_says(node: Place, words: str) -> None:
    [block] = blocks("js")
    (node.folder / "screen.mjs").write_text(node.literally(block), encoding="utf-8")
    assert node.said_by("node", "screen.mjs").startswith(words)


def test_the_javascript_example_runs_and_names_an_error(node: Place, words: str) -> None:
    program = str(shutil.copy(ROOT / "examples" / "openai_chat.mjs", node.folder))
    assert node.said_by("node", program, SCAN).startswith(words)
    failed = node.run("node", program, "examples/make_scans.py")
    assert failed.returncode == 1
    assert failed.stderr.startswith("BadRequestError: 400 ")


def test_the_python_example_runs_and_names_an_error(place: Place, words: str) -> None:
    program = "examples/openai_chat.py"
    assert place.said_by(sys.executable, program, SCAN).startswith(words)
    assert "Verdict: ALARM" in place.said_by(sys.executable, program, SCAN, "Where is the gun?")
    failed = place.run(sys.executable, program, "examples/make_scans.py")
    assert failed.returncode == 1
    assert failed.stderr.startswith("BadRequestError: ")


@pytest.mark.parametrize("command", re.findall(r"^\.venv/bin/xray-serve.*$", PAGE, re.MULTILINE))
def test_every_command_of_the_page_can_be_given(command: str) -> None:
    _, *arguments = shlex.split(command)
    with serve_command.make_context("xray-serve", arguments, resilient_parsing=False) as context:
        assert context.params["port"] == 8000


def test_every_option_that_the_page_names_is_there() -> None:
    known = {name for parameter in serve_command.params for name in parameter.opts} | {"--scope", "--file"}
    named = set(re.findall(r"`(--[a-z-]+)", PAGE))
    assert named
    assert named <= known


OBLIGING: tuple[Any, ...] = (
    "CANARY_OK",
    "CANARY_OK",
    {
        "content": None,
        "tool_calls": [
            {
                "id": "call_1",
                "type": "function",
                "function": {"name": "compatcanary_echo", "arguments": '{"value": "CANARY_OK"}'},
            }
        ],
    },
    '{"status": "ok"}',
    "CANARY_OK",
)
"""What a chat model says to CompatCanary's probes, in their order."""


def canary(place: Place, origin: str, model: str) -> dict[str, Any]:
    """What CompatCanary's default profile says of a model."""
    program = place.node / "node_modules" / ".bin" / "compatcanary"
    if not program.exists():
        pytest.skip(f"no compatcanary in {place.node}: run 'make conformance' once, or set XRAY_NODE")
    said = place.said_by(
        str(program), "scan", "--base-url", f"{origin}/v1", "--model", model, "--format", "json", "--fail-on", "never"
    )
    report: dict[str, Any] = json.loads(said)
    return report


def test_the_defaults_on_the_page_are_the_command_s() -> None:
    stated = dict(re.findall(r"^\| [^|]+ \| `(--[a-z-]+)` \| `?([\w.-]+)", PAGE, re.MULTILINE))
    assert len(stated) > 5
    with serve_command.make_context("xray-serve", []) as context:
        for parameter in serve_command.params:
            default = stated.pop(parameter.opts[0], None)
            assert default in (None, shown(context.params.get(parameter.name or "")))
    assert not stated


def shown(value: object) -> str:
    """A default as the page has it."""
    if value == ():
        return "none"
    return f"{value:g}" if isinstance(value, float) else str(value)


def test_the_page_has_every_refusal_of_the_server_s_own() -> None:
    rows = re.findall(r"^\| (4\d\d) \| (`.+`) \|$", PAGE, re.MULTILINE)
    stated = {(status, code) for status, codes in rows for code in re.findall(r"`(\w+)`", codes)}
    sources = "".join(path.read_text(encoding="utf-8") for path in Path(xray_servers.http.__path__[0]).rglob("*.py"))
    raised = set(re.findall(r"Refused\(\s*(\d+),\s*\"(\w+)\"", sources)) | {
        ("404", "not_found"),
        ("405", "method_not_allowed"),
    }
    of_tools = {error.code for error in TABLE}
    assert stated == {(status, code) for status, code in raised if code not in of_tools}


@pytest.mark.slow
def test_compatcanary_finds_the_agent_wholly_compatible(node: Place, tmp_path: Path) -> None:
    with (
        chat_server(*OBLIGING) as (url, requests),
        serving(tmp_path, "--agent-url", url, "--agent-model", "scripted") as origin,
    ):
        report = canary(node, origin, "xray-agent")
    assert report["score"] == 100, report["results"]
    assert requests[2]["tool_choice"] == {"type": "function", "function": {"name": "compatcanary_echo"}}
    assert requests[3]["response_format"]["json_schema"]["name"] == "compatcanary_status"


@pytest.mark.slow
def test_compatcanary_is_refused_by_the_screener_where_it_sends_no_scan_or_wants_what_is_none_of_its_answers(
    node: Place,
) -> None:
    report = canary(node, node.origin, "xray-screener")
    refused = {
        probe["id"]: (probe["error"]["httpStatus"], json.loads(probe["error"]["responseBody"])["error"]["code"])
        for probe in report["results"]
        if probe["status"] != "pass"
    }
    assert refused == {
        "chat.basic": (400, "no_scan"),
        "chat.streaming": (400, "no_scan"),
        "chat.tool_call": (400, "unsupported_tool"),
        "chat.structured_output": (400, "unsupported_schema"),
        "responses.basic": (400, "no_scan"),
        "responses.streaming": (400, "no_scan"),
    }
