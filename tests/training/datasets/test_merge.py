from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from hypothesis import given, settings
from xray_training.commands.prepare import merge as command
from xray_training.datasets import partial_yolo
from xray_training.datasets.merge import merge
from xray_training.datasets.record import LabelledBox, ScanRecord

from tests.training.datasets.records import collections_of_records, digest, draw_picture, with_pictures
from tests.training.datasets.trees import TREES
from tests.training.folders import Drawn, write_folder

KNIFE = LabelledBox("knife", 0.5, 0.1, 0.75, 0.3)
GUN = LabelledBox("gun", 0.1, 0.2, 0.4, 0.9)


def scan(image: Path, *boxes: LabelledBox, annotated: Sequence[str] = ("knife",), **changes: object) -> ScanRecord:
    record = ScanRecord(image, "north", "x", "train", "g", "b", boxes, frozenset(annotated))
    return replace(record, **changes)  # type: ignore[arg-type]


@pytest.fixture
def twins(tmp_path: Path) -> tuple[Path, Path]:
    """The same picture in two folders."""
    first, second = tmp_path / "one/a.png", tmp_path / "two/b.png"
    for path in (first, second):
        path.parent.mkdir()
        draw_picture(path, seed=1)
    return first, second


def run(*arguments: object) -> Result:
    return CliRunner().invoke(command, [str(argument) for argument in arguments])


@settings(max_examples=20)
@given(one=collections_of_records(), other=collections_of_records())
def test_different_scans_are_all_kept_with_what_their_source_annotates_and_never_share_a_group(
    one: list[ScanRecord], other: list[ScanRecord], tmp_path_factory: pytest.TempPathFactory
) -> None:
    root = tmp_path_factory.mktemp("merge")
    scans = with_pictures(root, [*one, *other])
    first, second = scans[: len(one)], scans[len(one) :]
    merged = merge({"one": first, "other": second})
    assert (merged.dropped, merged.disagreeing) == ((), ())
    assert [replace(record, group="", block="") for record in merged.records] == [
        replace(record, group="", block="") for record in scans
    ]
    before, after = merged.records[: len(first)], merged.records[len(first) :]
    for key in ("group", "block"):
        assert not {getattr(r, key) for r in before} & {getattr(r, key) for r in after}
        for old, new in ((first, before), (second, after)):
            assert partition(old, key) == partition(new, key)


def partition(records: Sequence[ScanRecord], key: str) -> set[frozenset[int]]:
    values = [getattr(record, key) for record in records]
    return {frozenset(index for index, other in enumerate(values) if other == value) for value in values}


def test_the_same_picture_with_boxes_that_agree_is_kept_once_and_its_groups_become_one(
    twins: tuple[Path, Path], tmp_path: Path
) -> None:
    draw_picture(tmp_path / "view.png", seed=2)
    nearly = replace(KNIFE, x_min=0.502)
    others = [scan(twins[1], nearly, group="bag"), scan(tmp_path / "view.png", group="bag")]
    merged = merge({"one": [scan(twins[0], KNIFE)], "two": others})
    kept, view = merged.records
    assert merged.dropped == (twins[1],)
    assert merged.disagreeing == ()
    assert (kept.image, kept.boxes) == (twins[0], (KNIFE,))
    assert kept.group == view.group


def test_what_only_the_second_annotates_is_added_to_the_first(twins: tuple[Path, Path]) -> None:
    one = scan(twins[0], KNIFE, metadata={"view": "top"})
    two = scan(twins[1], KNIFE, GUN, annotated=("knife", "gun"), metadata={"view": "side", "clutter": "2"})
    (kept,) = merge({"one": [one], "two": [two]}).records
    assert kept.boxes == (KNIFE, GUN)
    assert kept.annotated == {"knife", "gun"}
    assert kept.metadata == {"view": "top", "clutter": "2"}


@pytest.mark.parametrize(
    "two",
    [
        (replace(KNIFE, x_max=0.8),),
        (),
        (KNIFE, replace(KNIFE, x_min=0.1, x_max=0.2)),
        (replace(KNIFE, label="scissors"),),
    ],
)
def test_the_same_picture_with_other_boxes_is_kept_twice_in_one_group_and_reported(
    two: tuple[LabelledBox, ...], twins: tuple[Path, Path]
) -> None:
    merged = merge({"one": [scan(twins[0], KNIFE)], "two": [scan(twins[1], *two, annotated=("knife", "scissors"))]})
    assert merged.dropped == ()
    assert merged.disagreeing == (twins,)
    assert len(merged.records) == 2
    assert len({record.group for record in merged.records}) == 1


def test_repeats_within_one_collection_share_a_group_and_stay(twins: tuple[Path, Path]) -> None:
    merged = merge({"one": [scan(twins[0], KNIFE, group="g1"), scan(twins[1], KNIFE, group="g2")]})
    assert (merged.dropped, merged.disagreeing) == ((), ())
    assert len(merged.records) == 2
    assert len({record.group for record in merged.records}) == 1


def test_a_group_that_now_reaches_over_two_splits_is_told(twins: tuple[Path, Path]) -> None:
    merged = merge(
        {"one": [scan(twins[0], KNIFE)], "two": [scan(twins[1], GUN, annotated=("gun", "knife"), split="test")]}
    )
    assert len(merged.divided) == 1


# --- the command


def two_folders(root: Path, second: Mapping[str, Sequence[str]]) -> tuple[Path, Path]:
    one = write_folder(
        root / "one/scans", {"north": ("gun", "knife")}, [Drawn("north", (("knife", (30, 20, 60, 40)),))]
    )
    other = [Drawn("north", (("knife", (3, 2, 60, 40)),)), Drawn("north", (("knife", (9, 2, 60, 45)),))]
    return one, write_folder(root / "two/scans", second, other)


def test_folders_of_one_name_and_one_source_keep_their_own_annotated_sets(tmp_path: Path) -> None:
    folders = two_folders(tmp_path, {"north": ("knife",)})
    result = run(*folders, "--out", tmp_path / "out")
    assert result.exit_code == 0, result.output
    records = partial_yolo.read(tmp_path / "out")
    assert [record.annotated for record in records] == [{"gun", "knife"}, {"knife"}, {"knife"}]
    assert len({record.group for record in records}) == 3
    assert {digest(record) for record in records} == {
        digest(r) for folder in folders for r in partial_yolo.read(folder)
    }


def test_datasets_of_every_kind_merge_into_one_folder(tmp_path: Path) -> None:
    folders = [TREES[name](tmp_path / name) for name in ("opixray", "dvxray", "voc")]
    result = run(*folders, "--out", tmp_path / "out")
    assert result.exit_code == 0, result.output
    records = partial_yolo.read(tmp_path / "out")
    assert {"opixray", "dvxray"} <= {record.source for record in records}
    for record in records:
        assert {box.label for box in record.boxes} <= record.annotated


def test_what_was_dropped_and_what_disagrees_is_listed(tmp_path: Path) -> None:
    box: tuple[tuple[str, tuple[int, int, int, int]], ...] = (("knife", (30, 20, 60, 40)),)
    one = write_folder(tmp_path / "one", {"north": ("knife",)}, [Drawn("north", box), Drawn("north", width=90)])
    two = write_folder(tmp_path / "two", {"south": ("knife",)}, [Drawn("south", box), Drawn("south", width=90)])
    labels = two / "labels/train/south_001.txt"
    labels.write_text("0 0.5 0.5 0.1 0.2\n", encoding="utf-8")
    result = run(one, two, "--out", tmp_path / "out")
    assert result.exit_code == 0, result.output
    listed = json.loads((tmp_path / "out/merge.json").read_text(encoding="utf-8"))
    assert [Path(path).name for path in listed["dropped"]] == ["south_000.png"]
    assert [[Path(path).name for path in pair] for pair in listed["disagreeing"]] == [
        ["north_001.png", "south_001.png"]
    ]
    assert "1 pictures were there already" in result.output
    assert "the same picture with other boxes" in result.output
    assert len(partial_yolo.read(tmp_path / "out")) == 3


def test_merging_again_gives_the_same_files(tmp_path: Path) -> None:
    folders = two_folders(tmp_path, {"north": ("knife",)})
    assert run(*folders, "--out", tmp_path / "out").exit_code == 0
    before = {path: path.read_bytes() for path in (tmp_path / "out").rglob("*") if path.is_file()}
    assert run(*folders, "--out", tmp_path / "out").exit_code == 0
    assert {path: path.read_bytes() for path in (tmp_path / "out").rglob("*") if path.is_file()} == before


def test_a_fault_stops_unless_told_to_go_on(tmp_path: Path) -> None:
    one, two = two_folders(tmp_path, {"north": ("knife",)})
    (two / "labels/train/north_001.txt").unlink()
    assert run(one, two, "--out", tmp_path / "out").exit_code == 1
    result = run(one, two, "--out", tmp_path / "out", "--keep-going")
    assert result.exit_code == 0, result.output
    assert "missing_annotation: 1" in result.output
    assert len(partial_yolo.read(tmp_path / "out")) == 2


def test_the_faults_of_folders_of_one_name_are_listed_apart(tmp_path: Path) -> None:
    one, two = two_folders(tmp_path, {"north": ("knife",)})
    (two / "labels/train/north_001.txt").unlink()
    write_folder(one, {"north": ("gun", "knife")}, [Drawn("north", (("gun", (0, 0, 12, 8)),))] * 2)
    (one / "labels/train/north_000.txt").write_text("0 0.5 0.5 0.1\n", encoding="utf-8")
    result = run(one, two, "--out", tmp_path / "out", "--keep-going")
    assert result.exit_code == 0, result.output
    listed = json.loads((tmp_path / "out/faults.json").read_text(encoding="utf-8"))
    assert [(fault["kind"], fault["where"]) for fault in listed] == [
        ("bad_annotation", "scans/labels/train/north_000.txt, line 1"),
        ("missing_annotation", "scans:2/manifest.csv, line 3"),
    ]


def test_the_faults_of_an_earlier_run_do_not_stay(tmp_path: Path) -> None:
    one, two = two_folders(tmp_path, {"north": ("knife",)})
    labels = two / "labels/train/north_001.txt"
    rows = labels.read_text(encoding="utf-8")
    labels.unlink()
    assert run(one, two, "--out", tmp_path / "out", "--keep-going").exit_code == 0
    labels.write_text(rows, encoding="utf-8")
    assert run(one, two, "--out", tmp_path / "out").exit_code == 0
    assert not list((tmp_path / "out").glob("faults*"))


def test_a_folder_without_scans_is_an_error(tmp_path: Path) -> None:
    one, two = two_folders(tmp_path, {"north": ("knife",)})
    for manifest in (one / "manifest.csv", two / "manifest.csv"):
        manifest.write_text(manifest.read_text(encoding="utf-8").splitlines()[0] + "\n", encoding="utf-8")
    result = run(one, two, "--out", tmp_path / "out")
    assert result.exit_code == 1
    assert "gave no scan" in result.output


def test_a_missing_picture_is_a_fault_too(tmp_path: Path) -> None:
    one, two = two_folders(tmp_path, {"north": ("knife",)})
    (two / "images/train/north_001.png").unlink()
    result = run(one, two, "--out", tmp_path / "out")
    assert result.exit_code == 1
    assert "the picture is not there" in result.output
    result = run(one, two, "--out", tmp_path / "out", "--keep-going")
    assert result.exit_code == 0, result.output
    assert "missing_image: 1" in result.output


def test_a_folder_named_twice_is_refused(tmp_path: Path) -> None:
    one, _ = two_folders(tmp_path, {"north": ("knife",)})
    result = run(one, tmp_path / "one/../one/scans", "--out", tmp_path / "out")
    assert result.exit_code == 2
