"""An engine as a child process: started, waited for, and ended when this process ends."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass

from xray_agent_tools.errors import Misconfigured, ModelUnavailable, XrayToolsError
from xray_servers.vlm.command import Command
from xray_servers.vlm.endpoint import Endpoint, NoAnswer

_LOOKS_AGAIN_AFTER_S = 0.5
_TELLS_EVERY_S = 15.0
_PASSED_ON = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)


@dataclass(frozen=True, slots=True)
class Running:
    """An engine that was started.

    Attributes:
        child: its process.
        asked: the signals by which this process was asked to stop, which have been passed on.
    """

    child: subprocess.Popen[bytes]
    asked: list[int]

    def pause(self, seconds: float) -> int | None:
        """Wait so long at most for the engine's end; its exit code, or None if it goes on.

        Raises:
            SystemExit: this process was asked to stop.
        """
        code = None
        with suppress(subprocess.TimeoutExpired):
            code = self.child.wait(seconds)
        if self.asked:
            sys.exit(128 + self.asked[0])
        return code

    def wait(self) -> int:
        """Wait for the engine's end, however long; its exit code.

        Raises:
            SystemExit: this process was asked to stop.
        """
        while (code := self.pause(_LOOKS_AGAIN_AFTER_S)) is None:
            pass
        return code


@contextmanager
def started(command: Command, key: str | None, *, grace_s: float = 30.0) -> Iterator[Running]:
    """Start an engine; when the block ends, however it does, the engine and what it started have ended too.

    A request to stop that reaches this process is passed on at once, and ends the block.

    Args:
        command: what to start.
        key: the key that it asks its clients for.
        grace_s: seconds that it has to end by itself.

    Raises:
        Misconfigured: its port is taken, or it cannot be started.
        SystemExit: this process was asked to stop.
    """
    _check_port(command)
    environment = {**os.environ, **command.environment}
    if key is not None and command.key_variable is not None:
        environment[command.key_variable] = key
    child: subprocess.Popen[bytes] | None = None
    asked: list[int] = []

    # Raising here could leave Popen's lock held, and every later wait would hang.
    def pass_on(number: int, _: object) -> None:
        asked.append(number)
        if child is not None:
            _signal(child, number)

    before = {number: signal.signal(number, pass_on) for number in _PASSED_ON}
    try:
        child = _spawn(command, environment)
        if asked:
            sys.exit(128 + asked[0])
        yield Running(child, asked)
    except XrayToolsError:
        # Whatever an engine that was asked to stop fails at is no news.
        if asked:
            sys.exit(128 + asked[0])
        raise
    finally:
        for number in _PASSED_ON:
            signal.signal(number, signal.SIG_IGN)
        if child is not None:
            _end(child, asked[0] if asked else signal.SIGTERM, grace_s)
        for number, handler in before.items():
            signal.signal(number, handler)


def _spawn(command: Command, environment: Mapping[str, str]) -> subprocess.Popen[bytes]:
    try:
        # A session of its own: an interrupt typed at the terminal reaches it once, through this process.
        return subprocess.Popen(command.arguments, env=environment, stdin=subprocess.DEVNULL, start_new_session=True)
    except OSError as error:
        raise Misconfigured(
            f"{command.arguments[0]} cannot be started: {error.strerror}", hint="name the engine's program"
        ) from error


def _end(child: subprocess.Popen[bytes], asked: int, grace_s: float) -> None:
    _signal(child, asked)
    with suppress(subprocess.TimeoutExpired):
        child.wait(grace_s)
    _signal(child, signal.SIGKILL)
    child.wait()


def _signal(child: subprocess.Popen[bytes], number: int) -> None:
    """Send a signal to an engine and to what it started."""
    with suppress(ProcessLookupError):
        os.killpg(child.pid, number)


def _check_port(command: Command) -> None:
    """An answer from a server that was there before must not be taken for the engine's."""
    with socket.socket(socket.AF_INET6 if ":" in command.host else socket.AF_INET) as probe:
        probe.settimeout(2)
        if probe.connect_ex((command.host, command.port)) == 0:
            raise Misconfigured(
                f"something answers at {command.host}:{command.port} already", hint="choose another --port, or stop it"
            )


def wait_until_it_answers(
    endpoint: Endpoint,
    command: Command,
    say: Callable[[str], None],
    *,
    running: Running | None,
    limit_s: float,
) -> None:
    """Wait until an engine serves what it was started for.

    Args:
        endpoint: where it listens.
        command: what it was started with.
        say: told every fifteen seconds that it is still waited for.
        running: what was started, whose end ends the wait; None for one that somebody else has started.
        limit_s: seconds to wait.

    Raises:
        ModelUnavailable: it ended, did not answer in time, or does not serve the model.
    """
    begun = time.monotonic()
    told = begun
    wanted = {command.model, *([command.base] if command.base else [])}
    why = "no answer"
    while (now := time.monotonic()) - begun < limit_s:
        try:
            served = endpoint.models()
        except NoAnswer as error:
            why = str(error)
        else:
            if wanted <= set(served):
                return
            missing = ", ".join(sorted(wanted.difference(served)))
            raise ModelUnavailable(
                f"the engine serves {', '.join(served) or 'nothing'}, not {missing}",
                hint="see the engine's log for why it did not load it",
            )
        if now - told >= _TELLS_EVERY_S:
            say(f"waiting for {command.engine} since {now - begun:.0f} s: {why}")
            told = now
        _pause(running, command)
    raise ModelUnavailable(
        f"{command.engine} did not answer in {limit_s:g} seconds: {why}", hint="give it more time with --wait"
    )


def _pause(running: Running | None, command: Command) -> None:
    if running is None:
        time.sleep(_LOOKS_AGAIN_AFTER_S)
        return
    code = running.pause(_LOOKS_AGAIN_AFTER_S)
    if code is not None:
        raise ModelUnavailable(
            f"{command.engine} ended with code {code} before it answered", hint="its last words above say why"
        )
