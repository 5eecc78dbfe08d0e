"""What holds for every source."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from xray_training.datasets.fault import FaultKind, refuse
from xray_training.datasets.record import DatasetError, ScanRecord
from xray_training.datasets.sources import SOURCES, source_of

from tests.training.datasets.trees import POINTER, TREES, heard
from xray_agent_tools.taxonomy import taxonomy

ANNOTATIONS = {
    "stcray": "STCray_TrainSet/Json_BB/Class 9_Injection/a.json",
    "luggage_xray": "_annotations.train.jsonl",
    "cargoxray": "train/_annotations.coco.json",
    "opixray": "train/train_annotation/009849.txt",
    "hixray": "train/train_annotation/img_7.txt",
    "pidray": "annotations/xray_train.json",
    "sixray": "Annotation/P00003.xml",
    "clcxray": "annotations/instances_train2017.json",
    "dvxray": "DvXray_Positive_Samples/P03152.json",
    "eds": "domain1/labels/0001.xml",
    "compass_xp": "meta.txt",
    "coco": "annotations/instances_train.json",
    "voc": "Annotations/scan_0049.xml",
    "labelme": "bag.json",
    "yolo": "train/labels/bag_1_png.rf.0a.txt",
    "annotated_yolo": "labels/train/annotated_yolo_000.txt",
}
INDICES = {"yolo": "data.yaml", "annotated_yolo": "manifest.csv", "parquet": "data/train-00000-of-00001.parquet"}
"""Files without which a folder is not read at all, whatever the report."""
TABLES = {
    "sixray": "ImageSet/10/train.csv",
    "opixray": "test/test_knife-1.txt",
    "eds": "domain1/train.txt",
    "yolo": "data.yaml",
    "annotated_yolo": "manifest.csv",
}
BY_FOLDER = ("coco", "voc", "labelme", "yolo")
"""Formats whose records name the folder as their source."""
UNSEEN = ("annotated_yolo", "parquet")
"""Formats whose reader takes its own word for the pictures, or unpacks them anew."""
every_source = pytest.mark.parametrize("name", TREES)


def records_of(name: str, root: Path) -> list[ScanRecord]:
    return list(SOURCES[name].read(TREES[name](root)))


@every_source
def test_a_tree_without_faults_is_read_without_faults(name: str, tmp_path: Path) -> None:
    records, faults = heard(SOURCES[name].read, TREES[name](tmp_path))
    assert faults == []
    assert records


@every_source
def test_boxes_lie_on_what_is_in_the_picture_and_on_nothing_else(name: str, tmp_path: Path) -> None:
    for record in records_of(name, tmp_path):
        dark = record.pixels().mean(axis=2) < 128
        boxed = np.zeros_like(dark)
        height, width = dark.shape
        for left, top, right, bottom in np.rint(record.corners(width, height)).astype(int):
            assert dark[top:bottom, left:right].all(), record
            boxed[top:bottom, left:right] = True
        assert not (dark & ~boxed).any(), record


@every_source
def test_records_speak_the_taxonomy(name: str, tmp_path: Path) -> None:
    for record in records_of(name, tmp_path):
        assert record.annotated <= set(taxonomy().labels)
        assert {box.label for box in record.boxes} <= set(taxonomy().labels)
        assert record.split in ("train", "val", "test")
        assert record.group
        assert record.block
        assert record.scanner
        assert record.source == (tmp_path.name if name in BY_FOLDER else name)


@every_source
def test_asking_for_a_split_gives_the_records_of_it_and_no_others(name: str, tmp_path: Path) -> None:
    everything = records_of(name, tmp_path)
    for split in ("train", "val", "test"):
        assert list(SOURCES[name].read(tmp_path, split=split)) == [r for r in everything if r.split == split]
    assert list(SOURCES[name].read(tmp_path, split="elsewhere")) == []


@every_source
def test_reading_twice_gives_the_same_records_in_the_same_order(name: str, tmp_path: Path) -> None:
    assert records_of(name, tmp_path) == list(SOURCES[name].read(tmp_path))


@every_source
def test_each_tree_is_recognised_as_one_source(name: str, tmp_path: Path) -> None:
    assert source_of(TREES[name](tmp_path)).name == name


@pytest.mark.parametrize("name", [name for name in TREES if name not in INDICES])
def test_an_empty_folder_is_a_fault(name: str, tmp_path: Path) -> None:
    records, faults = heard(SOURCES[name].read, tmp_path)
    assert records == []
    assert {fault.kind for fault in faults} == {FaultKind.MISSING_ANNOTATION}


@pytest.mark.parametrize("name", INDICES)
def test_a_folder_without_its_index_is_an_error(name: str, tmp_path: Path) -> None:
    with pytest.raises(DatasetError):
        heard(SOURCES[name].read, tmp_path)


def test_an_empty_folder_is_of_no_source(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match="no known source"):
        source_of(tmp_path)
    with pytest.raises(DatasetError, match="no known source"):
        source_of(tmp_path / "nowhere")


def pictures(root: Path) -> list[Path]:
    return [p for p in sorted(root.rglob("*")) if p.suffix in (".jpg", ".png", ".TIFF") and p.name[0] != "."]


@pytest.mark.parametrize("name", [name for name in TREES if name not in UNSEEN])
def test_a_pointer_or_a_damaged_file_in_a_pictures_place_leaves_out_that_scan(name: str, tmp_path: Path) -> None:
    before = records_of(name, tmp_path)
    pointer, damaged = before[0].image, before[-1].image
    pointer.write_text(POINTER, encoding="utf-8")
    damaged.write_bytes(b"\xff\xd8\xff no JPEG")
    with pytest.raises(DatasetError, match="git lfs pull"):
        list(SOURCES[name].read(tmp_path))
    records, faults = heard(SOURCES[name].read, tmp_path)
    assert [(fault.kind, fault.where) for fault in faults] == [
        (FaultKind.LFS_POINTER, str(pointer)),
        (FaultKind.UNREADABLE_IMAGE, str(damaged)),
    ]
    assert [record.image for record in records] == [record.image for record in before[1:-1]]


# A plain YOLO folder is read by its pictures: none can be missing.
@pytest.mark.parametrize("name", [name for name in TREES if name not in ("yolo", *UNSEEN)])
def test_a_missing_picture_is_a_fault(name: str, tmp_path: Path) -> None:
    before = records_of(name, tmp_path)
    before[0].image.unlink()
    records, faults = heard(SOURCES[name].read, tmp_path)
    assert {fault.kind for fault in faults} == {FaultKind.MISSING_IMAGE}
    assert records == before[1:]


@pytest.mark.parametrize("name", ANNOTATIONS)
def test_a_pointer_in_an_annotations_place_says_how_to_get_it(name: str, tmp_path: Path) -> None:
    before = records_of(name, tmp_path)
    (tmp_path / ANNOTATIONS[name]).write_text(POINTER, encoding="utf-8")
    records, faults = heard(SOURCES[name].read, tmp_path)
    assert {fault.kind for fault in faults} == {FaultKind.LFS_POINTER}
    assert "git lfs pull" in faults[0].message
    assert len(records) < len(before)


def test_a_named_source_needs_no_recognising(tmp_path: Path) -> None:
    assert source_of(tmp_path, "voc") is SOURCES["voc"]
    with pytest.raises(DatasetError, match=r"'vocc'.*stcray.*voc"):
        source_of(tmp_path, "vocc")


def test_a_folder_of_two_datasets_is_refused_with_both_names(tmp_path: Path) -> None:
    TREES["dvxray"](TREES["stcray"](tmp_path))
    with pytest.raises(DatasetError, match=r"stcray and dvxray; say which with --from"):
        source_of(tmp_path)


def test_every_dataset_says_its_licence_its_home_and_how_to_get_it() -> None:
    assert set(SOURCES) == set(TREES)
    for source in SOURCES.values():
        assert source.title
        assert source.steps.endswith(".")
        assert source.is_format or (source.licence and source.home.startswith("https://"))


# --- arbitrary content


@dataclass(frozen=True)
class Spoilt:
    """A tree of which one file is overwritten again and again."""

    name: str
    root: Path
    file: Path
    content: str

    def read_with(self, content: str) -> None:
        """Read it: DatasetError may come, nothing else; and only boxes inside their picture."""
        self.file.write_text(content, encoding="utf-8")
        try:
            records, faults = heard(SOURCES[self.name].read, self.root)
        except DatasetError:
            assert self.name in INDICES
            return
        for record in records:
            assert all(0 <= b.x_min < b.x_max <= 1 and 0 <= b.y_min < b.y_max <= 1 for b in record.boxes)
        SOURCES[self.name].recognises(self.root)
        if faults:
            with pytest.raises(DatasetError):
                list(SOURCES[self.name].read(self.root, report=refuse))


FILES = (*ANNOTATIONS.items(), *TABLES.items())


@pytest.fixture(scope="module", params=FILES, ids=lambda pair: f"{pair[0]}:{pair[1]}")
def spoilt(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Spoilt:
    name, file = request.param
    root = TREES[name](tmp_path_factory.mktemp(name))
    return Spoilt(name, root, root / file, (root / file).read_text(encoding="utf-8"))


plain = st.text(st.characters(exclude_categories=["Cs"]), max_size=60)


@given(content=plain)
def test_arbitrary_text_for_annotations_gives_records_or_a_dataset_error(spoilt: Spoilt, content: str) -> None:
    spoilt.read_with(content)


@given(data=st.data(), junk=plain)
def test_a_damaged_annotation_gives_records_or_a_dataset_error(spoilt: Spoilt, data: st.DataObject, junk: str) -> None:
    start = data.draw(st.integers(0, len(spoilt.content)))
    end = data.draw(st.integers(start, min(start + 20, len(spoilt.content))))
    spoilt.read_with(spoilt.content[:start] + junk + spoilt.content[end:])


values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | plain | st.sampled_from(["../x.png", "/x", "\0", "."]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(plain, inner, max_size=3),
    max_leaves=4,
)


def places(content: Any) -> Iterator[tuple[Any, Any]]:
    """Every place in a document where a value stands: a list or object, and the index or key."""
    pairs = content.items() if isinstance(content, dict) else enumerate(content) if isinstance(content, list) else ()
    for key, value in list(pairs):
        yield content, key
        yield from places(value)


@pytest.mark.parametrize("spoilt", [pair for pair in FILES if ".json" in pair[1]], indirect=True, ids=str)
@given(data=st.data(), value=values)
def test_a_document_with_one_wrong_value_gives_records_or_a_dataset_error(
    spoilt: Spoilt, data: st.DataObject, value: object
) -> None:
    first, *rest = spoilt.content.splitlines()
    content = json.loads(first)
    holder, key = data.draw(st.sampled_from(list(places(content))))
    holder[key] = value
    spoilt.read_with("\n".join([json.dumps(content), *rest]))
