"""The published schemas: what a caller can have an answer in, and which of our tools a caller offers back."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import cache
from typing import Any

from pydantic import BaseModel

from xray_agent_tools.tools import TOOLS, ToolSpec
from xray_servers.http.openai.conversation import OfferedTool
from xray_servers.http.openai.structure import accepts_all_of

ANSWERS = ", ".join(tool.output_model.__name__ for tool in TOOLS)
"""Names of the published answers, for people."""

NAMES = ", ".join(tool.name for tool in TOOLS)
"""Names of the published tools, for people."""


def tool_answering(schema: Mapping[str, Any]) -> ToolSpec | None:
    """The tool whose answer a schema describes; None for any other schema."""
    return _first(lambda tool: accepts_all_of(schema, _schema_of(tool.output_model)))


def tool_offered(function: OfferedTool) -> ToolSpec | None:
    """The published tool that a caller's function is; None for any other function."""
    return _first(
        lambda tool: tool.name == function.name and accepts_all_of(function.parameters, _schema_of(tool.input_model))
    )


def _first(fits: Callable[[ToolSpec], bool]) -> ToolSpec | None:
    return next((tool for tool in TOOLS if fits(tool)), None)


@cache
def _schema_of(model: type[BaseModel]) -> dict[str, Any]:
    return model.model_json_schema()
