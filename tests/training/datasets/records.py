"""Made-up records with real pictures, and what it means that two are the same."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import strategies as st
from PIL import Image
from xray_training.datasets.record import LabelledBox, ScanRecord

LABELS = ("knife", "gun", "scissors", "power_bank", "glass_bottle")
ODD_LABELS = ("knife", "item", "blade, long", "Messer №1", "no label")

words = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=12)
source_names = st.sampled_from(["opixray", "Süd / scanner", "scans,2", "north"])


@st.composite
def boxes(draw: st.DrawFn, labels: Sequence[str]) -> LabelledBox:
    left, top = draw(st.floats(0, 0.9)), draw(st.floats(0, 0.9))
    width, height = draw(st.floats(0.01, 1 - left)), draw(st.floats(0.01, 1 - top))
    label = draw(st.sampled_from(labels))
    original = draw(st.one_of(st.just(""), words.filter(lambda name: name != label)))
    return LabelledBox(label, left, top, min(left + width, 1.0), min(top + height, 1.0), original)


@st.composite
def collections_of_records(
    draw: st.DrawFn, *, labels: Sequence[str] = LABELS, splits: Sequence[str] = ("train", "val", "test")
) -> list[ScanRecord]:
    """Records of several sources, benign ones and two views of one bag among them; their pictures are not there yet."""
    usual = {source: draw(st.frozensets(st.sampled_from(labels))) for source in ("opixray", "north")}
    records = []
    for _ in range(draw(st.integers(1, 6))):
        source = draw(source_names)
        annotated = usual.get(source, frozenset())
        if draw(st.integers(0, 3)) == 0:
            annotated = draw(st.frozensets(st.sampled_from(labels)))
        record = ScanRecord(
            image=Path(draw(st.sampled_from(["scan", "SCAN", f"{source[:5]}_1", "été 1"])) + ".png"),
            source=source,
            scanner=draw(words),
            split=draw(st.sampled_from(splits)),
            group=draw(words),
            block=draw(words),
            boxes=tuple(draw(st.lists(boxes(labels), max_size=3))),
            annotated=annotated,
            stretch=draw(st.sampled_from([1.0, 1.284, 0.1 + 0.2])),
            metadata=draw(st.dictionaries(words, words, max_size=2)),
        )
        records.append(record)
        if draw(st.booleans()):
            records.append(replace(record, metadata={"view": "side"}, boxes=record.boxes[:1]))
    return records


def with_pictures(root: Path, records: Iterable[ScanRecord]) -> list[ScanRecord]:
    """Draw a picture for each record, no two with the same bytes, each in a folder of its own."""
    placed = []
    for number, record in enumerate(records):
        path = root / str(number) / record.image
        path.parent.mkdir(parents=True)
        draw_picture(path, seed=number)
        placed.append(replace(record, image=path))
    return placed


def draw_picture(path: Path, *, seed: int) -> None:
    """A small picture of noise, wider than high."""
    noise = np.random.default_rng(seed)
    height, width = int(noise.integers(3, 30)), int(noise.integers(31, 60))
    Image.fromarray(noise.integers(0, 256, (height, width, 3), dtype=np.uint8)).save(path)


def assert_same(one: Iterable[ScanRecord], other: Iterable[ScanRecord]) -> None:
    """The same scans in any order: the same bytes of the picture, and everything else but for rounding of boxes."""
    first, second = sorted(one, key=digest), sorted(other, key=digest)
    assert [digest(record) for record in first] == [digest(record) for record in second]
    for before, after in zip(first, second, strict=True):
        assert replace(after, image=before.image, boxes=before.boxes) == before
        assert [(box.label, box.original) for box in after.boxes] == [(b.label, b.original) for b in before.boxes]
        for old, new in zip(before.boxes, after.boxes, strict=True):
            assert sides(new) == pytest.approx(sides(old), abs=1e-6)


def written(writing: Iterable[object]) -> int:
    """Let a writer write; how many scans it wrote."""
    return sum(1 for _ in writing)


def made_of(records: Sequence[ScanRecord], root: Path) -> tuple[list[ScanRecord], Path]:
    """The records with pictures, and a folder to write to."""
    root.mkdir(parents=True, exist_ok=True)
    return with_pictures(root / "pictures", records), root / "out"


def sides(box: LabelledBox) -> tuple[float, float, float, float]:
    return box.x_min, box.y_min, box.x_max, box.y_max


def digest(record: ScanRecord) -> str:
    return hashlib.sha256(record.image.read_bytes()).hexdigest()
