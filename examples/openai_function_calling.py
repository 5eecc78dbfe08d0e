"""Let a chat model screen a bag through OpenAI function calling.

Set OPENAI_API_KEY (and OPENAI_BASE_URL for another endpoint), then:

    python examples/openai_function_calling.py examples/scans/bag_1.png "Is there anything dangerous in this bag?"
"""

from __future__ import annotations

import os
import sys
from typing import Any

import openai

from xray_agent_tools.adapters import openai as adapter

MOST_ROUNDS = 6


def ask(client: openai.OpenAI, model: str, scan: str, question: str) -> str:
    """Run the tool loop until the model answers in words."""
    messages: list[Any] = [{"role": "user", "content": f"{question}\nThe scan is the file {scan}."}]
    for _ in range(MOST_ROUNDS):
        tools: Any = adapter.tools()
        message = client.chat.completions.create(model=model, messages=messages, tools=tools).choices[0].message
        if not message.tool_calls:
            return message.content or ""
        messages.append(message.model_dump(exclude_none=True))
        for call in message.tool_calls:
            if call.type == "function":
                content = adapter.call_tool(call.function.name, call.function.arguments)
                messages.append({"role": "tool", "tool_call_id": call.id, "content": content})
    raise RuntimeError(f"no answer after {MOST_ROUNDS} rounds of tool calls")


if __name__ == "__main__":
    print(ask(openai.OpenAI(), os.environ.get("XRAY_CHAT_MODEL", "gpt-5-mini"), sys.argv[1], sys.argv[2]))
