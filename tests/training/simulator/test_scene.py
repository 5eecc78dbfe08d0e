from __future__ import annotations

import hashlib
import os
import platform
import subprocess
import sys
import zlib
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.utils.data import DataLoader
from xray_training.simulator import scene
from xray_training.simulator.draw import Draw
from xray_training.simulator.materials import MATERIALS
from xray_training.simulator.objects import bags
from xray_training.simulator.objects.bags import Bag
from xray_training.simulator.objects.library import EVERYDAY, FAMILIES, LABELS, THREATS
from xray_training.simulator.scanners import SCANNERS, TRAINING_SCANNERS, WILD, scanner_names
from xray_training.simulator.scene import Contents, SimulatedScan, simulate, simulate_views
from xray_training.simulator.solids import Solid
from xray_training.simulator.stream import Sample, SimulatedScans

from tests.training.simulator.rays_of import paths, pose
from xray_agent_tools.taxonomy import taxonomy

SEVERE = {"critical", "high", "medium"}


def digest(scan: SimulatedScan) -> str:
    return hashlib.sha256(scan.pixels.tobytes()).hexdigest()[:16]


def test_every_threat_category_of_the_taxonomy_can_be_packed() -> None:
    assert set(THREATS) == {item.label for item in taxonomy().items if item.severity in SEVERE}


def test_there_are_as_many_kinds_as_the_documentation_says() -> None:
    assert (len(THREATS), len(EVERYDAY), len(FAMILIES)) == (29, 41, 70)


@pytest.mark.parametrize("label", THREATS)
@settings(max_examples=8)
@given(seed=st.integers(0, 10_000), angle=st.floats(-90, 90))
def test_no_ray_through_a_threat_is_negative(label: str, seed: int, angle: float) -> None:
    mesh = FAMILIES[label].make(Draw(seed)).mesh()
    for material in mesh.materials():
        assert paths(mesh, pose(angle, angle * 0.7, 20), material, pitch=1.5).min() > -1e-4, material


@pytest.mark.parametrize("kind", bags.KINDS)
@pytest.mark.parametrize("seed", range(3))
def test_no_ray_through_a_bag_is_negative(kind: Callable[[Draw], Bag], seed: int) -> None:
    mesh = kind(Draw(seed)).solid.mesh()
    for material in mesh.materials():
        assert paths(mesh, pose(20, 15, 0), material, pitch=2.0).min() > -1e-4, material


@pytest.mark.parametrize("scanner", scanner_names())
def test_the_same_seed_and_scanner_give_the_same_scan(scanner: str) -> None:
    first, second = simulate(11, scanner=scanner), simulate(11, scanner=scanner)
    assert first.pixels.tobytes() == second.pixels.tobytes()
    assert [item.box for item in first.objects] == [item.box for item in second.objects]


def test_scans_are_those_that_every_machine_makes() -> None:
    """A change of the simulator changes these; a change of machine, of NumPy or of its processor must not."""
    assert {name: digest(simulate(5, scanner=name)) for name in scanner_names()} == PINNED


@pytest.mark.slow
@pytest.mark.skipif(platform.machine() != "x86_64", reason="disables instructions of x86-64 processors")
def test_a_processor_without_wide_instructions_makes_the_same_scans() -> None:
    code = "from tests.training.simulator import test_scene as t; "
    code += "print(t.digest(t.simulate(5, scanner='wild')))"
    old = {"NPY_DISABLE_CPU_FEATURES": " ".join(WIDE & available()), "OPENBLAS_CORETYPE": "Prescott"}
    made = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, env={**os.environ, **old}
    )
    assert made.stdout.strip() == PINNED[WILD]


def available() -> set[str]:
    """The processor features that NumPy found and can do without."""
    found = np.show_config(mode="dicts")["SIMD Extensions"]["found"]
    return set(found)


WIDE = {"X86_V4", "X86_V3", "AVX512F", "AVX512CD", "AVX512_SKX", "AVX512_ICL", "AVX512_SPR", "AVX2", "FMA3"}


def test_another_seed_or_scanner_gives_another_scan() -> None:
    scans = [simulate(1), simulate(2), simulate(1, scanner="dogwood")]
    assert len({digest(scan) for scan in scans}) == 3


@pytest.mark.parametrize("seed", range(6))
def test_truth_lies_inside_the_picture_and_fits_its_masks(seed: int) -> None:
    scan = simulate(seed, scanner="dogwood", threats=("gun", "baton"))
    height, width = scan.pixels.shape[:2]
    for item in scan.objects:
        x_min, y_min, x_max, y_max = item.box
        assert 0 <= x_min < x_max <= width
        assert 0 <= y_min < y_max <= height
        assert item.silhouette.shape == item.visible.shape == (y_max - y_min, x_max - x_min)
        assert item.silhouette[0].any()
        assert item.silhouette[-1].any()
        assert item.silhouette[:, 0].any()
        assert item.silhouette[:, -1].any()
        assert not (item.visible & ~item.silhouette).any()
        assert item.occlusion == pytest.approx(1 - item.visible.sum() / item.silhouette.sum())
        assert set(item.materials) <= set(MATERIALS)


def test_what_is_asked_for_is_packed_once_each() -> None:
    scan = simulate(3, scanner="dogwood", threats=("gun", "knife", "knife"))
    assert sorted(item.label for item in scan.objects if item.threat) == ["gun", "knife", "knife"]


def test_packing_no_threats_gives_none() -> None:
    scan = simulate(3, scanner="dogwood", threats=())
    assert scan.objects
    assert not any(item.threat for item in scan.objects)


def test_a_third_to_a_half_of_the_bags_hold_no_threat() -> None:
    benign = [not scene._drawn_threats(Contents(), Draw(seed)) for seed in range(600)]
    assert 0.3 <= np.mean(benign) <= 0.5


def test_threats_are_drawn_from_those_named_and_no_more_than_asked() -> None:
    contents = Contents(among=("gun", "wrench"), most=4)
    drawn = [scene._drawn_threats(contents, Draw(seed)) for seed in range(200)]
    assert {label for labels in drawn for label in labels} == {"gun", "wrench"}
    assert max(len(labels) for labels in drawn) == 4


@pytest.mark.parametrize("wrong", [{"among": ()}, {"most": 0}])
def test_contents_that_nothing_can_be_drawn_from_are_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="at least one to draw"):
        Contents(**wrong)


def test_a_stream_without_a_scanner_is_refused() -> None:
    with pytest.raises(ValueError, match="at least one scanner"):
        SimulatedScans(scanners=())


def test_things_are_never_shown_smaller_than_they_are() -> None:
    """A fan beam magnifies: nothing lies beyond the detector."""
    (side,) = simulate_views(8, scanner="alder", contents=Contents(()), views=("side",))
    shell = bags.bag(Draw(8, zlib.crc32(b"alder"), 1)).solid.mesh()
    low, high = shell.extent()
    least = (high - low)[2] / SCANNERS["alder"].pitch_mm[1]
    dark = (side.pixels.min(axis=2) < 235).any(axis=1)
    assert np.ptp(np.flatnonzero(dark)) >= least * 0.9


def test_an_unknown_scanner_is_refused() -> None:
    with pytest.raises(KeyError, match="oak"):
        simulate(1, scanner="oak")


@pytest.fixture
def empty_bags(monkeypatch: pytest.MonkeyPatch) -> None:
    """Bags that do not show, with nothing everyday in them, so that only threats darken the picture."""

    def unseen(_: Draw) -> Bag:
        shell = Solid()
        shell.box("foam", (420, 300, 0.01))
        return Bag(shell, (420, 300, 150))

    monkeypatch.setattr(scene, "draw_bag", unseen)
    monkeypatch.setattr(scene, "_EVERYDAY", (0, 0))


@pytest.mark.usefixtures("empty_bags")
@pytest.mark.parametrize("label", sorted(THREATS))
@pytest.mark.parametrize("scanner", ["alder", "dogwood"])
def test_a_truth_box_is_drawn_around_what_was_packed(label: str, scanner: str, monkeypatch: pytest.MonkeyPatch) -> None:
    quiet = replace(SCANNERS[scanner], photons=1e12, electronic=0, row_gain=0, dead_rows=0, scatter=0, sharpening=0)
    monkeypatch.setitem(SCANNERS, scanner, quiet)
    scan = simulate(5, scanner=scanner, threats=(label,))
    (truth,) = scan.objects
    dark = scan.pixels.min(axis=2) < 251
    rows, columns = np.flatnonzero(dark.any(axis=1)), np.flatnonzero(dark.any(axis=0))
    seen = (columns[0], rows[0], columns[-1] + 1, rows[-1] + 1)
    assert truth.label == label
    assert truth.box == pytest.approx(seen, abs=5)
    assert truth.occlusion == 0


@pytest.mark.usefixtures("empty_bags")
def test_an_item_under_steel_is_occluded_and_the_steel_is_not(monkeypatch: pytest.MonkeyPatch) -> None:
    def lidded(_: Draw) -> Bag:
        shell = Solid()
        shell.box("lead", (600, 500, 20), (0, 0, 200))
        return Bag(shell, (420, 300, 150))

    monkeypatch.setattr(scene, "draw_bag", lidded)
    (hidden,) = simulate(5, threats=("gun",)).objects
    assert hidden.occlusion > 0.95


def test_two_views_show_the_same_things_along_the_same_belt() -> None:
    top, side = simulate_views(8, scanner="cedar", contents=Contents(("gun", "hammer")), views=("top", "side"))
    assert (top.view, side.view) == ("top", "side")
    along = {item.label: item.box[0] for item in top.objects if item.threat}
    also_along = {item.label: item.box[0] for item in side.objects if item.threat}
    assert along.keys() == also_along.keys() == {"gun", "hammer"}
    assert along["gun"] - along["hammer"] == pytest.approx(also_along["gun"] - also_along["hammer"], abs=4)
    assert digest(top) != digest(side)


def test_the_first_view_of_two_is_the_view_alone() -> None:
    alone = simulate(8, scanner="cedar")
    both = simulate_views(8, scanner="cedar", views=("top", "side"))
    assert digest(alone) == digest(both[0])


def test_torch_sees_what_numpy_sees_within_rounding() -> None:
    for seed, scanner in ((3, "elm"), (4, WILD)):
        plain = simulate_views(seed, scanner=scanner)[0]
        carried = simulate_views(seed, scanner=scanner, carry=torch.from_numpy)[0]
        difference = np.abs(plain.pixels.astype(int) - carried.pixels.astype(int))
        assert (difference > 0).mean() < 1e-4
        assert [item.box for item in plain.objects] == [item.box for item in carried.objects]


def test_scanners_for_testing_are_kept_out_of_training() -> None:
    held_out = {name for name, scanner in SCANNERS.items() if scanner.held_out}
    assert len(held_out) >= 2
    assert not held_out & set(TRAINING_SCANNERS)


def test_a_stream_gives_the_scans_that_the_simulator_makes() -> None:
    samples = list(SimulatedScans(seed=20, size=3, scanners=("dogwood", "birch")))
    assert [sample.seed for sample in samples] == [20, 21, 22]
    expected = simulate(21, scanner="birch")
    np.testing.assert_array_equal(samples[1].image.numpy().transpose(1, 2, 0), expected.pixels)
    assert len(samples[1].boxes) == len(samples[1].labels) > 0
    assert all(0 <= int(label) < len(LABELS) for label in samples[1].labels)


@pytest.mark.slow
def test_workers_divide_a_stream_without_repeating_a_scan() -> None:
    loader: DataLoader[Sample] = DataLoader(
        SimulatedScans(seed=40, size=7, scanners=("dogwood",)), batch_size=None, num_workers=2
    )
    assert sorted(sample.seed for sample in loader) == list(range(40, 47))


def test_everyday_things_that_have_a_label_are_labelled() -> None:
    assert {"laptop", "phone", "bottle", "book", "umbrella", "shoes"} <= set(LABELS) & set(EVERYDAY)


PINNED: dict[str, str] = {
    "alder": "208983b093df85b7",
    "birch": "d6e2212336d9851c",
    "cedar": "28dedd7217acde93",
    "dogwood": "ca41b57703186657",
    "elm": "ef39208b1440c867",
    "fir": "d2a213f5700031db",
    "hazel": "77034182293bbba5",
    "juniper": "17356526f7e82d69",
    "wild": "efdc2ef47e721041",
}
