from __future__ import annotations

import csv
import json
from collections.abc import Callable, Iterable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import yaml
from click.testing import CliRunner, Result
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from xray_training.commands.prepare import convert
from xray_training.datasets import coco, parquet, partial_yolo
from xray_training.datasets.fault import Fault, FaultKind
from xray_training.datasets.record import DatasetError, LabelledBox, ScanRecord
from xray_training.datasets.sources import SOURCES, source_of
from xray_training.datasets.writers.coco import write_coco
from xray_training.datasets.writers.parquet import write_parquet
from xray_training.datasets.writers.yolo import write_yolo

from tests.training.datasets.records import (
    ODD_LABELS,
    assert_same,
    collections_of_records,
    draw_picture,
    with_pictures,
    written,
)
from tests.training.datasets.trees import TREES
from tests.training.folders import Drawn, dark_on_white, write_folder

Writer = Callable[[Iterable[ScanRecord], Path], Iterable[ScanRecord]]
Reader = Callable[[Path], Iterable[ScanRecord]]

FORMATS: dict[str, tuple[Writer, Reader]] = {
    "yolo": (write_yolo, partial_yolo.read),
    "coco": (write_coco, coco.read),
    "parquet": (write_parquet, parquet.read),
}
every_format = pytest.mark.parametrize("form", FORMATS)


def run(*arguments: object) -> Result:
    return CliRunner().invoke(convert, [str(argument) for argument in arguments])


def run_well(*arguments: object) -> Result:
    result = run(*arguments)
    assert result.exit_code == 0, result.output
    return result


def through(form: str, records: Iterable[ScanRecord], out: Path) -> list[ScanRecord]:
    write, read = FORMATS[form]
    written(write(records, out))
    return list(read(out))


# --- nothing is lost


@every_format
@settings(max_examples=30)
@given(records=collections_of_records())
def test_every_format_gives_back_what_was_written(
    form: str, records: list[ScanRecord], tmp_path_factory: pytest.TempPathFactory
) -> None:
    root = tmp_path_factory.mktemp(form)
    pictured = with_pictures(root / "in", records)
    assert_same(pictured, through(form, pictured, root / "out"))


@settings(max_examples=15)
@given(records=collections_of_records(), chain=st.permutations(list(FORMATS)))
def test_formats_in_a_row_give_back_what_was_written(
    records: list[ScanRecord], chain: list[str], tmp_path_factory: pytest.TempPathFactory
) -> None:
    root = tmp_path_factory.mktemp("chain")
    pictured = with_pictures(root / "in", records)
    held = pictured
    for form in (*chain, chain[0]):
        held = through(form, held, root / f"out-{len(list(root.iterdir()))}")
    assert_same(pictured, held)


@every_format
@settings(max_examples=15)
@given(records=collections_of_records(labels=ODD_LABELS))
def test_labels_that_the_taxonomy_does_not_know_are_kept(
    form: str, records: list[ScanRecord], tmp_path_factory: pytest.TempPathFactory
) -> None:
    root = tmp_path_factory.mktemp(form)
    pictured = with_pictures(root / "in", records)
    assert_same(pictured, through(form, pictured, root / "out"))


@every_format
def test_a_box_off_the_diagonal_and_not_square_stays_on_its_item_to_the_pixel(form: str, tmp_path: Path) -> None:
    corners = (70, 5, 113, 19)
    path = tmp_path / "bag.png"
    Image.fromarray(dark_on_white(120, 80, [corners])).save(path)
    box = LabelledBox("knife", 70 / 120, 5 / 80, 113 / 120, 19 / 80, "Folding_Knife")
    record = ScanRecord(path, "opixray", "x", "train", "g", "b", (box,), frozenset({"knife"}))
    (back,) = through(form, [record], tmp_path / "out")
    ((left, top, right, bottom),) = np.rint(back.corners(120, 80)).astype(int).tolist()
    assert (left, top, right, bottom) == corners
    dark = back.pixels().mean(axis=2) < 128
    assert dark[top:bottom, left:right].all()
    assert dark.sum() == (right - left) * (bottom - top)


@every_format
@pytest.mark.parametrize("name", TREES)
def test_every_dataset_survives_every_format(name: str, form: str, tmp_path: Path) -> None:
    tree = TREES[name](tmp_path / "tree")
    run_well(tree, "--from", name, "--to", form, "--out", tmp_path / "out")
    assert_same(SOURCES[name].read(tree), FORMATS[form][1](tmp_path / "out"))


@every_format
@pytest.mark.parametrize("label", ["shoes", "knife"])
def test_an_export_is_recognised_as_what_it_is_though_a_dataset_has_all_its_labels(
    label: str, form: str, tmp_path: Path
) -> None:
    root = write_folder(tmp_path / "in", {"north": [label]}, [Drawn("north", ((label, (30, 20, 60, 40)),))])
    run_well(root, "--to", form, "--out", tmp_path / "out")
    found = source_of(tmp_path / "out")
    assert found.name == {"yolo": "annotated_yolo"}.get(form, form)
    assert_same(SOURCES["annotated_yolo"].read(root), found.read(tmp_path / "out"))


# --- what the folders hold for others


def test_the_annotated_yolo_folder_trains_in_ultralytics_wherever_it_is_moved(tmp_path: Path) -> None:
    scans = [Drawn("north", (("knife", (30, 20, 60, 40)),)), Drawn("north", split="test")]
    root = write_folder(tmp_path / "in", {"north": ("gun", "knife")}, scans)
    run_well(root, "--to", "yolo", "--out", tmp_path / "out")
    text = (tmp_path / "out/data.yaml").read_text(encoding="utf-8")
    content = yaml.safe_load(text)
    assert str(tmp_path) not in text
    assert "path" not in content
    assert content["names"] == dict(enumerate((tmp_path / "out/classes.txt").read_text(encoding="utf-8").split()))
    for split in ("train", "val", "test"):
        pictures = list((tmp_path / "out" / content[split]).iterdir())
        assert pictures
        for picture in pictures:
            assert Path(str(picture).replace("/images/", "/labels/")).with_suffix(".txt").is_file()


def test_a_folder_without_anything_unusual_has_empty_further_columns(tmp_path: Path) -> None:
    root = write_folder(tmp_path / "in", {"north": ("knife",)}, [Drawn("north", (("knife", (30, 20, 60, 40)),))])
    run_well(root, "--to", "yolo", "--out", tmp_path / "out")
    (row,) = csv.DictReader((tmp_path / "out/manifest.csv").read_text(encoding="utf-8").splitlines())
    assert [row[name] for name in ("stretch", "originals", "metadata", "annotated")] == ["", "", "", ""]


def test_coco_loads_in_pycocotools_with_its_boxes_in_pixels(tmp_path: Path) -> None:
    from pycocotools.coco import COCO

    root = write_folder(tmp_path / "in", {"north": ("gun", "knife")}, [Drawn("north", (("knife", (30, 20, 60, 40)),))])
    run_well(root, "--to", "coco", "--out", tmp_path / "out")
    loaded = COCO(str(tmp_path / "out/annotations/instances_train.json"))
    (annotation,) = loaded.loadAnns(loaded.getAnnIds())
    assert annotation["bbox"] == pytest.approx([30, 20, 30, 20])
    assert annotation["area"] == pytest.approx(600)
    assert loaded.loadCats(annotation["category_id"])[0]["name"] == "knife"
    (image,) = loaded.loadImgs(loaded.getImgIds())
    assert (image["width"], image["height"]) == (120, 80)
    assert (tmp_path / "out/images/train" / image["file_name"]).is_file()


def test_pictures_of_one_name_get_names_of_their_own_even_if_case_is_all_that_differs(tmp_path: Path) -> None:
    record = ScanRecord(Path("scan.png"), "north", "x", "train", "g", "b", (), frozenset({"gun"}))
    other = replace(record, source="south")
    shouted = replace(record, image=Path("SCAN.jpg"))
    records = with_pictures(tmp_path / "in", [record, record, shouted, other])
    back = through("yolo", records, tmp_path / "out")
    names = [found.image.name for found in back]
    assert names[0] == "north_scan.png"
    assert names[3] == "south_scan.png"
    assert len({Path(name).stem.casefold() for name in names}) == 4
    assert_same(records, back)


def test_a_label_that_would_break_the_class_list_is_refused(tmp_path: Path) -> None:
    box = LabelledBox("two\nlines", 0.1, 0.1, 0.2, 0.3)
    record = ScanRecord(Path("a.png"), "north", "x", "train", "g", "b", (box,), frozenset())
    with pytest.raises(DatasetError, match="rename it"):
        written(write_yolo(with_pictures(tmp_path / "in", [record]), tmp_path / "out"))


# --- stopping and going on


def files(root: Path) -> dict[str, bytes]:
    return {str(path.relative_to(root)): path.read_bytes() for path in root.rglob("*") if path.is_file()}


def several(tmp_path: Path) -> Path:
    scans = [Drawn("north", (("knife", (30, 20, 60 + number, 40)),)) for number in range(6)]
    scans += [Drawn("south", split="test"), Drawn("south", (("gun", (3, 2, 9, 40)),), split="val")]
    return write_folder(tmp_path / "in", {"north": ("knife",), "south": ("gun", "knife")}, scans)


@every_format
@pytest.mark.parametrize("after", [0, 1, 5])
def test_a_conversion_that_was_stopped_goes_on_to_the_same_end(form: str, after: int, tmp_path: Path) -> None:
    records = partial_yolo.read(several(tmp_path))
    write, read = FORMATS[form]
    written(write(records, tmp_path / "whole"))
    writing = iter(write(records, tmp_path / "halted"))
    for _ in range(after):
        next(writing)
    writing.close()  # type: ignore[attr-defined]
    assert not list((tmp_path / "halted").rglob("*.part"))
    assert not (tmp_path / "halted/manifest.csv").exists()
    assert not list((tmp_path / "halted").glob("annotations/*"))
    written(write(records, tmp_path / "halted"))
    if form != "parquet":  # whose card names its folder
        assert files(tmp_path / "halted") == files(tmp_path / "whole")
    assert_same(read(tmp_path / "halted"), records)


@pytest.mark.parametrize("form", ["yolo", "coco"])
def test_finished_pictures_are_not_copied_again_and_damaged_ones_are(form: str, tmp_path: Path) -> None:
    root = several(tmp_path)
    run_well(root, "--to", form, "--out", tmp_path / "out")
    first, second, *_ = sorted((tmp_path / "out/images/train").iterdir())
    before = first.stat().st_ino
    content = second.read_bytes()
    second.write_bytes(content[:40])
    run_well(root, "--to", form, "--out", tmp_path / "out")
    assert first.stat().st_ino == before
    assert second.read_bytes() == content


@every_format
def test_what_a_killed_conversion_left_half_written_does_not_stay(form: str, tmp_path: Path) -> None:
    records = partial_yolo.read(several(tmp_path))
    write, read = FORMATS[form]
    for part in ("images/train/north_north_000.png", "images/train/north_000.png", "data/train-00000.parquet"):
        path = tmp_path / "out" / f"{part}.part"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"half")
    written(write(records, tmp_path / "out"))
    folder = {"yolo": "images", "coco": "images", "parquet": "data"}[form]
    assert not list((tmp_path / "out" / folder).rglob("*.part"))
    assert_same(read(tmp_path / "out"), records)


@pytest.mark.parametrize("form", ["yolo", "coco"])
def test_pictures_that_the_source_has_no_more_do_not_stay_behind(form: str, tmp_path: Path) -> None:
    root = several(tmp_path)
    run_well(root, "--to", form, "--out", tmp_path / "out")
    manifest = root / "manifest.csv"
    lines = manifest.read_text(encoding="utf-8").splitlines()
    manifest.write_text("\n".join(lines[:1] + lines[2:]) + "\n", encoding="utf-8")
    run_well(root, "--to", form, "--out", tmp_path / "out")
    assert not list((tmp_path / "out").rglob("north_000.*"))
    assert list((tmp_path / "out").rglob("north_001.*"))


@every_format
def test_a_folder_that_holds_something_else_is_left_alone(form: str, tmp_path: Path) -> None:
    root = several(tmp_path)
    (tmp_path / "out").mkdir()
    (tmp_path / "out/thesis.txt").write_text("years of work", encoding="utf-8")
    before = files(tmp_path / "out")
    result = run(root, "--to", form, "--out", tmp_path / "out")
    assert result.exit_code == 1
    assert "choose another --out" in result.output
    assert files(tmp_path / "out") == before


def test_another_conversion_does_not_mix_with_one_that_is_there(tmp_path: Path) -> None:
    root = several(tmp_path)
    run_well(root, "--to", "yolo", "--out", tmp_path / "out")
    assert run(root, "--to", "coco", "--out", tmp_path / "out").exit_code == 1
    assert run(root, "--to", "yolo", "--split", "val", "--out", tmp_path / "out").exit_code == 1
    assert str(tmp_path) not in (tmp_path / "out/made.json").read_text(encoding="utf-8")


def test_only_the_asked_split_is_converted(tmp_path: Path) -> None:
    run_well(several(tmp_path), "--to", "yolo", "--split", "val", "--out", tmp_path / "out")
    assert {record.split for record in partial_yolo.read(tmp_path / "out")} == {"val"}


def test_an_empty_split_is_an_error_that_names_it(tmp_path: Path) -> None:
    result = run(several(tmp_path), "--to", "yolo", "--split", "elsewhere", "--out", tmp_path / "out")
    assert result.exit_code == 1
    assert "elsewhere" in result.output


# --- faults


def faulty(tmp_path: Path) -> Path:
    root = several(tmp_path)
    (root / "images/train/north_000.png").unlink()
    (root / "images/train/north_001.png").write_bytes(b"no picture")
    (root / "images/train/north_002.png").write_text("version https://git-lfs.github.com/spec/v1\noid sha256:0\n")
    (root / "labels/train/north_003.txt").unlink()
    (root / "labels/train/north_004.txt").write_text("0 0.5 0.5 0.1 0.1\n0 0.5 0.5 7 0.1\n", encoding="utf-8")
    (root / "labels/train/north_005.txt").write_text("0 0.9 0.5 0.4 0.1\n", encoding="utf-8")
    return root


@every_format
def test_the_first_fault_stops_with_what_to_do_next(form: str, tmp_path: Path) -> None:
    result = run(faulty(tmp_path), "--to", form, "--out", tmp_path / "out")
    assert result.exit_code == 1
    assert "north_003.txt is missing" in result.output
    assert "xray-train data audit" in result.output
    assert "--keep-going" in result.output


@every_format
def test_keeping_going_leaves_out_what_cannot_be_trusted_and_lists_it(form: str, tmp_path: Path) -> None:
    result = run_well(faulty(tmp_path), "--to", form, "--out", tmp_path / "out", "--keep-going")
    listed = json.loads((tmp_path / "out/faults.json").read_text(encoding="utf-8"))
    kinds = sorted(fault["kind"] for fault in listed)
    assert kinds == sorted(
        ["missing_annotation", "bad_annotation", "box_outside", "missing_image", "unreadable_image", "lfs_pointer"]
    )
    for kind in kinds:
        assert f"{kind}: 1" in result.output
    assert str(tmp_path) not in "".join(fault["where"] for fault in listed)
    kept = {record.image.stem: record for record in FORMATS[form][1](tmp_path / "out")}
    assert sorted(kept) == ["north_005", "south_006", "south_007"]
    assert kept["north_005"].boxes[0].x_max == 1.0


def test_a_folder_of_no_known_kind_is_an_error_with_a_next_step(tmp_path: Path) -> None:
    result = run(tmp_path, "--to", "yolo", "--out", tmp_path / "out")
    assert result.exit_code == 1
    assert "--from" in result.output


def test_an_unknown_source_is_an_error_that_names_the_known_ones(tmp_path: Path) -> None:
    result = run(tmp_path, "--from", "opixry", "--to", "yolo", "--out", tmp_path / "out")
    assert result.exit_code == 1
    assert "opixray" in result.output


# --- what the annotated YOLO folder may say wrongly


@pytest.mark.parametrize(
    ("column", "cell"),
    [
        ("stretch", "wide"),
        ("stretch", "-1"),
        ("stretch", "nan"),
        ("originals", "[1]"),
        ("originals", '["a", "b"]'),
        ("originals", "{"),
        ("metadata", "[]"),
        ("metadata", "view"),
        ("annotated", '"knife"'),
    ],
)
def test_a_bad_cell_is_a_fault_at_its_line_and_its_scan_is_left_out(column: str, cell: str, tmp_path: Path) -> None:
    root = write_folder(
        tmp_path, {"north": ("knife",)}, [Drawn("north", (("knife", (30, 20, 60, 40)),)), Drawn("north")]
    )
    rows = list(csv.DictReader((root / "manifest.csv").read_text(encoding="utf-8").splitlines()))
    rows[0][column] = cell
    with (root / "manifest.csv").open("w", encoding="utf-8", newline="") as file:
        table = csv.DictWriter(file, [*rows[1], column])
        table.writeheader()
        table.writerows(rows)
    faults: list[Fault] = []
    assert len(partial_yolo.read(root, report=faults.append)) == 1
    assert [fault.kind for fault in faults] == [FaultKind.BAD_ANNOTATION]
    assert "manifest.csv, line 2" in faults[0].where
    assert column in faults[0].message


def test_what_the_caller_says_of_stretch_goes_before_what_the_manifest_says(tmp_path: Path) -> None:
    draw_picture(tmp_path / "a.png", seed=0)
    record = ScanRecord(tmp_path / "a.png", "north", "x", "train", "g", "b", (), frozenset(), stretch=1.5)
    written(write_yolo([record], tmp_path / "out"))
    assert partial_yolo.read(tmp_path / "out")[0].stretch == 1.5
    assert partial_yolo.read(tmp_path / "out", stretch={"north": 1.25})[0].stretch == 1.25
    assert partial_yolo.read(tmp_path / "out", stretch={"south": 1.25})[0].stretch == 1.5


@pytest.mark.parametrize("excess", [0.0, 5e-4])
def test_rounding_is_no_fault(excess: float, tmp_path: Path) -> None:
    root = write_folder(tmp_path, {"north": ("knife",)}, [Drawn("north")])
    (root / "labels/train/north_000.txt").write_text(f"0 {0.9 + excess} 0.5 0.2 1\n", encoding="utf-8")
    faults: list[Fault] = []
    (record,) = partial_yolo.read(root, report=faults.append)
    assert faults == []
    assert record.boxes[0].x_max == 1.0
