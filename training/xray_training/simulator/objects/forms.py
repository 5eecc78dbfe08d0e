"""Forms that many things share."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from xray_training.simulator.draw import Draw
from xray_training.simulator.solids import Array, Mesh, Outline, Solid, Vector, shifted, turn

UPRIGHT = turn("y", -90)
"""Turns what lies along x so that it stands along z."""

ACROSS = turn("z", 90)
"""Turns what lies along x so that it lies along y."""

LAID = np.array([[0.0, 0.0, 1.0], [1.0, 0.0, 0.0], [0.0, 1.0, 0.0]])
"""Lays what stands along z along x; its x becomes y, its y becomes z."""

_CHIPS = {
    # material: share of the components, height and greatest edge in mm
    "abs": (0.2, 1.6, 14.0),
    "silicon": (0.2, 1.0, 14.0),
    "tin": (0.25, 0.7, 3.5),
    "copper": (0.12, 0.6, 9.0),
    "steel": (0.15, 1.8, 6.0),
    "brass": (0.08, 1.2, 5.0),
}


Profile = list[tuple[float, float]]
"""Place on the axis and radius of a turned body, from one end to the other."""


class _Ready(Solid):
    """A solid whose mesh is already there."""

    def __init__(self, mesh: Mesh) -> None:
        super().__init__()
        self._parts = [mesh]


def repeated(part: Solid, places: Sequence[Vector] | Array, turns: Array | None = None) -> Solid:
    """Many copies of a solid at once.

    Args:
        part: what is copied.
        places: where each copy goes, shape (n, 3).
        turns: how each copy is turned (or, by a diagonal, scaled) first, shape (n, 3, 3); not at all by default.
    """
    mesh, shifts = part.mesh(), np.asarray(places, dtype=np.float64)
    shaped = mesh.points[None] if turns is None else mesh.points @ turns.transpose(0, 2, 1)
    return _Ready(mesh.copies(shaped + shifts[:, None, :]))


def boxes(material: str, sizes: Array, places: Array) -> Solid:
    """Many boxes of one material: sizes and centres, each shape (n, 3)."""
    unit = Solid()
    unit.box(material, (1, 1, 1))
    return repeated(unit, places, np.asarray(sizes)[:, :, None] * np.eye(3))


def around(count: int, axis: str = "z", *, start: float = 0.0, end: float = 360.0) -> Array:
    """Rotations about an axis at equal angles from ``start`` up to, but without, ``end`` degrees; shape (count, 3, 3)."""
    return np.stack([turn(axis, float(angle)) for angle in np.linspace(start, end, count, endpoint=False)])


def chips(draw: Draw, solid: Solid, count: int, size: tuple[float, float], at: Vector) -> None:
    """Scatter components over a board of this size, upward from ``at``, the middle of its face."""
    for material, (share, tall, broad) in _CHIPS.items():
        number = max(1, round(count * share))
        edges = 1.3 + min(broad, 0.3 * min(size)) * draw.uniforms(number * 2).reshape(number, 2) ** 2
        heights = tall * draw.uniforms(number, 0.5, 1.2)
        spots = draw.uniforms(number * 2, -0.5, 0.5).reshape(number, 2) * (np.asarray(size) - edges)
        sizes = np.column_stack([edges, heights])
        solid.add(boxes(material, sizes, np.column_stack([spots, heights / 2]) + np.asarray(at)))


def wobbly(draw: Draw, width: float, height: float, *, unevenness: float = 0.06, squareness: float = 0.5) -> Array:
    """An uneven closed outline around the origin, from oval to nearly a rectangle; shape (20, 2)."""
    angles = np.arange(20) * (2 * np.pi / 20)
    exponent = 1.0 - 0.8 * squareness
    cosine, sine = np.cos(angles), np.sin(angles)
    x = np.sign(cosine) * np.abs(cosine) ** exponent * width / 2
    y = np.sign(sine) * np.abs(sine) ** exponent * height / 2
    swell = np.ones(20)
    for order in (2, 3, 5):
        swell += unevenness * draw.uniform(-1, 1) * np.cos(order * angles + draw.uniform(0, 6.3)) / (order - 1)
    return np.column_stack([x * swell, y * swell])


def cushion(solid: Solid, material: str, outline: Array, low: float, high: float, *, edge: float = 0.85) -> None:
    """A body with rounded rims over an outline; ``edge`` is how much of the outline its flat faces keep."""
    levels = (low, low + 0.3 * (high - low), low + 0.7 * (high - low), high)
    middle = outline.mean(axis=0)
    scales = (edge, 1.0, 1.0, edge)
    sections = [(level, middle + (outline - middle) * scale) for level, scale in zip(levels, scales, strict=True)]
    solid.loft(material, sections, alike=True)


def tray(solid: Solid, material: str, outline: Array, low: float, high: float, wall: float) -> None:
    """A closed shell over an outline, with walls of one thickness all around."""
    solid.prism(material, outline, low, high)
    solid.prism(material, inset(outline, wall), low + wall, high - wall, hollow=True)


def inset(outline: Outline, wall: float) -> Array:
    """An outline with every edge moved inward by a wall; as many points, shape (n, 2).

    Edges that would turn round, as at corners rounded less than the wall is thick, shrink to a point.
    """
    flat = np.asarray(outline, dtype=np.float64)
    after = shifted(flat)
    ahead = after - flat
    lengths = np.linalg.norm(ahead, axis=1, keepdims=True)
    sense = np.sign((flat[:, 0] * after[:, 1] - after[:, 0] * flat[:, 1]).sum())
    inward = sense * np.column_stack([-ahead[:, 1], ahead[:, 0]]) / np.maximum(lengths, 1e-9)
    kept = np.flatnonzero(lengths > 1e-9)
    while True:
        moved = _met(flat, inward, wall, kept)
        onward = ((shifted(moved) - moved) * ahead).sum(axis=1)[kept] > 0
        if onward.all() or onward.sum() < 3:
            return moved
        kept = kept[onward]


def _met(outline: Array, inward: Array, wall: float, kept: NDArray[np.int64]) -> Array:
    """For each corner, where the nearest kept edges before and after it meet once moved inward; shape (n, 2)."""
    place = np.searchsorted(kept, np.arange(len(outline)))
    before, after = kept[place - 1], kept[place % len(kept)]
    away = (inward * outline).sum(axis=1) + wall
    (x1, y1), (x2, y2) = inward[before].T, inward[after].T
    bend = x1 * y2 - y1 * x2
    straight = np.abs(bend) < 1e-6
    bend = np.where(straight, 1.0, bend)
    crossing = (
        np.column_stack([away[before] * y2 - away[after] * y1, x1 * away[after] - x2 * away[before]]) / bend[:, None]
    )
    return np.where(straight[:, None], outline + wall * inward[after], crossing)


def shrunk(outline: Outline, wall: float) -> Array:
    """An outline scaled so that its extent is a wall less on every side; shape as given."""
    flat = np.asarray(outline, dtype=np.float64)
    low, high = flat.min(axis=0), flat.max(axis=0)
    middle, size = (low + high) / 2, high - low
    return np.asarray(middle + (flat - middle) * np.maximum(size - 2 * wall, 0.1 * size) / size)


def shell(
    solid: Solid,
    material: str,
    profile: Sequence[tuple[float, float]],
    wall: float,
    *,
    base: float | None = None,
    sides: int = 12,
) -> Profile:
    """A closed turned body with a wall; gives the profile of the room inside it.

    Args:
        solid: what it is added to.
        material: the wall's material.
        profile: the outside: place on the axis and radius.
        wall: thickness of the wall.
        base: thickness of the end at the profile's start, ``wall`` by default.
        sides: how many sides a round has.
    """
    start, end = profile[0][0] + (wall if base is None else base), profile[-1][0] - wall
    places, radii = zip(*profile, strict=True)
    inner = [x for x in places if start < x < end]
    room = [(x, max(float(np.interp(x, places, radii)) - wall, 0.2)) for x in (start, *inner, end)]
    solid.lathe(material, profile, sides=sides)
    solid.lathe(material, room, sides=sides, hollow=True)
    return room


def liquid(solid: Solid, material: str, room: Sequence[tuple[float, float]], level: float, tilt: float) -> None:
    """What fills a turned room that lies nearly level.

    Args:
        solid: what it is added to.
        material: the liquid.
        room: the inside of the vessel: place on the axis and radius.
        level: height of the surface over the axis halfway along, as a share of the greatest radius (1: full).
        tilt: rise of the surface along the axis, millimetres per millimetre.
    """
    places = np.array([x for x, _ in room])
    radii = np.array([radius for _, radius in room])
    at = np.unique(np.concatenate([places, np.linspace(places[0], places[-1], 7)]))
    radius = np.interp(at, places, radii) * 0.99
    surface = level * radii.max() + tilt * (at - (places[0] + places[-1]) / 2)
    reach = np.arccos(np.clip(-surface / radius, -1, 1))[:, None]
    angles = -np.pi / 2 + reach * np.linspace(-1, 1, 11)[None, :]
    outlines = np.stack([np.cos(angles), np.sin(angles)], axis=2) * radius[:, None, None]
    body = Solid()
    body.loft(material, [(float(x), outline) for x, outline in zip(at, outlines, strict=True)])
    solid.add(body, turn=LAID)


def standing(solid: Solid, material: str, room: Sequence[tuple[float, float]], share: float) -> None:
    """What fills the first ``share`` (0..1) of a turned room that stands on its start."""
    places, radii = zip(*room, strict=True)
    end = places[0] + share * (places[-1] - places[0])
    inner = [x for x in places if x < end]
    profile = [(float(x), float(np.interp(x, places, radii)) * 0.99) for x in (*inner, end)]
    solid.lathe(material, profile, sides=12)


def coil(draw: Draw, turns: float, width: float, height: float, *, spread: float = 6.0) -> Array:
    """A path that runs around in uneven loops, one above the other; shape (n, 3)."""
    count = max(12, round(turns * 16))
    spread = min(spread, 0.15 * height)
    share = np.linspace(0, 1, count)
    angles = share * 2 * np.pi * turns
    lean = np.deg2rad(spread * 3) * _wander(draw, share, turns)
    swell = 1 + spread / 40 * _wander(draw, share, turns)
    x = np.cos(angles) * width / 2 * swell
    y = np.sin(angles) * height / 2 * (1 + spread / 30 * _wander(draw, share, turns))
    drift = np.column_stack([_wander(draw, share, turns), _wander(draw, share, turns)]) * spread
    return np.column_stack(
        [
            x * np.cos(lean) - y * np.sin(lean) + drift[:, 0],
            x * np.sin(lean) + y * np.cos(lean) + drift[:, 1],
            (share - 0.5) * 6 * turns + 0.4 * spread * np.sin(angles * 0.9 + draw.uniform(0, 6.3)),
        ]
    )


def spring(length: float, radius: float, *, turns: int = 6, wire: float = 0.55) -> Solid:
    """A spring of round steel wire along x, from the origin on."""
    upright, solid = Solid(), Solid()
    angles = np.linspace(0, 2 * np.pi * turns, turns * 6 + 1)
    path = np.column_stack([radius * np.cos(angles), radius * np.sin(angles), angles / angles[-1] * length])
    upright.tube("steel", path, wire, sides=4)
    solid.add(upright, turn=UPRIGHT.T)
    return solid


def _wander(draw: Draw, share: Array, turns: float) -> Array:
    """A slow random waver, about -1..1, along a path; shape of ``share``."""
    orders = np.arange(1, 2 + round(turns * 0.7))
    phases = draw.uniforms(len(orders), 0, 2 * np.pi)
    return np.asarray(np.sin(2 * np.pi * share[:, None] * orders + phases).sum(axis=1) / len(orders) ** 0.5)


def smoothed(path: Sequence[Vector | Array] | Array) -> Array:
    """A path with its corners cut twice (Chaikin's scheme), its ends kept; shape (n, 3)."""
    points = np.asarray(path, dtype=np.float64)
    for _ in range(2):
        cut = np.stack([0.75 * points[:-1] + 0.25 * points[1:], 0.25 * points[:-1] + 0.75 * points[1:]], axis=1)
        points = np.concatenate([points[:1], cut.reshape(-1, 3), points[-1:]])
    return points


def ribbon(path: Array, breadth: float) -> Array:
    """The outline of a band of this breadth along a flat path, shape (n, 2); gives shape (2n, 2)."""
    ahead = np.gradient(path, axis=0)
    across = np.column_stack([-ahead[:, 1], ahead[:, 0]]) / np.linalg.norm(ahead, axis=1, keepdims=True)
    return np.concatenate([path + across * breadth / 2, (path - across * breadth / 2)[::-1]])


def filled(draw: Draw, solid: Solid, material: str, room: Profile, *, full: float = 0.5) -> None:
    """Fill a room, to the brim nearly with probability ``full``; its surface may still tell how it stood."""
    if draw.chance(full):
        liquid(solid, material, room, draw.uniform(0.7, 1.0), draw.uniform(-0.05, 0.05))
    elif draw.chance(0.5):
        liquid(solid, material, room, draw.uniform(-0.6, 0.8), draw.uniform(-0.06, 0.06))
    else:
        standing(solid, material, room, draw.uniform(0.15, 0.95))


def shoulder(start: float, end: float, wide: float, narrow: float, steps: int = 3) -> Profile:
    """The rounded step from a body to its neck."""
    share = np.linspace(0, 1, steps + 1)[1:]
    drop = np.sin(share * np.pi / 2) ** 1.5
    return [
        (start + (end - start) * float(s), wide + (narrow - wide) * float(d)) for s, d in zip(share, drop, strict=True)
    ]


def screw_cap(solid: Solid, material: str, start: float, end: float, radius: float, wall: float) -> None:
    """A cap over the end of a neck."""
    solid.rod(material, (start, 0, 0), (end, 0, 0), radius, wall=wall, sides=10)
    solid.rod(material, (end, 0, 0), (end + wall, 0, 0), radius, sides=10)


def cap_on(body: Solid, material: str, low: float, high: float, radius: float, wall: float) -> None:
    """A cap that stands along z."""
    body.rod(material, (0, 0, low), (0, 0, high - wall), radius, wall=wall, sides=10)
    body.rod(material, (0, 0, high - wall), (0, 0, high), radius, sides=10)


def laid(body: Solid) -> Solid:
    """A body that stood along z, now along x."""
    solid = Solid()
    solid.add(body, turn=LAID)
    return solid
