from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from xray_training.datasets import stcray
from xray_training.datasets.fault import FaultKind
from xray_training.datasets.record import DatasetError, ScanRecord

from tests.training.datasets.trees import KNIFE, document, heard, picture, rectangles, stcray_tree

TRAIN = "STCray_TrainSet"


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    return stcray_tree(tmp_path)


def in_folder(root: Path, folder: str) -> list[ScanRecord]:
    return [record for record in stcray.read(root) if record.metadata["folder"] == folder]


def test_a_size_off_by_one_and_reversed_corners_give_the_box_as_drawn(tree: Path) -> None:
    (record,) = in_folder(tree, "Class 9_Injection")
    assert record.corners(400, 300).round(3).tolist() == [[30, 20, 90, 60]]


def test_the_label_is_the_shapes_and_not_the_folders(tree: Path) -> None:
    (syringe,), (printed,) = in_folder(tree, "Class 9_Injection"), in_folder(tree, "Class 3_3D Gun")
    assert [(box.label, box.original) for box in syringe.boxes] == [("syringe", "Syringe")]
    assert [(box.label, box.original) for box in printed.boxes] == [("gun_3d_printed", "3D printed gun")]
    _, several = in_folder(tree, "Class 21_Multilabel Threat")
    assert {box.label for box in several.boxes} == {"battery", "other_sharp"}


def test_scans_without_a_threat_are_background_on_which_all_twenty_classes_are_absent(tree: Path) -> None:
    (background,) = in_folder(tree, "Class 22_Non Threat")
    assert background.boxes == ()
    assert len(background.annotated) == 20


def test_a_threat_without_its_file_is_a_fault_and_no_background(tree: Path) -> None:
    (tree / TRAIN / "Json_BB/Class 9_Injection/a.json").unlink()
    records, (fault,) = heard(stcray.read, tree)
    assert fault.kind is FaultKind.MISSING_ANNOTATION
    assert "Class 9_Injection" not in {record.metadata["folder"] for record in records}


def test_file_names_tell_instance_bag_concealment_clutter_place_and_pose(tree: Path) -> None:
    first, second = in_folder(tree, "Class 4_Knife")[:2]
    assert first.metadata == {
        "folder": "Class 4_Knife",
        "instance": "Knife3",
        "bag": "2",
        "level": "4A",
        "clutter": "1",
        "location": "1",
        "pose": "phi1_th1",
    }
    assert first.group == second.group == first.block


def test_a_time_stamp_for_a_name_tells_nothing(tree: Path) -> None:
    (record,) = stcray.read(tree, split="test")
    assert record.metadata == {"folder": "Class 4_Knife"}
    assert record.split == "test"


def test_the_same_item_in_another_bag_is_another_group(tree: Path) -> None:
    knives = [record for record in stcray.read(tree) if record.metadata.get("instance") == "Knife3"]
    assert {(record.metadata["bag"], record.group) for record in knives} == {
        ("2", "instance Knife3 in bag 2"),
        ("9", "instance Knife3 in bag 9"),
    }


def test_equal_pictures_share_a_group_and_draw_their_groups_together(tree: Path) -> None:
    images, boxes = tree / TRAIN / "Images", tree / TRAIN / "Json_BB"
    copies = {
        f"Class 4_Knife/{KNIFE}_2": "Class 4_Knife/2012-02-02-000000-1",
        f"Class 4_Knife/{KNIFE}_1": "Class 21_Multilabel Threat/Knife8_B5_L1_C1_Loc1_phi0_th0_1",
    }
    for original, copy in copies.items():
        shutil.copy(images / f"{original}.jpg", images / f"{copy}.jpg")
        shutil.copy(boxes / f"{original}.json", boxes / f"{copy}.json")
    shutil.copy(images / "Class 9_Injection/a.jpg", images / "Class 9_Injection/z.jpg")
    shutil.copy(boxes / "Class 9_Injection/a.json", boxes / "Class 9_Injection/z.json")
    records = list(stcray.read(tree, split="train"))
    groups = {record.image.relative_to(images).with_suffix("").as_posix(): record.group for record in records}
    assert len({groups[name] for pair in copies.items() for name in pair}) == 1
    assert groups["Class 9_Injection/a"] == groups["Class 9_Injection/z"] != groups["Class 22_Non Threat/c"]
    assert groups["Class 3_3D Gun/a"] != groups["Class 9_Injection/a"]


def test_boxes_follow_a_declared_size_that_is_the_pictures_times_one_factor(tree: Path) -> None:
    shapes = rectangles("a.jpg", (800, 603), [("Syringe", (60, 40, 180, 120))])
    document(tree / TRAIN / "Json_BB/Class 9_Injection/a.json", shapes)
    with pytest.raises(DatasetError, match="800x603"):
        list(stcray.read(tree))
    records, (fault,) = heard(stcray.read, tree)
    assert fault.kind is FaultKind.SIZE_RESCALED
    (record,) = [record for record in records if record.metadata["folder"] == "Class 9_Injection"]
    ((left, top, right, bottom),) = record.corners(400, 300).tolist()
    assert (left, top, right, bottom) == pytest.approx((30, 20, 90, 60), abs=0.5)


def test_a_declared_size_of_another_shape_quarantines_the_scan(tree: Path) -> None:
    picture(tree / TRAIN / "Images/Class 9_Injection/a.jpg", (619, 348), (30, 20, 90, 60))
    shapes = rectangles("a.jpg", (1440, 960), [("Syringe", (30, 20, 90, 60))])
    document(tree / TRAIN / "Json_BB/Class 9_Injection/a.json", shapes)
    records, (fault,) = heard(stcray.read, tree)
    assert fault.kind is FaultKind.SIZE_MISMATCH
    assert "Class 9_Injection" not in {record.metadata["folder"] for record in records}


def test_boxes_outside_the_real_picture_are_clipped_or_left_out(tree: Path) -> None:
    items = [("Syringe", (350, 250, 450, 350)), ("Syringe", (500, 20, 600, 60))]
    document(tree / TRAIN / "Json_BB/Class 9_Injection/a.json", rectangles("a.jpg", (400, 300), items))
    records, faults = heard(stcray.read, tree)
    assert {fault.kind for fault in faults} == {FaultKind.BOX_OUTSIDE}
    (record,) = [record for record in records if record.metadata["folder"] == "Class 9_Injection"]
    assert record.corners(400, 300).tolist() == [[350, 250, 400, 300]]


def test_a_folder_name_used_as_a_label_is_unknown(tree: Path) -> None:
    document(
        tree / TRAIN / "Json_BB/Class 9_Injection/a.json",
        rectangles("a.jpg", (400, 300), [("Injection", (30, 20, 90, 60))]),
    )
    _, (fault,) = heard(stcray.read, tree)
    assert fault.kind is FaultKind.UNKNOWN_LABEL


def test_an_annotation_without_its_picture_is_a_fault_even_if_the_whole_folder_is_gone(tree: Path) -> None:
    shutil.rmtree(tree / TRAIN / "Images/Class 9_Injection")
    (tree / TRAIN / f"Images/Class 4_Knife/{KNIFE}_2.jpg").unlink()
    records, faults = heard(stcray.read, tree)
    assert [(fault.kind, Path(fault.where).stem) for fault in faults] == [
        (FaultKind.MISSING_IMAGE, f"{KNIFE}_2"),
        (FaultKind.MISSING_IMAGE, "a"),
    ]
    assert len(records) == 6
