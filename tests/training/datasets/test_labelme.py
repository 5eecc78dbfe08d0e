from __future__ import annotations

import json
from pathlib import Path

import pytest
from xray_training.datasets import labelme
from xray_training.datasets.fault import FaultKind

from tests.training.datasets.trees import document, heard, labelme_tree, picture, rectangles


def test_rectangles_polygons_and_circles_become_the_boxes_around_them(tmp_path: Path) -> None:
    first, second = labelme.read(labelme_tree(tmp_path / "mine"))
    assert first.corners(120, 80).round(3).tolist() == [[10, 10, 30, 20], [70, 20, 110, 75]]
    assert second.corners(120, 80).round(3).tolist() == [[40, 30, 60, 50]]
    assert [(box.label, box.original) for box in first.boxes] == [
        ("power_bank", "Power Bank"),
        ("glass_bottle", "glass bottle"),
    ]


def test_every_label_of_the_set_is_annotated_on_every_scan(tmp_path: Path) -> None:
    first, second = labelme.read(labelme_tree(tmp_path / "mine"))
    assert (first.split, second.split) == ("train", "val")
    assert first.annotated == second.annotated == {"power_bank", "glass_bottle", "coin"}
    (alone,) = labelme.read(tmp_path / "mine", split="val")
    assert alone == second


def test_a_picture_that_nobody_annotated_is_a_fault_and_no_scan_without_items(tmp_path: Path) -> None:
    picture(labelme_tree(tmp_path) / "unseen.png", (120, 80))
    records, (fault,) = heard(labelme.read, tmp_path)
    assert fault.kind is FaultKind.MISSING_ANNOTATION
    assert fault.where == str(tmp_path / "unseen.json")
    assert len(records) == 2


def test_a_file_with_the_mark_of_windows_editors_is_read(tmp_path: Path) -> None:
    path = labelme_tree(tmp_path) / "bag.json"
    path.write_text(path.read_text(encoding="utf-8"), encoding="utf-8-sig")
    assert len(list(labelme.read(tmp_path))) == 2


@pytest.mark.parametrize(
    "shape", [{"label": "gun", "points": []}, {"label": "gun", "points": [[1, "x"]]}, {"label": "gun"}]
)
def test_a_file_with_a_malformed_shape_leaves_out_its_scan(tmp_path: Path, shape: dict[str, object]) -> None:
    content = rectangles("bag.png", (120, 80), [("gun", (1, 1, 9, 9))])
    document(labelme_tree(tmp_path) / "bag.json", {**content, "shapes": [*content["shapes"], shape]})
    records, (fault,) = heard(labelme.read, tmp_path)
    assert fault.kind is FaultKind.BAD_ANNOTATION
    assert "shapes.1.points" in fault.message
    assert [record.image.name for record in records] == ["other.png"]


def test_a_point_is_no_box(tmp_path: Path) -> None:
    path = labelme_tree(tmp_path) / "bag.json"
    content = json.loads(path.read_text(encoding="utf-8"))
    content["shapes"].append({"label": "gun", "shape_type": "point", "points": [[3, 4]]})
    document(path, content)
    records, (fault,) = heard(labelme.read, tmp_path)
    assert fault.kind is FaultKind.BOX_EMPTY
    assert len(records[0].boxes) == 2


def test_a_file_without_its_picture_is_a_fault_but_json_of_another_kind_is_not(tmp_path: Path) -> None:
    (labelme_tree(tmp_path) / "bag.png").unlink()
    document(tmp_path / "settings.json", {"colour": "green"})
    records, (fault,) = heard(labelme.read, tmp_path)
    assert fault.kind is FaultKind.MISSING_IMAGE
    assert Path(fault.where).stem == "bag"
    assert [record.image.name for record in records] == ["other.png"]


def test_frames_that_roboflow_renamed_share_a_block(tmp_path: Path) -> None:
    for folder, number in (("train", 7), ("valid", 8)):
        stem = f"bag_{number}_png.rf.{folder}0"
        picture(tmp_path / folder / f"{stem}.jpg", (40, 30))
        document(tmp_path / folder / f"{stem}.json", rectangles(f"{stem}.jpg", (40, 30), []))
    first, second = labelme.read(tmp_path)
    assert first.block == second.block
    assert first.group != second.group
