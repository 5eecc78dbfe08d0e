"""The server under test over both transports, in the words in which a client is told of it."""

from __future__ import annotations

import http.client
import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import click

COMMAND = [str(Path(sys.executable).with_name("xray-mcp"))]
START_S = 60


def over_stdio(root: Path) -> dict[str, Any]:
    """What a client needs to start the server itself."""
    command, *arguments = [*COMMAND, "--root", str(root)]
    return {"command": command, "args": arguments}


def showing_halves() -> dict[str, Any]:
    """The server of :mod:`tests.clients.halves`, over stdio."""
    return {"command": sys.executable, "args": [str(Path(__file__).with_name("halves.py"))]}


@contextmanager
def over_http(root: Path, log: Path) -> Iterator[dict[str, Any]]:
    """Run the server on a free port of loopback; yields what a client needs to reach it.

    Raises:
        click.ClickException: the server is not installed, ended, or was not ready in time; the message quotes its log.
    """
    if not Path(COMMAND[0]).is_file():
        raise click.ClickException(f"there is no {COMMAND[0]}; run `make clients`, which installs it")
    port = _free_port()
    with log.open("w", encoding="utf-8") as output:
        server = subprocess.Popen(
            [*COMMAND, "--http", "--host", "127.0.0.1", "--port", str(port), "--root", str(root)],
            stdout=output,
            stderr=subprocess.STDOUT,
            env={name: value for name, value in os.environ.items() if not name.startswith("XRAY_")},
        )
    try:
        _wait_until_healthy(server, port, log)
        yield {"url": f"http://127.0.0.1:{port}/mcp"}
    finally:
        _stop(server)


def _free_port() -> int:
    with closing(socket.socket()) as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def _wait_until_healthy(server: subprocess.Popen[bytes], port: int, log: Path) -> None:
    deadline = time.monotonic() + START_S
    while not _is_healthy(port):
        ended = server.poll() is not None
        if ended or time.monotonic() > deadline:
            fault = f"ended with {server.returncode}" if ended else f"is not healthy after {START_S} s"
            said = log.read_text(encoding="utf-8", errors="replace")[-2000:]
            raise click.ClickException(f"the server over HTTP {fault}; it said:\n{said}")
        time.sleep(0.1)


def _is_healthy(port: int) -> bool:
    with closing(http.client.HTTPConnection("127.0.0.1", port, timeout=5)) as connection:
        try:
            connection.request("GET", "/healthz")
            return connection.getresponse().status == 200
        except (OSError, http.client.HTTPException):
            return False


def _stop(server: subprocess.Popen[bytes]) -> None:
    server.terminate()
    try:
        server.wait(timeout=10)
    except subprocess.TimeoutExpired:
        server.kill()
        server.wait()
