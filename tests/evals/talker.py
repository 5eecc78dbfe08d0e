"""A chat endpoint on loopback whose model answers each question by a function."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from io import BytesIO
from threading import Event, Lock, Thread
from typing import Any

from PIL import Image

Reply = str | int | bytes | None
"""Words, an HTTP status, a raw body, or None for silence until the server closes."""


@dataclass(frozen=True)
class Question:
    """What a model was asked: the words, the size of the picture, and everything else in the request."""

    text: str
    size: tuple[int, int]
    request: dict[str, Any]


@dataclass
class Talker:
    """What the endpoint heard, and how many questions it held at a time at most."""

    answer: Callable[[Question], Reply]
    url: str = ""
    heard: list[Question] = field(default_factory=list)
    at_once: int = 0
    held: int = 0
    lock: Lock = field(default_factory=Lock)
    closing: Event = field(default_factory=Event)

    @contextmanager
    def holding(self) -> Iterator[None]:
        with self.lock:
            self.held += 1
            self.at_once = max(self.at_once, self.held)
        try:
            yield
        finally:
            with self.lock:
                self.held -= 1


@contextmanager
def talking(answer: Callable[[Question], Reply]) -> Iterator[Talker]:
    """Serve answers on loopback."""
    talker = Talker(answer)

    class Conversation(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            with talker.holding():
                question = question_in(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
                talker.heard.append(question)
                reply = talker.answer(question)
            if reply is None:
                talker.closing.wait(10)
            elif isinstance(reply, int):
                self.send(reply, b"{}")
            else:
                self.send(200, reply if isinstance(reply, bytes) else completion(reply))

        def send(self, status: int, body: bytes) -> None:
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            return

    server = ThreadingHTTPServer(("127.0.0.1", 0), Conversation)
    talker.url = f"http://127.0.0.1:{server.server_address[1]}/v1"
    thread = Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield talker
    finally:
        talker.closing.set()
        server.shutdown()
        server.server_close()
        thread.join(timeout=10)


def question_in(request: dict[str, Any]) -> Question:
    (message,) = request["messages"]
    picture, words = message["content"]
    with Image.open(BytesIO(base64.b64decode(picture["image_url"]["url"].partition(",")[2]))) as image:
        return Question(words["text"], image.size, request)


def completion(reply: str) -> bytes:
    choice = {"index": 0, "finish_reason": "stop", "message": {"role": "assistant", "content": reply}}
    return json.dumps(
        {"id": "1", "object": "chat.completion", "created": 1, "model": "m", "choices": [choice]}
    ).encode()
