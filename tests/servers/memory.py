"""Servers in this process, spoken to in memory: no port, no pipe, but the real protocol in both of its eras."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from anyio.from_thread import BlockingPortal
from mcp import Client, MCPError
from mcp.client.session import IncomingMessage
from mcp.types import (
    BlobResourceContents,
    CallToolResult,
    Completion,
    GetPromptResult,
    PromptReference,
    ResourceTemplateReference,
    TextContent,
    TextResourceContents,
)
from xray_servers.desk import DeskLimits, ScreeningDesk
from xray_servers.mcp.application import build_server
from xray_servers.screening import ScreeningSettings

ERAS = ("auto", "legacy")
"""How a client opens the conversation: as the revision of 2026 has it, or with the older handshake."""

SCANS = Path(__file__).parents[2] / "examples" / "scans"
"""The simulated scans that ship with the project."""

Step = tuple[float, float | None, str | None]
"""A progress notification: its number, the total, the message."""


@dataclass(frozen=True, slots=True)
class Conversation:
    """A client with its server, spoken to from plain test functions.

    Attributes:
        portal: the event loop that both live in.
        client: the client.
        desk: who answers for the server.
        messages: every message that came without being the answer to a request.
    """

    portal: BlockingPortal
    client: Client
    desk: ScreeningDesk
    messages: list[IncomingMessage]

    def call(self, tool: str, /, **arguments: Any) -> CallToolResult:
        """Call a tool."""
        result: CallToolResult = self.portal.call(self.client.call_tool, tool, arguments)
        return result

    def call_with_steps(self, tool: str, /, **arguments: Any) -> tuple[CallToolResult, list[Step]]:
        """Call a tool and ask for progress."""
        steps: list[Step] = []

        async def heard(progress: float, total: float | None, message: str | None) -> None:
            steps.append((progress, total, message))

        result = self.portal.call(self.client.call_tool, tool, arguments, None, heard)
        return result, steps

    def read(self, uri: str) -> TextResourceContents | BlobResourceContents:
        """Read a resource of one part."""
        (content,) = self.portal.call(self.client.read_resource, uri).contents
        return content

    def refusal_of(self, uri: str) -> MCPError:
        """The error that reading a resource ends with."""
        try:
            content = self.read(uri)
        except MCPError as error:
            return error
        raise AssertionError(f"{uri} was read: {str(content)[:200]}")

    def prompt(self, name: str, arguments: dict[str, str]) -> GetPromptResult:
        """Get a prompt, filled in."""
        return self.portal.call(self.client.get_prompt, name, arguments)

    def completion(self, reference: PromptReference | ResourceTemplateReference, name: str, value: str) -> Completion:
        """What is suggested for an argument that begins with a value."""
        return self.portal.call(self.client.complete, reference, {"name": name, "value": value}).completion


@contextmanager
def conversation(portal: BlockingPortal, era: str, shelf: Path, *roots: Path) -> Iterator[Conversation]:
    """Talk to a server of its own. Servers in one event loop share their screening processes.

    Args:
        portal: the event loop.
        era: one of :data:`ERAS`.
        shelf: folder that the server keeps scans in.
        roots: folders that it reads scans from; :data:`SCANS` when not given.
    """
    settings = ScreeningSettings(roots=roots or (SCANS,), shelf=shelf)
    desk = ScreeningDesk(settings, DeskLimits(warm=False))
    messages: list[IncomingMessage] = []

    async def keep(message: IncomingMessage) -> None:
        messages.append(message)

    server = build_server(desk, log_level="ERROR")
    with portal.wrap_async_context_manager(Client(server, mode=era, message_handler=keep)) as client:
        yield Conversation(portal, client, desk, messages)


def text_of(result: CallToolResult) -> str:
    """The one text of a result."""
    (text,) = [block.text for block in result.content if isinstance(block, TextContent)]
    return text


def answer_of(result: CallToolResult) -> dict[str, Any]:
    """The data of a result that is no error, but for what depends on the clock."""
    assert not result.is_error, text_of(result)
    return without_timing(json.loads(text_of(result)))


def error_of(result: CallToolResult) -> dict[str, Any]:
    """Code, message and hint of a failed call, which carries nothing that could be taken for an answer."""
    assert result.is_error
    assert result.structured_content is None
    assert [block.type for block in result.content] == ["text"]
    ((name, error),) = json.loads(text_of(result)).items()
    assert name == "error"
    assert isinstance(error, dict)
    return error


def without_timing(answer: Mapping[str, Any]) -> dict[str, Any]:
    """An answer without what depends on the clock."""
    return {
        name: without_timing(value) if isinstance(value, dict) else value
        for name, value in answer.items()
        if name != "timing_ms"
    }
