"""The folder that is written: pairs, pictures, and a Hugging Face dataset in the chat format."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from itertools import groupby
from pathlib import Path
from typing import Any

import yaml

from xray_training.datasets.pairs import PAIRS_FILE, Pair, in_pixels, write_pairs
from xray_training.datasets.writers.files import copy_picture, remove_others, replacing_path, write_text
from xray_training.datasets.writers.yolo import write_pixels
from xray_training.vqa.draft import Window
from xray_training.vqa.generate import Made
from xray_training.vqa.scene import Scene

HF_FOLDER = "hf"
"""The Hugging Face dataset, in the folder that is written."""

ROWS_OF_A_SHARD = 20_000

_ROW_GROUP = 256
_DICTIONARY_BYTES = 1 << 28
"""Room for the different pictures of a row group: each is stored once, however many pairs are about it."""

_CARD = """\
Questions and answers about X-ray scans of baggage, written by `xray-train vqa`.

    from datasets import load_dataset
    pairs = load_dataset("{folder}")

| column | content |
|---|---|
| `images` | the one picture that the question is about |
| `messages` | the question by `user` and the answer by `assistant`, in the chat format of transformers and TRL |
| `kind`, `source`, `scanner`, `bag` | type of question, where the scan is from, and what a split must not divide |
| `pair` | the pair as JSON, with the truth that replies are checked by, and boxes in shares of the picture |

Boxes in `messages` are pixels of the picture as it is stored. A model that resizes pictures has to scale them;
`xray-train vlm` reads `pairs.jsonl` beside this folder, where boxes are shares.

Licences are those of the scans: {sources}.
"""


def write_pictures(made: Sequence[Made], out: Path, *, link: bool = False) -> Iterator[Path]:
    """Write every picture that a pair shows, and yield each.

    Scans are copied byte for byte, but for those whose export was squeezed: their aspect is restored.

    Pictures of an earlier run that no pair shows any more are removed.

    Args:
        made: the pairs, those about one scan together.
        out: the folder.
        link: make a picture a second name of the source's file where the disk can.

    Raises:
        DatasetError: a picture cannot be read.
    """
    kept: set[Path] = set()
    for _, group in groupby(made, key=lambda one: one.scene.name):
        members = list(group)
        for path in _pictures_of(members[0].scene, members, out, link):
            kept.add(path)
            yield path
    for folder in ("images", "crops"):
        remove_others(out / folder, kept)


def write_jsonl(made: Sequence[Made], out: Path) -> int:
    """Write ``pairs.jsonl``; returns how many pairs."""
    with replacing_path(out / PAIRS_FILE) as part:
        return write_pairs((one.pair for one in made), part)


def write_chat_dataset(made: Sequence[Made], out: Path) -> None:
    """Write the pairs as Parquet that ``datasets.load_dataset`` reads, a file or more for each split.

    Args:
        made: the pairs; their pictures are in ``out`` already.
        out: the folder that holds them; the dataset goes to ``hf/`` in it.
    """
    folder = out / HF_FOLDER
    data = folder / "data"
    data.mkdir(parents=True, exist_ok=True)
    by_split: dict[str, list[Made]] = defaultdict(list)
    for one in made:
        by_split[one.pair.split].append(one)
    kept = set()
    for split, members in by_split.items():
        shards = [members[start : start + ROWS_OF_A_SHARD] for start in range(0, len(members), ROWS_OF_A_SHARD)]
        for number, shard in enumerate(shards):
            path = data / f"{split}-{number:05d}-of-{len(shards):05d}.parquet"
            _write_shard(shard, out, path)
            kept.add(path)
    remove_others(data, kept)
    write_text(folder / "README.md", _card(out, by_split))


def messages_of(pair: Pair, width: int, height: int) -> list[dict[str, Any]]:
    """The pair as chat messages, its boxes in pixels of a picture of that size."""
    question, answer = (in_pixels(text, pair.places, width, height) for text in (pair.question, pair.answer))
    return [
        {"role": "user", "content": [{"type": "image", "text": None}, {"type": "text", "text": question}]},
        {"role": "assistant", "content": [{"type": "text", "text": answer}]},
    ]


def _pictures_of(scene: Scene, made: Sequence[Made], out: Path, link: bool) -> Iterator[Path]:
    windows: dict[str, Window | None] = {one.pair.image: one.window for one in made}
    squeezed = scene.record.stretch != 1.0
    pixels = scene.record.pixels() if squeezed or any(windows.values()) else None
    for name, window in windows.items():
        path = out / name
        path.parent.mkdir(parents=True, exist_ok=True)
        if window is None and not squeezed:
            copy_picture(scene.record.image, path, link=link)
        elif pixels is not None:
            height, width = pixels.shape[:2]
            left, top, right, bottom = pixels_of(window or (0.0, 0.0, 1.0, 1.0), width, height)
            write_pixels(pixels[top:bottom, left:right], path)
        yield path


def pixels_of(window: Window, width: int, height: int) -> tuple[int, int, int, int]:
    """A window in whole pixels, at least one wide and high; right and bottom are exclusive."""
    left, top = min(width - 1, int(window[0] * width)), min(height - 1, int(window[1] * height))
    right, bottom = max(left + 1, round(window[2] * width)), max(top + 1, round(window[3] * height))
    return left, top, min(width, right), min(height, bottom)


def _write_shard(made: Sequence[Made], out: Path, path: Path) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    schema = _schema()
    groups = (made[start : start + _ROW_GROUP] for start in range(0, len(made), _ROW_GROUP))
    with (
        replacing_path(path) as part,
        pq.ParquetWriter(part, schema, dictionary_pagesize_limit=_DICTIONARY_BYTES) as writer,
    ):
        for group in groups:
            pictures = {one.pair.image: (out / one.pair.image).read_bytes() for one in group}
            writer.write_table(pa.Table.from_pylist([_row(one, pictures) for one in group], schema=schema))


def _row(one: Made, pictures: dict[str, bytes]) -> dict[str, Any]:
    pair, scene = one.pair, one.scene
    return {
        "id": pair.id,
        "images": [{"bytes": pictures[pair.image], "path": pair.image.replace("/", "_")}],
        "messages": messages_of(pair, scene.width, scene.height),
        "kind": pair.kind,
        "source": pair.source,
        "scanner": pair.scanner,
        "bag": pair.bag,
        "pair": pair.model_dump_json(),
    }


def _schema() -> Any:
    from datasets import Features, Image, List, Value

    text = Value("string")
    features = Features(
        {
            "id": text,
            "images": List(Image()),
            "messages": List({"role": text, "content": List({"type": text, "text": text})}),
            **dict.fromkeys(("kind", "source", "scanner", "bag", "pair"), text),
        }
    )
    return features.arrow_schema


def _card(out: Path, by_split: dict[str, list[Made]]) -> str:
    from xray_training.datasets.sources import SOURCES

    front = {
        "pretty_name": out.resolve().name,
        "license": "other",
        "task_categories": ["visual-question-answering", "image-text-to-text"],
        "tags": ["x-ray", "baggage-screening"],
        "configs": [
            {
                "config_name": "default",
                "data_files": [{"split": split, "path": f"data/{split}-*-of-*.parquet"} for split in sorted(by_split)],
            }
        ],
    }
    names = _sorted(one.pair.source for members in by_split.values() for one in members)
    licences = [f"{name} ({_licence(SOURCES.get(name))})" for name in names]
    heading = f"---\n{yaml.safe_dump(front, sort_keys=False, allow_unicode=True)}---\n\n"
    return heading + _CARD.format(folder=f"{out.resolve().name}/{HF_FOLDER}", sources="; ".join(licences))


def _sorted(names: Iterable[str]) -> list[str]:
    return sorted(set(names))


def _licence(source: Any) -> str:
    return (source.licence if source is not None else "") or "not known here"
