"""Chargers, cameras, headphones and other small electric devices."""

from __future__ import annotations

import numpy as np

from xray_training.simulator.draw import Draw
from xray_training.simulator.objects.circuits import board, cell, motor, pins, port, wire
from xray_training.simulator.objects.forms import (
    UPRIGHT,
    around,
    boxes,
    coil,
    repeated,
    smoothed,
    spring,
    tray,
)
from xray_training.simulator.solids import Solid, Vector, arc, disc, lifted, rounded, turn


def small_electronics(draw: Draw) -> Solid:
    """A charger, a camera or another of the devices that most bags hold."""
    styles = {
        charger: 5.0,
        laptop_adapter: 2.5,
        headphones: 2.0,
        earphone_case: 2.0,
        camera: 1.5,
        hair_dryer: 1.5,
        shaver: 1.0,
        mouse: 2.0,
        hair_straightener: 1.0,
        loudspeaker: 1.0,
        travel_adapter: 1.0,
    }
    return draw.choice(list(styles), list(styles.values()))(draw)


def _supply(draw: Draw, body: Solid, size: Vector, at: Vector) -> None:
    """The inside of a power supply that fills a box: board, transformer, capacitors."""
    width, depth, height = size
    low = at[2] - height / 2
    body.add(board(draw, (width, depth), draw.integer(12, 30), thickness=1.4), at=(at[0], at[1], low))
    core = min(depth * 0.5, width * 0.35, 26.0)
    tall = min(height - 3, core)
    x, y = at[0] + draw.uniform(-0.1, 0.15) * width, at[1] + draw.uniform(-0.15, 0.15) * depth
    body.box("steel", (core, core * 0.28, tall), (x, y - core * 0.4, low + 2 + tall / 2))
    body.box("steel", (core, core * 0.28, tall), (x, y + core * 0.4, low + 2 + tall / 2))
    body.rod(
        "copper",
        (x - core * 0.42, y, low + 2 + tall / 2),
        (x + core * 0.42, y, low + 2 + tall / 2),
        core * 0.22,
        sides=8,
    )
    for _ in range(draw.integer(2, 4)):
        radius = min(draw.uniform(2.5, 6.5), height * 0.4)
        spot = (at[0] + draw.uniform(-0.38, 0.38) * width, at[1] + draw.uniform(-0.35, 0.35) * depth)
        body.rod("aluminium", (*spot, low + 1.5), (*spot, low + min(height, 1.5 + 4 * radius)), radius * 0.9, sides=8)
    body.box(
        "aluminium", (width * 0.28, 1.8, height * 0.7), (at[0] - width * 0.25, at[1] + depth * 0.38, low + height * 0.4)
    )


def charger(draw: Draw) -> Solid:
    """A plug-in charger for a phone."""
    size = (draw.uniform(38, 66), draw.uniform(28, 50), draw.uniform(24, 30))
    body = Solid()
    tray(body, "abs", rounded(size[0], size[1], 6), -size[2] / 2, size[2] / 2, 2.2)
    _supply(draw, body, (size[0] - 8, size[1] - 8, size[2] - 7), (0, 0, 0))
    port(body, (14, 13, 5.5), (-size[0] / 2 + 7, 0, draw.uniform(-3, 3)))
    pins(body, (size[0] / 2 - 1, 0, 0), draw.choice(["round", "flat", "three"], [3, 3, 1]))
    return body


def laptop_adapter(draw: Draw) -> Solid:
    """A laptop's power supply with its lead wound up beside it."""
    size = (draw.uniform(95, 130), draw.uniform(45, 60), draw.uniform(24, 32))
    body = Solid()
    tray(body, "abs", rounded(size[0], size[1], 7), -size[2] / 2, size[2] / 2, 2.4)
    _supply(draw, body, (size[0] - 10, size[1] - 9, size[2] - 8), (0, 0, 0))
    loops = coil(draw, draw.uniform(3, 6), draw.uniform(80, 120), draw.uniform(35, 60), spread=draw.choice([3.0, 7.0]))
    loops += np.array([0, size[1] / 2 + draw.uniform(5, 45), draw.uniform(-10, 10)])
    lead = smoothed([(size[0] / 2, 0, 0), (size[0] / 2 + 25, 8, 0), (size[0] / 2 + 10, size[1] / 2 + 10, 0), loops[0]])
    diameter = draw.uniform(4, 5.5)
    wire(draw, body, lead, diameter)
    wire(draw, body, loops, diameter)
    tip = loops[-1]
    body.rod("brass", tuple(tip.tolist()), (tip[0] + 12, tip[1] + 4, tip[2]), 2.7, wall=0.8, sides=8)
    body.rod("abs", tuple(tip.tolist()), (tip[0] - 16, tip[1] - 5, tip[2]), 4.5, sides=8)
    return body


def camera(draw: Draw) -> Solid:
    """A compact or a system camera with the glass of its lens."""
    system = draw.chance(0.5)
    size = (
        (draw.uniform(115, 142), draw.uniform(75, 100), draw.uniform(38, 55))
        if system
        else (draw.uniform(92, 112), draw.uniform(54, 64), draw.uniform(20, 27))
    )
    body = Solid()
    tray(body, draw.choice(["abs", "aluminium"]), rounded(size[0], size[1], 9), 0, size[2], 1.7)
    body.box("lithium_cell", (18, size[1] * 0.6, size[2] * 0.5), (-size[0] / 2 + 16, 0, size[2] / 2))
    body.add(board(draw, (size[0] * 0.6, size[1] * 0.75), draw.integer(30, 60)), at=(size[0] * 0.1, 0, 4))
    body.box("glass", (size[0] * 0.5, size[1] * 0.6, 1.5), (size[0] * 0.05, 0, 1.8))
    radius = size[1] * draw.uniform(0.33, 0.4)
    long = draw.uniform(30, 75) if system else draw.uniform(6, 14)
    lens = Solid()
    lens.rod("aluminium", (0, 0, 0), (long + 12, 0, 0), radius, wall=draw.uniform(1.8, 3), sides=16)
    for place in np.linspace(2, long + 8, draw.integer(4, 6)):
        swell, thick = radius * draw.uniform(0.55, 0.85), draw.uniform(2, 5)
        x = float(place)
        lens.lathe("glass", [(x - thick / 2, swell * 0.6), (x, swell), (x + thick / 2, swell * 0.6)], sides=12)
    lens.rod("steel", (3, radius * 0.9, 0), (long, radius * 0.9, 0), 1.2, sides=5)
    body.add(lens, at=(size[0] * 0.08, -size[1] * 0.05, size[2] - 12), turn=UPRIGHT)
    body.rod(
        "aluminium",
        (-size[0] * 0.28, size[1] / 2, size[2] / 2),
        (-size[0] * 0.28, size[1] / 2 + 5, size[2] / 2),
        6,
        sides=10,
    )
    if system:
        body.box("glass", (22, 14, 16), (size[0] * 0.08, size[1] * 0.42, size[2] / 2))
        body.box("steel", (24, 2, 12), (size[0] * 0.08, size[1] / 2 + 3, size[2] / 2))
    return body


def hair_dryer(draw: Draw) -> Solid:
    """A hair dryer with motor and heating coil; the handle is sometimes folded."""
    long, radius = draw.uniform(150, 205), draw.uniform(31, 40)
    body = Solid()
    body.rod("abs", (0, 0, 0), (long, 0, 0), radius, wall=2.2, sides=16)
    body.add(motor(draw.uniform(28, 38), draw.uniform(27, 33)), at=(long * 0.16, 0, 0))
    body.add(repeated(_blade(radius), np.tile([long * 0.1, 0.0, 0.0], (6, 1)), around(6, "x")))
    heat = long * 0.42
    body.add(spring(long * 0.42, radius * 0.62, turns=draw.integer(5, 8), wire=0.7), at=(heat, 0, 0))
    body.box("glass", (long * 0.46, radius * 1.2, 0.5), (heat + long * 0.21, 0, 0))
    body.box("glass", (long * 0.46, 0.5, radius * 1.2), (heat + long * 0.21, 0, 0))
    handle = Solid()
    grip = draw.uniform(95, 125)
    handle.rod("abs", (0, 0, 0), (grip, 0, 0), 16, wall=2.4, sides=12)
    handle.add(board(draw, (40, 18), 12), at=(38, 0, -3))
    handle.box("copper", (14, 8, 6), (25, 0, 4))
    facing, root = turn("z", draw.choice([-90.0, -105.0, -8.0])), np.array([long * 0.25, -radius - 10, 0])
    body.add(handle, at=tuple(root.tolist()), turn=facing)
    if draw.chance(0.7):
        tip, beyond = (root + facing @ np.array([length, 0, 0]) for length in (grip, grip + 35))
        loops = coil(draw, draw.uniform(1.5, 3.5), draw.uniform(90, 130), draw.uniform(50, 80))
        loops += np.array([long * 0.7, -radius - grip - 20, 0])
        wire(draw, body, smoothed([*np.stack([tip, beyond]), loops[0]]), 6)
        wire(draw, body, loops, 6)
    return body


def _blade(radius: float) -> Solid:
    """One blade of a fan about x."""
    blade = Solid()
    blade.box("abs", (8, radius * 0.55, 1.2), (0, radius * 0.5, 0))
    return blade


def headphones(draw: Draw) -> Solid:
    """Headphones with a band, lying flat."""
    body = Solid()
    span = draw.uniform(75, 92)
    band = lifted(arc(span, 8, 172, 12))
    body.strip("steel", band, 1.2, 10)
    body.strip(draw.choice(["leather", "rubber", "abs"]), lifted(arc(span + 6, 25, 155, 9)), 9, 22)
    cup = Solid()
    radius = draw.uniform(27, 41)
    cup.lathe("abs", [(0, radius * 0.8), (6, radius), (16, radius)], sides=14)
    cup.lathe("abs", [(2, radius * 0.75), (7, radius - 2.2), (14.5, radius - 2.2)], sides=14, hollow=True)
    cup.rod("steel", (6, 0, 0), (13, 0, 0), radius * 0.34, sides=10)
    cup.rod("copper", (13, 0, 0), (14.4, 0, 0), radius * 0.3, wall=1.5, sides=10)
    cup.add(board(draw, (radius * 0.7, radius * 0.5), 10), at=(4, radius * 0.35, 0), turn=turn("y", 90))
    cup.rod("foam", (16, 0, 0), (32, 0, 0), radius, wall=radius * 0.35, sides=12)
    flat = draw.chance(0.5)
    for side in (-1, 1):
        facing = turn("z", 180 if side > 0 else 0)
        rest = UPRIGHT if flat else facing
        body.add(cup, at=(side * (span + (0 if flat else 4)), -6, 0), turn=rest)
    if draw.chance(0.5):
        body.box("lithium_cell", (24, 16, 4), (span, -6, 5 if flat else 0))
    return body


def earphone_case(draw: Draw) -> Solid:
    """Wireless earphones in their charging case."""
    size = (draw.uniform(52, 68), draw.uniform(38, 50), draw.uniform(20, 25))
    body = Solid()
    tray(body, "abs", rounded(size[0], size[1], 16), 0, size[2], 2)
    body.box("lithium_cell", (24, 12, 5), (0, -size[1] * 0.3, size[2] / 2))
    body.add(board(draw, (26, 8), 12), at=(0, -size[1] * 0.05, 4))
    bud = Solid()
    bud.ball("abs", 7.5)
    bud.ball("abs", 6.3, hollow=True)
    bud.rod("abs", (0, -8, 0), (0, -27, 0), 3, wall=0.8, sides=8)
    bud.prism("steel", disc(3.4, sides=8), -1.5, 1.5)
    bud.rod("lithium_cell", (0, -9, 0), (0, -20, 0), 1.9, sides=6)
    for side in (-1, 1):
        body.add(bud, at=(side * size[0] * 0.3, size[1] * 0.26, size[2] / 2))
    hinge = np.array([(-8, size[1] / 2 - 2, size[2] / 2), (8, size[1] / 2 - 2, size[2] / 2)])
    body.tube("steel", hinge, 1.3, sides=5)
    body.add(
        boxes("steel", np.full((4, 3), 4.0), np.array([(x, size[1] * 0.02, size[2] / 2) for x in (-22.0, -12, 12, 22)]))
    )
    return body


def shaver(draw: Draw) -> Solid:
    """An electric shaver or an electric toothbrush."""
    body = Solid()
    if draw.chance(0.5):
        long, radius = draw.uniform(120, 150), draw.uniform(18, 25)
        body.lathe("abs", [(0, radius * 0.7), (long * 0.4, radius), (long, radius * 0.8)], sides=12)
        body.lathe(
            "abs", [(2, radius * 0.6), (long * 0.4, radius - 2.4), (long - 2, radius * 0.68)], sides=12, hollow=True
        )
        for place in (-1, 0, 1) if radius > 21 else (-0.6, 0.6):
            body.prism("steel", disc(9.5, centre=(long + 9, place * 15), sides=12), 4, 7)
        body.box("abs", (24, radius * 2, 8), (long + 10, 0, -1))
    else:
        long, radius = draw.uniform(135, 155), draw.uniform(13, 15)
        body.rod("abs", (0, 0, 0), (long, 0, 0), radius, wall=2, sides=12)
        body.rod("steel", (long - 4, 0, 0), (long + 45, 0, 0), 1.6, sides=6)
        body.lathe("polyethylene", [(long, 6), (long + 50, 3.5), (long + 72, 3.5)], sides=8)
        body.box("polyethylene", (20, 10, 12), (long + 72, 0, 6))
    body.add(cell(14.2, 49), at=(12, 0, 0))
    body.add(motor(28, min(22, radius * 1.3)), at=(long * 0.66, 0, 0))
    body.add(board(draw, (long * 0.4, radius), 16), at=(long * 0.4, 0, radius * 0.5))
    return body


def mouse(draw: Draw) -> Solid:
    """A computer mouse."""
    long, wide, high = draw.uniform(96, 124), draw.uniform(54, 66), draw.uniform(30, 40)
    base = rounded(long, wide, 24)
    body = Solid()
    body.loft("abs", [(0, base), (high * 0.5, base * (0.97, 0.95)), (high, base * (0.6, 0.6))])
    body.loft(
        "abs", [(1.6, base * 0.94), (high * 0.5, base * (0.92, 0.89)), (high - 1.8, base * (0.58, 0.56))], hollow=True
    )
    body.add(board(draw, (long * 0.62, wide * 0.7), 30, thickness=1.2), at=(long * 0.08, 0, 5))
    wheel = Solid()
    wheel.rod("rubber", (0, -3.5, 0), (0, 3.5, 0), 12, wall=4, sides=12)
    wheel.rod("steel", (0, -8, 0), (0, 8, 0), 1, sides=5)
    body.add(wheel, at=(long * 0.26, 0, high * 0.6))
    if draw.chance(0.6):
        body.add(cell(14.2, 49), at=(-long * 0.38, draw.uniform(-8, 8), 13))
    else:
        bends = [
            (long / 2 + 30, 15, 6),
            (long / 2 + 20, 60, 4),
            (-long * 0.2, 66, 4),
            (-long * 0.6, draw.uniform(40, 60), 4),
        ]
        tail = smoothed([(long / 2, 0, 8), *bends])
        wire(draw, body, tail, 3.4)
    return body


def hair_straightener(draw: Draw) -> Solid:
    """Hair straighteners: two arms with heated plates."""
    long, gap = draw.uniform(230, 280), draw.uniform(4, 14)
    body = Solid()
    for side in (-1, 1):
        arm = Solid()
        tray(arm, "abs", rounded(long, 30, 10), -9, 9, 2.2)
        arm.box(draw.choice(["aluminium", "glass"]), (95, 24, 4), (long * 0.27, 0, -side * 7.5))
        arm.box("copper", (70, 6, 1.2), (long * 0.27, 0, -side * 3))
        arm.add(board(draw, (60, 18), 14), at=(-long * 0.2, 0, -2))
        body.add(arm, at=(0, 0, side * (10 + gap / 2)), turn=turn("y", -side * gap * 0.25))
    body.rod("steel", (-long * 0.47, -15, 0), (-long * 0.47, 15, 0), 3, sides=8)
    body.add(spring(18, 5), at=(-long * 0.4, 0, -9), turn=UPRIGHT)
    return body


def loudspeaker(draw: Draw) -> Solid:
    """A portable loudspeaker."""
    long, radius = draw.uniform(150, 200), draw.uniform(30, 42)
    body = Solid()
    body.rod("abs", (0, 0, 0), (long, 0, 0), radius, wall=3, sides=14)
    driver = Solid()
    driver.lathe("steel", [(0, 16), (7, 16)], sides=12)
    driver.lathe("paper", [(7, 10), (20, radius * 0.7)], sides=12)
    driver.lathe("paper", [(7.5, 9), (20, radius * 0.7 - 0.8)], sides=12, hollow=True)
    driver.rod("copper", (7, 0, 0), (12, 0, 0), 9, wall=1.2, sides=10)
    for place in (0.25, 0.72):
        body.add(driver, at=(long * place, 0, -radius * 0.3), turn=UPRIGHT)
    body.add(cell(18, 64), at=(long * 0.32, radius * 0.5, -radius * 0.3))
    body.add(board(draw, (long * 0.5, 25), 35), at=(long * 0.5, -radius * 0.4, -radius * 0.5))
    for end in (1.5, long - 1.5):
        body.rod("rubber", (end - 1.5, 0, 0), (end + 1.5, 0, 0), radius - 3.2, sides=14)
    return body


def travel_adapter(draw: Draw) -> Solid:
    """A mains adapter or a socket strip for travelling."""
    body = Solid()
    size = (draw.uniform(50, 75), draw.uniform(48, 58), draw.uniform(36, 50))
    tray(body, "abs", rounded(size[0], size[1], 10), -size[2] / 2, size[2] / 2, 2.6)
    for _ in range(draw.integer(4, 8)):
        at = (
            draw.uniform(-0.3, 0.3) * size[0],
            draw.uniform(-0.32, 0.32) * size[1],
            draw.uniform(-0.25, 0.25) * size[2],
        )
        body.box("brass", (draw.uniform(14, 30), draw.uniform(2, 6), draw.uniform(0.6, 1.4)), at)
    pins(body, (size[0] / 2 - 1, 0, 0), draw.choice(["round", "flat", "three"]))
    return body
