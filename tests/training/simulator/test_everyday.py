from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from xray_training.simulator.draw import Draw
from xray_training.simulator.materials import GRAMS_PER_MM3
from xray_training.simulator.objects import apparel, electronics, household, vessels
from xray_training.simulator.objects.family import Family
from xray_training.simulator.objects.forms import boxes, inset, repeated
from xray_training.simulator.solids import Mesh, Outline, Solid, disc, rounded, turn

from tests.training.simulator.rays_of import paths, pose
from xray_agent_tools.taxonomy import taxonomy

FAMILIES = {family.label: family for module in (electronics, vessels, apparel, household) for family in module.FAMILIES}

WITHOUT_ENTRY = {
    "cable",
    "candle",
    "carabiner",
    "food",
    "glasses",
    "hair_brush",
    "hanger",
    "hat",
    "jewellery",
    "medicine",
    "padlock",
    "playing_cards",
    "sewing_kit",
    "sponge",
    "toothbrush",
    "watch",
}

OUTLINES: list[Outline] = [
    disc(20),
    rounded(60, 30, 15),
    rounded(60, 30, 1),
    [(0, 0), (40, 0), (40, 9), (9, 9), (9, 40), (0, 40)],
]

every_family = pytest.mark.parametrize("family", FAMILIES.values(), ids=list(FAMILIES))
seeds = st.integers(0, 10**6)
angles = st.floats(-180.0, 180.0)


def made(family: Family, seed: int) -> Mesh:
    return family.make(Draw(seed)).mesh()


def size(mesh: Mesh) -> list[float]:
    low, high = mesh.extent()
    return sorted((high - low).tolist())


def grams(mesh: Mesh) -> float:
    askew = pose(11.0, 23.0, 31.0)
    return sum(float(paths(mesh, askew, name).sum()) * GRAMS_PER_MM3[name] for name in mesh.materials())


@every_family
@settings(max_examples=12)
@given(seed=seeds, yaw=angles, tilt=angles, roll=angles)
def test_no_ray_has_a_negative_path_through_any_of_its_materials(
    family: Family, seed: int, yaw: float, tilt: float, roll: float
) -> None:
    mesh = made(family, seed)
    for material in mesh.materials():
        assert paths(mesh, pose(yaw, tilt, roll), material, pitch=1.7).min() > -1e-6, material


@every_family
@settings(max_examples=25)
@given(seed=seeds)
def test_it_fits_into_a_suitcase_and_is_no_speck(family: Family, seed: int) -> None:
    thin, _, long = size(made(family, seed))
    assert thin >= 0.8
    assert 8 <= long <= 950


@every_family
@settings(max_examples=5)
@given(seed=seeds)
def test_the_same_draw_makes_the_same_thing(family: Family, seed: int) -> None:
    one, other = made(family, seed), made(family, seed)
    np.testing.assert_array_equal(one.points, other.points)
    np.testing.assert_array_equal(one.material, other.material)


@every_family
def test_no_two_draws_make_the_same_thing(family: Family) -> None:
    seen = {made(family, seed).points.tobytes() for seed in range(12)}
    assert len(seen) >= 11


@every_family
def test_its_label_is_canonical_wherever_the_taxonomy_has_the_item(family: Family) -> None:
    assert (family.label in taxonomy().labels) != (family.label in WITHOUT_ENTRY)


def test_each_label_has_one_family() -> None:
    modules = (electronics, vessels, apparel, household)
    assert len(FAMILIES) == sum(len(module.FAMILIES) for module in modules) >= 30


@pytest.mark.parametrize(
    ("label", "least", "most"),
    [
        ("phone", 60, 280),
        ("laptop", 900, 2600),
        ("tablet", 130, 900),
        ("power_bank", 50, 600),
        ("lighter", 8, 140),
        ("can", 10, 750),
        ("bottle", 10, 2300),
        ("vacuum_flask", 150, 1700),
        ("carton", 20, 1200),
        ("spray_can", 25, 700),
        ("keys", 8, 160),
        ("coin", 1.5, 140),
    ],
)
@settings(max_examples=15)
@given(seed=seeds)
def test_it_weighs_what_such_a_thing_weighs(label: str, least: float, most: float, seed: int) -> None:
    assert least <= grams(made(FAMILIES[label], seed)) <= most


@pytest.mark.parametrize(
    ("label", "least", "most"),
    [
        ("phone", (7, 40, 100), (18, 85, 172)),
        ("laptop", (13, 195, 285), (30, 245, 350)),
        ("glass_bottle", (22, 30, 70), (90, 110, 340)),
        ("can", (20, 45, 55), (95, 95, 180)),
        ("pressure_vessel", (17, 18, 65), (115, 200, 450)),
    ],
)
@settings(max_examples=25)
@given(seed=seeds)
def test_it_has_the_size_of_such_a_thing(
    label: str, least: tuple[float, ...], most: tuple[float, ...], seed: int
) -> None:
    for short, actual, long in zip(least, size(made(FAMILIES[label], seed)), most, strict=True):
        assert short <= actual <= long


# --- forms


@given(width=st.floats(20, 200), height=st.floats(20, 200), radius=st.floats(0, 9), wall=st.floats(0.1, 6))
def test_a_wall_is_as_thick_at_the_sides_as_asked(width: float, height: float, radius: float, wall: float) -> None:
    inner = inset(rounded(width, height, radius), wall)
    assert np.ptp(inner, axis=0) == pytest.approx([width - 2 * wall, height - 2 * wall], abs=1e-6)


@pytest.mark.parametrize("outline", OUTLINES)
@given(yaw=angles, tilt=angles, roll=angles)
def test_a_shell_drawn_inward_stays_inside(outline: Outline, yaw: float, tilt: float, roll: float) -> None:
    solid = Solid()
    solid.prism("steel", outline, 0, 30)
    solid.prism("steel", inset(outline, 2.0), 2, 28, hollow=True)
    # A ten-thousandth of a millimetre is what crossings nearly along a face cost in floating point.
    assert paths(solid.mesh(), pose(yaw, tilt, roll), "steel").min() > -1e-4


@given(sizes=st.lists(st.tuples(*[st.floats(6, 20)] * 3), min_size=1, max_size=6), yaw=angles, tilt=angles)
def test_many_boxes_hold_what_each_of_them_holds(
    sizes: list[tuple[float, float, float]], yaw: float, tilt: float
) -> None:
    places = np.arange(3.0 * len(sizes)).reshape(-1, 3) * 7
    shown = paths(boxes("steel", np.array(sizes), places).mesh(), pose(yaw, tilt, 12.0), "steel", pitch=0.5)
    assert shown.sum() * 0.25 == pytest.approx(sum(float(np.prod(s)) for s in sizes), rel=0.05)


def test_copies_are_turned_before_they_are_placed() -> None:
    rod = Solid()
    rod.box("steel", (40, 2, 2))
    copies = repeated(rod, [(0, 0, 0), (100, 50, 0)], np.stack([np.eye(3), turn("z", 90)]))
    low, high = copies.mesh().extent()
    np.testing.assert_allclose(low, (-20, -1, -1))
    np.testing.assert_allclose(high, (101, 70, 1))


def masses(make: Callable[[Draw], Solid]) -> list[float]:
    return [grams(make(Draw(seed)).mesh()) for seed in range(30)]


def test_bottles_come_full_and_empty() -> None:
    weights = masses(FAMILIES["bottle"].make)
    assert min(weights) < 120
    assert max(weights) > 450
