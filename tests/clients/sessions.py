"""One client's talk with one server, and what its model saw of it."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.clients.clients import Client, ClientFailed
from tests.clients.running import run_program
from tests.library.chat_server import chat_server


@dataclass(frozen=True, slots=True)
class Sight:
    """What a model sees of one call.

    Attributes:
        scan: the scan that was asked about.
        half: ``content`` or ``structured`` of a result, or the ``tool message`` that an agent sends to its model.
        value: what it holds: text, a list of text parts or an object.
        is_error: the result's error flag; None where a tool message carries none.
    """

    scan: str
    half: str
    value: Any
    is_error: bool | None


@dataclass(frozen=True, slots=True)
class Session:
    """A finished talk: the protocol version that was agreed on, and what the model saw."""

    protocol: str
    sights: list[Sight]


def converse(client: Client, python: Path, server: dict[str, Any], scans: Sequence[str], seconds: float) -> Session:
    """Let a client call ``detect_threats`` on each scan.

    An agent gets a scripted model that calls the tool with the scan and then ends its turn; what is sent to the
    model is read from the requests that it receives.

    Args:
        client: which client.
        python: its environment's interpreter.
        server: a command with its arguments, or a URL.
        scans: as the tool's argument names them.
        seconds: after which the client and what it started are killed.

    Raises:
        ClientFailed: its program did not finish, or a call did not reach the model.
    """
    job = {"server": server, "scans": list(scans)}
    if not client.has_model:
        answer = run_program(client, python, job, seconds)
        sights = [
            sight for scan, result in zip(scans, answer["results"], strict=True) for sight in _halves(scan, result)
        ]
        return Session(answer["protocol"], sights)
    with chat_server(*(turn for scan in scans for turn in (_call(scan), "Noted."))) as (url, requests):
        answer = run_program(client, python, {**job, "model": url}, seconds)
    seen = [message["content"] for request in requests for message in request["messages"] if message["role"] == "tool"]
    if len(seen) != len(scans):
        raise ClientFailed(f"{len(scans)} calls, but {len(seen)} tool messages reached the model")
    return Session(
        answer["protocol"],
        [Sight(scan, "tool message", value, None) for scan, value in zip(scans, seen, strict=True)],
    )


def _call(scan: str) -> dict[str, Any]:
    function = {"name": "detect_threats", "arguments": json.dumps({"scan": scan})}
    return {"content": None, "tool_calls": [{"id": "call_1", "type": "function", "function": function}]}


def _halves(scan: str, result: dict[str, Any]) -> list[Sight]:
    is_error = bool(result["isError"])
    text = "\n".join(block["text"] for block in result["content"] if block["type"] == "text")
    content = Sight(scan, "content", text, is_error)
    return [content] if is_error else [content, Sight(scan, "structured", result["structuredContent"], is_error)]
