"""Start-up and speed, measured in one run beside Ultralytics' own ``predict`` at 640 pixels.

The peer runs Ultralytics' own ONNX export of the same weights, with as many threads, on the same scans, in turn with
ours. Every figure is a median. Ratios carry over between machines, seconds do not. The demo scans are PNG; where
``XRAY_DATA`` names the folder of real scans, forty of its test scans are looked at too, which are JPEG.

Writes ``out/bench/speed.json``: the figures of the real scans where they are at hand, with a thread for each core.
"""

from __future__ import annotations

import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

os.environ.setdefault("YOLO_OFFLINE", "true")
os.environ.setdefault("YOLO_AUTOINSTALL", "false")
os.environ.setdefault("YOLO_VERBOSE", "false")

from xray_evals.checkout import commit

from xray_agent_tools import Screener
from xray_agent_tools.detector.onnx import OnnxDetector, cores
from xray_agent_tools.detector.package import load_package
from xray_agent_tools.detector.runtime import load_runtime
from xray_agent_tools.detector.torch import CHECKPOINT_FILE

ROOT = Path(__file__).parent.parent
DEMO = sorted((ROOT / "examples" / "scans").glob("*.png"))
OUT = ROOT / "out" / "bench" / "speed.json"
REAL_SCANS = 40
ROUNDS = 5
PEER_SIZE = 640
MOST_OF_PEER = 1 / 3
MOST_OUTSIDE = 0.15

_IMPORT = "import time; t = time.perf_counter(); import xray_agent_tools; print(time.perf_counter() - t)"
_FIRST = (
    "import time; t = time.perf_counter(); from xray_agent_tools import detect_threats; "
    f"detect_threats({str(DEMO[0])!r}); print(time.perf_counter() - t)"
)


def in_new_process(code: str) -> float:
    """Median seconds that a snippet prints, each time in a process of its own, bytecode compiled before."""
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    outputs = [
        subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, env=environment).stdout
        for _ in range(ROUNDS + 1)
    ]
    return statistics.median(float(output) for output in outputs[1:])


class Timed:
    """A runtime session that adds up the seconds its runs take."""

    def __init__(self, session: Any) -> None:
        self._session = session
        self.seconds = 0.0

    def run(self, *arguments: Any) -> Any:
        """Run, and add the time."""
        started = time.perf_counter()
        try:
            return self._session.run(*arguments)
        finally:
            self.seconds += time.perf_counter() - started

    def __getattr__(self, name: str) -> Any:
        return getattr(self._session, name)


@contextmanager
def threads_of_sessions(threads: int) -> Iterator[None]:
    """Let every ONNX Runtime session that is opened meanwhile have so many threads."""
    runtime = load_runtime()
    session: Any = runtime.InferenceSession

    def limited(path: str, options: Any = None, **others: Any) -> Any:
        chosen = options or runtime.SessionOptions()
        chosen.intra_op_num_threads = threads
        return session(path, chosen, **others)

    setattr(runtime, "InferenceSession", limited)  # noqa: B010
    try:
        yield
    finally:
        setattr(runtime, "InferenceSession", session)  # noqa: B010


def load_peer(exported: Path, threads: int) -> Callable[[str], object]:
    """Ultralytics' ``predict`` on its own export; the network is loaded at the first call, so that is made here."""
    import cv2
    import torch
    from ultralytics import YOLO

    torch.set_num_threads(threads)
    cv2.setNumThreads(threads)
    model = YOLO(str(exported), task="detect")

    def predict(scan: str) -> object:
        return model.predict(scan, imgsz=PEER_SIZE, device="cpu", verbose=False)

    with threads_of_sessions(threads):
        predict(str(DEMO[0]))
    return predict


def export_peer(folder: Path) -> Path:
    """Ultralytics' own export of the default package's weights at 640 pixels, with its own settings."""
    from ultralytics import YOLO

    checkpoint = folder / CHECKPOINT_FILE
    shutil.copyfile(load_package("default").folder / CHECKPOINT_FILE, checkpoint)
    return Path(YOLO(str(checkpoint)).export(format="onnx", imgsz=PEER_SIZE, verbose=False))


@dataclass(frozen=True, slots=True)
class Case:
    """What one group of scans and one number of threads showed, in milliseconds and shares."""

    scans: str
    threads: int
    ours_ms: float
    peer_ms: float
    ratio_to_peer: float
    non_network_share: float
    looks: int


def measure(name: str, scans: list[Path], threads: int, exported: Path) -> Case:
    """Look at every scan with both, in turn, round after round; the first round warms up."""
    detector = OnnxDetector(load_package("default"), threads=threads)
    session = Timed(detector._session)
    detector._session = session
    screener = Screener(model=detector)
    screener.canary_alarms()
    peer = load_peer(exported, threads)
    ours, theirs, shares = [], [], []
    for number in range(ROUNDS + 1):
        for scan in map(str, scans):
            session.seconds = 0.0
            started = time.perf_counter()
            screener.detect_threats(scan)
            between = time.perf_counter()
            network = session.seconds
            peer(scan)
            done = time.perf_counter()
            if number:
                ours.append(between - started)
                theirs.append(done - between)
                shares.append(1 - network / (between - started))
    mine, other = statistics.median(ours), statistics.median(theirs)
    return Case(name, threads, mine * 1000, other * 1000, mine / other, statistics.median(shares), len(ours))


def real_scans() -> list[Path]:
    """Forty test scans, spread evenly over their names; none without ``XRAY_DATA``."""
    folder = os.environ.get("XRAY_DATA")
    found = sorted((Path(folder) / "images" / "test").glob("*.jpg")) if folder else []
    return found[:: max(1, len(found) // REAL_SCANS)][:REAL_SCANS]


def show(cases: list[Case], imported: float, first: float) -> None:
    """Print the table."""
    print(f"import xray_agent_tools                {imported:8.3f} s   (goal: under 0.25)")
    print(f"first detect_threats of a process      {first:8.3f} s   (goal: under 2)")
    for case in cases:
        ratio, outside = case.ratio_to_peer, case.non_network_share
        print(f"{case.scans}, threads: {case.threads}, {case.looks} looks")
        print(f"  detect_threats, end to end           {case.ours_ms:8.1f} ms")
        print(f"  Ultralytics predict at {PEER_SIZE}           {case.peer_ms:8.1f} ms")
        print(f"  ratio, ours to theirs                {ratio:8.2f}      (goal: at most {MOST_OF_PEER:.2f})")
        print(f"  share that is not the network        {outside:8.0%}      (goal: at most {MOST_OUTSIDE:.0%})")


def main() -> None:
    """Measure, print a table and write the figures."""
    stamp, sha256 = commit(), load_package("default").manifest.sha256
    imported, first = in_new_process(_IMPORT), in_new_process(_FIRST)
    groups = {"demo scans": DEMO} | ({"real test scans": real} if (real := real_scans()) else {})
    all_cores = cores() or os.cpu_count() or 1
    with tempfile.TemporaryDirectory() as folder:
        exported = export_peer(Path(folder))
        cases = [
            measure(name, scans, threads, exported)
            for name, scans in groups.items()
            for threads in sorted({1, min(2, all_cores), all_cores})
        ]
    show(cases, imported, first)
    figures = {
        **{name: value for name, value in asdict(cases[-1]).items() if name != "looks"},
        "import_s": imported,
        "first_s": first,
        "date": datetime.now(UTC).date().isoformat(),
        "commit": stamp,
        "sha256": sha256,
        "cases": [asdict(case) for case in cases],
    }
    OUT.parent.mkdir(parents=True, exist_ok=True)
    OUT.write_text(json.dumps(figures, indent=1) + "\n", encoding="utf-8")
    print(f"wrote {OUT.relative_to(ROOT)}")


if __name__ == "__main__":
    main()
