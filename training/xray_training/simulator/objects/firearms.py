"""Firearms, printed ones, and ammunition."""

from __future__ import annotations

import numpy as np

from xray_training.simulator.draw import Draw
from xray_training.simulator.objects.family import Family
from xray_training.simulator.solids import Outline, Solid, arc, lifted, turn


def gun(draw: Draw) -> Solid:
    """A pistol, a revolver, or a pistol in parts."""
    style = draw.uniform()
    if style < 0.62:
        return _pistol(draw)
    if style < 0.85:
        return _revolver(draw)
    return _stripped(draw)


def gun_3d_printed(draw: Draw) -> Solid:
    """A printed pistol: all plastic but for a nail, a spring, and sometimes rounds."""
    solid = Solid()
    length, height = draw.uniform(150, 210), draw.uniform(28, 42)
    depth = draw.uniform(18, 30)
    solid.prism("abs", _bar(length, height), -depth / 2, depth / 2)
    solid.rod("abs", (-length / 2, 0, 0), (length * 0.2, 0, 0), 5, sides=8)
    _grip(solid, draw, "abs", length, height, depth)
    solid.tube("abs", lifted(arc(17, 180, 360, 9, centre=(length * 0.1, -height / 2))), 3.5)
    pin = draw.uniform(15, 45)
    solid.rod(
        "steel", (length * 0.3, height * 0.2, 0), (length * 0.3 + pin, height * 0.2, 0), draw.uniform(1.2, 2), sides=8
    )
    _spring(solid, (length * 0.1, 2, 0), 30, 4)
    solid.rod(
        "steel", (length * 0.12, -height * 0.7, -depth / 2), (length * 0.12, -height * 0.7, depth / 2), 1.5, sides=8
    )
    if draw.chance(0.4):
        _cartridge(solid, (-length * 0.05, 0, 0), 4.5, 19, 11)
    return solid


def bullet(draw: Draw) -> Solid:
    """Cartridges: one, a few loose, a boxed grid, or a loaded magazine."""
    solid = Solid()
    radius = draw.uniform(3.2, 5.9)
    case, tip = draw.uniform(3.5, 6.5) * radius, draw.uniform(1.8, 3.5) * radius
    style = draw.uniform()
    if style < 0.35:
        _cartridge(solid, (0, 0, 0), radius, case, tip)
    elif style < 0.65:
        for _ in range(draw.integer(2, 9)):
            part = Solid()
            _cartridge(part, (0, 0, 0), radius, case, tip)
            place = (draw.uniform(-30, 30), draw.uniform(-30, 30), 0.0)
            solid.add(part, at=place, turn=turn("z", draw.uniform(0, 360)))
    elif style < 0.85:
        rows, columns = draw.integer(2, 5), draw.integer(3, 8)
        lying = draw.chance(0.5)
        pitch = 2 * radius + 1.5
        for row in range(rows):
            for column in range(columns):
                part = Solid()
                _cartridge(part, (0, 0, 0), radius, case, tip, sides=8)
                if lying:
                    solid.add(part, at=(row * (case + tip + 3), column * pitch, 0))
                else:
                    solid.add(part, at=(row * pitch, column * pitch, 0), turn=turn("y", -90))
    else:
        _magazine(solid, draw, np.eye(3), (0, 0, 0), draw.uniform(95, 150))
    return solid


def _pistol(draw: Draw) -> Solid:
    solid = Solid()
    length, height, depth = draw.uniform(150, 220), draw.uniform(24, 32), draw.uniform(20, 27)
    bore = draw.uniform(4.5, 6)
    solid.prism("steel", _bar(length, height), -depth / 2, depth / 2)
    solid.prism("steel", _rectangle(length * 0.94, height * 0.62), -depth * 0.3, depth * 0.3, hollow=True)
    solid.rod("steel", (-length / 2, height * 0.12, 0), (length * 0.1, height * 0.12, 0), bore + 3, wall=3, sides=10)
    solid.box("steel", (length * 0.25, height * 0.5, depth * 0.5), (length * 0.28, 0, 0))
    _spring(solid, (-length * 0.2, -height * 0.25, 0), length * 0.4, 4)
    frame = draw.choice(["abs", "aluminium", "steel"], [5, 2, 2])
    thick = {"abs": depth * 0.85, "aluminium": depth * 0.45, "steel": depth * 0.22}[frame]
    dust = height * 0.32
    solid.prism(frame, _rectangle(length * 0.8, dust, (length * 0.05, -height / 2 - dust / 2)), -thick / 2, thick / 2)
    rotation, foot = _grip(solid, draw, frame, length, height + dust, thick)
    if draw.chance(0.85):
        _magazine(solid, draw, rotation, foot, draw.uniform(80, 110))
    guard = arc(19, 180, 360, 10, centre=(length * 0.08, -height / 2 - dust))
    solid.tube(frame if frame != "steel" else "steel", lifted(guard), 3)
    solid.tube("steel", [(length * 0.1, -height / 2 - dust, 0), (length * 0.07, -height / 2 - dust - 17, 0)], 2.5)
    solid.box("steel", (4, 4, 4), (-length * 0.46, height / 2 + 2, 0))
    solid.box("steel", (9, 9, 7), (length * 0.5, height * 0.1, 0))
    return solid


def _revolver(draw: Draw) -> Solid:
    solid = Solid()
    barrel, drum = draw.uniform(50, 160), draw.uniform(17, 22)
    solid.rod("steel", (-barrel - 20, 8, 0), (-18, 8, 0), 8.5, wall=4, sides=12)
    solid.box("steel", (barrel, 5, 6), (-barrel / 2 - 18, 19, 0))
    solid.rod("steel", (-barrel * 0.9, -6, 0), (-20, -6, 0), 4, sides=8)
    solid.lathe("steel", [(-20, drum), (20, drum)], at=(0, 2, 0))
    holes = draw.choice([5, 6])
    loaded = draw.chance(0.6)
    for number in range(holes):
        angle = 2 * np.pi * number / holes
        y, z = 2 + 0.62 * drum * float(np.cos(angle)), 0.62 * drum * float(np.sin(angle))
        solid.tube("steel", [(-20, y, z), (20, y, z)], 5, sides=8, hollow=True)
        if loaded:
            _cartridge(solid, (-12, y, z), 4.4, 24, 8, sides=8)
    frame = [(-22, 27), (30, 27), (44, 8), (36, -22), (-22, -24)]
    solid.prism("steel", frame, -3.5, 3.5)
    solid.prism("steel", [(-21, 24), (21, 24), (21, -20), (-21, -20)], -3.5, 3.5, hollow=True)
    grip = [(32, 8), (46, 2), (62, -40), (70, -78), (44, -84), (36, -50), (26, -22)]
    solid.prism("steel", [(x * 0.96 + 1.5, y * 0.94 - 2) for x, y in grip], -2, 2)
    cheek, thick = draw.choice([("wood", 13.0), ("rubber", 13.0), ("abs", 12.0)])
    solid.prism(cheek, grip, 2, 2 + thick)
    solid.prism(cheek, grip, -2 - thick, -2)
    solid.tube("steel", lifted(arc(19, 180, 360, 10, centre=(4, -24))), 3)
    solid.tube("steel", [(8, -23, 0), (4, -38, 0)], 2.5)
    solid.prism("steel", [(38, 12), (48, 26), (54, 24), (46, 6)], -3, 3)
    return solid


def _stripped(draw: Draw) -> Solid:
    """Slide, barrel, frame and magazine lying apart."""
    solid = Solid()
    length, height, depth = draw.uniform(160, 200), 27.0, 23.0

    def spread() -> tuple[float, float, float]:
        return draw.uniform(-60, 60), draw.uniform(-60, 60), 0.0

    slide = Solid()
    slide.prism("steel", _bar(length, height), -depth / 2, depth / 2)
    slide.prism("steel", _rectangle(length * 0.94, height * 0.62), -depth * 0.3, depth * 0.3, hollow=True)
    solid.add(slide, at=spread(), turn=turn("z", draw.uniform(0, 360)))
    barrel = Solid()
    barrel.rod("steel", (-55, 0, 0), (50, 0, 0), 7.5, wall=3, sides=12)
    barrel.box("steel", (22, 18, 16), (40, 0, 0))
    solid.add(barrel, at=spread(), turn=turn("z", draw.uniform(0, 360)))
    frame = Solid()
    material = draw.choice(["abs", "aluminium"])
    frame.prism(material, _rectangle(length * 0.8, 9), -8, 8)
    _grip(frame, draw, material, length, 9, 18)
    frame.tube(material, lifted(arc(19, 180, 360, 10, centre=(length * 0.08, -4))), 3)
    solid.add(frame, at=spread(), turn=turn("z", draw.uniform(0, 360)))
    magazine = Solid()
    _magazine(magazine, draw, np.eye(3), (0, 0, 0), draw.uniform(85, 110))
    solid.add(magazine, at=spread(), turn=turn("z", draw.uniform(0, 360)))
    return solid


def _grip(
    solid: Solid, draw: Draw, material: str, length: float, height: float, depth: float
) -> tuple[np.ndarray, tuple[float, float, float]]:
    """Add a leaning grip below the rear; give its rotation and its foot's middle."""
    drop, breadth, lean = draw.uniform(85, 112), draw.uniform(34, 46), draw.uniform(12, 26)
    x = length / 2 - breadth * 0.62
    shift = drop * float(np.tan(np.deg2rad(lean)))
    top, foot = -height / 2 + 6, -height / 2 - drop
    outline = [
        (x - breadth / 2, top),
        (x + breadth / 2 + 6, top),
        (x + breadth / 2 + shift * 0.4, (top + foot) / 2),
        (x + breadth / 2 + shift, foot),
        (x - breadth / 2 + shift, foot),
    ]
    solid.prism(material, outline, -depth / 2, depth / 2)
    solid.prism(material, _shrunk(outline, 0.8), -depth * 0.32, depth * 0.32, hollow=True)
    return turn("z", lean), (x + shift, foot, 0.0)


def _magazine(solid: Solid, draw: Draw, rotation: np.ndarray, foot: tuple[float, float, float], length: float) -> None:
    """A sheet-steel box of rounds, its foot at a place, rising along y before it is turned."""
    part = Solid()
    width, depth, wall = 30.0, draw.uniform(14, 22), 0.9
    part.box("steel", (width, length, depth), (0, length / 2, 0))
    part.box("steel", (width - 2 * wall, length - 2, depth - 2 * wall), (0, length / 2, 0), hollow=True)
    part.box(draw.choice(["abs", "steel", "aluminium"]), (width + 6, 5, depth + 3), (1, -2.5, 0))
    rounds = draw.choice([0, int(length // 11) - 1, int(length // 11) - 1])
    for number in range(rounds):
        _cartridge(part, (-13, length - 9 - number * 10.5, (number % 2 - 0.5) * (depth - 12)), 4.6, 19, 9, sides=8)
    zigzag = [(-8 if step % 2 else 8, 4 + step * 3, 0) for step in range(int((length - rounds * 10.5 - 8) // 3))]
    if len(zigzag) > 2:
        part.tube("steel", zigzag, 0.6, sides=4)
    solid.add(part, at=foot, turn=rotation)


def _cartridge(
    solid: Solid, at: tuple[float, float, float], radius: float, case: float, tip: float, *, sides: int = 10
) -> None:
    """Brass case, powder left empty, lead core in a thin jacket; the case's head is at the place, the tip at +x."""
    solid.lathe("brass", [(0, radius * 1.08), (1.5, radius), (case, radius * 0.96)], at=at, sides=sides)
    solid.lathe("brass", [(2.5, radius * 0.84), (case, radius * 0.84)], at=at, sides=sides, hollow=True)
    ogive = [(case - radius * 0.6, radius * 0.82), (case + tip * 0.3, radius * 0.82), (case + tip, radius * 0.2)]
    solid.lathe("lead", ogive, at=at, sides=sides)


def _spring(solid: Solid, at: tuple[float, float, float], length: float, radius: float) -> None:
    steps = max(6, int(length / 3))
    place = np.arange(steps)
    path = np.column_stack(
        [at[0] + place * length / steps, at[1] + radius * np.where(place % 2, 1.0, -1.0), np.full(steps, at[2])]
    )
    solid.tube("steel", path, 0.6, sides=4)


def _bar(length: float, height: float) -> Outline:
    """A slide's outline: a bar with its front lower corner cut."""
    return [
        (-length / 2, -height * 0.2),
        (-length / 2 + height * 0.3, -height / 2),
        (length / 2, -height / 2),
        (length / 2, height / 2),
        (-length / 2, height / 2),
    ]


def _rectangle(width: float, height: float, centre: tuple[float, float] = (0, 0)) -> Outline:
    x, y = centre
    return [
        (x - width / 2, y - height / 2),
        (x + width / 2, y - height / 2),
        (x + width / 2, y + height / 2),
        (x - width / 2, y + height / 2),
    ]


def _shrunk(outline: Outline, share: float) -> Outline:
    points = np.asarray(outline)
    middle = points.mean(axis=0)
    return np.asarray(middle + (points - middle) * share)


FAMILIES = (
    Family("gun", gun),
    Family("gun_3d_printed", gun_3d_printed),
    Family("bullet", bullet, stance="any"),
)
