"""What the messages of a conversation say: which bag it is about, the latest words, and results of tools."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import takewhile
from typing import Any

from xray_agent_tools.errors import ScanTooLarge
from xray_agent_tools.scan import DEFAULT_LIMITS
from xray_servers.http.errors import Refused
from xray_servers.http.openai.conversation import ToolResult
from xray_servers.http.openai.declared import take_apart
from xray_servers.shelf import is_scan_id

Message = Mapping[str, Any]
"""A message in the form of chat completions: its content is a text, or a list of ``text`` and ``image_url`` parts."""

Fetch = Callable[[str], Awaitable[str]]
"""Gets the picture at an address as a data URI, or raises ``Refused``."""

MOST_CHARACTERS = 1_000_000
"""Characters of a conversation's words; pictures do not count."""

_SCAN_ID = re.compile(r"\bscan-[0-9a-f]{16}\b")
_NAMED_SCAN = re.compile(r"(?:\bscan(?:[_ ]?id)?\b\s*+(?:[:=]\s*+)?)?" + _SCAN_ID.pattern, re.IGNORECASE)
_WORD = re.compile(r"\w")


@dataclass(frozen=True, slots=True)
class Turns:
    """A conversation's messages, read.

    Attributes:
        scans: data URIs or scan_ids of the latest message that holds any: the views of one bag.
        text: what the latest user message says besides, stripped; empty if it only names a scan.
        tool_results: results at the end of the conversation.
    """

    scans: tuple[str, ...]
    text: str
    tool_results: tuple[ToolResult, ...]


async def read_turns(messages: Sequence[Message], fetch: Fetch) -> Turns:
    """Read the messages of a conversation.

    Raises:
        Refused: there are too many words, a picture is no data URI and cannot be fetched, a declaration cannot be read,
            or a message names several scans.
        ScanTooLarge: the message has more pictures than a bag has views.
    """
    if sum(len(text_of(message)) for message in messages) > MOST_CHARACTERS:
        raise Refused(
            400,
            "context_length_exceeded",
            f"the messages have more than {MOST_CHARACTERS:,} characters",
            hint="leave earlier messages out",
            param="messages",
        )
    text = next((text_of(message) for message in reversed(messages) if message["role"] == "user"), "").strip()
    sources = next((found for message in reversed(messages) if (found := _scans_in(message))), ())
    if len(sources) > DEFAULT_LIMITS.max_views:
        raise ScanTooLarge(
            f"{len(sources)} pictures in one message",
            hint=f"send at most {DEFAULT_LIMITS.max_views}: they are the views of one bag",
        )
    return Turns(
        scans=tuple([await _picture(source, fetch) for source in sources]),
        text=text if _WORD.search(_NAMED_SCAN.sub("", text)) else "",
        tool_results=_results_at_the_end(messages),
    )


def text_of(message: Message) -> str:
    """The words of a message, its text parts on lines of their own."""
    content = message.get("content") or ""
    if isinstance(content, str):
        return content
    return "\n".join(part["text"] for part in content if part["type"] == "text")


def _scans_in(message: Message) -> Sequence[str]:
    """The pictures of a message, or else the scan that a user's words name, but never a traveller's."""
    content = message.get("content") or ""
    parts = () if isinstance(content, str) else content
    pictures = [part["image_url"]["url"] for part in parts if part["type"] == "image_url"]
    if pictures or message["role"] != "user":
        return pictures
    named = list(dict.fromkeys(_SCAN_ID.findall(take_apart(text_of(message)).words)))
    if len(named) > 1:
        raise Refused(
            400,
            "several_scans",
            f"a message names {len(named)} scans: {', '.join(named[:5])}",
            hint="ask about one bag at a time",
            param="messages",
        )
    return named


async def _picture(url: str, fetch: Fetch) -> str:
    scheme = url[:8].lower()
    if scheme.startswith("data:"):
        return "data:" + url[5:]
    if scheme.startswith(("http://", "https://")):
        return await fetch(url)
    if is_scan_id(url):
        return url
    raise Refused(
        400,
        "invalid_image_url",
        "an image_url is neither a data URI, nor an http address, nor a scan_id",
        hint="send data:image/png;base64,... with the picture in base64",
        param="image_url",
    )


def _results_at_the_end(messages: Sequence[Message]) -> tuple[ToolResult, ...]:
    latest = list(takewhile(lambda message: message["role"] == "tool", reversed(messages)))
    return tuple(_results(reversed(latest)))


def _results(messages: Iterator[Message]) -> Iterator[ToolResult]:
    for message in messages:
        yield ToolResult(message.get("tool_call_id") or "", text_of(message))
