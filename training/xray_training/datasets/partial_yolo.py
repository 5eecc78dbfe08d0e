"""A YOLO folder whose sources annotate different classes.

Layout::

    images/{train,val,test}/SOURCE_*.jpg
    labels/{train,val,test}/SOURCE_*.txt   rows "class x_centre y_centre width height", all 0..1
    classes.txt                            the class names in label order, one a line
    annotated.json                         source -> the classes that source labels
    manifest.csv                           file, source, scanner, split, group, block

The manifest may have more columns, and each of their cells may be empty:

    stretch     width factor that undoes an export's squeeze
    originals   JSON list: the source's own class names, in the order of the label file's rows
    metadata    JSON object: what else the source says of the scan
    annotated   JSON list: the classes labelled on this scan, where they are not its source's
"""

from __future__ import annotations

import csv
import errno
import json
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from pydantic import TypeAdapter, ValidationError

from xray_training.datasets.annotation import bad, first_problem, missing, text_of
from xray_training.datasets.fault import Fault, FaultKind, FaultReport, refuse
from xray_training.datasets.folders import within
from xray_training.datasets.record import DatasetError, LabelledBox, ScanRecord

COLUMNS = ("file", "source", "scanner", "split", "group", "block")
FURTHER_COLUMNS = ("stretch", "originals", "metadata", "annotated")

ROUNDING = 1e-3
"""How far a box may reach out of the picture, as a share of its side, and still be taken for rounded."""

Sides = tuple[float, float, float, float]


def clip_quietly(fault: Fault) -> None:
    """Stop at the first fault but for a box that reaches out of its picture, which clipping mends.

    Raises:
        DatasetError: the fault is of another kind.
    """
    if fault.kind is not FaultKind.BOX_OUTSIDE:
        refuse(fault)


def read(
    root: Path,
    *,
    split: str | None = None,
    stretch: Mapping[str, float] | None = None,
    report: FaultReport = clip_quietly,
) -> list[ScanRecord]:
    """Read the folder's records, in the order of its manifest, without looking at the pictures.

    Args:
        root: the folder that holds ``manifest.csv``.
        split: keep only this split.
        stretch: width factor by source, for exports that squeezed their pictures; it goes before the manifest's.
        report: hears of every fault. Where it returns, a scan whose line or label file is missing or bad, if only in
            one row, is left out whole: with fewer boxes it would count as free of what that row boxed.

    Raises:
        DatasetError: ``classes.txt``, ``annotated.json`` or ``manifest.csv`` is missing or malformed.
    """
    folder = _Folder(
        root,
        names=[name for line in index_text(root / "classes.txt").split("\n") if (name := line.strip())],
        annotated=_annotated(root / "annotated.json"),
        stretch=stretch or {},
    )
    records = []
    for where, row in _rows(root / "manifest.csv"):
        if split is not None and row.get("split") != split:
            continue
        try:
            record = folder.record(row, report)
        except KeyError as error:
            report(bad(where, f"the column {error} is missing"))
        except DatasetError:  # what the report raised, which says where already
            raise
        except ValueError as error:
            report(bad(where, str(error)))
        except FileNotFoundError as error:
            report(missing(where, f"{error.filename} is missing"))
        else:
            if record is not None:
                records.append(record)
    return records


@dataclass(frozen=True, slots=True)
class _Folder:
    """What every line of the manifest is read against."""

    root: Path
    names: Sequence[str]
    annotated: Mapping[str, frozenset[str]]
    stretch: Mapping[str, float]

    def record(self, row: Mapping[str, str], report: FaultReport) -> ScanRecord | None:
        """The record of one line; None, and faults, where its label file is bad.

        Raises:
            KeyError: a column is missing.
            ValueError: a column's content is wrong.
            FileNotFoundError: there is no label file.
        """
        file, source, scanner, part, group, block = (_filled(row, column) for column in COLUMNS)
        image = within(self.root, file)
        if image is None:
            raise ValueError(f"{file!r} is no picture in the folder")
        labels = self.root / "labels" / Path(file).relative_to("images").with_suffix(".txt")
        boxes = _boxes(labels, self.names, _originals(row), report)
        if boxes is None:
            return None
        return ScanRecord(
            image=image,
            source=source,
            scanner=scanner,
            split=part,
            group=group,
            block=block,
            boxes=boxes,
            annotated=self._annotated_on(row, source),
            stretch=self.stretch.get(source, _factor(row)),
            metadata=_metadata(row),
        )

    def _annotated_on(self, row: Mapping[str, str], source: str) -> frozenset[str]:
        if cell := row.get("annotated"):
            return frozenset(_strings(cell, "annotated"))
        if source not in self.annotated:
            raise ValueError(f"annotated.json does not say what the source {source!r} labels")
        return self.annotated[source]


def _rows(path: Path) -> Iterator[tuple[str, dict[str, str]]]:
    """The manifest's lines, each with the place to name in a fault."""
    try:
        with path.open(encoding="utf-8", newline="") as file:
            rows = csv.DictReader(file)
            for row in rows:
                yield f"{path}, line {rows.line_num}", row
    except FileNotFoundError as error:
        raise DatasetError(f"{path} is missing") from error
    except (csv.Error, UnicodeDecodeError) as error:
        raise DatasetError(f"{path} is no CSV file in UTF-8: {error}") from error


def _filled(row: Mapping[str, str | None], column: str) -> str:
    value = row[column]
    if value is None:
        raise KeyError(column)
    return value


def _factor(row: Mapping[str, str]) -> float:
    cell = row.get("stretch") or "1"
    try:
        factor = float(cell)
    except ValueError:
        factor = math.nan
    if not 0 < factor < math.inf:
        raise ValueError(f"stretch {cell!r} is no positive number")
    return factor


def _originals(row: Mapping[str, str]) -> list[str]:
    cell = row.get("originals")
    return _strings(cell, "originals") if cell else []


def _metadata(row: Mapping[str, str]) -> dict[str, str]:
    content = _json(row.get("metadata") or "{}", "metadata")
    if not isinstance(content, dict):
        raise ValueError(f"metadata {content!r} is no JSON object")
    return {key: str(value) for key, value in content.items()}


def _strings(cell: str, column: str) -> list[str]:
    content = _json(cell, column)
    if not isinstance(content, list) or not all(isinstance(part, str) for part in content):
        raise ValueError(f"{column} {cell!r} is no JSON list of strings")
    return content


def _json(cell: str, column: str) -> object:
    try:
        return json.loads(cell)
    except ValueError as error:
        raise ValueError(f"{column} {cell!r} is no JSON") from error


def _annotated(path: Path) -> dict[str, frozenset[str]]:
    text = index_text(path)
    try:
        return TypeAdapter(dict[str, frozenset[str]]).validate_json(text)
    except ValidationError as error:
        said = first_problem(error)
        raise DatasetError(f"{path} is no JSON object of sources and lists of their labels: {said}") from error


def index_text(path: Path) -> str:
    """The text of a file without which a folder cannot be read.

    Raises:
        DatasetError: it is missing, cannot be read or is not UTF-8.
    """
    try:
        return path.read_text(encoding="utf-8-sig")
    except FileNotFoundError as error:
        raise DatasetError(f"{path} is missing") from error
    except UnicodeDecodeError as error:
        raise DatasetError(f"{path} is not UTF-8 text: save it as UTF-8") from error
    except OSError as error:
        raise DatasetError(f"{path} cannot be read: {error.strerror}") from error


def _boxes(
    path: Path, names: Sequence[str], originals: Sequence[str], report: FaultReport
) -> tuple[LabelledBox, ...] | None:
    """What a label file boxes; None, and faults, where a part of it cannot be read."""
    if not path.exists():
        raise FileNotFoundError(errno.ENOENT, "the label file is missing", str(path))
    text = text_of(path, report)
    if text is None:
        return None
    lines = [(number, line) for number, line in enumerate(text.splitlines(), start=1) if line.strip()]
    if originals and len(originals) != len(lines):
        raise ValueError(f"originals names {len(originals)} boxes, {path} has {len(lines)}")
    boxes, sound = [], True
    for (number, line), original in zip(lines, originals or [""] * len(lines), strict=True):
        where = f"{path}, line {number}"
        try:
            label, sides = _row(line, names)
        except (ValueError, IndexError):
            report(bad(where, f"{line!r} is not 'class x y width height', all in range"))
            sound = False
        else:
            boxes.append(within_picture(label, sides, original=original, where=where, report=report))
    return tuple(box for box in boxes if box) if sound else None


def _row(line: str, names: Sequence[str]) -> tuple[str, Sides]:
    index, x, y, width, height = (float(part) for part in line.split())
    if not index.is_integer() or index < 0:
        raise ValueError(line)
    if not (0 <= x <= 1 and 0 <= y <= 1 and 0 < width <= 1 and 0 < height <= 1):
        raise ValueError(line)
    return names[int(index)], (x, y, width, height)


def within_picture(label: str, sides: Sides, *, original: str, where: str, report: FaultReport) -> LabelledBox | None:
    """A box in YOLO's terms, clipped to the picture; None where nothing of it is left.

    Args:
        label: canonical label.
        sides: centre x and y, width and height, as shares of the picture's.
        original: the source's own name of the class.
        where: the file and line to name in a fault.
        report: hears of a box that reaches out by more than rounding, or has no area.
    """
    x, y, width, height = sides
    corners = x - width / 2, y - height / 2, x + width / 2, y + height / 2
    if min(corners) < -ROUNDING or max(corners) > 1 + ROUNDING:
        report(Fault(FaultKind.BOX_OUTSIDE, where, f"{label} reaches out of the picture; clipped"))
    left, top, right, bottom = (min(max(corner, 0.0), 1.0) for corner in corners)
    if not (right > left and bottom > top):
        report(Fault(FaultKind.BOX_EMPTY, where, f"{label} has no area in the picture"))
        return None
    return LabelledBox(label, left, top, right, bottom, original)
