from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from xray_training.simulator.draw import Draw
from xray_training.simulator.materials import ATTENUATION_PER_MM, INDEX, MATERIALS, WEIGHTS_HIGH, WEIGHTS_LOW
from xray_training.simulator.palette import colourise
from xray_training.simulator.physics import measure, transmit
from xray_training.simulator.scanners import SCANNERS, WILD, Palette, Scanner, scanner_called

Colour = tuple[int, int, int]

COLOURED = sorted(name for name, scanner in SCANNERS.items() if scanner.palette.saturation > 0)


def ray(**millimetres: float) -> NDArray[np.float64]:
    """Attenuation of one ray through the given materials, shape (energies, 1, 1)."""
    paths = np.zeros(len(MATERIALS))
    for name, depth in millimetres.items():
        paths[INDEX[name]] += depth
    return np.asarray(ATTENUATION_PER_MM.T @ paths)[:, None, None]


def colour_of(palette: Palette, material: str, depth: float) -> Colour:
    red, green, blue = colourise(np.clip(transmit(ray(**{material: depth})), 3e-4, 1), palette)[0, 0].tolist()
    return red, green, blue


rays = st.dictionaries(st.sampled_from(MATERIALS), st.floats(0.0, 20.0), max_size=4).map(lambda m: ray(**m))


def test_an_empty_ray_passes_whole() -> None:
    np.testing.assert_allclose(transmit(ray()).ravel(), 1.0, atol=1e-3)


@given(below=rays, above=rays)
def test_transmissions_of_stacked_solids_multiply_at_each_energy(
    below: NDArray[np.float64], above: NDArray[np.float64]
) -> None:
    product = np.exp(-below.ravel()) * np.exp(-above.ravel())
    low, high = transmit(below + above).ravel()
    assert low == pytest.approx(WEIGHTS_LOW @ product, rel=1e-9, abs=1e-15)
    assert high == pytest.approx(WEIGHTS_HIGH @ product, rel=1e-9, abs=1e-15)


@given(below=rays, material=st.sampled_from(MATERIALS), depth=st.floats(0.1, 20.0))
def test_more_material_never_lets_more_through(below: NDArray[np.float64], material: str, depth: float) -> None:
    assert np.all(transmit(below + ray(**{material: depth})) < transmit(below))


@given(material=st.sampled_from(MATERIALS), depth=st.floats(0.1, 20.0))
def test_beams_harden_so_a_second_layer_takes_a_smaller_share(material: str, depth: float) -> None:
    one, two = transmit(ray(**{material: depth})), transmit(ray(**{material: 2 * depth}))
    assert np.all(two >= one**2 * (1 - 1e-3))


def is_orange(colour: Colour) -> bool:
    red, green, blue = colour
    return red > green + 6 and green > blue + 6


def is_green(colour: Colour) -> bool:
    red, green, blue = colour
    return green > red + 6 and green > blue


def is_blue(colour: Colour) -> bool:
    red, green, blue = colour
    return blue > red + 8 and green > red


def is_black(colour: Colour) -> bool:
    return max(colour) < 24


@pytest.mark.parametrize("scanner", COLOURED)
@pytest.mark.parametrize(
    ("material", "depth", "looks"),
    [
        ("water", 10, is_orange),
        ("water", 80, is_orange),
        ("polyethylene", 20, is_orange),
        ("aluminium", 5, is_green),
        ("aluminium", 10, is_green),
        ("glass", 8, is_green),
        ("steel", 1, is_blue),
        ("steel", 3, is_blue),
        ("copper", 2, is_blue),
        ("steel", 40, is_black),
        ("lead", 5, is_black),
    ],
)
def test_every_colour_scanner_shows_a_material_in_its_colour(
    scanner: str, material: str, depth: float, looks: Callable[[Colour], bool]
) -> None:
    colour = colour_of(SCANNERS[scanner].palette, material, depth)
    assert looks(colour), colour


def test_a_grey_scanner_shows_no_colour() -> None:
    for material in ("water", "aluminium", "steel"):
        red, green, blue = colour_of(SCANNERS["fir"].palette, material, 4.0)
        assert max(red, green, blue) - min(red, green, blue) <= 1


@pytest.mark.parametrize("scanner", sorted(SCANNERS))
def test_nothing_on_the_belt_looks_like_the_background(scanner: str) -> None:
    palette = SCANNERS[scanner].palette
    assert tuple(colourise(np.ones((2, 1, 1)), palette)[0, 0].tolist()) == palette.background


@given(material=st.sampled_from(["water", "aluminium", "steel"]), depth=st.floats(1.0, 10.0))
def test_thicker_looks_darker(material: str, depth: float) -> None:
    palette = SCANNERS["alder"].palette
    assert sum(colour_of(palette, material, 2 * depth)) < sum(colour_of(palette, material, depth))


def test_lead_reads_as_something_light_because_of_its_edge() -> None:
    low, high = transmit(ray(lead=1.0)).ravel()
    steel_low, steel_high = transmit(ray(steel=2.0)).ravel()
    assert np.log(low) / np.log(high) < np.log(steel_low) / np.log(steel_high)


flat = st.floats(0.02, 1.0)


@given(transmission=flat)
def test_noise_grows_as_fewer_photons_arrive(transmission: float) -> None:
    still = Scanner(photons=10_000, electronic=0, blur_px=0.1, scatter=0, row_gain=0, dead_rows=0, sharpening=0)
    noise = measure(np.full((2, 80, 80), transmission), still, Draw(3))[1] - transmission
    expected = np.sqrt(transmission / 10_000)
    assert noise[noise + transmission < 1].std() <= expected * 1.1
    if transmission < 0.9:
        assert noise.std() == pytest.approx(expected, rel=0.06)


def test_scatter_brightens_what_is_dense_and_blur_keeps_the_total() -> None:
    scene = np.ones((2, 96, 96))
    scene[:, 40:56, 40:56] = 1e-4
    quiet = Scanner(photons=1e12, electronic=0, row_gain=0, dead_rows=0, scatter=0.0, sharpening=0)
    plain = measure(scene, quiet, Draw(0))
    hazy = measure(scene, replace(quiet, scatter=0.05), Draw(0))
    assert hazy[1, 48, 48] > plain[1, 48, 48] + 0.02
    assert plain[1].mean() == pytest.approx(scene[1].mean(), abs=2e-3)


def test_sharpening_overshoots_at_an_edge() -> None:
    scene = np.full((2, 40, 40), 0.5)
    scene[:, :, 20:] = 0.2
    quiet = Scanner(photons=1e12, electronic=0, row_gain=0, dead_rows=0, scatter=0, blur_px=0.5, sharpening=0)
    assert measure(scene, quiet, Draw(0))[1].min() > 0.199
    assert measure(scene, replace(quiet, sharpening=1.0), Draw(0))[1].min() < 0.19


def test_readings_stay_between_the_floor_and_the_empty_beam() -> None:
    scanner = SCANNERS["juniper"]
    readings = measure(np.concatenate([np.zeros((2, 30, 30)), np.ones((2, 30, 30))], axis=1), scanner, Draw(1))
    assert readings.min() >= scanner.floor
    assert readings.max() <= 1


@pytest.mark.parametrize("mean", [0.2, 0.8, 1.5])
def test_dead_rows_come_as_often_as_a_scanner_says(mean: float) -> None:
    scanner = Scanner(photons=1e12, electronic=0, blur_px=0.1, scatter=0, row_gain=0, dead_rows=mean, sharpening=0)
    scene = np.full((2, 400, 4), 0.5)
    dead = [(np.abs(measure(scene, scanner, Draw(seed))[1] - 0.5) > 1e-3).any(axis=1).sum() for seed in range(150)]
    assert np.mean(dead) == pytest.approx(mean, abs=0.15)


@given(level=st.floats(0.1, 0.9))
def test_a_grey_scanner_shows_brightness_alone_whatever_the_material(level: float) -> None:
    grey = Palette(gamma=0.45, saturation=0.0)
    shades = {
        int(colourise(np.array([level**ratio, level]).reshape(2, 1, 1), grey)[0, 0, 0]) for ratio in (1.2, 1.6, 2.4)
    }
    assert max(shades) - min(shades) <= 12


def test_the_wild_scanner_is_another_one_every_time_and_never_one_held_out() -> None:
    drawn = [scanner_called(WILD, Draw(seed)) for seed in range(20)]
    assert len(set(drawn)) == 20
    assert not any(scanner.held_out for scanner in drawn)


def test_an_unknown_scanner_is_refused() -> None:
    with pytest.raises(KeyError, match="oak"):
        scanner_called("oak", Draw(0))


@given(key=st.integers(0, 2**63), low=st.floats(-1e3, 1e3), width=st.floats(1e-3, 1e3))
def test_draws_stay_in_their_range(key: int, low: float, width: float) -> None:
    draw = Draw(key)
    assert all(low <= draw.uniform(low, low + width) <= low + width for _ in range(20))
    assert all(3 <= draw.integer(3, 5) <= 5 for _ in range(20))
    assert draw.choice(["a", "b", "c"], [0, 1, 0]) == "b"


def test_draws_are_those_that_were_fixed_once() -> None:
    draw = Draw(7, 1)
    assert [draw.integer(0, 999) for _ in range(5)] == FIXED_DRAWS
    normals = Draw(7, 2).normals(200, 200)
    assert normals.mean() == pytest.approx(0, abs=0.02)
    assert normals.std() == pytest.approx(1, abs=0.02)
    assert np.abs(normals).max() < 3.47


FIXED_DRAWS = [303, 686, 355, 483, 490]
