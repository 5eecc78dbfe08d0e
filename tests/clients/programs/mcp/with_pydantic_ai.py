"""Calls of a pydantic-ai agent."""

from __future__ import annotations

import asyncio
import json
import sys
from typing import Any

from fastmcp.client.transports import StdioTransport
from pydantic_ai import Agent
from pydantic_ai.mcp import MCPToolset
from pydantic_ai.models.openai import OpenAIChatModel
from pydantic_ai.providers.openai import OpenAIProvider


async def converse(server: dict[str, Any], scans: list[str], model: str) -> dict[str, Any]:
    """Ask the agent about each scan; the protocol version."""
    toolset = MCPToolset(server.get("url") or StdioTransport(**server))
    chat = OpenAIChatModel("scripted", provider=OpenAIProvider(base_url=model, api_key="none"))
    agent = Agent(chat, toolsets=[toolset])
    async with toolset:
        for scan in scans:
            await agent.run(scan)
        return {"protocol": toolset.client.protocol_version}


if __name__ == "__main__":
    job = json.loads(sys.argv[1])
    print(json.dumps(asyncio.run(converse(job["server"], job["scans"], job["model"]))))
