"""Text files of lines ``image class left top right bottom``, in pixels: OPIXray, HiXray and one release of EDS.

Layout of OPIXray and HiXray::

    {train,test}/{train,test}_image/*.jpg
    {train,test}/{train,test}_annotation/*.txt
    {train,test}/{train,test}_*.txt               lists of file names
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from xray_training.datasets.annotation import bad, missing, text_of
from xray_training.datasets.fault import FaultReport
from xray_training.datasets.folders import files_in, pictures_by_stem, wanted
from xray_training.datasets.neighbours import block_of
from xray_training.datasets.picture import size_of
from xray_training.datasets.placing import PixelBox, labels_of, names_of, place
from xray_training.datasets.record import ScanRecord

_SPLITS = ("train", "test")
_WORDS = 6


@dataclass(frozen=True, slots=True)
class Annotated:
    """A picture of the family and its annotation file, in one split."""

    split: str
    picture: Path
    lines: Path


def boxes_of(path: Path, report: FaultReport) -> tuple[PixelBox, ...] | None:
    """The boxes of a file; None, and a fault, where a line is malformed.

    An image's name may hold spaces, a class may not. The name is not compared with the file's: some copies were renamed.
    """
    text = text_of(path, report)
    if text is None:
        return None
    boxes = []
    for number, line in enumerate(text.splitlines(), start=1):
        if not line.strip():
            continue
        box = _box(line.split())
        if box is None:
            report(bad(f"{path}, line {number}", f"{line[:80]!r} is not 'image class left top right bottom'"))
            return None
        boxes.append(box)
    return tuple(boxes)


def read_family(
    root: Path,
    source: str,
    *,
    split: str | None,
    report: FaultReport,
    metadata: Mapping[tuple[str, str], Mapping[str, str]],
) -> Iterator[ScanRecord]:
    """Read the splits of a dataset of the family; ``metadata`` is by split and the picture's name without its suffix."""
    if not any(_folder(root, part, "image").is_dir() for part in _SPLITS):
        report(missing(root, "neither train/train_image nor test/test_image is there"))
    for annotated in _annotated(root, split):
        size = size_of(annotated.picture, report)
        found = boxes_of(annotated.lines, report) if size else None
        if size is None or found is None:
            continue
        where = str(annotated.picture)
        boxes = place(found, picture=size, declared=None, naming=names_of(source), where=where, report=report)
        if boxes is None:
            continue
        stem = annotated.picture.stem
        yield ScanRecord(
            image=annotated.picture,
            source=source,
            scanner=source,
            split=annotated.split,
            group=stem,
            block=block_of(stem, stem),
            boxes=boxes,
            annotated=labels_of(source),
            metadata=metadata.get((annotated.split, stem), {}),
        )


def uses_names_of(root: Path, source: str) -> bool:
    """Whether the first box in the folder is of a class of that dataset: the family shares one layout."""
    for part in _SPLITS:
        for path in files_in(_folder(root, part, "annotation"), ".txt"):
            if boxes := boxes_of(path, lambda fault: None):
                return names_of(source)(boxes[0].name) is not None
    return False


def _box(words: Sequence[str]) -> PixelBox | None:
    if len(words) < _WORDS:
        return None
    name = words[1 - _WORDS]
    try:
        left, top, right, bottom = (float(corner) for corner in words[2 - _WORDS :])
    except ValueError:
        return None
    return PixelBox(name, left, top, right, bottom) if all(map(math.isfinite, (left, top, right, bottom))) else None


def _folder(root: Path, split: str, kind: str) -> Path:
    return root / split / f"{split}_{kind}"


def _annotated(root: Path, split: str | None) -> Iterator[Annotated]:
    """Each picture with the file that should annotate it, and each file with the picture that should be there."""
    for part in _SPLITS:
        if not wanted(part, split):
            continue
        pictures = pictures_by_stem(_folder(root, part, "image"))
        lines = {path.stem: path for path in files_in(_folder(root, part, "annotation"), ".txt")}
        for stem in sorted(pictures.keys() | lines.keys()):
            picture = pictures.get(stem, _folder(root, part, "image") / f"{stem}.jpg")
            yield Annotated(part, picture, lines.get(stem, _folder(root, part, "annotation") / f"{stem}.txt"))
