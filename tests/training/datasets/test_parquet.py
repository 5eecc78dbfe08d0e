from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import yaml
from hypothesis import given, settings
from PIL import Image
from xray_training.datasets import parquet
from xray_training.datasets.fault import Fault, FaultKind
from xray_training.datasets.record import DatasetError, LabelledBox, ScanRecord
from xray_training.datasets.sources import source_of
from xray_training.datasets.writers.parquet import write_parquet

from tests.training.datasets.records import assert_same, collections_of_records, digest, with_pictures, written

BOX = LabelledBox("knife", 0.5, 0.1, 0.75, 0.3, "Folding_Knife")
SCAN = ScanRecord(
    Path("scan.png"),
    "opixray",
    "x",
    "train",
    "g",
    "b",
    (BOX,),
    frozenset({"knife", "scissors"}),
    1.284,
    {"view": "top"},
)


def scans(root: Path, *splits: str) -> list[ScanRecord]:
    return with_pictures(root / "in", [replace(SCAN, split=split, group=f"g{n}") for n, split in enumerate(splits)])


def shards(root: Path) -> list[str]:
    return sorted(path.name for path in (root / "data").iterdir())


def test_hugging_face_loads_the_folder_offline_with_typed_columns(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import datasets

    datasets.disable_progress_bars()
    monkeypatch.setattr(datasets.config, "HF_HUB_OFFLINE", True)
    records = scans(tmp_path, "train", "train", "val")
    written(write_parquet(records, tmp_path / "out"))
    loaded = datasets.load_dataset(str(tmp_path / "out"), cache_dir=str(tmp_path / "cache"))
    assert {split: len(rows) for split, rows in loaded.items()} == {"train": 2, "val": 1}
    features = loaded["train"].features
    assert isinstance(features["image"], datasets.Image)
    assert features["objects"].feature["label"].names == ["knife", "scissors"]
    row = loaded["val"][0]
    with Image.open(records[2].image) as picture:
        width, height = picture.size
    assert row["image"].size == (width, height) == (row["width"], row["height"])
    (item,) = row["objects"]
    assert features["objects"].feature["label"].int2str(item["label"]) == "knife"
    assert item["original"] == "Folding_Knife"
    assert item["bbox"] == pytest.approx([0.5 * width, 0.1 * height, 0.75 * width, 0.3 * height])
    assert row["annotated"] == ["knife", "scissors"]
    assert json.loads(row["metadata"]) == {"view": "top"}
    assert row["stretch"] == 1.284


@settings(max_examples=15)
@given(records=collections_of_records())
def test_many_small_shards_give_back_what_was_written(
    records: list[ScanRecord], tmp_path_factory: pytest.TempPathFactory
) -> None:
    root = tmp_path_factory.mktemp("shards")
    pictured = with_pictures(root / "in", records)
    written(write_parquet(pictured, root / "out", shard_bytes=2000))
    assert_same(pictured, parquet.read(root / "out"))


def test_shards_say_of_how_many_and_carry_every_class(tmp_path: Path) -> None:
    records = scans(tmp_path, "train", "train", "test")
    late = replace(records[1], boxes=(replace(BOX, label="gun"),), annotated=frozenset({"gun"}))
    records = [records[0], late, records[2]]
    written(write_parquet(records, tmp_path / "out", shard_bytes=1))
    assert shards(tmp_path / "out") == [
        "test-00000-of-00001.parquet",
        "train-00000-of-00002.parquet",
        "train-00001-of-00002.parquet",
    ]
    for shard in (tmp_path / "out/data").iterdir():
        info = json.loads(pq.read_schema(shard).metadata[b"huggingface"])["info"]
        assert info["features"]["objects"]["feature"]["label"]["names"] == ["knife", "scissors", "gun"]
    assert_same(records, parquet.read(tmp_path / "out"))


def test_finished_shards_are_not_written_again_and_stale_ones_go(tmp_path: Path) -> None:
    records = scans(tmp_path, "train", "train", "train")
    writing = write_parquet(records, tmp_path / "out", shard_bytes=1)
    next(writing)
    next(writing)
    writing.close()  # type: ignore[attr-defined]
    assert shards(tmp_path / "out") == ["train-00000.parquet"]
    first = (tmp_path / "out/data/train-00000.parquet").stat()
    written(write_parquet(records, tmp_path / "out", shard_bytes=1))
    assert (tmp_path / "out/data/train-00000-of-00003.parquet").stat().st_mtime_ns == first.st_mtime_ns
    written(write_parquet(records[:2], tmp_path / "out", shard_bytes=1))
    assert shards(tmp_path / "out") == ["train-00000-of-00002.parquet", "train-00001-of-00002.parquet"]
    assert_same(records[:2], parquet.read(tmp_path / "out"))


def test_a_damaged_shard_is_written_again(tmp_path: Path) -> None:
    records = scans(tmp_path, "train")
    written(write_parquet(records, tmp_path / "out"))
    (shard,) = (tmp_path / "out/data").iterdir()
    shard.write_bytes(shard.read_bytes()[:100])
    written(write_parquet(records, tmp_path / "out"))
    assert_same(records, parquet.read(tmp_path / "out"))


def test_pictures_are_unpacked_once_byte_for_byte(tmp_path: Path) -> None:
    (record,) = scans(tmp_path, "val")
    written(write_parquet([record], tmp_path / "out"))
    (first,) = parquet.read(tmp_path / "out")
    assert first.image.parent == tmp_path / "out/pictures/val"
    assert digest(first) == digest(record)
    written_at = first.image.stat().st_mtime_ns
    (again,) = parquet.read(tmp_path / "out")
    assert again.image.stat().st_mtime_ns == written_at
    again.image.write_bytes(b"cut")
    (mended,) = parquet.read(tmp_path / "out")
    assert digest(mended) == digest(record)


def test_only_the_asked_split_is_read_and_unpacked(tmp_path: Path) -> None:
    written(write_parquet(scans(tmp_path, "train", "val"), tmp_path / "out"))
    assert [record.split for record in parquet.read(tmp_path / "out", split="val")] == ["val"]
    assert not (tmp_path / "out/pictures/train").exists()
    assert list(parquet.read(tmp_path / "out", split="elsewhere")) == []


def test_the_folder_is_recognised(tmp_path: Path) -> None:
    written(write_parquet(scans(tmp_path, "train"), tmp_path / "out"))
    assert source_of(tmp_path / "out").name == "parquet"


def test_a_missing_shard_is_noticed(tmp_path: Path) -> None:
    written(write_parquet(scans(tmp_path, "train", "train"), tmp_path / "out", shard_bytes=1))
    (tmp_path / "out/data/train-00001-of-00002.parquet").unlink()
    with pytest.raises(DatasetError, match="1 shards of train"):
        list(parquet.read(tmp_path / "out"))


def test_parquet_of_another_kind_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    pq.write_table(pa.table({"text": ["a"]}), tmp_path / "data/train-00000-of-00001.parquet")
    with pytest.raises(DatasetError, match="xray-train data convert"):
        list(parquet.read(tmp_path))
    (tmp_path / "data/train-00000-of-00001.parquet").write_bytes(b"PAR1 and no more")
    with pytest.raises(DatasetError, match="train-00000-of-00001"):
        list(parquet.read(tmp_path))


def test_a_folder_without_shards_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match="holds no"):
        list(parquet.read(tmp_path))


def test_class_names_that_are_no_json_are_an_error(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    for metadata in (b"{", b"[]", b'{"info": {"features": {"objects": {"feature": {"label": {"names": "gun"}}}}}}'):
        table = pa.table({"text": ["a"]}).replace_schema_metadata({b"huggingface": metadata})
        pq.write_table(table, tmp_path / "data/train-00000-of-00001.parquet")
        with pytest.raises(DatasetError, match="xray-train data convert"):
            list(parquet.read(tmp_path))


def rewritten(root: Path, **columns: object) -> Path:
    """The folder of one scan, a column of its only row changed."""
    written(write_parquet(scans(root, "train"), root / "out"))
    (path,) = (root / "out/data").iterdir()
    table = pq.read_table(path)
    (row,) = table.to_pylist()
    pq.write_table(pa.Table.from_pylist([{**row, **columns}], schema=table.schema), path)
    return root / "out"


@pytest.mark.parametrize("name", ["../../out.png", "", "/etc/motd", None])
def test_a_picture_is_never_unpacked_elsewhere(name: str | None, tmp_path: Path) -> None:
    root = rewritten(tmp_path, image={"bytes": b"anything", "path": name})
    faults: list[Fault] = []
    assert list(parquet.read(root, report=faults.append)) == []
    assert [fault.kind for fault in faults] == [FaultKind.BAD_ANNOTATION]
    assert not list((root / "pictures").rglob("*.png"))


def test_a_box_out_of_the_picture_is_clipped_and_one_without_area_left_out(tmp_path: Path) -> None:
    boxes = [
        {"label": 0, "original": "", "bbox": [-20.0, 1.0, 5.0, 3.0]},
        {"label": 0, "original": "", "bbox": [4.0, 4.0, 4.0, 9.0]},
    ]
    root = rewritten(tmp_path, objects=boxes)
    faults: list[Fault] = []
    (record,) = parquet.read(root, report=faults.append)
    assert [fault.kind for fault in faults] == [FaultKind.BOX_OUTSIDE, FaultKind.BOX_EMPTY]
    (box,) = record.boxes
    assert box.x_min == 0.0


@pytest.mark.parametrize(
    ("columns", "said"),
    [
        ({"objects": [{"label": 9, "original": "", "bbox": [1.0, 1.0, 5.0, 3.0]}]}, "label 9 is none of"),
        ({"objects": [{"label": -1, "original": "", "bbox": [1.0, 1.0, 5.0, 3.0]}]}, "label -1 is none of"),
        ({"objects": [{"label": 0, "original": "", "bbox": [1.0, 1.0, 5.0, float("nan")]}]}, "objects.0.bbox.3"),
        ({"objects": None}, "objects"),
        ({"image": None}, "image"),
        ({"metadata": "{"}, "metadata"),
        ({"metadata": "[]"}, "metadata"),
        ({"stretch": 0.0}, "stretch"),
        ({"group": None}, "group"),
    ],
)
def test_a_row_that_says_nonsense_is_left_out(columns: dict[str, object], said: str, tmp_path: Path) -> None:
    root = rewritten(tmp_path, **columns)
    faults: list[Fault] = []
    assert list(parquet.read(root, report=faults.append)) == []
    assert [fault.kind for fault in faults] == [FaultKind.BAD_ANNOTATION]
    assert "row 1" in faults[0].where
    assert said in faults[0].message


def test_an_unpacked_picture_that_was_changed_is_unpacked_again(tmp_path: Path) -> None:
    (record,) = scans(tmp_path, "val")
    written(write_parquet([record], tmp_path / "out"))
    (first,) = parquet.read(tmp_path / "out")
    first.image.write_bytes(bytes(first.image.stat().st_size))
    (again,) = parquet.read(tmp_path / "out")
    assert digest(again) == digest(record)


def test_a_second_picture_of_one_name_does_not_take_the_place_of_the_first(tmp_path: Path) -> None:
    written(write_parquet(scans(tmp_path, "train", "train"), tmp_path / "out"))
    (path,) = (tmp_path / "out/data").iterdir()
    table = pq.read_table(path)
    rows = table.to_pylist()
    rows[1]["image"]["path"] = rows[0]["image"]["path"]
    pq.write_table(pa.Table.from_pylist(rows, schema=table.schema), path)
    faults: list[Fault] = []
    (record,) = parquet.read(tmp_path / "out", report=faults.append)
    assert record.image.read_bytes() == rows[0]["image"]["bytes"]
    assert [fault.kind for fault in faults] == [FaultKind.BAD_ANNOTATION]


def test_a_disk_that_takes_no_picture_is_not_blamed_on_the_parquet(tmp_path: Path) -> None:
    written(write_parquet(scans(tmp_path, "train"), tmp_path / "out"))
    (tmp_path / "out/pictures").write_text("in the way", encoding="utf-8")
    with pytest.raises(DatasetError, match="cannot be unpacked") as caught:
        list(parquet.read(tmp_path / "out"))
    assert "data convert" not in str(caught.value)


def test_bytes_that_are_no_picture_are_a_fault(tmp_path: Path) -> None:
    root = rewritten(tmp_path, image={"bytes": b"no picture", "path": "a.png"})
    with pytest.raises(DatasetError, match="no readable picture"):
        list(parquet.read(root))


def test_the_card_says_what_the_columns_are_and_what_each_source_allows(tmp_path: Path) -> None:
    written(write_parquet(scans(tmp_path, "train"), tmp_path / "out"))
    _, front, body = (tmp_path / "out/README.md").read_text(encoding="utf-8").split("---\n", 2)
    assert yaml.safe_load(front)["configs"][0]["data_files"] == [
        {"split": "train", "path": "data/train-*-of-*.parquet"}
    ]
    assert "pixels" in body
    assert "opixray: boxes knife, scissors. Licence: academic" in body
