"""Calls of an agent of the OpenAI Agents SDK whose model is the server's."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

from agents import Agent, OpenAIChatCompletionsModel, OpenAIResponsesModel, Runner, set_tracing_disabled
from openai import AsyncOpenAI

from tests.clients.programs.chat.asking import GREETING, Endpoint, data_uri, main
from xray_agent_tools.report import ThreatReport

set_tracing_disabled(True)


def said(scan: Path | None) -> Any:
    if scan is None:
        return GREETING
    return [{"role": "user", "content": [{"type": "input_image", "image_url": data_uri(scan), "detail": "auto"}]}]


def answer(
    endpoint: Endpoint, scan: Path | None, kind: type[Any], output: type[Any] | None = None, stream: bool = False
) -> Any:
    """What an agent with a model of this kind says in the end."""

    async def run() -> Any:
        async with AsyncOpenAI(base_url=endpoint.url, api_key=endpoint.key, max_retries=0) as client:
            agent = Agent(name="screener", model=kind(endpoint.model, client), output_type=output)
            if not stream:
                return (await Runner.run(agent, said(scan))).final_output
            streamed = Runner.run_streamed(agent, said(scan))
            async for _ in streamed.stream_events():
                pass
            return streamed.final_output

    return asyncio.run(run())


def chat(endpoint: Endpoint, scan: Path | None) -> Any:
    return answer(endpoint, scan, OpenAIChatCompletionsModel)


def chat_stream(endpoint: Endpoint, scan: Path | None) -> Any:
    return answer(endpoint, scan, OpenAIChatCompletionsModel, stream=True)


def chat_typed(endpoint: Endpoint, scan: Path | None) -> Any:
    return answer(endpoint, scan, OpenAIChatCompletionsModel, ThreatReport).model_dump(mode="json")


def responses(endpoint: Endpoint, scan: Path | None) -> Any:
    return answer(endpoint, scan, OpenAIResponsesModel)


def responses_stream(endpoint: Endpoint, scan: Path | None) -> Any:
    return answer(endpoint, scan, OpenAIResponsesModel, stream=True)


def responses_typed(endpoint: Endpoint, scan: Path | None) -> Any:
    return answer(endpoint, scan, OpenAIResponsesModel, ThreatReport).model_dump(mode="json")


if __name__ == "__main__":
    main(
        {
            "chat": chat,
            "chat stream": chat_stream,
            "chat typed": chat_typed,
            "responses": responses,
            "responses stream": responses_stream,
            "responses typed": responses_typed,
        }
    )
