from __future__ import annotations

import json
from pathlib import Path

import pytest
from xray_training.datasets import clcxray
from xray_training.datasets.fault import FaultKind

from tests.training.datasets.trees import CLCXRAY, clcxray_tree, coco_file, document, heard
from xray_agent_tools.taxonomy import taxonomy


def test_the_image_that_lost_its_file_name_gets_it_back(tmp_path: Path) -> None:
    first = next(iter(clcxray.read(clcxray_tree(tmp_path))))
    assert first.image == tmp_path / "train2017/20_40_04_140.png"
    assert first.group == "20_40_04_140"
    assert len(first.boxes) == 2


def test_another_image_without_a_file_name_is_a_fault(tmp_path: Path) -> None:
    path = clcxray_tree(tmp_path) / "annotations/instances_train2017.json"
    content = json.loads(path.read_text(encoding="utf-8"))
    content["images"][0]["id"] = content["annotations"][0]["image_id"] = content["annotations"][1]["image_id"] = 12
    document(path, content)
    records, (fault,) = heard(clcxray.read, tmp_path)
    assert fault.kind is FaultKind.MISSING_IMAGE
    assert [record.split for record in records] == ["val", "test"]


@pytest.mark.parametrize("spelt", [str.lower, str.upper, str.title])
def test_class_names_are_understood_in_any_case(tmp_path: Path, spelt: type[str]) -> None:
    path = clcxray_tree(tmp_path) / "annotations/instances_val2017.json"
    items = [(spelt(name), (10 * n, 5, 10 * n + 8, 20)) for n, name in enumerate(CLCXRAY)]
    document(path, coco_file([("20_40_04_141.png", (300, 200), items)], [name for name, _ in items]))
    (record,) = clcxray.read(tmp_path, split="val")
    assert {box.label for box in record.boxes} == {
        item.label for item in taxonomy().items if item.datasets.get("clcxray")
    }
    assert len(record.boxes) == 12


def test_what_is_dangerous_to_drink_is_annotated_as_well(tmp_path: Path) -> None:
    for record in clcxray.read(clcxray_tree(tmp_path)):
        assert {"razor_blade", "bottle", "glass_bottle", "can", "carton", "vacuum_flask"} <= record.annotated


def test_a_coco_set_of_other_classes_is_not_taken_for_clcxray(tmp_path: Path) -> None:
    document(tmp_path / "annotations/instances_val2017.json", coco_file([("a.png", (9, 9), [])], ["person", "knife"]))
    assert not clcxray.recognises(tmp_path)


def test_a_set_of_some_of_its_classes_or_an_export_of_ours_is_not_taken_for_clcxray(tmp_path: Path) -> None:
    path = tmp_path / "annotations/instances_train2017.json"
    document(path, coco_file([("a.png", (9, 9), [])], ["knife"]))
    assert not clcxray.recognises(tmp_path)
    document(path, coco_file([("a.png", (9, 9), [])], CLCXRAY[:-1]))
    assert not clcxray.recognises(tmp_path)
    document(path, {**coco_file([("a.png", (9, 9), [])], CLCXRAY), "annotated": {"north": ["knife"]}})
    assert not clcxray.recognises(tmp_path)
