"""OpenAI function calling: definitions for ``tools=``, an answer for each call, and the loop around both.

The ``openai`` package is needed only by whoever makes a client; the definitions are plain dictionaries.
"""

from __future__ import annotations

import asyncio
import inspect
import json
from collections.abc import Awaitable, Callable, Coroutine, Mapping, Sequence
from functools import partial
from typing import Annotated, Any, Literal, Protocol

from pydantic import BaseModel, BeforeValidator, Field

from xray_agent_tools.adapters.calls import answer_call, read_arguments, strict_schema
from xray_agent_tools.adapters.loop import (
    AnsweredCall,
    Answerer,
    AsyncAnswerer,
    Call,
    ChatModelFailed,
    Conversation,
    Dialect,
    ToolRun,
    Turn,
    Usage,
    converse,
    converse_async,
)
from xray_agent_tools.errors import InvalidArgument
from xray_agent_tools.screener import Screener
from xray_agent_tools.tools import TOOLS

__all__ = [
    "AnsweredCall",
    "Answerer",
    "AsyncAnswerer",
    "AsyncClient",
    "ChatModelFailed",
    "Client",
    "ToolRun",
    "Usage",
    "call_tool",
    "run_tools",
    "run_tools_async",
    "tools",
]

Api = Literal["chat", "responses"]
"""Chat Completions, or Responses."""

MAX_ROUNDS = 8
"""Requests to the model in one run, unless said otherwise. A look, an explanation and an assessment take four."""


class Client(Protocol):
    """What the loop needs of ``openai.OpenAI``."""

    @property
    def chat(self) -> Any:
        """Chat Completions."""

    @property
    def responses(self) -> Any:
        """Responses."""

    def close(self) -> None:
        """Never called here; its type is what tells the two kinds of client apart."""


class AsyncClient(Protocol):
    """What the loop needs of ``openai.AsyncOpenAI``."""

    @property
    def chat(self) -> Any:
        """Chat Completions."""

    @property
    def responses(self) -> Any:
        """Responses."""

    def close(self) -> Coroutine[Any, Any, None]:
        """Never called here; its type is what tells the two kinds of client apart."""


def tools(*, api: Api = "chat") -> list[dict[str, Any]]:
    """Strict function definitions for Chat Completions or for Responses."""
    definitions = [
        {
            "name": tool.name,
            "description": tool.description,
            "parameters": strict_schema(tool.input_model),
            "strict": True,
        }
        for tool in TOOLS
    ]
    if api == "responses":
        return [{"type": "function", **definition} for definition in definitions]
    return [{"type": "function", "function": definition} for definition in definitions]


def call_tool(name: str, arguments: str | dict[str, Any], *, screener: Screener | None = None) -> str:
    """Answer a tool call as the text of a ``tool`` message.

    An error comes back as ``{"error": {"code", "message", "hint"}}``, so that the model can correct its call.

    Args:
        name: name of the function called.
        arguments: its arguments, as JSON text or as an object.
        screener: who answers; the shared screener when not given.
    """
    return answer_call(name, arguments, screener)[0]


def run_tools(
    client: Client,
    *,
    model: str,
    messages: Sequence[Any],
    screener: Screener | None = None,
    answer: Answerer | None = None,
    tools: Sequence[Mapping[str, Any]] | None = None,
    api: Api = "chat",
    max_rounds: int = MAX_ROUNDS,
    on_call: Callable[[AnsweredCall], object] | None = None,
    **create_options: Any,
) -> ToolRun:
    """Let a chat model call the tools until it answers.

    Every call is answered, a wrong one with an error that the model can act on. The words that come back are the
    model's: :attr:`ToolRun.verdicts` says what the tools found, :attr:`ToolRun.complete` whether the words are whole.

    Args:
        client: an ``openai.OpenAI``, for any endpoint.
        model: name of the model there.
        messages: the conversation so far; it is not changed.
        screener: who looks at the scans; the shared screener, which reads any path, when not given.
        answer: answers the calls in the screener's place.
        tools: the definitions to offer; :func:`tools` when not given. No other tool is run.
        api: Chat Completions or Responses.
        max_rounds: most requests to the model, from 1.
        on_call: hears of each call once it is answered. What it raises ends the run.
        **create_options: further arguments of the client's ``create``. A ``tool_choice`` that forces a call holds for
            the first request only.

    Raises:
        ChatModelFailed: the model's reply is none, or it came to no answer in ``max_rounds``; its ``run`` is what was
            done until then.
        InvalidArgument: the client is asynchronous, both ``screener`` and ``answer`` are given, or an argument is out
            of its range.
        openai.OpenAIError: the endpoint cannot be reached or refuses the request.
    """
    conversation = _begin(messages, model, tools, api, max_rounds, on_call, create_options)
    answerer = _one_of(screener, answer) or partial(answer_call, screener=screener)
    return converse(conversation, partial(_create, _endpoint(client, api)), answerer)


async def run_tools_async(
    client: AsyncClient,
    *,
    model: str,
    messages: Sequence[Any],
    screener: Screener | None = None,
    answer: AsyncAnswerer | None = None,
    tools: Sequence[Mapping[str, Any]] | None = None,
    api: Api = "chat",
    max_rounds: int = MAX_ROUNDS,
    on_call: Callable[[AnsweredCall], object] | None = None,
    **create_options: Any,
) -> ToolRun:
    """Let a chat model call the tools until it answers; :func:`run_tools` for ``openai.AsyncOpenAI`` and asyncio.

    The screener looks in threads of its own. The calls of one reply are answered at the same time.
    """
    conversation = _begin(messages, model, tools, api, max_rounds, on_call, create_options)
    answerer = _one_of(screener, answer) or partial(_in_a_thread, screener)
    return await converse_async(conversation, partial(_create_async, _endpoint(client, api)), answerer)


def _begin(
    messages: Sequence[Any],
    model: str,
    offered: Sequence[Mapping[str, Any]] | None,
    api: Api,
    max_rounds: int,
    on_call: Callable[[AnsweredCall], object] | None,
    options: Mapping[str, Any],
) -> Conversation:
    if api not in _DIALECTS:
        raise InvalidArgument(f"api is {str(api)[:40]!r}", hint="give 'chat' or 'responses'")
    return Conversation(
        messages,
        dialect=_DIALECTS[api],
        tools=tools(api=api) if offered is None else offered,
        options={**options, "model": model},
        max_rounds=max_rounds,
        on_call=on_call,
    )


def _one_of(screener: Screener | None, answer: _Answers | None) -> _Answers | None:
    if screener is not None and answer is not None:
        raise InvalidArgument("both a screener and an answerer are given", hint="give the one that is to answer")
    return answer


async def _in_a_thread(screener: Screener | None, name: str, arguments: dict[str, Any]) -> tuple[str, bool]:
    return await asyncio.to_thread(answer_call, name, arguments, screener)


def _endpoint(client: Client | AsyncClient, api: Api) -> Callable[..., Any]:
    create: Callable[..., Any] = client.responses.create if api == "responses" else client.chat.completions.create
    return create


def _create(endpoint: Callable[..., Any], **request: Any) -> object:
    reply = endpoint(**request)
    if inspect.iscoroutine(reply):
        reply.close()
        raise InvalidArgument("the client is asynchronous", hint="use run_tools_async")
    return reply


async def _create_async(endpoint: Callable[..., Any], **request: Any) -> object:
    reply = endpoint(**request)
    if not inspect.isawaitable(reply):
        raise InvalidArgument("the client is synchronous", hint="use run_tools")
    return await reply


def _as_text(arguments: object) -> object:
    """Some endpoints send arguments as an object, or null for none."""
    return arguments if isinstance(arguments, str) else json.dumps(arguments or {})


_Arguments = Annotated[str, BeforeValidator(_as_text)]


class _Function(BaseModel):
    name: str
    arguments: _Arguments = "{}"


class _ToolCall(BaseModel):
    id: str = ""
    function: _Function


class _Message(BaseModel):
    content: str = ""
    refusal: str | None = None
    tool_calls: list[_ToolCall] = []


class _Choice(BaseModel):
    message: _Message
    finish_reason: str | None = None


class _ChatUsage(BaseModel):
    prompt_tokens: int
    completion_tokens: int


class _Completion(BaseModel):
    choices: list[_Choice] = Field(min_length=1)
    usage: _ChatUsage | None = None


class _ChatDialect:
    conversation = "messages"

    def read(self, reply: object) -> Turn:
        raw = _plain(reply)
        completion = _Completion.model_validate(raw)
        choice, usage = completion.choices[0], completion.usage
        asked = choice.message.tool_calls
        calls = _distinct([Call(call.id, call.function.name, call.function.arguments) for call in asked])
        said = {"role": "assistant", **raw["choices"][0]["message"]}
        said.pop("tool_calls", None)
        if calls:
            written = raw["choices"][0]["message"]["tool_calls"]
            said["tool_calls"] = [
                {**one, "id": call.id, "function": {**one["function"], "arguments": _readable(call.arguments)}}
                for one, call in zip(written, calls, strict=True)
            ]
        return Turn(
            said=[said],
            calls=calls,
            text=choice.message.content,
            refusal=choice.message.refusal,
            finish_reason=choice.finish_reason,
            tokens=(usage.prompt_tokens, usage.completion_tokens) if usage else None,
        )

    def answer(self, call_id: str, text: str) -> dict[str, Any]:
        return {"role": "tool", "tool_call_id": call_id, "content": text}


class _Part(BaseModel):
    text: str = ""
    refusal: str | None = None


class _Item(BaseModel):
    type: str
    call_id: str = ""
    name: str = ""
    arguments: _Arguments = "{}"
    content: list[_Part] = []


class _Reason(BaseModel):
    reason: str | None = None


class _ResponsesUsage(BaseModel):
    input_tokens: int
    output_tokens: int


class _Failure(BaseModel):
    message: str = ""


class _Response(BaseModel):
    output: list[_Item]
    status: str | None = None
    incomplete_details: _Reason = _Reason()
    error: _Failure = _Failure()
    usage: _ResponsesUsage | None = None

    @property
    def finish_reason(self) -> str | None:
        """Why it ended, in the words of Chat Completions."""
        if self.status == "incomplete":
            reason = self.incomplete_details.reason
            return "length" if reason == "max_output_tokens" else reason
        return "stop" if self.status == "completed" else None


class _ResponsesDialect:
    conversation = "input"

    def read(self, reply: object) -> Turn:
        raw = _plain(reply)
        response = _Response.model_validate(raw)
        if response.status not in (None, "completed", "incomplete"):
            raise ValueError(f"the response is {response.status!r}: {response.error.message[:200]!r}")
        asked = [item for item in response.output if item.type == "function_call"]
        calls = _distinct([Call(item.call_id, item.name, item.arguments) for item in asked])
        following = iter(calls)
        said = [
            _as_called(item, next(following)) if item["type"] == "function_call" else item for item in raw["output"]
        ]
        parts = [part for item in response.output if item.type == "message" for part in item.content]
        return Turn(
            said=said,
            calls=calls,
            text="".join(part.text for part in parts),
            refusal="".join(part.refusal or "" for part in parts) or None,
            finish_reason=response.finish_reason,
            tokens=(response.usage.input_tokens, response.usage.output_tokens) if response.usage else None,
        )

    def answer(self, call_id: str, text: str) -> dict[str, Any]:
        return {"type": "function_call_output", "call_id": call_id, "output": text}


_DIALECTS: dict[str, Dialect] = {"chat": _ChatDialect(), "responses": _ResponsesDialect()}
