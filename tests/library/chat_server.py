"""An OpenAI-compatible chat server on loopback that follows a script."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any


@contextmanager
def chat_server(*replies: str | int | dict[str, Any]) -> Iterator[tuple[str, list[dict[str, Any]]]]:
    """Serve scripted replies, the last one again and again; yields the base URL and the requests received.

    A text is the assistant's content, a mapping its whole message, a number an HTTP status.
    """
    script: list[str | int | dict[str, Any]] = list(replies)
    requests: list[dict[str, Any]] = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            requests.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
            reply = script.pop(0) if len(script) > 1 else script[0]
            status = reply if isinstance(reply, int) else 200
            message = reply if isinstance(reply, dict) else {"content": reply if isinstance(reply, str) else None}
            choice = {"index": 0, "finish_reason": "stop", "message": {"role": "assistant", **message}}
            body = {"id": "1", "object": "chat.completion", "created": 1, "model": "m", "choices": [choice]}
            payload = json.dumps(body).encode()
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(payload)))
            self.end_headers()
            self.wfile.write(payload)

        def log_message(self, *_: object) -> None:
            return

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}/v1", requests
    finally:
        server.shutdown()
        server.server_close()
        thread.join(timeout=10)
