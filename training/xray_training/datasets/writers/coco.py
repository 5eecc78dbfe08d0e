"""Writing COCO annotations with the pictures beside them, as ``datasets.coco`` reads them."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from contextlib import ExitStack
from pathlib import Path
from tempfile import TemporaryFile
from typing import TextIO

from xray_training.datasets.fault import FaultReport, refuse
from xray_training.datasets.picture import Size, size_of
from xray_training.datasets.record import LabelledBox, ScanRecord
from xray_training.datasets.writers.files import copy_picture, remove_others, replacing
from xray_training.datasets.writers.names import FileNames, Vocabulary


def write_coco(records: Iterable[ScanRecord], out: Path, *, report: FaultReport = refuse) -> Iterator[ScanRecord]:
    """Write records one by one and yield each when its picture is written; the annotations follow when all are.

    Boxes are ``[x, y, width, height]`` in pixels of the picture. What COCO has no field for stands beside it: on an
    image its source, scanner, split, group, block, stretch, metadata and, where it is not its source's, ``annotated``;
    on an annotation ``original``; at the top ``annotated``, what each source annotates.

    Args:
        records: the scans.
        out: the folder; pictures in it that no record has are removed.
        report: hears of pictures that are missing or damaged; where it returns, the scan is left out.
    """
    names, vocabulary, kept = FileNames(), Vocabulary(), set[Path]()
    parts: dict[str, _Part] = {}
    with ExitStack() as stack:
        for record in records:
            name = names.name(record)
            size = size_of(record.image, report)
            if size is None:
                continue
            vocabulary.meet(record)
            picture = out / "images" / record.split / name
            picture.parent.mkdir(parents=True, exist_ok=True)
            copy_picture(record.image, picture)
            kept.add(picture)
            if record.split not in parts:
                parts[record.split] = _Part(stack.enter_context(_spool()), stack.enter_context(_spool()))
            parts[record.split].add(record, name, size, vocabulary)
            yield record
        annotations = out / "annotations"
        annotations.mkdir(parents=True, exist_ok=True)
        files = {annotations / f"instances_{split}.json": part for split, part in parts.items()}
        for path, part in files.items():
            part.write(path, vocabulary)
        remove_others(annotations, files)
        remove_others(out / "images", kept)


def _spool() -> TextIO:
    return TemporaryFile("w+", encoding="utf-8")


class _Part:
    """A split's images and annotations, kept on disk until all classes are known."""

    def __init__(self, images: TextIO, annotations: TextIO) -> None:
        self._images = images
        self._annotations = annotations
        self._image_count = self._annotation_count = 0

    def add(self, record: ScanRecord, name: str, size: Size, vocabulary: Vocabulary) -> None:
        self._image_count += 1
        print(json.dumps(self._image(record, name, size, vocabulary)), file=self._images)
        for box in record.boxes:
            self._annotation_count += 1
            print(json.dumps(self._annotation(box, size, vocabulary)), file=self._annotations)

    def write(self, path: Path, vocabulary: Vocabulary) -> None:
        categories = [{"id": number, "name": label} for number, label in enumerate(vocabulary.labels, start=1)]
        with replacing(path) as file:
            file.write('{"info": {"description": "X-ray scans; boxes in pixels"}, "licenses": [],\n')
            file.write(f'"annotated": {json.dumps(vocabulary.annotated)},\n')
            file.write(f'"categories": {json.dumps(categories)}')
            for key, lines in (("images", self._images), ("annotations", self._annotations)):
                file.write(f',\n"{key}": [')
                lines.seek(0)
                for index, line in enumerate(lines):
                    file.write(f"{',' if index else ''}\n{line.rstrip()}")
                file.write("\n]")
            file.write("}\n")

    def _image(self, record: ScanRecord, name: str, size: Size, vocabulary: Vocabulary) -> dict[str, object]:
        image: dict[str, object] = {
            "id": self._image_count,
            "file_name": name,
            "width": size[0],
            "height": size[1],
            "source": record.source,
            "scanner": record.scanner,
            "split": record.split,
            "group": record.group,
            "block": record.block,
            "stretch": record.stretch,
            "metadata": dict(record.metadata),
        }
        exception = vocabulary.exception(record)
        return image if exception is None else {**image, "annotated": exception}

    def _annotation(self, box: LabelledBox, size: Size, vocabulary: Vocabulary) -> dict[str, object]:
        x, y = box.x_min * size[0], box.y_min * size[1]
        width, height = (box.x_max - box.x_min) * size[0], (box.y_max - box.y_min) * size[1]
        annotation: dict[str, object] = {
            "id": self._annotation_count,
            "image_id": self._image_count,
            "category_id": vocabulary.number(box.label) + 1,
            "bbox": [x, y, width, height],
            "area": width * height,
            "iscrowd": 0,
        }
        return {**annotation, "original": box.original} if box.original else annotation
