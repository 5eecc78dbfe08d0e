"""What the HTTP server adds to a look at a scan, and how much of the detector's throughput it keeps.

In one run, in turn: the detector called directly in a loop, with several sizes of batches, and servers with several
numbers of screening processes, each asked by eight clients at once and by one. Scans travel as base64 in JSON. Servers,
clients and the direct loop share the cores, so ratios carry over between machines, seconds do not.
"""

from __future__ import annotations

import base64
import json
import os
import re
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from functools import partial
from itertools import cycle, islice
from pathlib import Path
from tempfile import TemporaryDirectory

import httpx2

from xray_agent_tools import Screener

SCANS = sorted((Path(__file__).parent.parent / "examples" / "scans").glob("*.png"))
URIS = ["data:image/png;base64," + base64.b64encode(scan.read_bytes()).decode() for scan in SCANS]
BODIES = [json.dumps({"scan": uri}).encode() for uri in URIS]
COMMAND = str(Path(sys.executable).with_name("xray-serve"))
BATCHES = (1, 2, 4, 8)
WORKERS = sorted({1, len(os.sched_getaffinity(0))})
CLIENTS = 8
ROUNDS = 5
LOOKS = 64
SINGLE_LOOKS = 16


@contextmanager
def server(workers: int) -> Iterator[httpx2.Client]:
    """A server on loopback that is ready; yields a client of it."""
    with TemporaryDirectory(prefix="xray-bench-") as folder:
        options = ["--port", "0", "--workers", str(workers), "--audit", f"{folder}/audit.db"]
        process = subprocess.Popen([COMMAND, *options], stderr=subprocess.PIPE, text=True)
        try:
            assert process.stderr is not None
            found = re.search(r"http://[^/\s]+", process.stderr.readline())
            assert found is not None
            with httpx2.Client(base_url=found.group(), timeout=60) as client:
                assert client.get("/readyz").status_code == 200
                yield client
        finally:
            process.terminate()
            process.communicate(timeout=30)


def asked(client: httpx2.Client, body: bytes) -> float:
    """Seconds of one call over HTTP."""
    started = time.perf_counter()
    answer = client.post("/v1/detect", content=body, headers={"content-type": "application/json"})
    assert answer.status_code == 200, answer.text
    return time.perf_counter() - started


def looked(screener: Screener, uri: str) -> float:
    """Seconds of one direct call."""
    started = time.perf_counter()
    screener.detect_threats(uri)
    return time.perf_counter() - started


def per_second(work: Callable[[], object]) -> float:
    """Looks a second of work that is :data:`LOOKS` looks."""
    started = time.perf_counter()
    work()
    return LOOKS / (time.perf_counter() - started)


class Run:
    """Everything that is measured, round after round."""

    def __init__(self, screener: Screener, servers: dict[int, httpx2.Client]) -> None:
        self._screener = screener
        self._servers = servers
        self.direct_rates: dict[int, list[float]] = {size: [] for size in BATCHES}
        self.rates: dict[int, list[float]] = {workers: [] for workers in servers}
        self.crowded: dict[int, list[float]] = {workers: [] for workers in servers}
        self.alone: dict[int, list[float]] = {workers: [] for workers in servers}
        self.added: dict[int, list[float]] = {workers: [] for workers in servers}
        self.direct: list[float] = []

    def warm_up(self) -> None:
        """Let every process see every scan."""
        list(self._screener.detect_batch(URIS))
        for client in self._servers.values():
            self._crowd(client, [])

    def round(self) -> None:
        """Measure everything once."""
        for size, rates in self.direct_rates.items():
            rates.append(per_second(partial(self._loop, size)))
        for workers, client in self._servers.items():
            self.rates[workers].append(per_second(partial(self._crowd, client, self.crowded[workers])))
        for uri, body in islice(cycle(zip(URIS, BODIES, strict=True)), SINGLE_LOOKS):
            direct = looked(self._screener, uri)
            self.direct.append(direct)
            for workers, client in self._servers.items():
                alone = asked(client, body)
                self.alone[workers].append(alone)
                self.added[workers].append(alone - direct)

    def _loop(self, size: int) -> None:
        for _ in self._screener.detect_batch(islice(cycle(URIS), LOOKS), batch=size):
            pass

    def _crowd(self, client: httpx2.Client, spans: list[float]) -> None:
        with ThreadPoolExecutor(CLIENTS) as clients:
            spans += clients.map(partial(asked, client), islice(cycle(BODIES), LOOKS))


def report(run: Run) -> None:
    """Print medians, and what the goals say of them."""
    rates = {size: statistics.median(found) for size, found in run.direct_rates.items()}
    best = max(rates.values())
    print("called directly in a loop: " + ", ".join(f"batch {size} {rate:.1f}/s" for size, rate in rates.items()))
    print(f"one call, direct                       {statistics.median(run.direct) * 1000:8.1f} ms")
    for workers, found in run.rates.items():
        rate, alone = statistics.median(found), statistics.median(run.alone[workers])
        p95 = statistics.quantiles(run.crowded[workers], n=20)[-1]
        added = statistics.median(run.added[workers]) * 1000
        print(f"xray-serve --workers {workers}")
        print(f"  throughput, {CLIENTS} clients                {rate:8.1f} /s")
        print(f"    share of the best direct loop      {rate / best:8.0%}    (goal: at least 90 %)")
        print(f"  one call                             {alone * 1000:8.1f} ms")
        print(f"    HTTP, base64, JSON, record add     {added:8.1f} ms   (goal: under 10)")
        print(f"  p95, {CLIENTS} clients                       {p95 * 1000:8.1f} ms")
        print(f"    times the single call              {p95 / alone:8.1f}      (goal: under 8)")


def main() -> None:
    """Measure and print."""
    with ExitStack() as stack:
        run = Run(Screener(), {workers: stack.enter_context(server(workers)) for workers in WORKERS})
        run.warm_up()
        for _ in range(ROUNDS):
            run.round()
        report(run)


if __name__ == "__main__":
    main()
