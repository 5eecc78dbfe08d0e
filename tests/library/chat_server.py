"""An OpenAI-compatible chat server on loopback that follows a script."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from enum import Enum
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from itertools import repeat
from threading import Event, Thread
from typing import Any

_MISBEHAVES_FOR = 10.0


class Misbehaviour(Enum):
    """How a streamed reply goes wrong. What would last for ever lasts ten seconds."""

    DROPS = "the connection is lost in the middle"
    BREAKS_OFF = "the stream ends properly before the reply does"
    NEVER_ENDS = "word follows word"
    ONLY_KEEPS_ALIVE = "comments come, but no chunk"
    FALLS_SILENT = "nothing comes after the first words"
    FAILS = "an error comes as a chunk"
    BABBLES = "a chunk is no chunk"
    IS_NO_STREAM = "a web page comes"


@dataclass(frozen=True)
class Tokens:
    """A reply whose tokens come with their log-probabilities, where the request asks for them.

    Attributes:
        tokens: text and log-probability of each.
    """

    tokens: tuple[tuple[str, float], ...]

    @property
    def text(self) -> str:
        return "".join(text for text, _ in self.tokens)


Reply = str | int | dict[str, Any] | Misbehaviour | Tokens


@dataclass
class Script:
    """What the server says, and what it hears."""

    replies: list[Reply]
    finish_reason: str
    hung_up: Event
    requests: list[dict[str, Any]] = field(default_factory=list)
    closing: Event = field(default_factory=Event)

    def next_reply(self) -> Reply:
        return self.replies.pop(0) if len(self.replies) > 1 else self.replies[0]


@contextmanager
def chat_server(
    *replies: Reply, hung_up: Event | None = None, finish_reason: str = "stop"
) -> Iterator[tuple[str, list[dict[str, Any]]]]:
    """Serve scripted replies, the last one again and again; yields the base URL and the requests received.

    A text is the assistant's content, a mapping its whole message, a number an HTTP status. A request that asks for a
    stream gets the content in chunks of four characters, or token by token. ``hung_up`` is set when a client leaves
    during a reply.
    """
    script = Script(list(replies), finish_reason, hung_up or Event())
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(Conversation, script))
    thread = Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}/v1", script.requests
    finally:
        script.closing.set()
        server.shutdown()
        server.server_close()
        thread.join(timeout=10)


class Conversation(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def __init__(self, script: Script, *connection: Any) -> None:
        self.script = script
        super().__init__(*connection)

    def do_POST(self) -> None:
        request = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.script.requests.append(request)
        reply = self.script.next_reply()
        try:
            if isinstance(reply, int):
                self.send_whole(reply, "application/json", b"{}")
            elif reply is Misbehaviour.IS_NO_STREAM:
                self.send_whole(200, "text/html", b"<title>Welcome</title>")
            elif request.get("stream"):
                self.send_stream(reply if request.get("logprobs") or not isinstance(reply, Tokens) else reply.text)
            else:
                self.send_whole(200, "application/json", completion(reply, self.script.finish_reason))
        except ConnectionError:
            self.script.hung_up.set()

    def start(self, status: int, headers: dict[str, str]) -> None:
        self.send_response(status)
        for name, value in {**headers, "Connection": "close"}.items():
            self.send_header(name, value)
        self.end_headers()

    def send_whole(self, status: int, content_type: str, payload: bytes) -> None:
        self.start(status, {"Content-Type": content_type, "Content-Length": str(len(payload))})
        self.wfile.write(payload)

    def send_stream(self, reply: Reply) -> None:
        self.start(200, {"Content-Type": "text/event-stream; charset=utf-8", "Transfer-Encoding": "chunked"})
        until = time.monotonic() + _MISBEHAVES_FOR
        for event in events(reply, self.script.finish_reason):
            self.wfile.write(f"{len(event):x}\r\n{event}\r\n".encode())
            if self.script.closing.is_set() or time.monotonic() > until:
                return
        if reply is Misbehaviour.FALLS_SILENT:
            self.script.closing.wait(_MISBEHAVES_FOR)
        elif reply is not Misbehaviour.DROPS:
            self.wfile.write(b"0\r\n\r\n")

    def log_message(self, *_: object) -> None:
        return


def completion(reply: Reply, finish_reason: str) -> bytes:
    message = reply if isinstance(reply, dict) else {"content": reply if isinstance(reply, str) else None}
    choice = {"index": 0, "finish_reason": finish_reason, "message": {"role": "assistant", **message}}
    body = {"id": "1", "object": "chat.completion", "created": 1, "model": "m", "choices": [choice]}
    return json.dumps(body).encode()


def events(reply: Reply, finish_reason: str) -> Iterator[str]:
    """The events of a streamed reply, as text in ASCII."""
    yield chunk({"role": "assistant", "content": ""})
    if isinstance(reply, Misbehaviour):
        yield chunk({"content": '{"an'})
        yield from misbehaviour(reply)
        return
    if isinstance(reply, Tokens):
        for text, value in reply.tokens:
            yield chunk({"content": text}, logprobs=[(text, value)])
    elif isinstance(reply, dict) and reply.get("refusal"):
        yield chunk({"refusal": reply["refusal"]})
    content = reply if isinstance(reply, str) else ""
    for start in range(0, len(content), 4):
        yield chunk({"content": content[start : start + 4]})
    yield chunk({}, finish_reason)
    yield "data: [DONE]\n\n"


def misbehaviour(kind: Misbehaviour) -> Iterator[str]:
    if kind is Misbehaviour.NEVER_ENDS:
        yield from repeat(chunk({"content": "word"}))
    elif kind is Misbehaviour.ONLY_KEEPS_ALIVE:
        yield from repeat(": still there\n\n")
    elif kind is Misbehaviour.FAILS:
        yield 'data: {"error": {"message": "out of memory", "type": "server_error"}}\n\n'
    elif kind is Misbehaviour.BABBLES:
        yield "data: {}{\n\n"


def chunk(
    delta: dict[str, Any], finish_reason: str | None = None, logprobs: Sequence[tuple[str, float]] | None = None
) -> str:
    choice: dict[str, Any] = {"index": 0, "delta": delta, "finish_reason": finish_reason}
    if logprobs is not None:
        entries = [
            {"token": text, "logprob": value, "bytes": list(text.encode()), "top_logprobs": []}
            for text, value in logprobs
        ]
        choice["logprobs"] = {"content": entries, "refusal": None}
    body = {"id": "1", "object": "chat.completion.chunk", "created": 1, "model": "m", "choices": [choice]}
    return f"data: {json.dumps(body)}\n\n"
