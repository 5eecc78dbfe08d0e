"""A plain YOLO folder, one whose labels are all boxed wherever they occur.

Layouts::

    data.yaml       names and, for each split, a folder or a list of pictures (as Ultralytics reads it)
    classes.txt     the class names, one a line; then the splits are the folders in images/

Labels lie beside the pictures or in ``labels/`` where the pictures lie in ``images/``. A picture without a label file
shows none of the classes, by the format's own rule. Rows are ``class x_centre y_centre width height`` or ``class`` and
the corners of a polygon, all but the class 0..1.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import yaml

from xray_training.datasets.annotation import bad, text_of
from xray_training.datasets.fault import Fault, FaultKind, FaultReport, refuse
from xray_training.datasets.folders import pictures_in, split_called, wanted
from xray_training.datasets.naming import canonical
from xray_training.datasets.neighbours import block_of, uploaded_stem
from xray_training.datasets.partial_yolo import Sides, index_text, within_picture
from xray_training.datasets.picture import size_of
from xray_training.datasets.placing import Naming
from xray_training.datasets.record import DatasetError, LabelledBox, ScanRecord

_SPLITS = ("train", "val", "valid", "test")


def recognises(root: Path) -> bool:
    """Whether the folder is a plain YOLO folder, not an annotated one."""
    if (root / "manifest.csv").is_file():
        return False
    return (root / "data.yaml").is_file() or ((root / "classes.txt").is_file() and (root / "images").is_dir())


def read(
    root: Path, *, split: str | None = None, report: FaultReport = refuse, naming: Naming = canonical
) -> Iterator[ScanRecord]:
    """Read the folder's records: train, val, test, and within each by name.

    Every class that the folder names and that has a canonical label counts as annotated.

    Args:
        root: the folder; its name is the records' source.
        split: keep only this split.
        report: hears of every fault; where it returns, a scan whose label file is bad, if only in one row, is left out
            whole: with fewer boxes it would count as free of what that row boxed.
        naming: from the folder's class names to canonical labels.

    Raises:
        DatasetError: ``data.yaml``, ``classes.txt`` or a list of pictures is missing or malformed.
    """
    names, parts = _contents(root)
    source = root.resolve().name
    annotated = frozenset(label for name in names if (label := naming(name)))
    for found, pictures in parts.items():
        if not wanted(found, split):
            continue
        for picture in pictures:
            if size_of(picture, report) is None:
                continue
            boxes = _boxes(_labels_of(picture), names, naming, report)
            if boxes is None:
                continue
            group = uploaded_stem(picture.stem) or f"{found}/{picture.stem}"
            yield ScanRecord(
                image=picture,
                source=source,
                scanner=source,
                split=found,
                group=group,
                block=block_of(group, group),
                boxes=boxes,
                annotated=annotated,
            )


def _contents(root: Path) -> tuple[list[str], dict[str, list[Path]]]:
    """The class names, and the pictures of each split."""
    if (root / "data.yaml").is_file():
        return _described(root, root / "data.yaml")
    if not (root / "classes.txt").exists():
        raise DatasetError(f"{root} holds neither data.yaml nor classes.txt")
    lines = index_text(root / "classes.txt").splitlines()
    folders = [root / "images" / name for name in _SPLITS if (root / "images" / name).is_dir()]
    parts = {split_called(folder.name): pictures_in(folder) for folder in folders}
    return [line.strip() for line in lines if line.strip()], parts or {"train": pictures_in(root / "images")}


def _described(root: Path, path: Path) -> tuple[list[str], dict[str, list[Path]]]:
    text = index_text(path)
    try:
        content = yaml.safe_load(text)
        names = _names(content["names"])
    except (yaml.YAMLError, KeyError, TypeError, ValueError) as error:
        raise DatasetError(f"{path} does not say `names`: a list of class names, or a map from 0 on") from error
    base = root / str(content.get("path") or ".")
    parts: dict[str, list[Path]] = {}
    for key in _SPLITS:
        places = content.get(key) or []
        places = [places] if isinstance(places, str) else places
        if not isinstance(places, list) or not all(isinstance(place, str) for place in places):
            raise DatasetError(f"{path} does not say a folder, a list of pictures or several of these for `{key}`")
        for place in places:
            parts.setdefault(split_called(key), []).extend(_pictures(root, base, place))
    return names, parts


def _names(content: Any) -> list[str]:
    if isinstance(content, list):
        return [str(name) for name in content]
    if not isinstance(content, dict):
        raise TypeError(content)
    names = {int(number): str(name) for number, name in content.items()}
    if sorted(names) != list(range(len(names))):
        raise ValueError(content)
    return [names[number] for number in range(len(names))]


def _pictures(root: Path, base: Path, place: str) -> list[Path]:
    """The pictures of a folder or a list; a path from the machine it was made on is looked for in this folder too."""
    below = place.removeprefix("../")
    for path in (base / place, root / place, root / below):
        if path.is_dir():
            return pictures_in(path)
        if path.is_file():
            lines = index_text(path).splitlines()
            return [path.parent / line.strip() for line in lines if line.strip()]
    raise DatasetError(f"{root / 'data.yaml'} names {place}, which is not there")


def _labels_of(picture: Path) -> Path:
    """The label file: ``labels`` in place of the last ``images`` among the picture's folders."""
    parts = list(picture.parts[:-1])
    if "images" in parts:
        parts[len(parts) - 1 - parts[::-1].index("images")] = "labels"
    return Path(*parts, f"{picture.stem}.txt")


def _boxes(path: Path, names: Sequence[str], naming: Naming, report: FaultReport) -> tuple[LabelledBox, ...] | None:
    """What a label file boxes, nothing where there is none; None, and faults, where a part of it cannot be read."""
    text = text_of(path, report) if path.exists() else ""
    if text is None:
        return None
    boxes, sound = [], True
    for number, line in enumerate(text.splitlines(), start=1):
        if not line.strip():
            continue
        where = f"{path}, line {number}"
        try:
            name, sides = _row(line, names)
        except (ValueError, IndexError):
            report(bad(where, f"{line[:80]!r} is neither 'class x y width height' nor a polygon, all in range"))
            sound = False
            continue
        label = naming(name)
        if label is None:
            report(Fault(FaultKind.UNKNOWN_LABEL, where, f"{name!r} is no canonical label"))
            continue
        original = "" if name == label else name
        boxes.append(within_picture(label, sides, original=original, where=where, report=report))
    return tuple(box for box in boxes if box) if sound else None


def _row(line: str, names: Sequence[str]) -> tuple[str, Sides]:
    """The class name and the box; a polygon's is the one around it."""
    index, *values = (float(part) for part in line.split())
    if not index.is_integer() or index < 0 or not all(0 <= value <= 1 for value in values):
        raise ValueError(line)
    name = names[int(index)]
    if len(values) == 4:
        x, y, width, height = values
        return name, (x, y, width, height)
    if len(values) < 6 or len(values) % 2:
        raise ValueError(line)
    across, down = values[::2], values[1::2]
    left, top, right, bottom = min(across), min(down), max(across), max(down)
    return name, ((left + right) / 2, (top + bottom) / 2, right - left, bottom - top)
