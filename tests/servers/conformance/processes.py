"""Servers in processes of their own, on loopback."""

from __future__ import annotations

import socket
import subprocess
import sys
import sysconfig
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import click

ROOT = Path(__file__).parents[3]
SCANS = ROOT / "examples" / "scans"
START_S = 60.0
"""Longest that a server may take to listen, in seconds."""


def command(shelf: Path) -> list[str]:
    """The command that serves the demo scans on stdio, and keeps what it was given in ``shelf``."""
    program = Path(sysconfig.get_path("scripts")) / "xray-mcp"
    return [str(program), "--root", str(SCANS), "--shelf", str(shelf.resolve())]


@contextmanager
def real_server(folder: Path) -> Iterator[str]:
    """Serve the demo scans over HTTP as a user would; yields the URL. Its log goes to ``folder``."""
    port = _free_port()
    with _listening([*command(folder / "shelf"), "--http", "--port", str(port)], port, folder):
        yield f"http://127.0.0.1:{port}/mcp"


@contextmanager
def fixture_server(folder: Path, *, sessions: bool) -> Iterator[str]:
    """Serve the same application with the suite's fixtures added, stateless or in sessions; yields the URL."""
    port = _free_port()
    started = [sys.executable, "-m", "tests.servers.conformance.fixtures", "--port", str(port)]
    with _listening([*started, *(["--sessions"] if sessions else [])], port, folder):
        yield f"http://127.0.0.1:{port}/mcp"


@contextmanager
def _listening(started: Sequence[str], port: int, folder: Path) -> Iterator[None]:
    folder.mkdir(parents=True, exist_ok=True)
    log = folder / "server.log"
    with log.open("wb") as sink, subprocess.Popen(started, cwd=ROOT, stdout=sink, stderr=sink) as process:
        try:
            _wait(process, port, log)
            yield
        finally:
            process.terminate()


def _wait(process: subprocess.Popen[bytes], port: int, log: Path) -> None:
    deadline = time.monotonic() + START_S
    while time.monotonic() < deadline and process.poll() is None:
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.1)
    raise click.ClickException(f"the server did not start; {log} says:\n{log.read_text(encoding='utf-8')[-2000:]}")


def _free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port: int = listener.getsockname()[1]
        return port
