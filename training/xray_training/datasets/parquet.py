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
from dataclasses import replace
from pathlib import Path
from typing import Any

from xray_training.datasets.fault import Fault, FaultKind, FaultReport, refuse
from xray_training.datasets.picture import size_of
from xray_training.datasets.placing import PixelBox, place
from xray_training.datasets.record import DatasetError, LabelledBox, ScanRecord
from xray_training.datasets.writers.files import replacing_path

_SHARD = re.compile(r"(?P<split>\w+)-(?P<number>\d{5})-of-(?P<count>\d{5})\.parquet")
_ROWS = 32


def recognises(root: Path) -> bool:
    """Whether the folder holds shards of Parquet."""
    return any(_SHARD.fullmatch(path.name) for path in (root / "data").glob("*.parquet"))


def read(root: Path, *, split: str | None = None, report: FaultReport = refuse) -> Iterator[ScanRecord]:
    """Read the shards in the order of their names, and unpack each picture that is not there yet.

    Args:
        root: the folder that holds ``data/``; pictures go to ``pictures/`` in it.
        split: keep only this split.
        report: hears of every fault; where it returns, a bad box or row is left out.

    Raises:
        DatasetError: a shard is missing or damaged, or has other columns.
    """
    for found, shards in sorted(_shards(root).items()):
        if split is None or found == split:
            for shard in shards:
                yield from _records(shard, root / "pictures" / found, report)


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


def _records(shard: Path, pictures: Path, report: FaultReport) -> Iterator[ScanRecord]:
    import pyarrow as pa
    import pyarrow.parquet as pq

    pictures.mkdir(parents=True, exist_ok=True)
    try:
        with pq.ParquetFile(shard) as file:
            names = _class_names(file.schema_arrow)
            number = 0
            for batch in file.iter_batches(batch_size=_ROWS):
                for row in batch.to_pylist():
                    number += 1
                    if record := _record(row, names, pictures, f"{shard}, row {number}", report):
                        yield record
    except (pa.ArrowException, KeyError, OSError) as error:
        raise DatasetError(f"{shard} is no Parquet that `xray-train data convert` wrote: {error}") from error


def _class_names(schema: Any) -> list[str]:
    features = json.loads((schema.metadata or {})[b"huggingface"])["info"]["features"]
    names: list[str] = features["objects"]["feature"]["label"]["names"]
    return names


def _record(
    row: dict[str, Any], names: list[str], pictures: Path, where: str, report: FaultReport
) -> ScanRecord | None:
    picture = _unpack(row["image"], pictures)
    if picture is None:
        report(Fault(FaultKind.BAD_ANNOTATION, where, f"{row['image']['path']!r} is no file name with a picture"))
        return None
    size = size_of(picture, report)
    if size is None:
        return None
    boxes: list[LabelledBox] = []
    for item in row["objects"]:
        label = names[item["label"]]
        box = PixelBox(label, *item["bbox"])
        declared = row["width"], row["height"]
        placed = place((box,), picture=size, declared=declared, naming=str, where=where, report=report)
        if placed is None:
            return None
        boxes.extend(replace(box, original=item["original"]) for box in placed)
    return ScanRecord(
        image=picture,
        source=row["source"],
        scanner=row["scanner"],
        split=row["split"],
        group=row["group"],
        block=row["block"],
        boxes=tuple(boxes),
        annotated=frozenset(row["annotated"]),
        stretch=row["stretch"],
        metadata=json.loads(row["metadata"]),
    )


def _unpack(image: dict[str, Any], folder: Path) -> Path | None:
    """The picture's file, written unless one of that size is there; None where it has no plain name or no bytes."""
    name: str | None = image["path"]
    content: bytes | None = image["bytes"]
    if not name or content is None or Path(name).name != name:
        return None
    path = folder / name
    if not path.exists() or path.stat().st_size != len(content):
        with replacing_path(path) as part:
            part.write_bytes(content)
    return path
