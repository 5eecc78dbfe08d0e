from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from xray_training.datasets import coco
from xray_training.datasets.fault import FaultKind
from xray_training.datasets.record import DatasetError, LabelledBox, ScanRecord

from tests.training.datasets.trees import coco_file, coco_tree, document, heard, picture

FILE = "annotations/instances_train.json"


def changed(root: Path, content: dict[str, Any]) -> Path:
    document(root / FILE, content)
    return root


def train(root: Path) -> dict[str, Any]:
    content: dict[str, Any] = json.loads((root / FILE).read_text(encoding="utf-8"))
    return content


def test_boxes_are_left_top_width_height_and_class_names_may_be_spelt_otherwise(tmp_path: Path) -> None:
    first, second = coco.read(coco_tree(tmp_path / "mine"))
    everything = {"gun", "power_bank", "glass_bottle"}
    assert first == ScanRecord(
        image=tmp_path / "mine/images/train/0001.png",
        source="mine",
        scanner="mine",
        split="train",
        group="train/0001",
        block="train/0000+",
        boxes=(
            LabelledBox("power_bank", 0.1, 0.1, 0.3, 0.9, original="power-bank"),
            LabelledBox("gun", 0.5, 0.3, 0.95, 0.5, original="Gun"),
        ),
        annotated=frozenset(everything),
    )
    assert (second.split, second.boxes, set(second.annotated)) == ("val", (), everything)


@pytest.mark.parametrize("folder", ["images/train", "train", "images", "."])
def test_pictures_may_lie_in_any_of_the_usual_folders(tmp_path: Path, folder: str) -> None:
    document(tmp_path / FILE, coco_file([("a.png", (40, 30), [("knife", (1, 2, 30, 20))])], ["knife"]))
    image = picture(tmp_path / folder / "a.png", (40, 30), (1, 2, 30, 20))
    (record,) = coco.read(tmp_path)
    assert record.image.resolve() == image.resolve()


def test_a_roboflow_export_is_read_and_copies_of_one_upload_share_a_group(tmp_path: Path) -> None:
    for folder in ("train", "valid", "test"):
        name = f"bag_7_png.rf.{folder}0.jpg"
        document(tmp_path / folder / "_annotations.coco.json", coco_file([(name, (40, 30), [])], ["knife"]))
        picture(tmp_path / folder / name, (40, 30))
    records = list(coco.read(tmp_path))
    assert [record.split for record in records] == ["train", "val", "test"]
    assert {record.group for record in records} == {"bag_7"}


def test_pictures_of_one_name_in_two_splits_are_no_duplicates_unless_roboflow_renamed_them(tmp_path: Path) -> None:
    for split in ("train", "test"):
        document(tmp_path / f"annotations/instances_{split}.json", coco_file([("1.png", (40, 30), [])], ["knife"]))
        picture(tmp_path / "images" / split / "1.png", (40, 30))
    assert len({record.group for record in coco.read(tmp_path)}) == 2


def test_what_our_own_export_adds_wins_over_what_a_reader_would_assume(tmp_path: Path) -> None:
    content = coco_file([("a.png", (40, 30), [("knife", (1, 2, 30, 20))]), ("b.png", (40, 30), [])], ["knife", "gun"])
    content["annotated"] = {"opixray": ["knife"], "benign": ["knife", "gun", "lighter"]}
    content["images"][0] |= {
        "source": "opixray",
        "scanner": "north",
        "split": "val",
        "group": "g",
        "block": "b",
        "stretch": 1.284,
        "metadata": {"occlusion": "OL2"},
    }
    content["images"][1] |= {"source": "benign", "annotated": ["lighter"]}
    content["annotations"][0]["original"] = "Folding_Knife"
    document(tmp_path / FILE, content)
    for name in ("a.png", "b.png"):
        picture(tmp_path / "images/train" / name, (40, 30))
    first, second = coco.read(tmp_path)
    assert first == ScanRecord(
        image=tmp_path / "images/train/a.png",
        source="opixray",
        scanner="north",
        split="val",
        group="g",
        block="b",
        boxes=(LabelledBox("knife", 1 / 40, 2 / 30, 30 / 40, 20 / 30, original="Folding_Knife"),),
        annotated=frozenset({"knife"}),
        stretch=1.284,
        metadata={"occlusion": "OL2"},
    )
    assert (second.source, second.scanner, set(second.annotated)) == ("benign", "benign", {"lighter"})
    assert [record.split for record in coco.read(tmp_path, split="train")] == ["train"]
    assert [record.split for record in coco.read(tmp_path, split="val")] == ["val"]


def test_two_boxes_of_one_source_name_keep_it(tmp_path: Path) -> None:
    items = [("knife", (1, 2, 30, 20)), ("knife", (5, 5, 9, 9)), ("knife", (5, 5, 9, 9))]
    content = coco_file([("a.png", (40, 30), items)], ["knife"])
    content["annotated"] = {"mine": ["knife"]}
    content["annotations"][0]["original"] = "dagger"
    document(tmp_path / FILE, content)
    picture(tmp_path / "images/train/a.png", (40, 30))
    (record,) = coco.read(tmp_path)
    assert [(box.label, box.original) for box in record.boxes] == [("knife", "dagger"), ("knife", ""), ("knife", "")]


def test_a_class_outside_the_taxonomy_is_a_fault_and_annotates_nothing(tmp_path: Path) -> None:
    items = [("surfboard", (1, 2, 30, 20)), ("knife", (5, 5, 9, 9))]
    document(tmp_path / FILE, coco_file([("a.png", (40, 30), items)], ["surfboard", "knife"]))
    picture(tmp_path / "images/train/a.png", (40, 30))
    with pytest.raises(DatasetError, match="surfboard"):
        list(coco.read(tmp_path))
    (record,), (fault,) = heard(coco.read, tmp_path)
    assert fault.kind is FaultKind.UNKNOWN_LABEL
    assert [box.label for box in record.boxes] == ["knife"]
    assert record.annotated == {"knife"}


def test_a_super_category_only_groups_and_annotates_nothing_unless_it_is_its_own_class(tmp_path: Path) -> None:
    content = coco_file([("a.png", (40, 30), [])], ["knife", "lighter"])
    content["categories"] = [
        {"id": 0, "name": "gun", "supercategory": "none"},
        {"id": 1, "name": "knife", "supercategory": "gun"},
        {"id": 2, "name": "lighter", "supercategory": "lighter"},
    ]
    document(tmp_path / FILE, content)
    picture(tmp_path / "images/train/a.png", (40, 30))
    (record,) = coco.read(tmp_path)
    assert record.annotated == {"knife", "lighter"}


def test_a_box_may_be_given_by_its_polygon_alone(tmp_path: Path) -> None:
    content = coco_file([("a.png", (40, 30), [("knife", (0, 0, 1, 1))])], ["knife"])
    content["annotations"][0] |= {"bbox": None, "segmentation": [[4, 6, 20, 3, 12, 24], [10, 10, 36, 12, 11, 11]]}
    document(tmp_path / FILE, content)
    picture(tmp_path / "images/train/a.png", (40, 30))
    (record,) = coco.read(tmp_path)
    assert record.corners(40, 30).tolist() == [[4, 3, 36, 24]]


@pytest.mark.parametrize(
    ("damage", "told"),
    [
        ({"bbox": [1, 2, "wide", 4]}, "bbox"),
        ({"bbox": [1, 2, 3]}, "bbox"),
        ({"bbox": [1, 2, -3, 4]}, "bbox"),
        ({"bbox": None}, "no box"),
        ({"bbox": None, "segmentation": {"counts": "a", "size": [3, 4]}}, "no box"),
        ({"category_id": 9}, "known category"),
    ],
)
def test_an_image_with_a_malformed_annotation_is_left_out_for_it_would_count_as_free(
    tmp_path: Path, damage: dict[str, Any], told: str
) -> None:
    content = train(coco_tree(tmp_path))
    content["annotations"][1] |= damage
    records, (fault,) = heard(coco.read, changed(tmp_path, content))
    assert [record.split for record in records] == ["val"]
    assert (fault.kind, fault.where) == (FaultKind.BAD_ANNOTATION, str(tmp_path / FILE))
    assert told in fault.message


def test_an_annotation_of_no_image_spoils_no_other(tmp_path: Path) -> None:
    content = train(coco_tree(tmp_path))
    content["annotations"].append({"image_id": 77, "category_id": 1, "bbox": [1, 2, 3, 4]})
    records, (fault,) = heard(coco.read, changed(tmp_path, content))
    assert len(records) == 2
    assert "image 77" in fault.message


@pytest.mark.parametrize("name", ["../0001.png", "/etc/hostname", "", ".", "a\0.png"])
def test_a_file_name_that_leads_out_of_the_folder_is_refused(tmp_path: Path, name: str) -> None:
    content = train(coco_tree(tmp_path))
    content["images"][0]["file_name"] = name
    records, (fault,) = heard(coco.read, changed(tmp_path, content))
    assert [record.split for record in records] == ["val"]
    assert fault.kind is FaultKind.BAD_ANNOTATION


def test_images_of_one_id_are_left_out_for_nobody_knows_whose_the_boxes_are(tmp_path: Path) -> None:
    content = train(coco_tree(tmp_path))
    content["images"].append(content["images"][0])
    records, (fault,) = heard(coco.read, changed(tmp_path, content))
    assert "two images have the id 1" in fault.message
    assert [record.split for record in records] == ["val"]


def test_boxes_follow_a_picture_that_was_scaled_and_a_cropped_one_is_left_out(tmp_path: Path) -> None:
    picture(coco_tree(tmp_path) / "images/train/0001.png", (100, 50))
    (record, _), (fault,) = heard(coco.read, tmp_path)
    assert fault.kind is FaultKind.SIZE_RESCALED
    assert record.boxes[0] == LabelledBox("power_bank", 0.1, 0.1, 0.3, 0.9, original="power-bank")
    picture(tmp_path / "images/train/0001.png", (100, 90))
    records, (fault,) = heard(coco.read, tmp_path)
    assert fault.kind is FaultKind.SIZE_MISMATCH
    assert [record.split for record in records] == ["val"]


def test_a_file_without_sizes_is_read_by_the_pictures_own(tmp_path: Path) -> None:
    content = train(coco_tree(tmp_path))
    del content["images"][0]["width"]
    first = next(iter(coco.read(changed(tmp_path, content))))
    assert first.boxes[0].x_min == pytest.approx(0.1)


@given(
    box=st.tuples(st.integers(0, 90), st.integers(0, 40), st.integers(1, 100), st.integers(1, 50)).filter(
        lambda b: b[0] + b[2] <= 100 and b[1] + b[3] <= 50
    )
)
def test_every_box_survives_in_pixels(tmp_path_factory: pytest.TempPathFactory, box: tuple[int, int, int, int]) -> None:
    root = tmp_path_factory.getbasetemp() / "survives"
    left, top, width, height = box
    corners = (left, top, left + width, top + height)
    document(root / FILE, coco_file([("a.png", (100, 50), [("knife", corners)])], ["knife"]))
    if not (root / "images/train/a.png").exists():
        picture(root / "images/train/a.png", (100, 50))
    (record,) = coco.read(root)
    assert record.corners(100, 50).tolist()[0] == pytest.approx(corners, abs=1e-3)


def test_boxes_of_one_original_name_keep_each_its_own_category(tmp_path: Path) -> None:
    items = [("knife", (1, 2, 30, 20)), ("gun", (5, 5, 9, 9)), ("knife", (2, 3, 8, 9))]
    content = coco_file([("a.png", (40, 30), items)], ["knife", "gun"])
    content["annotated"] = {}
    for annotation in content["annotations"][:2]:
        annotation["original"] = "toy"
    document(tmp_path / FILE, content)
    picture(tmp_path / "images/train/a.png", (40, 30))
    (record,) = coco.read(tmp_path)
    assert [(box.label, box.original) for box in record.boxes] == [("knife", "toy"), ("gun", "toy"), ("knife", "")]


def test_an_empty_group_of_ours_stays_empty(tmp_path: Path) -> None:
    content = coco_file([("a_1.png", (40, 30), [])], ["knife"])
    content["annotated"] = {"north": ["knife"]}
    content["images"][0] |= {"source": "north", "group": "", "block": "", "scanner": ""}
    document(tmp_path / FILE, content)
    picture(tmp_path / "images/train/a_1.png", (40, 30))
    (record,) = coco.read(tmp_path)
    assert (record.group, record.block, record.scanner) == ("", "", "")


def test_fields_that_are_not_ours_neither_cost_an_image_nor_mean_anything(tmp_path: Path) -> None:
    tree = coco_tree(tmp_path / "mine")
    before = list(coco.read(tree))
    content = train(tree)
    content["images"][0] |= {"metadata": {"n": 1}, "group": 7, "split": ["x"], "source": "web", "stretch": -1}
    content["annotations"][0]["original"] = 5
    records, faults = heard(coco.read, changed(tree, content))
    assert faults == []
    assert records == before


def test_a_super_category_that_boxes_use_is_a_class(tmp_path: Path) -> None:
    content = coco_file([("a.png", (40, 30), [("gun", (1, 2, 30, 20))])], ["gun", "knife"])
    content["categories"][1]["supercategory"] = "gun"
    document(tmp_path / FILE, content)
    picture(tmp_path / "images/train/a.png", (40, 30))
    (record,) = coco.read(tmp_path)
    assert [box.label for box in record.boxes] == ["gun"]
    assert record.annotated == {"gun", "knife"}


def test_a_size_that_was_scaled_is_told_once_for_all_boxes(tmp_path: Path) -> None:
    picture(coco_tree(tmp_path) / "images/train/0001.png", (100, 50))
    (record, _), faults = heard(coco.read, tmp_path)
    assert len(record.boxes) == 2
    assert [fault.kind for fault in faults] == [FaultKind.SIZE_RESCALED]


def test_frames_of_a_roboflow_export_share_blocks_across_its_random_split(tmp_path: Path) -> None:
    for folder, number in (("train", 7), ("valid", 8), ("test", 60)):
        name = f"bag_{number}_png.rf.{folder}0.jpg"
        document(tmp_path / folder / "_annotations.coco.json", coco_file([(name, (40, 30), [])], ["knife"]))
        picture(tmp_path / folder / name, (40, 30))
    first, second, other = coco.read(tmp_path)
    assert first.block == second.block != other.block
    assert len({first.group, second.group, other.group}) == 3
