"""Explosive devices and fireworks. Their matter looks like any organic one; their parts give them away."""

from __future__ import annotations

import numpy as np

from xray_training.simulator.draw import Draw
from xray_training.simulator.objects.family import Family
from xray_training.simulator.solids import Solid, turn

Place = tuple[float, float, float]


def explosive(draw: Draw) -> Solid:
    """Blocks, a pipe, sticks or a grenade."""
    style = draw.choice(["blocks", "pipe", "sticks", "grenade"], [4, 2, 2, 2])
    return {"blocks": _blocks, "pipe": _pipe, "sticks": _sticks, "grenade": _grenade}[style](draw)


def firecracker(draw: Draw) -> Solid:
    """A string or a bundle of paper tubes with powder and fuses, or a rocket."""
    solid = Solid()
    if draw.chance(0.25):
        length = draw.uniform(80, 140)
        solid.rod("paper", (0, 0, 0), (length, 0, 0), 13, wall=2)
        solid.rod("ammonium_nitrate", (8, 0, 0), (length * 0.6, 0, 0), 10, sides=10)
        solid.lathe("paper", [(length, 14), (length + 30, 1)])
        solid.rod("wood", (-180, 14, 0), (length * 0.8, 14, 0), 2, sides=6)
        return solid
    radius, length = draw.uniform(3, 12), draw.uniform(30, 80)
    rows, count = draw.integer(1, 3), draw.integer(3, 12)
    pitch = 2 * radius + 1
    for row in range(rows):
        for number in range(count):
            y, x = number * pitch, row * (length + 6)
            solid.rod("paper", (x, y, 0), (x + length, y, 0), radius, wall=radius * 0.35, sides=8)
            solid.rod("ammonium_nitrate", (x + length * 0.2, y, 0), (x + length * 0.7, y, 0), radius * 0.6, sides=6)
            solid.rod("ceramic", (x, y, 0), (x + 4, y, 0), radius * 0.6, sides=6)
    solid.tube("cloth", [(-3, -8, 0), (-3, count * pitch + 12, 0)], 1.2, sides=4)
    return solid


def _blocks(draw: Draw) -> Solid:
    solid = Solid()
    matter = draw.choice(["rdx", "tnt", "ammonium_nitrate"])
    size = (draw.uniform(70, 200), draw.uniform(40, 90), draw.uniform(20, 50))
    count = draw.integer(1, 4)
    for number in range(count):
        solid.box(matter, size, (0, number * (size[1] + 2), 0))
    _fuzing(solid, draw, (size[0] / 2 + 10, (count - 1) * (size[1] + 2) / 2, 0), (0.0, size[1] * 0.2, size[2] / 2 + 4))
    return solid


def _pipe(draw: Draw) -> Solid:
    solid = Solid()
    radius, length = draw.uniform(16, 30), draw.uniform(130, 240)
    metal = draw.chance(0.7)
    wall = draw.uniform(2.5, 4) if metal else 3.5
    material = "steel" if metal else "pvc"
    solid.rod(material, (-length / 2, 0, 0), (length / 2, 0, 0), radius, wall=wall)
    solid.rod("ammonium_nitrate", (-length / 2 + 8, 0, 0), (length / 2 - 8, 0, 0), radius - wall)
    for side in (-1, 1):
        solid.rod(material, (side * length / 2 - 10, 0, 0), (side * length / 2 + 10, 0, 0), radius + 4, wall=4.2)
        solid.rod(material, (side * (length / 2 + 6), 0, 0), (side * (length / 2 + 10), 0, 0), radius)
    _fuzing(solid, draw, (length / 2 + 30, 20, 0), (length / 2, 0, 0))
    return solid


def _sticks(draw: Draw) -> Solid:
    solid = Solid()
    radius, length, count = draw.uniform(13, 18), draw.uniform(150, 210), draw.integer(3, 7)
    for number in range(count):
        y, z = (number % 4) * 2.1 * radius, (number // 4) * 2.0 * radius
        solid.rod("paper", (0, y, z), (length, y, z), radius, wall=1.2)
        solid.rod("tnt", (2, y, z), (length - 2, y, z), radius - 1.2)
    for x in (length * 0.2, length * 0.8):
        solid.box("polyethylene", (18, 2.1 * radius * min(count, 4), 0.5), (x, radius * 3, -radius - 0.5))
    _fuzing(solid, draw, (length * 0.5, -30, radius), (length, radius, radius))
    return solid


def _grenade(draw: Draw) -> Solid:
    solid = Solid()
    half, radius, wall = draw.uniform(42, 52), draw.uniform(26, 32), draw.uniform(3, 6)

    def body(inset: float) -> list[tuple[float, float]]:
        angles = np.linspace(0, np.pi, 9)
        return [(-(half - inset) * float(np.cos(a)), (radius - inset) * float(np.sin(a))) for a in angles]

    solid.lathe("steel", body(0))
    solid.lathe("steel", body(wall), hollow=True)
    solid.lathe("tnt", body(wall + 0.5))
    solid.rod("aluminium", (half - 6, 0, 0), (half + 24, 0, 0), 11, wall=4)
    solid.rod("brass", (half - 40, 0, 0), (half, 0, 0), 3.5, wall=0.8)
    solid.strip("steel", [(half + 22, 8, 0), (half + 10, 26, 0), (half - 60, radius + 8, 0)], 14, 1.2)
    angles = np.linspace(0, 2 * np.pi, 16, endpoint=False)
    ring = np.column_stack([half + 14 + 14 * np.cos(angles), -26 + 14 * np.sin(angles), np.zeros(16)])
    solid.tube("steel", ring, 1.2, closed=True)
    return solid


def _fuzing(solid: Solid, draw: Draw, at: Place, into: Place) -> None:
    """A detonator in the charge, wires, a battery and a timer, phone or relay board."""
    end = (into[0] - draw.uniform(45, 65), into[1], into[2])
    shell = draw.choice(["aluminium", "copper"])
    solid.rod(shell, end, into, 3.5, wall=0.5, sides=8)
    solid.rod("lead", (end[0] + 8, end[1], end[2]), (end[0] + 12, end[1], end[2]), 2.6, sides=6)
    board = Solid()
    width, height = draw.uniform(35, 80), draw.uniform(25, 50)
    board.box("circuit_board", (width, height, 1.6))
    for _ in range(draw.integer(6, 16)):
        block = (draw.uniform(2, 12), draw.uniform(2, 10), draw.uniform(0.4, 5))
        place = (draw.uniform(-0.42, 0.42) * width, draw.uniform(-0.42, 0.42) * height, 3.0)
        board.box(
            draw.choice(["copper", "tin", "abs", "silicon"], [3, 1, 3, 1]), (block[0], block[1], block[2] * 0.4), place
        )
    solid.add(board, at=(at[0] + width / 2, at[1], at[2]), turn=turn("z", draw.uniform(-40, 40)))
    cell = (at[0] + draw.uniform(0, 40), at[1] + 45, at[2])
    if draw.chance(0.5):
        solid.box("lithium_cell", (48, 26, 16), cell)
        solid.box("steel", (49, 27, 0.5), (cell[0], cell[1], cell[2] + 8.5))
    else:
        for number in range(2):
            y = cell[1] + number * 15
            solid.rod("steel", (cell[0] - 25, y, cell[2]), (cell[0] + 25, y, cell[2]), 7, wall=0.4, sides=10)
            solid.rod("lithium_cell", (cell[0] - 24, y, cell[2]), (cell[0] + 24, y, cell[2]), 6.5, sides=10)
    for goal in (into, cell, into):
        _wire(solid, draw, at, goal)


def _wire(solid: Solid, draw: Draw, start: Place, end: Place) -> None:
    share = np.linspace(0, 1, 8)[:, None]
    path = (1 - share) * np.asarray(start) + share * np.asarray(end)
    bow = np.sin(np.pi * share) * np.array([[draw.uniform(-30, 30), draw.uniform(-30, 30), draw.uniform(0, 6)]])
    solid.tube("copper", path + bow, draw.uniform(0.35, 0.6), sides=4)
    solid.tube("pvc", path + bow, 1.0, sides=4)


FAMILIES = (
    Family("explosive", explosive),
    Family("firecracker", firecracker),
)
