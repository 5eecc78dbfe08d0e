from __future__ import annotations

import csv
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from PIL import Image
from xray_training.cli import main
from xray_training.datasets import partial_yolo
from xray_training.simulator import scene
from xray_training.simulator.materials import ATTENUATION_PER_MM, INDEX, MATERIALS, WEIGHTS_HIGH, WEIGHTS_LOW
from xray_training.simulator.palette import SCANNERS, colourise
from xray_training.simulator.physics import transmit
from xray_training.simulator.scene import simulate
from xray_training.simulator.solids import Solid
from xray_training.simulator.threats import THREATS

Colour = tuple[int, int, int]


def stack(**millimetres: float) -> NDArray[np.float32]:
    """One ray through the given materials."""
    thickness = np.zeros((len(MATERIALS), 1, 1), np.float32)
    for name, depth in millimetres.items():
        thickness[INDEX[name]] = depth
    return thickness


def colour_of(scanner: str, material: str, depth: float) -> Colour:
    red, green, blue = colourise(*transmit(stack(**{material: depth})), SCANNERS[scanner])[0, 0].tolist()
    return red, green, blue


stacks = st.dictionaries(st.sampled_from(MATERIALS), st.floats(0.0, 20.0), max_size=4).map(lambda m: stack(**m))


# --- physics


def test_an_empty_ray_passes_whole() -> None:
    low, high = transmit(stack())
    assert low.item() == pytest.approx(1.0, abs=1e-3)
    assert high.item() == pytest.approx(1.0, abs=1e-3)


@given(below=stacks, above=stacks)
def test_transmissions_of_stacked_solids_multiply_at_each_energy(
    below: NDArray[np.float32], above: NDArray[np.float32]
) -> None:
    at_each_energy = [np.exp(-ATTENUATION_PER_MM.T @ part[:, 0, 0].astype(np.float64)) for part in (below, above)]
    product = at_each_energy[0] * at_each_energy[1]
    low, high = transmit(below + above)
    assert low.item() == pytest.approx(WEIGHTS_LOW @ product, rel=1e-5, abs=1e-12)
    assert high.item() == pytest.approx(WEIGHTS_HIGH @ product, rel=1e-5, abs=1e-12)


@given(below=stacks, material=st.sampled_from(MATERIALS), depth=st.floats(0.1, 20.0))
def test_more_material_never_lets_more_through(below: NDArray[np.float32], material: str, depth: float) -> None:
    before, after = transmit(below), transmit(below + stack(**{material: depth}))
    for without, with_more in zip(before, after, strict=True):
        assert 0.0 <= with_more.item() < without.item()


@given(material=st.sampled_from(MATERIALS), depth=st.floats(0.1, 20.0))
def test_beams_harden_so_a_second_layer_takes_a_smaller_share(material: str, depth: float) -> None:
    for one, two in zip(transmit(stack(**{material: depth})), transmit(stack(**{material: 2 * depth})), strict=True):
        assert two.item() >= one.item() ** 2 * (1 - 1e-3)


def test_transmission_keeps_the_shape_of_the_thickness_map() -> None:
    low, high = transmit(np.zeros((len(MATERIALS), 3, 5), np.float32))
    assert low.shape == high.shape == (3, 5)


# --- colours


def is_orange(colour: Colour) -> bool:
    red, green, blue = colour
    return red > green + 8 and green > blue + 8


def is_green(colour: Colour) -> bool:
    red, green, blue = colour
    return green > red + 8 and green > blue + 8


def is_blue(colour: Colour) -> bool:
    red, green, blue = colour
    return blue > green + 8 and green > red + 8


def is_black(colour: Colour) -> bool:
    return max(colour) < 16


@pytest.mark.parametrize("scanner", sorted(SCANNERS))
@pytest.mark.parametrize(
    ("material", "depth", "looks"),
    [
        ("water", 10, is_orange),
        ("water", 80, is_orange),
        ("polyethylene", 20, is_orange),
        ("aluminium", 3, is_green),
        ("aluminium", 10, is_green),
        ("glass", 3, is_green),
        ("glass", 10, is_green),
        ("steel", 1, is_blue),
        ("steel", 5, is_blue),
        ("copper", 2, is_blue),
        ("steel", 40, is_black),
        ("lead", 5, is_black),
    ],
)
def test_every_scanner_shows_a_material_in_its_colour(
    scanner: str, material: str, depth: float, looks: Callable[[Colour], bool]
) -> None:
    colour = colour_of(scanner, material, depth)
    assert looks(colour), colour


@pytest.mark.parametrize("scanner", sorted(SCANNERS))
def test_nothing_on_the_belt_looks_white(scanner: str) -> None:
    air = np.ones((1, 1))
    assert colourise(air, air, SCANNERS[scanner])[0, 0].tolist() == [255, 255, 255]


@given(material=st.sampled_from(["water", "aluminium", "steel"]), depth=st.floats(1.0, 10.0))
def test_thicker_looks_darker(material: str, depth: float) -> None:
    assert sum(colour_of("alder", material, 2 * depth)) < sum(colour_of("alder", material, depth))


# --- scenes


@pytest.mark.parametrize("scanner", sorted(SCANNERS))
def test_the_same_seed_and_scanner_give_the_same_scan(scanner: str) -> None:
    first, second = simulate(11, scanner=scanner), simulate(11, scanner=scanner)
    assert first.pixels.tobytes() == second.pixels.tobytes()
    assert first.objects == second.objects


def test_another_seed_or_scanner_gives_another_scan() -> None:
    scans = [simulate(1), simulate(2), simulate(1, scanner="dogwood")]
    assert len({scan.pixels.tobytes() for scan in scans}) == 3


@pytest.mark.parametrize("seed", range(6))
def test_truth_lies_inside_the_picture(seed: int) -> None:
    scan = simulate(seed, scanner="dogwood", threats=("gun", "baton"))
    height, width = scan.pixels.shape[:2]
    for item in scan.objects:
        x_min, y_min, x_max, y_max = item.box
        assert 0 <= x_min < x_max <= width + 0.5
        assert 0 <= y_min < y_max <= height + 0.5
        assert 0 <= item.occlusion <= 1


def test_what_is_asked_for_is_packed_once_each() -> None:
    scan = simulate(3, scanner="dogwood", threats=("gun", "knife", "knife"))
    assert sorted(item.label for item in scan.objects if item.threat) == ["gun", "knife", "knife"]


def test_packing_no_threats_gives_none() -> None:
    scan = simulate(3, scanner="dogwood", threats=())
    assert scan.objects
    assert not any(item.threat for item in scan.objects)


@pytest.fixture
def empty_bags(monkeypatch: pytest.MonkeyPatch) -> None:
    """Bags without shell, cloth or everyday things, so that only threats darken the picture."""

    def nothing(*_: Any) -> Solid:
        return Solid(10, 10)

    def no_bag(width: int, height: int, _: np.random.Generator) -> Solid:
        return Solid(width, height)

    monkeypatch.setattr(scene, "bag", no_bag)
    monkeypatch.setattr(scene, "EVERYDAY", {"nothing": nothing})


@pytest.mark.usefixtures("empty_bags")
@pytest.mark.parametrize("label", sorted(THREATS))
@pytest.mark.parametrize("scanner", ["alder", "dogwood"])
def test_a_truth_box_is_drawn_around_what_was_packed(label: str, scanner: str) -> None:
    scan = simulate(5, scanner=scanner, threats=(label,))
    (truth,) = scan.objects
    dark = scan.pixels.min(axis=2) < 225
    rows, columns = np.flatnonzero(dark.any(axis=1)), np.flatnonzero(dark.any(axis=0))
    seen = (columns[0], rows[0], columns[-1] + 1, rows[-1] + 1)
    assert truth.label == label
    assert truth.box == pytest.approx(seen, abs=3)
    assert truth.occlusion == 0


# --- writing


def test_written_scans_read_back_with_the_boxes_of_their_truth(simulated: Path) -> None:
    truth = json.loads((simulated / "truth.json").read_text(encoding="utf-8"))
    records = partial_yolo.read(simulated)
    assert len(records) == len(truth) == 24
    threats = 0
    for record in records:
        pixels = record.pixels()
        packed = [item for item in truth[record.image.name]["objects"] if item["threat"]]
        threats += len(packed)
        height, width = pixels.shape[:2]
        assert [box.label for box in record.boxes] == [item["label"] for item in packed]
        expected = np.array([item["box"] for item in packed]).reshape(-1, 4)
        expected = expected.clip(0, [width, height, width, height])
        np.testing.assert_allclose(record.corners(width, height), expected, atol=0.01)
        assert record.annotated == frozenset(THREATS)
    assert threats > 0


def test_scanners_take_turns_and_seeds_count_up(simulated: Path) -> None:
    with (simulated / "manifest.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["scanner"] for row in rows[:4]] == ["dogwood", "birch", "dogwood", "birch"]
    assert rows[0]["file"] == "images/train/simulated_dogwood_000007.png"
    assert rows[3]["file"] == "images/train/simulated_birch_000010.png"


def test_any_written_scan_can_be_made_again_alone(simulated: Path) -> None:
    with Image.open(simulated / "images/train/simulated_birch_000010.png") as picture:
        written = np.asarray(picture)
    np.testing.assert_array_equal(written, simulate(10, scanner="birch").pixels)


def test_benign_bags_and_chosen_threats_exclude_each_other(tmp_path: Path) -> None:
    command = ["data", "simulate", "--out", str(tmp_path), "--benign", "--threat", "gun"]
    result = CliRunner().invoke(main, command)
    assert result.exit_code == 2
    assert "exclude each other" in result.output
