"""Calls of the model class of smolagents."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from smolagents import OpenAIServerModel  # type: ignore[import-not-found]

from tests.clients.programs.chat.asking import Endpoint, main, messages
from xray_agent_tools.report import ThreatReport


def model_of(endpoint: Endpoint) -> Any:
    return OpenAIServerModel(
        endpoint.model, api_base=endpoint.url, api_key=endpoint.key, client_kwargs={"max_retries": 0}, retry=False
    )


def generate(endpoint: Endpoint, scan: Path | None) -> Any:
    return model_of(endpoint).generate(messages(scan)).content


def stream(endpoint: Endpoint, scan: Path | None) -> Any:
    return "".join(delta.content or "" for delta in model_of(endpoint).generate_stream(messages(scan)))


def response_format(endpoint: Endpoint, scan: Path | None) -> Any:
    schema = {"name": "report", "schema": ThreatReport.model_json_schema()}
    wanted = {"type": "json_schema", "json_schema": schema}
    answer = model_of(endpoint).generate(messages(scan), response_format=wanted)
    return ThreatReport.model_validate_json(answer.content).model_dump(mode="json")


if __name__ == "__main__":
    main({"generate": generate, "stream": stream, "response_format": response_format})
