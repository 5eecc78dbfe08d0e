"""Calls of a LangChain agent through ``langchain-mcp-adapters``."""

from __future__ import annotations

import asyncio
import json
import sys
from typing import Any

from langchain.agents import create_agent
from langchain_mcp_adapters.client import MultiServerMCPClient
from langchain_mcp_adapters.tools import load_mcp_tools
from langchain_openai import ChatOpenAI


async def converse(server: dict[str, Any], scans: list[str], model: str) -> dict[str, Any]:
    """Ask the agent about each scan; the protocol version."""
    transport = "streamable_http" if "url" in server else "stdio"
    client = MultiServerMCPClient({"xray": {"transport": transport, **server}})
    async with client.session("xray", auto_initialize=False) as session:
        agreed = await session.initialize()
        chat = ChatOpenAI(model="scripted", base_url=model, api_key="none")
        agent = create_agent(chat, await load_mcp_tools(session))
        for scan in scans:
            await agent.ainvoke({"messages": [("user", scan)]})
        return {"protocol": agreed.protocolVersion}


if __name__ == "__main__":
    job = json.loads(sys.argv[1])
    print(json.dumps(asyncio.run(converse(job["server"], job["scans"], job["model"]))))
