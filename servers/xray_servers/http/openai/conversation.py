"""A conversation as every model here understands it, whichever API it came through."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Literal, Protocol

from xray_servers.http.callers import Caller

FinishReason = Literal["stop", "tool_calls", "length"]


@dataclass(frozen=True, slots=True)
class OfferedTool:
    """A function that the caller offers."""

    name: str
    description: str
    parameters: dict[str, Any]
    strict: bool = False


@dataclass(frozen=True, slots=True)
class AnswerFormat:
    """What the caller wants the answer to be: ``json_object`` or a named JSON schema."""

    kind: Literal["text", "json_object", "json_schema"] = "text"
    name: str = ""
    schema: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class ToolResult:
    """What the caller's own run of a tool gave."""

    call_id: str
    text: str


@dataclass(frozen=True, slots=True)
class Conversation:
    """A request to a model.

    Attributes:
        scans: data URIs or scan_ids of the latest message that holds pictures: the views of one bag.
        text: what the latest user message says besides, stripped; empty for nothing.
        tool_results: results at the end of the conversation, after the latest call of a tool.
        tools: functions that the caller offers.
        forced: name of the function that has to be called; ``*`` for any of them; None for none.
        tools_allowed: False where the caller forbids calls.
        format: what the answer has to be.
        most_tokens: longest answer, or None.
        messages: the whole conversation in the form of chat completions, for a model behind this one.
    """

    scans: tuple[str, ...]
    text: str
    messages: tuple[dict[str, Any], ...]
    tool_results: tuple[ToolResult, ...] = ()
    tools: tuple[OfferedTool, ...] = ()
    forced: str | None = None
    tools_allowed: bool = True
    format: AnswerFormat = field(default_factory=AnswerFormat)
    most_tokens: int | None = None


@dataclass(frozen=True, slots=True)
class ToolCallMade:
    """A call that the model makes of a function the caller offered."""

    call_id: str
    name: str
    arguments: str


@dataclass(frozen=True, slots=True)
class Usage:
    """Tokens that a completion took."""

    prompt: int
    completion: int

    @property
    def total(self) -> int:
        """Both together."""
        return self.prompt + self.completion


@dataclass(frozen=True, slots=True)
class Completion:
    """What a model answers.

    Attributes:
        text: the words, or JSON where a format asks for it.
        calls: calls of the caller's functions, in place of words.
        usage: what it took.
        finish_reason: why it ended.
        answer: the typed answer behind the words, as plain data, where there is one.
        record_id: identifier of the decision's record, where one was made.
        trace: calls of tools that the server itself made on the way: name, arguments, answer, ok, milliseconds.
    """

    text: str
    usage: Usage
    calls: tuple[ToolCallMade, ...] = ()
    finish_reason: FinishReason = "stop"
    answer: dict[str, Any] | None = None
    record_id: str | None = None
    trace: tuple[dict[str, Any], ...] = ()


class ChatModel(Protocol):
    """Something that answers conversations. What it says is on record before it is returned."""

    @property
    def model_id(self) -> str:
        """Its name for clients."""

    @property
    def created(self) -> int:
        """When it was made, in seconds since 1970."""

    async def complete(self, conversation: Conversation, caller: Caller) -> Completion:
        """Answer a conversation.

        Raises:
            XrayToolsError: why it cannot.
        """
