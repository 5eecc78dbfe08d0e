"""Computers, phones, batteries and cables."""

from __future__ import annotations

import numpy as np

from xray_training.simulator.draw import Draw
from xray_training.simulator.objects.circuits import board, cell, pins, port, pouches, wire
from xray_training.simulator.objects.family import Family
from xray_training.simulator.objects.forms import (
    boxes,
    coil,
    repeated,
    tray,
)
from xray_training.simulator.objects.gadgets import small_electronics
from xray_training.simulator.solids import Solid, Vector, arc, disc, lifted, rounded, turn


def laptop(draw: Draw) -> Solid:
    """A closed laptop, a thin metal one or a thick plastic one."""
    slim = draw.chance(0.55)
    width, depth = draw.uniform(290, 345), draw.uniform(200, 240)
    height = draw.uniform(9, 12) if slim else draw.uniform(16, 22)
    body = Solid()
    material, wall = (
        ("aluminium", draw.uniform(0.7, 1.1)) if slim or draw.chance(0.25) else ("abs", draw.uniform(1.6, 2.2))
    )
    tray(body, material, rounded(width, depth, 12), 0, height, wall)
    _lid(draw, body, material, (width, depth), height)
    cells = _front_cells(draw, body, (width, depth), slim)
    _mainboard(draw, body, (width, depth), cells)
    _keyboard(draw, body, (width, depth), height)
    if not slim:
        _drives(draw, body, (width, depth))
    _fittings(draw, body, (width, depth), height)
    return body


def _lid(draw: Draw, body: Solid, material: str, size: tuple[float, float], level: float) -> None:
    width, depth = size
    body.prism(material, rounded(width, depth, 12), level + 4, level + (4.8 if material == "aluminium" else 5.8))
    body.box("glass", (width - 14, depth - 18, draw.uniform(0.8, 1.3)), (0, 3, level + 2))
    body.box("abs", (width - 10, depth - 12, 1.6), (0, 2, level + 3.2))
    body.box("circuit_board", (width * 0.6, 8, 1), (0, -depth / 2 + 10, level + 1.5))
    for side in (-1, 1):
        body.rod(
            "steel",
            (side * width * 0.32, depth / 2 - 4, level),
            (side * width * 0.42, depth / 2 - 4, level),
            2.6,
            sides=8,
        )
        body.box("steel", (12, 22, 1.2), (side * width * 0.42, depth / 2 - 16, level - 1))


def _front_cells(draw: Draw, body: Solid, size: tuple[float, float], slim: bool) -> float:
    """The battery; gives how much of the depth it takes at the front."""
    width, depth = size
    if slim:
        deep = depth * draw.uniform(0.36, 0.48)
        pouches(
            body,
            draw.integer(3, 6),
            (width * draw.uniform(0.74, 0.88), deep - 8),
            draw.uniform(3.5, 5.5),
            (0, -depth / 2 + deep / 2 + 4, 1.5),
        )
        return deep
    count = draw.integer(3, 4)
    start = -count * 66 / 2 + draw.uniform(-15, 15)
    places = [(start + number * 67.0, -depth / 2 + 14 + row * 19, 10.5) for number in range(count) for row in range(2)]
    body.add(repeated(cell(18, 64, cap=False), places))
    return 44


def _mainboard(draw: Draw, body: Solid, size: tuple[float, float], cells: float) -> None:
    width, depth = size
    deep = depth - cells - 24
    span = width * draw.uniform(0.58, 0.85)
    side = draw.choice([-1, 1])
    x, y = side * (width - span - 16) / 2, -depth / 2 + cells + deep / 2 + 8
    mainboard = board(draw, (span, deep * draw.uniform(0.65, 0.95)), draw.integer(60, 160))
    body.add(mainboard, at=(x, y, 2.5))
    hot, fan = (x + draw.uniform(-0.25, 0.25) * span, y), (-side * width * 0.36, y + deep * 0.1)
    path = np.array([(*hot, 5), ((hot[0] + fan[0]) / 2, y + deep * 0.3, 5), (fan[0], fan[1] + 26, 5)])
    body.strip("copper", path, draw.uniform(6, 9), 1.3)
    body.box("copper", (draw.uniform(22, 36), draw.uniform(22, 32), 1.4), (*hot, 4.4))
    radius = draw.uniform(20, 27)
    body.prism("abs", disc(radius, centre=fan), 2.5, 6.5)
    body.prism("abs", disc(radius - 1.5, centre=fan), 2.5, 6.5, hollow=True)
    body.prism("steel", disc(7, centre=fan, sides=10), 3, 6)
    fins = np.column_stack([np.linspace(-20, 20, 18) + fan[0], np.full(18, fan[1] + radius + 4), np.full(18, 5.0)])
    body.add(boxes("copper", np.tile([0.4, 8.0, 5.0], (18, 1)), fins))


def _keyboard(draw: Draw, body: Solid, size: tuple[float, float], level: float) -> None:
    width, depth = size
    body.box(draw.choice(["aluminium", "steel"], [3, 1]), (width * 0.86, 100, 0.25), (0, depth * 0.12, level - 1.4))
    columns, rows = 14, 5
    x, y = np.meshgrid((np.arange(columns) - 6.5) * width * 0.86 / columns, (np.arange(rows) - 2) * 19 + depth * 0.12)
    places = np.column_stack([x.ravel(), y.ravel(), np.full(x.size, level - 0.2)])
    body.add(boxes("abs", np.tile([width * 0.86 / columns - 3, 15.5, 1.5], (len(places), 1)), places))
    body.box("glass", (105, 65, 0.7), (0, -depth / 2 + 42, level - 0.9))


def _drives(draw: Draw, body: Solid, size: tuple[float, float]) -> None:
    width, depth = size
    x, y = draw.choice([-1, 1]) * (width / 2 - 60), -depth / 2 + 95
    if draw.chance(0.7):
        tray(body, "aluminium", rounded(100, 70, 3, centre=(x, y)), 3, 10, 1.6)
        body.prism("aluminium", disc(32, centre=(x - 14, y), sides=18), 5.5, 6.5)
        body.prism("steel", disc(11, centre=(x - 14, y), sides=10), 5, 9)
        body.box("steel", (20, 22, 4), (x + 34, y - 18, 6.5))
    if draw.chance(0.4):
        tray(body, "steel", rounded(128, 126, 3, centre=(-x * 0.8, y - 10)), 3, 14, 0.5)
        body.prism("steel", disc(14, centre=(-x * 0.8, y - 10), sides=10), 5, 9)


def _fittings(draw: Draw, body: Solid, size: tuple[float, float], height: float) -> None:
    width, depth = size
    for side in (-1, 1):
        for y in np.cumsum(draw.uniforms(draw.integer(1, 4), 13, 24)):
            port(body, (12, draw.uniform(8, 14), 4), (side * (width / 2 - 8), depth / 2 - 20 - float(y), height * 0.5))
        body.box("steel", (14, 10, 3), (side * (width / 2 - 26), -depth / 2 + 26, height * 0.5))
    screw = Solid()
    screw.rod("steel", (0, 0, 0), (0, 0, 4.5), 1.3, sides=5)
    spots = [(x * (width / 2 - 8), y * (depth / 2 - 8), 0.5) for x in (-1, -0.35, 0.35, 1) for y in (-1, 0.2, 1)]
    body.add(repeated(screw, spots))


def tablet(draw: Draw) -> Solid:
    """A tablet or an e-reader, sometimes in a cover."""
    reader = draw.chance(0.25)
    width, depth = (
        (draw.uniform(160, 180), draw.uniform(112, 125)) if reader else (draw.uniform(200, 280), draw.uniform(135, 205))
    )
    height = draw.uniform(6, 8.5)
    body = Solid()
    material, wall = ("abs", 1.5) if reader else ("aluminium", draw.uniform(0.7, 1.0))
    tray(body, material, rounded(width, depth, 11), 0, height - 1.4, wall)
    body.prism("glass", rounded(width - 2, depth - 2, 10), height - 1.3, height - (0.5 if reader else 0.1))
    room = width * (0.4 if reader else draw.uniform(0.5, 0.62))
    pouches(body, 1 if reader else 2, (room, depth * 0.75), draw.uniform(2.6, 3.6), (-width * 0.06, 0, wall + 0.2))
    strip = board(draw, (width * 0.15, depth * 0.8), draw.integer(25, 50), thickness=0.8)
    body.add(strip, at=(width * 0.38, 0, wall + 0.4))
    body.box("steel", (5, 22, 2.5), (-width / 2 + 9, depth * 0.25, 3))
    body.box("steel", (5, 22, 2.5), (-width / 2 + 9, -depth * 0.25, 3))
    body.rod("glass", (width / 2 - 10, depth / 2 - 10, 1), (width / 2 - 10, depth / 2 - 10, 5), 4, sides=8)
    port(body, (8, 9, 3.2), (-width / 2 + 5, 0, 3))
    if draw.chance(0.4):
        body.prism(draw.choice(["leather", "pvc"]), rounded(width + 8, depth + 8, 12), height + 0.3, height + 2.5)
        magnets = np.array([(x, depth / 2 + 1, height + 1.4) for x in np.linspace(-0.4, 0.4, 6) * width])
        body.add(boxes("steel", np.tile([8.0, 3.0, 1.2], (6, 1)), magnets))
    return body


def phone(draw: Draw) -> Solid:
    """A smartphone, or an older phone with keys."""
    return _smartphone(draw) if draw.chance(0.88) else _keypad_phone(draw)


def _smartphone(draw: Draw) -> Solid:
    width, depth, height = draw.uniform(138, 166), draw.uniform(66, 78), draw.uniform(7.2, 9)
    body = Solid()
    outline, frame = rounded(width, depth, 10), draw.choice(["aluminium", "steel"], [4, 1])
    wall = 1.6 if frame == "aluminium" else 0.9
    body.prism(frame, outline, 0.7, height - 1.2)
    body.prism(frame, rounded(width - 2 * wall, depth - 2 * wall, 9), 0.7, height - 1.2, hollow=True)
    body.prism("aluminium", rounded(width - 4, depth - 4, 8), height - 2.2, height - 1.6)
    body.box("copper", (width * 0.8, depth * 0.8, 0.08), (0, 0, height - 1.5))
    body.prism("glass", outline, height - 1.2, height)
    body.prism(draw.choice(["glass", "abs"], [3, 1]), outline, 0, 0.7)
    long, thick = width * draw.uniform(0.52, 0.62), height - 3.0
    pouches(body, 1, (long, depth * draw.uniform(0.56, 0.68)), thick, (-width * 0.08, -depth * 0.13, 0.9))
    body.add(board(draw, (width * 0.26, depth - 10), draw.integer(20, 40), thickness=0.8), at=(width * 0.34, 0, 1.2))
    body.add(board(draw, (width * 0.1, depth - 14), draw.integer(6, 12), thickness=0.8), at=(-width * 0.43, 0, 1.2))
    shield = (width * 0.13, depth * 0.33, 1.6)
    body.box("steel", shield, (width * 0.3, depth * 0.12, 4))
    body.box("steel", (shield[0] - 0.4, shield[1] - 0.4, 1.2), (width * 0.3, depth * 0.12, 4), hollow=True)
    for number in range(draw.integer(1, 3)):
        at = (width / 2 - 13 - 13 * (number % 2), depth / 2 - 13 - 13 * (number // 2))
        body.rod("steel", (*at, 0.8), (*at, 6), 5, wall=0.8, sides=10)
        body.rod("glass", (*at, 1.5), (*at, 4), 3.6, sides=8)
        body.box("copper", (8, 8, 0.4), (*at, 6.3))
    body.box("steel", (6, 12, 3), (-width / 2 + 9, depth * 0.22, 3))
    body.box("steel", (10, 5, 3), (-width / 2 + 11, -depth * 0.3, 3))
    port(body, (7, 8.5, 2.8), (-width / 2 + 4.5, 0, 3.5))
    if draw.chance(0.4):
        body.prism(draw.choice(["pvc", "rubber", "leather"]), rounded(width + 3, depth + 3, 11), -1.5, 0)
    return body


def _keypad_phone(draw: Draw) -> Solid:
    width, depth, height = draw.uniform(104, 125), draw.uniform(44, 52), draw.uniform(12, 17)
    body = Solid()
    tray(body, "abs", rounded(width, depth, 12), 0, height, 1.6)
    body.box("lithium_cell", (52, 34, 5.5), (-width * 0.12, 0, 4.5))
    body.add(board(draw, (width - 12, depth - 8), draw.integer(25, 45)), at=(0, 0, 7.6))
    body.box("glass", (38, 32, 1.6), (width * 0.24, 0, height - 2.6))
    body.box("steel", (30, 28, 0.3), (width * 0.2, 0, 9.2))
    x, y = np.meshgrid(np.arange(4) * 9 - width * 0.36, (np.arange(3) - 1) * 13)
    places = np.column_stack([x.ravel(), y.ravel(), np.full(12, height - 1)])
    body.add(boxes("rubber", np.tile([6.0, 10.0, 2.0], (12, 1)), places))
    body.rod("steel", (width / 2 - 8, 0, height - 5), (width / 2 - 8, 0, height - 2), 5, sides=8)
    return body


def power_bank(draw: Draw) -> Solid:
    """A power bank of flat pouches or of round cells."""
    return _pouch_bank(draw) if draw.chance(0.6) else _round_cell_bank(draw)


def _endboard(draw: Draw, body: Solid, end: float, breadth: float, level: float) -> None:
    """The electronics at the end of a power bank, with its sockets."""
    body.add(board(draw, (16, breadth - 6), draw.integer(12, 28), thickness=1.6), at=(end - 10, 0, level))
    for y in np.linspace(-0.3, 0.3, draw.integer(2, 3)):
        port(body, (13, draw.choice([13.0, 8.5]), 5), (end - 8, float(y) * breadth, level + 4.2))
    body.prism("copper", disc(3.2, centre=(end - 14, breadth * 0.12), sides=8), level + 1.6, level + 4)


def _case(draw: Draw, body: Solid, size: Vector) -> float:
    """The case of a power bank; gives the thickness of its wall."""
    wall = 1.8
    if draw.chance(0.3):
        wall = 0.9
    tray(body, "abs" if wall > 1 else "aluminium", rounded(size[0], size[1], min(9.0, size[1] / 3)), 0, size[2], wall)
    return wall


def _pouch_bank(draw: Draw) -> Solid:
    layers, side_by_side = draw.choice([(1, 1), (2, 1), (1, 2), (2, 2)], [4, 3, 2, 1])
    thick = draw.uniform(6, 9)
    width, depth = draw.uniform(105, 155), draw.uniform(62, 78)
    height = max(layers * thick + 4.5, 11.5)
    body = Solid()
    wall = _case(draw, body, (width, depth, height))
    for layer in range(layers):
        pouches(body, side_by_side, (width - 30, depth - 10), thick - 0.3, (-11, 0, wall + 0.2 + layer * thick))
    _endboard(draw, body, width / 2 - wall, depth, wall + 0.4)
    return body


def _round_cell_bank(draw: Draw) -> Solid:
    across, along = draw.choice([(1, 1), (2, 1), (3, 1), (4, 1), (4, 2), (3, 2)], [2, 4, 3, 2, 1, 1])
    width, depth, height = along * 68 + 24.0, across * 18.8 + 6.0, 23.0
    body = Solid()
    wall = _case(draw, body, (width, depth, height))
    places = [
        (-width / 2 + wall + 3 + 68.0 * i, (j - (across - 1) / 2) * 18.6, height / 2)
        for i in range(along)
        for j in range(across)
    ]
    body.add(repeated(cell(18, 64), places))
    _endboard(draw, body, width / 2 - wall, max(depth, 22), wall + 1)
    return body


def battery(draw: Draw) -> Solid:
    """One battery or several, loose or in their pack."""
    style = draw.choice([_round_batteries, _block_battery, _coin_cells, _pouch_pack], [6, 2, 1.5, 1.5])
    return style(draw)


def _round_batteries(draw: Draw) -> Solid:
    diameter, length = draw.choice(
        [(14.2, 49.0), (10.4, 43.5), (26.0, 49.0), (33.0, 60.0), (18.4, 64.5), (21.0, 70.0)], [6, 3, 1, 1, 3, 1]
    )
    count = draw.choice([1, 2, 3, 4, 6, 8], [2, 4, 1, 4, 1, 1])
    body, one = Solid(), cell(diameter, length)
    packed = draw.chance(0.55)
    start = -(count - 1) / 2
    places, turns = [], []
    for number in range(count):
        flip = draw.choice([0.0, 180.0]) if packed else draw.uniform(0, 360)
        rotation = turn("z", flip)
        loose = (0.0, 0.0) if packed else (draw.uniform(-8, 8), draw.uniform(-6, 6))
        pitch = diameter + (0.3 if packed else 0.55 * length)
        centre = np.array([loose[0], (start + number) * pitch + loose[1], 0]) - rotation @ np.array([length / 2, 0, 0])
        places.append(tuple(centre.tolist()))
        turns.append(rotation)
    body.add(repeated(one, places, np.stack(turns)))
    if packed and count > 1 and draw.chance(0.5):
        body.box("paper", (length + 30, count * diameter + 16, 0.8), (0, 0, -diameter / 2 - 0.5))
        body.box("polyethylene", (length + 4, count * diameter + 4, 0.4), (0, 0, diameter / 2 + 0.3))
    return body


def _block_battery(draw: Draw) -> Solid:
    """Nine volts: six small cells in a sheet steel box with two snaps."""
    body = Solid()
    for number in range(draw.choice([1, 2], [3, 1])):
        y = number * (draw.uniform(27, 36))
        tray(body, "steel", rounded(46, 26, 2, centre=(0, y)), 0, 17, 0.25)
        cells = np.array([(column, y + row, 8.5) for column in (-1.0,) for row in (-8.2, 0, 8.2)])
        body.add(boxes("lithium_cell", np.tile([42.0, 7.6, 14.5], (3, 1)), cells))
        for row in (-6.3, 6.3):
            body.rod("steel", (23, y + row, 8.5), (26, y + row, 8.5), 3, sides=8)
    return body


def _coin_cells(draw: Draw) -> Solid:
    body = Solid()
    diameter, thickness = draw.choice([(20.0, 3.2), (16.0, 2.0), (11.6, 5.4), (24.5, 3.0)])
    count = draw.integer(1, 5)
    for number in range(count):
        centre = ((number - (count - 1) / 2) * (diameter + draw.uniform(3, 9)), draw.uniform(-2, 2))
        tray(body, "steel", disc(diameter / 2, centre=centre), 0.4, 0.4 + thickness, 0.3)
        body.prism("lithium_cell", disc(diameter / 2 - 0.5, centre=centre), 0.8, thickness - 0.1)
    if draw.chance(0.6):
        body.box("paper", (count * (diameter + 8), diameter * 2.2, 0.4), (0, diameter * 0.4, 0.2))
    return body


def _pouch_pack(draw: Draw) -> Solid:
    """A flat pack with its leads and plug, as for models."""
    body = Solid()
    size = (draw.uniform(70, 140), draw.uniform(33, 46))
    cells, each = draw.integer(1, 4), draw.uniform(5, 8)
    for layer in range(cells):
        body.box("lithium_cell", (*size, each - 0.4), (0, 0, (layer + 0.5) * each))
    body.box("circuit_board", (5, size[1] - 6, 1.2), (size[0] / 2 + 3, 0, cells * each / 2))
    for y in (-3, 3):
        end = (size[0] / 2 + draw.uniform(45, 60), y + draw.uniform(-14, 14), cells * each / 2)
        path = np.array([(size[0] / 2 + 4, y, end[2]), (size[0] / 2 + 25, y * 2, end[2]), end])
        wire(draw, body, path, 2.6)
        body.box("brass", (9, 3.5, 3.5), end)
    return body


def cable(draw: Draw) -> Solid:
    """A lead wound up or thrown in, with its plugs."""
    body = Solid()
    thin = draw.chance(0.7)
    diameter = draw.uniform(2.6, 4) if thin else draw.uniform(5, 7)
    turns = draw.uniform(2, 6) if thin else draw.uniform(1.5, 4)
    spread = draw.choice([2.5, 7.0, 14.0], [2, 3, 2])
    path = coil(draw, turns, draw.uniform(60, 130), draw.uniform(25, 90), spread=spread)
    wire(draw, body, path, diameter)
    for end, before in ((path[-1], path[-2]), (path[0], path[1])):
        ahead = end - before
        facing = float(np.rad2deg(np.arctan2(ahead[1], ahead[0])))
        body.add(_plug(draw, thin), at=tuple(end.tolist()), turn=turn("z", facing))
    if draw.chance(0.3):
        body.tube("steel", lifted(arc(9, 0, 330, 8, centre=(float(path[:, 0].max()), 0))), 0.6, sides=4)
    return body


def _plug(draw: Draw, thin: bool) -> Solid:
    """A plug along +x."""
    plug = Solid()
    if thin:
        wide = draw.choice([12.0, 8.4, 7.0])
        plug.box("abs", (draw.uniform(16, 24), wide + 3, 7), (10, 0, 0))
        port(plug, (11, wide, 4.5 if wide > 10 else 2.6), (26, 0, 0))
        plug.box("circuit_board", (10, wide, 1), (11, 0, 0))
        plug.box("tin", (3, wide * 0.6, 0.4), (14, 0, 1))
    elif draw.chance(0.5):
        plug.box("pvc", (36, 34, 20), (18, 0, 0))
        plug.box("brass", (20, 14, 3), (24, 0, 0))
        pins(plug, (36, 0, 0), draw.choice(["round", "flat", "three"]))
    else:
        plug.box("pvc", (28, 20, 14), (14, 0, 0))
        plug.add(boxes("brass", np.tile([16.0, 2.5, 4.0], (2, 1)), np.array([(20.0, -5.0, 0.0), (20, 5, 0)])))
    return plug


FAMILIES: tuple[Family, ...] = (
    Family("laptop", laptop, weight=3),
    Family("tablet", tablet, weight=1.5),
    Family("phone", phone, weight=3),
    Family("power_bank", power_bank, weight=2),
    Family("battery", battery, weight=1.5),
    Family("small_electronics", small_electronics, weight=7),
    Family("cable", cable, "any", weight=7),
)
"""Electric things."""
