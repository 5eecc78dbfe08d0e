from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

import pytest
from click.testing import CliRunner
from hypothesis import given
from hypothesis import strategies as st
from xray_training.commands.prepare import agnostic as command
from xray_training.datasets import partial_yolo
from xray_training.datasets.agnostic import COVERS, agnostic
from xray_training.datasets.record import ScanRecord

from tests.training.datasets.records import assert_same, collections_of_records, digest, sides
from tests.training.folders import Drawn, write_folder


@given(records=collections_of_records(), label=st.sampled_from(["item", "knife", "Ding"]))
def test_every_box_stays_where_it_is_under_one_label_and_keeps_its_own_name(
    records: list[ScanRecord], label: str
) -> None:
    for before, after in zip(records, agnostic(records, label=label), strict=True):
        assert [sides(box) for box in after.boxes] == [sides(box) for box in before.boxes]
        assert {box.label for box in after.boxes} <= {label}
        assert after.annotated == {label}
        for old, new in zip(before.boxes, after.boxes, strict=True):
            assert new.original or new.label == old.label
            assert (new.original or label) == (old.original or old.label)
        metadata = {COVERS: " ".join(sorted(before.annotated)), **before.metadata}
        assert after == replace(before, boxes=after.boxes, annotated=after.annotated, metadata=metadata)


@given(records=collections_of_records())
def test_doing_it_twice_changes_nothing_more(records: list[ScanRecord]) -> None:
    once = list(agnostic(records))
    assert list(agnostic(once)) == once


def test_the_command_writes_a_folder_of_one_class(tmp_path: Path) -> None:
    scans = [Drawn("north", (("knife", (30, 20, 60, 40)), ("gun", (0, 0, 12, 8)))), Drawn("south", split="test")]
    root = write_folder(tmp_path / "in", {"north": ("gun", "knife"), "south": ("knife",)}, scans)
    result = CliRunner().invoke(command, [str(root), "--out", str(tmp_path / "out")])
    assert result.exit_code == 0, result.output
    assert (tmp_path / "out/classes.txt").read_text(encoding="utf-8") == "item\n"
    assert_same(partial_yolo.read(tmp_path / "out"), agnostic(partial_yolo.read(root)))
    covered = {record.source: record.metadata[COVERS] for record in partial_yolo.read(tmp_path / "out")}
    assert covered == {"north": "gun knife", "south": "knife"}


def test_linked_pictures_are_the_same_files(tmp_path: Path) -> None:
    root = write_folder(tmp_path / "in", {"north": ("knife",)}, [Drawn("north")])
    result = CliRunner().invoke(command, [str(root), "--out", str(tmp_path / "out"), "--link"])
    assert result.exit_code == 0, result.output
    (before,), (after,) = partial_yolo.read(root), partial_yolo.read(tmp_path / "out")
    assert after.image.samefile(before.image)
    assert digest(after) == digest(before)


def test_a_folder_read_as_another_format_is_something_else(tmp_path: Path) -> None:
    root = write_folder(tmp_path / "in", {"north": ("knife",)}, [Drawn("north")])
    command_line = [str(root), "--out", str(tmp_path / "out")]
    assert CliRunner().invoke(command, command_line).exit_code == 0
    result = CliRunner().invoke(command, [*command_line, "--from", "yolo"])
    assert result.exit_code == 1
    assert "holds something else" in result.output


def test_a_long_name_is_cut_to_what_a_file_system_takes(tmp_path: Path) -> None:
    root = write_folder(tmp_path / "in", {"north": ("knife",)}, [Drawn("north")])
    long = "north_" + "行" * 78
    for folder, suffix in (("images", ".png"), ("labels", ".txt")):
        (root / folder / f"train/north_000{suffix}").rename(root / folder / f"train/{long}{suffix}")
    manifest = root / "manifest.csv"
    manifest.write_text(manifest.read_text(encoding="utf-8").replace("north_000", long), encoding="utf-8")
    result = CliRunner().invoke(command, [str(root), "--out", str(tmp_path / "out")])
    assert result.exit_code == 0, result.output
    (record,) = partial_yolo.read(tmp_path / "out")
    assert record.image.stem == "north_" + "行" * 38
    assert record.image.is_file()


def test_a_copy_that_differs_though_its_size_and_date_are_alike_is_copied_again(tmp_path: Path) -> None:
    root = write_folder(tmp_path / "in", {"north": ("knife",)}, [Drawn("north")])
    command_line = [str(root), "--out", str(tmp_path / "out")]
    assert CliRunner().invoke(command, command_line).exit_code == 0
    (before,), (after,) = partial_yolo.read(root), partial_yolo.read(tmp_path / "out")
    state = after.image.stat()
    after.image.write_bytes(bytes(state.st_size))
    os.utime(after.image, ns=(state.st_atime_ns, state.st_mtime_ns))
    assert CliRunner().invoke(command, command_line).exit_code == 0
    assert digest(after) == digest(before)


@pytest.mark.parametrize("label", ["", "  "])
def test_a_class_needs_a_name(label: str, tmp_path: Path) -> None:
    root = write_folder(tmp_path / "in", {"north": ("knife",)}, [Drawn("north")])
    result = CliRunner().invoke(command, [str(root), "--out", str(tmp_path / "out"), "--label", label])
    assert result.exit_code == 2


def test_the_help_says_what_the_background_may_hold() -> None:
    text = " ".join(CliRunner().invoke(command, ["--help"]).output.split())
    assert "unlabelled in what counts as background" in text
