"""Writing simulated scans as an annotated YOLO folder, so that a stopped run can go on."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from xray_training.datasets.partial_yolo import COLUMNS, finished
from xray_training.datasets.record import LabelledBox
from xray_training.datasets.writers.files import replacing_path, write_text
from xray_training.datasets.writers.yolo import label_row
from xray_training.simulator.objects.library import LABELS
from xray_training.simulator.scene import ANYTHING, Contents, Side, SimulatedScan, Truth, simulate_views

SOURCE = "simulated"

_COLUMNS = (*COLUMNS, "metadata")
_HIDDEN = 0.97
_LEAST_PIXELS = 12
_COMPRESSION = 1


@dataclass(frozen=True, slots=True)
class Order:
    """What to simulate.

    Attributes:
        count: number of bags.
        seed: seed of the first bag; bag ``i`` has ``seed + i``.
        scanners: bag ``i`` goes through ``scanners[i % len(scanners)]``.
        contents: which threats are packed into each bag.
        views: from where each bag is seen.
        split: the split that the scans are written to.
    """

    count: int
    seed: int
    scanners: tuple[str, ...]
    contents: Contents = ANYTHING
    views: tuple[Side, ...] = ("top",)
    split: str = "train"

    def bag(self, number: int) -> tuple[int, str]:
        """Seed and scanner of one bag."""
        return self.seed + number, self.scanners[number % len(self.scanners)]

    def name(self, number: int, view: Side) -> str:
        """The name, without its ending, of one bag's picture."""
        seed, scanner = self.bag(number)
        return f"{SOURCE}_{scanner}_{seed:06d}_{view}"


def write_scans(out: Path, order: Order, *, processes: int) -> Iterator[Path]:
    """Simulate scans into ``out`` and yield each picture's path, those of an earlier run first.

    The layout is the one that ``datasets.partial_yolo`` reads; labels are the boxes of every canonical item that
    shows. ``truth.jsonl`` has a line for each scan: every object with label, box, occlusion, materials, and its
    silhouette and visible part as COCO run-length masks over the whole picture.
    """
    for folder in (f"images/{order.split}", f"labels/{order.split}"):
        (out / folder).mkdir(parents=True, exist_ok=True)
    write_text(out / "classes.txt", "\n".join(LABELS) + "\n")
    write_text(out / "annotated.json", json.dumps({SOURCE: LABELS}))
    done = finished(out / "manifest.csv", _COLUMNS)
    with (
        ProcessPoolExecutor(processes, mp_context=get_context("spawn")) as pool,
        (out / "manifest.csv").open("a", newline="", encoding="utf-8") as manifest,
        (out / "truth.jsonl").open("a", encoding="utf-8") as truth,
    ):
        rows = csv.writer(manifest)
        missing = [n for n in range(order.count) if any(order.name(n, view) not in done for view in order.views)]
        for number in sorted(set(range(order.count)) - set(missing)):
            yield from (_picture(out, order, number, view) for view in order.views)
        jobs = ((order, number) for number in missing)
        for number, scans in zip(missing, pool.map(_simulated, jobs, chunksize=4), strict=True):
            for scan in scans:
                name = order.name(number, scan.view)
                picture = _picture(out, order, number, scan.view)
                _save(scan, picture)
                label_file = out / "labels" / order.split / f"{name}.txt"
                write_text(label_file, _label_rows(scan))
                if name not in done:
                    truth.write(json.dumps(_described(scan, picture.name)) + "\n")
                    truth.flush()
                    rows.writerow(_row(scan, picture.relative_to(out).as_posix(), order.split))
                    manifest.flush()
                yield picture


def _row(scan: SimulatedScan, file: str, split: str) -> tuple[str, ...]:
    """A line of the manifest; both views of a bag are of one group."""
    group = f"{scan.scanner}_{scan.seed:06d}"
    benign = "false" if any(item.threat for item in scan.objects) else "true"
    return file, SOURCE, scan.scanner, split, group, group, json.dumps({"benign": benign, "view": scan.view})


def _picture(out: Path, order: Order, number: int, view: Side) -> Path:
    return out / "images" / order.split / f"{order.name(number, view)}.png"


def _save(scan: SimulatedScan, picture: Path) -> None:
    with replacing_path(picture) as part:
        Image.fromarray(scan.pixels).save(part, format="PNG", compress_level=_COMPRESSION)


def _simulated(job: tuple[Order, int]) -> tuple[SimulatedScan, ...]:
    order, number = job
    seed, scanner = order.bag(number)
    return simulate_views(seed, scanner=scanner, contents=order.contents, views=order.views)


def labelled(scan: SimulatedScan) -> Sequence[Truth]:
    """The objects that an annotator would box: canonical items of which something shows."""
    return [
        item
        for item in scan.objects
        if item.label in LABELS and item.occlusion < _HIDDEN and int(item.silhouette.sum()) >= _LEAST_PIXELS
    ]


def _label_rows(scan: SimulatedScan) -> str:
    height, width = scan.pixels.shape[:2]
    rows = []
    for item in labelled(scan):
        left, top, right, bottom = item.box
        box = LabelledBox(item.label, left / width, top / height, right / width, bottom / height)
        rows.append(label_row(box, LABELS.index(item.label)))
    return "".join(rows)


def _described(scan: SimulatedScan, file: str) -> dict[str, Any]:
    size = scan.pixels.shape[:2]
    return {
        "file": file,
        "seed": scan.seed,
        "scanner": scan.scanner,
        "view": scan.view,
        "objects": [
            {
                "label": item.label,
                "threat": item.threat,
                "box": item.box,
                "occlusion": round(item.occlusion, 3),
                "materials": item.materials,
                "silhouette": _run_lengths(item.silhouette, item.box, size),
                "visible": _run_lengths(item.visible, item.box, size),
            }
            for item in scan.objects
        ],
    }


def _run_lengths(
    part: NDArray[np.bool_], box: tuple[float, float, float, float], size: tuple[int, int]
) -> dict[str, Any]:
    """A mask over the whole picture in COCO's compressed run-length form."""
    from pycocotools.mask import encode

    whole = np.zeros(size, dtype=np.uint8, order="F")
    left, top = int(box[0]), int(box[1])
    whole[top : top + part.shape[0], left : left + part.shape[1]] = part
    coded = encode(whole)
    return {"size": list(size), "counts": coded["counts"].decode("ascii")}
