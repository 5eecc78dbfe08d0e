from __future__ import annotations

from pathlib import Path

import pytest
from xray_training.datasets import opixray
from xray_training.datasets.fault import FaultKind
from xray_training.datasets.record import DatasetError, LabelledBox, ScanRecord

from tests.training.datasets.trees import heard, opixray_tree, picture, text

LINES = "train/train_annotation/009849.txt"


def test_the_first_word_of_a_line_is_the_picture_and_the_second_the_class(tmp_path: Path) -> None:
    first = next(iter(opixray.read(opixray_tree(tmp_path))))
    assert first == ScanRecord(
        image=tmp_path / "train/train_image/009849.jpg",
        source="opixray",
        scanner="opixray",
        split="train",
        group="009849",
        block="009800+",
        boxes=(LabelledBox("knife", 120 / 245, 80 / 190, 160 / 245, 150 / 190, original="Folding_Knife"),),
        annotated=frozenset({"knife", "multi_tool_knife", "cutter", "scissors"}),
    )


def test_a_tiff_is_found_though_its_line_says_jpg(tmp_path: Path) -> None:
    _, second, *_ = opixray.read(opixray_tree(tmp_path))
    assert second.image.name == "009850.TIFF"
    assert [box.label for box in second.boxes] == ["multi_tool_knife"]


def test_the_lists_tell_the_level_of_occlusion_of_test_scans(tmp_path: Path) -> None:
    levels = {record.group: dict(record.metadata) for record in opixray.read(opixray_tree(tmp_path))}
    assert levels == {
        "009849": {},
        "009850": {},
        "009910": {"occlusion": "OL3"},
        "009911": {"occlusion": "OL1"},
    }


def test_an_item_nobody_boxed_is_unknown_and_not_absent(tmp_path: Path) -> None:
    for record in opixray.read(opixray_tree(tmp_path)):
        assert not {"lighter", "power_bank", "gun"} & record.annotated


@pytest.mark.parametrize(
    "line",
    [
        "009849.jpg Folding_Knife 1 2 3",
        "Folding_Knife 1 2 3 4",
        "009849.jpg Folding_Knife 1 2 3 x",
        "a Scissor 1 2 3 nan",
    ],
)
def test_a_malformed_line_is_named_and_leaves_out_its_scan(tmp_path: Path, line: str) -> None:
    path = text(opixray_tree(tmp_path) / LINES, f"\n009849.jpg Scissor 1 2 30 40\n{line}\n")
    with pytest.raises(DatasetError, match=r"009849\.txt, line 3"):
        list(opixray.read(tmp_path))
    records, (fault,) = heard(opixray.read, tmp_path)
    assert (fault.kind, fault.where) == (FaultKind.BAD_ANNOTATION, f"{path}, line 3")
    assert len(records) == 3


def test_a_picture_name_may_hold_spaces_and_corners_fractions(tmp_path: Path) -> None:
    text(opixray_tree(tmp_path) / LINES, "my scan 7.jpg Scissor 10.5 20 30 40\n")
    first = next(iter(opixray.read(tmp_path)))
    assert first.corners(245, 190).round(2).tolist() == [[10.5, 20, 30, 40]]


def test_an_empty_file_is_a_scan_without_items_and_no_file_a_fault(tmp_path: Path) -> None:
    text(opixray_tree(tmp_path) / LINES, "\n")
    assert next(iter(opixray.read(tmp_path))).boxes == ()
    picture(tmp_path / "train/train_image/009999.jpg", (245, 190))
    records, (fault,) = heard(opixray.read, tmp_path)
    assert fault.kind is FaultKind.MISSING_ANNOTATION
    assert "009999" not in {record.group for record in records}


def test_a_class_of_another_dataset_is_unknown(tmp_path: Path) -> None:
    text(opixray_tree(tmp_path) / LINES, "009849.jpg Mobile_Phone 1 2 30 40\n")
    _, (fault,) = heard(opixray.read, tmp_path)
    assert fault.kind is FaultKind.UNKNOWN_LABEL


def test_the_lists_tell_nothing_of_a_training_scan_of_the_same_name(tmp_path: Path) -> None:
    text(opixray_tree(tmp_path) / "test/test_knife-2.txt", "009849.jpg\n")
    first = next(iter(opixray.read(tmp_path)))
    assert (first.group, first.metadata) == ("009849", {})
