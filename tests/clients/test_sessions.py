from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.clients.clients import Client, ClientFailed
from tests.clients.sessions import Sight, converse

CALLER = Client("mcp_2", "mcp")
AGENT = Client("langchain", "langchain-mcp-adapters", has_model=True)
SERVER = {"url": "http://127.0.0.1:1/mcp"}


def interpreter(folder: Path, script: str) -> Path:
    """Stands where a client's interpreter would."""
    path = folder / "python"
    path.write_text("#!/bin/sh\n" + script, encoding="utf-8")
    path.chmod(0o755)
    return path


def test_both_halves_of_a_result_are_seen(tmp_path: Path) -> None:
    result = {"content": [{"type": "text", "text": "words"}], "structuredContent": {"a": 1}, "isError": False}
    answer = json.dumps({"protocol": "2026-07-28", "results": [result]})
    session = converse(CALLER, interpreter(tmp_path, f"echo noise\necho '{answer}'"), SERVER, ["bag.png"], 30)
    assert session.protocol == "2026-07-28"
    assert session.sights == [
        Sight("bag.png", "content", "words", is_error=False),
        Sight("bag.png", "structured", {"a": 1}, is_error=False),
    ]


def test_a_client_that_never_ends_is_stopped(tmp_path: Path) -> None:
    with pytest.raises(ClientFailed, match="time is over"):
        converse(CALLER, interpreter(tmp_path, "exec tail -f /dev/null"), SERVER, ["bag.png"], 0.2)


def test_what_a_failing_client_said_is_kept(tmp_path: Path) -> None:
    with pytest.raises(ClientFailed, match="ended with 3:\nno such server"):
        converse(CALLER, interpreter(tmp_path, "echo no such server >&2; exit 3"), SERVER, ["bag.png"], 30)


def test_a_call_that_does_not_reach_the_model_is_a_failure(tmp_path: Path) -> None:
    python = interpreter(tmp_path, 'echo \'{"protocol": "2025-11-25"}\'')
    with pytest.raises(ClientFailed, match="1 calls, but 0 tool messages"):
        converse(AGENT, python, SERVER, ["bag.png"], 30)
