"""Gas under pressure, fuel and lighters."""

from __future__ import annotations

import numpy as np

from xray_training.simulator.draw import Draw
from xray_training.simulator.objects.forms import (
    Profile,
    filled,
    inset,
    laid,
    shell,
    shoulder,
    tray,
)
from xray_training.simulator.solids import Solid, rounded, turn


def spray_can(draw: Draw) -> Solid:
    """An aerosol can with its valve, dip tube and cap."""
    radius, long = draw.choice(
        [(22.5, 120.0), (17.5, 95.0), (26.0, 155.0), (32.5, 165.0), (26.0, 200.0), (22.5, 160.0)]
    )
    long *= draw.uniform(0.92, 1.08)
    paint = draw.chance(0.2)
    material, wall = (
        ("steel", draw.uniform(0.2, 0.28)) if paint or draw.chance(0.5) else ("aluminium", draw.uniform(0.35, 0.5))
    )
    solid = Solid()
    rise = 0.35 * radius
    profile = [(0.0, radius), (long, radius), *shoulder(long, long + rise, radius, radius * 0.5)]
    room = shell(solid, material, profile, wall, sides=14)
    solid.lathe(
        material, [(0.0, radius - wall), (radius * 0.18, radius * 0.6), (radius * 0.26, radius * 0.2)], sides=12
    )
    solid.lathe(material, [(0.0, radius - 2.5 * wall), (radius * 0.18 - wall, radius * 0.57)], sides=12, hollow=True)
    solid.rod(material, (-0.8, 0, 0), (2.2, 0, 0), radius + 0.8, wall=0.8 + wall)
    solid.rod(material, (long - 1.5, 0, 0), (long + 1.5, 0, 0), radius + 0.7, wall=0.7)
    room = [(max(room[0][0], radius * 0.24), room[0][1]), *room[1:]]
    filled(draw, solid, draw.choice(["ethanol", "water", "butane"], [3, 3, 1]), room, full=0.15)
    if paint or draw.chance(0.1):
        ball = Solid()
        ball.ball(draw.choice(["steel", "glass"], [2, 1]), draw.uniform(3.5, 6))
        solid.add(ball, at=(draw.uniform(0.2, 0.7) * long, 0, -radius + 7.5))
    _valve(draw, solid, (long, rise), radius)
    return solid


def _valve(draw: Draw, solid: Solid, top: tuple[float, float], radius: float) -> None:
    """Valve cup, stem with its spring housing, dip tube and cap of an aerosol."""
    long, rise = top
    end = long + rise
    solid.rod("steel", (end - 1, 0, 0), (end + 4, 0, 0), min(12.7, radius * 0.55), wall=1.4, sides=12)
    solid.rod("steel", (end - 3, 0, 0), (end - 2, 0, 0), min(11.0, radius * 0.5), sides=12)
    solid.rod("polyethylene", (end - 18, 0, 0), (end + 8, 0, 0), 4.5, wall=1.6, sides=8)
    solid.rod("steel", (end - 15, 0, 0), (end - 5, 0, 0), 2.2, wall=0.5, sides=6)
    bend = radius * 0.6
    dip = np.array([(6, bend, -bend * 0.4), (long * 0.5, bend * 0.4, 0), (end - 18, 0, 0)])
    solid.tube("polyethylene", dip, 1.9, sides=6)
    solid.tube("polyethylene", dip, 1.2, sides=6, hollow=True)
    solid.rod("abs", (end + 8, 0, 0), (end + 16, 0, 0), 6.5, sides=8)
    wide = radius if draw.chance(0.6) else radius * 0.8
    shell(solid, "polyethylene", [(long + 2, wide), (end + 22, wide * 0.98), (end + 26, wide * 0.85)], 1.1)


def fuel_canister(draw: Draw) -> Solid:
    """Camping gas, a fuel bottle, a petrol can or a tin of lighter fluid."""
    return draw.choice([_camping_gas, _long_cartridge, _fuel_bottle, _petrol_can, _fluid_tin], [4, 2, 2, 2, 1])(draw)


def _camping_gas(draw: Draw) -> Solid:
    radius, high = draw.choice([(45.0, 68.0), (54.0, 92.0), (54.0, 130.0)])
    solid, wall = Solid(), 0.45
    profile = [
        (0.0, radius * 0.85),
        (9.0, radius),
        (high * 0.62, radius),
        (high * 0.82, radius * 0.86),
        (high * 0.95, radius * 0.5),
        (high, 14.0),
    ]
    room = shell(solid, "steel", profile, wall, sides=16)
    filled(draw, solid, "butane", room, full=0.1)
    solid.rod("steel", (0, 0, 0), (5, 0, 0), radius * 0.86, wall=1.2, sides=16)
    solid.rod("steel", (high, 0, 0), (high + 7, 0, 0), 12, wall=2.4, sides=10)
    solid.rod("brass", (high - 10, 0, 0), (high + 3, 0, 0), 3.4, sides=8)
    solid.rod("rubber", (high - 2, 0, 0), (high, 0, 0), 9, sides=8)
    if draw.chance(0.5):
        shell(solid, "polyethylene", [(high - 4, 18), (high + 14, 18)], 1.5)
    return solid


def _long_cartridge(draw: Draw) -> Solid:
    solid = Solid()
    room = shell(solid, "steel", [(0, 33.5), (180, 33.5), (190, 24), (196, 14)], 0.28, sides=14)
    filled(draw, solid, "butane", room, full=0.1)
    solid.rod("steel", (-1, 0, 0), (2, 0, 0), 34.5, wall=1)
    solid.rod("steel", (178, 0, 0), (183, 0, 0), 36, wall=1.6)
    solid.rod("steel", (190, 0, 0), (200, 0, 0), 12.5, wall=1.2, sides=10)
    solid.rod("brass", (182, 0, 0), (206, 0, 0), 3, wall=1.2, sides=8)
    shell(solid, "polyethylene", [(197, 30), (220, 27)], 1.2)
    return solid


def _fuel_bottle(draw: Draw) -> Solid:
    radius, long = draw.uniform(35, 39), draw.uniform(180, 250)
    solid = Solid()
    profile = [
        (0.0, radius * 0.9),
        (6.0, radius),
        (long - 42, radius),
        *shoulder(long - 42, long - 14, radius, 15.0),
        (long, 15.0),
    ]
    room = shell(solid, "aluminium", profile, draw.uniform(1.0, 1.6))
    filled(draw, solid, "ethanol", room, full=0.3)
    solid.rod("abs", (long - 8, 0, 0), (long + 16, 0, 0), 19, wall=3.5, sides=10)
    solid.rod("brass", (long - 6, 0, 0), (long + 10, 0, 0), 8, wall=2, sides=8)
    return solid


def _petrol_can(draw: Draw) -> Solid:
    """A small can with a grip and a spout; it lies on its broad side."""
    long, width, depth = draw.uniform(200, 270), draw.uniform(150, 200), draw.uniform(70, 110)
    metal = draw.chance(0.35)
    material, wall = ("steel", 0.8) if metal else ("polyethylene", draw.uniform(2, 3))
    solid = Solid()
    outline = rounded(long, width, 25)
    tray(solid, material, outline, -depth / 2, depth / 2, wall)
    hold = rounded(long * 0.2, width * 0.5, 14, centre=(long * 0.3, -width * 0.08))
    level = draw.uniform(-0.4, 0.45) * depth
    inside = inset(outline, wall + 0.1)
    solid.prism("ethanol", inside, -depth / 2 + wall, level)
    solid.prism("ethanol", hold, -depth / 2 + wall, level, hollow=True)
    solid.prism(material, hold, -depth / 2, -depth / 2 + wall, hollow=True)
    solid.prism(material, hold, depth / 2 - wall, depth / 2, hollow=True)
    rim = inset(hold, wall)
    solid.prism(material, hold, -depth / 2, depth / 2)
    solid.prism(material, rim, -depth / 2, depth / 2, hollow=True)
    spout = (long / 2 - 4, width * 0.34, 0.0)
    solid.rod(material, spout, (long / 2 + 34, width * 0.42, 0), 21, wall=max(wall, 1.5), sides=10)
    solid.rod("abs", (long / 2 + 26, width * 0.41, 0), (long / 2 + 44, width * 0.44, 0), 24, wall=3, sides=10)
    return solid


def _fluid_tin(draw: Draw) -> Solid:
    body, high = Solid(), draw.uniform(105, 150)
    outline = rounded(62, 30, 9)
    tray(body, draw.choice(["steel", "polyethylene"]), outline, 0, high, 0.3)
    body.prism("ethanol", inset(outline, 0.5), 0.5, high * draw.uniform(0.3, 0.92))
    for low in (0.0, high - 2):
        body.prism("steel", outline, low, low + 2)
        body.prism("steel", inset(outline, 1), low, low + 2, hollow=True)
    body.rod("polyethylene", (15, 0, high), (15, 0, high + 14), 7, wall=2, sides=8)
    return laid(body)


def pressure_vessel(draw: Draw) -> Solid:
    """A gas cylinder: thick walls, domed ends, a brass valve."""
    return draw.choice([_cylinder, _gas_capsules, _extinguisher], [4, 2, 2])(draw)


def _domed(long: float, radius: float, neck: float) -> Profile:
    """The outside of a cylinder with a rounded foot and a shoulder."""
    foot = [(radius * 0.5 * (1 - float(np.cos(a))), radius * float(np.sin(a))) for a in np.deg2rad([12, 40, 65, 90])]
    return [*foot, (long - radius, radius), *shoulder(long - radius, long - 6, radius, neck, 4), (long, neck)]


def _cylinder(draw: Draw) -> Solid:
    radius, long = draw.uniform(28, 56), draw.uniform(200, 380)
    steel = draw.chance(0.5)
    solid = Solid()
    wall = radius * (draw.uniform(0.05, 0.07) if steel else draw.uniform(0.1, 0.14))
    shell(
        solid, "steel" if steel else "aluminium", _domed(long, radius, radius * 0.36), wall, base=wall * 1.5, sides=16
    )
    solid.rod("brass", (long - 18, 0, 0), (long + 34, 0, 0), 9, wall=5.5, sides=10)
    solid.rod("brass", (long + 18, 0, 0), (long + 18, draw.uniform(24, 34), 0), 7, wall=4, sides=8)
    solid.rod("steel", (long + 30, 0, 0), (long + 44, 0, 0), 3, sides=6)
    knob = draw.choice(["abs", "aluminium"])
    solid.rod(knob, (long + 44, 0, 0), (long + 56, 0, 0), draw.uniform(14, 22), wall=7, sides=10)
    if draw.chance(0.6):
        gauge = draw.uniform(17, 24)
        place = long + 18
        solid.rod("steel", (place, -34, -6), (place, -34, 6), gauge, wall=1.2, sides=14)
        solid.rod("glass", (place, -34, 5), (place, -34, 7), gauge - 1.5, sides=12)
        solid.rod("brass", (place, -20, 0), (place, -6, 0), 4, sides=6)
    return solid


def _gas_capsules(draw: Draw) -> Solid:
    """Small steel capsules of gas, as for soda or bicycle tyres."""
    solid = Solid()
    radius, long = draw.choice([(9.2, 66.0), (9.2, 83.0), (11.0, 88.0)])
    count = draw.integer(1, 8)
    for number in range(count):
        capsule = Solid()
        profile = [
            (0.0, radius * 0.35),
            (2.5, radius * 0.8),
            (6.0, radius),
            (long - 20, radius),
            (long - 11, radius * 0.45),
            (long, radius * 0.4),
        ]
        room = shell(capsule, "steel", profile, 1.3, sides=10)
        if draw.chance(0.7):
            capsule.lathe(
                "butane", [(room[0][0], radius * 0.3), (7, radius - 1.6), (long * 0.5, radius - 1.6)], sides=8
            )
        y = (number - (count - 1) / 2) * radius * 2.3
        solid.add(capsule, at=(-long / 2 + draw.uniform(-6, 6), y, 0), turn=turn("z", draw.choice([0.0, 4.0, -5.0])))
    return solid


def _extinguisher(draw: Draw) -> Solid:
    """A small fire extinguisher."""
    radius, long = draw.uniform(32, 44), draw.uniform(220, 300)
    solid = Solid()
    room = shell(solid, "steel", _domed(long, radius, 14), draw.uniform(1.0, 1.5), sides=16)
    filled(draw, solid, "ammonium_nitrate", room, full=0.2)
    solid.rod("brass", (long - 6, 0, 0), (long + 26, 0, 0), 12, wall=6, sides=10)
    solid.rod("polyethylene", (16, 0, 0), (long - 6, 0, 0), 4, wall=1.5, sides=6)
    lever = Solid()
    lever.box("steel", (70, 20, 1.6), (24, 0, 0))
    lever.box("steel", (70, 1.6, 8), (24, 10, -3))
    for lean, rise in ((14, 24), (-6, 10)):
        solid.add(lever, at=(long + rise, 6, 0), turn=turn("z", 90 + lean))
    solid.rod("brass", (long + 14, -28, 0), (long + 14, -4, 0), 4, sides=6)
    solid.rod("steel", (long + 14, -32, -4), (long + 14, -32, 4), 14, wall=1, sides=12)
    return solid


def lighter(draw: Draw) -> Solid:
    """A lighter: disposable, with a jet, or a steel petrol one."""
    return draw.choice([_disposable_lighter, _jet_lighter, _petrol_lighter], [6, 2, 2])(draw)


def _disposable_lighter(draw: Draw) -> Solid:
    body = Solid()
    high, width, depth = draw.uniform(50, 64), draw.uniform(21, 25), draw.uniform(10, 12.5)
    outline = rounded(width, depth, depth * 0.48)
    inner = inset(outline, 1.3)
    body.prism("abs", outline, 0, high)
    body.prism("abs", inner, 2, high - 3, hollow=True)
    body.box("abs", (1.2, depth - 2.7, high - 6), (0, 0, high / 2))
    left = inner[inner[:, 0] < -0.5]
    right = inner[inner[:, 0] > 0.5]
    level = 2.2 + (high - 6) * draw.uniform(0.15, 0.95)
    for half in (left, right):
        body.prism("butane", half * 0.98, 2.2, level)
    hood = rounded(width * 0.92, depth * 0.95, depth * 0.45)
    shift = np.array([-0.04 * width, 0])
    body.prism("steel", hood + shift, high, high + 15)
    body.prism("steel", inset(hood, 0.35) + shift, high, high + 15, hollow=True)
    spark = (width * 0.14, high + 12.5)
    body.rod("steel", (spark[0], -3.4, spark[1]), (spark[0], 3.4, spark[1]), 3.8, wall=2.2, sides=10)
    body.rod("steel", (spark[0], 0, high - 14), (spark[0], 0, high + 8), 1.3, wall=0.5, sides=6)
    body.rod("brass", (-width * 0.22, 0, high - 4), (-width * 0.22, 0, high + 9), 1.9, wall=0.7, sides=6)
    body.box("abs", (9, depth * 0.7, 3), (width * 0.4, 0, high + 7))
    body.rod("polyethylene", (-width * 0.22, 0, 6), (-width * 0.22, 0, high - 4), 1.2, wall=0.4, sides=5)
    return laid(body)


def _jet_lighter(draw: Draw) -> Solid:
    body = Solid()
    high, width, depth = draw.uniform(55, 75), draw.uniform(24, 36), draw.uniform(13, 18)
    outline = rounded(width, depth, 4)
    tray(body, draw.choice(["brass", "steel", "aluminium"]), outline, 0, high, draw.uniform(0.7, 1.1))
    tank = inset(outline, 2)
    tray(body, "abs", tank, 2, high * 0.55, 1.2)
    body.prism("butane", inset(tank, 1.3), 3.4, high * draw.uniform(0.2, 0.52))
    body.rod("brass", (-width * 0.2, 0, high * 0.55), (-width * 0.2, 0, high - 4), 3.4, wall=1, sides=8)
    body.rod("copper", (width * 0.2, 0, high * 0.55), (width * 0.2, 0, high - 8), 3.4, sides=8)
    body.rod("steel", (width * 0.2, 0, high * 0.6), (width * 0.2, 0, high - 9), 4.2, wall=0.5, sides=8)
    body.rod("brass", (0, 0, 0.8), (0, 0, 5), 3, sides=8)
    return laid(body)


def _petrol_lighter(draw: Draw) -> Solid:
    body = Solid()
    outline = rounded(38, 13, 2.5)
    case = draw.choice(["steel", "brass"], [3, 1])
    for low, high in ((0.0, 36.0), (36.5, 57.0)):
        tray(body, case, outline, low, high, 0.6)
    inner = inset(outline, 1.0)
    tray(body, "steel", inner, 1, 38, 0.4)
    body.prism("cloth", inset(inner, 0.6), 2, 34)
    body.prism("ethanol", inset(inner, 0.6), 2, 2 + draw.uniform(4, 26))
    body.prism("steel", rounded(20, 10, 3), 38, 53)
    body.prism("steel", rounded(19, 9.2, 2.6), 38, 53, hollow=True)
    body.rod("steel", (7, -2.5, 47), (7, 2.5, 47), 4, wall=2.4, sides=10)
    body.rod("cloth", (-3, 0, 20), (-3, 0, 46), 1.5, sides=6)
    body.rod("steel", (7, 0, 8), (7, 0, 38), 2.2, wall=0.6, sides=6)
    body.rod(case, (-19.5, -5, 36.2), (-19.5, 5, 36.2), 1.4, sides=6)
    return laid(body)
