"""Threat items with true sizes (millimetres) and materials."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from xray_training.simulator.solids import Solid

Maker = Callable[[np.random.Generator], Solid]


def gun(rng: np.random.Generator) -> Solid:
    """A pistol: steel slide and barrel, polymer or aluminium grip, steel magazine with brass rounds."""
    slide, height = rng.uniform(165, 215), rng.uniform(26, 32)
    grip = rng.uniform(90, 115)
    solid = Solid(slide + 20, height + grip + 15)
    solid.box("steel", rng.uniform(8, 13), 8, 6, 8 + slide, 6 + height * 0.8)
    solid.box("steel", 5, 8 + slide * 0.3, 6 + height * 0.7, 8 + slide * 0.95, 6 + height)
    frame, depth = ("abs", 18.0) if rng.random() < 0.5 else ("aluminium", 9.0)
    lean = rng.uniform(14, 30)
    back = slide - 4
    top = 6 + height * 0.8
    outline = [(back - 45, top), (back + 8, top), (back + 8 + lean, top + grip), (back - 30 + lean, top + grip)]
    outline = [(min(x, slide + 18), y) for x, y in outline]
    solid.plate(frame, depth, outline)
    solid.plate("steel", 4, [(x * 0.97 + 0.03 * back, y) for x, y in outline])
    guard = (back - 68, top + 14)
    solid.ring("steel" if frame == "aluminium" else "abs", 8, guard, 20, 14)
    solid.line("steel", 6, [(guard[0] + 4, top), (guard[0] + 6, top + 16)], 4)
    for row in range(int(grip // 11) - 1):
        y = top + 10 + row * 11
        x = back - 20 + lean * row * 11 / grip
        solid.rod("brass", (x - 10, y), (x + 16, y), 4.5, wall=0.8)
        solid.rod("lead", (x - 18, y), (x - 10, y), 4.0)
    return solid


def knife(rng: np.random.Generator) -> Solid:
    """A fixed or folding knife: bevelled steel blade, wood, plastic or steel handle."""
    blade, breadth = rng.uniform(65, 170), rng.uniform(16, 32)
    handle = rng.uniform(90, 125)
    solid = Solid(blade + handle + 16, breadth + 20)
    top = 10.0
    for share in np.linspace(0, 0.8, 5):
        edge = [
            (8, top + 2),
            (8 + blade, top),
            (8 + blade, top + breadth * (1 - share)),
            (8 + blade * 0.25, top + breadth * (1 - share)),
        ]
        solid.plate("steel", rng.uniform(0.5, 0.8), edge)
    grip = [
        (8 + blade, top - 1),
        (8 + blade + handle, top + 1),
        (8 + blade + handle, top + breadth * 0.85),
        (8 + blade, top + breadth * 0.8),
    ]
    material, depth = (("paper", 18.0), ("abs", 15.0), ("steel", 4.0))[int(rng.integers(3))]
    solid.plate(material, depth, grip)
    solid.box("steel", 2.5, 8 + blade, top + 2, 8 + blade + handle * rng.uniform(0.5, 0.95), top + breadth * 0.6)
    for share in (0.2, 0.8):
        solid.disc("brass", 12, (8 + blade + handle * share, top + breadth * 0.4), 3)
    return solid


def scissors(rng: np.random.Generator) -> Solid:
    """Two crossed steel blades with ring handles."""
    blade, ring = rng.uniform(60, 115), rng.uniform(15, 22)
    opening = rng.uniform(0.12, 0.45)
    solid = Solid(blade * 2 + 40, blade * 1.1 + ring * 3)
    middle = solid.size[1] / 2
    pivot = (blade + 10, middle)
    material = "abs" if rng.random() < 0.6 else "steel"
    for side in (-1, 1):
        tip = (pivot[0] - blade * np.cos(opening / 2), middle + side * blade * np.sin(opening / 2))
        solid.plate(
            "steel",
            rng.uniform(1.5, 3),
            [(tip[0], tip[1]), (pivot[0], middle - 7), (pivot[0] + 12, middle), (pivot[0], middle + 7)],
        )
        eye = (pivot[0] + blade * 0.75, middle - side * (ring + 3 + blade * 0.2 * np.sin(opening)))
        solid.line("steel", 2.5, [pivot, (eye[0] - ring, eye[1])], 7)
        solid.ring(material, 8 if material == "abs" else 3, eye, ring, ring * 0.68)
    solid.disc("steel", 5, pivot, 5)
    return solid


def wrench(rng: np.random.Generator) -> Solid:
    """An open-ended or combination wrench."""
    length, jaw = rng.uniform(120, 260), rng.uniform(10, 26)
    depth = rng.uniform(5, 9)
    head = jaw * 1.05
    solid = Solid(length + 4 * head, 2 * head + 20)
    middle = solid.size[1] / 2
    left, right = 2 * head, length + 1.6 * head
    solid.disc("steel", depth, (left, middle), head)
    turn = rng.uniform(-0.3, 0.3)
    corners = [(-2.2, -0.5), (0.15, -0.5), (0.15, 0.5), (-2.2, 0.5)]
    solid.cut(
        [
            (left + jaw * (x * np.cos(turn) - y * np.sin(turn)), middle + jaw * (x * np.sin(turn) + y * np.cos(turn)))
            for x, y in corners
        ]
    )
    solid.box("steel", depth * 0.8, left + head * 0.8, middle - head * 0.32, right - head * 0.6, middle + head * 0.32)
    solid.ring("steel", depth, (right, middle), head * 0.85, jaw * 0.45)
    return solid


def pliers(rng: np.random.Generator) -> Solid:
    """Two arms, a joint and sleeved handles."""
    length = rng.uniform(140, 210)
    opening = rng.uniform(0.1, 0.35)
    solid = Solid(length + 30, length * 0.55)
    middle = solid.size[1] / 2
    joint = (length * 0.3 + 10, middle)
    solid.disc("steel", 12, joint, 12)
    for side in (-1, 1):
        tip = (10, middle + side * length * 0.3 * np.sin(opening / 2))
        solid.plate(
            "steel", rng.uniform(7, 11), [(tip[0], tip[1]), (joint[0], middle + side * 10), (joint[0] + 6, middle)]
        )
        bend = (joint[0] + length * 0.25, middle - side * length * 0.14)
        end = (length + 10, middle - side * length * (0.12 + 0.2 * np.sin(opening)))
        solid.line("steel", 7, [joint, bend, end], 8)
        solid.line("pvc", 6, [bend, end], 13)
    return solid


def hammer(rng: np.random.Generator) -> Solid:
    """A steel head on a wooden or tubular handle."""
    head, handle = rng.uniform(90, 125), rng.uniform(230, 310)
    solid = Solid(handle + 50, head + 20)
    middle = solid.size[1] / 2
    solid.rod("steel", (28, 8), (28, 8 + head * 0.55), rng.uniform(12, 15))
    solid.plate("steel", 14, [(18, 8 + head * 0.5), (38, 8 + head * 0.5), (32, 8 + head), (25, 8 + head)])
    if rng.random() < 0.6:
        solid.rod("paper", (38, middle), (38 + handle, middle), rng.uniform(13, 17))
    else:
        solid.rod("steel", (38, middle), (38 + handle, middle), 10, wall=2)
        solid.rod("rubber", (38 + handle * 0.55, middle), (38 + handle, middle), 15, wall=5)
    return solid


def lighter(rng: np.random.Generator) -> Solid:
    """A gas lighter: plastic body with liquid butane, steel hood."""
    solid = Solid(36, 96)
    solid.box("abs", 3, 6, 24, 30, 88)
    solid.box("polyethylene", 6, 8, rng.uniform(30, 50), 28, 86)
    solid.box("steel", 0.8, 6, 8, 30, 26)
    solid.disc("steel", 5, (13, 14), 5)
    solid.rod("steel", (24, 20), (24, 40), 2.5, wall=0.7)
    solid.rod("brass", (20, 26), (20, 34), 2)
    return solid


def power_bank(rng: np.random.Generator) -> Solid:
    """Lithium cells with a circuit board in a plastic or aluminium case."""
    length, breadth = rng.uniform(95, 150), rng.uniform(60, 76)
    solid = Solid(length + 16, breadth + 16)
    solid.box("aluminium" if rng.random() < 0.4 else "abs", 1.8, 8, 8, 8 + length, 8 + breadth)
    if rng.random() < 0.5:
        solid.box("lithium_cell", rng.uniform(7, 14), 22, 11, 5 + length, 5 + breadth)
    else:
        for y in np.arange(20, breadth - 2, 19):
            solid.rod("lithium_cell", (26, y), (26 + min(65, length - 24), y), 9)
            solid.rod("steel", (26, y), (26 + min(65, length - 24), y), 9, wall=0.25)
    solid.box("circuit_board", 1.6, 10, 12, 21, 4 + breadth)
    for y in rng.uniform(16, breadth - 4, 5):
        solid.box("copper", rng.uniform(0.2, 1), 11, y, 19, y + 6)
    for y in (breadth * 0.35, breadth * 0.7):
        solid.box("steel", 1, 8, y, 20, y + 13)
    return solid


def spray_can(rng: np.random.Generator) -> Solid:
    """An aerosol: tin or aluminium wall, liquid, domed base, valve."""
    radius, length = rng.uniform(18, 32), rng.uniform(120, 200)
    solid = Solid(length + 50, 2 * radius + 16)
    middle = solid.size[1] / 2
    wall = ("steel", 0.25) if rng.random() < 0.6 else ("aluminium", 0.5)
    solid.rod(wall[0], (8, middle), (8 + length, middle), radius, wall=wall[1])
    solid.rod("water", (14, middle), (14 + length * rng.uniform(0.4, 0.8), middle), radius - 1)
    for x in (8, 8 + length):
        solid.box("steel", 4, x - 2, middle - radius, x + 2, middle + radius)
    solid.rod("abs", (8 + length, middle), (30 + length, middle), radius * 0.5)
    solid.rod("steel", (length - 12, middle), (16 + length, middle), 4, wall=1.2)
    solid.line("polyethylene", 3, [(14, middle + radius * 0.5), (length, middle)], 4)
    return solid


def bullet(rng: np.random.Generator) -> Solid:
    """A handful of loose cartridges: brass cases, lead cores."""
    solid = Solid(90, 70)
    for _ in range(int(rng.integers(2, 6))):
        x, y, angle = rng.uniform(22, 68), rng.uniform(18, 52), rng.uniform(0, 2 * np.pi)
        radius, case, tip = rng.uniform(4, 6), rng.uniform(16, 26), rng.uniform(9, 15)
        step = np.array([np.cos(angle), np.sin(angle)])
        start = np.array([x, y]) - step * (case + tip) / 2
        joint, end = start + step * case, start + step * (case + tip)
        solid.rod("brass", (start[0], start[1]), (joint[0], joint[1]), radius, wall=0.8)
        solid.rod("lead", (joint[0], joint[1]), (end[0], end[1]), radius * 0.8)
    return solid


def handcuffs(rng: np.random.Generator) -> Solid:
    """Two steel rings, lock bodies and links."""
    ring, gap = rng.uniform(30, 37), rng.uniform(20, 45)
    solid = Solid(4 * ring + gap + 20, 2 * ring + 30)
    middle = solid.size[1] / 2
    centres = ((10 + ring, middle), (10 + 3 * ring + gap, middle))
    for centre, side in zip(centres, (1, -1), strict=True):
        solid.ring("steel", rng.uniform(7, 10), centre, ring, ring - rng.uniform(7, 10))
        solid.box(
            "steel",
            10,
            centre[0] + side * ring * 0.55 - 9,
            middle - 15,
            centre[0] + side * ring * 0.55 + 14,
            middle + 15,
        )
    x = centres[0][0] + ring
    while x < centres[1][0] - ring:
        solid.ring("steel", 5, (x + 6, middle), 9, 5)
        x += 11
    return solid


def baton(rng: np.random.Generator) -> Solid:
    """A telescopic steel baton: nested tubes, rubber grip."""
    length = rng.uniform(200, 290)
    solid = Solid(length + 16, 46)
    for radius in (13, 11, 9):
        solid.rod("steel", (8, 23), (8 + length * (0.9 if radius < 13 else 1), 23), radius, wall=1.2)
    solid.rod("rubber", (8 + length * 0.45, 23), (8 + length, 23), 16, wall=3)
    solid.disc("steel", 14, (14, 23), 9)
    return solid


THREATS: dict[str, Maker] = {
    "gun": gun,
    "knife": knife,
    "scissors": scissors,
    "wrench": wrench,
    "pliers": pliers,
    "hammer": hammer,
    "lighter": lighter,
    "power_bank": power_bank,
    "spray_can": spray_can,
    "bullet": bullet,
    "handcuffs": handcuffs,
    "baton": baton,
}
"""Makers of threat items by canonical label."""
