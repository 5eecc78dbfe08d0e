"""Counting tokens.

A token, here, is a word (a run of letters, digits and underscores) or a single punctuation mark or symbol. Space counts
nothing, a picture counts nothing, and neither do definitions of tools or schemas. Both sides are counted the same way:
what the caller said in all messages, with the names and arguments of earlier tool calls, and what the server answers. No
other server counts like this; the number is a measure of length, not of cost.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any

from xray_servers.http.openai.conversation import ToolCallMade

_TOKEN = re.compile(r"\w+|[^\w\s]")


def tokens_in(text: str) -> int:
    """Tokens of a text."""
    return sum(1 for _ in _TOKEN.finditer(text))


def tokens_of_messages(messages: Iterable[Mapping[str, Any]]) -> int:
    """Tokens of a conversation in the form of chat completions."""
    return sum(tokens_in(text) for message in messages for text in _texts(message))


def tokens_of_calls(calls: Iterable[ToolCallMade]) -> int:
    """Tokens of tool calls: their names and arguments."""
    return sum(tokens_in(call.name) + tokens_in(call.arguments) for call in calls)


def cut(text: str, most: int) -> str:
    """The first tokens of a text, with the space between them but none after the last.

    Args:
        text: any text.
        most: tokens to keep, 1 or more; a text with no more than that comes back unchanged.
    """
    end = 0
    for number, token in enumerate(_TOKEN.finditer(text)):
        if number == most:
            return text[:end]
        end = token.end()
    return text


def _texts(message: Mapping[str, Any]) -> Iterable[str]:
    content = message.get("content") or ""
    if isinstance(content, str):
        yield content
    else:
        yield from (part["text"] for part in content if part["type"] == "text")
    for call in message.get("tool_calls") or ():
        yield call["function"]["name"]
        yield call["function"]["arguments"]
