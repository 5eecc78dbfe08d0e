"""Writing an annotated YOLO folder, as ``datasets.partial_yolo`` reads it."""

from __future__ import annotations

import csv
import json
import zlib
from collections.abc import Collection, Iterable, Iterator
from pathlib import Path

import numpy as np
import yaml
from numpy.typing import NDArray
from PIL import Image

from xray_training.datasets.fault import FaultReport, refuse
from xray_training.datasets.partial_yolo import COLUMNS, FURTHER_COLUMNS
from xray_training.datasets.picture import size_of
from xray_training.datasets.record import DatasetError, LabelledBox, ScanRecord
from xray_training.datasets.writers.files import copy_picture, remove_others, replacing, replacing_path, write_text
from xray_training.datasets.writers.names import FileNames, Vocabulary

_ABOUT = """\
# For Ultralytics: `yolo train data=.../data.yaml`. It takes whatever is not boxed for background; annotated.json says
# what each source leaves unboxed. `xray-train detector` reads that and masks the loss.
# Where the folder has no val, the test scans stand for it, or the training scans.
"""


def write_yolo(
    records: Iterable[ScanRecord], out: Path, *, report: FaultReport = refuse, link: bool = False
) -> Iterator[ScanRecord]:
    """Write records one by one and yield each when it is written; the index follows when all are.

    Args:
        records: the scans.
        out: the folder; pictures and label files in it that no record has are removed.
        report: hears of pictures that are missing or damaged; where it returns, the scan is left out.
        link: link pictures rather than copy them, where the file system can.

    Raises:
        DatasetError: a label cannot stand in ``classes.txt``.
    """
    names, vocabulary, splits, kept = FileNames(), Vocabulary(), set[str](), set[Path]()
    out.mkdir(parents=True, exist_ok=True)
    with replacing(out / "manifest.csv") as manifest:
        rows = csv.writer(manifest)
        rows.writerow((*COLUMNS, *FURTHER_COLUMNS))
        for record in records:
            name = names.name(record)
            if size_of(record.image, report) is None:
                continue
            vocabulary.meet(record)
            picture = out / "images" / record.split / name
            labels = (out / "labels" / record.split / name).with_suffix(".txt")
            for path in (picture, labels):
                path.parent.mkdir(parents=True, exist_ok=True)
            copy_picture(record.image, picture, link=link)
            write_text(labels, "".join(label_row(box, vocabulary.number(box.label)) for box in record.boxes))
            rows.writerow(_line(record, picture.relative_to(out).as_posix(), vocabulary))
            kept |= {picture, labels}
            splits.add(record.split)
            yield record
        for folder in ("images", "labels"):
            remove_others(out / folder, kept)
        write_text(out / "classes.txt", "".join(f"{_one_line(label)}\n" for label in vocabulary.labels))
        write_text(out / "annotated.json", json.dumps(vocabulary.annotated, indent=1) + "\n")
        write_text(out / "data.yaml", _ABOUT + _data_yaml(splits, vocabulary.labels))


def box_in_shares(label: str, corners: tuple[float, float, float, float], pixels: NDArray[np.uint8]) -> LabelledBox:
    """A box given by x_min, y_min, x_max, y_max in pixels of a picture, shape (height, width, 3)."""
    height, width = pixels.shape[:2]
    left, top, right, bottom = corners
    return LabelledBox(label, left / width, top / height, right / width, bottom / height)


def write_pixels(pixels: NDArray[np.uint8], picture: Path) -> None:
    """Write RGB pixels, shape (height, width, 3), as a PNG, quickly packed."""
    with replacing_path(picture) as part:
        Image.fromarray(pixels).save(part, format="PNG", compress_level=1, compress_type=zlib.Z_RLE)


def label_row(box: LabelledBox, number: int) -> str:
    """A line of a label file: the class's number, and the box as centre and size in shares of the picture."""
    x, y = (box.x_min + box.x_max) / 2, (box.y_min + box.y_max) / 2
    width, height = box.x_max - box.x_min, box.y_max - box.y_min
    return f"{number} {x:.10g} {y:.10g} {width:.10g} {height:.10g}\n"


def _line(record: ScanRecord, file: str, vocabulary: Vocabulary) -> list[str]:
    originals = [box.original for box in record.boxes]
    exception = vocabulary.exception(record)
    return [
        file,
        record.source,
        record.scanner,
        record.split,
        record.group,
        record.block,
        "" if record.stretch == 1.0 else repr(record.stretch),
        json.dumps(originals) if any(originals) else "",
        json.dumps(dict(record.metadata)) if record.metadata else "",
        "" if exception is None else json.dumps(exception),
    ]


def _one_line(label: str) -> str:
    if not label or label != label.strip() or "\n" in label or "\r" in label:
        raise DatasetError(f"the label {label!r} cannot stand on a line of classes.txt: rename it")
    return label


def _data_yaml(splits: Collection[str], labels: list[str]) -> str:
    """Paths relative to the file, so that the folder may be moved; Ultralytics wants a train and a val."""
    parts = {split: f"images/{split}" for split in sorted(splits)}
    parts.setdefault("train", "images/train")
    parts.setdefault("val", parts.get("test", parts["train"]))
    return yaml.safe_dump({**parts, "names": dict(enumerate(labels))}, sort_keys=False, allow_unicode=True)
