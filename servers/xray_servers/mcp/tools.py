"""The tools of the registry as tools of the protocol."""

from __future__ import annotations

import itertools
import logging
import time
from collections.abc import Awaitable, Callable
from typing import Any

from mcp.server.auth.middleware.auth_context import get_access_token
from mcp.server.mcpserver import Context
from mcp.server.mcpserver.tools import Tool
from mcp.server.mcpserver.utilities.func_metadata import ArgModelBase, FuncMetadata
from mcp.types import CallToolResult, ToolAnnotations
from pydantic import ConfigDict

from xray_agent_tools.errors import XrayToolsError
from xray_agent_tools.tools import TOOLS, VIEW_SCAN, ToolSpec
from xray_servers.access import owner_of
from xray_servers.desk import Heard
from xray_servers.mcp.rendering import answered, failed
from xray_servers.screening import Answer, ToolCall

logger = logging.getLogger(__name__)


class _Unchecked(ArgModelBase):
    """Arguments as they came: the tool checks them itself, so that its error is like every other one."""

    model_config = ConfigDict(extra="allow")

    def model_dump_one_level(self) -> dict[str, Any]:
        return {"arguments": dict(self.model_extra or {})}


Ask = Callable[[ToolCall, Heard], Awaitable[Answer]]
"""Has a call carried out, and tells each step."""


def published(ask: Ask) -> list[Tool]:
    """Every tool of the registry."""
    return [_published(spec, ask) for spec in (*TOOLS, VIEW_SCAN)]


def _published(spec: ToolSpec, ask: Ask) -> Tool:
    async def call(arguments: dict[str, Any], ctx: Context) -> CallToolResult:
        numbers = itertools.count(1)

        async def heard(step: str) -> None:
            await ctx.report_progress(next(numbers), message=step)

        started = time.perf_counter()
        owner = owner_of(get_access_token())
        try:
            answer = await ask(ToolCall(spec.name, arguments, owner), heard)
        except XrayToolsError as error:
            _log(spec.name, owner, error.code, started)
            return failed(error)
        _log(spec.name, owner, "answered", started)
        return answered(answer)

    output = None if spec is VIEW_SCAN else spec.output_model.model_json_schema()
    return Tool(
        fn=call,
        name=spec.name,
        title=spec.title,
        description=spec.description,
        parameters=spec.input_model.model_json_schema(),
        fn_metadata=FuncMetadata(arg_model=_Unchecked, output_schema=output),
        is_async=True,
        context_kwarg="ctx",
        annotations=ToolAnnotations(
            title=spec.title,
            read_only_hint=spec.read_only,
            destructive_hint=not spec.read_only,
            idempotent_hint=spec.idempotent,
            open_world_hint=spec.open_world,
        ),
    )


def _log(tool: str, owner: str, outcome: str, started: float) -> None:
    """Who asked for what and what came of it; never a path, a picture or what a traveller declared."""
    logger.info("%s by %s: %s in %.0f ms", tool, owner or "-", outcome, (time.perf_counter() - started) * 1000)
