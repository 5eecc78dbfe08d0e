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

from xray_training.datasets.record import DatasetError, LabelledBox, ScanRecord


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
    annotated = _annotated(root / "annotated.json")
    factors = stretch or {}
    records = []
    for number, row in enumerate(csv.DictReader(_text(root / "manifest.csv").splitlines()), start=2):
        try:
            file, source, part = row["file"], row["source"], row["split"]
            scanner, group, block = row["scanner"], row["group"], row["block"]
            label_file = root / "labels" / Path(file).relative_to("images").with_suffix(".txt")
        except (KeyError, TypeError, ValueError) as error:
            raise DatasetError(f"{root / 'manifest.csv'}, line {number}: {error} is missing or wrong") from error
        if split is not None and part != split:
            continue
        if source not in annotated:
            raise DatasetError(f"annotated.json does not say what the source {source!r} labels")
        records.append(
            ScanRecord(
                image=root / file,
                source=source,
                scanner=scanner,
                split=part,
                group=group,
                block=block,
                boxes=tuple(_boxes(label_file, names)),
                annotated=annotated[source],
                stretch=factors.get(source, 1.0),
            )
        )
    return records


def _annotated(path: Path) -> dict[str, frozenset[str]]:
    text = _text(path)
    try:
        content = json.loads(text)
        return {str(source): frozenset(str(label) for label in labels) for source, labels in content.items()}
    except (ValueError, AttributeError, TypeError) as error:
        raise DatasetError(f"{path} is no JSON object of sources and their labels") from error


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
            if (
                not index.is_integer()
                or index < 0
                or not (0 <= x <= 1 and 0 <= y <= 1 and 0 < width <= 1 and 0 < height <= 1)
            ):
                raise ValueError(line)
            label = names[int(index)]
        except (ValueError, IndexError) as error:
            raise DatasetError(
                f"{path}, line {number}: {line!r} is not 'class x y width height', all in range"
            ) from error
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
