"""Clothes, shoes and what is worn or carried with them."""

from __future__ import annotations

import itertools

import numpy as np

from xray_training.simulator.draw import Draw
from xray_training.simulator.objects.cosmetics import cosmetic, nail_polish
from xray_training.simulator.objects.electronics import cable
from xray_training.simulator.objects.family import Family
from xray_training.simulator.objects.forms import boxes, cushion, repeated, ribbon, shrunk, smoothed, tray, wobbly
from xray_training.simulator.objects.pressurised import lighter
from xray_training.simulator.solids import Array, Solid, Vector, arc, disc, lifted, rounded, turn


def zip_fastener(draw: Draw, solid: Solid, path: Array) -> None:
    """A zip along a path, shape (n, 3): teeth of brass or plastic, and a slider."""
    steps = np.linalg.norm(np.diff(path, axis=0), axis=1)
    reach = np.concatenate([[0.0], np.cumsum(steps)])
    at = np.arange(0, float(reach[-1]), 3.2)
    places = np.column_stack([np.interp(at, reach, path[:, axis]) for axis in range(3)])
    metal = draw.chance(0.6)
    tooth = (1.5, 4.0, 1.6) if metal else (1.4, 4.5, 2.2)
    solid.add(boxes("brass" if metal else "polyethylene", np.tile(tooth, (len(places), 1)), places))
    slider = places[draw.integer(0, len(places) - 1)]
    solid.box("brass", (10, 7, 4), tuple(slider.tolist()))
    solid.box(
        "brass", (22, 4, 1.4), (float(slider[0]) + 12, float(slider[1]) + draw.uniform(-8, 8), float(slider[2]) + 2)
    )


def _buttons(draw: Draw, solid: Solid, start: Vector, along: Vector, count: int) -> None:
    """A row of buttons."""
    metal = draw.chance(0.25)
    button, radius = Solid(), draw.uniform(4.5, 8.5)
    button.prism("brass" if metal else "abs", disc(radius, sides=10), -1.2, 1.2)
    for side in () if metal else (-1, 1):
        button.prism("abs", disc(1.2, centre=(side * 2.0, 0), sides=5), -1.2, 1.2, hollow=True)
    solid.add(repeated(button, np.asarray(start) + np.arange(count)[:, None] * np.asarray(along)))


# --- clothes


def clothes(draw: Draw) -> Solid:
    """Folded or rolled clothes, one or several."""
    return draw.choice([_folded, _rolled, _crumpled, _jacket], [5, 2, 3, 2])(draw)


def _layers(draw: Draw, solid: Solid, size: Vector, count: int) -> None:
    """Cloth folded over itself: layers that do not quite lie on each other, and rounder folds along two edges."""
    width, depth, height = size
    each = height / count
    for number in range(count):
        shrink = draw.uniform(0.82, 1.0)
        outline = wobbly(draw, width * shrink, depth * draw.uniform(0.8, 1.0), unevenness=0.03, squareness=0.8)
        shift = np.array([draw.uniform(-0.5, 0.5) * width * (1 - shrink), draw.uniform(-0.06, 0.06) * depth])
        cushion(solid, "cloth", outline + shift, number * each, (number + 1) * each, edge=draw.uniform(0.9, 0.97))
    for _ in range(draw.integer(2, 5)):
        start, end = (np.array([draw.uniform(-0.4, 0.4) * width, side * 0.4 * depth, height]) for side in (-1, 1))
        bend = (start + end) / 2 + np.array([draw.uniform(-0.15, 0.15) * width, 0, 0])
        solid.tube("cloth", smoothed([start, bend, end])[::2], draw.uniform(4, 11), sides=5)


def _folded(draw: Draw) -> Solid:
    solid = Solid()
    size = (draw.uniform(230, 380), draw.uniform(180, 290), draw.uniform(15, 70))
    _layers(draw, solid, size, draw.integer(3, 6))
    if draw.chance(0.5):
        count = draw.integer(3, 7)
        _buttons(
            draw,
            solid,
            (-size[0] * 0.35, draw.uniform(-0.1, 0.1) * size[1], size[2]),
            (size[0] * 0.7 / count, draw.uniform(-3, 3), 0),
            count,
        )
    if draw.chance(0.35):
        y = draw.uniform(-0.3, 0.3) * size[1]
        start = draw.uniform(-0.4, 0.1) * size[0]
        bend = draw.uniform(-18, 18)
        path = np.array(
            [
                (start, y, size[2]),
                (start + 60, y + bend, size[2]),
                (start + draw.uniform(110, 170), y + bend * 0.4, size[2]),
            ]
        )
        zip_fastener(draw, solid, path)
    if draw.chance(0.3):
        rivets = [
            (draw.uniform(-0.4, 0.4) * size[0], draw.uniform(-0.4, 0.4) * size[1], size[2])
            for _ in range(draw.integer(2, 6))
        ]
        rivet = Solid()
        rivet.prism("brass", disc(4.2, sides=8), -1, 1)
        solid.add(repeated(rivet, rivets))
    return solid


def _rolled(draw: Draw) -> Solid:
    """Rolled garments or balls of socks side by side."""
    solid = Solid()
    count = draw.integer(1, 5)
    radius, long = draw.uniform(25, 50), draw.uniform(80, 260)
    for number in range(count):
        wide = radius * draw.uniform(0.8, 1.1)
        reach = long * draw.uniform(0.8, 1.0)
        at = (draw.uniform(-15, 15) - reach / 2, (number - (count - 1) / 2) * radius * 1.9, 0.0)
        solid.lathe(
            "cloth",
            [(0, wide * 0.75), (wide * 0.3, wide), (reach - wide * 0.3, wide), (reach, wide * 0.75)],
            at=at,
            sides=12,
        )
        solid.lathe("cloth", [(2, wide * 0.16), (reach - 2, wide * 0.16)], at=at, sides=6, hollow=True)
    return solid


def _crumpled(draw: Draw) -> Solid:
    """Clothes thrown in."""
    solid = Solid()
    spread, height = draw.uniform(160, 300), draw.uniform(25, 75)
    for _ in range(draw.integer(4, 7)):
        outline = wobbly(
            draw, spread * draw.uniform(0.4, 0.9), spread * draw.uniform(0.3, 0.6), unevenness=0.14, squareness=0.3
        )
        outline = outline @ turn("z", draw.uniform(0, 360))[:2, :2].T
        low = draw.uniform(0, 0.5) * height
        shift = np.array([draw.uniform(-0.3, 0.3), draw.uniform(-0.25, 0.25)]) * spread
        cushion(
            solid, "cloth", outline + shift, low, low + height * draw.uniform(0.3, 0.5), edge=draw.uniform(0.6, 0.85)
        )
    for _ in range(draw.integer(2, 5)):
        bends = [(draw.uniform(-0.45, 0.45) * spread, draw.uniform(-0.3, 0.3) * spread) for _ in range(2)]
        ridge = np.array([(*bends[0], height * 0.7), (*bends[1], height * 0.7)])
        solid.tube("cloth", ridge, draw.uniform(5, 12), sides=5)
    return solid


def _jacket(draw: Draw) -> Solid:
    """A folded jacket or jumper with a long zip, buttons and cords."""
    solid = Solid()
    size = (draw.uniform(300, 420), draw.uniform(230, 310), draw.uniform(30, 90))
    _layers(draw, solid, size, draw.integer(3, 5))
    angle = np.linspace(0, 1, 7)
    sway = draw.uniform(-35, 35)
    path = np.column_stack(
        [(angle - 0.5) * size[0] * 0.85, sway * np.sin(angle * np.pi * draw.uniform(0.8, 2)), np.full(7, size[2])]
    )
    zip_fastener(draw, solid, path)
    for side in (-1, 1):
        y = side * size[1] * draw.uniform(0.25, 0.38)
        if draw.chance(0.6):
            _buttons(
                draw, solid, (draw.uniform(-0.3, 0.2) * size[0], y, size[2]), (12, side * 9.0, 0), draw.integer(1, 3)
            )
        if draw.chance(0.4):
            cord = np.array(
                [
                    (size[0] * 0.4, y * 0.2, size[2]),
                    (size[0] * 0.3, y * 0.6, size[2] + 3),
                    (size[0] * 0.15, y * 0.5, size[2]),
                ]
            )
            solid.tube("polyethylene", cord, 2, sides=5)
            solid.rod(
                "brass",
                (size[0] * 0.15, y * 0.5, size[2]),
                (size[0] * 0.15 - 14, y * 0.5, size[2]),
                2.4,
                wall=0.5,
                sides=6,
            )
    return solid


# --- shoes


def shoes(draw: Draw) -> Solid:
    """A shoe or a pair, soles down: trainers, leather shoes, boots, high heels or sandals."""
    long = draw.uniform(235, 310)
    style = draw.choice([_trainer, _leather_shoe, _boot, _high_heel, _sandal], [5, 3, 1.5, 1.5, 2])
    one = style(draw, long)
    if draw.chance(0.4):
        return one
    low, high = one.mesh().extent()
    beside = (draw.uniform(-15, 15), float(high[1] - low[1]) + draw.uniform(4, 14), 0.0)
    pair = Solid()
    pair.add(one)
    pair.add(one, at=beside, turn=turn("z", draw.choice([0.0, 180.0]) + draw.uniform(-5, 5)))
    return pair


def _sole(long: float) -> Array:
    """The outline of a sole, its toe at +x; shape (16, 2)."""
    half = [
        (-0.5, 0.0),
        (-0.48, 0.08),
        (-0.42, 0.115),
        (-0.28, 0.12),
        (-0.05, 0.11),
        (0.12, 0.15),
        (0.28, 0.178),
        (0.42, 0.14),
        (0.5, 0.03),
    ]
    other = [
        (0.47, -0.07),
        (0.36, -0.145),
        (0.2, -0.16),
        (0.05, -0.125),
        (-0.2, -0.11),
        (-0.38, -0.115),
        (-0.47, -0.075),
    ]
    return np.array([*half, *other]) * long


def _upper(
    solid: Solid, material: str, sole: Array, low: float, high: float, wall: float, *, toe: float = 45.0
) -> None:
    """The part over the foot: full below, drawn back to the ankle above; open at its top."""
    long = float(np.ptp(sole[:, 0]))

    def section(back: float, narrow: float) -> Array:
        x = sole[:, 0] + long / 2
        front = np.clip((x - long * 0.3) / (long * 0.7), 0, 1)
        y = sole[:, 1] * narrow * (1 - (1 - back) * front**0.5 * 0.5)
        return np.column_stack([np.where(front > 0, long * 0.3 + front * long * 0.7 * back, x) - long / 2, y])

    levels = [low, low + toe * 0.5, low + toe, low + (toe + high - low) / 2, high]
    rings = [section(1.0, 0.96), section(0.97, 0.95), section(0.6, 0.8), section(0.28, 0.72), section(0.12, 0.7)]
    solid.loft(material, list(zip(levels, rings, strict=True)))
    inner = [shrunk(ring, wall) for ring in rings]
    solid.loft(material, list(zip(levels, inner, strict=True)), hollow=True)


def _eyelets(draw: Draw, solid: Solid, long: float, level: float) -> None:
    eyelet = Solid()
    metal = draw.choice(["brass", "aluminium", "steel"])
    eyelet.prism(metal, disc(3.4, sides=8), 0, 0.8)
    eyelet.prism(metal, disc(1.8, sides=8), 0, 0.8, hollow=True)
    rows = draw.integer(4, 7)
    x = np.linspace(-0.02, 0.2, rows) * long
    height = level - np.linspace(0, 18, rows)
    places = [(float(a), side * 14.0, float(h)) for a, h in zip(x, height, strict=True) for side in (-1, 1)]
    solid.add(repeated(eyelet, places))
    zigzag = [
        (float(a), 13.0 * (-1) ** number, float(h) + 1.5) for number, (a, h) in enumerate(zip(x, height, strict=True))
    ]
    for one, other in itertools.pairwise(zigzag):
        solid.rod("cloth", one, other, 2, sides=4)


def _trainer(draw: Draw, long: float) -> Solid:
    solid, sole = Solid(), _sole(long)
    thick = draw.uniform(22, 34)
    solid.prism("rubber", sole, 0, 5)
    solid.loft("rubber", [(5, sole), (thick, sole * 0.98)], alike=True)
    solid.loft("rubber", [(6, sole * 0.9), (thick - 2, sole * (0.88, 0.84))], hollow=True)
    solid.loft("cloth", [(6, sole * 0.9), (thick - 2, sole * (0.88, 0.84))])
    grooves = np.array([(x, 0, 1.8) for x in np.linspace(-0.42, 0.4, draw.integer(8, 16)) * long])
    groove = Solid()
    groove.box("rubber", (4, 44, 3.4), hollow=True)
    solid.add(repeated(groove, grooves))
    _upper(solid, draw.choice(["cloth", "leather"]), sole, thick, thick + draw.uniform(60, 75), draw.uniform(3, 5))
    solid.prism("rubber", shrunk(sole, 9) * 0.98, thick + 1.2, thick + 3.5)
    if draw.chance(0.7):
        _eyelets(draw, solid, long, thick + 55)
    return solid


def _shank(draw: Draw, solid: Solid, long: float, level: float, tilt: float) -> None:
    """The strip of steel in the arch of a sole."""
    shank = Solid()
    shank.box("steel", (draw.uniform(95, 115), draw.uniform(10, 14), 1.1))
    solid.add(shank, at=(-long * 0.16, 0, level), turn=turn("y", tilt))


def _nails(draw: Draw, solid: Solid, long: float) -> None:
    nail = Solid()
    nail.box("steel", (1.4, 1.4, 14), (0, 0, 9))
    spots = [
        (-long * 0.38 + 22 * float(np.cos(a)), 16 * float(np.sin(a)), 0.0)
        for a in np.linspace(0, 5.2, draw.integer(4, 8))
    ]
    solid.add(repeated(nail, spots))


def _leather_shoe(draw: Draw, long: float) -> Solid:
    solid, sole = Solid(), _sole(long) * (1, 0.94)
    heel = draw.uniform(20, 30)
    back = sole[sole[:, 0] < -0.2 * long]
    solid.prism("rubber", back, 0, heel)
    solid.prism(draw.choice(["leather", "rubber"]), sole, heel, heel + draw.uniform(4, 7))
    if draw.chance(0.7):
        _shank(draw, solid, long, heel + 5, 0)
    _nails(draw, solid, long)
    _upper(solid, "leather", sole, heel + 7, heel + draw.uniform(62, 78), draw.uniform(2, 3))
    solid.prism("leather", shrunk(sole, 7), heel + 8.2, heel + 10.5)
    if draw.chance(0.7):
        _eyelets(draw, solid, long, heel + 58)
    else:
        solid.box("brass", (16, 24, 2), (long * 0.05, 20, heel + 58))
        solid.box("brass", (10, 17, 2), (long * 0.05, 20, heel + 58), hollow=True)
    return solid


def _boot(draw: Draw, long: float) -> Solid:
    solid, sole = Solid(), _sole(long)
    heel = draw.uniform(22, 32)
    solid.prism("rubber", sole, 0, heel)
    solid.prism("rubber", shrunk(sole, 14) * (0.9, 0.9), 6, heel - 3, hollow=True)
    _nails(draw, solid, long)
    _shank(draw, solid, long, heel + 1, 0)
    tall = draw.uniform(130, 220)
    _upper(solid, "leather", sole, heel, heel + tall, draw.uniform(2.5, 4), toe=60)
    solid.prism("leather", shrunk(sole, 9), heel + 1.2, heel + 5)
    if draw.chance(0.35):
        cap = sole[sole[:, 0] > 0.26 * long] * 0.95
        solid.prism("steel", cap, heel + 24, heel + 26)
    if draw.chance(0.5):
        path = np.array([(-long * 0.24, 30, heel + 20), (-long * 0.26, 28, heel + tall * 0.9)])
        zip_fastener(draw, solid, path)
    else:
        _eyelets(draw, solid, long, heel + 62)
    return solid


def _high_heel(draw: Draw, long: float) -> Solid:
    """A pump that lies on its side."""
    solid, heel, half = Solid(), draw.uniform(55, 105), long * 0.13
    flat, arch = long * 0.36, long * 0.8
    walk = np.array(
        [
            (0, 3),
            (flat * 0.5, 2),
            (flat, 5),
            (flat + 30, 14 + heel * 0.12),
            (arch - 20, heel * 0.9),
            (arch, heel),
            (arch + 28, heel + 3),
        ]
    )
    solid.prism("leather", ribbon(walk, 5), -half, half)
    vamp = [(2, 5), (flat * 0.4, 34), (flat * 0.8, 44)]
    edge = [(flat + 35, 34 + heel * 0.25), (arch - 10, heel + 28), (arch + 30, heel + 50)]
    side = np.array([*vamp, *edge, *walk[::-1]])
    for low in (-half, half - 1.6):
        solid.prism("leather", side, low, low + 1.6)
    toe = np.array([*vamp, (flat * 0.8, 7), (flat * 0.5, 5)])
    solid.prism("leather", toe, -half + 1.6, half - 1.6)
    solid.prism(
        "leather",
        np.array([(5, 6), (flat * 0.4, 31.5), (flat * 0.8, 41.5), (flat * 0.8, 8)]),
        -half + 2,
        half - 2,
        hollow=True,
    )
    shank = walk[3:6] + np.array([0, 1.5])
    solid.prism("steel", ribbon(shank, 1.2), -6, 6)
    foot, top = (arch + draw.uniform(10, 22), 0.0, 0.0), (arch + 12, heel, 0.0)
    solid.rod("abs", foot, top, draw.uniform(4, 10), sides=8)
    solid.rod("steel", foot, top, draw.uniform(1.6, 2.6), sides=6)
    solid.rod("rubber", (foot[0], -4, 0), foot, 6, sides=8)
    if draw.chance(0.3):
        solid.box("brass", (10, 14, 2), (arch, heel + 30, half + 1))
    centred = Solid()
    centred.add(solid, at=(-long * 0.45, -heel / 2, 0))
    return centred


def _sandal(draw: Draw, long: float) -> Solid:
    solid, sole = Solid(), _sole(long)
    thick = draw.uniform(12, 24)
    solid.prism("rubber", sole, 0, thick)
    solid.prism("rubber", shrunk(sole, 12) * 0.92, 3, thick - 4, hollow=True)
    solid.prism("foam", shrunk(sole, 12) * 0.92, 3, thick - 4)
    strap = (
        [(-0.02, -0.13), (0.1, 0.02), (0.3, 0.01), (0.1, 0.05), (-0.02, 0.13)]
        if draw.chance(0.5)
        else [(0.1, -0.15), (0.12, 0.0), (0.1, 0.15)]
    )
    rise = [4.0, 34.0, 2.0, 34.0, 4.0] if len(strap) == 5 else [4.0, 40.0, 4.0]
    path = np.array([(x * long, y * long, thick + z) for (x, y), z in zip(strap, rise, strict=True)])
    material = draw.choice(["leather", "rubber"])
    for one, other in itertools.pairwise(path):
        solid.rod(material, tuple(one.tolist()), tuple(other.tolist()), 5, sides=6)
    if draw.chance(0.5):
        solid.box("steel", (18, 22, 2), (0, 0.1 * long, thick + 12))
        solid.box("steel", (12, 16, 2), (0, 0.1 * long, thick + 12), hollow=True)
    return solid


# --- belts, bags and the like


def belt(draw: Draw) -> Solid:
    """A belt, wound up on its edge or laid in waves."""
    broad, thick = draw.uniform(26, 40), draw.uniform(2.8, 4.2)
    material = draw.choice(["leather", "leather", "pvc", "cloth"])
    solid = Solid()
    coiled = draw.chance(0.65)
    if coiled:
        turns = draw.uniform(2.6, 4)
        angles = np.linspace(0, 2 * np.pi * turns, round(turns * 16))
        radius = draw.uniform(26, 34) + angles / (2 * np.pi) * (thick + draw.uniform(0.6, 3))
        path = np.column_stack([radius * np.cos(angles), radius * np.sin(angles) * draw.uniform(0.75, 1.0)])
        solid.prism(material, ribbon(path, thick), -broad / 2, broad / 2)
    else:
        along = np.linspace(0, 1, 20)
        sway = draw.uniform(20, 55) * np.sin(along * 2 * np.pi * draw.uniform(0.6, 1.2))
        path = np.column_stack([along * draw.uniform(330, 420), sway])
        solid.prism(material, ribbon(path, broad), -thick / 2, thick / 2)
    end, ahead = path[-1], path[-1] - path[-2]
    facing = turn("z", float(np.rad2deg(np.arctan2(ahead[1], ahead[0]))))
    if coiled:
        facing = facing @ turn("x", 90)
    solid.add(_buckle(draw, broad), at=(float(end[0]), float(end[1]), 0), turn=facing)
    return solid


def _buckle(draw: Draw, broad: float) -> Solid:
    """A buckle along +x, flat in the plane."""
    buckle, metal = Solid(), draw.choice(["steel", "brass"], [2, 1])
    if draw.chance(0.7):
        long, bar = broad * draw.uniform(0.9, 1.3), draw.uniform(1.8, 2.8)
        frame = lifted(rounded(long, broad + 10, draw.uniform(3, 14), centre=(long / 2, 0)))
        buckle.tube(metal, frame, bar, sides=6, closed=True)
        buckle.rod(metal, (2, 0, 3), (long + 2, 0, 3), 1.8, sides=6)
        buckle.rod(metal, (2, -broad / 2, 0), (2, broad / 2, 0), 1.8, sides=6)
    else:
        long = draw.uniform(38, 48)
        tray(buckle, metal, rounded(long, broad + 5, 4, centre=(long / 2, 0)), 0, 8, 1.2)
        buckle.rod("steel", (8, -broad / 2, 4), (8, broad / 2, 4), 2.2, sides=6)
        buckle.box("steel", (10, 14, 3), (long - 12, 0, 4))
    return buckle


def hat(draw: Draw) -> Solid:
    """A cap with a peak, or a knitted hat."""
    solid = Solid()
    wide, long = draw.uniform(150, 165), draw.uniform(180, 200)
    outline = disc(0.5, sides=16) * (long, wide)
    if draw.chance(0.5):
        high = draw.uniform(70, 100)
        solid.loft("cloth", [(0, outline), (high * 0.6, outline * 0.9), (high, outline * 0.4)], alike=True)
        solid.loft(
            "cloth", [(0, outline * 0.97), (high * 0.6, outline * 0.87), (high - 4, outline * 0.38)], hollow=True
        )
        peak = np.concatenate(
            [arc(78, -75, 75, 9, centre=(long * 0.5 - 30, 0)), arc(60, 60, -60, 6, centre=(long * 0.5 - 48, 0))]
        )
        solid.prism("polyethylene", peak, 0, 2)
        solid.prism("cloth", peak, 2, 4)
        solid.prism("brass", disc(6, sides=8), high, high + 3)
        solid.box("brass", (3, 22, 12), (-long / 2, 0, 10))
    else:
        cushion(solid, "cloth", wobbly(draw, long, wide, squareness=0.4), 0, 14)
        cushion(solid, "cloth", wobbly(draw, long * 0.5, wide, squareness=0.7) - np.array([long * 0.25, 0]), 14, 24)
        if draw.chance(0.4):
            solid.ball("cloth", 26, (long * 0.55, 0, 12))
    return solid


def bag(draw: Draw) -> Solid:
    """A purse with cards and coins, or a small bag with what it holds."""
    return _purse(draw) if draw.chance(0.5) else _wash_bag(draw)


def _purse(draw: Draw) -> Solid:
    solid = Solid()
    long, deep = (
        (draw.uniform(105, 122), draw.uniform(85, 98))
        if draw.chance(0.6)
        else (draw.uniform(185, 205), draw.uniform(90, 105))
    )
    leaves = draw.integer(3, 5)
    each, level = draw.uniform(1.2, 2.0), 0.0
    for number in range(leaves):
        solid.prism("leather", rounded(long - number % 2 * 6, deep - number % 2 * 4, 6), level, level + each)
        level += each
        for _ in range(draw.integer(0, 3)):
            at = (draw.uniform(-0.5, 0.5) * (long - 90), draw.uniform(-0.5, 0.5) * (deep - 62), level + 0.4)
            solid.box("pvc", (85.6, 54, 0.8), at)
            solid.box("copper", (12, 11, 0.25), (at[0] - 28, at[1] + 4, at[2]))
            level += 0.85
    if draw.chance(0.6):
        solid.box("paper", (long * 0.9, 66, draw.uniform(0.5, 2)), (0, 0, level + 1))
        level += 2
    if draw.chance(0.6):
        for _ in range(draw.integer(2, 9)):
            centre = (draw.uniform(-0.35, 0.0) * long, draw.uniform(-0.3, 0.3) * deep)
            solid.prism(
                draw.choice(["copper", "brass"]),
                disc(draw.uniform(8, 13), centre=centre, sides=12),
                level,
                level + draw.uniform(1.4, 2.3),
            )
            level += 0.6
    level += 2.4
    solid.prism("leather", rounded(long, deep, 6), level, level + each)
    if draw.chance(0.5):
        stud = Solid()
        stud.prism("brass", disc(6.5, sides=10), 0, 2.4)
        solid.add(stud, at=(long * 0.38, 0, level + each))
    if draw.chance(0.4):
        zip_fastener(draw, solid, np.array([(-long * 0.45, deep / 2 - 3, level), (long * 0.45, deep / 2 - 3, level)]))
    return solid


def _wash_bag(draw: Draw) -> Solid:
    """A small bag of cosmetics."""
    solid = Solid()
    width, depth, height = draw.uniform(210, 270), draw.uniform(140, 180), draw.uniform(60, 85)
    outline = rounded(width, depth, 30)
    material, wall = draw.choice([("cloth", 2.5), ("pvc", 0.6), ("leather", 1.4)])
    tray(solid, material, outline, 0, height, wall)
    makers = [
        draw.choice([cosmetic, cosmetic, cosmetic, nail_polish, lighter, cable]) for _ in range(draw.integer(3, 5))
    ]
    y = -depth / 2 + 8.0
    for maker in makers:
        item = maker(draw)
        low, high = item.mesh().extent()
        middle, size = (low + high) / 2, high - low
        if size[0] > width - 16 or y + size[1] > depth / 2 - 4 or size[2] > height - 6:
            continue
        slack = (width - 16 - size[0]) / 2
        shift = np.array([draw.uniform(-1, 1) * slack, y + size[1] / 2, 3 + size[2] / 2]) - middle
        solid.add(item, at=tuple(shift.tolist()))
        y += float(size[1]) + 4
    edge = rounded(width - 8, depth - 8, 28)[:9]
    zip_fastener(draw, solid, lifted(edge, height * 0.8))
    return solid


def towel(draw: Draw) -> Solid:
    """A folded towel or a blanket."""
    solid = Solid()
    _layers(draw, solid, (draw.uniform(220, 330), draw.uniform(160, 260), draw.uniform(30, 80)), draw.integer(4, 7))
    return solid


def hanger(draw: Draw) -> Solid:
    """A clothes hanger of wire, wood or plastic."""
    solid = Solid()
    half, drop = draw.uniform(195, 220), draw.uniform(75, 110)
    hook = smoothed([(0, -5, 0), (0, 24, 0), (24, 34, 0), (20, 64, 0), (-14, 66, 0), (-24, 44, 0)])
    if draw.chance(0.4):
        outline = np.array(
            [(0, 0, 0), (half, -drop, 0), (half - 8, -drop - 8, 0), (-half + 8, -drop - 8, 0), (-half, -drop, 0)]
        )
        solid.tube("steel", outline, 1.2, closed=True, sides=5)
        solid.tube("steel", hook, 1.2, sides=5)
    else:
        material, thick = draw.choice([("wood", 12.0), ("abs", 7.0)])
        arm = np.array(
            [
                (0, 12),
                (half, -drop + 14),
                (half, -drop - 6),
                (half - 20, -drop - 4),
                (0, -14),
                (-half + 20, -drop - 4),
                (-half, -drop - 6),
                (-half, -drop + 14),
            ]
        )
        solid.prism(material, arm, -thick / 2, thick / 2)
        solid.tube("steel", hook, 1.7, sides=6)
        if draw.chance(0.6):
            solid.rod(material, (-half + 12, -drop, 0), (half - 12, -drop, 0), 5.5, sides=8)
    return solid


def sewing_kit(draw: Draw) -> Solid:
    """A box of thread, buttons and safety pins."""
    solid = Solid()
    tray(solid, "polyethylene", rounded(95, 62, 6), 0, 19, 1.2)
    for number in range(draw.integer(3, 6)):
        x = -36 + number * 13.0
        solid.rod("paper", (x, -8, 8), (x, 20, 8), 5, wall=1.5, sides=8)
        solid.rod("cloth", (x, -6, 8), (x, 18, 8), 5.9, wall=1.2, sides=8)
    _buttons(draw, solid, (-34, -20, 3), (17, draw.uniform(-2, 2), 0), draw.integer(2, 4))
    pin = Solid()
    bend = np.array([(0, 0, 0), (26, 0, 0), (30, 2.5, 0), (26, 5, 0), (2, 4, 0)])
    for one, other in itertools.pairwise(bend):
        pin.rod("steel", tuple(one.tolist()), tuple(other.tolist()), 0.6, sides=4)
    turns = np.stack([turn("z", draw.uniform(-40, 40)) for _ in range(3)])
    solid.add(
        repeated(pin, [(draw.uniform(-10, 15), -22.0 + 2 * number, 10.0 + 2 * number) for number in range(3)], turns)
    )
    return solid


FAMILIES: tuple[Family, ...] = (
    Family("clothes", clothes, grain=0.5, weight=26),
    Family("textiles", towel, grain=0.35, weight=2),
    Family("shoes", shoes, grain=0.1, weight=7),
    Family("belt", belt, weight=2.5),
    Family("bag", bag, weight=3),
    Family("hat", hat, grain=0.2),
    Family("hanger", hanger, weight=0.5),
    Family("sewing_kit", sewing_kit, weight=0.4),
)
"""Clothes and accessories."""
