"""How many simulated scans one core makes in a second, and what the time goes into.

Processor time, not wall time, so that other work on the machine does not count. NumPy is held to one thread.
"""

from __future__ import annotations

import io
import os
import time
import zlib
from collections import defaultdict
from collections.abc import Callable
from dataclasses import replace
from typing import Any

os.environ["OMP_NUM_THREADS"] = "1"
os.environ["OPENBLAS_NUM_THREADS"] = "1"

from PIL import Image
from xray_training.simulator import scene
from xray_training.simulator.scanners import SCANNERS

BAGS = 60
PITCH_MM = 1.17
STAGES = {
    "packing": ("_packed_bag",),
    "rays": ("crossings", "deposit", "_roughen"),
    "physics": ("transmit", "measure"),
    "palette": ("colourise",),
    "truth": ("_truth",),
}


def timed(call: Callable[..., Any], stage: str, spent: dict[str, float], running: list[str]) -> Callable[..., Any]:
    """A function that notes the processor time of its outermost calls."""

    def measured(*arguments: Any, **options: Any) -> Any:
        if running:
            return call(*arguments, **options)
        running.append(stage)
        started = time.process_time()
        try:
            return call(*arguments, **options)
        finally:
            spent[stage] += time.process_time() - started
            running.pop()

    return measured


def main() -> None:
    """Measure and print a table."""
    spent: dict[str, float] = defaultdict(float)
    running: list[str] = []
    for stage, names in STAGES.items():
        for name in names:
            setattr(scene, name, timed(getattr(scene, name), stage, spent, running))
    SCANNERS["alder"] = replace(SCANNERS["alder"], pitch_mm=(PITCH_MM, PITCH_MM))
    scene.simulate(0)
    spent.clear()
    longest, encoding = 0, 0.0
    started = time.process_time()
    for seed in range(1, BAGS + 1):
        scan = scene.simulate(seed)
        longest += max(scan.pixels.shape)
        before = time.process_time()
        Image.fromarray(scan.pixels).save(io.BytesIO(), format="PNG", compress_level=1, compress_type=zlib.Z_RLE)
        encoding += time.process_time() - before
    total = time.process_time() - started
    spent["encoding"] = encoding
    spent["the rest"] = total - sum(spent.values())
    print(f"{BAGS} bags at {PITCH_MM} mm a pixel, the longer side {longest / BAGS:.0f} pixels on average")
    print(f"{BAGS / total:.1f} scans a second and core")
    for stage, seconds in sorted(spent.items(), key=lambda item: -item[1]):
        print(f"{seconds / total:6.1%}  {stage} ({seconds / BAGS * 1e3:.1f} ms)")


if __name__ == "__main__":
    main()
