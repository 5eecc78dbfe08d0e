"""A process that records decisions, and says which are on record.

Run as ``python -m tests.servers.audit.writer URL NAME COUNT``, it begins when a line comes in.
Bags are named by their number alone, so that processes compete for them.
"""

from __future__ import annotations

import sys
from concurrent.futures import ThreadPoolExecutor

from xray_servers.audit import AuditLog

from tests.servers.audit.entries import entry

THREADS = 3


def main(url: str, name: str, count: int) -> None:
    with AuditLog(url, timeout_s=60) as log, ThreadPoolExecutor(THREADS) as pool:
        print("ready", flush=True)
        sys.stdin.readline()

        def record(number: int) -> None:
            common = log.record(entry(request_id=f"{name} common {number}", bag=f"bag {number}"))
            own = log.record(entry(request_id=f"{name} own {number}", bag=f"{name} {number}"))
            # One write, so that no line is cut by another thread's.
            sys.stdout.write(f"{number} {common.record_id} {own.record_id}\n")
            sys.stdout.flush()

        list(pool.map(record, range(count)))


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], int(sys.argv[3]))
