"""A pydantic-ai agent that screens a bag with the tools in its own process.

pip install "pydantic-ai-slim[openai]", set OPENAI_API_KEY (and OPENAI_BASE_URL for another endpoint), then:

    python examples/pydantic_ai_agent.py examples/scans/bag_1.png "Is there anything dangerous in this bag?"
"""

from __future__ import annotations

import asyncio
import os
import sys
from functools import partial
from pathlib import Path
from typing import Any

from openai import AsyncOpenAI
from pydantic_ai import Agent, Tool
from pydantic_ai.models.openai import OpenAIChatModel
from pydantic_ai.providers.openai import OpenAIProvider

from xray_agent_tools import Screener
from xray_agent_tools.adapters import openai as adapter

INSTRUCTIONS = "You help a screening officer. Answer from what the tools return, and name the verdict that they gave."


def tools_of(screener: Screener) -> list[Tool[None]]:
    """The tools as pydantic-ai takes them; it calls them in threads."""

    def call(name: str, /, **arguments: Any) -> str:
        return adapter.call_tool(name, arguments, screener=screener)

    return [
        Tool.from_schema(partial(call, tool["name"]), tool["name"], tool["description"], tool["parameters"])
        for tool in adapter.tools(api="responses")
    ]


def ask(client: AsyncOpenAI, model: str, scan: Path, question: str) -> str:
    """Let the agent answer a question about a scan; the tools read nothing outside its folder."""
    agent = Agent(
        OpenAIChatModel(model, provider=OpenAIProvider(openai_client=client)),
        instructions=INSTRUCTIONS,
        tools=tools_of(Screener(roots=[scan.parent])),
    )
    return asyncio.run(agent.run(f"{question}\nThe scan is the file {scan}.")).output


if __name__ == "__main__":
    print(ask(AsyncOpenAI(), os.environ.get("XRAY_CHAT_MODEL", "gpt-5-mini"), Path(sys.argv[1]), sys.argv[2]))
