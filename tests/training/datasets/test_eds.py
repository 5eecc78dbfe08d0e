from __future__ import annotations

from pathlib import Path

import pytest
from xray_training.datasets import eds
from xray_training.datasets.fault import FaultKind

from tests.training.datasets.trees import eds_tree, heard, picture, text


def test_the_domain_is_the_scanner_and_parts_equal_ids(tmp_path: Path) -> None:
    records = list(eds.read(eds_tree(tmp_path)))
    assert [(record.scanner, record.group, record.split) for record in records] == [
        ("domain1", "domain1/0001", "train"),
        ("domain1", "domain1/0002", "val"),
        ("domain2", "domain2/0001", "train"),
        ("domain2", "domain2/0002", "val"),
        ("domain3", "domain3/0001", "train"),
    ]
    assert {record.block for record in records} == {"domain1/0000+", "domain2/0000+", "domain3/0000+"}


def test_small_electronics_are_spelt_as_the_code_of_the_authors_spells_them(tmp_path: Path) -> None:
    first = next(iter(eds.read(eds_tree(tmp_path))))
    assert [(box.label, box.original) for box in first.boxes] == [("small_electronics", "smallelectronicequipmen")]
    assert len(first.annotated) == 10


def test_the_release_with_lines_of_text_has_other_names_for_two_classes(tmp_path: Path) -> None:
    *_, last = eds.read(eds_tree(tmp_path))
    assert [box.label for box in last.boxes] == ["small_electronics", "bottle"]


def test_names_in_other_cases_are_understood(tmp_path: Path) -> None:
    path = eds_tree(tmp_path) / "domain1/labels/0001.xml"
    text(path, path.read_text(encoding="utf-8").replace("smallelectronicequipmen", " PowerBank "))
    assert [box.label for box in next(iter(eds.read(tmp_path))).boxes] == ["power_bank"]


def test_a_listed_scan_that_is_not_there_is_a_fault_and_an_unlisted_one_is_passed_over(tmp_path: Path) -> None:
    text(eds_tree(tmp_path) / "domain1/train.txt", "0007.jpg\n")
    records, (fault,) = heard(eds.read, tmp_path)
    assert fault.kind is FaultKind.MISSING_IMAGE
    assert fault.where.endswith("0007.jpg")
    assert "domain1/0001" not in {record.group for record in records}


def test_a_picture_without_its_file_is_a_fault_and_no_scan_without_items(tmp_path: Path) -> None:
    (eds_tree(tmp_path) / "domain3/txt/0001.txt").unlink()
    records, (fault,) = heard(eds.read, tmp_path)
    assert fault.kind is FaultKind.MISSING_ANNOTATION
    assert {record.scanner for record in records} == {"domain1", "domain2"}


@pytest.mark.parametrize("described", [True, False])
def test_a_yolo_export_of_the_same_folders_is_not_taken_for_eds(described: bool, tmp_path: Path) -> None:
    for split in ("train", "valid"):
        picture(tmp_path / split / "images/a.jpg", (40, 30))
        text(tmp_path / split / "labels/a.txt", "0 0.5 0.5 0.1 0.2\n")
    if described:
        text(tmp_path / "data.yaml", "names: [knife]\ntrain: train/images\nval: valid/images\n")
    assert not eds.recognises(tmp_path)
    assert eds.recognises(eds_tree(tmp_path / "eds"))


def test_files_for_another_tool_beside_the_xml_do_not_hide_it(tmp_path: Path) -> None:
    (eds_tree(tmp_path) / "domain1/labels").rename(tmp_path / "domain1/Annotations")
    text(tmp_path / "domain1/labels/0001.txt", "0 0.5 0.5 0.1 0.2\n")
    assert len(list(eds.read(tmp_path))) == 5
