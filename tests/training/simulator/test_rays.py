from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from xray_training.simulator.materials import ATTENUATION_PER_MM, INDEX
from xray_training.simulator.rays import View, crossings, deposit
from xray_training.simulator.solids import Solid, arc, disc, lifted, rounded

from tests.training.simulator.rays_of import paths, pose

angles = st.floats(-180.0, 180.0)


def box(solid: Solid) -> float:
    solid.box("steel", (30, 20, 10))
    return 30 * 20 * 10


def angle_iron(solid: Solid) -> float:
    solid.prism("steel", [(0, 0), (30, 0), (30, 10), (10, 10), (10, 30), (0, 30)], -4, 3)
    return 500 * 7


def tube(solid: Solid) -> float:
    solid.rod("steel", (-25, 0, 0), (25, 0, 0), 8, wall=2)
    return float(np.pi * (64 - 36) * 50)


def washer(solid: Solid) -> float:
    solid.prism("steel", disc(15), 0, 4)
    solid.prism("steel", disc(6), 0, 4, hollow=True)
    return float(np.pi * (225 - 36) * 4)


def frustum(solid: Solid) -> float:
    solid.loft("steel", [(0, rounded(40, 30, 0)), (10, rounded(40, 30, 0) * 0.5)], alike=True)
    return 10 / 3 * (1200 + 300 + 600)


def ring(solid: Solid) -> float:
    sides = 40
    solid.tube("steel", lifted(arc(20, 0, 351, sides)), 3, closed=True, sides=12)
    return float(np.pi * 9 * sides * 2 * 20 * np.sin(np.pi / sides))


@pytest.mark.parametrize("build", [box, angle_iron, tube, washer, frustum, ring])
@given(yaw=angles, tilt=angles, roll=angles)
def test_a_solid_holds_the_same_matter_in_every_pose(
    build: Callable[[Solid], float], yaw: float, tilt: float, roll: float
) -> None:
    solid = Solid()
    volume = build(solid)
    shown = paths(solid.mesh(), pose(yaw, tilt, roll), "steel", pitch=0.5)
    assert shown.sum() * 0.25 == pytest.approx(volume, rel=0.015)


@pytest.mark.parametrize("build", [box, angle_iron, tube, washer, frustum, ring])
@given(yaw=angles, tilt=angles, roll=angles)
def test_no_ray_has_a_negative_path(build: Callable[[Solid], float], yaw: float, tilt: float, roll: float) -> None:
    solid = Solid()
    build(solid)
    assert paths(solid.mesh(), pose(yaw, tilt, roll), "steel").min() > -1e-5


def test_a_plate_seen_flat_shows_its_thickness_and_seen_on_edge_its_breadth() -> None:
    solid = Solid()
    solid.box("steel", (40, 20, 2))
    flat = paths(solid.mesh(), pose(0, 0, 0), "steel")
    on_edge = paths(solid.mesh(), pose(0, 90, 0), "steel")
    assert flat.max() == pytest.approx(2)
    assert on_edge.max() == pytest.approx(20)


@given(tilt=st.floats(-60, 60))
def test_a_tilted_plate_is_longer_to_cross_by_the_cosine(tilt: float) -> None:
    solid = Solid()
    solid.box("steel", (200, 200, 5))
    shown = paths(solid.mesh(), pose(0, tilt, 0), "steel")
    rows, columns = shown.shape
    middle = shown[rows // 2, columns // 2]
    assert middle == pytest.approx(5 / np.cos(np.deg2rad(tilt)), rel=1e-6)


def test_a_ball_is_crossed_by_its_chords() -> None:
    solid = Solid()
    solid.ball("steel", 30)
    shown = paths(solid.mesh(), pose(20, 30, 40), "steel")
    rows, columns = np.indices(shown.shape)
    weight = shown / shown.sum()
    distance = np.hypot(rows - (rows * weight).sum(), columns - (columns * weight).sum())
    chord = 2 * np.sqrt(np.clip(900 - distance**2, 0, None))
    inside = distance < 24
    assert np.abs(shown - chord)[inside].max() < 3


def test_a_thinner_than_a_pixel_blade_on_edge_still_stops_its_share_of_the_pixel() -> None:
    solid = Solid()
    solid.box("steel", (0.2, 30, 40))
    shown = paths(solid.mesh(), pose(0, 0, 0), "steel")
    assert shown.sum() == pytest.approx(0.2 * 30 * 40, rel=1e-6)
    assert shown[shown.shape[0] // 2].sum() == pytest.approx(0.2 * 40, rel=1e-6)


def test_each_material_has_its_own_path() -> None:
    solid = Solid()
    solid.box("steel", (10, 10, 3), (0, 0, 0))
    solid.box("water", (10, 10, 20), (0, 0, 15))
    mesh = solid.mesh()
    assert paths(mesh, pose(0, 0, 0), "steel").max() == pytest.approx(3)
    assert paths(mesh, pose(0, 0, 0), "water").max() == pytest.approx(20)
    assert paths(mesh, pose(0, 0, 0), "lead").max() == 0


def test_overlapping_solids_add_their_attenuation() -> None:
    one, other, both = Solid(), Solid(), Solid()
    one.box("steel", (20, 20, 4), (30, 30, 0))
    other.box("water", (20, 20, 50), (38, 35, 40))
    both.add(one)
    both.add(other)

    def attenuation(solid: Solid) -> np.ndarray:
        mesh = solid.mesh()
        seen = View(np.eye(3), (1.0, 1.0), 1e9, 0.0).project(mesh.points)
        return np.asarray(deposit(crossings(mesh, seen, 70), ATTENUATION_PER_MM.T, 70, 70))

    np.testing.assert_allclose(attenuation(both), attenuation(one) + attenuation(other), atol=1e-9)


@given(shift=st.floats(-1e-6, 1e-6), edge=st.integers(0, 3))
def test_an_edge_that_lies_almost_on_a_sampled_row_leaks_nothing(shift: float, edge: int) -> None:
    solid = Solid()
    solid.box("steel", (20, 10 + edge / 2, 4), (30, 25.25 + shift, 0))
    mesh = solid.mesh()
    tilted = mesh.points + np.column_stack([np.zeros(len(mesh.points)), mesh.points[:, 0] * 1e-9, mesh.points[:, 2]])
    weights = np.zeros((1, len(INDEX)))
    weights[0, INDEX["steel"]] = 1.0
    shown = deposit(crossings(mesh, tilted, 50), weights, 60, 50)[0]
    assert shown.min() > -1e-6
    assert shown[:, 45:].max() < 1e-6


def test_a_window_shows_what_the_whole_picture_shows_there() -> None:
    solid = Solid()
    solid.lathe("steel", [(10, 8), (40, 12), (60, 3)], at=(0, 30, 0))
    mesh = solid.mesh()
    seen = View(np.eye(3), (1.0, 1.0), 1e9, 0.0).project(mesh.points)
    found = crossings(mesh, seen, 60)
    weights = np.zeros((1, len(INDEX)))
    weights[0, INDEX["steel"]] = 1.0
    whole = deposit(found, weights, 80, 60)[0]
    window = deposit(found, weights, 60, 40, left=8, top=15)[0]
    np.testing.assert_allclose(window, whole[15:55, 8:68], atol=1e-9)


def test_higher_things_are_magnified_and_seen_from_the_source() -> None:
    low, high = Solid(), Solid()
    low.box("steel", (10, 10, 1), (0, 100, 0))
    high.box("steel", (10, 10, 1), (0, 100, 300))
    view = View(np.eye(3), (1.0, 1.0), 900.0, 0.0)
    below, above = view.project(low.mesh().points), view.project(high.mesh().points)
    assert np.ptp(above[:, 1]) == pytest.approx(np.ptp(below[:, 1]) * 900 / 600, rel=0.02)
    assert above[:, 1].mean() == pytest.approx(150, rel=0.01)
    assert np.ptp(above[:, 0]) == pytest.approx(np.ptp(below[:, 0]))
