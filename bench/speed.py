"""Start-up and speed, measured in one run beside Ultralytics' own ``predict`` at 640 pixels.

The same weights and the same scans; every figure is a median. Ratios carry over between machines, seconds do not.
"""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

os.environ.setdefault("YOLO_OFFLINE", "true")
os.environ.setdefault("YOLO_AUTOINSTALL", "false")
os.environ.setdefault("YOLO_VERBOSE", "false")

from xray_agent_tools import Screener
from xray_agent_tools.detector.package import load_package
from xray_agent_tools.detector.torch import CHECKPOINT_FILE

SCANS = sorted((Path(__file__).parent.parent / "examples" / "scans").glob("*.png"))
ROUNDS = 5

_IMPORT = "import time; t = time.perf_counter(); import xray_agent_tools; print(time.perf_counter() - t)"
_FIRST = (
    "import time; t = time.perf_counter(); from xray_agent_tools import detect_threats; "
    f"detect_threats({str(SCANS[0])!r}); print(time.perf_counter() - t)"
)


def in_new_process(code: str) -> float:
    """Median seconds that a snippet prints, each time in a process of its own, bytecode compiled before."""
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    outputs = [
        subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, env=environment).stdout
        for _ in range(ROUNDS + 1)
    ]
    return statistics.median(float(output) for output in outputs[1:])


def median_seconds(call: Callable[[str], object]) -> float:
    """Median seconds of a call on each demo scan, after one warm-up round."""
    for scan in SCANS:
        call(str(scan))
    spans = []
    for _ in range(ROUNDS):
        for scan in SCANS:
            started = time.perf_counter()
            call(str(scan))
            spans.append(time.perf_counter() - started)
    return statistics.median(spans)


def main() -> None:
    """Measure and print a table."""
    from ultralytics import YOLO

    imported, first = in_new_process(_IMPORT), in_new_process(_FIRST)
    screener = Screener()
    ours = median_seconds(screener.detect_threats)
    peer = YOLO(str(load_package("default").folder / CHECKPOINT_FILE))
    theirs = median_seconds(lambda scan: peer.predict(scan, imgsz=640, verbose=False))
    print(f"import xray_agent_tools                {imported:8.3f} s   (goal: under 0.25)")
    print(f"first detect_threats of a process      {first:8.3f} s   (goal: under 2)")
    print(f"detect_threats, end to end             {ours * 1000:8.1f} ms")
    print(f"Ultralytics predict at 640             {theirs * 1000:8.1f} ms")
    print(f"ratio, theirs to ours                  {theirs / ours:8.2f}")


if __name__ == "__main__":
    main()
