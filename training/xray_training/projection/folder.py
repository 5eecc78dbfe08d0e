"""Projecting threats into a whole folder of scans."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from xray_training.datasets.partial_yolo import COLUMNS, finished
from xray_training.datasets.record import DatasetError, LabelledBox, ScanRecord
from xray_training.datasets.writers.files import replacing_path, write_text
from xray_training.datasets.writers.yolo import label_row
from xray_training.projection.insert import Projected, project
from xray_training.projection.reading import Reading, read_scan
from xray_training.projection.threat import Threat, simulated_threat
from xray_training.simulator.draw import Draw

_COLUMNS = (*COLUMNS, "annotated")
_ATTEMPTS = 5


@dataclass(frozen=True, slots=True)
class Plan:
    """What to project.

    Attributes:
        labels: threats to choose from, as far as a scan's source annotates them.
        per_scan: threats for each scan.
        seed: which threats, where, and their noise.
        library: threats cut out of scans, used beside simulated ones of their labels.
        pitch_mm: millimetres per pixel of every scan; guessed for each when None.
    """

    labels: tuple[str, ...]
    per_scan: int = 1
    seed: int = 0
    library: tuple[Threat, ...] = ()
    pitch_mm: float | None = None


def project_into(records: Sequence[ScanRecord], plan: Plan, out: Path) -> Iterator[Path]:
    """Project threats into scans, write an annotated YOLO folder, and yield each picture's path.

    A label goes only into scans whose source annotates it, so that what is not boxed stays known to be absent. Boxes
    that the scans had are kept. ``truth.jsonl`` says of every picture which boxes were projected, from which scan, and
    how far each is hidden. A scan without room for any threat is left out. Scans that an earlier, stopped run wrote are
    not made again.

    Raises:
        DatasetError: no scan's source annotates any of the labels, or a picture cannot be read.
    """
    known = {label for record in records for label in record.annotated}
    if not known & set(plan.labels):
        raise DatasetError(
            f"no scan's source annotates {', '.join(plan.labels)}: what is not boxed there is unknown, not absent; "
            "choose other labels, or vouch for the scans"
        )
    names = sorted(known | set(plan.labels))
    (out / "images").mkdir(parents=True, exist_ok=True)
    write_text(out / "classes.txt", "\n".join(names) + "\n")
    annotated = {record.source: sorted(record.annotated) for record in records}
    write_text(out / "annotated.json", json.dumps(annotated))
    done = finished(out / "manifest.csv", _COLUMNS)
    with (
        (out / "manifest.csv").open("a", newline="", encoding="utf-8") as manifest,
        (out / "truth.jsonl").open("a", encoding="utf-8") as truth,
    ):
        rows = csv.writer(manifest)
        for number, record in enumerate(records):
            name = f"projected_{number:06d}_{record.image.stem}"
            picture = out / "images" / record.split / f"{name}.png"
            if name in done:
                yield picture
                continue
            pixels, projected = _with_threats(record, plan, Draw(plan.seed, number))
            if not projected:
                continue
            _write_scan(out, picture, pixels, _rows(record, projected, pixels, names))
            file = picture.relative_to(out).as_posix()
            truth.write(json.dumps(_described(file, record, projected)) + "\n")
            truth.flush()
            own = json.dumps(sorted(record.annotated))
            rows.writerow([file, record.source, record.scanner, record.split, record.group, record.block, own])
            manifest.flush()
            yield picture


def _with_threats(record: ScanRecord, plan: Plan, draw: Draw) -> tuple[NDArray[np.uint8], list[Projected]]:
    pixels = record.pixels()
    labels = [label for label in plan.labels if label in record.annotated]
    projected: list[Projected] = []
    for _ in range(plan.per_scan if labels else 0):
        reading = read_scan(pixels, pitch_mm=plan.pitch_mm)
        for _ in range(_ATTEMPTS):
            added = project(reading, _threat(draw.choice(labels), plan, reading, draw), draw)
            if added is not None:
                projected.append(added)
                pixels = added.pixels
                break
    return pixels, projected


def _threat(label: str, plan: Plan, reading: Reading, draw: Draw) -> Threat:
    cut = [threat for threat in plan.library if threat.label == label]
    if cut and draw.chance(0.5):
        return draw.choice(cut).at(reading.pitch_mm)
    return simulated_threat(label, draw, pitch_mm=reading.pitch_mm)


def _rows(record: ScanRecord, projected: Sequence[Projected], pixels: NDArray[np.uint8], names: Sequence[str]) -> str:
    height, width = pixels.shape[:2]
    boxes = [*record.boxes]
    for item in projected:
        left, top, right, bottom = item.box
        boxes.append(LabelledBox(item.label, left / width, top / height, right / width, bottom / height))
    return "".join(label_row(box, names.index(box.label)) for box in boxes)


def _write_scan(out: Path, picture: Path, pixels: NDArray[np.uint8], rows: str) -> None:
    label_file = out / "labels" / picture.relative_to(out / "images").with_suffix(".txt")
    for path in (picture, label_file):
        path.parent.mkdir(parents=True, exist_ok=True)
    with replacing_path(picture) as part:
        Image.fromarray(pixels).save(part, format="PNG", compress_level=1)
    write_text(label_file, rows)


def _described(file: str, record: ScanRecord, projected: Sequence[Projected]) -> dict[str, Any]:
    items = [{"label": item.label, "box": item.box, "hidden": round(item.hidden, 3)} for item in projected]
    return {"file": file, "scan": record.image.name, "projected": items}
