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


def agent_of(endpoint: Endpoint, kind: type[Any] = OpenAIChatModel, output: Any = str) -> Agent[None, Any]:
    client = AsyncOpenAI(base_url=endpoint.url, api_key=endpoint.key, max_retries=0)
    return Agent(kind(endpoint.model, provider=OpenAIProvider(openai_client=client)), output_type=output, retries=0)


def said(scan: Path | None) -> list[Any]:
    return [GREETING] if scan is None else [BinaryContent(scan.read_bytes(), media_type="image/png")]


def words(endpoint: Endpoint, scan: Path | None) -> Any:
    return agent_of(endpoint).run_sync(said(scan)).output


def stream(endpoint: Endpoint, scan: Path | None) -> Any:
    async def read() -> Any:
        async with agent_of(endpoint).run_stream(said(scan)) as result:
            return await result.get_output()

    return asyncio.run(read())


def responses(endpoint: Endpoint, scan: Path | None) -> Any:
    return agent_of(endpoint, OpenAIResponsesModel).run_sync(said(scan)).output


def output_type(endpoint: Endpoint, scan: Path | None) -> Any:
    return agent_of(endpoint, output=ThreatReport).run_sync(said(scan)).output.model_dump(mode="json")


def native_output(endpoint: Endpoint, scan: Path | None) -> Any:
    return agent_of(endpoint, output=NativeOutput(ThreatReport)).run_sync(said(scan)).output.model_dump(mode="json")


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
