"""Calls of LangChain's chat model."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from langchain_openai import ChatOpenAI

from tests.clients.programs.chat.asking import Endpoint, main, messages
from xray_agent_tools.report import ThreatReport


def model_of(endpoint: Endpoint, **more: Any) -> Any:
    return ChatOpenAI(model=endpoint.model, base_url=endpoint.url, api_key=endpoint.key, max_retries=0, **more)


def invoke(endpoint: Endpoint, scan: Path | None) -> Any:
    return model_of(endpoint).invoke(messages(scan)).text


def stream(endpoint: Endpoint, scan: Path | None) -> Any:
    chunks = list(model_of(endpoint, stream_usage=True).stream(messages(scan)))
    assert any(chunk.usage_metadata for chunk in chunks)
    return "".join(chunk.text for chunk in chunks)


def responses(endpoint: Endpoint, scan: Path | None) -> Any:
    return model_of(endpoint, use_responses_api=True).invoke(messages(scan)).text


def structured(endpoint: Endpoint, scan: Path | None, method: str = "json_schema") -> Any:
    typed = model_of(endpoint).with_structured_output(ThreatReport, method=method)
    return typed.invoke(messages(scan)).model_dump(mode="json")


def structured_by_function(endpoint: Endpoint, scan: Path | None) -> Any:
    return structured(endpoint, scan, "function_calling")


if __name__ == "__main__":
    main(
        {
            "invoke": invoke,
            "stream": stream,
            "responses": responses,
            "json_schema": structured,
            "function_calling": structured_by_function,
        }
    )
