from __future__ import annotations

import json
from pathlib import Path

from xray_training.datasets import cargoxray

from tests.training.datasets.trees import cargoxray_tree, coco_file, document, heard


def test_an_upload_on_both_sides_of_the_random_split_is_one_group(tmp_path: Path) -> None:
    first, empty, copy, other = cargoxray.read(cargoxray_tree(tmp_path))
    assert (first.split, copy.split) == ("train", "val")
    assert first.group == copy.group == "Pictures-1-1-"
    assert len({first.group, empty.group, other.group}) == 3


def test_an_image_without_annotations_is_a_scan_without_boxes(tmp_path: Path) -> None:
    _, empty, *_ = cargoxray.read(cargoxray_tree(tmp_path))
    assert empty.boxes == ()
    assert "textiles" in empty.annotated


def test_categories_count_from_the_super_category_at_0(tmp_path: Path) -> None:
    first, _, copy, _ = cargoxray.read(cargoxray_tree(tmp_path))
    assert [(box.label, box.original) for box in first.boxes] == [("textiles", "")]
    assert [(box.label, box.original) for box in copy.boxes] == [("auto_parts", "car_wheels")]


def test_boxes_of_classes_too_wide_for_a_label_are_left_out_without_a_fault(tmp_path: Path) -> None:
    path = cargoxray_tree(tmp_path) / "train/_annotations.coco.json"
    content = json.loads(path.read_text(encoding="utf-8"))
    numbers = {category["name"]: category["id"] for category in content["categories"]}
    for name in cargoxray.UNLABELLED:
        content["annotations"].append({"image_id": 0, "category_id": numbers[name], "bbox": [5, 5, 10, 10]})
    document(path, content)
    records, faults = heard(cargoxray.read, tmp_path)
    assert faults == []
    assert [box.label for box in records[0].boxes] == ["textiles"]


def test_tools_are_neither_annotated_as_hammers_nor_as_anything_else(tmp_path: Path) -> None:
    for record in cargoxray.read(cargoxray_tree(tmp_path)):
        assert not {"hammer", "wrench", "pliers", "screwdriver"} & record.annotated


def test_another_roboflow_export_is_not_taken_for_cargoxray(tmp_path: Path) -> None:
    document(tmp_path / "train/_annotations.coco.json", coco_file([], ["shoes", "knife"]))
    assert not cargoxray.recognises(tmp_path)


def test_an_export_of_ours_or_a_set_of_a_few_of_its_names_is_not_taken_for_cargoxray(tmp_path: Path) -> None:
    few = cargoxray_tree(tmp_path / "few")
    for path in few.rglob("*.json"):
        content = json.loads(path.read_text(encoding="utf-8"))
        content["categories"] = [c for c in content["categories"] if c["name"] in ("textiles", "car_wheels", "shoes")]
        document(path, content)
    assert not cargoxray.recognises(few)
    ours = cargoxray_tree(tmp_path / "ours")
    for path in ours.rglob("*.json"):
        document(path, {**json.loads(path.read_text(encoding="utf-8")), "annotated": {"north": ["shoes"]}})
    assert not cargoxray.recognises(ours)


def test_most_of_its_names_are_enough_without_the_super_category(tmp_path: Path) -> None:
    for path in cargoxray_tree(tmp_path).rglob("*.json"):
        content = json.loads(path.read_text(encoding="utf-8"))
        document(path, {**content, "categories": content["categories"][1:10]})
    assert cargoxray.recognises(tmp_path)
