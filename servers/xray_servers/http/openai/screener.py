"""The detector and the grounded explainer behind a chat face."""

from __future__ import annotations

import json
from typing import Any
from uuid import uuid4

from xray_servers.http.callers import Caller
from xray_servers.http.decisions import Decisions
from xray_servers.http.errors import Refused
from xray_servers.http.openai.conversation import Completion, Conversation, ToolCallMade, Usage
from xray_servers.http.openai.orders import Order, arguments_for, order_of
from xray_servers.http.openai.results import read_results
from xray_servers.http.openai.usage import cut, tokens_in, tokens_of_calls, tokens_of_messages
from xray_servers.http.openai.words import words_for

_CREATED = 1_795_392_000


class ScreenerModel:
    """Answers with what the tools say and adds nothing: the same conversation gets the same answer.

    A scan alone gets the report, a scan with a question an explanation, a scan with a declaration an assessment.
    """

    def __init__(self, decisions: Decisions, *, grounded: bool = True) -> None:
        """Use what makes and records decisions.

        Args:
            decisions: makes and records them.
            grounded: word explanations from computed evidence alone, even where a model could.
        """
        self._decisions = decisions
        self._grounded = grounded

    @property
    def model_id(self) -> str:
        """Its name for clients."""
        return "xray-screener"

    @property
    def created(self) -> int:
        """When its answers got their present form, in seconds since 1970."""
        return _CREATED

    async def complete(self, conversation: Conversation, caller: Caller) -> Completion:
        """Answer a conversation by one call of a tool, or word the results of tools that it ends with.

        Raises:
            Refused: there is no scan, or the answer cannot have the form or the length that is asked for.
            XrayToolsError: what the tool raises.
        """
        order = order_of(conversation)
        repeated = _from_results(conversation, order)
        if repeated is not None:
            return repeated
        arguments = arguments_for(order.tool, conversation)
        decided = await self._decisions.ask(caller, order.tool.name, arguments, grounded=self._grounded)
        return _given(conversation, order, arguments, decided.answer, decided.record_id)


def _from_results(conversation: Conversation, order: Order) -> Completion | None:
    """What the caller's own calls of the tools gave; None if the conversation ends with nothing like that.

    It rests on what the caller says that the tools said, so no decision is made, and none is vouched for.
    """
    results = read_results(conversation.tool_results)
    if results is None or conversation.forced is not None:
        return None
    if order.form == "words":
        return _in_words(conversation, results.in_words())
    latest = results.latest(None if conversation.format.kind == "json_object" else order.tool)
    return None if latest is None else _as_json(conversation, latest)


def _given(
    conversation: Conversation, order: Order, arguments: dict[str, Any], answer: dict[str, Any], record_id: str
) -> Completion:
    """An answer in the form that was ordered."""
    known = {"answer": answer, "record_id": record_id}
    if order.form == "words":
        words = words_for(order.tool.output_model.model_validate(answer))
        return _in_words(conversation, words, **known)
    if order.form == "json":
        return _as_json(conversation, answer, **known)
    if order.form == "arguments":
        return _as_call(conversation, order.function, _compact(answer), **known)
    call = order.tool.input_model.model_validate(arguments | {"scan": answer["scan_id"]})
    return _as_call(conversation, order.function, call.model_dump_json(), **known)


def _in_words(conversation: Conversation, text: str, **known: Any) -> Completion:
    most = conversation.most_tokens
    length = tokens_in(text)
    if most is None or length <= most:
        return Completion(text, _usage(conversation, length), **known)
    return Completion(cut(text, most), _usage(conversation, most), finish_reason="length", **known)


def _as_json(conversation: Conversation, data: dict[str, Any], **known: Any) -> Completion:
    text = _compact(data)
    return Completion(text, _whole(conversation, tokens_in(text)), **known)


def _as_call(conversation: Conversation, function: str, arguments: str, **known: Any) -> Completion:
    calls = (ToolCallMade(f"call_{uuid4().hex[:24]}", function, arguments),)
    usage = _whole(conversation, tokens_of_calls(calls))
    return Completion("", usage, calls, finish_reason="tool_calls", **known)


def _whole(conversation: Conversation, length: int) -> Usage:
    """What an answer takes of which half would be worth nothing.

    Raises:
        Refused: it is longer than the caller allows.
    """
    most = conversation.most_tokens
    if most is not None and length > most:
        raise Refused(
            400,
            "max_tokens_too_small",
            f"the answer has {length} tokens, and JSON cannot be cut to {most}",
            hint=f"allow {length} tokens or more, or set no limit",
            param="max_tokens",
        )
    return _usage(conversation, length)


def _usage(conversation: Conversation, length: int) -> Usage:
    return Usage(tokens_of_messages(conversation.messages), length)


def _compact(data: dict[str, Any]) -> str:
    return json.dumps(data, separators=(",", ":"), ensure_ascii=False)
