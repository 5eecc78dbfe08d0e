from __future__ import annotations

from pathlib import Path

from xray_training.datasets import pidray
from xray_training.datasets.record import LabelledBox

from tests.training.datasets.trees import PIDRAY, pidray_tree


def test_the_parts_tell_split_and_how_well_the_item_is_hidden(tmp_path: Path) -> None:
    records = list(pidray.read(pidray_tree(tmp_path)))
    assert [(record.split, record.metadata["part"]) for record in records] == [
        ("train", "train"),
        ("test", "easy"),
        ("test", "hard"),
        ("test", "hidden"),
    ]
    assert [record.image.parent.name for record in records] == ["train", "easy", "hard", "hidden"]


def test_handcuffs_are_spelt_with_a_capital_c(tmp_path: Path) -> None:
    first = next(iter(pidray.read(pidray_tree(tmp_path))))
    assert first.boxes == (LabelledBox("handcuffs", 40 / 448, 200 / 300, 120 / 448, 260 / 300, original="HandCuffs"),)


def test_all_twelve_classes_are_annotated_on_every_scan(tmp_path: Path) -> None:
    for record in pidray.read(pidray_tree(tmp_path)):
        assert len(record.annotated) == len(PIDRAY)
        assert {"handcuffs", "spray_can", "baton"} <= record.annotated


def test_neighbouring_ids_share_a_block(tmp_path: Path) -> None:
    assert [record.block for record in pidray.read(pidray_tree(tmp_path))] == [
        "xray_00000+",
        "xray_easy00050+",
        "xray_hard00050+",
        "xray_hidden00050+",
    ]


def test_a_part_that_was_not_fetched_is_passed_over(tmp_path: Path) -> None:
    (pidray_tree(tmp_path) / "annotations/xray_test_hard.json").unlink()
    assert [record.metadata["part"] for record in pidray.read(tmp_path)] == ["train", "easy", "hidden"]
