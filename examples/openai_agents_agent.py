"""An agent of the OpenAI Agents SDK that screens a bag with the tools in its own process.

pip install openai-agents, set OPENAI_API_KEY (and OPENAI_BASE_URL for another endpoint), then:

    python examples/openai_agents_agent.py examples/scans/bag_1.png "Is there anything dangerous in this bag?"
"""

from __future__ import annotations

import asyncio
import os
import sys
from functools import partial
from pathlib import Path
from typing import Any

from agents import Agent, FunctionTool, OpenAIChatCompletionsModel, RunConfig, Runner
from agents.tool_context import ToolContext
from openai import AsyncOpenAI

from xray_agent_tools import Screener
from xray_agent_tools.adapters import openai as adapter

INSTRUCTIONS = "You help a screening officer. Answer from what the tools return, and name the verdict that they gave."


def tools_of(screener: Screener) -> list[FunctionTool]:
    """The tools as the SDK takes them."""

    async def call(name: str, _: ToolContext[Any], arguments: str) -> str:
        return await asyncio.to_thread(adapter.call_tool, name, arguments, screener=screener)

    return [
        FunctionTool(
            name=definition["name"],
            description=definition["description"],
            params_json_schema=definition["parameters"],
            on_invoke_tool=partial(call, definition["name"]),
        )
        for definition in adapter.tools(api="responses")
    ]


async def ask(client: AsyncOpenAI, model: str, scan: Path, question: str) -> str:
    """Let the agent answer a question about a scan; the tools read nothing outside its folder."""
    agent = Agent(
        name="screener",
        instructions=INSTRUCTIONS,
        model=OpenAIChatCompletionsModel(model, client),
        tools=list(tools_of(Screener(roots=[scan.parent]))),
    )
    # The SDK's traces would take the conversation to OpenAI, whichever endpoint answers.
    config = RunConfig(tracing_disabled=True)
    done = await Runner.run(agent, f"{question}\nThe scan is the file {scan}.", run_config=config)
    return str(done.final_output)


if __name__ == "__main__":
    chosen = os.environ.get("XRAY_CHAT_MODEL", "gpt-5-mini")
    print(asyncio.run(ask(AsyncOpenAI(), chosen, Path(sys.argv[1]), sys.argv[2])))
