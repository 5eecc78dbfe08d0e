"""Anthropic tool use: definitions for ``tools=``, and a result block for each call.

The ``anthropic`` package is not needed; the definitions are plain dictionaries.
"""

from __future__ import annotations

from typing import Any

from xray_agent_tools.adapters.calls import answer_call, strict_schema
from xray_agent_tools.screener import Screener
from xray_agent_tools.tools import TOOLS


def tools() -> list[dict[str, Any]]:
    """Tool definitions with closed schemas."""
    return [
        {
            "name": tool.name,
            "description": tool.description,
            "input_schema": strict_schema(tool.input_model),
            "strict": True,
        }
        for tool in TOOLS
    ]


def call_tool(
    tool_use_id: str, name: str, tool_input: dict[str, Any], *, screener: Screener | None = None
) -> dict[str, Any]:
    """Answer a ``tool_use`` block with a ``tool_result`` block; an error sets ``is_error``.

    Args:
        tool_use_id: identifier of the block.
        name: name of the tool.
        tool_input: its input.
        screener: who answers; the shared screener when not given.
    """
    content, answered = answer_call(name, tool_input, screener)
    return {"type": "tool_result", "tool_use_id": tool_use_id, "content": content, "is_error": not answered}
