"""Calls of a pydantic-ai agent whose model is the server's."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

from openai import AsyncOpenAI
from pydantic_ai import Agent, BinaryContent, NativeOutput
from pydantic_ai.models.openai import OpenAIChatModel, OpenAIResponsesModel
from pydantic_ai.providers.openai import OpenAIProvider

from tests.clients.programs.chat.asking import GREETING, Endpoint, main
from xray_agent_tools.report import ThreatReport


def answer(
    endpoint: Endpoint,
    scan: Path | None,
    kind: type[Any] = OpenAIChatModel,
    output: Any = str,
    stream: bool = False,
) -> Any:
    """What an agent with a model of this kind says."""
    said = [GREETING] if scan is None else [BinaryContent(scan.read_bytes(), media_type="image/png")]

    async def run() -> Any:
        async with AsyncOpenAI(base_url=endpoint.url, api_key=endpoint.key, max_retries=0) as client:
            model = kind(endpoint.model, provider=OpenAIProvider(openai_client=client))
            agent = Agent(model, output_type=output, retries=0)
            if not stream:
                return (await agent.run(said)).output
            async with agent.run_stream(said) as streamed:
                return await streamed.get_output()

    return asyncio.run(run())


def words(endpoint: Endpoint, scan: Path | None) -> Any:
    return answer(endpoint, scan)


def stream(endpoint: Endpoint, scan: Path | None) -> Any:
    return answer(endpoint, scan, stream=True)


def responses(endpoint: Endpoint, scan: Path | None) -> Any:
    return answer(endpoint, scan, OpenAIResponsesModel)


def output_type(endpoint: Endpoint, scan: Path | None) -> Any:
    return answer(endpoint, scan, output=ThreatReport).model_dump(mode="json")


def native_output(endpoint: Endpoint, scan: Path | None) -> Any:
    return answer(endpoint, scan, output=NativeOutput(ThreatReport)).model_dump(mode="json")


if __name__ == "__main__":
    main(
        {
            "words": words,
            "stream": stream,
            "responses": responses,
            "output type": output_type,
            "native output": native_output,
        }
    )
