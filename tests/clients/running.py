"""A client's program, run to its end in the client's own environment."""

from __future__ import annotations

import json
import os
import signal
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tests.clients.clients import Client, ClientFailed

ROOT = Path(__file__).parents[2]
KEPT_VARIABLES = ("PATH", "HOME", "LANG", "TMPDIR")
"""Nothing else of the caller's environment may change what a client does."""


def run_program(client: Client, python: Path, job: Mapping[str, Any], seconds: float) -> dict[str, Any]:
    """Run a client's program on a job; gives the JSON of its last line.

    Args:
        client: which client.
        python: its environment's interpreter.
        job: what the program is told.
        seconds: after which the program and what it started are killed.

    Raises:
        ClientFailed: the program did not finish.
    """
    environment = {name: os.environ[name] for name in KEPT_VARIABLES if name in os.environ}
    program = subprocess.Popen(
        [python, "-m", client.module, json.dumps(job)],
        cwd=ROOT,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=environment | {"NO_PROXY": "127.0.0.1"},
        start_new_session=True,
    )
    try:
        output, errors = program.communicate(timeout=max(seconds, 0))
    except subprocess.TimeoutExpired as error:
        raise ClientFailed("its time is over") from error
    finally:
        if program.returncode is None:
            os.killpg(program.pid, signal.SIGKILL)
            program.communicate()
    if program.returncode:
        raise ClientFailed(f"{client.program.name} ended with {program.returncode}:\n{errors.strip()[-2000:]}")
    answer: dict[str, Any] = json.loads(output.splitlines()[-1])
    return answer
