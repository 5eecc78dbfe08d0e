"""The conversation between a chat model and the tools, whatever API the model speaks.

A :class:`Conversation` takes every decision; :func:`converse` and :func:`converse_async` only wait for the model and
for whoever answers the calls. What a model writes is data: it is checked, quoted in short and never obeyed.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Collection, Coroutine, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Protocol

from pydantic import ValidationError

from xray_agent_tools.adapters.calls import error_text, read_arguments, unknown_tool
from xray_agent_tools.adapters.run import AnsweredCall, Call, ChatModelFailed, ToolRun, Usage, verdict_in
from xray_agent_tools.errors import InvalidArgument, XrayToolsError

__all__ = [
    "MOST_CALLS",
    "Answerer",
    "AsyncAnswerer",
    "Call",
    "Conversation",
    "Dialect",
    "Turn",
    "converse",
    "converse_async",
]

MOST_CALLS = 16
"""Most calls of one reply that are run; a model that asks for more at once is told to ask again."""

_CUT_OFF = InvalidArgument("your reply was cut off", hint="make fewer calls at once, with short arguments")

Answerer = Callable[[str, dict[str, Any]], tuple[str, bool]]
"""Answers a call by tool name and arguments: the text for the model, and whether it is an answer or an error.

An :class:`XrayToolsError` that it raises becomes the text of an error; any other exception ends the run.
"""

AsyncAnswerer = Callable[[str, dict[str, Any]], Awaitable[tuple[str, bool]]]
"""An :data:`Answerer` that is awaited. The calls of one reply are answered at the same time."""


@dataclass(frozen=True, slots=True)
class Turn:
    """A model's reply, read.

    Attributes:
        said: the messages or items to add to the conversation.
        calls: the tool calls in it.
        text: its words.
        refusal: why the model refuses, or None.
        finish_reason: ``stop``, ``tool_calls``, ``length``, ``content_filter`` or what else the endpoint gave.
        tokens: how many were read and written, or None if the endpoint does not say.
    """

    said: list[dict[str, Any]]
    calls: list[Call]
    text: str
    refusal: str | None
    finish_reason: str | None
    tokens: tuple[int, int] | None


class Dialect(Protocol):
    """How one API words requests and replies."""

    @property
    def conversation(self) -> str:
        """The request's name for the conversation."""

    def read(self, reply: object) -> Turn:
        """Read a reply.

        Raises:
            ValueError: it is no reply of this API.
        """

    def answer(self, call_id: str, text: str) -> dict[str, Any]:
        """The message or item that answers a call."""


class Conversation:
    """A chat model's conversation with the tools, from the first request to the last word."""

    def __init__(
        self,
        messages: Sequence[Any],
        *,
        dialect: Dialect,
        tools: Sequence[Mapping[str, Any]],
        options: Mapping[str, Any],
        max_rounds: int,
        hand_back: Collection[str] = (),
        on_call: Callable[[AnsweredCall], object] | None = None,
    ) -> None:
        """Begin with the caller's messages, which stay as they are.

        Args:
            messages: the conversation so far.
            dialect: how the API words it.
            tools: the definitions that the model is offered.
            options: what else goes into every request.
            max_rounds: most requests to the model.
            hand_back: names of the tools that the caller runs; a call of one ends the conversation.
            on_call: hears of each call once it is answered.

        Raises:
            InvalidArgument: ``messages``, ``max_rounds`` or ``hand_back`` is wrong, or an option asks for more than one
                whole reply.
        """
        if isinstance(messages, str):
            raise InvalidArgument("messages is a text", hint='give [{"role": "user", "content": ...}]')
        if isinstance(max_rounds, bool) or not isinstance(max_rounds, int) or max_rounds < 1:
            raise InvalidArgument(f"max_rounds is {str(max_rounds)[:40]}", hint="give a whole number from 1")
        _check_options(options)
        self._messages = list(messages)
        self._dialect = dialect
        self._offered = [name for tool in tools if (name := _name_of(tool)) is not None]
        self._hand_back = frozenset(hand_back)
        if missing := self._hand_back.difference(self._offered):
            raise InvalidArgument(
                f"hand_back names {', '.join(sorted(missing))[:80]}",
                hint="put the definition into tools, or leave it out",
            )
        self._options = {**options, "tools": list(tools)}
        self._rounds_left = max_rounds
        self._on_call = on_call
        self._round: dict[str, AnsweredCall | None] = {}
        self._calls: list[AnsweredCall] = []
        self._pending: list[Call] = []
        self._last: Turn | None = None
        self._usage = Usage()

    @property
    def done(self) -> bool:
        """Whether the model has had its last word, or waits for the caller."""
        return self._last is not None and (not self._last.calls or bool(self._pending))

    def request(self) -> dict[str, Any]:
        """The next request to the model, with the answers to its last calls."""
        self._close_round()
        self._rounds_left -= 1
        options = self._options if self._last is None else _unforced(self._options)
        return {**options, self._dialect.conversation: list(self._messages)}

    def hear(self, reply: object) -> list[tuple[Call, dict[str, Any]]]:
        """Take the model's reply; returns the calls that wait for an answer, with their arguments.

        A call of a tool that was not offered, and one without readable arguments, is answered here. One that the
        caller runs is kept for it, and no further request is made.

        Raises:
            ChatModelFailed: the reply is none, or it calls tools although the rounds are used up.
        """
        try:
            turn = self._dialect.read(reply)
        except ValueError as error:
            reason = "it is no reply of this API" if isinstance(error, ValidationError) else str(error)
            raise ChatModelFailed(
                f"the chat model's reply cannot be used: {reason}",
                hint="check the endpoint's URL and whether it speaks this API",
                run=self.result(),
            ) from error
        self._usage = self._usage.plus(turn.tokens)
        self._last = turn
        self._pending = [
            call for call in turn.calls[:MOST_CALLS] if call.name in self._hand_back and _is_readable(call)
        ]
        if turn.calls and not self._pending and self._rounds_left == 0:
            raise ChatModelFailed(
                f"no answer after {self._usage.requests} rounds of tool calls",
                hint="raise max_rounds, or ask for less at once",
                run=self.result(),
            )
        self._messages += turn.said
        self._round = dict.fromkeys(call.id for call in turn.calls)
        cut_off = turn.finish_reason == "length"
        return [
            (call, arguments)
            for place, call in enumerate(turn.calls)
            if call not in self._pending
            and (arguments := self._arguments(call, place=place, cut_off=cut_off)) is not None
        ]

    @contextmanager
    def answering(self, call: Call) -> Iterator[Callable[[str, bool], None]]:
        """Time the answer to a call, and note it; an error that is raised is the answer.

        Yields a function that takes the answer: its text, and whether it is one.
        """
        started = time.perf_counter()
        answer = ("", False)

        def give(text: str, ok: bool) -> None:
            nonlocal answer
            answer = (text, ok)

        try:
            yield give
        except XrayToolsError as error:
            answer = (error_text(error), False)
        self._note(call, *answer, milliseconds=round((time.perf_counter() - started) * 1000, 1))

    def result(self) -> ToolRun:
        """What was said and done so far."""
        self._close_round()
        last = self._last
        finish_reason = last.finish_reason if last else None
        return ToolRun(
            text=last.text if last else "",
            finish_reason="tool_calls" if self._pending else finish_reason,
            refusal=last.refusal if last else None,
            calls=tuple(self._calls),
            messages=list(self._messages),
            usage=self._usage,
            pending=tuple(self._pending),
        )

    def _close_round(self) -> None:
        """Put the answers to the model's last calls into the conversation, in the order in which it asked."""
        answered = [call for call in self._round.values() if call is not None]
        self._round = {}
        self._calls += answered
        self._messages += [self._dialect.answer(call.id, call.text) for call in answered]

    def _arguments(self, call: Call, *, place: int, cut_off: bool) -> dict[str, Any] | None:
        """The arguments of a call that a tool can answer; None for one that was answered with an error."""
        if call.name not in self._offered:
            self._note(call, unknown_tool(call.name, self._offered), ok=False)
            return None
        try:
            if place >= MOST_CALLS:
                raise InvalidArgument("too many calls at once", hint=f"make at most {MOST_CALLS} calls in one reply")
            return read_arguments(call.arguments)
        except InvalidArgument as error:
            self._note(call, error_text(_CUT_OFF if cut_off else error), ok=False)
            return None

    def _note(self, call: Call, text: str, ok: bool, milliseconds: float = 0.0) -> None:
        scan_id, verdict = verdict_in(text) if ok else (None, None)
        answered = AnsweredCall(call.id, call.name, call.arguments, text, ok, milliseconds, scan_id, verdict)
        self._round[call.id] = answered
        if self._on_call is not None:
            self._on_call(answered)


def converse(conversation: Conversation, create: Callable[..., object], answer: Answerer) -> ToolRun:
    """Lead a conversation to its end.

    Args:
        conversation: one that has not begun.
        create: sends a request to the model and returns its reply.
        answer: answers the calls, one after the other.

    Raises:
        ChatModelFailed: the model comes to no answer.
    """
    while not conversation.done:
        for call, arguments in conversation.hear(create(**conversation.request())):
            with conversation.answering(call) as give:
                give(*answer(call.name, arguments))
    return conversation.result()


async def converse_async(
    conversation: Conversation, create: Callable[..., Awaitable[object]], answer: AsyncAnswerer
) -> ToolRun:
    """Lead a conversation to its end, on an asyncio event loop.

    Args:
        conversation: one that has not begun.
        create: sends a request to the model and returns its reply.
        answer: answers the calls; those of one reply at the same time.

    Raises:
        ChatModelFailed: the model comes to no answer.
    """

    async def respond(call: Call, arguments: dict[str, Any]) -> None:
        with conversation.answering(call) as give:
            give(*await answer(call.name, arguments))

    while not conversation.done:
        calls = conversation.hear(await create(**conversation.request()))
        await _together(respond(call, arguments) for call, arguments in calls)
    return conversation.result()


async def _together(work: Iterable[Coroutine[Any, Any, None]]) -> None:
    try:
        async with asyncio.TaskGroup() as group:
            for one in work:
                group.create_task(one)
    except BaseExceptionGroup as failures:
        raise failures.exceptions[0] from None


def _check_options(options: Mapping[str, Any]) -> None:
    for name in ("stream", "background"):
        if options.get(name):
            raise InvalidArgument(f"{name} is set", hint="leave it out: the loop needs whole replies")
    if options.get("n") not in (None, 1):
        raise InvalidArgument("n asks for several replies", hint="leave it out: a conversation has one reply a turn")


def _unforced(options: Mapping[str, Any]) -> dict[str, Any]:
    """Options for every request but the first: a model that has to call a tool each time can never answer."""
    choice = options.get("tool_choice")
    forced = choice == "required" or (isinstance(choice, dict) and choice.get("type") == "function")
    return {**options, "tool_choice": "auto"} if forced else dict(options)


def _is_readable(call: Call) -> bool:
    try:
        read_arguments(call.arguments)
    except InvalidArgument:
        return False
    return True


def _name_of(tool: Mapping[str, Any]) -> str | None:
    """The name in a function's definition, for Chat Completions or for Responses."""
    named = tool.get("function", tool)
    return named.get("name") if tool.get("type") == "function" else None
