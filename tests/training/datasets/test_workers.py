from __future__ import annotations

import subprocess
import sys

PROGRAM = """
import os, sys
from xray_training.datasets.workers import workers
with workers(2) as pool:
    print(pool.submit(os.getpid).result(), flush=True)
    sys.stdin.read()
"""


def test_workers_end_with_a_command_that_is_killed() -> None:
    with subprocess.Popen([sys.executable, "-c", PROGRAM], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as command:
        assert command.stdout is not None
        assert int(command.stdout.readline()) != command.pid
        command.kill()
        # The workers hold the other end of the pipe as long as they live.
        rest, _ = command.communicate(timeout=60)
    assert rest == b""
