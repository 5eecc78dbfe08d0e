"""Calls of LiteLLM."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

# Its table of prices would be fetched from the network.
os.environ["LITELLM_LOCAL_MODEL_COST_MAP"] = "True"

import litellm  # type: ignore[import-not-found]

from tests.clients.programs.chat.asking import Endpoint, main, messages
from xray_agent_tools.report import ThreatReport


def complete(endpoint: Endpoint, scan: Path | None, **more: Any) -> Any:
    return litellm.completion(
        model=f"openai/{endpoint.model}",
        api_base=endpoint.url,
        api_key=endpoint.key,
        messages=messages(scan),
        max_retries=0,
        **more,
    )


def completion(endpoint: Endpoint, scan: Path | None) -> Any:
    return complete(endpoint, scan).choices[0].message.content


def stream(endpoint: Endpoint, scan: Path | None) -> Any:
    chunks = list(complete(endpoint, scan, stream=True))
    return "".join(chunk.choices[0].delta.content or "" for chunk in chunks)


def tools(endpoint: Endpoint, scan: Path | None) -> Any:
    function = {"name": "note_report", "parameters": ThreatReport.model_json_schema()}
    answer = complete(
        endpoint,
        scan,
        tools=[{"type": "function", "function": function}],
        tool_choice={"type": "function", "function": {"name": "note_report"}},
    )
    [call] = answer.choices[0].message.tool_calls
    return json.loads(call.function.arguments)


def response_format(endpoint: Endpoint, scan: Path | None) -> Any:
    answer = complete(endpoint, scan, response_format=ThreatReport)
    return ThreatReport.model_validate_json(answer.choices[0].message.content).model_dump(mode="json")


if __name__ == "__main__":
    main({"completion": completion, "stream": stream, "tools": tools, "response_format": response_format})
