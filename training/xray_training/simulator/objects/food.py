"""Food and sweets."""

from __future__ import annotations

import numpy as np

from xray_training.simulator.draw import Draw
from xray_training.simulator.objects.forms import (
    cushion,
    repeated,
    ribbon,
    wobbly,
)
from xray_training.simulator.solids import Solid, arc, rounded, turn


def food(draw: Draw) -> Solid:
    """Fruit, a sandwich, a bag of rice or nuts, chocolate, sausage or eggs."""
    styles = {
        _fruit: 5,
        _banana: 2,
        _sandwich: 3,
        _packet: 4,
        _chocolate: 2,
        _sausage: 1.5,
        _nuts: 2,
        _eggs: 0.7,
        _bread: 2,
    }
    return draw.choice(list(styles), list(styles.values()))(draw)


def _fruit(draw: Draw) -> Solid:
    """Apples or oranges with their core of air."""
    solid = Solid()
    radius = draw.uniform(28, 42)
    count = draw.choice([1, 2, 3, 5], [3, 2, 2, 1])
    angles = draw.uniform(0, 6.3) + np.arange(count) * 2 * np.pi / count
    away = 0.0 if count == 1 else radius * 1.03 / float(np.sin(np.pi / count))
    for angle in angles:
        wide, fruit = radius * draw.uniform(0.9, 1.0), Solid()
        fruit.lathe(
            "water",
            [
                (-wide * 0.86, wide * 0.35),
                (-wide * 0.5, wide * 0.9),
                (0, wide),
                (wide * 0.5, wide * 0.85),
                (wide * 0.8, wide * 0.4),
            ],
            sides=14,
        )
        fruit.lathe("water", [(-wide * 0.3, 1), (0, wide * 0.2), (wide * 0.3, 1)], sides=8, hollow=True)
        fruit.rod("wood", (wide * 0.78, 0, 0), (wide * 1.05, 1, 0), 1.3, sides=5)
        tip = turn("z", draw.uniform(0, 360)) @ turn("y", draw.uniform(-80, 80))
        solid.add(fruit, at=(away * float(np.cos(angle)), away * float(np.sin(angle)), 0), turn=tip)
    return solid


def _banana(draw: Draw) -> Solid:
    solid = Solid()
    for number in range(draw.integer(1, 4)):
        thick = draw.uniform(29, 36)
        bend = arc(draw.uniform(90, 120), 58, 122, 9) - np.array([0, 100])
        swell = np.sin(np.pi * np.linspace(0.06, 0.94, 9)) ** 0.4 * thick
        across = ribbon(bend, 1.0) - np.concatenate([bend, bend[::-1]])
        breadth = np.concatenate([swell, swell[::-1]])[:, None]
        spine = np.concatenate([bend, bend[::-1]])
        fruit = Solid()
        levels = ((-0.46, 0.45), (-0.25, 0.87), (0.0, 1.0), (0.25, 0.87), (0.46, 0.45))
        fruit.loft("water", [(level * thick, spine + across * breadth * share) for level, share in levels])
        stem = bend[-1]
        fruit.rod("water", (*stem.tolist(), 0), (float(stem[0]) - 16, float(stem[1]) - 16, 0), 4.5, sides=6)
        solid.add(fruit, at=(draw.uniform(-5, 5), -number * draw.uniform(24, 30), number * 4.0))
    return solid


def _sandwich(draw: Draw) -> Solid:
    solid = Solid()
    long = draw.uniform(110, 210)
    outline = (
        np.array([(-60.0, -45), (60, -45), (-60, 50)])
        if draw.chance(0.35)
        else rounded(long, draw.uniform(65, 100), 25)
    )
    level = 0.0
    for material, thick in (
        ("cloth", 16.0),
        ("water", draw.uniform(2, 6)),
        ("abs", draw.uniform(2, 5)),
        ("water", 3.0),
        ("cloth", 15.0),
    ):
        solid.prism(material, outline * draw.uniform(0.9, 1.0), level, level + thick)
        level += thick
    if draw.chance(0.5):
        solid.prism("polyethylene" if draw.chance(0.6) else "aluminium", outline * 1.03, -0.2, -0.16)
    return solid


def _packet(draw: Draw) -> Solid:
    """A bag of rice, flour, coffee, sugar or crisps."""
    solid = Solid()
    outline = wobbly(draw, draw.uniform(110, 240), draw.uniform(80, 160), unevenness=0.05, squareness=0.7)
    high = draw.uniform(25, 70)
    material = draw.choice(["paper", "wood", "cloth"], [4, 2, 2])
    cushion(solid, material, outline, 0, high, edge=draw.uniform(0.6, 0.85))
    ends = float(outline[:, 0].max())
    for side in (-1, 1):
        solid.box("polyethylene", (12, float(np.ptp(outline[:, 1])) * 0.85, 0.8), (side * (ends + 4), 0, high / 2))
    return solid


def _chocolate(draw: Draw) -> Solid:
    solid = Solid()
    columns, rows = draw.integer(5, 8), draw.integer(3, 4)
    x, y = np.meshgrid(np.arange(columns) * 21 - (columns - 1) * 10.5, np.arange(rows) * 20 - (rows - 1) * 10.0)
    piece = Solid()
    square = rounded(1, 1, 0.1)
    piece.loft("abs", [(3, square * 20), (8, square * 16)], alike=True)
    solid.prism("abs", rounded(columns * 21, rows * 20, 2), 0, 3)
    solid.add(repeated(piece, np.column_stack([x.ravel(), y.ravel(), np.zeros(x.size)])))
    solid.box("aluminium", (columns * 21.5, rows * 21, 0.06), (0, 0, -0.2))
    return solid


def _sausage(draw: Draw) -> Solid:
    solid = Solid()
    long, radius = draw.uniform(130, 260), draw.uniform(14, 32)
    solid.lathe(
        "water",
        [(0, radius * 0.3), (radius * 0.6, radius), (long - radius * 0.6, radius), (long, radius * 0.3)],
        sides=12,
    )
    for end, way in ((0.0, -1), (long, 1)):
        solid.rod("aluminium", (end + way * 2, 0, 0), (end + way * 5, 0, 0), 3.2, sides=6)
    return solid


def _nuts(draw: Draw) -> Solid:
    """A bag of nuts, sweets or dates."""
    solid = Solid()
    count = draw.integer(30, 70)
    radius = draw.uniform(6, 12)
    nut = Solid()
    nut.lathe(
        draw.choice(["abs", "wood", "water"]),
        [
            (-radius, radius * 0.35),
            (-radius * 0.3, radius * 0.8),
            (radius * 0.5, radius * 0.75),
            (radius * 1.1, radius * 0.3),
        ],
        sides=6,
    )
    spread = radius * 1.15 * (count / 2.6) ** 0.5
    places = draw.normals(count, 3) * np.array([spread * 0.75, spread * 0.5, radius * 0.7])
    turns = np.stack([turn("z", draw.uniform(0, 360)) @ turn("y", draw.uniform(-60, 60)) for _ in range(count)])
    solid.add(repeated(nut, places, turns))
    return solid


def _eggs(draw: Draw) -> Solid:
    solid = Solid()
    egg = Solid()
    egg.lathe("water", [(-24, 7), (-16, 17), (0, 21.5), (16, 17), (30, 5)], sides=10)
    solid.add(
        repeated(
            egg, [(x * 48.0, y * 48.0, 0.0) for x in (-1, 0, 1) for y in (-0.5, 0.5)], np.stack([turn("y", -90)] * 6)
        )
    )
    solid.box("paper", (150, 104, 3), (0, 0, -26))
    return solid


def _bread(draw: Draw) -> Solid:
    solid = Solid()
    outline = wobbly(draw, draw.uniform(120, 300), draw.uniform(70, 110), squareness=0.4)
    cushion(solid, "cloth", outline, 0, draw.uniform(50, 85), edge=0.6)
    return solid
