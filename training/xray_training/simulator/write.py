"""Writing simulated scans as an annotated YOLO folder."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path

from PIL import Image

from xray_training.simulator.palette import SCANNERS
from xray_training.simulator.scene import SimulatedScan, simulate
from xray_training.simulator.threats import THREATS

SOURCE = "simulated"


def write_scans(
    out: Path,
    *,
    count: int,
    seed: int,
    scanners: tuple[str, ...],
    processes: int,
    threats: tuple[str, ...] | None = None,
) -> Iterator[Path]:
    """Simulate ``count`` scans into ``out`` and yield each picture's path as it is written.

    Scan ``i`` has the seed ``seed + i`` and the scanner ``scanners[i % len(scanners)]``, so that any
    one of them can be made again alone; ``threats`` are packed into each, or drawn when not given.
    The layout is the one that ``datasets.partial_yolo`` reads; ``truth.json`` adds occlusion and the
    everyday things.
    """
    for folder in ("images/train", "labels/train"):
        (out / folder).mkdir(parents=True, exist_ok=True)
    names = list(THREATS)
    (out / "classes.txt").write_text("\n".join(names) + "\n", encoding="utf-8")
    (out / "annotated.json").write_text(json.dumps({SOURCE: names}), encoding="utf-8")
    truth: dict[str, object] = {}
    with (
        ProcessPoolExecutor(processes, mp_context=get_context("spawn")) as pool,
        (out / "manifest.csv").open("w", newline="", encoding="utf-8") as manifest,
    ):
        rows = csv.writer(manifest)
        rows.writerow(["file", "source", "scanner", "split", "group", "block"])
        jobs = [(seed + index, scanners[index % len(scanners)], threats) for index in range(count)]
        for scan in pool.map(_simulate_job, jobs, chunksize=4):
            name = f"{SOURCE}_{scan.scanner}_{scan.seed:06d}"
            picture = out / "images/train" / f"{name}.png"
            Image.fromarray(scan.pixels).save(picture)
            (out / "labels/train" / f"{name}.txt").write_text(_yolo_rows(scan, names), encoding="utf-8")
            rows.writerow([f"images/train/{name}.png", SOURCE, scan.scanner, "train", name, name])
            truth[picture.name] = {
                "seed": scan.seed,
                "scanner": scan.scanner,
                "objects": [
                    {"label": o.label, "threat": o.threat, "box": o.box, "occlusion": round(o.occlusion, 3)}
                    for o in scan.objects
                ],
            }
            yield picture
    (out / "truth.json").write_text(json.dumps(truth, indent=1), encoding="utf-8")


def _simulate_job(job: tuple[int, str, tuple[str, ...] | None]) -> SimulatedScan:
    return simulate(job[0], scanner=job[1], threats=job[2])


def _yolo_rows(scan: SimulatedScan, names: list[str]) -> str:
    height, width = scan.pixels.shape[:2]
    rows = []
    for item in scan.objects:
        if item.threat:
            x_min, y_min, x_max, y_max = item.box
            centre = ((x_min + x_max) / 2 / width, (y_min + y_max) / 2 / height)
            side = ((x_max - x_min) / width, (y_max - y_min) / height)
            rows.append(f"{names.index(item.label)} {centre[0]:.6f} {centre[1]:.6f} {side[0]:.6f} {side[1]:.6f}\n")
    return "".join(rows)


def scanner_names() -> tuple[str, ...]:
    """The virtual scanners, in a fixed order."""
    return tuple(sorted(SCANNERS))
