"""Everyday things that fill a bag, and the bags themselves."""

from __future__ import annotations

import math

import cv2
import numpy as np
from numpy.typing import NDArray

from xray_training.simulator.materials import INDEX
from xray_training.simulator.solids import Solid
from xray_training.simulator.threats import Maker


def laptop(rng: np.random.Generator) -> Solid:
    """Shell, board with components, cells, heat pipe, hinges."""
    width, height = rng.uniform(300, 370), rng.uniform(210, 250)
    solid = Solid(width, height)
    solid.box("aluminium", 2.0, 0, 0, width, height)
    solid.box("glass", 1.2, 8, 8, width - 8, height - 8)
    solid.box("circuit_board", 1.4, 20, 15, width - 20, height * 0.55)
    for _ in range(90):
        x, y = rng.uniform(22, width - 45), rng.uniform(17, height * 0.5)
        material = ("copper", "abs", "circuit_board", "steel")[int(rng.integers(4))]
        solid.box(material, rng.uniform(0.2, 1.5), x, y, x + rng.uniform(3, 22), y + rng.uniform(3, 16))
    for index in range(4):
        left = 25 + index * (width - 50) / 4
        solid.box("lithium_cell", 5, left, height * 0.62, left + (width - 50) / 4 - 5, height - 15)
    solid.line("copper", 1.5, [(40, 60), (width * 0.5, 45), (width - 60, 70)], 8)
    solid.ring("copper", 1.5, (width - 70, 70), 28, 8)
    for x in (width * 0.15, width * 0.85):
        solid.box("steel", 4, x - 14, 2, x + 14, 10)
    return solid


def phone(rng: np.random.Generator) -> Solid:
    """Glass, aluminium, one cell, a board."""
    solid = Solid(74, 154)
    solid.box("glass", 1.4, 2, 2, 72, 152)
    solid.box("aluminium", 0.8, 2, 2, 72, 152)
    solid.box("lithium_cell", 4, 10, 60, 50, 140)
    solid.box("circuit_board", 0.8, 8, 10, 66, 55)
    for _ in range(14):
        x, y = rng.uniform(10, 52), rng.uniform(12, 42)
        solid.box("copper", rng.uniform(0.2, 0.8), x, y, x + rng.uniform(4, 14), y + rng.uniform(4, 12))
    return solid


def bottle(rng: np.random.Generator) -> Solid:
    """A plastic or glass bottle, partly filled."""
    radius, length = rng.uniform(26, 40), rng.uniform(150, 220)
    solid = Solid(length + 50, 2 * radius + 8)
    middle = solid.size[1] / 2
    wall = ("polyethylene", 0.6) if rng.random() < 0.7 else ("glass", 3.5)
    solid.rod(wall[0], (4, middle), (4 + length, middle), radius, wall=wall[1])
    solid.rod(wall[0], (4 + length, middle), (40 + length, middle), radius * 0.4, wall=wall[1])
    solid.rod("water", (5, middle), (5 + length * rng.uniform(0.3, 0.95), middle), radius - wall[1])
    solid.rod("polyethylene", (30 + length, middle), (45 + length, middle), radius * 0.45, wall=2)
    return solid


def book(rng: np.random.Generator) -> Solid:
    """A block of paper."""
    width, height = rng.uniform(110, 170), rng.uniform(160, 240)
    solid = Solid(width, height)
    solid.box("paper", rng.uniform(10, 40), 0, 0, width, height)
    return solid


def shoe(rng: np.random.Generator) -> Solid:
    """Rubber sole, leather upper, sometimes a steel shank."""
    solid = Solid(290, 115)
    sole = [(8, 60), (40, 20), (120, 22), (200, 12), (262, 20), (284, 58), (262, 96), (200, 102), (120, 88), (40, 98)]
    solid.plate("rubber", rng.uniform(12, 22), sole)
    solid.plate("leather", 4, sole)
    for x in range(30, 270, 14):
        solid.line("rubber", 5, [(x, 22), (x, 95)], 4)
    if rng.random() < 0.5:
        solid.box("steel", 1.2, 110, 50, 210, 64)
    return solid


def keys(rng: np.random.Generator) -> Solid:
    """Brass keys on a steel ring."""
    solid = Solid(90, 90)
    solid.ring("steel", 2, (45, 45), 14, 11.5)
    for angle in rng.uniform(0, 2 * np.pi, int(rng.integers(2, 5))):
        step = np.array([np.cos(angle), np.sin(angle)])
        head, tip = np.array([45, 45]) + step * 16, np.array([45, 45]) + step * 44
        solid.disc("brass", 2.2, (head[0], head[1]), 9)
        solid.line("brass", 2.2, [(head[0], head[1]), (tip[0], tip[1])], 6)
    return solid


def coins(rng: np.random.Generator) -> Solid:
    """Loose change."""
    solid = Solid(80, 80)
    for _ in range(int(rng.integers(3, 9))):
        solid.disc("copper", rng.uniform(1.5, 2.4), tuple(rng.uniform(14, 66, 2)), rng.uniform(9, 13))
    return solid


def cable(rng: np.random.Generator) -> Solid:
    """A coiled cable with a plug."""
    solid = Solid(150, 130)
    turns = np.linspace(0, rng.uniform(4, 9) * np.pi, 160)
    radius = 48 + 5 * np.sin(turns * 0.7)
    points = [(75 + r * np.cos(a), 65 + 0.9 * r * np.sin(a)) for a, r in zip(turns, radius, strict=True)]
    solid.line("pvc", 3, points, 5)
    solid.line("copper", 1, points, 2)
    solid.box("abs", 14, 8, 8, 42, 38)
    solid.box("copper", 8, 15, 14, 33, 32)
    return solid


def umbrella(rng: np.random.Generator) -> Solid:
    """A folded umbrella: steel shaft and ribs, cloth, handle."""
    solid = Solid(270, 56)
    solid.rod("steel", (12, 28), (220, 28), 5, wall=0.8)
    for offset in np.linspace(-16, 16, 8):
        solid.line("steel", 1.2, [(20, 28), (205, 28 + offset)], 2)
    solid.rod("cloth", (20, 28), (205, 28), 22)
    solid.rod("abs", (215, 28), (262, 28), 11)
    return solid


def toiletries(rng: np.random.Generator) -> Solid:
    """A tube of cream or a small jar."""
    solid = Solid(150, 52)
    solid.plate("polyethylene", 2, [(6, 20), (20, 8), (110, 10), (110, 42), (20, 44), (6, 32)])
    solid.plate("water", rng.uniform(12, 24), [(24, 12), (108, 13), (108, 39), (24, 40)])
    solid.rod("polyethylene", (110, 26), (136, 26), 13, wall=3)
    return solid


def glasses_case(rng: np.random.Generator) -> Solid:
    """Spectacles in a hard case."""
    solid = Solid(170, 70)
    solid.box("abs", 3, 4, 4, 166, 66)
    for x in (52, 116):
        solid.disc("glass", 2.0, (x, 35), 24)
        solid.ring("steel", 1.0, (x, 35), 25, 23)
    solid.line("steel", 1.5, [(76, 32), (92, 32)], 3)
    return solid


EVERYDAY: dict[str, Maker] = {
    "laptop": laptop,
    "phone": phone,
    "bottle": bottle,
    "book": book,
    "shoes": shoe,
    "keys": keys,
    "coins": coins,
    "cable": cable,
    "umbrella": umbrella,
    "toiletries": toiletries,
    "glasses": glasses_case,
}
"""Makers of everyday things by name."""


def clothes(shape: tuple[int, int], rng: np.random.Generator) -> NDArray[np.float32]:
    """Folded cloth filling a bag: millimetres of cloth, shape (height, width)."""
    height, width = shape
    total = np.zeros(shape, np.float32)
    for grain in (90, 40, 16):
        coarse = rng.normal(0, 1, (max(2, height // grain), max(2, width // grain))).astype(np.float32)
        total += np.asarray(cv2.resize(coarse, (width, height), interpolation=cv2.INTER_CUBIC)) * grain
    ridges = np.abs(np.sin(total / rng.uniform(14, 30))) ** 3
    smooth = (total - total.min()) / (np.ptp(total) + 1e-6)
    return np.asarray(smooth * rng.uniform(25, 70) + ridges * rng.uniform(4, 14), dtype=np.float32)


def bag(width: int, height: int, rng: np.random.Generator) -> Solid:
    """An empty bag: hard or soft shell, rim, rods, wheels or zip."""
    solid = Solid(width, height)
    radius = rng.uniform(15, 40)
    outline = _rounded(width, height, radius)
    hard = rng.random() < 0.6
    solid.plate("abs" if hard else "leather", 5 if hard else 2.5, outline)
    solid.line("abs" if hard else "leather", 16 if hard else 7, [*outline, outline[0]], 7)
    if hard:
        for x in (width * 0.36, width * 0.64):
            solid.line("aluminium", 4, [(x, 4), (x, height - 5)], 11)
        for x in (24, width - 24):
            solid.disc("rubber", 22, (x, height - 20), 15)
            solid.disc("steel", 12, (x, height - 20), 4)
        solid.line("steel", 3, [(width * 0.36, 6), (width * 0.64, 6)], 8)
    else:
        zipper = [(width * 0.08, height * 0.12), (width * 0.92, height * 0.12)]
        solid.line("brass", 1.2, zipper, 5)
        solid.box("steel", 3, width * 0.5, height * 0.1, width * 0.5 + 8, height * 0.1 + 16)
        for x in (width * 0.2, width * 0.8):
            solid.ring("steel", 3.5, (x, 16), 13, 9)
    solid.thickness[INDEX["cloth"]] += clothes((height, width), rng) * solid._mask(outline)
    return solid


def _rounded(width: float, height: float, radius: float) -> list[tuple[float, float]]:
    points = []
    corners = [(width - radius - 4, radius + 4, -90), (width - radius - 4, height - radius - 4, 0)]
    corners += [(radius + 4, height - radius - 4, 90), (radius + 4, radius + 4, 180)]
    for x, y, start in corners:
        angles = np.radians(np.linspace(start, start + 90, 8)).tolist()
        points += [(x + radius * math.cos(angle), y + radius * math.sin(angle)) for angle in angles]
    return points
