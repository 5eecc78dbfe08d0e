"""Writing simulated scans as an annotated YOLO folder, so that a stopped run can go on."""

from __future__ import annotations

import json
from collections import deque
from collections.abc import Iterator, Sequence
from concurrent.futures import Future
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from xray_training.datasets.partial_yolo import COLUMNS
from xray_training.datasets.workers import workers
from xray_training.datasets.writers.files import claim, write_text
from xray_training.datasets.writers.growing import GrowingFolder
from xray_training.datasets.writers.yolo import box_in_shares, label_row, write_pixels
from xray_training.simulator.objects.library import LABELS
from xray_training.simulator.scene import ANYTHING, Contents, Side, SimulatedScan, Truth, simulate_views

SOURCE = "simulated"

_COLUMNS = (*COLUMNS, "metadata")
_WAITING_PER_PROCESS = 4

_HIDDEN = 0.97
"""Occlusion from which nobody could box an item."""

_LEAST_PIXELS = 12
"""Smallest silhouette that a box is drawn round: about the least a detector could learn from."""


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

    def name(self, number: int, view: Side) -> str:
        """The name, without its ending, of one bag's picture."""
        seed, scanner = self.bag(number)
        return f"{SOURCE}_{scanner}_{seed:06d}_{view}"

    def bag(self, number: int) -> tuple[int, str]:
        """Seed and scanner of one bag."""
        return self.seed + number, self.scanners[number % len(self.scanners)]


@dataclass(frozen=True, slots=True)
class _Written:
    """A scan on disk: its picture, its line in the manifest and its line in ``truth.jsonl``."""

    picture: Path
    row: tuple[str, ...]
    truth: str


def write_scans(out: Path, order: Order, *, processes: int) -> Iterator[Path]:
    """Simulate scans into ``out`` and yield each picture's path, those of an earlier run first.

    The layout is the one that ``datasets.partial_yolo`` reads; labels are the boxes of every canonical item of which at
    least 3 % and twelve pixels show. ``truth.jsonl`` has a line for each scan: every object with label, box, occlusion,
    materials, and its silhouette and visible part as COCO run-length masks over the whole picture.

    Raises:
        DatasetError: the folder holds something else, or cannot be written to.
    """
    made = {name: value for name, value in asdict(order).items() if name != "count"}
    claim(out, json.loads(json.dumps({"by": "xray-train data simulate", **made})))
    write_text(out / "classes.txt", "\n".join(LABELS) + "\n")
    write_text(out / "annotated.json", json.dumps({SOURCE: LABELS}))
    for folder in (f"images/{order.split}", f"labels/{order.split}"):
        (out / folder).mkdir(parents=True, exist_ok=True)
    with GrowingFolder(out, _COLUMNS) as folder_so_far:
        missing = []
        for number in range(order.count):
            files = [f"images/{order.split}/{order.name(number, view)}.png" for view in order.views]
            if folder_so_far.holds(files):
                yield from (out / file for file in files)
            else:
                missing.append(number)
        for scans in _written(out, order, missing, processes):
            for scan in scans:
                folder_so_far.add(scan.row, scan.truth)
                yield scan.picture


def _written(out: Path, order: Order, numbers: Sequence[int], processes: int) -> Iterator[tuple[_Written, ...]]:
    """Bags written by several processes, in order, few of them ahead of the one that is waited for."""
    pool = workers(processes)
    waiting: deque[Future[tuple[_Written, ...]]] = deque()
    try:
        for number in numbers:
            waiting.append(pool.submit(_write_bag, out, order, number))
            if len(waiting) > processes * _WAITING_PER_PROCESS:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()
    finally:
        pool.shutdown(cancel_futures=True)


def _write_bag(out: Path, order: Order, number: int) -> tuple[_Written, ...]:
    seed, scanner = order.bag(number)
    scans = simulate_views(seed, scanner=scanner, contents=order.contents, views=order.views)
    return tuple(_write(out, order, scan, order.name(number, scan.view)) for scan in scans)


def _write(out: Path, order: Order, scan: SimulatedScan, name: str) -> _Written:
    picture = out / "images" / order.split / f"{name}.png"
    write_pixels(scan.pixels, picture)
    write_text(out / "labels" / order.split / f"{name}.txt", _label_rows(scan))
    row = _row(scan, picture.relative_to(out).as_posix(), order.split)
    return _Written(picture, row, json.dumps(_described(scan, row[0])))


def _row(scan: SimulatedScan, file: str, split: str) -> tuple[str, ...]:
    """A line of the manifest; both views of a bag are of one group."""
    group = f"{scan.scanner}_{scan.seed:06d}"
    benign = "false" if any(item.threat for item in scan.objects) else "true"
    return file, SOURCE, scan.scanner, split, group, group, json.dumps({"benign": benign, "view": scan.view})


def labelled(scan: SimulatedScan) -> Sequence[Truth]:
    """The objects that an annotator would box: canonical items of which enough shows."""
    return [
        item
        for item in scan.objects
        if item.label in LABELS and item.occlusion < _HIDDEN and int(item.silhouette.sum()) >= _LEAST_PIXELS
    ]


def _label_rows(scan: SimulatedScan) -> str:
    return "".join(
        label_row(box_in_shares(item.label, item.box, scan.pixels), LABELS.index(item.label)) for item in labelled(scan)
    )


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
