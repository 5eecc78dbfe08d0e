from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from xray_training.cli import main
from xray_training.datasets import partial_yolo
from xray_training.detector.augment import Sample
from xray_training.detector.projecting import Projector
from xray_training.projection import Reading, Threat, cut_out, project, read_scan, simulated_threat
from xray_training.simulator.draw import Draw
from xray_training.simulator.scene import simulate

from tests.training.folders import Drawn, write_folder
from xray_agent_tools.errors import InvalidArgument


@pytest.fixture(scope="module")
def bag() -> NDArray[np.uint8]:
    return simulate(21, scanner="alder", threats=()).pixels


@pytest.fixture(scope="module")
def reading(bag: NDArray[np.uint8]) -> Reading:
    return read_scan(bag, pitch_mm=1.2)


def plate(transmission: float, size: int = 30) -> Threat:
    """A square that lets an even share of both energies through, with nothing around it."""
    through = np.ones((2, size + 10, size + 10))
    through[:, 5:-5, 5:-5] = transmission
    return Threat("gun", through, 1.2)


def test_a_projected_threat_changes_nothing_outside_its_window(reading: Reading) -> None:
    added = project(reading, simulated_threat("gun", Draw(1), pitch_mm=1.2), Draw(2))
    assert added is not None
    changed = (added.pixels != reading.pixels).any(axis=2)
    rows, columns = np.flatnonzero(changed.any(axis=1)), np.flatnonzero(changed.any(axis=0))
    left, top, right, bottom = added.box
    assert columns[0] >= left - 3
    assert columns[-1] <= right + 3
    assert rows[0] >= top - 3
    assert rows[-1] <= bottom + 3


@settings(max_examples=15)
@given(seed=st.integers(0, 1000), label=st.sampled_from(["gun", "knife", "wrench", "explosive", "lighter"]))
def test_a_projected_threat_makes_its_place_darker_and_never_brighter(reading: Reading, seed: int, label: str) -> None:
    added = project(reading, simulated_threat(label, Draw(seed), pitch_mm=1.2), Draw(seed, 1))
    assume(added is not None)
    assert added is not None
    left, top, right, bottom = (int(value) for value in added.box)
    inside = slice(top, bottom), slice(left, right)
    before, after = reading.pixels[inside].mean(), added.pixels[inside].mean()
    assert after < before
    assert 0 <= added.hidden <= 1
    height, width = reading.pixels.shape[:2]
    assert 0 <= left < right <= width
    assert 0 <= top < bottom <= height


def test_attenuations_add_so_two_plates_darken_like_one_of_their_product(reading: Reading) -> None:
    bright = Reading(reading.pixels, reading.palette, 1e9, reading.content, 1.2)
    left, top, right, bottom = reading.content
    corner = ((left + right) // 2 - 20, (top + bottom) // 2 - 20)
    once = project(bright, plate(0.35), Draw(0), at=corner)
    first = project(bright, plate(0.7), Draw(0), at=corner)
    assert once is not None
    assert first is not None
    twice = project(Reading(first.pixels, reading.palette, 1e9, reading.content, 1.2), plate(0.5), Draw(0), at=corner)
    assert twice is not None
    window = slice(corner[1] + 10, corner[1] + 30), slice(corner[0] + 10, corner[0] + 30)
    assert np.abs(once.pixels[window].astype(int) - twice.pixels[window]).mean() < 8


def test_what_lets_everything_through_changes_nothing(reading: Reading) -> None:
    threat = Threat("gun", np.ones((2, 20, 20)), 1.2)
    assert project(reading, threat, Draw(0)) is None


def test_a_threat_larger_than_the_bag_is_not_projected(reading: Reading) -> None:
    assert project(reading, plate(0.5, size=3000), Draw(0)) is None


def test_the_same_draw_projects_the_same_pixels(reading: Reading) -> None:
    threat = simulated_threat("pliers", Draw(3), pitch_mm=1.2)
    first, second = project(reading, threat, Draw(4)), project(reading, threat, Draw(4))
    assert first is not None
    assert second is not None
    np.testing.assert_array_equal(first.pixels, second.pixels)


def test_a_grey_scan_stays_grey() -> None:
    pixels = simulate(21, scanner="fir", threats=()).pixels
    grey = read_scan(pixels, pitch_mm=1.2)
    assert grey.palette.saturation == 0
    added = project(grey, simulated_threat("gun", Draw(1), pitch_mm=1.2), Draw(2))
    assert added is not None
    assert np.ptp(added.pixels.astype(int), axis=2).max() <= 2


def test_steel_projected_into_a_colour_scan_is_blue_or_black(reading: Reading) -> None:
    added = project(reading, simulated_threat("wrench", Draw(5), pitch_mm=1.2), Draw(6))
    assert added is not None
    left, top, right, bottom = (int(value) for value in added.box)
    before, after = (p[top:bottom, left:right].astype(int) for p in (reading.pixels, added.pixels))
    struck = (before.sum(axis=2) - after.sum(axis=2)) > 90
    assert struck.any()
    assert (after[struck][:, 2] > after[struck][:, 0]).mean() > 0.7


def test_a_scan_is_read_back_as_the_transmissions_that_made_it(reading: Reading) -> None:
    window = slice(0, 10), slice(0, 10)
    np.testing.assert_allclose(reading.transmissions(window), 1.0, atol=0.12)
    left, top, right, bottom = reading.content
    inside = reading.transmissions((slice(top, bottom), slice(left, right)))
    assert (inside[0] <= inside[1] + 1e-9).all()
    assert inside.min() < 0.3


def test_a_cut_out_is_what_the_item_lets_through() -> None:
    pixels = np.full((120, 160, 3), 255, dtype=np.uint8)
    pixels[40:80, 50:110] = 120
    threat = cut_out(read_scan(pixels, pitch_mm=1.0), "gun", (45, 35, 115, 85))
    ys, xs = np.nonzero(threat.silhouette)
    assert (xs.min(), ys.min(), xs.max() + 1, ys.max() + 1) == (5, 5, 65, 45)
    assert threat.transmissions.max() <= 1


@pytest.mark.parametrize("box", [(5000, 5000, 5100, 5100), (10, 10, 10.5, 40), (40, 10, 20, 40)])
def test_a_box_without_pixels_cannot_be_cut_out(reading: Reading, box: tuple[float, float, float, float]) -> None:
    with pytest.raises(InvalidArgument, match="pixels"):
        cut_out(reading, "gun", box)


def test_an_empty_place_cannot_be_cut_out() -> None:
    with pytest.raises(InvalidArgument, match="darker"):
        cut_out(read_scan(np.full((100, 100, 3), 255, dtype=np.uint8)), "gun", (20, 20, 60, 60))


def test_a_thing_that_is_not_simulated_is_refused_with_what_is() -> None:
    with pytest.raises(InvalidArgument) as refusal:
        simulated_threat("unicorn", Draw(0), pitch_mm=1.0)
    assert "wrench" in refusal.value.hint


@pytest.mark.parametrize("factor", [0.5, 2.0])
def test_a_threat_at_another_scale_keeps_its_size_in_millimetres(factor: float) -> None:
    threat = simulated_threat("handcuffs", Draw(2), pitch_mm=1.0)
    scaled = threat.at(factor)
    assert scaled.silhouette.shape[1] * factor == pytest.approx(threat.silhouette.shape[1], abs=2)


def test_augmentation_adds_a_box_of_a_class_that_the_source_annotates(bag: NDArray[np.uint8]) -> None:
    sample = Sample(bag, np.zeros((0, 4), np.float32), np.zeros(0, np.int64))
    projector = Projector(["gun", "knife", "unicorn"])
    rng = np.random.default_rng(1)
    added = [projector.add(0, sample, np.array([False, True, True]), rng) for _ in range(6)]
    assert {int(label) for one in added for label in one.labels} == {1}
    assert all(len(one.boxes) == len(one.labels) for one in added)


def test_augmentation_leaves_a_scan_alone_whose_source_annotates_nothing_simulated(bag: NDArray[np.uint8]) -> None:
    sample = Sample(bag, np.zeros((0, 4), np.float32), np.zeros(0, np.int64))
    assert Projector(["unicorn"]).add(0, sample, np.array([True]), np.random.default_rng(0)) is sample


# --- the command


@pytest.fixture(scope="module")
def benign(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("benign") / "scans"
    command = ["data", "simulate", "--out", str(out), "--count", "3", "--seed", "60", "--scanner", "birch"]
    result = CliRunner().invoke(main, [*command, "--benign", "--processes", "1"], catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return out


def run(*arguments: str) -> tuple[int, str]:
    result = CliRunner().invoke(main, ["data", "project", *arguments])
    assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
    return result.exit_code, result.output


def test_projecting_into_a_folder_gives_scans_with_one_box_more(benign: Path, tmp_path: Path) -> None:
    status, output = run(str(benign), "--out", str(tmp_path / "out"), "--label", "gun", "--seed", "3")
    assert status == 0, output
    before = {record.image.stem: record for record in partial_yolo.read(benign)}
    truth = [json.loads(line) for line in (tmp_path / "out/truth.jsonl").read_text().splitlines()]
    after = partial_yolo.read(tmp_path / "out")
    assert len(after) == len(truth) > 0
    for record, said in zip(after, truth, strict=True):
        original = before[Path(said["scan"]).stem]
        assert len(record.boxes) == len(original.boxes) + 1
        assert record.boxes[-1].label == "gun"
        assert record.group == original.group
        height, width = record.pixels().shape[:2]
        np.testing.assert_allclose(record.corners(width, height)[-1], said["projected"][0]["box"], atol=0.01)


def test_a_stopped_projection_goes_on_and_ends_like_one_that_was_not(benign: Path, tmp_path: Path) -> None:
    whole, halted = tmp_path / "whole", tmp_path / "halted"
    assert run(str(benign), "--out", str(whole), "--label", "gun")[0] == 0
    assert run(str(benign), "--out", str(halted), "--label", "gun", "--limit", "1")[0] == 0
    assert run(str(benign), "--out", str(halted), "--label", "gun")[0] == 0
    for file in ("manifest.csv", "truth.jsonl"):
        assert (halted / file).read_text() == (whole / file).read_text()


def test_a_folder_of_another_projection_is_left_alone(benign: Path, tmp_path: Path) -> None:
    assert run(str(benign), "--out", str(tmp_path), "--label", "gun")[0] == 0
    status, output = run(str(benign), "--out", str(tmp_path), "--label", "knife")
    assert status == 1
    assert "already holds something else" in output


def test_cut_outs_of_annotated_scans_can_be_projected(benign: Path, tmp_path: Path) -> None:
    armed = tmp_path / "armed"
    command = ["data", "simulate", "--out", str(armed), "--count", "2", "--scanner", "birch", "--threat", "wrench"]
    assert CliRunner().invoke(main, [*command, "--processes", "1"]).exit_code == 0
    status, output = run(
        str(benign), "--out", str(tmp_path / "out"), "--label", "wrench", "--cut-outs", str(armed), "--per-scan", "2"
    )
    assert status == 0, output
    truth = [json.loads(line) for line in (tmp_path / "out/truth.jsonl").read_text().splitlines()]
    items = [item for said in truth for item in said["projected"]]
    assert {item["label"] for item in items} == {"wrench"}
    assert {item["origin"] for item in items} & {path.name for path in (armed / "images/train").iterdir()}


def test_scans_that_hold_nothing_to_cut_out_are_refused(benign: Path, tmp_path: Path) -> None:
    status, output = run(str(benign), "--out", str(tmp_path / "out"), "--label", "gun", "--cut-outs", str(benign))
    assert status == 1
    assert "nothing can be cut out" in output


def test_classes_keep_their_numbers_when_a_run_goes_on_with_more_scans(benign: Path, tmp_path: Path) -> None:
    assert run(str(benign), "--out", str(tmp_path), "--label", "gun", "--limit", "1")[0] == 0
    (first,) = partial_yolo.read(tmp_path)
    assert run(str(benign), "--out", str(tmp_path), "--label", "gun")[0] == 0
    assert partial_yolo.read(tmp_path)[0].boxes == first.boxes


def test_scans_whose_source_annotates_none_of_the_labels_are_counted_apart(tmp_path: Path) -> None:
    scans = [
        Drawn("opixray", width=400, height=300),
        Drawn("sixray", (("gun", (20, 20, 380, 280)),), width=400, height=300),
    ]
    folder = write_folder(tmp_path / "in", {"opixray": ["knife"], "sixray": ["gun"]}, scans)
    status, output = run(str(folder), "--out", str(tmp_path / "out"), "--label", "gun", "--pitch", "2")
    assert status == 0, output
    assert "1 scans were left out" in output


def test_mere_pictures_need_somebody_who_vouches_for_them(benign: Path, tmp_path: Path) -> None:
    pictures = benign / "images/train"
    status, output = run(str(pictures), "--out", str(tmp_path / "a"), "--label", "gun")
    assert status != 0
    assert "--from" in output
    status, output = run(str(pictures), "--out", str(tmp_path / "b"), "--label", "gun", "--vouch")
    assert status == 0, output
    assert {box.label for record in partial_yolo.read(tmp_path / "b") for box in record.boxes} == {"gun"}


def test_labels_that_no_source_annotates_are_refused(tmp_path: Path) -> None:
    folder = write_folder(tmp_path / "in", {"opixray": ["knife"]}, [Drawn("opixray")])
    status, output = run(str(folder), "--out", str(tmp_path / "out"), "--label", "gun")
    assert status == 1
    assert "unknown, not absent" in output
