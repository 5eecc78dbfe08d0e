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


def agent_of(endpoint: Endpoint, kind: type[Any], output: type[Any] | None = None) -> Agent[None]:
    client = AsyncOpenAI(base_url=endpoint.url, api_key=endpoint.key, max_retries=0)
    return Agent(name="screener", model=kind(endpoint.model, client), output_type=output)


def said(scan: Path | None) -> Any:
    if scan is None:
        return GREETING
    return [{"role": "user", "content": [{"type": "input_image", "image_url": data_uri(scan), "detail": "auto"}]}]


def run(agent: Agent[None], scan: Path | None) -> Any:
    return asyncio.run(Runner.run(agent, said(scan))).final_output


def chat(endpoint: Endpoint, scan: Path | None) -> Any:
    return run(agent_of(endpoint, OpenAIChatCompletionsModel), scan)


def chat_typed(endpoint: Endpoint, scan: Path | None) -> Any:
    return run(agent_of(endpoint, OpenAIChatCompletionsModel, ThreatReport), scan).model_dump(mode="json")


def responses(endpoint: Endpoint, scan: Path | None) -> Any:
    return run(agent_of(endpoint, OpenAIResponsesModel), scan)


def responses_typed(endpoint: Endpoint, scan: Path | None) -> Any:
    return run(agent_of(endpoint, OpenAIResponsesModel, ThreatReport), scan).model_dump(mode="json")


def streamed(endpoint: Endpoint, scan: Path | None) -> Any:
    async def read() -> Any:
        result = Runner.run_streamed(agent_of(endpoint, OpenAIResponsesModel), said(scan))
        async for _ in result.stream_events():
            pass
        return result.final_output

    return asyncio.run(read())


if __name__ == "__main__":
    main(
        {
            "chat": chat,
            "chat, typed": chat_typed,
            "responses": responses,
            "responses, typed": responses_typed,
            "responses, streamed": streamed,
        }
    )
