"""Projecting threats into a whole folder of scans."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from xray_agent_tools.taxonomy import taxonomy
from xray_training.datasets.partial_yolo import COLUMNS, FURTHER_COLUMNS
from xray_training.datasets.record import DatasetError, LabelledBox, ScanRecord
from xray_training.datasets.writers.files import write_text
from xray_training.datasets.writers.growing import GrowingFolder
from xray_training.datasets.writers.yolo import box_in_shares, label_row, write_pixels
from xray_training.projection.insert import Projected, project
from xray_training.projection.reading import Reading, read_scan
from xray_training.projection.threat import Threat, simulated_threat
from xray_training.simulator.draw import Draw

PROJECTED = "projected"
"""Key of a record's metadata that names the labels projected into the scan."""

_ATTEMPTS = 5
_CUT_OUT_SHARE = 0.5


@dataclass(frozen=True, slots=True)
class Plan:
    """What to project.

    Attributes:
        labels: threats to choose from, as far as a scan's source annotates them.
        per_scan: threats for each scan.
        seed: which threats, where, and their noise.
        library: threats cut out of scans; of their labels they make half of what is projected.
        pitch_mm: millimetres per pixel of every scan; guessed for each when None.
    """

    labels: tuple[str, ...]
    per_scan: int = 1
    seed: int = 0
    library: tuple[Threat, ...] = ()
    pitch_mm: float | None = None


def takes(record: ScanRecord, plan: Plan) -> bool:
    """Whether a scan's source annotates any of the labels, so that one of them may be projected into it."""
    return not record.annotated.isdisjoint(plan.labels)


def project_into(records: Sequence[ScanRecord], plan: Plan, out: Path) -> Iterator[Path]:
    """Project threats into scans, write an annotated YOLO folder, and yield each picture's path.

    A label goes only into scans whose source annotates it, so that what is not boxed stays known to be absent. Boxes
    that the scans had are kept. ``truth.jsonl`` says of every picture which boxes were projected, from which scan, and
    how far each is hidden. A scan without room for any threat is left out. Scans that an earlier, stopped run wrote are
    not made again.

    Raises:
        DatasetError: no scan's source annotates any of the labels, or a picture cannot be read.
    """
    if not any(takes(record, plan) for record in records):
        raise DatasetError(
            f"no scan's source annotates {', '.join(plan.labels)}: what is not boxed there is unknown, not absent; "
            "choose other labels, or vouch for the scans"
        )
    names = _names(records)
    write_text(out / "classes.txt", "\n".join(names) + "\n")
    write_text(out / "annotated.json", json.dumps({record.source: sorted(record.annotated) for record in records}))
    with GrowingFolder(out, (*COLUMNS, *FURTHER_COLUMNS)) as folder:
        for number, record in enumerate(records):
            file = f"images/{record.split}/projected_{number:06d}_{record.image.stem}.png"
            if folder.holds([file]):
                yield out / file
                continue
            if not takes(record, plan):
                continue
            pixels, projected = _with_threats(record, plan, Draw(plan.seed, number))
            if not projected:
                continue
            boxes = (*record.boxes, *(box_in_shares(item.label, item.box, pixels) for item in projected))
            _write_scan(out, out / file, pixels, "".join(label_row(box, names.index(box.label)) for box in boxes))
            folder.add(_row(file, record, boxes), json.dumps(_described(file, record, projected)))
            yield out / file


def _names(records: Sequence[ScanRecord]) -> list[str]:
    """Every canonical label, whatever the scans hold, so that a class keeps its number; then what else they hold."""
    held = {label for record in records for label in record.annotated}
    held |= {box.label for record in records for box in record.boxes}
    return [*taxonomy().labels, *sorted(held - set(taxonomy().labels))]


def _with_threats(record: ScanRecord, plan: Plan, draw: Draw) -> tuple[NDArray[np.uint8], list[Projected]]:
    pixels = record.pixels()
    labels = [label for label in plan.labels if label in record.annotated]
    projected: list[Projected] = []
    for _ in range(plan.per_scan):
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
    if cut and draw.chance(_CUT_OUT_SHARE):
        return draw.choice(cut).at(reading.pitch_mm)
    return simulated_threat(label, draw, pitch_mm=reading.pitch_mm)


def _row(file: str, record: ScanRecord, boxes: Sequence[LabelledBox]) -> tuple[str, ...]:
    """A line of the manifest; the picture is written with its stretch undone."""
    originals = [box.original for box in boxes]
    added = [box.label for box in boxes[len(record.boxes) :]]
    metadata = {**record.metadata, PROJECTED: ", ".join(added)}
    return (
        *(file, record.source, record.scanner, record.split, record.group, record.block),
        "",
        json.dumps(originals) if any(originals) else "",
        json.dumps(metadata),
        json.dumps(sorted(record.annotated)),
    )


def _write_scan(out: Path, picture: Path, pixels: NDArray[np.uint8], rows: str) -> None:
    label_file = out / "labels" / picture.relative_to(out / "images").with_suffix(".txt")
    for path in (picture, label_file):
        path.parent.mkdir(parents=True, exist_ok=True)
    write_pixels(pixels, picture)
    write_text(label_file, rows)


def _described(file: str, record: ScanRecord, projected: Sequence[Projected]) -> dict[str, Any]:
    items = [
        {"label": item.label, "box": item.box, "hidden": round(item.hidden, 3), "origin": item.origin}
        for item in projected
    ]
    return {"file": file, "scan": record.image.name, "projected": items}
