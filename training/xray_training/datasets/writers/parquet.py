"""Writing Parquet as ``datasets.parquet`` reads it, and as Hugging Face's ``load_dataset`` loads it."""

from __future__ import annotations

import hashlib
import json
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import yaml

from xray_training.datasets.fault import FaultReport, refuse
from xray_training.datasets.picture import size_of
from xray_training.datasets.record import ScanRecord
from xray_training.datasets.writers.files import replacing_path, write_text
from xray_training.datasets.writers.names import FileNames, Vocabulary, in_order

SHARD_BYTES = 400_000_000
"""A shard is closed when its pictures have reached this size."""

_ROW_GROUP = 64
_DIGEST = b"xray_rows"

_CARD = """\
X-ray scans with boxes, written by `xray-train data convert`.

    from datasets import load_dataset
    scans = load_dataset("{folder}")

| column | content |
|---|---|
| `image` | the picture's bytes as its source published them |
| `width`, `height` | its size in pixels |
| `objects` | what is boxed: `label` (canonical), `original` (the source's own name, empty where it is the same), `bbox` |
| `objects.bbox` | left, top, right, bottom in pixels of the picture |
| `annotated` | every label that is boxed on this scan wherever it occurs; any other is unknown on it, not absent |
| `source`, `scanner`, `split` | the dataset it comes from, its scanner, and its part |
| `group`, `block` | views and near-duplicates, and runs of neighbouring ids; a split should divide neither |
| `stretch` | width factor that undoes an export's squeeze |
| `metadata` | JSON object: what else the source says of the scan |

"""


def write_parquet(
    records: Iterable[ScanRecord], out: Path, *, report: FaultReport = refuse, shard_bytes: int = SHARD_BYTES
) -> Iterator[ScanRecord]:
    """Write records as ``data/SPLIT-00000-of-000NN.parquet`` and yield each when it has been taken up.

    At most one row group of pictures is held in memory. Finished shards are not written again.

    Args:
        records: the scans.
        out: the folder.
        report: hears of pictures that are missing or damaged; where it returns, the scan is left out.
        shard_bytes: size of a shard's pictures in bytes.
    """
    names, vocabulary = FileNames(), Vocabulary()
    shards: dict[str, list[Path]] = defaultdict(list)
    waiting: dict[str, list[_Row]] = defaultdict(list)
    waiting_bytes: Counter[str] = Counter()
    data = out / "data"
    data.mkdir(parents=True, exist_ok=True)

    def close(split: str) -> None:
        del waiting_bytes[split]
        shards[split].append(_write_shard(data, split, len(shards[split]), waiting.pop(split), vocabulary))

    for record in records:
        name = names.name(record)
        size = size_of(record.image, report)
        if size is None:
            continue
        vocabulary.meet(record)
        row = _Row(record.image, record.image.stat().st_size, _columns(record, name, size, vocabulary))
        waiting[record.split].append(row)
        waiting_bytes[record.split] += row.bytes
        yield record
        if waiting_bytes[record.split] >= shard_bytes:
            close(record.split)
    for split in list(waiting):
        close(split)
    kept = {_named(path, split, len(paths), vocabulary) for split, paths in shards.items() for path in paths}
    for path in set(data.glob("*.parquet")) - kept:
        path.unlink()
    write_text(out / "README.md", _card(out, sorted(shards), vocabulary))


@dataclass(frozen=True, slots=True)
class _Row:
    """A picture's path and size in bytes, and every column but its bytes."""

    picture: Path
    bytes: int
    columns: dict[str, Any]


def _columns(record: ScanRecord, name: str, size: tuple[int, int], vocabulary: Vocabulary) -> dict[str, Any]:
    width, height = size
    return {
        "image": {"bytes": None, "path": name},
        "width": width,
        "height": height,
        "objects": [
            {
                "label": vocabulary.number(box.label),
                "original": box.original,
                "bbox": [box.x_min * width, box.y_min * height, box.x_max * width, box.y_max * height],
            }
            for box in record.boxes
        ],
        "annotated": in_order(record.annotated),
        "source": record.source,
        "scanner": record.scanner,
        "split": record.split,
        "group": record.group,
        "block": record.block,
        "stretch": record.stretch,
        "metadata": json.dumps(dict(record.metadata)),
    }


def _schema(vocabulary: Vocabulary) -> pa.Schema:
    from datasets import ClassLabel, Features, Image, List, Value

    text = Value("string")
    box = {"label": ClassLabel(names=vocabulary.labels), "original": text, "bbox": List(Value("float64"), length=4)}
    features = Features(
        {
            "image": Image(),
            "width": Value("int32"),
            "height": Value("int32"),
            "objects": List(box),
            "annotated": List(text),
            **dict.fromkeys(("source", "scanner", "split", "group", "block"), text),
            "stretch": Value("float64"),
            "metadata": text,
        }
    )
    return features.arrow_schema


def _write_shard(data: Path, split: str, number: int, rows: list[_Row], vocabulary: Vocabulary) -> Path:
    """Write a shard, unless the folder holds it; the name does not yet say of how many."""
    digest = _digest(rows)
    for path in data.glob(f"{split}-{number:05d}*.parquet"):
        if _digest_in(path) == digest:
            return path
    path = data / f"{split}-{number:05d}.parquet"
    schema = _schema(vocabulary)
    schema = schema.with_metadata({**(schema.metadata or {}), _DIGEST: digest})
    groups = (rows[start : start + _ROW_GROUP] for start in range(0, len(rows), _ROW_GROUP))
    with replacing_path(path) as part, pq.ParquetWriter(part, schema) as writer:
        for group in groups:
            filled = [
                {**row.columns, "image": {**row.columns["image"], "bytes": row.picture.read_bytes()}} for row in group
            ]
            writer.write_table(pa.Table.from_pylist(filled, schema=schema))
    return path


def _digest_in(path: Path) -> bytes | None:
    """What a shard says it was made of; None where it is damaged or not one of ours."""
    try:
        metadata: dict[bytes, bytes] = pq.read_schema(path).metadata or {}
    except pa.ArrowException:
        return None
    return metadata.get(_DIGEST)


def _digest(rows: Iterable[_Row]) -> bytes:
    seen = hashlib.sha256()
    for row in rows:
        seen.update(json.dumps([row.columns, row.bytes, row.picture.stat().st_mtime_ns]).encode())
    return seen.hexdigest().encode()


def _named(path: Path, split: str, count: int, vocabulary: Vocabulary) -> Path:
    """Give a shard its last name, and its schema every class where later shards brought more."""
    held = pq.read_schema(path)
    final = _schema(vocabulary).metadata or {}
    number = path.stem.removeprefix(f"{split}-")[:5]
    target = path.with_name(f"{split}-{number}-of-{count:05d}.parquet")
    if held.metadata != {**final, _DIGEST: held.metadata[_DIGEST]}:
        schema = held.with_metadata({**final, _DIGEST: held.metadata[_DIGEST]})
        with replacing_path(path) as part, pq.ParquetFile(path) as old, pq.ParquetWriter(part, schema) as writer:
            for group in range(old.num_row_groups):
                writer.write_table(old.read_row_group(group).replace_schema_metadata(schema.metadata))
    return path.rename(target)


def _card(out: Path, splits: list[str], vocabulary: Vocabulary) -> str:
    from xray_training.datasets.sources import SOURCES

    front = {
        "pretty_name": out.resolve().name,
        "license": "other",
        "task_categories": ["object-detection"],
        "tags": ["x-ray", "baggage-screening"],
        "configs": [
            {
                "config_name": "default",
                "data_files": [{"split": split, "path": f"data/{split}-*-of-*.parquet"} for split in splits],
            }
        ],
    }
    licences = {name: source.licence for name, source in SOURCES.items()}
    sources = [
        f"- {name}: boxes {', '.join(labels)}. Licence: {licences.get(name) or 'not known here'}.\n"
        for name, labels in vocabulary.annotated.items()
    ]
    heading = ["---\n", yaml.safe_dump(front, sort_keys=False, allow_unicode=True), "---\n\n"]
    return "".join(chain(heading, [_CARD.format(folder=out.resolve().name)], ["Sources:\n\n"], sources))
