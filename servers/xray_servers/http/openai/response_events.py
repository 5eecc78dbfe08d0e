"""Responses as clients see them: whole, or as a stream of events.

A response is finished before its first event is sent, so a stream cannot fail half-way: errors come in its place, with
their HTTP status, and there is no ``response.failed``.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from itertools import count
from typing import Any

from xray_servers.http.openai.conversation import Completion, Usage
from xray_servers.http.openai.streaming import DONE, event, pieces

Fields = Mapping[str, Any]

_BEGUN: Fields = {
    "status": "in_progress",
    "completed_at": None,
    "incomplete_details": None,
    "output": [],
    "usage": None,
}


def finished(head: Fields, completion: Completion) -> dict[str, Any]:
    """A response.

    Args:
        head: what is known of it beforehand: its ``id``, its model, and what was asked for.
        completion: what the model answers.
    """
    cut = completion.finish_reason == "length"
    return {
        **head,
        "status": "incomplete" if cut else "completed",
        "completed_at": None if cut else int(time.time()),
        "incomplete_details": {"reason": "max_output_tokens"} if cut else None,
        "output": _items(head["id"], completion),
        "usage": _usage(completion.usage),
        "xray": {"answer": completion.answer, "record_id": completion.record_id, "trace": list(completion.trace)},
    }


def events(head: Fields, completion: Completion) -> Iterator[str]:
    """The same response as server-sent events, numbered from 0; the specification wants ``[DONE]`` after the last."""
    numbers = count()

    def told(kind: str, fields: Fields) -> str:
        return event({"type": kind, "sequence_number": next(numbers), **fields}, kind)

    begun = {"response": {**head, **_BEGUN}}
    yield told("response.created", begun)
    yield told("response.in_progress", begun)
    response = finished(head, completion)
    for index, item in enumerate(response["output"]):
        for kind, fields in _of_item(item):
            yield told(kind, {"output_index": index, **fields})
    yield told(f"response.{response['status']}", {"response": response})
    yield DONE


def _items(response_id: str, completion: Completion) -> list[dict[str, Any]]:
    """What the model made: calls of the caller's functions, or else a message."""
    key = response_id.removeprefix("resp_")
    status = "incomplete" if completion.finish_reason == "length" else "completed"
    if not completion.calls:
        content = [_part(completion.text)]
        return [{"id": f"msg_{key}", "type": "message", "role": "assistant", "status": status, "content": content}]
    return [
        {
            "id": f"fc_{key}_{number}",
            "type": "function_call",
            "call_id": call.call_id,
            "name": call.name,
            "arguments": call.arguments,
            "status": status,
        }
        for number, call in enumerate(completion.calls)
    ]


def _part(text: str) -> dict[str, Any]:
    return {"type": "output_text", "text": text, "annotations": [], "logprobs": []}


def _usage(usage: Usage) -> dict[str, Any]:
    return {
        "input_tokens": usage.prompt,
        "input_tokens_details": {"cached_tokens": 0, "cache_write_tokens": 0},
        "output_tokens": usage.completion,
        "output_tokens_details": {"reasoning_tokens": 0},
        "total_tokens": usage.total,
    }


def _of_item(item: Fields) -> Iterator[tuple[str, Fields]]:
    """Events of one item: it is added empty, filled, and done."""
    is_message = item["type"] == "message"
    empty: Fields = {"content": []} if is_message else {"arguments": ""}
    yield "response.output_item.added", {"item": {**item, **empty, "status": "in_progress"}}
    for kind, fields in _of_part(item["content"][0]) if is_message else _of_arguments(item["arguments"]):
        yield kind, {"item_id": item["id"], **fields}
    yield "response.output_item.done", {"item": item}


def _of_part(part: Fields) -> Iterator[tuple[str, Fields]]:
    yield "response.content_part.added", {"content_index": 0, "part": _part("")}
    for piece in pieces(part["text"]):
        yield "response.output_text.delta", {"content_index": 0, "delta": piece, "logprobs": []}
    yield "response.output_text.done", {"content_index": 0, "text": part["text"], "logprobs": []}
    yield "response.content_part.done", {"content_index": 0, "part": part}


def _of_arguments(arguments: str) -> Iterator[tuple[str, Fields]]:
    for piece in pieces(arguments):
        yield "response.function_call_arguments.delta", {"delta": piece}
    yield "response.function_call_arguments.done", {"arguments": arguments}
