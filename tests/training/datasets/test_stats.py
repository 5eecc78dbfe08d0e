from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import click
import pytest
from click.testing import CliRunner
from PIL import Image
from xray_training.commands.inspect import audit, compare, stats

from tests.training.datasets.bags import TESTING, TRAINING, change_manifest, label_file, picture, write_bags, write_rows

PLOTS = ("classes", "box_sizes", "centres", "pictures")


def run(root: Path, out: Path, *options: str) -> list[dict[str, Any]]:
    command = [str(root), "--out", str(out), "--processes", "1", *options]
    result = CliRunner().invoke(stats, command, catch_exceptions=False)
    assert result.exit_code == 0, result.output
    groups: list[dict[str, Any]] = json.loads((out / "stats.json").read_text(encoding="utf-8"))["groups"]
    return groups


@pytest.fixture
def bags(tmp_path: Path) -> Path:
    return write_bags(tmp_path / "bags")


def test_scans_and_boxes_are_counted_by_source_split_and_scanner(bags: Path, tmp_path: Path) -> None:
    change_manifest(bags, 0, {"scanner": "north-2"})
    label_file(bags, 1).write_text("")
    found = run(bags, tmp_path / "out")
    keys = [(group["source"], group["split"], group["scanner"], group["scans"], group["boxes"]) for group in found]
    assert keys == [
        ("north", "test", "north-1", TESTING, 2 * TESTING),
        ("north", "train", "north-1", TRAINING - 1, 2 * (TRAINING - 2)),
        ("north", "train", "north-2", 1, 2),
    ]
    assert found[1]["benign_share"] == pytest.approx(1 / (TRAINING - 1))
    assert found[1]["boxes_on_a_scan"] == {"0": 1, "2": TRAINING - 2}


def test_classes_have_their_support_and_the_size_of_their_boxes(bags: Path, tmp_path: Path) -> None:
    write_rows(label_file(bags, 0), [[0, 0.5, 0.5, 0.25, 0.1], [0, 0.3, 0.3, 0.5, 0.1]])
    change_manifest(bags, 0, {"scanner": "alone"})
    group = next(group for group in run(bags, tmp_path / "out") if group["scanner"] == "alone")
    (knife,) = group["classes"]
    assert (knife["label"], knife["boxes"], knife["scans"]) == ("knife", 2, 1)
    assert (knife["longest_side_px"]["least"], knife["longest_side_px"]["greatest"]) == pytest.approx((40, 80))
    assert knife["share_of_frame"]["mean"] == pytest.approx((0.025 + 0.05) / 2)
    assert group["annotated_without_box"] == ["gun"]
    assert group["box_aspect"]["greatest"] == pytest.approx(80 / 12)


def test_pictures_are_measured(bags: Path, tmp_path: Path) -> None:
    Image.new("RGB", (200, 50), (90, 90, 90)).save(picture(bags, 0))
    change_manifest(bags, 0, {"scanner": "grey"})
    found = {group["scanner"]: group for group in run(bags, tmp_path / "out", "--split", "train")}
    assert found["grey"]["greyscale_share"] == 1
    assert found["grey"]["brightness"]["mean"] == pytest.approx(90)
    assert (found["grey"]["width_px"]["p50"], found["grey"]["aspect"]["p50"]) == (200, 4)
    assert found["north-1"]["greyscale_share"] == 0
    assert found["north-1"]["aspect"]["p50"] == pytest.approx(4 / 3)


def test_pictures_that_cannot_be_read_are_counted_and_left_out(bags: Path, tmp_path: Path) -> None:
    picture(bags, 0).write_text("no picture")
    change_manifest(bags, 0, {"scanner": "broken"})
    group = next(group for group in run(bags, tmp_path / "out") if group["scanner"] == "broken")
    assert (group["scans"], group["unreadable"], group["boxes"]) == (1, 1, 2)
    assert group["width_px"] is None
    assert group["classes"] == []


def test_the_page_and_the_plots_are_written(bags: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    run(bags, out)
    page = (out / "STATS.md").read_text(encoding="utf-8")
    assert "| north | train | north-1 | 22 | 0% | 44 | 2.00 |" in page
    for name in PLOTS:
        with Image.open(out / f"{name}.png") as plot:
            assert len(set(plot.convert("L").resize((300, 160)).tobytes())) > 20


def test_a_folder_of_mere_pictures_has_statistics_too(tmp_path: Path) -> None:
    (tmp_path / "pictures").mkdir()
    Image.new("L", (30, 20), 200).save(tmp_path / "pictures" / "a.png")
    (group,) = run(tmp_path / "pictures", tmp_path / "out")
    assert (group["source"], group["scans"], group["boxes"], group["classes"]) == ("pictures", 1, 0, [])
    assert (tmp_path / "out" / "centres.png").is_file()


@pytest.mark.parametrize(
    ("command", "folders", "status"), [(stats, 1, 1), (compare, 2, 1), (audit, 1, 3)], ids=["stats", "compare", "audit"]
)
def test_a_folder_that_cannot_be_written_is_told(
    command: click.Command, folders: int, status: int, bags: Path, tmp_path: Path
) -> None:
    (tmp_path / "file").write_text("in the way", encoding="utf-8")
    result = CliRunner().invoke(command, [str(bags)] * folders + ["--out", str(tmp_path / "file" / "out")])
    assert result.exit_code == status
    assert isinstance(result.exception, SystemExit)
    assert "Not a directory" in result.output


def test_what_was_measured_is_kept_apart_from_a_line_that_was_being_written(bags: Path, tmp_path: Path) -> None:
    kept = tmp_path / "out/examined.jsonl"
    run(bags, tmp_path / "out")
    lines = kept.read_text(encoding="utf-8").splitlines()
    kept.write_text("\n".join(lines[:-2]) + "\n" + lines[-2][:40], encoding="utf-8")
    run(bags, tmp_path / "out")
    resumed = kept.read_text(encoding="utf-8").splitlines()
    assert resumed == [*lines[:-2], lines[-2][:40], *lines[-2:]]


def test_a_dataset_that_is_not_known_is_an_error_of_the_command_line(bags: Path, tmp_path: Path) -> None:
    result = CliRunner().invoke(audit, [str(bags), "--from", "opixry", "--out", str(tmp_path / "out")])
    assert result.exit_code == 2
    assert "opixray" in result.output


def test_an_empty_folder_is_refused_with_the_next_step(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    result = CliRunner().invoke(stats, [str(tmp_path / "empty"), "--out", str(tmp_path / "out")])
    assert result.exit_code == 1
    assert "give a dataset or a folder of pictures" in result.output
