"""Bottles, cans and flasks, and what they hold."""

from __future__ import annotations

import numpy as np

from xray_training.simulator.draw import Draw
from xray_training.simulator.objects.cosmetics import cosmetic, nail_polish
from xray_training.simulator.objects.family import Family
from xray_training.simulator.objects.forms import (
    filled,
    inset,
    laid,
    screw_cap,
    shell,
    shoulder,
    tray,
)
from xray_training.simulator.objects.pressurised import fuel_canister, lighter, pressure_vessel, spray_can
from xray_training.simulator.solids import Solid, arc, disc, rounded, turn


def bottle(draw: Draw) -> Solid:
    """A plastic bottle for drinks, disposable or for sport."""
    return _drink_bottle(draw) if draw.chance(0.75) else _sport_bottle(draw)


def _drink_bottle(draw: Draw) -> Solid:
    large = draw.chance(0.25)
    radius = draw.uniform(40, 47) if large else draw.uniform(29, 35)
    long = draw.uniform(270, 330) if large else draw.uniform(175, 235)
    neck = long - draw.uniform(18, 24)
    rise = neck - draw.uniform(1.0, 1.8) * radius
    waist = draw.uniform(0.86, 1.0)
    middle = rise * draw.uniform(0.4, 0.65)
    profile = [
        (0.0, radius * 0.78),
        (6.0, radius),
        (middle - 18, radius),
        (middle, radius * waist),
        (middle + 18, radius),
    ]
    profile += [(rise, radius), *shoulder(rise, neck, radius, 13.0), (long, 13.0)]
    solid = Solid()
    room = shell(solid, "polyethylene", profile, draw.uniform(0.35, 0.6))
    if not draw.chance(0.08):
        filled(draw, solid, draw.choice(["water", "ethanol"], [9, 1]), room)
    screw_cap(solid, "polyethylene", neck + 4, long + 1.5, 15.2, 1.9)
    solid.rod("polyethylene", (neck, 0, 0), (neck + 2, 0, 0), 17, sides=10)
    return solid


def _sport_bottle(draw: Draw) -> Solid:
    radius, long = draw.uniform(32, 38), draw.uniform(170, 230)
    grip = long * draw.uniform(0.55, 0.7)
    profile = [
        (0.0, radius * 0.95),
        (5.0, radius),
        (grip - 14, radius),
        (grip, radius * 0.82),
        (grip + 14, radius),
        (long, radius),
    ]
    solid = Solid()
    metal = draw.chance(0.3)
    room = shell(solid, "aluminium" if metal else "polyethylene", profile, 0.9 if metal else draw.uniform(1.2, 2))
    if draw.chance(0.7):
        filled(draw, solid, "water", room)
    solid.lathe("polyethylene", [(long, radius + 1.5), (long + 16, radius + 1), (long + 22, radius * 0.5)], sides=12)
    solid.lathe(
        "polyethylene",
        [(long + 0.5, radius - 1), (long + 13, radius - 1.5), (long + 19, radius * 0.4)],
        sides=12,
        hollow=True,
    )
    solid.rod("polyethylene", (long + 22, 0, 0), (long + 42, 0, 0), 9, wall=2, sides=10)
    return solid


def glass_bottle(draw: Draw) -> Solid:
    """A glass bottle: wine, beer, spirits or perfume."""
    return draw.choice([_wine_bottle, _beer_bottle, _flat_bottle, _perfume], [3, 2, 2, 3])(draw)


def _wine_bottle(draw: Draw) -> Solid:
    radius, long = draw.uniform(36, 42), draw.uniform(285, 325)
    rise, neck = long * draw.uniform(0.55, 0.64), long * draw.uniform(0.7, 0.76)
    profile = [(0.0, radius * 0.9), (5.0, radius), (rise, radius), *shoulder(rise, neck, radius, 14.5), (long, 14.0)]
    solid = Solid()
    wall = draw.uniform(2.6, 3.6)
    room = shell(solid, "glass", profile, wall, base=draw.uniform(6, 14))
    punt = draw.uniform(12, 30)
    solid.lathe("glass", [(room[0][0], radius * 0.62), (room[0][0] + punt, radius * 0.2)], sides=10)
    filled(draw, solid, draw.choice(["water", "ethanol"], [3, 1]), room, full=0.85)
    solid.rod(draw.choice(["wood", "aluminium"]), (long - 42, 0, 0), (long + 0.5, 0, 0), 10.8, sides=10)
    solid.rod(
        draw.choice(["pvc", "aluminium", "tin"], [3, 3, 1]),
        (long - 45, 0, 0),
        (long + 0.5, 0, 0),
        15.0,
        wall=0.2,
        sides=10,
    )
    return solid


def _beer_bottle(draw: Draw) -> Solid:
    radius, long = draw.uniform(29, 33), draw.uniform(180, 245)
    rise, neck = long * draw.uniform(0.5, 0.6), long * draw.uniform(0.7, 0.8)
    profile = [(0.0, radius * 0.92), (4.0, radius), (rise, radius), *shoulder(rise, neck, radius, 14.0), (long, 12.5)]
    solid = Solid()
    room = shell(solid, "glass", profile, draw.uniform(2.2, 3.0), base=draw.uniform(4, 7))
    filled(draw, solid, "water", room, full=0.8)
    screw_cap(solid, "steel", long - 5, long, 14, 0.3)
    return solid


def _flat_bottle(draw: Draw) -> Solid:
    """A flat bottle of spirits; it stands along x."""
    width, depth, long = draw.uniform(70, 100), draw.uniform(32, 50), draw.uniform(120, 190)
    body, wall = Solid(), draw.uniform(2.8, 4)
    outline = rounded(width, depth, depth * draw.uniform(0.25, 0.5))
    neck = disc(13, sides=16) @ turn("z", 11.25)[:2, :2].T
    body.loft("glass", [(0, outline), (long, outline), (long + 18, neck), (long + 45, neck)])
    inner, bore = inset(outline, wall), neck * 0.76
    body.loft("glass", [(7, inner), (long, inner), (long + 18, bore), (long + 45, bore)], hollow=True)
    level = long * draw.uniform(0.4, 1)
    body.prism("ethanol", inner * 0.995, 7, level)
    body.rod("aluminium", (0, 0, long + 28), (0, 0, long + 48), 15, wall=0.5, sides=10)
    body.rod("abs", (0, 0, long + 44), (0, 0, long + 48), 14, sides=10)
    return laid(body)


def _perfume(draw: Draw) -> Solid:
    """A bottle of perfume: thick glass, pump and dip tube."""
    high = draw.uniform(55, 85)
    width, depth = draw.uniform(40, 65), draw.uniform(22, 34)
    outline = draw.choice([rounded(width, depth, 3), rounded(width, depth, 12), disc(depth * 0.75)])
    body, wall = Solid(), draw.uniform(3, 6)
    body.prism("glass", outline, 0, high)
    inner = inset(outline, wall)
    body.prism("glass", inner, draw.uniform(6, 14), high - wall, hollow=True)
    body.prism("ethanol", inner * 0.99, 14, max(16.0, high * draw.uniform(0.3, 0.9) - wall))
    body.rod("polyethylene", (0, 0, 15), (2, 1, high), 1.4, wall=0.4, sides=6)
    body.rod("aluminium", (0, 0, high), (0, 0, high + 8), 8.5, wall=0.5, sides=10)
    body.rod("steel", (0, 0, high - 6), (0, 0, high + 8), 2.2, wall=0.5, sides=6)
    body.rod("abs", (0, 0, high + 8), (0, 0, high + 16), 6.5, sides=10)
    cap, stuff = rounded(draw.uniform(20, 30), draw.uniform(20, 26), 6), draw.choice(["abs", "aluminium"])
    body.prism(stuff, cap, high + 2, high + 34)
    body.prism(stuff, inset(cap, 1 if stuff == "aluminium" else 3), high + 2, high + 31, hollow=True)
    return laid(body)


def can(draw: Draw) -> Solid:
    """A drinks can or a food tin."""
    return draw.choice([_drinks_can, _food_tin, _flat_tin], [3, 2, 1])(draw)


def _drinks_can(draw: Draw) -> Solid:
    radius, long = draw.choice([(33.0, 115.0), (33.0, 168.0), (26.3, 134.0), (29.0, 146.0)])
    profile = [(0.0, radius * 0.72), (7.0, radius), (long - 11, radius), (long, radius * 0.82)]
    solid = Solid()
    room = shell(solid, "aluminium", profile, 0.12, base=0.3, sides=14)
    if draw.chance(0.93):
        filled(draw, solid, "water", room, full=0.9)
    solid.rod("aluminium", (0, 0, 0), (3, 0, 0), radius * 0.72, wall=0.8)
    solid.rod("aluminium", (long - 2, 0, 0), (long + 2, 0, 0), radius * 0.82, wall=0.9)
    tab = Solid()
    tab.prism("aluminium", rounded(25, 15, 7), 0, 0.6)
    solid.add(tab, at=(long + 0.6, 0, 3), turn=turn("y", 90))
    return solid


def _food_tin(draw: Draw) -> Solid:
    radius, long = draw.choice([(37.0, 109.0), (36.5, 82.0), (42.5, 112.0), (33.0, 60.0)])
    ribs = np.linspace(long * 0.22, long * 0.78, 6)
    profile = (
        [(0.0, radius)] + [(float(x), radius - (0.9 if i % 2 else 0.0)) for i, x in enumerate(ribs)] + [(long, radius)]
    )
    solid = Solid()
    room = shell(solid, "steel", profile, 0.22, sides=14)
    filled(draw, solid, "water", room, full=0.95)
    for x in (0.0, long - 3):
        solid.rod("steel", (x, 0, 0), (x + 3, 0, 0), radius + 1.2, wall=1.1)
    return solid


def _flat_tin(draw: Draw) -> Solid:
    solid = Solid()
    outline = draw.choice([rounded(106, 60, 16), disc(42, sides=16), rounded(115, 82, 14)])
    high = draw.uniform(22, 36)
    tray(solid, draw.choice(["steel", "aluminium"], [2, 1]), outline, 0, high, 0.24)
    solid.prism("water", inset(outline, 0.6), 0.5, high - 2)
    rim = inset(outline, 1.0)
    solid.prism("steel", outline, high, high + 2)
    solid.prism("steel", rim, high, high + 2, hollow=True)
    solid.prism("aluminium", rounded(22, 14, 7, centre=(float(outline[:, 0].max()) - 18, 0)), high + 0.2, high + 0.9)
    return solid


def carton(draw: Draw) -> Solid:
    """A carton of juice or milk."""
    width, depth, long = draw.choice(
        [(70.0, 70.0, 195.0), (90.0, 60.0, 165.0), (48.0, 38.0, 118.0), (62.0, 40.0, 86.0)]
    )
    body, wall = Solid(), draw.uniform(0.45, 0.6)
    body.box("paper", (width, depth, long), (0, 0, long / 2))
    body.box("paper", (width - 2 * wall, depth - 2 * wall, long - 2 * wall), (0, 0, long / 2), hollow=True)
    low, high = wall, long * draw.uniform(0.35, 0.97)
    body.box("water", (width - 2.4 * wall, depth - 2.4 * wall, high - low), (0, 0, (low + high) / 2))
    if depth > 50 and draw.chance(0.5):
        ridge = [(-width / 2, -0.8), (width / 2, -0.8), (width / 2, 0.8), (-width / 2, 0.8)]
        base = [(-width / 2, -depth / 2), (width / 2, -depth / 2), (width / 2, depth / 2), (-width / 2, depth / 2)]
        body.loft("paper", [(long, base), (long + depth * 0.4, ridge), (long + depth * 0.4 + 14, ridge)])
        inner = [np.asarray(base) * 0.96, np.asarray(ridge) * (0.96, 0.2)]
        body.loft("paper", [(long, inner[0]), (long + depth * 0.38, inner[1])], hollow=True)
        cap = (0.0, depth * 0.28, long + depth * 0.2)
    else:
        body.box("paper", (width, 12, 1.2), (0, 0, long + 0.6))
        cap = (width * 0.2, depth * 0.15, long)
    if depth > 50:
        body.rod("polyethylene", cap, (cap[0], cap[1] + 3, cap[2] + 14), 14, wall=2.4, sides=10)
    else:
        body.rod(
            "polyethylene",
            (-width * 0.3, depth / 2 + 2, 8),
            (width * 0.25, depth / 2 + 2, long * 0.85),
            2.2,
            wall=0.3,
            sides=6,
        )
    return laid(body)


def vacuum_flask(draw: Draw) -> Solid:
    """A vacuum flask or an insulated mug: two walls of steel."""
    radius, long = draw.uniform(31, 41), draw.uniform(175, 285)
    mouth = radius * draw.choice([0.55, 0.7, 0.92])
    rise = long * draw.uniform(0.72, 0.82)
    solid, wall, gap = Solid(), draw.uniform(0.4, 0.6), draw.uniform(3, 5)
    outer = [
        (0.0, radius * 0.95),
        (5.0, radius),
        (rise, radius),
        *shoulder(rise, long - 20, radius, mouth),
        (long, mouth),
    ]
    shell(solid, "steel", outer, wall, sides=14)
    places, radii = zip(*outer, strict=True)
    inside = [
        (x, max(float(np.interp(x, places, radii)) - gap, 5.0))
        for x in (9.0, 14.0, rise - 2, (rise + long - 20) / 2, long - 2)
    ]
    room = shell(solid, "steel", inside, wall, sides=14)
    if draw.chance(0.6):
        filled(draw, solid, "water", room)
    solid.rod("steel", (0.8, 0, 0), (2.4, 0, 0), radius * 0.45, sides=10)
    solid.rod("polyethylene", (long - 26, 0, 0), (long + 3, 0, 0), mouth - gap - 1, wall=3, sides=10)
    solid.rod("rubber", (long - 24, 0, 0), (long - 20, 0, 0), mouth - gap - 0.5, sides=10)
    _flask_top(draw, solid, long, max(mouth + 3, radius * draw.uniform(0.75, 1.0)))
    return solid


def _flask_top(draw: Draw, solid: Solid, long: float, radius: float) -> None:
    high = draw.uniform(22, 55)
    if draw.chance(0.6):
        shell(
            solid,
            draw.choice(["steel", "abs"]),
            [(long + 3, radius), (long + high - 4, radius * 0.95), (long + high, radius * 0.85)],
            0.8,
        )
        shell(solid, "abs", [(long + 4, radius - 1.2), (long + high - 5, radius * 0.95 - 1.5)], 1.4)
    else:
        shell(solid, "abs", [(long + 1, radius), (long + 18, radius), (long + 24, radius * 0.7)], 2.2)
        loop = np.column_stack(
            [long + 22 + 18 * np.sin(np.linspace(0, np.pi, 7)), 20 * np.cos(np.linspace(0, np.pi, 7)), np.zeros(7)]
        )
        solid.tube("abs", loop, 4)
    if draw.chance(0.25):
        handle = np.column_stack(
            [long * 0.45 + arc(long * 0.22, 180, 0, 8)[:, 0], radius + arc(30, 180, 0, 8)[:, 1], np.zeros(8)]
        )
        solid.tube("abs", handle, 6)


FAMILIES: tuple[Family, ...] = (
    Family("bottle", bottle, weight=5),
    Family("glass_bottle", glass_bottle, weight=2.5),
    Family("can", can, weight=2),
    Family("carton", carton, weight=1.2),
    Family("vacuum_flask", vacuum_flask, weight=1.5),
    Family("cosmetic", cosmetic, weight=9),
    Family("nail_polish", nail_polish, weight=1.5),
    Family("spray_can", spray_can, weight=2),
    Family("fuel_canister", fuel_canister),
    Family("pressure_vessel", pressure_vessel),
    Family("lighter", lighter, weight=1.5),
)
"""Vessels and their contents."""
