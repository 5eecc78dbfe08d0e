"""Toys."""

from __future__ import annotations

import numpy as np

from xray_training.simulator.draw import Draw
from xray_training.simulator.objects.forms import (
    inset,
    repeated,
    ribbon,
    smoothed,
    spring,
    tray,
)
from xray_training.simulator.solids import Solid, Vector, disc, lifted, rounded, turn


def toy(draw: Draw) -> Solid:
    """A toy car, a toy pistol, bricks, a soft animal, a doll or a puzzle cube."""
    return draw.choice([_toy_car, _toy_pistol, _bricks, _plush, _doll, _cube], [3, 2, 3, 2.5, 1, 1])(draw)


def _toy_car(draw: Draw) -> Solid:
    solid = Solid()
    long = draw.uniform(65, 210)
    die_cast = long < 110 and draw.chance(0.6)
    width, high = long * 0.42, long * 0.3
    side = np.array(
        [(-0.5, 0.1), (0.5, 0.1), (0.5, 0.45), (0.28, 0.55), (0.15, 0.95), (-0.25, 1.0), (-0.4, 0.6), (-0.5, 0.5)]
    ) * (long, high)
    body, wall = Solid(), 1.3 if die_cast else 2.0
    body.prism("brass" if die_cast else "abs", side, -width / 2, width / 2)
    body.prism("brass" if die_cast else "abs", inset(side, wall), -width / 2 + wall, width / 2 - wall, hollow=True)
    wheel = Solid()
    wheel.prism("rubber" if long > 100 else "abs", disc(high * 0.3, sides=12), -long * 0.03, long * 0.03)
    wheel.prism("rubber" if long > 100 else "abs", disc(high * 0.12, sides=8), -long * 0.03, long * 0.03, hollow=True)
    for x in (-0.3, 0.3):
        body.rod(
            "steel",
            (x * long, high * 0.12, -width * 0.52),
            (x * long, high * 0.12, width * 0.52),
            max(0.8, long * 0.008),
            sides=6,
        )
        for z in (-0.5, 0.5):
            body.add(wheel, at=(x * long, high * 0.12, z * width * 1.05))
    if long > 140 and draw.chance(0.7):
        body.rod("steel", (-0.2 * long, high * 0.3, -14), (-0.2 * long, high * 0.3, 14), 11, wall=1.5, sides=10)
        body.rod("copper", (-0.2 * long, high * 0.3, -8), (-0.2 * long, high * 0.3, 8), 6, sides=8)
        for z in (-8, 8):
            body.rod("steel", (0, high * 0.3, z), (49, high * 0.3, z), 7, wall=0.4, sides=10)
            body.rod("lithium_cell", (1, high * 0.3, z), (47, high * 0.3, z), 6.5, sides=10)
    for x in (-0.4, 0.38):
        body.rod("steel", (x * long, high * 0.15, 0), (x * long, high * 0.4, 0), 1.2, sides=5)
    solid.add(body, turn=np.eye(3) if draw.chance(0.4) else turn("x", 90))
    return solid


def _toy_pistol(draw: Draw) -> Solid:
    """A water or dart pistol: a hollow plastic body with screws and a spring, rounder than a real one."""
    solid = Solid()
    long = draw.uniform(150, 260)
    half = draw.uniform(14, 22)
    barrel = [(0.0, 0.0), (1.0, 0.04), (1.0, 0.16), (0.8, 0.26), (0.3, 0.3), (0.0, 0.24), (-0.08, 0.12)]
    grip = [(-0.16, -0.42), (0.04, -0.46), (0.16, -0.08)]
    outline = np.array([*barrel[1:], *grip, (0.3, -0.02)]) * long
    wall = draw.uniform(1.8, 2.4)
    solid.prism("abs", outline, -half, half)
    middle = np.array([0.1, 0.05]) * long
    solid.prism("abs", middle + (outline - middle) * 0.9, -half + wall, half - wall, hollow=True)
    loop = np.array([(0.14, -0.08), (0.2, -0.2), (0.34, -0.2), (0.4, -0.02)]) * long
    solid.prism("abs", ribbon(smoothed(lifted(loop))[:, :2], 6), -5, 5)
    solid.prism("abs", ribbon(np.array([(0.26, -0.02), (0.24, -0.08), (0.27, -0.13)]) * long, 7), -4, 4)
    screw = Solid()
    screw.rod("steel", (0, 0, -half * 0.6), (0, 0, half * 0.5), 1.3, sides=6)
    spots = np.array([(0.9, 0.12), (0.5, 0.22), (0.1, 0.2), (-0.04, -0.36), (0.08, -0.1)]) * long
    solid.add(repeated(screw, lifted(spots)))
    solid.add(spring(long * 0.3, 6), at=(long * 0.35, long * 0.15, 0))
    if draw.chance(0.4):
        tank = disc(1.0, sides=12) * (0.2 * long, 0.1 * long) + np.array([0.2, 0.36]) * long
        solid.prism("abs", tank, -half, half)
        solid.prism("abs", tank * 0.94 + np.array([0.2, 0.36]) * long * 0.06, -half + 2, half - 2, hollow=True)
        solid.prism(
            "water",
            (tank - np.array([0.2, 0.36]) * long) * (0.92, 0.9) + np.array([0.2, 0.36]) * long,
            -half + 2,
            draw.uniform(-0.5, 0.7) * half,
        )
    centred = Solid()
    centred.add(solid, at=(-long * 0.45, long * 0.06, 0))
    return centred


def _bricks(draw: Draw) -> Solid:
    """Building bricks with their studs, thrown together."""
    brick = Solid()
    long = draw.choice([32.0, 64.0]) if draw.chance(0.7) else 64.0
    brick.box("abs", (long, 31.8, 19), (0, 0, 9.5))
    brick.box("abs", (long - 3, 28.8, 17.5), (0, 0, 8.75), hollow=True)
    for x in np.arange(-long / 2 + 8, long / 2, 16):
        for y in (-8.0, 8.0):
            brick.prism("abs", disc(4.8, centre=(float(x), y), sides=8), 19, 22.5)
    scale = draw.choice([0.5, 1.0])
    solid = Solid()
    count = draw.integer(3, 12)
    reach = 42 * scale * count**0.5
    places = draw.uniforms(count * 3, -1, 1).reshape(count, 3) * np.array([reach, reach * 0.8, 16 * scale])
    turns = np.stack(
        [
            turn("z", draw.uniform(0, 360)) @ turn("x", draw.choice([0.0, 90.0, draw.uniform(0, 180)]))
            for _ in range(count)
        ]
    )
    solid.add(repeated(brick, places, turns * scale))
    return solid


def _plush(draw: Draw) -> Solid:
    """A soft animal: wadding, hard eyes and nose, sometimes pellets or a sound box."""
    solid, size = Solid(), draw.uniform(0.7, 1.5)
    skin = draw.choice(["cloth", "foam"], [1, 3])

    def limb(radius: float, at: Vector) -> None:
        solid.ball(skin, radius * size, tuple(size * value for value in at))  # type: ignore[arg-type]
        solid.ball("foam", 0.94 * radius * size, tuple(size * value for value in at))  # type: ignore[arg-type]

    limb(48, (0, 0, 0))
    limb(36, (75, 0, 0))
    for side in (-1, 1):
        limb(12, (104, side * 26, 0))
        limb(19, (22, side * 56, 0))
        limb(22, (-52, side * 32, 0))
        solid.ball("abs", 4.5 * size, (88 * size, side * 14 * size, 30 * size))
    solid.ball("abs", 6 * size, (72 * size, 0, 36 * size))
    if draw.chance(0.3):
        tray(solid, "abs", rounded(44, 34, 8), -9, 9, 1.5)
        solid.rod("steel", (-8, 8, 0), (-8, 8, 6), 7, sides=10)
        solid.rod("lithium_cell", (8, -6, -3), (8, -6, 3), 6, sides=10)
    return solid


def _doll(draw: Draw) -> Solid:
    solid, size = Solid(), draw.uniform(0.7, 1.15)
    tall = 280 * size
    solid.lathe(
        "pvc",
        [
            (tall * 0.42, 16 * size),
            (tall * 0.55, 19 * size),
            (tall * 0.62, 13 * size),
            (tall * 0.74, 22 * size),
            (tall * 0.8, 6 * size),
        ],
        sides=10,
    )
    solid.lathe(
        "pvc",
        [
            (tall * 0.43, 14 * size),
            (tall * 0.55, 17 * size),
            (tall * 0.62, 11 * size),
            (tall * 0.74, 20 * size),
            (tall * 0.79, 4 * size),
        ],
        sides=10,
        hollow=True,
    )
    solid.ball("rubber", 19 * size, (tall * 0.89, 0, 0))
    solid.ball("rubber", 16.5 * size, (tall * 0.89, 0, 0), hollow=True)
    for side in (-1, 1):
        solid.rod("polyethylene", (0, side * 15 * size, 0), (tall * 0.43, side * 9 * size, 0), 8 * size, sides=8)
        solid.rod(
            "polyethylene", (tall * 0.4, side * 42 * size, 0), (tall * 0.76, side * 22 * size, 0), 5.5 * size, sides=8
        )
        solid.box("brass", (3, 3, 3), (tall * 0.43, side * 9 * size, 0))
    return solid


def _cube(draw: Draw) -> Solid:
    """A puzzle cube."""
    solid, size = Solid(), draw.uniform(16, 20)
    places = (
        np.array([(x, y, z) for x in (-1, 0, 1) for y in (-1, 0, 1) for z in (-1, 0, 1) if (x, y, z) != (0, 0, 0)])
        * size
    )
    piece = Solid()
    piece.box("abs", (size - 0.6,) * 3)
    piece.box("abs", (size - 3.6,) * 3, hollow=True)
    solid.add(repeated(piece, places))
    for axis in range(3):
        end = np.eye(3)[axis] * size
        solid.rod("steel", tuple((-end).tolist()), tuple(end.tolist()), 1.8, sides=6)
    return solid
