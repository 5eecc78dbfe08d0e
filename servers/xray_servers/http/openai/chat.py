"""``/v1/chat/completions``."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Annotated, Any

from fastapi import APIRouter, Depends
from starlette.responses import JSONResponse, Response

from xray_servers.http.bodies import json_body
from xray_servers.http.callers import Caller
from xray_servers.http.documented import SCREENING, body, decision, errors
from xray_servers.http.errors import Refused
from xray_servers.http.openai.conversation import AnswerFormat, Completion, Conversation, OfferedTool, ToolCallMade
from xray_servers.http.openai.models import Screening, model_named
from xray_servers.http.openai.schemas import AllowedTools, ChatRequest, NamedFunction, ToolChoice
from xray_servers.http.openai.streaming import DONE, event, pieces, stream_of
from xray_servers.http.openai.turns import Fetch, read_turns
from xray_servers.http.remote import RemoteImages
from xray_servers.http.service import Service

_EXAMPLE = {
    "model": "xray-screener",
    "messages": [
        {
            "role": "user",
            "content": [
                {"type": "text", "text": "Where is the gun?"},
                {"type": "image_url", "image_url": {"url": "data:image/png;base64,iVBORw0KGgo..."}},
            ],
        }
    ],
}
_ANSWER = decision("A chat completion, or a stream of its chunks.", content={"text/event-stream": {}})

Asked = Annotated[ChatRequest, Depends(json_body(ChatRequest))]
"""The body, read after the caller is known."""


def router(service: Service, remote: RemoteImages) -> APIRouter:
    """The route of chat completions.

    Args:
        service: what it works with.
        remote: gets pictures from hosts that the operator allows.
    """
    routes = APIRouter(prefix="/v1", tags=["openai"])

    @routes.post(
        "/chat/completions",
        summary="Ask about a scan in a conversation",
        responses=_ANSWER | errors(*SCREENING),
        openapi_extra=body(ChatRequest, _EXAMPLE),
    )
    async def complete(caller: Screening, asked: Asked) -> Response:
        model = model_named(service, asked.model)
        completion = await model.complete(await conversation_of(asked, remote.fetch), caller)
        head = _head(caller, model.model_id, completion)
        headers = record_header(completion)
        if asked.stream:
            return stream_of(_chunks(head, completion, with_usage=asked.with_usage), headers)
        return JSONResponse(_whole(head, completion), headers=headers)

    return routes


def record_header(completion: Completion) -> dict[str, str]:
    """What the headers of a response say of the decision's record."""
    return {} if completion.record_id is None else {"x-record-id": completion.record_id}


async def conversation_of(asked: ChatRequest, fetch: Fetch) -> Conversation:
    """A request as every model here understands it.

    Raises:
        Refused: the messages cannot be read, or ``tool_choice`` names what is not offered.
        ScanTooLarge: a message has more pictures than a bag has views.
    """
    messages = tuple(message.plain() for message in asked.messages)
    turns = await read_turns(messages, fetch)
    offered = [tool.function.offered() for tool in asked.tools or () if tool.function is not None]
    tools, forced = _choice(asked.tool_choice, offered)
    return Conversation(
        scans=turns.scans,
        text=turns.text,
        messages=messages,
        tool_results=turns.tool_results,
        tools=tuple(tools),
        forced=forced,
        tools_allowed=asked.tool_choice != "none",
        format=asked.response_format.wanted() if asked.response_format else AnswerFormat(),
        most_tokens=asked.most_tokens,
    )


def _choice(choice: ToolChoice | None, offered: Sequence[OfferedTool]) -> tuple[Sequence[OfferedTool], str | None]:
    """The functions that may be called, and the name of the one that must be, if any."""
    if isinstance(choice, NamedFunction):
        return _among({choice.function.name}, offered), choice.function.name
    if isinstance(choice, AllowedTools):
        allowed = _among({tool.function.name for tool in choice.allowed_tools.tools}, offered)
        return allowed, "*" if choice.allowed_tools.mode == "required" else None
    if choice == "required" and not offered:
        raise _not_offered("a function has to be called, and none is offered")
    return offered, "*" if choice == "required" else None


def _among(names: set[str], offered: Sequence[OfferedTool]) -> Sequence[OfferedTool]:
    chosen = [tool for tool in offered if tool.name in names]
    missing = names - {tool.name for tool in chosen}
    if missing or not names:
        raise _not_offered(
            f"tool_choice names {', '.join(sorted(missing))[:200] or 'no function'}, which is not offered"
        )
    return chosen


def _not_offered(reason: str) -> Refused:
    return Refused(400, "invalid_tool_choice", reason, hint="put the function into tools", param="tool_choice")


def _head(caller: Caller, model: str, completion: Completion) -> dict[str, Any]:
    return {
        "id": f"chatcmpl-{caller.request_id}",
        "created": int(time.time()),
        "model": model,
        "system_fingerprint": _fingerprint(completion.answer),
    }


def _fingerprint(answer: Mapping[str, Any] | None) -> str | None:
    """The detector that looked, by the beginning of its hash."""
    report = {} if answer is None else answer.get("report", answer)
    sha256 = report.get("model", {}).get("sha256")
    return f"fp_{sha256[:16]}" if sha256 else None


def _whole(head: Mapping[str, Any], completion: Completion) -> dict[str, Any]:
    calls = [_call(call) for call in completion.calls]
    message = {"role": "assistant", "content": None if calls else completion.text, "refusal": None}
    choice = {
        "index": 0,
        "message": message | ({"tool_calls": calls} if calls else {}),
        "logprobs": None,
        "finish_reason": completion.finish_reason,
    }
    return {
        **head,
        "object": "chat.completion",
        "choices": [choice],
        "usage": _usage(completion),
        "xray": _behind(completion),
    }


def _chunks(head: Mapping[str, Any], completion: Completion, *, with_usage: bool) -> Iterator[str]:
    """The completion as events: who speaks, what is said, why it ends, and what it took if that is asked for."""
    unknown_usage = {"usage": None} if with_usage else {}

    def chunk(delta: Mapping[str, Any], finish_reason: str | None = None, **more: Any) -> str:
        choice = {"index": 0, "delta": delta, "logprobs": None, "finish_reason": finish_reason}
        return event({**head, "object": "chat.completion.chunk", "choices": [choice], **unknown_usage, **more})

    yield chunk({"role": "assistant", "content": None if completion.calls else "", "refusal": None})
    for index, call in enumerate(completion.calls):
        yield from (chunk({"tool_calls": [delta]}) for delta in _call_deltas(index, call))
    for piece in pieces(completion.text):
        yield chunk({"content": piece})
    yield chunk({}, completion.finish_reason, xray=_behind(completion))
    if with_usage:
        yield event({**head, "object": "chat.completion.chunk", "choices": [], "usage": _usage(completion)})
    yield DONE


def _call(call: ToolCallMade) -> dict[str, Any]:
    return {"id": call.call_id, "type": "function", "function": {"name": call.name, "arguments": call.arguments}}


def _call_deltas(index: int, call: ToolCallMade) -> Iterator[dict[str, Any]]:
    """A call in pieces: its name first, then its arguments."""
    yield {"index": index, **_call(replace(call, arguments=""))}
    for piece in pieces(call.arguments):
        yield {"index": index, "function": {"arguments": piece}}


def _usage(completion: Completion) -> dict[str, int]:
    usage = completion.usage
    return {"prompt_tokens": usage.prompt, "completion_tokens": usage.completion, "total_tokens": usage.total}


def _behind(completion: Completion) -> dict[str, Any]:
    """What stands behind the words: the typed answer, its record, and the calls that led to it."""
    return {"answer": completion.answer, "record_id": completion.record_id, "trace": list(completion.trace)}
