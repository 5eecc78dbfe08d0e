"""Bags, cases and trays: what things are packed in."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from xray_training.simulator.draw import Draw
from xray_training.simulator.solids import Array, Solid, arc, disc, lifted, rounded, turn


@dataclass(frozen=True, slots=True)
class Bag:
    """A bag lying flat, its middle at the origin, its bottom at z = 0.

    Attributes:
        solid: shell, frame and fittings.
        room: width, height and depth inside, millimetres.
        fullness: how many things go in, relative to a usual bag.
    """

    solid: Solid
    room: tuple[float, float, float]
    fullness: float = 1.0


def bag(draw: Draw) -> Bag:
    """A bag of a kind that passes checkpoints often."""
    return draw.choice(KINDS, [3, 3, 4, 2, 2, 2, 1])(draw)


def hard_case(draw: Draw) -> Bag:
    """A trolley case of hard plastic: two ribbed shells, rails, wheels."""
    width, height, depth = draw.uniform(430, 580), draw.uniform(310, 400), draw.uniform(180, 240)
    solid = Solid()
    wall = draw.uniform(1.6, 2.8)
    _shell(solid, "abs", width, height, depth, draw.uniform(35, 70), wall)
    for number in range(draw.integer(0, 9)):
        y = -height / 2 + (number + 1) * height / 10
        solid.box("abs", (width * 0.85, 5, 2.5), (0, y, depth - 2))
    solid.tube("aluminium", lifted(rounded(width - 3, height - 3, 45), depth / 2), 3, closed=True, sides=4)
    _trolley(solid, draw, width, height)
    _wheels(solid, draw, width, height, depth)
    _zip(solid, draw, rounded(width, height, 45), depth / 2)
    return Bag(solid, (width - 30, height - 30, depth - 20), fullness=1.3)


def soft_case(draw: Draw) -> Bag:
    """A trolley case of fabric: piping, pockets, rails, wheels."""
    width, height, depth = draw.uniform(400, 560), draw.uniform(300, 380), draw.uniform(160, 230)
    solid = Solid()
    _shell(solid, "polyethylene", width, height, depth, draw.uniform(20, 50), draw.uniform(0.9, 1.8))
    _piping(solid, draw, rounded(width, height, 35), (6, depth - 6))
    pocket = rounded(width * draw.uniform(0.6, 0.85), height * draw.uniform(0.5, 0.8), 20)
    solid.tube("abs", lifted(pocket, depth), 1.8, closed=True, sides=4)
    _zip(solid, draw, pocket * 0.98, depth)
    _zip(solid, draw, rounded(width, height, 35), depth * 0.7)
    _trolley(solid, draw, width, height)
    _wheels(solid, draw, width, height, depth)
    _strap(solid, draw, (0, height / 2), 90)
    return Bag(solid, (width - 25, height - 25, depth - 15), fullness=1.2)


def backpack(draw: Draw) -> Bag:
    """A backpack: rounded top, straps with buckles, side pockets."""
    width, height, depth = draw.uniform(400, 500), draw.uniform(270, 340), draw.uniform(110, 190)
    solid = Solid()
    outline = _bulged(width, height, draw)
    _walls(solid, "polyethylene", outline, depth, draw.uniform(0.8, 1.6))
    _piping(solid, draw, outline, (5, depth - 5))
    inner = outline * draw.uniform(0.6, 0.85) + [draw.uniform(-20, 20), draw.uniform(-15, 15)]
    solid.tube("abs", lifted(inner, depth + 4), 1.6, closed=True, sides=4)
    _zip(solid, draw, inner, depth + 4)
    _zip(solid, draw, outline, depth / 2)
    for side in (-1, 1):
        y = side * height * 0.22
        path = [
            (width * 0.45, y, -6),
            (width * 0.1, y * 1.6, -14),
            (-width * 0.25, y * 1.9, -14),
            (-width * 0.42, y * 2.0, -6),
        ]
        solid.strip("foam", path, 65, 10)
        solid.strip("polyethylene", path, 28, 1.5)
        _buckle(solid, draw, (-width * draw.uniform(0.2, 0.4), y * 1.9, -18))
    _strap(solid, draw, (width / 2, 0), 60)
    if draw.chance(0.5):
        solid.box("polyethylene", (width * 0.8, height * 0.75, 1.2), (0, 0, 12))
    return Bag(solid, (width - 50, height - 45, depth - 10), fullness=0.9)


def holdall(draw: Draw) -> Bag:
    """A soft sports bag with long handles."""
    width, height, depth = draw.uniform(420, 560), draw.uniform(250, 320), draw.uniform(180, 260)
    solid = Solid()
    _walls(solid, "polyethylene", _bulged(width, height, draw), depth, draw.uniform(0.7, 1.4))
    _zip(solid, draw, np.array([(-width * 0.45, 0), (width * 0.45, draw.uniform(-10, 10))]), depth, closed=False)
    for side in (-1, 1):
        reach = draw.uniform(60, 180)
        path = [
            (-width * 0.2, side * height * 0.5, depth * 0.8),
            (-width * 0.1, side * (height * 0.5 + reach), depth * 0.4),
        ]
        path += [
            (width * 0.1, side * (height * 0.5 + reach), depth * 0.4),
            (width * 0.2, side * height * 0.5, depth * 0.8),
        ]
        solid.strip("polyethylene", path, 30, 2.5)
    for x in (-0.45, 0.45):
        _ring(solid, draw, (width * x, draw.uniform(-0.3, 0.3) * height, depth))
    return Bag(solid, (width - 50, height - 40, depth - 20), fullness=1.1)


def handbag(draw: Draw) -> Bag:
    """A handbag or briefcase: leather, metal clasps and rings."""
    width, height, depth = draw.uniform(300, 420), draw.uniform(220, 300), draw.uniform(80, 140)
    solid = Solid()
    outline = _bulged(width, height, draw)
    _walls(solid, draw.choice(["leather", "polyethylene"]), outline, depth, draw.uniform(1.2, 2.4))
    _piping(solid, draw, outline, (4, depth - 4))
    solid.box("brass", (draw.uniform(16, 40), draw.uniform(12, 25), 3), (draw.uniform(-20, 20), -height * 0.1, depth))
    for x in (-0.38, 0.38):
        _ring(solid, draw, (width * x, height * 0.48, depth / 2))
    reach = draw.uniform(80, 200)
    handle = arc(1.0, 0, 180, 12) * [width * 0.38, reach] + [0, height * 0.48]
    solid.tube("leather", lifted(handle, depth / 2), draw.uniform(4, 7))
    _zip(solid, draw, outline * 0.95, depth / 2)
    return Bag(solid, (width - 30, height - 30, depth - 8), fullness=0.8)


def tray(draw: Draw) -> Bag:
    """An open plastic tray with things laid into it."""
    width, height, depth = draw.uniform(480, 600), draw.uniform(330, 420), draw.uniform(80, 110)
    solid = Solid()
    outer = rounded(width, height, 40)
    wall = draw.uniform(2.2, 3.5)
    solid.loft("abs", [(0, outer * 0.9), (depth, outer)], alike=True)
    solid.loft(
        "abs",
        [(wall, (outer * 0.9) * (1 - 2 * wall / width)), (depth, outer * (1 - 2 * wall / width))],
        hollow=True,
        alike=True,
    )
    solid.tube("abs", lifted(outer, depth), 4, closed=True, sides=5)
    return Bag(solid, (width * 0.8, height * 0.8, depth + 40), fullness=0.6)


def sack(draw: Draw) -> Bag:
    """A thin plastic or cloth sack that hardly shows."""
    width, height, depth = draw.uniform(320, 460), draw.uniform(260, 350), draw.uniform(100, 180)
    solid = Solid()
    _walls(solid, "polyethylene", _bulged(width, height, draw), depth, draw.uniform(0.15, 0.5))
    return Bag(solid, (width - 50, height - 50, depth), fullness=0.7)


def _shell(solid: Solid, material: str, width: float, height: float, depth: float, corner: float, wall: float) -> None:
    _walls(solid, material, rounded(width, height, corner), depth, wall)
    for level in (0.06, 0.94):
        solid.tube(
            material,
            lifted(rounded(width - wall, height - wall, corner), depth * level),
            wall * 1.2,
            closed=True,
            sides=4,
        )


def _walls(solid: Solid, material: str, outline: Array, depth: float, wall: float) -> None:
    """A closed shell over an outline, its rims rounded."""
    lip = min(16.0, depth / 5)

    def levels(inset: float) -> list[tuple[float, Array]]:
        reach = float(np.abs(outline).max(axis=0).min())
        full, drawn = outline * (1 - inset / reach), outline * (1 - (inset + lip * 0.6) / reach)
        return [(inset, drawn), (lip, full), (depth - lip, full), (depth - inset, drawn)]

    solid.loft(material, levels(0.0), alike=True)
    solid.loft(material, levels(wall), hollow=True, alike=True)


def _bulged(width: float, height: float, draw: Draw) -> Array:
    """A rounded outline that sags: an uneven superellipse; shape (20, 2)."""
    angles = np.arange(20) * np.pi / 10
    squareness = draw.uniform(0.35, 0.6)
    cosine, sine = np.cos(angles), np.sin(angles)
    x = np.sign(cosine) * np.abs(cosine) ** squareness * width / 2
    y = np.sign(sine) * np.abs(sine) ** squareness * height / 2
    sag = 1 + 0.025 * (draw.uniforms(20) - 0.5)
    taper = 1 - draw.uniform(0, 0.18) * (x / width + 0.5)
    return np.column_stack([x * sag, y * sag * taper])


def _piping(solid: Solid, draw: Draw, outline: Array, levels: tuple[float, float]) -> None:
    radius, wire = draw.uniform(1.6, 2.8), draw.chance(0.5)
    for level in levels:
        solid.tube("pvc" if draw.chance(0.5) else "abs", lifted(outline * 0.985, level), radius, closed=True, sides=4)
        if wire:
            solid.tube("steel", lifted(outline * 0.985, level), 0.5, closed=True, sides=3)


def _zip(solid: Solid, draw: Draw, path: Array, level: float, *, closed: bool = True) -> None:
    """Teeth along a path, metal or plastic, and one or two sliders with pulls."""
    if draw.chance(0.4):
        solid.tube("brass", lifted(path, level), 0.6, closed=closed, sides=3)
    else:
        solid.tube("abs", lifted(path, level), 1.6, closed=closed, sides=3)
    for _ in range(draw.integer(1, 2)):
        x, y = (float(value) for value in path[draw.integer(0, len(path) - 1)])
        pull = Solid()
        pull.box("brass", (11, 8, 5))
        pull.prism("steel", rounded(draw.uniform(18, 34), 8, 3, centre=(20, 0)), -1, 1)
        solid.add(pull, at=(x, y, level), turn=turn("z", draw.uniform(0, 360)))


def _trolley(solid: Solid, draw: Draw, width: float, height: float) -> None:
    """Two telescopic rails along the case's length, a grip at one end and stays across."""
    spread = height * draw.uniform(0.18, 0.32)
    material, wall = draw.choice([("aluminium", 1.2), ("aluminium", 2.0), ("steel", 0.7)], [4, 3, 1])
    breadth = draw.uniform(14, 26)
    pulled = draw.choice(["aluminium", "steel"], [3, 1])
    for side in (-1, 1):
        y = side * spread
        solid.box(material, (width * 0.92, breadth, 12), (0, y, 8))
        solid.box(material, (width * 0.92, breadth - 2 * wall, 12 - 2 * wall), (0, y, 8), hollow=True)
        solid.rod(pulled, (-width * 0.4, y, 8), (width * 0.46, y, 8), 4.5, wall=0.8, sides=8)
        solid.box("abs", (30, breadth + 8, 20), (width * 0.46, y, 10))
        for x in (-0.42, 0.1, 0.42):
            solid.rod("steel", (width * x, y, 0), (width * x, y, 14), 2.2, sides=6)
    solid.box("abs", (22, 2 * spread + 30, 22), (width * 0.49, 0, 12))
    solid.rod("steel", (width * 0.49, -spread, 12), (width * 0.49, spread, 12), 3, sides=6)


def _wheels(solid: Solid, draw: Draw, width: float, height: float, depth: float) -> None:
    radius = draw.uniform(18, 28)
    levels = (radius, depth - radius) if draw.chance(0.6) else (radius,)
    for side in (-1, 1):
        for level in levels:
            wheel = Solid()
            wheel.rod("rubber", (-9, 0, 0), (9, 0, 0), radius, wall=radius * 0.45)
            wheel.rod("abs", (-7, 0, 0), (7, 0, 0), radius * 0.55)
            wheel.rod("steel", (-14, 0, 0), (14, 0, 0), 3, sides=8)
            wheel.box("abs", (24, radius, radius), (0, radius * 0.8, 0))
            place = (-width / 2 - radius * 0.4, side * (height / 2 - radius - 12), level)
            solid.add(wheel, at=place, turn=turn("z", draw.uniform(0, 180)))


def _strap(solid: Solid, draw: Draw, at: tuple[float, float], reach: float) -> None:
    x, y = at
    out = np.array([np.sign(x), np.sign(y)]) * draw.uniform(0.3, 0.6) * reach
    side = np.array([float(y != 0), float(x != 0)]) * draw.uniform(40, 70)
    start, end = np.array(at) - side, np.array(at) + side
    path = lifted(np.array([start, start + out, end + out, end]), 30)
    solid.strip("polyethylene", path, 25, 3)
    for place in (start, end):
        solid.rod("steel", (float(place[0]), float(place[1]), 25), (float(place[0]), float(place[1]), 35), 3, sides=6)


def _buckle(solid: Solid, draw: Draw, at: tuple[float, float, float]) -> None:
    part = Solid()
    size = draw.uniform(24, 34)
    if draw.chance(0.5):
        part.prism("abs", rounded(size * 1.6, size, 5), -3, 3)
        part.box("steel", (2, size * 0.8, 2))
    else:
        part.tube("steel", lifted(rounded(size, size * 0.8, 3)), 2, closed=True)
        part.rod("steel", (0, -size * 0.4, 0), (0, size * 0.4, 0), 1.6, sides=6)
    solid.add(part, at=at, turn=turn("z", draw.uniform(0, 180)))


def _ring(solid: Solid, draw: Draw, at: tuple[float, float, float]) -> None:
    part = Solid()
    part.tube(draw.choice(["steel", "brass"]), lifted(disc(draw.uniform(9, 18))), draw.uniform(1.5, 3), closed=True)
    solid.add(part, at=at, turn=turn("x", draw.uniform(0, 60)) @ turn("z", draw.uniform(0, 180)))


KINDS: tuple[Callable[[Draw], Bag], ...] = (hard_case, soft_case, backpack, holdall, handbag, tray, sack)
"""Every kind of bag."""
