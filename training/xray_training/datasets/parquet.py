"""Hugging Face Parquet with the pictures inside, as ``writers.parquet`` writes it.

Layout::

    data/{train,val,test}-00000-of-000NN.parquet
    README.md                                      the dataset card
    pictures/{train,val,test}/                     the pictures, unpacked byte for byte when they are first read
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

from pydantic import BaseModel, Field, FiniteFloat, Json, TypeAdapter, ValidationError

from xray_training.datasets.annotation import bad, first_problem
from xray_training.datasets.fault import FaultReport, refuse
from xray_training.datasets.picture import size_of
from xray_training.datasets.placing import PixelBox, place
from xray_training.datasets.record import DatasetError, LabelledBox, ScanRecord
from xray_training.datasets.writers.files import replacing_path

_SHARD = re.compile(r"(?P<split>\w+)-(?P<number>\d{5})-of-(?P<count>\d{5})\.parquet")
_ROWS = 32


class _Image(BaseModel):
    path: str | None
    bytes: bytes | None


class _Item(BaseModel):
    label: int
    original: str
    bbox: tuple[FiniteFloat, FiniteFloat, FiniteFloat, FiniteFloat]


class _Row(BaseModel):
    image: _Image
    width: int
    height: int
    objects: list[_Item]
    annotated: frozenset[str]
    source: str
    scanner: str
    split: str
    group: str
    block: str
    stretch: float = Field(gt=0, allow_inf_nan=False)
    metadata: Json[dict[str, str]]


def recognises(root: Path) -> bool:
    """Whether the folder holds shards of Parquet."""
    return any(_SHARD.fullmatch(path.name) for path in (root / "data").glob("*.parquet"))


def read(root: Path, *, split: str | None = None, report: FaultReport = refuse) -> Iterator[ScanRecord]:
    """Read the shards in the order of their names, and unpack each picture that is not there yet.

    Args:
        root: the folder that holds ``data/``; pictures go to ``pictures/`` in it.
        split: keep only this split.
        report: hears of every fault; where it returns, a bad row is left out, and a box without area.

    Raises:
        DatasetError: a shard is missing, damaged or of another kind; a picture cannot be unpacked.
    """
    for found, shards in sorted(_shards(root).items()):
        if split is None or found == split:
            pictures = _Pictures(root / "pictures" / found)
            for shard in shards:
                yield from _records(shard, pictures, report)


def _shards(root: Path) -> dict[str, list[Path]]:
    """The shards of each split.

    Raises:
        DatasetError: there are none, or not as many as their names say.
    """
    shards: dict[str, list[Path]] = {}
    counts: dict[str, set[int]] = {}
    for path in sorted((root / "data").glob("*.parquet")):
        if match := _SHARD.fullmatch(path.name):
            shards.setdefault(match["split"], []).append(path)
            counts.setdefault(match["split"], set()).add(int(match["count"]))
    if not shards:
        raise DatasetError(f"{root / 'data'} holds no SPLIT-00000-of-00001.parquet")
    for split, paths in shards.items():
        if counts[split] != {len(paths)}:
            raise DatasetError(f"{root / 'data'} holds {len(paths)} shards of {split}, their names say otherwise")
    return shards


class _Pictures:
    """The folder that one split's pictures are unpacked to."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._taken: set[str] = set()

    def unpack(self, image: _Image) -> Path:
        """The picture's file, written unless these very bytes are there.

        Raises:
            ValueError: it has no plain name of its own, or no bytes.
            DatasetError: it cannot be written.
        """
        name, content = image.path, image.bytes
        if not name or content is None or Path(name).name != name or "\0" in name:
            raise ValueError(f"{name!r} is no file name with a picture")
        if name.casefold() in self._taken:
            raise ValueError(f"another picture is called {name!r} too")
        self._taken.add(name.casefold())
        path = self._folder / name
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
            if not path.exists() or path.read_bytes() != content:
                with replacing_path(path) as part:
                    part.write_bytes(content)
        except OSError as error:
            raise DatasetError(f"{path} cannot be unpacked: {error.strerror}; run this again to go on") from error
        return path


def _records(shard: Path, pictures: _Pictures, report: FaultReport) -> Iterator[ScanRecord]:
    names = _class_names(shard)
    for number, row in enumerate(_rows(shard), start=1):
        if record := _record(row, names, pictures, f"{shard}, row {number}", report):
            yield record


def _rows(shard: Path) -> Iterator[dict[str, Any]]:
    import pyarrow.parquet as pq

    with _sound(shard), pq.ParquetFile(shard) as file:
        for batch in file.iter_batches(batch_size=_ROWS):
            yield from batch.to_pylist()


def _class_names(shard: Path) -> list[str]:
    import pyarrow.parquet as pq

    with _sound(shard):
        features = json.loads((pq.read_schema(shard).metadata or {})[b"huggingface"])["info"]["features"]
        return TypeAdapter(list[str]).validate_python(features["objects"]["feature"]["label"]["names"])


@contextmanager
def _sound(shard: Path) -> Iterator[None]:
    """Turn what is wrong with a whole shard into a message."""
    import pyarrow as pa

    try:
        yield
    except (pa.ArrowException, KeyError, TypeError, ValueError, OSError) as error:
        raise DatasetError(f"{shard} is no Parquet that `xray-train data convert` wrote: {error}") from error


def _record(
    content: dict[str, Any], names: list[str], pictures: _Pictures, where: str, report: FaultReport
) -> ScanRecord | None:
    try:
        row = _Row.model_validate(content)
        labels = [_label(item, names) for item in row.objects]
        picture = pictures.unpack(row.image)
    except ValidationError as error:
        report(bad(where, first_problem(error)))
        return None
    except DatasetError:
        raise
    except ValueError as error:
        report(bad(where, str(error)))
        return None
    size = size_of(picture, report)
    if size is None:
        return None
    boxes: list[LabelledBox] = []
    for label, item in zip(labels, row.objects, strict=True):
        box = PixelBox(label, *item.bbox)
        declared = row.width, row.height
        placed = place((box,), picture=size, declared=declared, naming=str, where=where, report=report)
        if placed is None:
            return None
        boxes.extend(replace(box, original=item.original) for box in placed)
    return ScanRecord(
        image=picture,
        source=row.source,
        scanner=row.scanner,
        split=row.split,
        group=row.group,
        block=row.block,
        boxes=tuple(boxes),
        annotated=row.annotated,
        stretch=row.stretch,
        metadata=row.metadata,
    )


def _label(item: _Item, names: list[str]) -> str:
    if not 0 <= item.label < len(names):
        raise ValueError(f"label {item.label} is none of the {len(names)} classes")
    return names[item.label]
