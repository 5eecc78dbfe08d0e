"""Books, keys, tableware and the other small things of a journey."""

from __future__ import annotations

import numpy as np

from xray_training.simulator.draw import Draw
from xray_training.simulator.objects.family import Family
from xray_training.simulator.objects.food import food
from xray_training.simulator.objects.forms import (
    UPRIGHT,
    around,
    boxes,
    cushion,
    inset,
    repeated,
    ribbon,
    shell,
    smoothed,
    spring,
    tray,
    wobbly,
)
from xray_training.simulator.objects.toys import toy
from xray_training.simulator.solids import Array, Solid, Vector, arc, disc, lifted, rounded, turn


def _ring(solid: Solid, material: str, radius: float, bar: float, at: Vector = (0, 0, 0), *, sides: int = 14) -> None:
    """A round ring that lies flat."""
    path = lifted(disc(radius, sides=sides)) + np.asarray(at)
    solid.tube(material, path, bar, sides=6, closed=True)


def umbrella(draw: Draw) -> Solid:
    """A folded umbrella, long or telescopic: shaft, ribs, cloth and handle."""
    short = draw.chance(0.7)
    long = draw.uniform(190, 280) if short else draw.uniform(620, 820)
    solid = Solid()
    count, metal = 8, draw.choice(["steel", "aluminium"], [2, 1])
    solid.rod("steel", (0, 0, 0), (long, 0, 0), 4.5 if short else 5, wall=0.6, sides=8)
    if short:
        solid.rod("steel", (long * 0.05, 0, 0), (long * 0.95, 0, 0), 3.2, wall=0.5, sides=6)
    for layer in range(2 if short else 1):
        radius = 9.0 + 5 * layer
        rib, end = Solid(), long * (0.97 - 0.12 * layer)
        rib.rod(metal, (long * (0.03 + 0.08 * layer), radius * 0.6, 0), (end, radius, 0), 1.1, sides=4)
        solid.add(repeated(rib, np.zeros((count, 3)), around(count, "x", start=layer * 22.0)))
    hub = (long * 0.92, long * draw.uniform(0.25, 0.45))
    for x in hub:
        solid.rod("abs", (x - 8, 0, 0), (x + 8, 0, 0), 8, wall=3, sides=8)
    wide = draw.uniform(17, 25)
    solid.lathe("cloth", [(long * 0.02, wide * 0.7), (long * 0.3, wide), (long * 0.95, wide * 0.6)], sides=12)
    solid.add(spring(long * 0.2, 5.6), at=(long * 0.45, 0, 0))
    _umbrella_handle(draw, solid, short)
    return solid


def _umbrella_handle(draw: Draw, solid: Solid, short: bool) -> None:
    if short or draw.chance(0.4):
        material = draw.choice(["abs", "wood", "rubber"])
        solid.rod(material, (-draw.uniform(45, 75), 0, 0), (2, 0, 0), draw.uniform(11, 15), sides=10)
        if draw.chance(0.5):
            strap = smoothed([(-45, 0, 0), (-80, 22, 0), (-110, 0, 0), (-80, -22, 0), (-48, 0, 0)])
            solid.tube("polyethylene", strap, 1.6, sides=4)
    else:
        crook = np.concatenate([[(2.0, 0.0)], arc(38, 90, 270, 9, centre=(-60, -38))])
        solid.tube(draw.choice(["wood", "abs"]), lifted(crook), 9, sides=8)


def book(draw: Draw) -> Solid:
    """A book, a magazine, a ring binder or a notebook."""
    return draw.choice([_bound_book, _magazines, _notebook], [5, 2, 2.5])(draw)


def _bound_book(draw: Draw) -> Solid:
    solid = Solid()
    width, depth, thick = draw.uniform(170, 285), draw.uniform(110, 205), draw.uniform(9, 45)
    hard = draw.chance(0.5)
    board = 2.5 if hard else 0.5
    solid.box("paper", (width, depth, thick), (0, 0, thick / 2))
    solid.box("paper", (width + 5, depth + 5, board), (0, 0, -board / 2 - 0.1))
    solid.box("paper", (width + 5, depth + 5, board), (0, 0, thick + board / 2 + 0.1))
    solid.box("paper", (width + 5, board, thick + 2 * board), (0, depth / 2 + 4, thick / 2))
    if draw.chance(0.25):
        solid.strip(
            "cloth",
            [(-width * 0.6, draw.uniform(-20, 20), thick * 0.5), (width * 0.5, draw.uniform(-30, 30), thick * 0.5)],
            4,
            0.6,
        )
    return solid


def _magazines(draw: Draw) -> Solid:
    solid, level = Solid(), 0.0
    for _ in range(draw.integer(1, 3)):
        width, depth, thick = draw.uniform(260, 300), draw.uniform(195, 222), draw.uniform(3, 9)
        part = Solid()
        part.box("paper", (width, depth, thick))
        for x in (-0.22, 0.22):
            part.box("steel", (12, 0.8, 1), (x * width, depth / 2 - 0.8, 0))
        solid.add(
            part,
            at=(draw.uniform(-12, 12), draw.uniform(-12, 12), level + thick / 2),
            turn=turn("z", draw.uniform(-6, 6)),
        )
        level += thick + 0.3
    return solid


def _notebook(draw: Draw) -> Solid:
    solid = Solid()
    width, depth, thick = draw.choice([(148.0, 105.0, 9.0), (210.0, 148.0, 13.0), (297.0, 215.0, 16.0)])
    solid.box("paper", (width, depth - 10, thick), (0, -5, thick / 2))
    for level in (-0.8, thick + 0.2):
        solid.box(draw.choice(["paper", "polyethylene"]), (width + 2, depth, 1.2), (0, 0, level))
    if draw.chance(0.6):
        loops = round(width / 8)
        loop = Solid()
        loop.tube("steel", lifted(disc(thick * 0.75, sides=8)), 0.6, sides=4, closed=True)
        places = [(float(x), depth / 2, thick / 2) for x in np.linspace(-0.46, 0.46, loops) * width]
        solid.add(repeated(loop, places, np.stack([UPRIGHT.T] * loops)))
    else:
        solid.box("steel", (width * 0.8, 14, 1), (0, depth / 2 - 7, thick + 2))
        loop = Solid()
        loop.tube("steel", lifted(rounded(thick + 8, 22, 6)), 1.6, closed=True, sides=5)
        places = [(x * width, depth / 2 - 3, thick / 2 + 4) for x in (-0.25, 0.0, 0.25)]
        solid.add(repeated(loop, places, np.stack([UPRIGHT.T] * 3)))
    return solid


def playing_cards(draw: Draw) -> Solid:
    """A deck of cards or a box of a game."""
    solid = Solid()
    size = draw.choice([(88.0, 63.0, 18.0), (120.0, 90.0, 35.0)])
    solid.box("paper", size)
    solid.box("paper", (size[0] - 1, size[1] - 1, size[2] - 1), hollow=True)
    solid.box("paper", (size[0] - 2, size[1] - 2, size[2] * draw.uniform(0.6, 0.9)), (0, 0, -0.5))
    return solid


def pen(draw: Draw) -> Solid:
    """A pen, a pencil or a handful in a case."""
    count = draw.choice([1, 2, 4, 7], [4, 2, 2, 1])
    solid = Solid()
    for number in range(count):
        one = draw.choice([_ballpoint, _metal_pen, _pencil, _marker], [4, 2, 3, 2])(draw)
        lean = draw.uniform(-14, 14) if count > 1 else 0.0
        at = (draw.uniform(-12, 12), (number - (count - 1) / 2) * 12.5, 0)
        solid.add(one, at=at, turn=turn("z", lean + draw.choice([0.0, 180.0])))
    if count > 2:
        outline = rounded(200, count * 13.0 + 16, 12)
        solid.prism(draw.choice(["cloth", "pvc", "leather"]), outline, -9.5, -8)
        solid.prism(draw.choice(["cloth", "pvc", "leather"]), outline, 8, 9.5)
        solid.add(
            boxes(
                "brass",
                np.tile([1.5, 3.0, 1.5], (40, 1)),
                np.array([(x, count * 6.5 + 6, 0) for x in np.linspace(-88, 88, 40)]),
            )
        )
    return solid


def _ballpoint(draw: Draw) -> Solid:
    one, long = Solid(), draw.uniform(135, 148)
    one.rod("polyethylene", (-long / 2, 0, 0), (long / 2 - 12, 0, 0), draw.uniform(3.8, 5.5), wall=1.1, sides=8)
    one.rod("polyethylene", (-long / 2 + 8, 0, 0), (long / 2 - 10, 0, 0), 1.5, wall=0.5, sides=6)
    one.lathe("brass", [(long / 2 - 12, 1.7), (long / 2, 0.5)], sides=6)
    if draw.chance(0.6):
        one.add(spring(20, 2.3), at=(long / 2 - 34, 0, 0))
        one.box("steel", (38, 3, 0.7), (-long / 2 + 22, 0, 6))
    return one


def _metal_pen(draw: Draw) -> Solid:
    one, long = Solid(), draw.uniform(132, 142)
    metal = draw.choice(["brass", "aluminium", "steel"])
    radius = draw.uniform(4.5, 6)
    one.rod(metal, (-long / 2, 0, 0), (long / 2 - 18, 0, 0), radius, wall=0.6, sides=8)
    one.lathe(metal, [(long / 2 - 18, radius), (long / 2, 1.2)], sides=8)
    one.lathe(metal, [(long / 2 - 17, radius - 0.8), (long / 2 - 3, 0.7)], sides=8, hollow=True)
    one.rod("brass", (-long / 2 + 25, 0, 0), (long / 2 - 4, 0, 0), 2.9, wall=0.5, sides=6)
    one.box("steel", (36, 3, 1), (-long / 2 + 22, 0, radius + 1.4))
    return one


def _pencil(draw: Draw) -> Solid:
    one, long = Solid(), draw.uniform(95, 178)
    one.rod("wood", (-long / 2, 0, 0), (long / 2 - 18, 0, 0), 3.6, wall=2.5, sides=6)
    one.rod("graphite", (-long / 2, 0, 0), (long / 2, 0, 0), 1.1, sides=6)
    if draw.chance(0.5):
        one.rod("aluminium", (-long / 2 - 8, 0, 0), (-long / 2 + 6, 0, 0), 3.9, wall=0.3, sides=8)
        one.rod("rubber", (-long / 2 - 14, 0, 0), (-long / 2 - 1, 0, 0), 3.4, sides=8)
    return one


def _marker(draw: Draw) -> Solid:
    one, long, radius = Solid(), draw.uniform(125, 145), draw.uniform(6, 9.5)
    one.rod("polyethylene", (-long / 2, 0, 0), (long / 2 - 35, 0, 0), radius, wall=1.2, sides=8)
    one.rod("ethanol", (-long / 2 + 4, 0, 0), (long / 2 - 42, 0, 0), radius - 2, sides=8)
    one.rod("polyethylene", (long / 2 - 40, 0, 0), (long / 2, 0, 0), radius + 0.8, wall=1, sides=8)
    return one


def keys(draw: Draw) -> Solid:
    """Keys on a ring, often with a car key or a fob."""
    solid, radius = Solid(), draw.uniform(11, 17)
    _ring(solid, "steel", radius, 1.2)
    _ring(solid, "steel", radius, 1.0, (0, 0, 2.2))
    count = draw.integer(2, 7)
    facings = draw.uniform(0, 360) + np.cumsum(draw.uniforms(count, 12, 55))
    for number, facing in enumerate(facings):
        way = turn("z", float(facing)) @ turn("x", draw.uniform(-12, 12))
        at = way @ np.array([radius - 4, 0, 0]) + np.array([0, 0, (number - count / 2) * 2.4])
        one = _car_key(draw) if number == 0 and draw.chance(0.5) else _key(draw)
        solid.add(one, at=tuple(at.tolist()), turn=way)
    if draw.chance(0.5):
        fob = Solid()
        outline = draw.choice(
            [disc(16, centre=(20, 0)), rounded(50, 30, 6, centre=(28, 0)), rounded(70, 12, 3, centre=(38, 0))]
        )
        fob.prism(draw.choice(["brass", "leather", "abs", "rubber"]), outline, -1.5, 1.5)
        solid.add(fob, at=(0, 0, -count * 1.3), turn=turn("z", float(facings[0]) - draw.uniform(40, 120)))
    return solid


def _key(draw: Draw) -> Solid:
    """A key along +x, the hole of its bow at the origin."""
    key, metal = Solid(), draw.choice(["brass", "steel"], [3, 1])
    bow, long, broad = draw.uniform(10, 13.5), draw.uniform(24, 36), draw.uniform(6.5, 8.5)
    thick = draw.uniform(1.8, 2.4)
    teeth = [(bow + 8 + long - 3 - step * long / 9, -broad * (0.5 - draw.uniform(0, 0.38))) for step in range(7)]
    neck = 2.9
    blade = [
        (bow + 6, neck),
        (bow + 8, broad / 2),
        (bow + 5 + long, broad / 2),
        (bow + 8 + long, 0),
        *teeth,
        (bow + 6, -neck),
    ]
    head = draw.choice([disc(bow, sides=12), rounded(2 * bow, 1.7 * bow, 4), disc(bow, sides=6)]) + np.array(
        [bow - 5, 0]
    )
    plastic = draw.chance(0.25)
    key.prism("abs" if plastic else metal, head, -thick * (1 if plastic else 0.5), thick * (1 if plastic else 0.5))
    key.prism(
        "abs" if plastic else metal,
        disc(2.6, sides=8),
        -thick * (1 if plastic else 0.5),
        thick * (1 if plastic else 0.5),
        hollow=True,
    )
    start = float(head[:, 0].max())
    key.prism(metal, np.array(blade) + np.array([start - bow - 6.5, 0]), -thick / 2, thick / 2)
    return key


def _car_key(draw: Draw) -> Solid:
    key = Solid()
    tray(key, "abs", rounded(58, 34, 12, centre=(26, 0)), -6.5, 6.5, 1.4)
    key.box("circuit_board", (40, 24, 1), (28, 0, 0))
    key.add(boxes("silicon", np.array([[6.0, 6, 1], [4, 3, 1]]), np.array([[36.0, 5, 1.2], [22, -6, 1.2]])))
    tray(key, "steel", disc(10, centre=(24, 2), sides=12), 1.6, 4.8, 0.3)
    key.prism("lithium_cell", disc(9.5, centre=(24, 2), sides=12), 2, 4.4)
    key.box("brass", (40, 8, 2.2), (74, 0, 0))
    return key


def coin(draw: Draw) -> Solid:
    """Loose change, lying flat, on edge or in a little heap."""
    solid = Solid()
    for number in range(draw.integer(1, 14)):
        radius, thick = draw.choice([(9.4, 1.7), (10.6, 1.7), (11.6, 2.3), (12.9, 2.2), (11.1, 2.1), (8.1, 1.7)])
        one = Solid()
        metal = draw.choice(["copper", "brass", "steel"], [4, 2, 1])
        if draw.chance(0.2):
            one.prism("brass", disc(radius * 0.68, sides=12), -thick / 2, thick / 2)
            one.prism("copper", disc(radius, sides=12), -thick / 2, thick / 2)
            one.prism("copper", disc(radius * 0.68, sides=12), -thick / 2, thick / 2, hollow=True)
        else:
            one.prism(metal, disc(radius, sides=12), -thick / 2, thick / 2)
        tilt = turn("x", draw.choice([0.0, draw.uniform(-25, 25), 90.0], [6, 3, 0.5]))
        at = (draw.uniform(-1, 1) * 38, draw.uniform(-1, 1) * 26, number * 1.1)
        solid.add(one, at=at, turn=turn("z", draw.uniform(0, 360)) @ tilt)
    return solid


def padlock(draw: Draw) -> Solid:
    """A padlock with a key or with wheels of numbers."""
    solid = Solid()
    width, high, deep = draw.uniform(20, 42), draw.uniform(20, 34), draw.uniform(9, 15)
    bar = width * draw.uniform(0.07, 0.1)
    solid.prism(draw.choice(["brass", "steel"], [3, 1]), rounded(high, width, 3), -deep / 2, deep / 2)
    half, tall = width / 2 - bar * 2, draw.uniform(0.7, 1.3) * width
    bow = arc(half, 90, -90, 9, centre=(high / 2 + tall - half, 0))
    path = np.concatenate([[(high / 2 - 6, half)], bow, [(high / 2 - 6, -half)]])
    solid.tube("steel", lifted(path), bar, sides=8)
    if draw.chance(0.4):
        for row in (-1, 0, 1):
            solid.rod(
                "steel",
                (row * high * 0.24 - 2.5, 0, 0),
                (row * high * 0.24 + 2.5, 0, 0),
                deep * 0.62,
                wall=1.5,
                sides=10,
            )
    return solid


def carabiner(draw: Draw) -> Solid:
    """A snap hook of aluminium or steel."""
    solid = Solid()
    long, width, bar = draw.uniform(55, 110), draw.uniform(30, 62), draw.uniform(2.4, 5)
    metal = draw.choice(["aluminium", "steel"], [3, 1])
    frame = smoothed(
        [
            (-long / 2, width * 0.25, 0),
            (-long / 2, -width * 0.4, 0),
            (long / 2, -width * 0.5, 0),
            (long / 2, width * 0.4, 0),
            (long * 0.3, width * 0.5, 0),
        ]
    )
    solid.tube(metal, frame, bar, sides=8)
    solid.rod(metal, (-long * 0.44, width * 0.34, 0), (long * 0.3, width * 0.48, 0), bar * 0.7, sides=6)
    solid.rod("steel", (-long * 0.44, width * 0.34, -bar), (-long * 0.44, width * 0.34, bar), 1.4, sides=6)
    if draw.chance(0.4):
        solid.rod(
            metal, (-long * 0.1, width * 0.41, 0), (long * 0.16, width * 0.45, 0), bar * 1.3, wall=bar * 0.5, sides=8
        )
    return solid


def jewellery(draw: Draw) -> Solid:
    """A necklace, bracelets, rings or beads, sometimes in a box."""
    solid = Solid()
    metal = draw.choice(["brass", "steel", "copper"])
    span = (draw.uniform(26, 55), draw.uniform(18, 32))
    count = draw.integer(40, 80)
    angles = np.linspace(0, 2 * np.pi, count, endpoint=False)
    sway = 1 + 0.25 * np.sin(angles * 3 + draw.uniform(0, 6.3))
    places = np.column_stack([np.cos(angles) * span[0] * sway, np.sin(angles) * span[1] * sway, np.zeros(count)])
    bead = Solid()
    if draw.chance(0.5):
        bead.lathe(draw.choice(["glass", metal, "ceramic"]), [(-2.4, 1.0), (0, 2.6), (2.4, 1.0)], sides=6)
    else:
        bead.box(metal, (2.6, 1.6, 1.0))
        bead.box(metal, (1.4, 0.8, 1.0), hollow=True)
    solid.add(repeated(bead, places, np.stack([turn("z", float(np.rad2deg(a)) + 90) for a in angles])))
    if draw.chance(0.6):
        pendant = Solid()
        pendant.prism(metal, draw.choice([disc(8), wobbly(draw, 14, 22)]), -1, 1)
        pendant.prism("glass", disc(5), 1, 4)
        solid.add(pendant, at=(float(places[0, 0]) + 12, 0, 0))
    for _ in range(draw.integer(0, 4)):
        _ring(
            solid, metal, draw.uniform(8.5, 11), draw.uniform(0.8, 2), (draw.uniform(-20, 20), draw.uniform(-12, 12), 3)
        )
    if draw.chance(0.4):
        tray(
            solid, draw.choice(["paper", "abs", "wood"]), rounded(span[0] * 2.8 + 14, span[1] * 2.8 + 10, 4), -6, 18, 2
        )
    return solid


def watch(draw: Draw) -> Solid:
    """A wrist watch on a leather or a steel strap, or an electronic one."""
    solid = Solid()
    radius, high = draw.uniform(15, 22), draw.uniform(8, 12)
    smart = draw.chance(0.3)
    outline = rounded(2 * radius, 1.75 * radius, 8) if smart else disc(radius, sides=18)
    case = draw.choice(["steel", "aluminium", "brass"], [4, 2, 1])
    tray(solid, case, outline, 0, high, 1.2 if case == "aluminium" else 0.9)
    inner = inset(outline, 2.2)
    solid.prism("lithium_cell" if smart else "brass", inner * 0.75, 1.6, 4.5)
    solid.prism("circuit_board" if smart else "steel", inner * 0.9, 5, 6)
    solid.prism("glass", inset(outline, 1.2), high, high + 1.5)
    if not smart:
        tray(solid, "steel", disc(4.5, centre=(radius * 0.25, radius * 0.3), sides=10), 4.6, 6.6, 0.3)
        solid.rod("steel", (0, radius - 0.5, high / 2), (0, radius + 3, high / 2), 2.5, sides=8)
    _watch_strap(draw, solid, radius, high)
    return solid


def _watch_strap(draw: Draw, solid: Solid, radius: float, high: float) -> None:
    broad = draw.uniform(16, 22)
    if draw.chance(0.4):
        link = Solid()
        link.box("steel", (5.4, broad, 2.6))
        if draw.chance(0.5):
            link.box("steel", (3, broad * 0.4, 2.6), hollow=True)
        places = [
            (side * (radius + 3 + 6 * step), 0.0, high * 0.4 - 0.3 * step) for side in (-1, 1) for step in range(11)
        ]
        solid.add(repeated(link, places))
        solid.box("steel", (26, broad, 1.2), (radius + 70, 0, 1))
        return
    material = draw.choice(["leather", "rubber"])
    for side, long in ((-1, 78), (1, 112)):
        outline = rounded(long, broad, 8, centre=(side * (radius + long / 2 + 1), 0))
        solid.prism(material, outline, high * 0.35, high * 0.35 + 2.6)
    buckle = lifted(rounded(15, broad + 5, 4, centre=(-radius - 80, 0)), high * 0.45)
    solid.tube("steel", buckle, 1.1, sides=6, closed=True)
    solid.rod("steel", (-radius - 87, 0, high * 0.5), (-radius - 72, 0, high * 0.5), 0.9, sides=5)


def tableware(draw: Draw) -> Solid:
    """Forks and spoons, a mug, a plate, a glass or a lunch box."""
    return draw.choice([_cutlery, _mug, _plates, _tumbler, _lunch_box], [4, 3, 1.5, 2, 2])(draw)


def _cutlery(draw: Draw) -> Solid:
    solid = Solid()
    plastic = draw.chance(0.15)
    for number in range(draw.integer(1, 4)):
        one = _fork(draw, plastic) if draw.chance(0.5) else _spoon(draw, plastic)
        solid.add(
            one,
            at=(draw.uniform(-8, 8), number * draw.uniform(14, 26), number * 2.0),
            turn=turn("z", draw.uniform(-9, 9)),
        )
    return solid


def _handle(draw: Draw, long: float, neck: float) -> Array:
    """The upper half of a handle's outline from its end to its neck; shape (n, 2)."""
    broad = draw.uniform(7, 10)
    return np.array(
        [(-long, 0.0), (-long + 4, broad * 0.8), (-long + 18, broad), (-long * 0.4, neck * 1.2), (-6, neck), (0, neck)]
    )


def _fork(draw: Draw, plastic: bool) -> Solid:
    fork, thick = Solid(), 2.4 if plastic else draw.uniform(1.4, 2.2)
    top = _handle(draw, draw.uniform(105, 140), 3.2)
    half, tines, long = draw.uniform(10.5, 13), draw.choice([3, 4]), draw.uniform(38, 48)
    pitch = 2 * half / tines
    comb: list[tuple[float, float]] = [(10, half), (22, half)]
    for tine in range(tines):
        outer = half - tine * pitch
        inner = outer - pitch * 0.62
        comb += [(22 + long, outer - 0.6), (22 + long, inner + 0.6), (22, inner)]
        if tine < tines - 1:
            comb += [(22, inner - pitch * 0.38)]
    outline = np.concatenate([top, comb, [(10, comb[-1][1])], (top * (1, -1))[::-1]])
    fork.prism("polyethylene" if plastic else "steel", outline, -thick / 2, thick / 2)
    return fork


def _spoon(draw: Draw, plastic: bool) -> Solid:
    spoon, thick = Solid(), 2.4 if plastic else draw.uniform(1.4, 2.2)
    size = draw.uniform(0.65, 1.05)
    top = _handle(draw, draw.uniform(95, 140) * size**0.5, 3.0)
    bowl = disc(1.0, sides=16) * (34 * size, 21 * size) + np.array([31 * size, 0])
    material = "polyethylene" if plastic else "steel"
    outline = np.concatenate([top, (top * (1, -1))[::-1]])
    spoon.prism(material, outline, -thick / 2, thick / 2)
    depth = 9 * size
    spoon.loft(
        material,
        [
            (-depth, bowl * 0.45 + np.array([17 * size, 0])),
            (-depth * 0.4, bowl * 0.85 + np.array([4.6 * size, 0])),
            (thick / 2, bowl),
        ],
        alike=True,
    )
    hollow = inset(bowl, thick * 0.7)
    spoon.loft(
        material,
        [
            (thick * 0.7 - depth, hollow * 0.45 + np.array([17 * size, 0])),
            (thick * 0.5 - depth * 0.4, hollow * 0.85 + np.array([4.6 * size, 0])),
            (thick / 2, hollow),
        ],
        alike=True,
        hollow=True,
    )
    return spoon


def _mug(draw: Draw) -> Solid:
    solid, radius, long = Solid(), draw.uniform(36, 44), draw.uniform(85, 108)
    steel = draw.chance(0.2)
    material, wall = ("steel", 0.6) if steel else ("glass", draw.uniform(3.5, 5))
    solid.lathe(material, [(0, radius * 0.92), (5, radius), (long, radius)], sides=16)
    inner = [(wall + 1, radius * 0.92 - wall), (wall + 6, radius - wall), (long, radius - wall)]
    solid.lathe(material, inner, sides=16, hollow=True)
    bow = np.column_stack(
        [
            long * 0.5 + long * 0.3 * np.cos(np.linspace(0, np.pi, 8)),
            radius - 2 + 28 * np.sin(np.linspace(0, np.pi, 8)),
            np.zeros(8),
        ]
    )
    solid.tube(material, bow, 2 if steel else draw.uniform(4, 6), sides=8)
    return solid


def _plates(draw: Draw) -> Solid:
    solid, radius = Solid(), draw.uniform(80, 130)
    material, thick = draw.choice([("glass", 4.5), ("polyethylene", 2.2), ("steel", 0.6)], [3, 1, 1])
    outer = disc(1.0, sides=20)
    for number in range(draw.integer(1, 3)):
        low = number * (thick + 2.5)
        plate = [(low, outer * radius * 0.62), (low + thick, outer * radius * 0.7), (low + thick + 14, outer * radius)]
        well = [(low + thick, outer * radius * 0.64), (low + thick + 14, outer * (radius - thick))]
        solid.loft(material, plate, alike=True)
        solid.loft(material, well, hollow=True, alike=True)
    return solid


def _tumbler(draw: Draw) -> Solid:
    solid, radius, long = Solid(), draw.uniform(27, 40), draw.uniform(80, 135)
    wall = draw.uniform(1.8, 3.2)
    if draw.chance(0.5):
        solid.lathe("glass", [(0, radius * 0.8), (long, radius)], sides=16)
        solid.lathe("glass", [(draw.uniform(5, 11), radius * 0.8 - wall), (long, radius - wall)], sides=16, hollow=True)
    else:
        solid.lathe("glass", [(0, radius * 0.9), (4, radius * 0.85), (6, 4)], sides=16)
        solid.rod("glass", (5, 0, 0), (62, 0, 0), 4, sides=8)
        solid.lathe("glass", [(58, 8), (78, radius), (62 + long * 0.7, radius * 0.85)], sides=16)
        solid.lathe(
            "glass", [(63, 7), (78, radius - 1.4), (62 + long * 0.7, radius * 0.85 - 1.4)], sides=16, hollow=True
        )
    return solid


def _lunch_box(draw: Draw) -> Solid:
    solid = Solid()
    width, depth, high = draw.uniform(140, 210), draw.uniform(95, 150), draw.uniform(45, 75)
    outline = rounded(width, depth, 14)
    metal = draw.chance(0.2)
    tray(solid, "steel" if metal else "polyethylene", outline, 0, high, 0.5 if metal else 1.4)
    solid.prism("polyethylene", rounded(width + 6, depth + 6, 15), high + 0.2, high + 2)
    room = inset(outline, 6)
    for _ in range(draw.integer(1, 4)):
        piece = wobbly(draw, width * draw.uniform(0.25, 0.5), depth * draw.uniform(0.3, 0.6))
        middle = np.array([draw.uniform(-0.2, 0.2) * width, draw.uniform(-0.17, 0.17) * depth])
        cushion(
            solid,
            draw.choice(["water", "cloth", "wood"]),
            np.clip(piece + middle, room.min(axis=0), room.max(axis=0)),
            2,
            high * draw.uniform(0.3, 0.85),
        )
    return solid


def glasses(draw: Draw) -> Solid:
    """Spectacles or sunglasses, folded, sometimes in their case."""
    solid = Solid()
    half, deep = draw.uniform(22, 28), draw.uniform(16, 24)
    wire = draw.chance(0.5)
    lens = draw.choice([rounded(2 * half, 2 * deep, 14), disc(1.0, sides=18) * (half, deep)])
    pane, bow = draw.choice(["glass", "abs"]), draw.choice(["steel", "titanium"])
    for side in (-1, 1):
        centre = np.array([side * (half + 9), 0])
        solid.prism(pane, lens * 0.97 + centre, -1, 1)
        if wire:
            solid.tube(bow, lifted(lens + centre), 0.9, sides=5, closed=True)
        else:
            solid.prism("abs", lens * 1.12 + centre, -2.2, 2.2)
            solid.prism("abs", lens * 0.97 + centre, -2.2, 2.2, hollow=True)
        hinge = (side * (2 * half + 11), deep * 0.5, -4.0)
        solid.box("steel", (5, 4, 7), hinge)
        far = (-side * draw.uniform(30, 45), deep * 0.35, -8 - 3.0 * side)
        solid.rod("steel", hinge, far, 0.8, sides=5)
        if not wire:
            solid.rod("abs", hinge, far, 2.6, wall=1.7, sides=6)
        else:
            solid.rod("abs", (far[0] + side * 45, far[1], far[2]), far, 2.2, sides=6)
    solid.tube("steel" if wire else "abs", [(-10, 2, 0), (0, 6, 1), (10, 2, 0)], 1.1 if wire else 3, sides=6)
    if draw.chance(0.45):
        case = rounded(165, 68, 26)
        tray(solid, draw.choice(["abs", "steel", "leather"], [2, 1, 2]), case, -22, 16, draw.uniform(0.7, 1.6))
        solid.rod("steel", (-55, 33, -2), (55, 33, -2), 1.6, wall=0.6, sides=6)
    return solid


def toothbrush(draw: Draw) -> Solid:
    """A toothbrush, sometimes in a tube or with a tongue cleaner."""
    solid = Solid()
    long = draw.uniform(165, 195)
    side = smoothed([(-long / 2, 0, 0), (-long * 0.1, 0, 1.5), (long * 0.2, 0, -1), (long / 2, 0, 0)])
    outline = ribbon(side[:, [0, 2]] * (1, 2), draw.uniform(8, 12))
    solid.prism("polyethylene", outline, -3, 3)
    solid.prism("polyethylene", rounded(32, 11, 5, centre=(long / 2 - 6, 0)), -2.5, 2.5)
    tuft = np.array([(long / 2 - 19 + 4.4 * column, -3.6 + 3.6 * row, 8.0) for column in range(6) for row in range(3)])
    solid.add(boxes("polyethylene", np.tile([2.0, 2.0, 11.0], (len(tuft), 1)), tuft))
    solid.add(boxes("brass", np.tile([1.4, 0.25, 1.4], (len(tuft), 1)), tuft - np.array([0, 0, 7.0])))
    if draw.chance(0.3):
        tray(solid, "polyethylene", rounded(long + 14, 26, 8), -8, 16, 1.2)
    return solid


def hair_brush(draw: Draw) -> Solid:
    """A hair brush, flat or round, or a comb."""
    style = draw.choice(["paddle", "round", "comb"])
    solid = Solid()
    if style == "comb":
        long = draw.uniform(130, 190)
        solid.box("abs", (long, 12, 4), (0, 14, 0))
        teeth = np.column_stack([np.linspace(-long / 2 + 2, long / 2 - 2, 45), np.zeros(45), np.zeros(45)])
        solid.add(boxes("abs", np.tile([1.3, 22.0, 2.5], (45, 1)), teeth - np.array([0, 2.5, 0])))
        return solid
    grip, metal = draw.uniform(95, 120), draw.chance(0.5)
    pin = Solid()
    pin.box("steel" if metal else "polyethylene", (0.9, 0.9, 16) if metal else (1.6, 1.6, 16), (0, 0, 8))
    if style == "paddle":
        head = disc(1.0, sides=18) * (draw.uniform(45, 62), draw.uniform(28, 40)) + np.array([50, 0])
        solid.prism("abs", np.concatenate([rounded(grip, 22, 9, centre=(-grip / 2, 0))]), 0, 14)
        tray(solid, "abs", head, 0, 14, 2)
        cushion(solid, "rubber", inset(head, 3), 14, 17)
        x, y = np.meshgrid(np.linspace(-0.72, 0.72, 10), np.linspace(-0.66, 0.66, 7))
        kept = np.hypot(x, y) < 0.85
        spots = np.column_stack([x[kept], y[kept]]) * np.ptp(head, axis=0) / 2 + np.array([50, 0])
        solid.add(repeated(pin, lifted(spots, 16.0)))
    else:
        radius = draw.uniform(12, 20)
        solid.rod("abs", (-grip, 0, 0), (0, 0, 0), 9, sides=10)
        solid.rod("aluminium" if metal else "abs", (0, 0, 0), (85, 0, 0), radius, wall=0.8 if metal else 2, sides=12)
        for place in np.linspace(8, 78, 8):
            row = Solid()
            row.add(pin, at=(float(place), 0, radius))
            solid.add(repeated(row, np.zeros((9, 3)), around(9, "x", start=float(place))))
    return solid


def medicine(draw: Draw) -> Solid:
    """Blister packs in their box, or a bottle of pills."""
    solid = Solid()
    if draw.chance(0.7):
        columns, rows = draw.choice([(5, 2), (7, 2), (4, 3), (6, 2)])
        pitch = draw.uniform(14, 19)
        size = (columns * pitch + 8, rows * pitch + 8)
        pill = Solid()
        radius = draw.uniform(3.5, 5.5)
        pill.prism(draw.choice(["pvc", "paper"], [1, 3]), disc(radius, sides=10), 0.6, draw.uniform(3.5, 5))
        pill.prism("pvc", disc(radius + 1, sides=10), 0.3, 5.6)
        pill.prism("pvc", disc(radius + 0.7, sides=10), 0.4, 5.4, hollow=True)
        x, y = np.meshgrid((np.arange(columns) - (columns - 1) / 2) * pitch, (np.arange(rows) - (rows - 1) / 2) * pitch)
        spots = np.column_stack([x.ravel(), y.ravel(), np.zeros(x.size)])
        spots = spots[draw.uniforms(len(spots)) > draw.choice([0.0, 0.35])]
        sheets = draw.integer(1, 3)
        for number in range(sheets):
            level = number * 6.4
            solid.box("aluminium", (*size, 0.05), (0, 0, level))
            solid.box("pvc", (*size, 0.25), (0, 0, level + 0.2))
            if len(spots):
                solid.add(repeated(pill, spots + np.array([0, 0, level])))
        if draw.chance(0.5):
            solid.box("paper", (size[0] + 8, size[1] + 5, sheets * 6.4 + 6), (0, 0, sheets * 3.2))
            solid.box("paper", (size[0] + 7, size[1] + 4, sheets * 6.4 + 5), (0, 0, sheets * 3.2), hollow=True)
        return solid
    radius, long = draw.uniform(15, 28), draw.uniform(50, 95)
    shell(solid, "polyethylene", [(0, radius), (long * 0.8, radius), (long, radius * 0.75)], 1.2)
    solid.rod("polyethylene", (long, 0, 0), (long + 16, 0, 0), radius * 0.85, wall=1.8, sides=10)
    pill = Solid()
    pill.lathe(draw.choice(["paper", "pvc"], [4, 1]), [(-5, 2), (0, 4), (5, 2)], sides=6)
    count = draw.integer(12, 40)
    angles, away = draw.uniforms(count, 0, 2 * np.pi), draw.uniforms(count, 0, 1) ** 0.5 * (radius - 6)
    spots = np.column_stack(
        [draw.uniforms(count, 8, long * draw.uniform(0.4, 0.8)), away * np.cos(angles), away * np.sin(angles)]
    )
    solid.add(repeated(pill, spots, np.stack([turn("z", draw.uniform(0, 360)) for _ in range(count)])))
    return solid


def sponge(draw: Draw) -> Solid:
    """A sponge, a packet of tissues or a roll of paper."""
    solid = Solid()
    style = draw.choice(["sponge", "tissues", "roll"])
    if style == "sponge":
        cushion(solid, "foam", wobbly(draw, draw.uniform(90, 150), draw.uniform(60, 100)), 0, draw.uniform(25, 50))
    elif style == "tissues":
        solid.box("cloth", (draw.uniform(100, 112), 54, draw.uniform(18, 30)))
    else:
        solid.rod("cloth", (0, 0, 0), (98, 0, 0), draw.uniform(42, 58), wall=draw.uniform(18, 36), sides=14)
        solid.rod("paper", (0, 0, 0), (98, 0, 0), 20, wall=0.6, sides=12)
    return solid


def torch(draw: Draw) -> Solid:
    """A torch with its cells, reflector and glass."""
    solid = Solid()
    cells, radius = draw.integer(1, 3), draw.uniform(11, 17)
    long = cells * 51.0 + draw.uniform(22, 34)
    metal = draw.chance(0.7)
    solid.rod("aluminium" if metal else "abs", (0, 0, 0), (long, 0, 0), radius, wall=1.8 if metal else 2.2, sides=12)
    for number in range(cells):
        x = 8 + number * 51.0
        solid.rod("steel", (x, 0, 0), (x + 49, 0, 0), radius - 3, wall=0.4, sides=10)
        solid.rod("lithium_cell", (x + 0.5, 0, 0), (x + 47, 0, 0), radius - 3.6, sides=10)
    solid.add(spring(7, radius * 0.4, turns=3), at=(1, 0, 0))
    solid.rod("circuit_board", (long - 6, 0, 0), (long - 4.5, 0, 0), radius - 3, sides=10)
    solid.rod("copper", (long - 4, 0, 0), (long + 3, 0, 0), 4, sides=8)
    wide = radius * draw.uniform(1.1, 1.6)
    shell(solid, "aluminium" if metal else "abs", [(long, radius), (long + 14, wide), (long + 30, wide)], 1.6)
    solid.lathe("aluminium", [(long + 6, 4), (long + 27, wide - 2.4)], sides=12)
    solid.lathe("aluminium", [(long + 6.5, 3), (long + 27, wide - 3)], sides=12, hollow=True)
    solid.rod("glass", (long + 27, 0, 0), (long + 28.3, 0, 0), wide - 1.8, sides=12)
    return solid


def candle(draw: Draw) -> Solid:
    """Candles in a jar, a tin or bare."""
    body, radius, high = Solid(), draw.uniform(25, 42), draw.uniform(40, 100)
    style = draw.choice(["jar", "tin", "bare"])
    if style == "jar":
        body.lathe("glass", [(0, radius), (high, radius)], sides=14)
        body.lathe("glass", [(6, radius - 3), (high, radius - 3)], sides=14, hollow=True)
        body.lathe("polyethylene", [(6, radius - 3.1), (high * 0.75, radius - 3.1)], sides=14)
    elif style == "tin":
        body.rod("steel", (0, 0, 0), (high * 0.5, 0, 0), radius, wall=0.25)
        body.rod("polyethylene", (0.5, 0, 0), (high * 0.42, 0, 0), radius - 0.4)
        body.rod("steel", (high * 0.5, 0, 0), (high * 0.5 + 0.3, 0, 0), radius + 0.5)
    else:
        body.rod("polyethylene", (0, 0, 0), (high, 0, 0), radius)
    body.rod("cloth", (1, 0, 0), (high * 0.5, 0, 0), 1.2, sides=5)
    body.rod("aluminium", (6.1, 0, 0), (6.6, 0, 0), 8, sides=8)
    return body


FAMILIES: tuple[Family, ...] = (
    Family("umbrella", umbrella, weight=2),
    Family("book", book, weight=6),
    Family("playing_cards", playing_cards, weight=0.6),
    Family("pen", pen, "any", weight=3),
    Family("keys", keys, weight=3),
    Family("coin", coin, weight=2.5),
    Family("padlock", padlock, weight=0.8),
    Family("carabiner", carabiner, "any", weight=0.7),
    Family("jewellery", jewellery, weight=1.2),
    Family("watch", watch, weight=1.2),
    Family("tableware", tableware, weight=2),
    Family("food", food, "any", grain=0.15, weight=4),
    Family("toy", toy, "any", weight=2.5),
    Family("glasses", glasses, weight=1.8),
    Family("toothbrush", toothbrush, "any", weight=1.5),
    Family("hair_brush", hair_brush, weight=1.2),
    Family("medicine", medicine, weight=1.8),
    Family("sponge", sponge, "any", grain=0.3, weight=1.2),
    Family("lamp", torch, weight=0.8),
    Family("candle", candle, weight=0.5),
)
"""Household and personal things."""
