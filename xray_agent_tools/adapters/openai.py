"""OpenAI function calling: definitions for ``tools=``, and an answer for each call.

The ``openai`` package is not needed; the definitions are plain dictionaries.
"""

from __future__ import annotations

from typing import Any, Literal

from xray_agent_tools.adapters.calls import answer_call, strict_schema
from xray_agent_tools.screener import Screener
from xray_agent_tools.tools import TOOLS


def tools(*, api: Literal["chat", "responses"] = "chat") -> list[dict[str, Any]]:
    """Strict function definitions for Chat Completions or for Responses."""
    definitions = [
        {
            "name": tool.name,
            "description": tool.description,
            "parameters": strict_schema(tool.input_model),
            "strict": True,
        }
        for tool in TOOLS
    ]
    if api == "responses":
        return [{"type": "function", **definition} for definition in definitions]
    return [{"type": "function", "function": definition} for definition in definitions]


def call_tool(name: str, arguments: str | dict[str, Any], *, screener: Screener | None = None) -> str:
    """Answer a tool call as the text of a ``tool`` message.

    An error comes back as ``{"error": {"code", "message", "hint"}}``, so that the model can correct its call.

    Args:
        name: name of the function called.
        arguments: its arguments, as JSON text or as an object.
        screener: who answers; the shared screener when not given.
    """
    return answer_call(name, arguments, screener)[0]
