"""Server-sent events, and words cut into pieces for them."""

from __future__ import annotations

import json
import re
from collections.abc import AsyncIterator, Iterable, Iterator, Mapping
from typing import Any

from starlette.responses import StreamingResponse

DONE = "data: [DONE]\n\n"
"""The last event of a stream of chat completions."""

_PIECE = re.compile(r"\s*(?:\S+\s*){1,6}|\s+")


def pieces(text: str) -> Iterator[str]:
    """A text in pieces of a few words; together they are the text."""
    for found in _PIECE.finditer(text):
        yield found.group()


def event(data: Mapping[str, Any], name: str | None = None) -> str:
    """One server-sent event with JSON data."""
    head = "" if name is None else f"event: {name}\n"
    return f"{head}data: {json.dumps(data, separators=(',', ':'), ensure_ascii=False)}\n\n"


def stream_of(events: Iterable[str], headers: Mapping[str, str]) -> StreamingResponse:
    """A response that sends events, one after the other."""

    async def sent() -> AsyncIterator[str]:
        for one in events:
            yield one

    unbuffered = {"cache-control": "no-cache", "x-accel-buffering": "no"}
    return StreamingResponse(sent(), media_type="text/event-stream", headers={**unbuffered, **headers})
