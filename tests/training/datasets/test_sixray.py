from __future__ import annotations

from pathlib import Path

import pytest
from xray_training.datasets import sixray
from xray_training.datasets.fault import FaultKind

from tests.training.datasets.trees import heard, picture, sixray_tree, text, xml_of

HEADER = "name,Gun,Knife,Wrench,Pliers,Scissors\n"
BOXED = {"gun", "knife", "wrench", "pliers", "scissors"}


def test_tables_tell_the_split_and_the_image_sets(tmp_path: Path) -> None:
    records = list(sixray.read(sixray_tree(tmp_path)))
    assert [(record.group, record.split, record.metadata["imageset"]) for record in records] == [
        ("P00003", "train", "10,100"),
        ("N0210755", "train", "10"),
        ("P00060", "test", "10"),
        ("N0210756", "train", "100"),
    ]
    assert [record.block for record in records] == ["P00000+", "N0210750+", "P00050+", "N0210750+"]


def test_pictures_are_found_in_numbered_folders_and_in_jpegimage_alike(tmp_path: Path) -> None:
    before = [(record.group, record.boxes) for record in sixray.read(sixray_tree(tmp_path))]
    (tmp_path / "JPEGImage").mkdir()
    for path in tmp_path.glob("[0-9]*/*.jpg"):
        path.rename(tmp_path / "JPEGImage" / path.name)
    assert [(record.group, record.boxes) for record in sixray.read(tmp_path)] == before


def test_negatives_need_no_file_and_are_annotated_for_the_five_boxed_classes(tmp_path: Path) -> None:
    negatives = [record for record in sixray.read(sixray_tree(tmp_path)) if record.group.startswith("N")]
    assert [record.boxes for record in negatives] == [(), ()]
    assert all(record.annotated == BOXED for record in negatives)


@pytest.mark.parametrize("row", ["P00003,1,-1,-1,-1,-1", "P00003,-1,-1,-1,-1,-1", "N00003,1,-1,-1,-1,-1"])
def test_a_positive_without_its_file_is_a_fault_and_no_benign_scan(tmp_path: Path, row: str) -> None:
    sixray_tree(tmp_path)
    picture(tmp_path / "0/N00003.jpg", (180, 120))
    text(tmp_path / "ImageSet/10/train.csv", f"{HEADER}{row}\n")
    text(tmp_path / "ImageSet/100/train.csv", f"{HEADER}{row}\n")
    (tmp_path / "Annotation/P00003.xml").unlink()
    records, (fault,) = heard(sixray.read, tmp_path)
    assert fault.kind is FaultKind.MISSING_ANNOTATION
    assert [record.group for record in records] == ["P00060"]


def test_hammers_are_in_no_table_so_they_are_neither_boxed_nor_absent(tmp_path: Path) -> None:
    (record,) = sixray.read(sixray_tree(tmp_path), split="test")
    assert [box.label for box in record.boxes] == ["knife"]
    assert "hammer" not in record.annotated


def test_a_class_that_the_table_names_but_nobody_boxed_is_unknown_and_not_absent(tmp_path: Path) -> None:
    text(sixray_tree(tmp_path) / "ImageSet/10/train.csv", f"{HEADER}P00003,1,-1,1,-1,-1\n")
    record = next(iter(sixray.read(tmp_path)))
    assert [box.label for box in record.boxes] == ["gun"]
    assert record.annotated == BOXED - {"wrench"}


def test_a_scan_that_one_image_set_tests_on_is_never_a_training_scan(tmp_path: Path) -> None:
    text(sixray_tree(tmp_path) / "ImageSet/1000/test.csv", f"{HEADER}N0210755,-1,-1,-1,-1,-1\n")
    splits = {record.group: record.split for record in sixray.read(tmp_path)}
    assert splits["N0210755"] == "test"


@pytest.mark.parametrize("row", ["P00003,0,-1,-1,-1,-1", "P00003,1,-1,-1", "P00003,yes,-1,-1,-1,-1", ",1,1,1,1,1"])
def test_a_row_of_other_values_is_a_fault(tmp_path: Path, row: str) -> None:
    text(sixray_tree(tmp_path) / "ImageSet/10/test.csv", f"{HEADER}{row}\n\nP00060,-1,1,-1,-1,-1\n")
    records, (fault,) = heard(sixray.read, tmp_path, split="test")
    assert fault.kind is FaultKind.BAD_ANNOTATION
    assert [record.group for record in records] == ["P00060"]


def test_a_table_without_its_header_is_a_fault(tmp_path: Path) -> None:
    text(sixray_tree(tmp_path) / "ImageSet/10/test.csv", "P00060,-1,1,-1,-1,-1\n")
    _, (fault,) = heard(sixray.read, tmp_path)
    assert "the first row names no name, Gun" in fault.message


def test_a_box_counts_for_the_picture_it_was_drawn_on(tmp_path: Path) -> None:
    text(
        sixray_tree(tmp_path) / "Annotation/P00003.xml",
        xml_of("P00003.jpg", (360, 240), [("Gun", (20, 120, 180, 220))]),
    )
    records, (fault,) = heard(sixray.read, tmp_path)
    assert fault.kind is FaultKind.SIZE_RESCALED
    assert records[0].corners(180, 120).round(3).tolist() == [[10, 60, 90, 110]]
