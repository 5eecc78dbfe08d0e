"""An OpenAI-compatible endpoint on loopback whose replies a function makes."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any

Answerer = Callable[[dict[str, Any]], str | int]
"""Makes the assistant's text, or an HTTP status, of a request."""

TOKENS = {"prompt_tokens": 100, "completion_tokens": 20, "total_tokens": 120}


@contextmanager
def endpoint(answer: Answerer) -> Iterator[tuple[str, list[dict[str, Any]]]]:
    """Serve; yields the base URL and the requests received. A failure asks to be tried again in a millisecond."""
    requests: list[dict[str, Any]] = []

    class Conversation(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            request = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            requests.append(request)
            reply = answer(request)
            status = reply if isinstance(reply, int) else 200
            choice = {"index": 0, "finish_reason": "stop", "message": {"role": "assistant", "content": reply}}
            body = {"id": "1", "object": "chat.completion", "created": 1, "model": "m", "choices": [choice]}
            payload = json.dumps({"error": {"message": "no"}} if status != 200 else body | {"usage": TOKENS}).encode()
            self.send_response(status)
            for name, value in {
                "Content-Type": "application/json",
                "Content-Length": str(len(payload)),
                "retry-after-ms": "1",
            }.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(payload)

        def log_message(self, *_: object) -> None:
            return

    server = ThreadingHTTPServer(("127.0.0.1", 0), Conversation)
    server.daemon_threads = True
    thread = Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}/v1", requests
    finally:
        server.shutdown()
        server.server_close()
        thread.join(timeout=10)


def asked_to_reword(request: dict[str, Any]) -> dict[str, str]:
    """The question, and the answer if there is one, that a request quotes."""
    content = request["messages"][1]["content"]
    text = content if isinstance(content, str) else content[-1]["text"]
    lines = [line for line in text.strip("-\n").splitlines() if line]
    return {name.casefold(): said for name, _, said in (line.partition(": ") for line in lines)}


def texts(*said: str) -> str:
    """A reply in the form asked for."""
    return json.dumps({"texts": list(said)})
