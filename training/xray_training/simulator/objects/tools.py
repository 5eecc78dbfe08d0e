"""Hand tools, restraints and blunt weapons."""

from __future__ import annotations

import numpy as np

from xray_training.simulator.draw import Draw
from xray_training.simulator.objects.family import Family
from xray_training.simulator.solids import Solid, arc, disc, lifted, rounded, turn


def hammer(draw: Draw) -> Solid:
    """A claw, ball-peen, sledge or rubber hammer."""
    solid = Solid()
    shaft = draw.uniform(180, 330)
    head = draw.uniform(75, 130)
    style = draw.choice(["claw", "peen", "sledge", "mallet"], [4, 3, 2, 1])
    material = "rubber" if style == "mallet" else "steel"
    face = draw.uniform(11, 16) * (2.0 if style == "mallet" else 1.25 if style == "sledge" else 1)
    upright = turn("z", 90)
    part = Solid()
    if style == "sledge":
        part.box(material, (head, 2 * face, 2 * face))
    elif style == "mallet":
        part.lathe(material, [(-head / 2, face), (head / 2, face)])
    else:
        part.lathe(
            material, [(-head / 2, face), (-head / 2 + 14, face), (-head / 2 + 20, face * 0.65), (-12, face * 0.7)]
        )
        part.box(material, (26, 1.7 * face, 2 * face), (0, 0, 0))
        if style == "claw":
            for side in (-1, 1):
                claw = [
                    (12, 8, 4 * side),
                    (head * 0.3, 5, 7 * side),
                    (head * 0.48, -6, 10 * side),
                    (head * 0.56, -20, 12 * side),
                ]
                part.strip(material, claw, 7, 8)
        else:
            part.lathe(
                material, [(12, face * 0.6), (head / 2 - face, face * 0.6), (head / 2 - 4, face * 0.7), (head / 2, 2)]
            )
    solid.add(part, at=(-shaft / 2, 0, 0), turn=upright)
    kind = draw.choice(["wood", "steel", "fibre"], [4, 3, 3])
    if kind == "wood":
        solid.loft("wood", [(-9, rounded(shaft, 20, 8)), (9, rounded(shaft, 26, 8))])
    else:
        solid.rod(
            "steel" if kind == "steel" else "circuit_board", (-shaft / 2, 0, 0), (shaft / 2 - 10, 0, 0), 8, wall=2.2
        )
        solid.rod("rubber", (shaft * 0.05, 0, 0), (shaft / 2, 0, 0), 15, wall=6.5)
    return solid


def wrench(draw: Draw) -> Solid:
    """An open, ring, combination or adjustable wrench, a socket ratchet or a pipe wrench; sometimes a set."""
    if draw.chance(0.12):
        return _wrench_set(draw)
    style = draw.choice(["open", "ring", "combination", "adjustable", "ratchet"], [3, 2, 4, 4, 1])
    solid = Solid()
    length = draw.uniform(110, 290)
    _one_wrench(solid, draw, style, length)
    return solid


def _wrench_set(draw: Draw) -> Solid:
    solid = Solid()
    longest = draw.uniform(150, 230)
    for number in range(draw.integer(3, 6)):
        part = Solid()
        length = longest * (1 - 0.11 * number)
        _one_wrench(part, draw, "combination", length)
        solid.add(part, at=(0, number * 32 * longest / 200, 0), turn=turn("z", draw.uniform(-6, 6)))
    return solid


def _one_wrench(solid: Solid, draw: Draw, style: str, length: float) -> None:
    depth = length * draw.uniform(0.026, 0.038)
    breadth = length * draw.uniform(0.065, 0.09)
    jaw = length * draw.uniform(0.1, 0.13)
    reach = length / 2 - jaw * 0.8
    shank = [(-reach, -breadth / 2), (reach, -breadth / 2), (reach, breadth / 2), (-reach, breadth / 2)]
    solid.prism("steel", shank, -depth * 0.42, depth * 0.42)
    if style == "adjustable":
        _adjustable_jaw(solid, draw, -length / 2, jaw * 1.25, depth)
        solid.prism("steel", disc(breadth * 0.62, centre=(reach, 0)), -depth / 2, depth / 2)
        solid.prism("steel", disc(breadth * 0.32, centre=(reach, 0)), -depth / 2, depth / 2, hollow=True)
        return
    if style == "ratchet":
        solid.prism("steel", disc(jaw * 0.8, centre=(-reach, 0)), -depth, depth)
        solid.box("steel", (jaw * 0.5, jaw * 0.5, depth * 4), (-reach, 0, depth * 2.5))
        solid.rod("abs", (0, 0, 0), (length / 2, 0, 0), breadth * 0.8, wall=breadth * 0.3)
        return
    ends = {"open": ("open", "open"), "ring": ("ring", "ring"), "combination": ("open", "ring")}[style]
    for side, end in zip((-1, 1), ends, strict=True):
        head = Solid()
        scale = 1.0 if side < 0 else draw.uniform(0.8, 1.0)
        if end == "open":
            _open_jaw(head, jaw * scale, depth)
        else:
            head.prism("steel", disc(jaw * 0.78 * scale), -depth * 0.6, depth * 0.6)
            head.prism("steel", disc(jaw * 0.5 * scale, sides=12), -depth * 0.6, depth * 0.6, hollow=True)
        tilt = draw.uniform(-18, 18) if end == "open" else 0.0
        solid.add(
            head, at=(side * length / 2 - side * jaw * 0.2, 0, 0), turn=turn("z", tilt + (180 if side > 0 else 0))
        )


def _open_jaw(solid: Solid, jaw: float, depth: float) -> None:
    """A round head with a parallel gap towards -x."""
    gap = jaw * 0.48
    round_part = arc(jaw * 0.95, -148, 148, 14)
    notch = [(-jaw * 0.85, gap), (jaw * 0.15, gap), (jaw * 0.35, 0.0), (jaw * 0.15, -gap), (-jaw * 0.85, -gap)]
    solid.prism("steel", np.concatenate([round_part, np.array(notch)]), -depth / 2, depth / 2)


def _adjustable_jaw(solid: Solid, draw: Draw, x: float, jaw: float, depth: float) -> None:
    gap = draw.uniform(0.1, 0.75) * jaw
    fixed = [
        (x + jaw * 1.5, -jaw * 0.5),
        (x + jaw * 1.5, jaw * 0.55),
        (x + jaw * 0.5, jaw * 0.95),
        (x - jaw * 0.3, jaw * 0.95),
    ]
    fixed += [(x - jaw * 0.35, jaw * 0.5), (x + jaw * 0.7, jaw * 0.42), (x + jaw * 0.8, -jaw * 0.8)]
    solid.prism("steel", fixed, -depth * 0.6, depth * 0.6)
    y = jaw * 0.42 - gap
    moving = [(x + jaw * 0.68, y), (x - jaw * 0.3, y), (x - jaw * 0.25, y - jaw * 0.3), (x + jaw * 0.68, y - jaw * 0.5)]
    solid.prism("steel", moving, -depth * 0.5, depth * 0.5)
    solid.rod("steel", (x + jaw * 0.95, -jaw * 0.5, 0), (x + jaw * 0.95, 0, 0), depth * 0.8, sides=8)


def pliers(draw: Draw) -> Solid:
    """Combination, needle-nose, cutting or water-pump pliers, open a little."""
    solid = Solid()
    length = draw.uniform(120, 220)
    style = draw.choice(["combination", "needle", "cutter", "pump"], [4, 3, 2, 2])
    nose = length * {"combination": 0.22, "needle": 0.34, "cutter": 0.16, "pump": 0.2}[style]
    depth = draw.uniform(6, 11)
    opening = draw.uniform(2, 16)
    for side in (-1, 1):
        half = Solid()
        tip = {"combination": 5.0, "needle": 1.8, "cutter": 3.0, "pump": 6.0}[style]
        wide = draw.uniform(8, 11)
        jaw = [(0, 0), (0, wide), (-nose * 0.5, wide * 0.8), (-nose, tip), (-nose, 0.3)]
        half.prism("steel", [(x, y * side) for x, y in jaw], -depth / 2, depth / 2)
        bend = draw.uniform(16, 24)
        arm = [
            (0, side * 2, 0),
            (length * 0.12, side * bend * 0.55, 0),
            (length * 0.35, side * bend, 0),
            (length - nose, side * bend * 0.72, 0),
        ]
        half.strip("steel", [(x, -y, z) for x, y, z in arm], 7, depth * 0.6)
        sleeve = [(x, -y, z) for x, y, z in arm[1:]]
        half.tube(draw.choice(["pvc", "rubber"]), sleeve, draw.uniform(6, 8), sides=8)
        solid.add(half, turn=turn("z", side * opening / 2))
    solid.prism("steel", disc(draw.uniform(9, 13)), -depth * 0.6, depth * 0.6)
    return solid


def screwdriver(draw: Draw) -> Solid:
    """A screwdriver: plastic handle round the steel shank."""
    solid = Solid()
    shank, radius = draw.uniform(55, 200), draw.uniform(2.2, 4.5)
    handle, grip = draw.uniform(70, 115), draw.uniform(9, 17)
    solid.rod("steel", (-shank, 0, 0), (handle * 0.55, 0, 0), radius, sides=8)
    if draw.chance(0.5):
        solid.box("steel", (9, radius * 2.6, 1.2), (-shank - 4, 0, 0))
    else:
        solid.lathe("steel", [(-shank - 9, 0.6), (-shank, radius)], sides=8)
    material = draw.choice(["abs", "pvc", "wood"], [5, 2, 1])
    profile = [
        (0, grip * 0.7),
        (6, grip * 0.75),
        (16, grip * 0.6),
        (handle * 0.5, grip),
        (handle * 0.9, grip),
        (handle, grip * 0.5),
    ]
    solid.lathe(material, profile, sides=8)
    return solid


def handcuffs(draw: Draw) -> Solid:
    """Two steel cuffs on a chain or a hinge."""
    solid = Solid()
    radius, bar = draw.uniform(28, 36), draw.uniform(3.2, 5)
    gap = draw.uniform(18, 45)
    angle = draw.uniform(-60, 60)
    for side in (-1, 1):
        cuff = Solid()
        path = lifted(arc(radius, -168, 168, 24, centre=(radius + gap / 2, 0)))
        cuff.strip("steel", path, bar * 1.6, draw.uniform(7, 11))
        cuff.prism("steel", rounded(34, 26, 6, centre=(gap / 2 + 6, 0)), -6, 6)
        cuff.prism("steel", rounded(24, 16, 4, centre=(gap / 2 + 6, 0)), -4, 4, hollow=True)
        cuff.strip("steel", lifted(arc(radius - bar * 1.3, -150, 60, 14, centre=(radius + gap / 2, 0))), bar, 4)
        facing = turn("z", 180.0) if side < 0 else turn("z", angle)
        solid.add(cuff, turn=facing)
    for number in range(3):
        x = (number - 1) * gap * 0.3
        solid.tube("steel", lifted(arc(5, 0, 340, 10, centre=(x, 0))), 1.8, closed=True)
    return solid


def baton(draw: Draw) -> Solid:
    """A telescopic steel baton, shut or drawn, or a solid stick."""
    solid = Solid()
    if draw.chance(0.25):
        length = draw.uniform(300, 480)
        material, radius = draw.choice([("rubber", 15.0), ("wood", 16.0), ("aluminium", 14.0)])
        solid.lathe(material, [(-length / 2, radius * 0.8), (0, radius), (length / 2, radius)], sides=10)
        return solid
    radius, shut = draw.uniform(11, 15), draw.uniform(160, 240)
    drawn = draw.chance(0.45)
    for number, share in enumerate((1.0, 0.72, 0.5)):
        start = number * shut * 0.88 if drawn else number * 5.0
        wall = 1.8 if number < 2 else radius * 0.5
        solid.rod("steel", (start, 0, 0), (start + shut * 0.98, 0, 0), radius * share, wall=wall, sides=12)
    solid.rod(draw.choice(["rubber", "foam"]), (0, 0, 0), (shut * 0.9, 0, 0), radius + 3, wall=3, sides=12)
    solid.rod("steel", (-10, 0, 0), (0, 0, 0), radius, sides=12)
    end = shut * 0.88 * 2 + shut * 0.98 if drawn else shut * 0.98 + 10
    solid.ball("steel", radius * 0.62, (end, 0, 0))
    return solid


def slingshot(draw: Draw) -> Solid:
    """A forked handle with rubber bands and a pouch."""
    solid = Solid()
    material, radius = draw.choice([("steel", 4.0), ("aluminium", 5.0), ("wood", 9.0)])
    height, spread = draw.uniform(60, 90), draw.uniform(30, 45)
    for side in (-1, 1):
        solid.tube(
            material, [(0, 0, 0), (height * 0.35, side * spread * 0.8, 0), (height, side * spread, 0)], radius, sides=8
        )
        band = [
            (height, side * spread, 0),
            (height * 0.4, side * spread * 0.5, 0),
            (-20, side * 12, 0),
            (-70, side * 6, 0),
        ]
        solid.tube("rubber", band, draw.uniform(2, 3.5), sides=6)
    solid.rod("abs" if material != "wood" else "wood", (-100, 0, 0), (4, 0, 0), 12, sides=10)
    solid.rod("steel" if material == "steel" else material, (-95, 0, 0), (2, 0, 0), radius, sides=8)
    solid.box("leather", (14, 45, 2.5), (-78, 0, 6))
    return solid


FAMILIES = (
    Family("hammer", hammer),
    Family("wrench", wrench),
    Family("pliers", pliers),
    Family("screwdriver", screwdriver),
    Family("handcuffs", handcuffs),
    Family("baton", baton),
    Family("slingshot", slingshot),
)
