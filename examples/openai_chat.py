"""Ask a running xray-serve about a bag, with OpenAI's own client.

Start .venv/bin/xray-serve, then (OPENAI_BASE_URL and OPENAI_API_KEY name another server and its key):

    python examples/openai_chat.py examples/scans/bag_1.png "Where is the gun?"
"""

from __future__ import annotations

import base64
import os
import sys
from pathlib import Path
from typing import Any

import openai


def ask(client: openai.OpenAI, scan: Path, question: str = "") -> str:
    """What the screener says of a scan: its report, or the answer to a question."""
    data = base64.b64encode(scan.read_bytes()).decode("ascii")
    parts: list[Any] = [{"type": "image_url", "image_url": {"url": f"data:image/png;base64,{data}"}}]
    if question:
        parts.append({"type": "text", "text": question})
    answer = client.chat.completions.create(model="xray-screener", messages=[{"role": "user", "content": parts}])
    return answer.choices[0].message.content or ""


if __name__ == "__main__":
    server = openai.OpenAI(
        base_url=os.environ.get("OPENAI_BASE_URL", "http://127.0.0.1:8000/v1"),
        api_key=os.environ.get("OPENAI_API_KEY", "none"),
    )
    try:
        print(ask(server, Path(sys.argv[1]), *sys.argv[2:3]))
    except openai.APIError as error:
        sys.exit(f"{type(error).__name__}: {error.message}")
