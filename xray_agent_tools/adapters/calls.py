"""What the adapters share: strict schemas, and a call that always comes back as JSON text."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any

from pydantic import BaseModel, ValidationError

from xray_agent_tools.declaration.policy import problems_of
from xray_agent_tools.errors import InvalidArgument, XrayToolsError
from xray_agent_tools.screener import Screener
from xray_agent_tools.tools import TOOLS, run_tool, shared_screener

_LONGEST_ARGUMENTS = 100 * 1024 * 1024
_QUOTED = 80


def strict_schema(model: type[BaseModel]) -> dict[str, Any]:
    """A model's JSON schema under OpenAI's strict rules.

    Every object is closed, every property is required (what is optional is nullable instead) and no
    default is null.
    """
    schema = model.model_json_schema()
    _close(schema)
    return schema


def _close(node: Any) -> None:
    if isinstance(node, dict):
        if node.get("type") == "object" and "properties" in node:
            node["additionalProperties"] = False
            node["required"] = list(node["properties"])
        if "default" in node and node["default"] is None:
            del node["default"]
        for value in node.values():
            _close(value)
    elif isinstance(node, list):
        for value in node:
            _close(value)


def answer_call(name: str, arguments: str | dict[str, Any], screener: Screener | None) -> tuple[str, bool]:
    """Run a tool call.

    Args:
        name: name of the tool.
        arguments: JSON text or an object.
        screener: who answers; the shared one when not given.

    Returns:
        The answer or the error as compact JSON, and whether it is an answer.
    """
    tool = next((tool for tool in TOOLS if tool.name == name), None)
    if tool is None:
        return unknown_tool(name, [tool.name for tool in TOOLS]), False
    try:
        answer = run_tool(tool, read_arguments(arguments), screener or shared_screener())
    except ValidationError as error:
        return _error("invalid_argument", "; ".join(problems_of(error)[:5]), "correct the arguments"), False
    except XrayToolsError as error:
        return error_text(error), False
    return answer.model_dump_json(), True


def read_arguments(arguments: str | dict[str, Any]) -> dict[str, Any]:
    """The arguments of a call as an object.

    Raises:
        InvalidArgument: they are no JSON object, or have more than 100 MiB.
    """
    if not isinstance(arguments, str):
        return arguments
    if len(arguments) > _LONGEST_ARGUMENTS:
        raise InvalidArgument("the arguments are too long", hint="name the scan by its path or its scan_id")
    try:
        values = json.loads(arguments)
    except (ValueError, RecursionError) as error:
        raise InvalidArgument(
            f"the arguments are no JSON: {arguments[:_QUOTED]!r}", hint="send one JSON object"
        ) from error
    if not isinstance(values, dict):
        raise InvalidArgument(f"the arguments are no JSON object: {arguments[:_QUOTED]!r}", hint="send one JSON object")
    return values


def unknown_tool(name: str, known: Iterable[str]) -> str:
    """What a model that calls a tool that is not there is told."""
    return _error(
        "unknown_tool", f"there is no tool {str(name)[:_QUOTED]!r}", f"the tools are {', '.join(known) or 'none'}"
    )


def error_text(error: XrayToolsError) -> str:
    """An error as compact JSON."""
    return json.dumps(error.as_dict(), separators=(",", ":"))


def _error(code: str, message: str, hint: str) -> str:
    return json.dumps({"error": {"code": code, "message": message, "hint": hint}}, separators=(",", ":"))
