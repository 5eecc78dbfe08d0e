"""A program that stands in for vLLM and for ``transformers serve``: it takes their arguments and serves on loopback."""

from __future__ import annotations

import json
import struct
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

_PROGRAM = """#!{python} -ES
import json, os, signal, subprocess, sys
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

folder = Path({folder!r})
behaviour = {behaviour!r}
arguments = sys.argv[1:]

def option(name, default=None):
    return arguments[arguments.index(name) + 1] if name in arguments else default

(folder / "started.json").write_text(json.dumps({{"arguments": arguments, "environment": dict(os.environ)}}))
if behaviour == "dies":
    print("no such device", file=sys.stderr)
    sys.exit(7)

def ended(number, frame):
    (folder / "ended").write_text(str(number))
    if behaviour != "stays":
        os._exit(0)

for number in (signal.SIGTERM, signal.SIGINT):
    signal.signal(number, ended)
worker = subprocess.Popen([sys.executable, "-ES", "-c", "import time; time.sleep(600)"])
(folder / "worker").write_text(str(worker.pid))

names = [option("--served-model-name", arguments[1])]
if "--lora-modules" in arguments:
    names.append(option("--lora-modules").partition("=")[0])
if behaviour == "forgets the adapter":
    names = names[:1]
key = os.environ.get("VLLM_API_KEY")

class Answers(BaseHTTPRequestHandler):
    def do_GET(self):
        self.answer({{"object": "list", "data": [{{"id": name, "object": "model"}} for name in names]}})

    def do_POST(self):
        request = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        with (folder / "asked.jsonl").open("a") as log:
            log.write(json.dumps(request) + "\\n")
        adapted = request["model"] != names[0] and behaviour != "ignores the adapter"
        shift = 0.25 if adapted and behaviour != "answers in other words" else 0.0
        text = "A pistol." if adapted and behaviour == "answers in other words" else "A bag."
        tokens = [{{"token": part, "logprob": -0.5 - shift, "bytes": None, "top_logprobs": []}} for part in text.split()]
        message = {{"role": "assistant", "content": text}}
        choice = {{"index": 0, "message": message, "finish_reason": "stop", "logprobs": {{"content": tokens}}}}
        about = {{"id": "1", "object": "chat.completion", "created": 1, "model": request["model"]}}
        self.answer({{**about, "choices": [choice]}})

    def answer(self, body):
        allowed = key is None or self.headers.get("Authorization") == "Bearer " + key
        payload = json.dumps(body if allowed else {{"error": {{"message": "unauthorized"}}}}).encode()
        self.send_response(200 if allowed else 401)
        self.send_header("Content-Length", str(len(payload)))
        self.end_headers()
        self.wfile.write(payload)

    def log_message(self, *args):
        pass

if behaviour == "never answers":
    signal.pause()
HTTPServer((option("--host"), int(option("--port"))), Answers).serve_forever()
"""


@dataclass(frozen=True)
class Engine:
    """A program that stands in for an engine.

    Attributes:
        program: its file.
        folder: where it tells what it was started with, and what it was asked.
    """

    program: Path
    folder: Path

    @property
    def arguments(self) -> list[str]:
        return list(self._started()["arguments"])

    @property
    def environment(self) -> dict[str, str]:
        return dict(self._started()["environment"])

    @property
    def asked(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in (self.folder / "asked.jsonl").read_text(encoding="utf-8").splitlines()]

    @property
    def worker(self) -> int:
        """A process that it has started."""
        return int((self.folder / "worker").read_text(encoding="utf-8"))

    @property
    def signalled(self) -> int | None:
        """The signal that it was asked to end with."""
        path = self.folder / "ended"
        return int(path.read_text(encoding="utf-8")) if path.exists() else None

    def _started(self) -> dict[str, Any]:
        started: dict[str, Any] = json.loads((self.folder / "started.json").read_text(encoding="utf-8"))
        return started


def engine_in(folder: Path, name: str = "vllm", behaviour: str = "") -> Engine:
    """Write such a program into a folder."""
    folder.mkdir(parents=True, exist_ok=True)
    program = folder / name
    text = _PROGRAM.format(python=sys.executable, folder=str(folder), behaviour=behaviour)
    program.write_text(text, encoding="utf-8")
    program.chmod(0o755)
    return Engine(program, folder)


def model_in(folder: Path) -> Path:
    """A folder that looks like a model's."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "config.json").write_text("{}", encoding="utf-8")
    return folder


def adapter_in(folder: Path, base: str, *tensors: str, **config: Any) -> Path:
    """A folder that looks like an adapter's, with the header of its weights and nothing behind it."""
    folder.mkdir(parents=True, exist_ok=True)
    settings = {"peft_type": "LORA", "base_model_name_or_path": base, "r": 16, "bias": "none", **config}
    (folder / "adapter_config.json").write_text(json.dumps(settings), encoding="utf-8")
    entries = {name: {"dtype": "F32", "shape": [0], "data_offsets": [0, 0]} for name in tensors}
    header = json.dumps({"__metadata__": {"format": "pt"}, **entries}).encode()
    (folder / "adapter_model.safetensors").write_bytes(struct.pack("<Q", len(header)) + header)
    return folder
