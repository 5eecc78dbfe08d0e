from __future__ import annotations

import csv
import json
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner
from PIL import Image
from pycocotools.mask import decode
from xray_training.cli import main
from xray_training.datasets import partial_yolo
from xray_training.simulator.objects.library import LABELS
from xray_training.simulator.scene import simulate
from xray_training.simulator.write import labelled


def truths(folder: Path) -> dict[str, dict[str, object]]:
    lines = (folder / "truth.jsonl").read_text(encoding="utf-8").splitlines()
    return {Path(record["file"]).name: record for record in map(json.loads, lines)}


def test_written_scans_read_back_with_the_boxes_of_what_was_packed(simulated: Path) -> None:
    records = partial_yolo.read(simulated)
    assert len(records) == len(truths(simulated)) == 24
    for record in records[:8]:
        _, scanner, seed, _ = record.image.stem.split("_")
        scan = simulate(int(seed), scanner=scanner)
        np.testing.assert_array_equal(record.pixels(), scan.pixels)
        height, width = scan.pixels.shape[:2]
        shown = labelled(scan)
        assert [box.label for box in record.boxes] == [item.label for item in shown]
        expected = np.array([item.box for item in shown]).reshape(-1, 4)
        np.testing.assert_allclose(record.corners(width, height), expected, atol=0.01)
        assert record.annotated == frozenset(LABELS)


@pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")  # pycocotools' own decoder
def test_masks_in_the_truth_are_those_of_the_objects(simulated: Path) -> None:
    for file, truth in list(truths(simulated).items())[:4]:
        scan = simulate(int(str(truth["seed"])), scanner=str(truth["scanner"]))
        objects = truth["objects"]
        assert isinstance(objects, list)
        assert len(objects) == len(scan.objects), file
        for said, item in zip(objects, scan.objects, strict=True):
            whole = decode({"size": said["silhouette"]["size"], "counts": said["silhouette"]["counts"].encode()})
            left, top, right, bottom = (int(value) for value in item.box)
            np.testing.assert_array_equal(whole[top:bottom, left:right].astype(bool), item.silhouette)
            assert whole.sum() == item.silhouette.sum()
            assert tuple(said["materials"]) == item.materials


def test_scanners_take_turns_and_seeds_count_up(simulated: Path) -> None:
    with (simulated / "manifest.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["scanner"] for row in rows[:4]] == ["dogwood", "birch", "dogwood", "birch"]
    assert rows[0]["file"] == "images/train/simulated_dogwood_000007_top.png"
    assert rows[3]["file"] == "images/train/simulated_birch_000010_top.png"


def run(out: Path, *more: str) -> None:
    command = ["data", "simulate", "--out", str(out), "--scanner", "dogwood", "--processes", "1", *more]
    result = CliRunner().invoke(main, command, catch_exceptions=False)
    assert result.exit_code == 0, result.output


def test_a_stopped_run_goes_on_and_ends_like_one_that_was_not(tmp_path: Path) -> None:
    whole, halted = tmp_path / "whole", tmp_path / "halted"
    run(whole, "--count", "4")
    run(halted, "--count", "2")
    (halted / "images/train/simulated_dogwood_000002_top.png.part").write_bytes(b"half a picture")
    run(halted, "--count", "4")
    run(halted, "--count", "4")
    assert (halted / "manifest.csv").read_text() == (whole / "manifest.csv").read_text()
    assert (halted / "truth.jsonl").read_text() == (whole / "truth.jsonl").read_text()


@pytest.mark.parametrize("torn", ["manifest.csv", "truth.jsonl"])
def test_a_run_killed_in_the_middle_of_a_line_goes_on(tmp_path: Path, torn: str) -> None:
    whole, halted = tmp_path / "whole", tmp_path / "halted"
    run(whole, "--count", "3")
    run(halted, "--count", "3")
    text = (halted / torn).read_text()
    (halted / torn).write_text(text[:-20])
    run(halted, "--count", "3")
    for file in ("manifest.csv", "truth.jsonl"):
        assert sorted((halted / file).read_text().splitlines()) == sorted((whole / file).read_text().splitlines())


def test_a_folder_of_other_scans_is_left_alone(tmp_path: Path) -> None:
    run(tmp_path, "--count", "1", "--threat", "gun")
    before = (tmp_path / "manifest.csv").read_text()
    command = ["data", "simulate", "--out", str(tmp_path), "--count", "1", "--benign", "--processes", "1"]
    result = CliRunner().invoke(main, command)
    assert result.exit_code == 1
    assert "already holds something else" in result.output
    assert (tmp_path / "manifest.csv").read_text() == before


@pytest.mark.parametrize("split", ["../evil", "a/b", ""])
def test_a_split_that_is_no_name_of_a_folder_is_refused(tmp_path: Path, split: str) -> None:
    result = CliRunner().invoke(main, ["data", "simulate", "--out", str(tmp_path / "out"), "--split", split])
    assert result.exit_code == 2
    assert "letters, digits" in result.output


def test_a_folder_that_cannot_be_written_to_is_said_so(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    result = CliRunner().invoke(main, ["data", "simulate", "--out", str(tmp_path / "file" / "x"), "--count", "1"])
    assert result.exit_code == 1
    assert "cannot be written" in result.output


def test_two_views_of_a_bag_share_a_group(tmp_path: Path) -> None:
    run(tmp_path, "--count", "2", "--views", "both")
    records = partial_yolo.read(tmp_path)
    assert [record.image.stem[-4:] for record in records] == ["_top", "side", "_top", "side"]
    assert records[0].group == records[1].group != records[2].group


def test_a_split_can_be_named(tmp_path: Path) -> None:
    run(tmp_path, "--count", "1", "--split", "test")
    assert [record.split for record in partial_yolo.read(tmp_path)] == ["test"]


def test_benign_bags_say_so_and_hold_no_threat(tmp_path: Path) -> None:
    run(tmp_path, "--count", "2", "--benign")
    for truth in truths(tmp_path).values():
        objects = truth["objects"]
        assert isinstance(objects, list)
        assert not any(item["threat"] for item in objects)
    assert all(record.metadata["benign"] == "true" for record in partial_yolo.read(tmp_path))


def test_any_written_scan_can_be_made_again_alone(simulated: Path) -> None:
    with Image.open(simulated / "images/train/simulated_birch_000010_top.png") as picture:
        written = np.asarray(picture)
    np.testing.assert_array_equal(written, simulate(10, scanner="birch").pixels)


@pytest.mark.parametrize(
    "more", [["--benign", "--threat", "gun"], ["--benign", "--among", "gun"], ["--threat", "gun", "--among", "gun"]]
)
def test_ways_to_choose_threats_exclude_each_other(tmp_path: Path, more: list[str]) -> None:
    result = CliRunner().invoke(main, ["data", "simulate", "--out", str(tmp_path), *more])
    assert result.exit_code == 2
    assert "exclude" in result.output
