from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
import yaml
from click.testing import CliRunner, Result
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from xray_training.commands.prepare import convert
from xray_training.datasets import partial_yolo, yolo
from xray_training.datasets.fault import Fault, FaultKind
from xray_training.datasets.record import DatasetError, LabelledBox, ScanRecord

from tests.training.folders import Corners, Drawn, dark_on_white, write_folder

SIZE = (120, 80)
NAMES = ("gun", "Power Bank", "knife")


def picture(path: Path, *boxes: Corners) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(dark_on_white(*SIZE, boxes)).save(path)
    return path


def labels(path: Path, *rows: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(f"{row}\n" for row in rows), encoding="utf-8")
    return path


def row(number: int, corners: Corners) -> str:
    left, top, right, bottom = corners
    x, y = (left + right) / 2 / SIZE[0], (top + bottom) / 2 / SIZE[1]
    return f"{number} {x} {y} {(right - left) / SIZE[0]} {(bottom - top) / SIZE[1]}"


def folder(root: Path, *, names: object = NAMES, **more: object) -> Path:
    """A folder of two training pictures, the second without labels, and one of each other split."""
    picture(root / "images/train/a_1.png", (70, 5, 113, 19))
    labels(root / "labels/train/a_1.txt", row(1, (70, 5, 113, 19)))
    picture(root / "images/train/a_2.png")
    picture(root / "images/val/b.png")
    labels(root / "labels/val/b.txt")
    picture(root / "images/test/c.png", (10, 10, 20, 70))
    labels(root / "labels/test/c.txt", row(2, (10, 10, 20, 70)))
    content = {"train": "images/train", "val": "images/val", "test": "images/test", **more}
    listed = list(names) if isinstance(names, tuple) else names
    (root / "data.yaml").write_text(yaml.safe_dump({**content, "names": listed}), encoding="utf-8")
    return root


def heard(root: Path) -> tuple[list[ScanRecord], list[Fault]]:
    faults: list[Fault] = []
    return list(yolo.read(root, report=faults.append)), faults


def test_the_folder_is_read_split_by_split_with_canonical_labels(tmp_path: Path) -> None:
    first, second, third, fourth = yolo.read(folder(tmp_path / "mine"))
    assert [record.split for record in (first, second, third, fourth)] == ["train", "train", "val", "test"]
    assert first.source == "mine"
    assert first.annotated == {"gun", "power_bank", "knife"}
    (box,) = first.boxes
    assert (box.label, box.original) == ("power_bank", "Power Bank")
    ((left, top, right, bottom),) = np.rint(first.corners(*SIZE)).astype(int).tolist()
    assert (left, top, right, bottom) == (70, 5, 113, 19)
    assert (first.pixels()[top:bottom, left:right] == 0).all()
    assert second.boxes == third.boxes == ()
    assert fourth.boxes[0].label == "knife"


@pytest.mark.parametrize(
    "names", [NAMES, {0: "gun", 1: "Power Bank", 2: "knife"}, {2: "knife", 0: "gun", 1: "Power Bank"}]
)
def test_names_may_be_a_list_or_a_map(names: object, tmp_path: Path) -> None:
    record = next(iter(yolo.read(folder(tmp_path, names=names))))
    assert record.boxes[0].label == "power_bank"


@pytest.mark.parametrize("names", [{0: "gun", 2: "knife"}, {"a": "gun"}, "gun", 7, None])
def test_names_that_are_no_list_and_leave_a_gap_are_an_error(names: object, tmp_path: Path) -> None:
    root = folder(tmp_path)
    (root / "data.yaml").write_text(yaml.safe_dump({"train": "images/train", "names": names}), encoding="utf-8")
    with pytest.raises(DatasetError, match=r"data\.yaml"):
        list(yolo.read(root))


def test_without_a_data_yaml_the_splits_are_folders(tmp_path: Path) -> None:
    root = folder(tmp_path)
    expected = list(yolo.read(root))
    (root / "data.yaml").unlink()
    (root / "classes.txt").write_text("\n".join(NAMES) + "\n", encoding="utf-8")
    assert yolo.recognises(root)
    assert list(yolo.read(root)) == expected


def test_pictures_without_splits_are_for_training(tmp_path: Path) -> None:
    picture(tmp_path / "images/a.png", (70, 5, 113, 19))
    labels(tmp_path / "labels/a.txt", row(0, (70, 5, 113, 19)))
    (tmp_path / "classes.txt").write_text("gun\n", encoding="utf-8")
    (record,) = yolo.read(tmp_path)
    assert (record.split, record.boxes[0].label) == ("train", "gun")


def test_a_split_may_be_a_list_of_pictures_or_several_folders(tmp_path: Path) -> None:
    root = folder(tmp_path, train="train.txt", val=["images/val", "images/test"], test=None)
    (root / "train.txt").write_text("./images/train/a_2.png\nimages/train/a_1.png\n", encoding="utf-8")
    records = list(yolo.read(root))
    assert [record.image.name for record in records] == ["a_2.png", "a_1.png", "b.png", "c.png"]
    assert [len(record.boxes) for record in records] == [0, 1, 0, 1]


def test_a_path_of_another_machine_is_looked_for_in_the_folder(tmp_path: Path) -> None:
    expected = list(yolo.read(folder(tmp_path)))
    moved = folder(tmp_path, path="/home/somebody/else", train="../images/train")
    assert list(yolo.read(moved)) == expected


def test_a_split_that_is_not_there_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match="elsewhere, which is not there"):
        list(yolo.read(folder(tmp_path, val="elsewhere")))


def test_only_the_asked_split_is_read(tmp_path: Path) -> None:
    assert [record.image.name for record in yolo.read(folder(tmp_path), split="val")] == ["b.png"]


def test_a_polygon_gives_the_box_around_it(tmp_path: Path) -> None:
    root = folder(tmp_path)
    labels(root / "labels/train/a_1.txt", "0 0.5 0.25 0.75 0.5 0.25 0.875")
    record = next(iter(yolo.read(root)))
    assert record.boxes == (LabelledBox("gun", 0.25, 0.25, 0.75, 0.875),)


@pytest.mark.parametrize(
    "bad", ["0 0.5 0.5 0.1", "0 0.5 0.5 0.1 0.1 0.9", "9 0.5 0.5 0.1 0.1", "-1 0.5 0.5 0.1 0.1", "gun 0.5 0.5 0.1 0.1"]
)
def test_a_bad_row_is_a_fault_at_its_line_and_its_scan_is_left_out(bad: str, tmp_path: Path) -> None:
    root = folder(tmp_path)
    path = labels(root / "labels/train/a_1.txt", bad, row(1, (70, 5, 113, 19)))
    records, (fault,) = heard(root)
    assert fault.kind is FaultKind.BAD_ANNOTATION
    assert fault.where == f"{path}, line 1"
    assert [record.image.name for record in records] == ["a_2.png", "b.png", "c.png"]
    with pytest.raises(DatasetError):
        list(yolo.read(root))


def test_a_scan_whose_label_file_is_no_text_is_left_out(tmp_path: Path) -> None:
    root = folder(tmp_path)
    (root / "labels/train/a_1.txt").write_bytes("1 0.5 0.5 0.1 0.1 # Küche".encode("latin-1"))
    records, (fault,) = heard(root)
    assert fault.kind is FaultKind.BAD_ANNOTATION
    assert [record.image.name for record in records] == ["a_2.png", "b.png", "c.png"]


@pytest.mark.parametrize("name", ["data.yaml", "train.txt", "classes.txt"])
def test_an_index_that_is_not_utf_8_is_an_error(name: str, tmp_path: Path) -> None:
    root = folder(tmp_path, train="train.txt")
    (root / "train.txt").write_text("images/train/a_1.png\n", encoding="utf-8")
    if name == "classes.txt":
        (root / "data.yaml").unlink()
    (root / name).write_bytes("Küche".encode("latin-1"))
    with pytest.raises(DatasetError, match=rf"{name} is not UTF-8"):
        list(yolo.read(root))


@pytest.mark.parametrize("places", [5, {"a": "images/train"}, [5]])
def test_a_split_that_names_no_folder_is_an_error(places: object, tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match=r"data\.yaml.*`train`"):
        list(yolo.read(folder(tmp_path, train=places)))


@pytest.mark.parametrize(
    ("text", "kind"),
    [("0 0.9 0.5 0.4 0.1", FaultKind.BOX_OUTSIDE), ("0 0.5 0.5 0 0.1", FaultKind.BOX_EMPTY)],
)
def test_boxes_that_reach_out_or_have_no_area_are_faults(text: str, kind: FaultKind, tmp_path: Path) -> None:
    root = folder(tmp_path)
    labels(root / "labels/train/a_1.txt", text)
    records, (fault,) = heard(root)
    assert fault.kind is kind
    assert all(box.x_max <= 1 for box in records[0].boxes)


@given(corners=st.tuples(st.integers(0, 100), st.integers(0, 60), st.integers(1, 20), st.integers(1, 20)))
def test_boxes_come_back_to_the_pixel(
    corners: tuple[int, int, int, int], tmp_path_factory: pytest.TempPathFactory
) -> None:
    left, top, width, height = corners
    root = tmp_path_factory.mktemp("yolo")
    picture(root / "images/a.png")
    labels(root / "labels/a.txt", row(0, (left, top, left + width, top + height)))
    (root / "classes.txt").write_text("gun\n", encoding="utf-8")
    (record,) = yolo.read(root)
    np.testing.assert_allclose(record.corners(*SIZE), [[left, top, left + width, top + height]], atol=1e-4)


def test_a_missing_picture_is_a_fault(tmp_path: Path) -> None:
    root = folder(tmp_path, train="train.txt")
    (root / "train.txt").write_text("images/train/none.png\n", encoding="utf-8")
    records, (fault,) = heard(root)
    assert fault.kind is FaultKind.MISSING_IMAGE
    assert len(records) == 2


def test_an_annotated_folder_is_not_taken_for_a_plain_one(tmp_path: Path) -> None:
    root = write_folder(tmp_path, {"north": ("gun",)}, [Drawn("north")])
    assert not yolo.recognises(root)


# --- class names of one's own


def run(root: Path, out: Path, content: object) -> Result:
    names = root / "labels.yaml"
    names.write_text(yaml.safe_dump(content), encoding="utf-8")
    command: Sequence[object] = (root, "--from", "yolo", "--to", "yolo", "--out", out, "--labels", names)
    return CliRunner().invoke(convert, [str(part) for part in command])


def test_a_name_outside_the_taxonomy_is_a_fault(tmp_path: Path) -> None:
    _, faults = heard(folder(tmp_path, names=("gun", "Klappmesser", "knife")))
    assert [fault.kind for fault in faults] == [FaultKind.UNKNOWN_LABEL]
    assert "'Klappmesser'" in str(faults[0])


def test_ones_own_names_can_be_mapped_to_canonical_labels(tmp_path: Path) -> None:
    root = folder(tmp_path / "in", names=("gun", "Klappmesser", "Messer"))
    result = run(root, tmp_path / "out", {"Klappmesser": "knife", "Messer": "knife"})
    assert result.exit_code == 0, result.output
    found = {(box.label, box.original) for record in partial_yolo.read(tmp_path / "out") for box in record.boxes}
    assert found == {("knife", "Klappmesser"), ("knife", "Messer")}


def test_names_are_mapped_for_plain_yolo_folders_only(tmp_path: Path) -> None:
    root = write_folder(tmp_path / "in", {"north": ("gun",)}, [Drawn("north")])
    result = run(root, tmp_path / "out", {"Messer": "knife"})
    assert result.exit_code == 2
    assert "plain YOLO folder" in result.output


@pytest.mark.parametrize(
    ("content", "said"),
    [({"Klappmesser": "knive"}, "did you mean knife"), (["knife"], "own name: canonical_label")],
)
def test_a_map_to_no_label_says_what_was_probably_meant(content: object, said: str, tmp_path: Path) -> None:
    result = run(folder(tmp_path / "in"), tmp_path / "out", content)
    assert result.exit_code == 2
    assert said in " ".join(result.output.split())
