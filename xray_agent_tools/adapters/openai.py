"""OpenAI function calling: definitions for ``tools=``, an answer for each call, and the loop around both.

The ``openai`` package is needed only by whoever makes a client; the definitions are plain dictionaries.
"""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Callable, Collection, Coroutine, Mapping, Sequence
from functools import partial
from typing import Any, Protocol, TypeVar

from xray_agent_tools.adapters.calls import answer_call, strict_schema
from xray_agent_tools.adapters.dialects import DIALECTS, Api
from xray_agent_tools.adapters.loop import Answerer, AsyncAnswerer, Conversation, converse, converse_async
from xray_agent_tools.adapters.run import AnsweredCall, Call, ChatModelFailed, ToolRun, Usage
from xray_agent_tools.errors import InvalidArgument
from xray_agent_tools.screener import Screener
from xray_agent_tools.tools import TOOLS

__all__ = [
    "AnsweredCall",
    "Answerer",
    "AsyncAnswerer",
    "AsyncClient",
    "Call",
    "ChatModelFailed",
    "Client",
    "ToolRun",
    "Usage",
    "call_tool",
    "run_tools",
    "run_tools_async",
    "tools",
]

MAX_ROUNDS = 8
"""Requests to the model in one run, unless said otherwise. A look, an explanation and an assessment take four."""

_Answers = TypeVar("_Answers")


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
    hand_back: Collection[str] = (),
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
        hand_back: names of the functions in ``tools`` that the caller runs by itself. A call of one with a JSON object
            as arguments ends the run and is in :attr:`ToolRun.pending`; other calls in the same reply are answered
            first. To go on, add an answer for each pending call to :attr:`ToolRun.messages`, and run again.
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
    conversation = _begin(messages, model, tools, api, max_rounds, hand_back, on_call, create_options)
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
    hand_back: Collection[str] = (),
    on_call: Callable[[AnsweredCall], object] | None = None,
    **create_options: Any,
) -> ToolRun:
    """Let a chat model call the tools until it answers; :func:`run_tools` for ``openai.AsyncOpenAI`` and asyncio.

    The screener looks in threads of its own. The calls of one reply are answered at the same time.
    """
    conversation = _begin(messages, model, tools, api, max_rounds, hand_back, on_call, create_options)
    answerer = _one_of(screener, answer) or partial(_in_a_thread, screener)
    return await converse_async(conversation, partial(_create_async, _endpoint(client, api)), answerer)


def _begin(
    messages: Sequence[Any],
    model: str,
    offered: Sequence[Mapping[str, Any]] | None,
    api: Api,
    max_rounds: int,
    hand_back: Collection[str],
    on_call: Callable[[AnsweredCall], object] | None,
    options: Mapping[str, Any],
) -> Conversation:
    if api not in DIALECTS:
        raise InvalidArgument(f"api is {str(api)[:40]!r}", hint="give 'chat' or 'responses'")
    return Conversation(
        messages,
        dialect=DIALECTS[api],
        tools=tools(api=api) if offered is None else offered,
        options={**options, "model": model},
        max_rounds=max_rounds,
        hand_back=hand_back,
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
