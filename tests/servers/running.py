"""A real server in a process of its own, for as long as a test needs one."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from urllib.request import urlopen

from anyio import to_thread
from mcp import StdioServerParameters

COMMAND = str(Path(sys.executable).with_name("xray-mcp"))
"""The MCP server's command as it is installed beside this interpreter."""

SERVE = str(Path(sys.executable).with_name("xray-serve"))
"""The command of the server for OpenAI's clients."""

PATIENCE_S = 60.0
"""Seconds that anything is waited for: far more than it takes, because machines that run tests are busy."""

_WORKS = b"anyio.to_process"
_LOOKS_AGAIN_AFTER_S = 0.02
_SERVES = re.compile(r"serves (http://[^\s/]+)/")


@dataclass(frozen=True, slots=True)
class Running:
    """A server that listens on loopback.

    Attributes:
        origin: scheme, address and port.
        pid: its process.
        log: file that its standard error goes to.
    """

    origin: str
    pid: int
    log: Path

    @property
    def url(self) -> str:
        """Where it speaks the protocol."""
        return f"{self.origin}/mcp"

    def screening_pids(self) -> list[int]:
        """Its screening processes."""
        return screening_pids_of(self.pid)

    def memory_kib(self) -> int:
        """Resident memory of the server and its screening processes."""
        return sum(_resident_kib(pid) for pid in (self.pid, *self.screening_pids()))

    def stop(self) -> None:
        """Ask it to stop; :func:`serving` waits for its end."""
        os.kill(self.pid, signal.SIGTERM)


@contextmanager
def serving(
    *options: str, env: Mapping[str, str] | None = None, command: Sequence[str] = (COMMAND, "--http")
) -> Iterator[Running]:
    """Serve HTTP on a free port of loopback; when the block ends, neither the server nor a child of it is left.

    Args:
        options: of the command.
        env: variables beside those of the tests, of which the server's own are taken away.
        command: what serves; :data:`SERVE` needs an ``--audit`` among its options.
    """
    with TemporaryDirectory(prefix="xray-running-", ignore_cleanup_errors=True) as folder:
        log = Path(folder) / "log"
        with log.open("wb") as output:
            server = subprocess.Popen(
                [*command, "--port", "0", *options],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                env=_plain_environment(env),
            )
        try:
            yield Running(_origin(server, log), server.pid, log)
        finally:
            _end(server)


def over_stdio(*options: str, env: Mapping[str, str] | None = None) -> StdioServerParameters:
    """What a client needs to start the server itself; arguments as for :func:`serving`."""
    return StdioServerParameters(command=COMMAND, args=list(options), env=_plain_environment(env))


def screening_pids_of(parent: int) -> list[int]:
    """The screening processes that a process has started, as far as they live."""
    return [pid for pid, its_parent in _processes() if its_parent == parent and _WORKS in _command(pid)]


def started_with(option: str) -> int:
    """The one child of this process that was started with an option."""
    [pid] = [pid for pid, parent in _processes() if parent == os.getpid() and option.encode() in _command(pid)]
    return pid


def is_alive(pid: int) -> bool:
    """Whether a process lives."""
    return any(pid == other for other, _ in _processes())


def wait_until(holds: Callable[[], bool], what: str, patience_s: float = PATIENCE_S) -> None:
    """Look again and again until something holds.

    Raises:
        AssertionError: it did not come to hold in time.
    """
    end = time.monotonic() + patience_s
    while not holds():
        assert time.monotonic() < end, f"waited in vain: {what}"
        time.sleep(_LOOKS_AGAIN_AFTER_S)


async def eventually(holds: Callable[[], bool], what: str, patience_s: float = PATIENCE_S) -> None:
    """As :func:`wait_until`, while other tasks go on."""
    await to_thread.run_sync(partial(wait_until, holds, what, patience_s), abandon_on_cancel=True)


def _plain_environment(env: Mapping[str, str] | None) -> dict[str, str]:
    return {name: value for name, value in os.environ.items() if not name.startswith("XRAY_")} | dict(env or {})


def _origin(server: subprocess.Popen[bytes], log: Path) -> str:
    def said() -> re.Match[str] | None:
        return _SERVES.search(log.read_text(encoding="utf-8"))

    wait_until(lambda: said() is not None or server.poll() is not None, "the server's first line")
    line = said()
    assert line is not None, f"the server ended: {log.read_text(encoding='utf-8')}"
    with urlopen(f"{line[1]}/healthz", timeout=PATIENCE_S) as answer:
        assert answer.status == 200
    return line[1]


def _end(server: subprocess.Popen[bytes]) -> None:
    left = screening_pids_of(server.pid)
    server.terminate()
    try:
        server.wait(PATIENCE_S)
    finally:
        server.kill()
        server.wait()
        for pid in left:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)


def _processes() -> Iterator[tuple[int, int]]:
    """Every living process and its parent."""
    for folder in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            # The command's name stands in brackets and may hold anything, even brackets.
            state, parent, *_ = (folder / "stat").read_text(errors="replace").rpartition(")")[2].split()
            if state != "Z":
                yield int(folder.name), int(parent)


def _command(pid: int) -> bytes:
    with suppress(OSError):
        return Path(f"/proc/{pid}/cmdline").read_bytes()
    return b""


def _resident_kib(pid: int) -> int:
    with suppress(OSError):
        lines = Path(f"/proc/{pid}/status").read_text(errors="replace").splitlines()
        return sum(int(line.split()[1]) for line in lines if line.startswith("VmRSS:"))
    return 0
