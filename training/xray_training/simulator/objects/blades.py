"""Knives, blades and pointed things."""

from __future__ import annotations

import numpy as np

from xray_training.simulator.draw import Draw
from xray_training.simulator.objects.family import Family
from xray_training.simulator.solids import Solid, arc, disc, lifted, rounded, turn


def knife(draw: Draw) -> Solid:
    """A kitchen, hunting, butterfly or folding knife."""
    style = draw.choice(["fixed", "folding", "kitchen", "dagger"], [3, 4, 3, 2])
    solid = Solid()
    if style == "folding":
        _folding(solid, draw)
        return solid
    blade = draw.uniform(90, 220) if style != "dagger" else draw.uniform(90, 160)
    breadth = draw.uniform(18, 34) if style != "dagger" else draw.uniform(16, 26)
    if style == "kitchen" and draw.chance(0.2):
        blade, breadth = draw.uniform(150, 190), draw.uniform(70, 90)
    spine = draw.uniform(1.6, 4.5)
    _blade(solid, draw, blade, breadth, spine, double=style == "dagger")
    handle = draw.uniform(90, 130)
    _handle(solid, draw, handle, min(breadth, 30), spine)
    if style in ("fixed", "dagger") and draw.chance(0.7):
        solid.box(draw.choice(["brass", "steel"]), (5, min(breadth, 34) * 1.5, 9), (2, 0, 0))
    if style != "kitchen" and draw.chance(0.25):
        solid.prism("leather", rounded(blade * 1.02, breadth * 1.4, 6, centre=(-blade / 2, 0)), spine, spine + 3)
        solid.prism("leather", rounded(blade * 1.02, breadth * 1.4, 6, centre=(-blade / 2, 0)), -spine - 3, -spine)
    return solid


def _folding(solid: Solid, draw: Draw) -> None:
    handle, breadth = draw.uniform(85, 125), draw.uniform(17, 26)
    spine = draw.uniform(1.8, 3.5)
    blade = Solid()
    _blade(blade, draw, handle * 0.86, breadth * 0.85, spine)
    angle = draw.choice([0.0, 180.0, draw.uniform(20, 160)], [4, 4, 2])
    solid.add(blade, turn=turn("z", angle), at=(0, 0, 0))
    material, cheek = draw.choice([("abs", 4.0), ("wood", 5.0), ("aluminium", 3.0), ("steel", 1.2), ("titanium", 2.0)])
    outline = rounded(handle, breadth, breadth * 0.4, centre=(handle / 2 - 6, 0))
    for side in (-1, 1):
        low, high = sorted((side * (spine / 2 + 0.2), side * (spine / 2 + 1.2)))
        solid.prism("steel", outline, low, high)
        low, high = sorted((side * (spine / 2 + 1.2), side * (spine / 2 + 1.2 + cheek)))
        solid.prism(material, outline, low, high)
    solid.rod("steel", (0, 0, -5), (0, 0, 5), 3.5, sides=8)
    solid.strip("steel", [(6, breadth * 0.42, 0), (handle - 8, breadth * 0.36, 0)], 3, spine)
    if draw.chance(0.5):
        solid.strip(
            "steel", [(handle * 0.4, 0, spine / 2 + cheek + 2), (handle * 0.9, 0, spine / 2 + cheek + 2.5)], 7, 1
        )


def _blade(solid: Solid, draw: Draw, length: float, breadth: float, spine: float, *, double: bool = False) -> None:
    """A bevelled steel blade towards -x, its thickness falling to the edge (or to both, when double)."""
    half = breadth / 2
    if double:
        full = [(0, -half), (0, half), (-length * 0.75, half * 0.8), (-length, 0), (-length * 0.75, -half * 0.8)]
        ridge = [(x * 0.98, y * 0.12) for x, y in full]
        solid.loft("steel", [(-spine / 2, ridge), (0, full), (spine / 2, ridge)])
        return
    belly = draw.uniform(0.55, 0.85)
    clip = draw.uniform(-0.1, 0.5)
    full = [(0, -half), (0, half), (-length * 0.7, half), (-length, half * clip), (-length * belly, -half)]
    bevel = draw.uniform(0.25, 0.9)
    flat = [(x, max(y, -half + breadth * bevel) if y < 0 else y) for x, y in full]
    flat[3] = (-length * 0.97, max(half * clip, flat[4][1] + 0.02 * breadth))
    solid.loft("steel", [(-spine / 2, flat), (0, full), (spine / 2, flat)])
    if bevel < 0.45 and draw.chance(0.5):
        solid.prism(
            "steel",
            rounded(length * 0.4, breadth * 0.15, 2, centre=(-length * 0.4, half * 0.5)),
            -spine / 2,
            spine / 2,
            hollow=True,
        )


def _handle(solid: Solid, draw: Draw, length: float, breadth: float, spine: float) -> None:
    material = draw.choice(["wood", "abs", "rubber", "steel", "aluminium"], [4, 4, 2, 2, 1])
    tang = draw.uniform(0.5, 1.0) * length
    solid.prism("steel", rounded(tang, breadth * 0.55, 3, centre=(tang / 2, 0)), -spine / 2, spine / 2)
    thick = {"steel": 1.2, "aluminium": 4.0}.get(material, draw.uniform(5, 9))
    waist = [
        (0, -breadth * 0.45),
        (length * 0.45, -breadth * 0.36),
        (length * 0.9, -breadth * 0.5),
        (length, -breadth * 0.25),
    ]
    waist += [(length, breadth * 0.4), (length * 0.5, breadth * 0.46), (0, breadth * 0.42)]
    solid.prism(material, waist, spine / 2, spine / 2 + thick)
    solid.prism(material, waist, -spine / 2 - thick, -spine / 2)
    for share in (0.2, 0.5, 0.8)[: draw.integer(0, 3)]:
        solid.rod(
            draw.choice(["brass", "steel"]),
            (length * share, 0, -spine / 2 - thick),
            (length * share, 0, spine / 2 + thick),
            2.5,
            sides=8,
        )


def multi_tool_knife(draw: Draw) -> Solid:
    """A folding knife with a stack of tools, some of them open, or a plier-type multi-tool."""
    solid = Solid()
    length, breadth = draw.uniform(80, 110), draw.uniform(18, 26)
    layers = draw.integer(3, 7)
    outline = rounded(length, breadth, breadth * 0.45)
    depth = layers * 3.0
    for layer in range(layers):
        z = (layer - layers / 2) * 3.0
        solid.prism("steel", outline, z, z + 0.6)
        tool = Solid()
        size = length * draw.uniform(0.5, 0.85)
        _blade(tool, draw, size, breadth * draw.uniform(0.3, 0.5), 1.8)
        side = draw.choice([-1, 1])
        angle = draw.uniform(40, 180) if draw.chance(0.3) else 0.0
        end = side * length * 0.45
        solid.add(tool, at=(end, 0, z + 1.6), turn=turn("z", (0 if side > 0 else 180) + angle))
    cheek, thick = draw.choice([("abs", 3.0), ("aluminium", 1.5), ("steel", 1.0)])
    for z in (-depth / 2 - thick, depth / 2):
        solid.prism(cheek, outline, z, z + thick)
    for side in (-1, 1):
        solid.rod("brass", (side * length * 0.45, 0, -depth / 2), (side * length * 0.45, 0, depth / 2), 2, sides=8)
    if draw.chance(0.4):
        corkscrew = np.linspace(0, 1, 14)
        path = np.column_stack(
            [corkscrew * 30 - 15, breadth * 0.2 + 2.5 * np.sin(corkscrew * 28), np.full(14, depth / 2 + 2)]
        )
        solid.tube("steel", path, 1, sides=4)
    return solid


def cutter(draw: Draw) -> Solid:
    """A utility knife: thin segmented blade in a plastic or zinc body."""
    solid = Solid()
    length, breadth, depth = draw.uniform(95, 165), draw.uniform(14, 26), draw.uniform(7, 13)
    blade, out = breadth * 0.65, draw.uniform(0, 35)
    body = rounded(length, breadth, breadth * 0.3)
    material = draw.choice(["abs", "aluminium"], [4, 1])
    solid.prism(material, body, -depth / 2, depth / 2)
    solid.prism(material, rounded(length * 0.94, breadth * 0.72, 2), -depth * 0.22, depth * 0.22, hollow=True)
    thickness = draw.uniform(0.4, 0.7)
    reach = -length / 2 - out
    back = draw.uniform(0.1, 0.35) * length
    outline = [(reach, -blade / 2), (back, -blade / 2), (back, blade / 2), (reach + blade * 0.6, blade / 2)]
    solid.prism("steel", outline, -thickness / 2, thickness / 2)
    channel = [
        (-length / 2, blade / 2 + 1),
        (length * 0.42, blade / 2 + 1),
        (length * 0.42, blade / 2 + 2.2),
        (-length / 2, blade / 2 + 2.2),
    ]
    solid.prism("steel", channel, -2, 2)
    solid.prism("steel", [(x, -y) for x, y in channel], -2, 2)
    slider = (back - 12, 0, depth / 2 + 1)
    solid.box("abs", (22, 9, 5), slider)
    solid.box("steel", (14, 6, 1), (back - 10, 0, 0))
    return solid


def razor_blade(draw: Draw) -> Solid:
    """One thin slotted blade, a strip of them, or a dispenser."""
    solid = Solid()
    count = draw.choice([1, 1, 2, 5])
    for number in range(count):
        z = number * 0.4
        shift = np.array([draw.uniform(-4, 4), draw.uniform(-3, 3)]) if count > 1 else np.zeros(2)
        outline = rounded(43, 22, 2) + shift
        solid.prism("steel", outline, z, z + 0.1)
        solid.prism("steel", rounded(26, 3, 1.4) + shift, z, z + 0.1, hollow=True)
    if draw.chance(0.3):
        solid.prism("paper", rounded(45, 24, 2), -0.6, -0.1)
    if draw.chance(0.25):
        edge = [(-11, 9), (27, 9), (27, -10), (-11, -10)]
        solid.prism("steel", edge, count * 0.4 + 1, count * 0.4 + 1.7)
    return solid


def shaving_razor(draw: Draw) -> Solid:
    """A safety razor with a metal or plastic handle, or a straight razor."""
    solid = Solid()
    if draw.chance(0.2):
        _blade(solid, draw, draw.uniform(70, 85), 18, 4)
        solid.prism("abs", rounded(135, 17, 7, centre=(60, -14)), -4, -1)
        solid.prism("abs", rounded(135, 17, 7, centre=(60, -14)), 1, 4)
        return solid
    length = draw.uniform(85, 130)
    metal = draw.chance(0.4)
    material, radius = ("brass", 4.5) if metal else ("abs", 5.5)
    solid.lathe(material, [(0, radius * 0.8), (length * 0.5, radius * 1.15), (length, radius)], sides=8)
    solid.box("steel" if metal else "abs", (11, 43, 5), (-6, 0, 2))
    for number in range(1 if metal else draw.integer(2, 5)):
        solid.box("steel", (1.6, 38, 0.5), (-9 + number * 2, 0, 5))
    if not metal:
        solid.rod("rubber", (length * 0.25, 0, 0), (length * 0.85, 0, 0), radius * 1.3, wall=1.5, sides=8)
    return solid


def scissors(draw: Draw) -> Solid:
    """Two crossed blades with ring handles, plastic or steel; also trimming and safety scissors."""
    solid = Solid()
    blade = draw.uniform(35, 115)
    handle = blade * draw.uniform(0.75, 1.15) + 18
    opening = draw.choice([0.0, draw.uniform(4, 55)], [2, 3])
    breadth = max(6.0, blade * draw.uniform(0.12, 0.2))
    spine = draw.uniform(1.4, 3)
    plastic = draw.chance(0.6)
    ring = draw.uniform(13, 21)
    for side in (-1, 1):
        half = Solid()
        edge = [(6, -breadth * 0.2), (6, breadth * 0.8), (-blade * 0.5, breadth * 0.62), (-blade, 0.5), (-blade, -0.3)]
        outline = [(x, y * side) for x, y in edge]
        half.prism("steel", outline, 0 if side > 0 else -spine, spine if side > 0 else 0)
        shank = [
            (4, side * breadth * 0.3, side * spine / 2),
            (handle * 0.35, -side * breadth * 0.5, 0),
            (handle * 0.55, -side * ring * 0.9, 0),
        ]
        half.strip("steel", shank, breadth * 0.55, spine)
        loop = arc(1.0, 0, 345, 16) * [ring * draw.uniform(1.0, 1.5), ring * 0.85] + [
            handle * 0.55 + ring,
            -side * ring * 1.15,
        ]
        half.tube(
            "abs" if plastic else "steel", lifted(loop), draw.uniform(3.5, 5) if plastic else 2.6, closed=True, sides=8
        )
        solid.add(half, turn=turn("z", -side * opening / 2))
    solid.rod("steel", (0, 0, -spine - 1), (0, 0, spine + 1), 3.2, sides=8)
    return solid


def saw_blade(draw: Draw) -> Solid:
    """A round saw blade, or a straight toothed one with or without its frame."""
    solid = Solid()
    if draw.chance(0.45):
        radius, thickness = draw.uniform(45, 115), draw.uniform(1.2, 2.4)
        teeth = draw.choice([18, 24, 36])
        angles = np.arange(teeth * 2) * np.pi / teeth
        reach = np.where(np.arange(teeth * 2) % 2, radius, radius * 0.91)
        solid.prism(
            "steel", np.column_stack([reach * np.cos(angles), reach * np.sin(angles)]), -thickness / 2, thickness / 2
        )
        solid.prism("steel", disc(draw.uniform(8, 15)), -thickness / 2, thickness / 2, hollow=True)
        return solid
    length, breadth, thickness = draw.uniform(180, 330), draw.uniform(12, 45), draw.uniform(0.6, 1.2)
    teeth = int(length // 7)
    x = np.repeat(np.linspace(-length / 2, length / 2, teeth), 2)[1:-1]
    lower = np.column_stack([x, np.where(np.arange(len(x)) % 2, -breadth / 2, -breadth / 2 + 3.5)])
    outline = np.concatenate([lower, [(length / 2, breadth / 2), (-length / 2, breadth * 0.1)]])
    solid.prism("steel", outline, -thickness / 2, thickness / 2)
    if draw.chance(0.5):
        grip = draw.choice(["wood", "abs"])
        solid.prism(grip, rounded(110, max(breadth * 2, 45), 14, centre=(length / 2 + 50, 5)), -11, 11)
        solid.prism(grip, rounded(60, 18, 8, centre=(length / 2 + 55, 5)), -11, 11, hollow=True)
    elif draw.chance(0.5):
        frame = [(-length / 2, 0, 0), (-length / 2, 85, 0), (length / 2 + 20, 85, 0), (length / 2 + 20, -20, 0)]
        solid.tube("steel", frame, 4, sides=8)
    return solid


def throwing_star(draw: Draw) -> Solid:
    """A flat star of four to eight points."""
    solid = Solid()
    points, radius, thickness = draw.integer(4, 8), draw.uniform(32, 55), draw.uniform(1.2, 3)
    angles = np.arange(points * 2) * np.pi / points
    reach = np.where(np.arange(points * 2) % 2, radius, radius * draw.uniform(0.3, 0.5))
    twist = np.where(np.arange(points * 2) % 2, draw.choice([0.0, 0.35]), 0.0)
    solid.prism(
        "steel",
        np.column_stack([reach * np.cos(angles + twist), reach * np.sin(angles + twist)]),
        -thickness / 2,
        thickness / 2,
    )
    solid.prism("steel", disc(draw.uniform(4, 9)), -thickness / 2, thickness / 2, hollow=True)
    return solid


def dart(draw: Draw) -> Solid:
    """One to three darts: point, heavy barrel, thin shaft, flights."""
    solid = Solid()
    for _ in range(draw.integer(1, 3)):
        part = Solid()
        part.lathe("steel", [(-35, 0.3), (0, 1.1)], sides=6)
        part.lathe(draw.choice(["brass", "steel"]), [(0, 2), (8, 3.4), (42, 3.4), (50, 2.4)], sides=8)
        part.rod("abs", (50, 0, 0), (95, 0, 0), 2.2, sides=6)
        part.prism(
            "polyethylene", [(85, -1), (100, -18), (128, -18), (132, 0), (128, 18), (100, 18), (85, 1)], -0.2, 0.2
        )
        solid.add(part, at=(draw.uniform(-15, 15), draw.uniform(-25, 25), 0), turn=turn("z", draw.uniform(-25, 25)))
    return solid


def other_sharp(draw: Draw) -> Solid:
    """An awl, an ice pick, an axe head, or a bundle of skewers or needles."""
    solid = Solid()
    style = draw.choice(["awl", "axe", "skewers", "trowel"])
    if style == "awl":
        shank = draw.uniform(50, 140)
        solid.lathe("steel", [(-shank, 0.3), (-shank * 0.3, 2.4), (30, 2.4)], sides=8)
        solid.lathe(draw.choice(["wood", "abs"]), [(0, 8), (25, 14), (70, 11), (90, 6)], sides=10)
    elif style == "axe":
        head = [(0, -16), (-30, -14), (-75, -48), (-88, 0), (-75, 48), (-30, 14), (0, 16)]
        edge = [(x if x > -60 else -60.0, y * 0.7) for x, y in head]
        solid.loft("steel", [(-11, edge), (0, head), (11, edge)])
        solid.prism(
            "wood", rounded(draw.uniform(220, 330), 26, 10, centre=(0, 0)) @ turn("z", 90)[:2, :2].T + [8, -120], -9, 9
        )
    elif style == "skewers":
        for number in range(draw.integer(3, 9)):
            y, lean = number * 4.0, draw.uniform(-12, 12)
            solid.rod("steel", (-120, y - lean, 0), (120, y + lean, 0), 1.4, sides=5)
            solid.tube("steel", lifted(arc(8, 0, 330, 9, centre=(128, y + lean))), 1.2, sides=5)
    else:
        solid.prism("steel", [(0, -30), (0, 30), (-70, 26), (-130, 0), (-70, -26)], -0.8, 0.8)
        solid.tube("steel", [(0, 0, 0), (30, 0, 12), (60, 0, 12)], 4, sides=8)
        solid.lathe("wood", [(50, 9), (90, 13), (150, 10)], at=(0, 0, 12), sides=10)
    return solid


def nail_cutter(draw: Draw) -> Solid:
    """A lever nail cutter, sometimes with its file out."""
    solid = Solid()
    length, breadth = draw.uniform(48, 82), draw.uniform(9, 16)
    for side in (-1, 1):
        solid.strip(
            "steel", [(-length / 2, 0, side * 1.2), (0, 0, side * 3.2), (length / 2, 0, side * 1.2)], breadth, 1.4
        )
        solid.box("steel", (2.2, breadth * 0.95, 3), (-length / 2 - 1, 0, side * 2.2))
    solid.strip("steel", [(-length * 0.4, 0, 6), (length * 0.45, 0, draw.uniform(6, 15))], breadth * 0.7, 1.4)
    solid.rod("steel", (-length * 0.36, 0, -5), (-length * 0.36, 0, 8), 1.8, sides=8)
    file = Solid()
    file.strip("steel", [(0, 0, 4.5), (length * 0.8, 0, 4.5)], 5, 1)
    solid.add(file, at=(-length * 0.36, 0, 0), turn=turn("z", draw.choice([0.0, draw.uniform(20, 160)])))
    return solid


def syringe(draw: Draw) -> Solid:
    """A syringe: plastic barrel and plunger, rubber stopper, steel needle; empty or filled."""
    solid = Solid()
    radius, length = draw.uniform(4, 11), draw.uniform(70, 115)
    out = draw.uniform(0, 0.8) * length
    solid.rod("polyethylene", (0, 0, 0), (length, 0, 0), radius, wall=1.3, sides=12)
    solid.box("polyethylene", (2.5, radius * 3.6, radius * 1.6), (length, 0, 0))
    solid.lathe("polyethylene", [(-10, 2), (-3, 2.4), (0, radius)], sides=10)
    solid.rod("rubber", (out, 0, 0), (out + 8, 0, 0), radius - 1.4, sides=10)
    for breadth, depth in ((radius * 1.4, 1.2), (1.2, radius * 1.4)):
        solid.box("polyethylene", (length, breadth, depth), (out + 8 + length / 2, 0, 0))
    solid.lathe("polyethylene", [(out + 8 + length, radius), (out + 11 + length, radius)], sides=10)
    if out > 5 and draw.chance(0.6):
        solid.rod("water", (0.5, 0, 0), (out - 0.5, 0, 0), radius - 1.4, sides=10)
    if draw.chance(0.8):
        needle = draw.uniform(20, 42)
        solid.rod("steel", (-10 - needle, 0, 0), (-8, 0, 0), draw.uniform(0.3, 0.55), sides=5)
        solid.lathe("polyethylene", [(-20, 2.5), (-9, 3)], sides=8)
        if draw.chance(0.4):
            solid.rod("polyethylene", (-12 - needle, 0, 0), (-8, 0, 0), 3.2, wall=0.8, sides=8)
    return solid


FAMILIES = (
    Family("knife", knife),
    Family("multi_tool_knife", multi_tool_knife),
    Family("cutter", cutter),
    Family("razor_blade", razor_blade),
    Family("shaving_razor", shaving_razor),
    Family("scissors", scissors),
    Family("saw_blade", saw_blade),
    Family("throwing_star", throwing_star),
    Family("dart", dart),
    Family("other_sharp", other_sharp),
    Family("nail_cutter", nail_cutter),
    Family("syringe", syringe),
)
