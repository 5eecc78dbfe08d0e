"""Cosmetics and toiletries."""

from __future__ import annotations

import numpy as np

from xray_training.simulator.draw import Draw
from xray_training.simulator.objects.forms import (
    UPRIGHT,
    cap_on,
    inset,
    laid,
    screw_cap,
    shell,
    spring,
    tray,
)
from xray_training.simulator.solids import Array, Solid, disc, rounded, turn


def cosmetic(draw: Draw) -> Solid:
    """Toothpaste, a jar of cream, shampoo, make-up, a stick or a cake of soap."""
    styles = {
        _squeeze_tube: 4,
        _jar: 3,
        _shampoo: 4,
        _lipstick: 2,
        _compact: 2,
        _mascara: 1.5,
        _stick: 1.5,
        _soap: 1,
        _pump: 1.5,
    }
    return draw.choice(list(styles), list(styles.values()))(draw)


def _squeeze_tube(draw: Draw) -> Solid:
    radius, long = draw.uniform(12, 25), draw.uniform(85, 165)
    body, wall = Solid(), draw.uniform(0.4, 0.7)
    material = draw.choice(["polyethylene", "aluminium"], [5, 1])
    wall = 0.15 if material == "aluminium" else wall

    def section(share: float, slack: float) -> Array:
        flat = radius * max(1 - share, 0.03)
        return disc(1.0) * (radius * (1 + 0.45 * share) - slack, max(flat - slack, 0.02))

    levels = (0.0, 0.45, 0.8, 1.0)
    body.loft(material, [(long * (1 - s), section(s, 0)) for s in reversed(levels)])
    body.loft(material, [(long * (1 - s), section(s, wall)) for s in reversed(levels[:-1])], hollow=True)
    start = draw.choice([0.8, 0.8, draw.uniform(0.2, 0.7)])
    body.loft("water", [(long * (1 - s), section(s, wall)) for s in (start, start * 0.5, 0.0)])
    body.box(material, (radius * 2.9, 1.4, 9), (0, 0, 3))
    cap = radius * draw.choice([0.55, 0.95])
    body.rod("polyethylene", (0, 0, long), (0, 0, long + 6), 6, wall=2, sides=8)
    body.rod("polyethylene", (0, 0, long + 1), (0, 0, long + draw.uniform(14, 26)), cap, wall=1.8, sides=12)
    return laid(body)


def _jar(draw: Draw) -> Solid:
    radius, high = draw.uniform(20, 40), draw.uniform(24, 55)
    solid = Solid()
    if draw.chance(0.4):
        room = shell(
            solid,
            "glass",
            [(0, radius * 0.95), (3, radius), (high - 12, radius), (high, radius * 0.85)],
            draw.uniform(3, 5),
        )
    else:
        shell(solid, "polyethylene", [(0, radius), (high, radius * 0.97)], 1.4)
        room = shell(solid, "polyethylene", [(3.5, radius * 0.75), (high - 2, radius * 0.86)], 1.2)
    end = room[0][0] + (room[-1][0] - room[0][0]) * draw.uniform(0.4, 0.95)
    radii = [r for _, r in room]
    solid.lathe("water", [(room[0][0], radii[0] * 0.98), (end, min(radii[1], radii[-1]) * 0.98)], sides=12)
    lid = draw.choice(["polyethylene", "abs", "aluminium"], [3, 2, 1])
    screw_cap(solid, lid, high - 10, high + 5, radius + 1.2, 0.6 if lid == "aluminium" else 1.6)
    return solid


def _bulk(draw: Draw, long: float) -> tuple[Solid, Array]:
    """A filled plastic body that stands along z, and its outline."""
    width, depth = draw.uniform(48, 78), draw.uniform(30, 45)
    outline = rounded(width, depth, depth * draw.uniform(0.3, 0.5))
    taper = draw.uniform(0.85, 1.0)
    body, wall = Solid(), draw.uniform(0.7, 1.2)
    inner = inset(outline, wall)
    outside = [(0, outline * 0.96), (6, outline), (long * 0.7, outline), (long, outline * taper)]
    body.loft("polyethylene", outside, alike=True)
    body.loft(
        "polyethylene",
        [(1.2, inner * 0.95), (6, inner), (long * 0.7, inner), (long - 1.2, inner * taper * 0.98)],
        hollow=True,
        alike=True,
    )
    high = draw.uniform(0.3, 0.97)
    sections = [(1.4, inner * 0.945), (6, inner * 0.99)]
    if high > 0.7:
        rest = (high - 0.7) / 0.3
        top = inner * (1 - rest * (1 - taper) - 0.01)
        sections += [(long * 0.7, inner * 0.99), (long * high - 1.4, top)]
    else:
        sections += [(long * high, inner * 0.99)]
    body.loft("water", sections, alike=True)
    return body, outline * taper


def _shampoo(draw: Draw) -> Solid:
    long = draw.uniform(120, 205)
    body, top = _bulk(draw, long)
    if draw.chance(0.6):
        cap = top * draw.uniform(0.7, 0.95)
        body.prism("polyethylene", cap, long, long + 22)
        body.prism("polyethylene", inset(cap, 1.6), long + 0.5, long + 20, hollow=True)
    else:
        cap_on(body, "polyethylene", long, long + 24, 13, 1.6)
    body.rod("polyethylene", (0, 0, long), (0, 0, long + 12), 7, wall=2, sides=8)
    return laid(body)


def _pump(draw: Draw) -> Solid:
    long = draw.uniform(110, 170)
    body, _ = _bulk(draw, long)
    cap_on(body, "polyethylene", long, long + 16, 14, 1.6)
    body.rod("polyethylene", (0, 0, long - 45), (0, 0, long + 30), 5, wall=1.2, sides=8)
    body.add(spring(30, 3, wire=0.45), at=(0, 0, long - 30), turn=UPRIGHT)
    body.ball("steel", 2.2, (0, 0, long - 42))
    body.rod("polyethylene", (0, 0, 6), (2, 0, long - 45), 2, wall=0.6, sides=6)
    body.box("polyethylene", (44, 13, 10), (12, 0, long + 34))
    return laid(body)


def _lipstick(draw: Draw) -> Solid:
    solid, radius = Solid(), draw.uniform(8, 10)
    case = draw.choice(["aluminium", "abs", "brass"], [2, 2, 1])
    wall = {"aluminium": 0.5, "abs": 1.2, "brass": 0.35}[case]
    solid.rod(case, (0, 0, 0), (72, 0, 0), radius, wall=wall, sides=10)
    solid.rod(case, (70, 0, 0), (72, 0, 0), radius - wall, sides=10)
    solid.rod("abs", (0, 0, 0), (28, 0, 0), radius - 1.3, wall=1.2, sides=10)
    solid.rod("brass", (20, 0, 0), (40, 0, 0), radius - 2.6, wall=0.3, sides=10)
    solid.lathe("polyethylene", [(14, radius - 3), (48, radius - 3), (58, 2)], sides=10)
    if draw.chance(0.5):
        solid.rod("steel", (1, 0, 0), (5, 0, 0), radius - 2.8, sides=8)
    return solid


def _compact(draw: Draw) -> Solid:
    solid = Solid()
    size = draw.uniform(58, 80)
    outline = draw.choice([disc(size / 2, sides=18), rounded(size, size * 0.8, 8), rounded(size * 1.6, size * 0.8, 5)])
    tray(solid, "abs", outline, 0, 9, 1.5)
    solid.prism("abs", outline, 9.4, 11)
    solid.prism("glass", inset(outline, 5), 11, 12.8)
    solid.prism("abs", outline, 13, 14.4)
    pans = draw.choice([1, 4, 6])
    span, deep = float(np.ptp(outline[:, 0])) * 0.66, float(np.ptp(outline[:, 1])) * 0.6
    for number in range(pans):
        column, row = number % max(1, pans // 2), number // max(1, pans // 2)
        columns, rows = max(1, pans // 2), 1 if pans == 1 else 2
        at = ((column + 0.5) / columns * span - span / 2, (row + 0.5) / rows * deep - deep / 2)
        area = rounded(span / columns - 2, deep / rows - 2, 5, centre=at)
        solid.prism("steel", area, 1.8, 2.1)
        solid.prism("glass", area, 2.2, 2.2 + draw.uniform(1.5, 4))
    edge = float(outline[:, 1].max())
    solid.rod("steel", (-10, edge - 2, 9), (10, edge - 2, 9), 1, sides=5)
    return solid


def _mascara(draw: Draw) -> Solid:
    solid, radius, long = Solid(), draw.uniform(6.5, 10), draw.uniform(105, 135)
    middle = long * 0.55
    room = shell(solid, draw.choice(["abs", "aluminium"], [3, 1]), [(0, radius), (middle, radius)], 1.3, sides=10)
    solid.lathe("water", [(room[0][0], radius - 2.6), (middle * draw.uniform(0.4, 0.9), radius - 2.6)], sides=8)
    solid.rod("abs", (middle + 1, 0, 0), (long, 0, 0), radius, wall=1.4, sides=10)
    solid.rod("steel", (10, 0, 0), (middle + 8, 0, 0), 0.9, sides=5)
    solid.rod("polyethylene", (10, 0, 0), (36, 0, 0), 2.6, wall=1.4, sides=6)
    return solid


def _stick(draw: Draw) -> Solid:
    """A deodorant stick, or a round one with a rolling ball."""
    solid, radius, long = Solid(), draw.uniform(15, 24), draw.uniform(85, 130)
    room = shell(solid, "polyethylene", [(0, radius * 0.9), (4, radius), (long * 0.7, radius)], 1.5)
    if draw.chance(0.5):
        solid.lathe("water", [(room[0][0], radius * 0.86), (long * draw.uniform(0.3, 0.68), radius - 1.7)], sides=12)
        ball = Solid()
        ball.ball(draw.choice(["polyethylene", "glass"]), radius * 0.72)
        solid.add(ball, at=(long * 0.7 + 4, 0, 0))
    else:
        solid.lathe("polyethylene", [(long * 0.25, radius - 1.8), (long * 0.78, radius - 1.8)], sides=12)
        solid.rod("polyethylene", (4, 0, 0), (long * 0.25, 0, 0), 3, sides=6)
    shell(solid, "polyethylene", [(long * 0.7 + 0.5, radius), (long * 0.95, radius), (long, radius * 0.8)], 1.4)
    return solid


def _soap(draw: Draw) -> Solid:
    solid = Solid()
    outline = rounded(draw.uniform(75, 95), draw.uniform(48, 60), 18)
    solid.loft("abs", [(4, outline * 0.86), (9, outline), (22, outline), (28, outline * 0.86)], alike=True)
    if draw.chance(0.6):
        tray(solid, "polyethylene", rounded(108, 74, 14), 0, 38, 1.6)
    return solid


def nail_polish(draw: Draw) -> Solid:
    """One to three small glass bottles of nail polish."""
    solid, x = Solid(), 0.0
    for _ in range(draw.choice([1, 2, 3], [5, 2, 1])):
        solid.add(_polish_bottle(draw), at=(draw.uniform(-5, 5), x, 0), turn=turn("z", draw.uniform(-12, 12)))
        x += draw.uniform(36, 44)
    return solid


def _polish_bottle(draw: Draw) -> Solid:
    width, high = draw.uniform(24, 34), draw.uniform(34, 46)
    body, wall = Solid(), draw.uniform(2.4, 3.6)
    outline = draw.choice(
        [disc(width / 2, sides=16), rounded(width * 0.9, width * 0.9, 3), rounded(width, width * 0.7, 9)]
    )
    body.loft("glass", [(0, outline), (high * 0.85, outline), (high, outline * 0.5)], alike=True)
    inner = inset(outline, wall)
    body.loft("glass", [(wall + 1.5, inner), (high * 0.83, inner), (high, inner * 0.5)], hollow=True, alike=True)
    body.prism("ethanol", inner * 0.98, wall + 1.6, high * draw.uniform(0.35, 0.8))
    body.rod("glass", (0, 0, high), (0, 0, high + 9), 6.5, wall=1.8, sides=8)
    tall = draw.uniform(30, 46)
    cap_on(body, "abs", high + 1, high + tall, draw.uniform(7.5, 9.5), 1.4)
    body.rod("polyethylene", (0, 0, high * 0.3), (0, 0, high + tall - 3), 1.6, sides=6)
    for _ in range(draw.integer(1, 2)):
        spot = (draw.uniform(-0.2, 0.2) * width, draw.uniform(-0.15, 0.15) * width)
        body.ball("steel", 2.4, (*spot, wall + 4.5))
    return laid(body)
