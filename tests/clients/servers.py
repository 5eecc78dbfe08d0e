"""The servers under test, in the words in which a client is told of them."""

from __future__ import annotations

import http.client
import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import click

SCRIPTS = Path(sys.executable).parent
MCP = str(SCRIPTS / "xray-mcp")
SERVE = str(SCRIPTS / "xray-serve")
START_S = 60


def over_stdio(root: Path) -> dict[str, Any]:
    """What a client needs to start the MCP server itself."""
    return {"command": MCP, "args": ["--root", str(root)]}


def showing_halves() -> dict[str, Any]:
    """The server of :mod:`tests.clients.halves`, over stdio."""
    return {"command": sys.executable, "args": [str(Path(__file__).with_name("halves.py"))]}


@contextmanager
def over_http(root: Path, log: Path) -> Iterator[dict[str, Any]]:
    """Run the MCP server on a free port of loopback; yields what a client needs to reach it.

    Raises:
        click.ClickException: the server is not installed, ended, or was not ready in time; the message quotes its log.
    """
    with _running([MCP, "--http", "--root", str(root)], log) as origin:
        yield {"url": f"{origin}/mcp"}


@contextmanager
def over_openai(folder: Path, *options: str) -> Iterator[str]:
    """Run the OpenAI-compatible server on a free port of loopback; yields its base URL.

    Args:
        folder: keeps its log and its records, which begin anew.
        options: of ``xray-serve``.

    Raises:
        click.ClickException: as for :func:`over_http`.
    """
    folder.mkdir(parents=True, exist_ok=True)
    for old in folder.glob("audit.db*"):
        old.unlink()
    with _running([SERVE, "--audit", str(folder / "audit.db"), *options], folder / "server.log") as origin:
        yield f"{origin}/v1"


def new_key(name: str, token_file: Path) -> str:
    """A key of the OpenAI-compatible server, added to its token file.

    Raises:
        click.ClickException: the server is not installed.
    """
    _check_installed(SERVE)
    made = subprocess.run(
        [SERVE, "token", name, "--file", str(token_file)], capture_output=True, text=True, check=True
    ).stdout
    return made.splitlines()[0].removeprefix("token: ")


@contextmanager
def _running(command: Sequence[str], log: Path) -> Iterator[str]:
    _check_installed(command[0])
    port = _free_port()
    with log.open("w", encoding="utf-8") as output:
        server = subprocess.Popen(
            [*command, "--host", "127.0.0.1", "--port", str(port)],
            stdout=output,
            stderr=subprocess.STDOUT,
            env={name: value for name, value in os.environ.items() if not name.startswith("XRAY_")},
        )
    try:
        _wait_until_healthy(server, port, log)
        yield f"http://127.0.0.1:{port}"
    finally:
        _stop(server)


def _check_installed(program: str) -> None:
    if not Path(program).is_file():
        raise click.ClickException(f"there is no {program}; run `make clients`, which installs it")


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
