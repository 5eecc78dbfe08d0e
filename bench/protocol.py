"""What the protocol adds to a look at a scan, measured in one run beside the direct call in Python.

``detect_threats`` on the same scan, in turn: called directly, over standard input and output, and over Streamable HTTP,
in both protocol eras. Then the load mode of the MCP Inspector, where its package is installed (``make conformance``).
"""

from __future__ import annotations

import json
import os
import re
import statistics
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from pathlib import Path

import anyio
from mcp import Client, StdioServerParameters

from xray_agent_tools import Screener

ROOT = Path(__file__).parent.parent
SCANS = ROOT / "examples" / "scans"
SCAN = "bag_1.png"
ROUNDS = 60
WARM_UP = 5
SERVER = [str(Path(sys.executable).with_name("xray-mcp")), "--root", str(SCANS)]
INSPECTOR = Path(os.environ.get("XRAY_NODE", ROOT / "out" / "node")) / "node_modules" / ".bin"


@contextmanager
def http_server(*options: str) -> Iterator[str]:
    """A server on loopback; yields its address."""
    process = subprocess.Popen([*SERVER, "--http", "--port", "0", *options], stderr=subprocess.PIPE, text=True)
    try:
        assert process.stderr is not None
        found = re.search(r"http://\S+", process.stderr.readline())
        assert found is not None
        yield found.group()
    finally:
        process.terminate()
        process.communicate(timeout=30)


@asynccontextmanager
async def clients(url: str) -> AsyncIterator[dict[str, Client]]:
    """A client for each transport and era."""
    local = StdioServerParameters(command=SERVER[0], args=SERVER[1:])
    async with AsyncExitStack() as stack:
        yield {
            "stdio, 2026-07-28": await stack.enter_async_context(Client(local, mode="auto")),
            "stdio, 2025-11-25": await stack.enter_async_context(Client(local, mode="legacy")),
            "HTTP, 2026-07-28": await stack.enter_async_context(Client(url, mode="auto")),
            "HTTP, 2025-11-25": await stack.enter_async_context(Client(url, mode="legacy")),
        }


async def overhead(url: str) -> None:
    """Measure every way in turn, round after round, and print the medians."""
    screener = Screener(roots=[SCANS])
    path = str(SCANS / SCAN)
    spans: dict[str, list[float]] = {"direct": []}
    async with clients(url) as ways:
        spans.update({name: [] for name in ways})
        for number in range(WARM_UP + ROUNDS):
            started = time.perf_counter()
            screener.detect_threats(path)
            took = {"direct": time.perf_counter() - started}
            for name, client in ways.items():
                started = time.perf_counter()
                answer = await client.call_tool("detect_threats", {"scan": SCAN})
                took[name] = time.perf_counter() - started
                assert not answer.is_error
            if number >= WARM_UP:
                for name, span in took.items():
                    spans[name].append(span)
    direct = statistics.median(spans["direct"])
    print(f"detect_threats called directly         {direct * 1000:8.1f} ms")
    for name in ways:
        median = statistics.median(spans[name])
        print(f"  over {name:<30}  {median * 1000:8.1f} ms   adds {(median - direct) * 1000:5.1f} ms   (goal: under 8)")


def inspector_load(url: str) -> None:
    """Print what the Inspector's load mode reports."""
    if not (INSPECTOR / "mcp-inspector").exists():
        print("MCP Inspector load mode: not installed; `make conformance` installs it")
        return
    environment = {**os.environ, "PATH": f"{INSPECTOR}{os.pathsep}{os.environ['PATH']}"}
    command = [
        "mcp-inspector",
        "--cli",
        url,
        "--transport",
        "http",
        "--protocol-era",
        "modern",
        "--method",
        "tools/call",
    ]
    command += ["--tool-name", "detect_threats", "--tool-args-json", json.dumps({"scan": SCAN})]
    command += ["--load", "--load-requests", "200"]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=300, check=False)
    print("MCP Inspector, load mode, 200 calls of detect_threats:")
    print((done.stdout + done.stderr).strip())


def main() -> None:
    """Measure and print."""
    with http_server() as url:
        anyio.run(overhead, url)
        inspector_load(url)


if __name__ == "__main__":
    main()
