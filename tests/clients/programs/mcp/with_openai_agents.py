"""Calls of an agent of the OpenAI Agents SDK."""

from __future__ import annotations

import asyncio
import json
import sys
from typing import Any

from agents import Agent, OpenAIChatCompletionsModel, Runner, set_tracing_disabled
from agents.mcp import MCPServerStdio, MCPServerStreamableHttp
from openai import AsyncOpenAI

# The SDK's own limit of 5 s may be too short for a first call, which loads the detector.
PATIENCE_S = 60


async def converse(server: Any, scans: list[str], model: str) -> dict[str, Any]:
    """Ask the agent about each scan; the protocol version."""
    set_tracing_disabled(True)
    connect = MCPServerStreamableHttp if "url" in server else MCPServerStdio
    chat = OpenAIChatCompletionsModel("scripted", AsyncOpenAI(base_url=model, api_key="none"))
    async with connect(params=server, client_session_timeout_seconds=PATIENCE_S) as tools:
        agent = Agent(name="screener", model=chat, mcp_servers=[tools])
        for scan in scans:
            await Runner.run(agent, scan)
        return {"protocol": tools.session.protocol_version}


if __name__ == "__main__":
    job = json.loads(sys.argv[1])
    print(json.dumps(asyncio.run(converse(job["server"], job["scans"], job["model"]))))
