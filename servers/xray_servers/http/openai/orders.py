"""What a conversation orders: which tool answers, with what, and in which form."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

from xray_agent_tools.tools import TOOLS, ToolSpec
from xray_servers.http.errors import Refused
from xray_servers.http.openai.conversation import Conversation, OfferedTool
from xray_servers.http.openai.declared import Said, take_apart
from xray_servers.http.openai.published import ANSWERS, NAMES, tool_answering, tool_offered

_DETECT, _EXPLAIN, _ASSESS = TOOLS

Form = Literal["words", "json", "arguments", "call"]
"""In words, as JSON, as the arguments of a function of the caller's, or as a call of the tool for the caller to make."""


@dataclass(frozen=True, slots=True)
class Order:
    """What is to be done.

    Attributes:
        tool: who answers.
        form: how the answer is given.
        function: name of the function to call, for the forms that call one.
    """

    tool: ToolSpec
    form: Form
    function: str = ""


def order_of(conversation: Conversation) -> Order:
    """Who is to answer, and how.

    Raises:
        Refused: the form that is asked for is none that is published.
    """
    usual = _usual(take_apart(conversation.text))
    if conversation.forced is not None:
        return _forced(conversation, usual)
    wanted = conversation.format
    if wanted.kind != "json_schema":
        return Order(usual[0], "words" if wanted.kind == "text" else "json")
    tool = tool_answering(wanted.schema)
    if tool is None:
        raise Refused(
            400,
            "unsupported_schema",
            f"the schema {wanted.name[:80]!r} is none that this model answers in",
            hint=f"use the JSON schema of {ANSWERS} of xray_agent_tools, or response_format json_object",
            param="response_format",
        )
    return Order(tool, "json")


def arguments_for(tool: ToolSpec, conversation: Conversation) -> dict[str, Any]:
    """The arguments that a tool is called with.

    Raises:
        Refused: the conversation holds no scan, or no declaration where one is to be assessed.
    """
    scans = conversation.scans
    if not scans:
        raise Refused(
            400,
            "no_scan",
            "the conversation holds no scan",
            hint="send an image_url part with a data URI (data:image/png;base64,...), or name a kept scan in the text by "
            "its scan_id (scan- and 16 hex digits)",
            param="messages",
        )
    scan: dict[str, Any] = {"scan": scans[0] if len(scans) == 1 else list(scans)}
    if tool is _DETECT:
        return scan
    said = take_apart(conversation.text)
    if tool is _EXPLAIN:
        return scan | {"question": said.words or None}
    if said.declaration is None:
        raise Refused(
            400,
            "no_declaration",
            "an assessment needs a declaration, and the message has none",
            hint="add a line 'Declared: laptop, umbrella', or 'Declared: nothing'",
            param="messages",
        )
    return scan | said.declaration.model_dump()


def _usual(said: Said) -> Sequence[ToolSpec]:
    """Who can answer what a message says, the fittest first."""
    if said.declaration is not None:
        return _ASSESS, _EXPLAIN, _DETECT
    return (_EXPLAIN, _DETECT, _ASSESS) if said.words else (_DETECT, _EXPLAIN, _ASSESS)


def _forced(conversation: Conversation, usual: Sequence[ToolSpec]) -> Order:
    """The call that the caller demands. Where there is a choice, an answer goes before a call that leads to one."""
    named = [function for function in conversation.tools if conversation.forced in (function.name, "*")]
    orders = [order for function in named if (order := _call_of(function)) is not None]
    if not orders:
        raise Refused(
            400,
            "unsupported_tool",
            f"none of these functions can be called: {', '.join(function.name for function in named)[:200]}",
            hint=f"offer {NAMES} with their published parameters, or a function whose parameters are the JSON schema "
            f"of {ANSWERS}; without tool_choice this model answers in words",
            param="tools",
        )
    return min(orders, key=lambda order: (order.form == "call", usual.index(order.tool)))


def _call_of(function: OfferedTool) -> Order | None:
    if (tool := tool_offered(function)) is not None:
        return Order(tool, "call", function.name)
    if (tool := tool_answering(function.parameters)) is not None:
        return Order(tool, "arguments", function.name)
    return None
