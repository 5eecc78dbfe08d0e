"""How Chat Completions and Responses word a conversation.

Replies are read as data of an endpoint that may be sloppy: what the loop needs is checked, all else goes back to the
model as it came.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from itertools import count
from typing import Annotated, Any, Literal

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    ValidationError,
    ValidatorFunctionWrapHandler,
    WrapValidator,
)

from xray_agent_tools.adapters.calls import read_arguments
from xray_agent_tools.adapters.loop import Call, Dialect, Turn
from xray_agent_tools.errors import InvalidArgument

Api = Literal["chat", "responses"]
"""Chat Completions, or Responses."""


def _as_text(arguments: object) -> object:
    """Some endpoints send arguments as an object."""
    return json.dumps(arguments) if isinstance(arguments, dict) else arguments


_Arguments = Annotated[str, BeforeValidator(_as_text)]


def _if_readable(value: object, read: ValidatorFunctionWrapHandler) -> Any:
    """A count of tokens that cannot be read is no reason to lose a reply."""
    try:
        return read(value)
    except ValidationError:
        return None


class _Said(BaseModel):
    """A part of a reply that goes back to the model, with fields that are not known here."""

    model_config = ConfigDict(extra="allow")


class _Function(_Said):
    name: str
    arguments: _Arguments = "{}"


class _ToolCall(_Said):
    id: str = ""
    function: _Function


class _Message(_Said):
    content: str = ""
    refusal: str = ""
    tool_calls: list[_ToolCall] = []


class _Choice(BaseModel):
    message: _Message
    finish_reason: str | None = None


class _ChatUsage(BaseModel):
    prompt_tokens: int
    completion_tokens: int


class _Completion(BaseModel):
    choices: list[_Choice] = Field(min_length=1)
    usage: Annotated[_ChatUsage | None, WrapValidator(_if_readable)] = None


class _Chat:
    conversation = "messages"

    def read(self, reply: object) -> Turn:
        completion = _Completion.model_validate(_plain(reply))
        message, usage = completion.choices[0].message, completion.usage
        calls = []
        for call, call_id in zip(message.tool_calls, _distinct(call.id for call in message.tool_calls), strict=True):
            calls.append(Call(call_id, call.function.name, call.function.arguments))
            call.id = call_id
            call.function.arguments = _readable(call.function.arguments)
        said = {**message.model_dump(exclude_unset=True), "role": "assistant"}
        if not calls:
            said.pop("tool_calls", None)
        return Turn(
            said=[said],
            calls=calls,
            text=message.content,
            refusal=message.refusal or None,
            finish_reason=completion.choices[0].finish_reason,
            tokens=(usage.prompt_tokens, usage.completion_tokens) if usage else None,
        )

    def answer(self, call_id: str, text: str) -> dict[str, Any]:
        return {"role": "tool", "tool_call_id": call_id, "content": text}


class _Part(_Said):
    text: str = ""
    refusal: str = ""


class _MessageItem(_Said):
    type: Literal["message"]
    content: list[_Part] = []


class _FunctionCallItem(_Said):
    type: Literal["function_call"]
    call_id: str = ""
    name: str = ""
    arguments: _Arguments = "{}"


class _OtherItem(_Said):
    type: str


_Item = Annotated[_MessageItem | _FunctionCallItem | _OtherItem, Field(union_mode="left_to_right")]


class _Incomplete(BaseModel):
    reason: str = ""


class _Failure(BaseModel):
    message: str = ""


class _ResponsesUsage(BaseModel):
    input_tokens: int
    output_tokens: int


class _Response(BaseModel):
    output: list[_Item]
    status: str | None = None
    incomplete_details: _Incomplete = _Incomplete()
    error: _Failure = _Failure()
    usage: Annotated[_ResponsesUsage | None, WrapValidator(_if_readable)] = None


_ENDINGS = {"completed": "stop", "max_output_tokens": "length"}


class _Responses:
    conversation = "input"

    def read(self, reply: object) -> Turn:
        response = _Response.model_validate(_plain(reply))
        status, usage = response.status, response.usage
        if status not in (None, "completed", "incomplete"):
            raise ValueError(f"the response is {status[:40]!r}: {response.error.message[:200]!r}")
        asked = [item for item in response.output if isinstance(item, _FunctionCallItem)]
        calls = []
        for item, call_id in zip(asked, _distinct(item.call_id for item in asked), strict=True):
            calls.append(Call(call_id, item.name, item.arguments))
            item.call_id = call_id
            item.arguments = _readable(item.arguments)
        parts = [part for item in response.output if isinstance(item, _MessageItem) for part in item.content]
        ending = response.incomplete_details.reason if status == "incomplete" else status
        return Turn(
            said=[item.model_dump(exclude_unset=True) for item in response.output],
            calls=calls,
            text="".join(part.text for part in parts),
            refusal="".join(part.refusal for part in parts) or None,
            finish_reason=_ENDINGS.get(ending, ending) if ending else None,
            tokens=(usage.input_tokens, usage.output_tokens) if usage else None,
        )

    def answer(self, call_id: str, text: str) -> dict[str, Any]:
        return {"type": "function_call_output", "call_id": call_id, "output": text}


DIALECTS: dict[Api, Dialect] = {"chat": _Chat(), "responses": _Responses()}


def _plain(reply: object) -> object:
    """A reply of the ``openai`` package as plain data without nulls; it is not checked there."""
    return reply.model_dump(exclude_none=True, warnings=False) if isinstance(reply, BaseModel) else reply


def _distinct(call_ids: Iterable[str]) -> list[str]:
    """Identifiers that tell the calls of one reply apart; one that is empty or there before is replaced."""
    given = list(call_ids)
    fresh = (call_id for number in count(1) if (call_id := f"call_{number}") not in given)
    distinct: list[str] = []
    for call_id in given:
        distinct.append(call_id if call_id and call_id not in distinct else next(fresh))
    return distinct


def _readable(arguments: str) -> str:
    """Arguments as the model hears them again: some endpoints refuse a conversation in which they are no JSON object."""
    try:
        read_arguments(arguments)
    except InvalidArgument:
        return "{}"
    return arguments
