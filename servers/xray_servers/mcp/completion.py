"""Suggestions for the arguments of prompts and resource addresses."""

from __future__ import annotations

from mcp.server import MCPServer
from mcp.types import (
    Completion,
    CompletionArgument,
    CompletionContext,
    PromptReference,
    ResourceTemplateReference,
)

from xray_agent_tools.declaration.policy import embedded_policies
from xray_agent_tools.taxonomy import taxonomy
from xray_servers.desk import ScreeningDesk
from xray_servers.mcp.resources import kept_scans

_MOST = 100


def add_completion(server: MCPServer, desk: ScreeningDesk) -> None:
    """Complete labels, policies and the ids of kept scans."""

    @server.completion()  # type: ignore[no-untyped-call, untyped-decorator]
    async def complete(
        reference: PromptReference | ResourceTemplateReference,
        argument: CompletionArgument,
        context: CompletionContext | None,
    ) -> Completion:
        match argument.name:
            case "label":
                known = list(taxonomy().labels)
            case "policy":
                known = embedded_policies()
            case "name" if isinstance(reference, ResourceTemplateReference):
                known = embedded_policies()
            case "scan" | "scan_id":
                known = await kept_scans(desk)
            case _:
                known = []
        fitting = [value for value in known if value.startswith(argument.value)]
        return Completion(values=fitting[:_MOST], total=len(fitting), has_more=len(fitting) > _MOST)
