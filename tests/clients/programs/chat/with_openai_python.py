"""Calls of OpenAI's own package."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Literal

import openai
from openai import OpenAI
from pydantic import BaseModel

from tests.clients.programs.chat.asking import GREETING, Endpoint, data_uri, main, messages
from xray_agent_tools.adapters.openai import tools
from xray_agent_tools.report import ThreatReport


class Colour(BaseModel):
    """An answer that nobody here gives."""

    colour: Literal["red", "green"]


def client_of(endpoint: Endpoint) -> OpenAI:
    return OpenAI(base_url=endpoint.url, api_key=endpoint.key, max_retries=0)


def items(scan: Path | None) -> list[Any]:
    """A conversation about a scan as the Responses API has it."""
    if scan is None:
        return [{"role": "user", "content": GREETING}]
    return [{"role": "user", "content": [{"type": "input_image", "image_url": data_uri(scan), "detail": "auto"}]}]


def chat(endpoint: Endpoint, scan: Path | None) -> Any:
    answer = client_of(endpoint).chat.completions.create(model=endpoint.model, messages=messages(scan))
    assert answer.usage is not None
    assert answer.usage.total_tokens == answer.usage.prompt_tokens + answer.usage.completion_tokens
    return answer.choices[0].message.content


def chat_stream(endpoint: Endpoint, scan: Path | None) -> Any:
    stream = client_of(endpoint).chat.completions.create(
        model=endpoint.model, messages=messages(scan), stream=True, stream_options={"include_usage": True}
    )
    *chunks, last = list(stream)
    assert last.usage is not None
    assert last.usage.completion_tokens > 0
    assert chunks[-1].choices[0].finish_reason == "stop"
    return "".join(chunk.choices[0].delta.content or "" for chunk in chunks)


def chat_parse(endpoint: Endpoint, scan: Path | None) -> Any:
    answer = client_of(endpoint).chat.completions.parse(
        model=endpoint.model, messages=messages(scan), response_format=ThreatReport
    )
    report = answer.choices[0].message.parsed
    assert report is not None
    return report.model_dump(mode="json")


def forced_tool(endpoint: Endpoint, scan: Path | None) -> Any:
    """The model calls ``detect_threats``, the caller runs it, and the model words the result."""
    client = client_of(endpoint)
    offered: list[Any] = tools()
    said = messages(scan)
    answer = client.chat.completions.create(
        model=endpoint.model,
        messages=said,
        tools=offered,
        tool_choice={"type": "function", "function": {"name": "detect_threats"}},
    )
    message = answer.choices[0].message
    [call] = message.tool_calls or []
    assert call.type == "function"
    assert call.function.name == "detect_threats"
    result = client.post("/detect", body=json.loads(call.function.arguments), cast_to=object)
    said += [message, {"role": "tool", "tool_call_id": call.id, "content": json.dumps(result)}]
    worded = client.chat.completions.create(model=endpoint.model, messages=said, tools=offered)
    return worded.choices[0].message.content


def forced_answer(endpoint: Endpoint, scan: Path | None) -> Any:
    """The model calls a function of the caller's own whose parameters are a report."""
    answer = client_of(endpoint).chat.completions.parse(
        model=endpoint.model,
        messages=messages(scan),
        tools=[openai.pydantic_function_tool(ThreatReport, name="note_report")],
        tool_choice="required",
    )
    [call] = answer.choices[0].message.tool_calls or []
    report = call.function.parsed_arguments
    assert isinstance(report, ThreatReport)
    return report.model_dump(mode="json")


def responses(endpoint: Endpoint, scan: Path | None) -> Any:
    return client_of(endpoint).responses.create(model=endpoint.model, input=items(scan)).output_text


def responses_stream(endpoint: Endpoint, scan: Path | None) -> Any:
    with client_of(endpoint).responses.stream(model=endpoint.model, input=items(scan)) as stream:
        pieces = [event.delta for event in stream if event.type == "response.output_text.delta"]
        final = stream.get_final_response()
    assert final.usage is not None
    assert final.output_text == "".join(pieces)
    return final.output_text


def responses_parse(endpoint: Endpoint, scan: Path | None) -> Any:
    answer = client_of(endpoint).responses.parse(model=endpoint.model, input=items(scan), text_format=ThreatReport)
    assert answer.output_parsed is not None
    return answer.output_parsed.model_dump(mode="json")


def another_schema(endpoint: Endpoint, scan: Path | None) -> Any:
    return client_of(endpoint).chat.completions.parse(
        model=endpoint.model, messages=messages(scan), response_format=Colour
    )


def another_tool(endpoint: Endpoint, scan: Path | None) -> Any:
    return client_of(endpoint).chat.completions.create(
        model=endpoint.model,
        messages=messages(scan),
        tools=[openai.pydantic_function_tool(Colour)],
        tool_choice="required",
    )


if __name__ == "__main__":
    main(
        {
            "chat": chat,
            "chat stream": chat_stream,
            "chat parse": chat_parse,
            "forced tool": forced_tool,
            "forced answer": forced_answer,
            "responses": responses,
            "responses stream": responses_stream,
            "responses parse": responses_parse,
        },
        {"another schema": another_schema, "another tool": another_tool},
    )
