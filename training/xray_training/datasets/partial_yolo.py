"""A YOLO folder whose sources annotate different classes.

Layout::

    images/{train,test}/SOURCE_*.jpg
    labels/{train,test}/SOURCE_*.txt   rows "class x_centre y_centre width height", all 0..1
    classes.txt                        the class names in label order
    annotated.json                     source -> the classes that source labels
    manifest.csv                       file, source, scanner, split, group, block
"""

from __future__ import annotations

import csv
import json
from collections.abc import Mapping, Sequence
from pathlib import Path

from xray_training.datasets.record import LabelledBox, ScanRecord


class DatasetError(ValueError):
    """A dataset on disk that does not hold what its format promises."""


def read(root: Path, *, split: str | None = None, stretch: Mapping[str, float] | None = None) -> list[ScanRecord]:
    """Read the folder's records, in the order of its manifest.

    Args:
        root: the folder that holds ``manifest.csv``.
        split: keep only this split.
        stretch: width factor by source, for exports that squeezed their pictures.

    Raises:
        DatasetError: a file is missing, or a label row is not a class and four shares.
    """
    names = _text(root / "classes.txt").split()
    annotated = {source: frozenset(labels) for source, labels in json.loads(_text(root / "annotated.json")).items()}
    factors = stretch or {}
    records = []
    for row in csv.DictReader(_text(root / "manifest.csv").splitlines()):
        if split is not None and row["split"] != split:
            continue
        if row["source"] not in annotated:
            raise DatasetError(f"annotated.json does not say what the source {row['source']!r} labels")
        image = root / row["file"]
        label_file = root / "labels" / Path(row["file"]).relative_to("images").with_suffix(".txt")
        records.append(
            ScanRecord(
                image=image,
                source=row["source"],
                scanner=row["scanner"],
                split=row["split"],
                group=row["group"],
                block=row["block"],
                boxes=tuple(_boxes(label_file, names)),
                annotated=annotated[row["source"]],
                stretch=factors.get(row["source"], 1.0),
            )
        )
    return records


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except FileNotFoundError as error:
        raise DatasetError(f"{path} is missing") from error


def _boxes(path: Path, names: Sequence[str]) -> list[LabelledBox]:
    boxes = []
    for number, line in enumerate(_text(path).splitlines(), start=1):
        if not line.strip():
            continue
        try:
            index, x, y, width, height = (float(part) for part in line.split())
            label = names[int(index)]
        except (ValueError, IndexError) as error:
            raise DatasetError(f"{path}, line {number}: {line!r} is not 'class x y width height'") from error
        boxes.append(
            LabelledBox(
                label,
                max(0.0, x - width / 2),
                max(0.0, y - height / 2),
                min(1.0, x + width / 2),
                min(1.0, y + height / 2),
            )
        )
    return boxes
