from __future__ import annotations

from pathlib import Path

import pytest
from xray_training.audit.run import Audit, audit
from xray_training.datasets import dvxray
from xray_training.datasets.fault import FaultKind

from tests.training.datasets.trees import document, dvxray_tree, heard, picture

POSITIVE = "DvXray_Positive_Samples"


def test_a_bag_gives_two_records_that_share_a_group(tmp_path: Path) -> None:
    top, side, *clean = dvxray.read(dvxray_tree(tmp_path))
    assert [record.metadata for record in (top, side)] == [{"view": "top"}, {"view": "side"}]
    assert [record.image.name for record in (top, side)] == ["P03152_OL.png", "P03152_SD.png"]
    assert top.group == side.group == "P03152"
    assert top.block == side.block == "P03150+"
    assert [record.group for record in clean] == ["N00001", "N00001"]


def test_each_view_has_its_own_boxes_on_its_own_size(tmp_path: Path) -> None:
    top, side, *_ = dvxray.read(dvxray_tree(tmp_path))
    assert [box.label for box in top.boxes] == ["gun", "baton"]
    assert top.corners(200, 180).round(3).tolist() == [[10, 20, 60, 90], [100, 150, 190, 160]]
    assert side.corners(100, 180).round(3).tolist() == [[5, 100, 95, 110]]


def test_an_item_too_difficult_to_box_is_unknown_in_that_view_and_not_absent(tmp_path: Path) -> None:
    top, side, *_ = dvxray.read(dvxray_tree(tmp_path))
    assert "gun" in top.annotated
    assert "gun" not in side.annotated
    assert side.annotated == top.annotated - {"gun"}
    assert len(top.annotated) == 15


def test_the_word_none_is_a_clean_bag(tmp_path: Path) -> None:
    for record in list(dvxray.read(dvxray_tree(tmp_path)))[2:]:
        assert record.boxes == ()
        assert len(record.annotated) == 15


@pytest.mark.parametrize("objects", ["none", "", None, {"label": "Gun"}, [{"label": "Gun", "ol_bb": [1, 2, 3, 4]}]])
def test_objects_of_another_shape_are_a_fault_and_no_clean_bag(tmp_path: Path, objects: object) -> None:
    document(dvxray_tree(tmp_path) / POSITIVE / "P03152.json", {"name": "P03152", "objects": objects})
    records, (fault,) = heard(dvxray.read, tmp_path)
    assert fault.kind is FaultKind.BAD_ANNOTATION
    assert {record.group for record in records} == {"N00001"}


@pytest.mark.parametrize("box", ["hard", [1, 2, 3], [1, 2, 3, "x"], 7])
def test_a_box_that_is_neither_corners_nor_difficult_is_a_fault(tmp_path: Path, box: object) -> None:
    gun = {"label": "Gun", "ol_bb": [1, 2, 30, 40], "sd_bb": box}
    document(dvxray_tree(tmp_path) / POSITIVE / "P03152.json", {"objects": [gun]})
    _, (fault,) = heard(dvxray.read, tmp_path)
    assert fault.kind is FaultKind.BAD_ANNOTATION


def test_a_view_that_is_not_there_leaves_the_other(tmp_path: Path) -> None:
    (dvxray_tree(tmp_path) / POSITIVE / "P03152_OL.png").unlink()
    records, (fault,) = heard(dvxray.read, tmp_path)
    assert (fault.kind, fault.where) == (FaultKind.MISSING_IMAGE, str(tmp_path / POSITIVE / "P03152_OL.png"))
    assert records[0].metadata == {"view": "side"}


def test_pictures_without_their_file_are_a_fault_and_no_clean_bag(tmp_path: Path) -> None:
    picture(dvxray_tree(tmp_path) / POSITIVE / "P00009_OL.png", (200, 180))
    records, (fault,) = heard(dvxray.read, tmp_path)
    assert (fault.kind, fault.where) == (FaultKind.MISSING_ANNOTATION, str(tmp_path / POSITIVE / "P00009.json"))
    assert "P00009" not in {record.group for record in records}


def test_a_box_of_a_label_that_another_item_makes_unknown_in_that_view_stays_and_passes_the_audit(
    tmp_path: Path,
) -> None:
    drawn = {"label": "Gun", "ol_bb": [100, 20, 160, 90], "sd_bb": [10, 20, 60, 90]}
    difficult = {"label": "Gun", "ol_bb": [10, 20, 60, 90], "sd_bb": "difficult"}
    document(tmp_path / f"in/{POSITIVE}/P03152.json", {"objects": [drawn, difficult]})
    picture(tmp_path / f"in/{POSITIVE}/P03152_OL.png", (200, 180), (10, 20, 60, 90), (100, 20, 160, 90))
    picture(tmp_path / f"in/{POSITIVE}/P03152_SD.png", (100, 180), (10, 20, 60, 90))
    _, side = dvxray.read(tmp_path / "in")
    assert [box.label for box in side.boxes] == ["gun"]
    assert "gun" not in side.annotated
    report = audit(Audit(tmp_path / "in", tmp_path / "out"))
    assert "label_not_annotated" not in {kind.kind for kind in report.kinds}
