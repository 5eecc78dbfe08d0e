"""Solids of several materials, in millimetres, as closed surfaces of flat faces.

Every face is a loop of points that turns counter-clockwise seen from outside. Nothing more is needed for
exact path lengths (see :mod:`xray_training.simulator.rays`): no triangles, no normals, no voxels.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cache

import numpy as np
from numpy.typing import NDArray

from xray_training.simulator.materials import INDEX, MATERIALS

Array = NDArray[np.float64]
Vector = tuple[float, float, float]
Outline = Sequence[tuple[float, float]] | Array

ROUND = 14
"""Sides of what should be round: its cross-section is made equal to the circle's."""


@dataclass(frozen=True, slots=True)
class Mesh:
    """A solid's points, how its faces run through them, and the edges at which two faces meet.

    Attributes:
        points: shape (n, 3), millimetres.
        corner: the points that the faces' loops visit, loop after loop, shape (corners,).
        ahead: for each corner, the next point of its loop, shape (corners,).
        face: for each corner, its face, shape (corners,).
        edges: from point, to point, the face whose loop runs that way, the face on the other side, shape (edges, 4).
        material: for each face, its material's place in ``MATERIALS``, shape (faces,).
        sign: for each face, 1.0 where it bounds matter and -1.0 where it bounds a hollow, shape (faces,).
    """

    points: Array
    corner: NDArray[np.int64]
    ahead: NDArray[np.int64]
    face: NDArray[np.int64]
    edges: NDArray[np.int64]
    material: NDArray[np.int64]
    sign: Array

    def moved(self, rotation: Array, shift: Array) -> Mesh:
        """The solid turned (3 x 3) and then shifted (3)."""
        return replace(self, points=self.points @ rotation.T + shift)

    def copies(self, points: Array) -> Mesh:
        """As many solids of this kind as ``points`` has sets of points, shape (copies, n, 3)."""
        count, each, faces = len(points), len(self.points), len(self.sign)
        copy = np.arange(count)[:, None]
        shift = np.array([each, each, faces, faces])
        return Mesh(
            points.reshape(-1, 3),
            (self.corner + copy * each).ravel(),
            (self.ahead + copy * each).ravel(),
            (self.face + copy * faces).ravel(),
            (self.edges + copy[:, :, None] * shift).reshape(-1, 4),
            np.tile(self.material, count),
            np.tile(self.sign, count),
        )

    def extent(self) -> tuple[Array, Array]:
        """Least and greatest coordinates, each shape (3,)."""
        return self.points.min(axis=0), self.points.max(axis=0)

    def materials(self) -> tuple[str, ...]:
        """The names of its materials."""
        return tuple(MATERIALS[number] for number in np.unique(self.material))


def joined(meshes: Sequence[Mesh]) -> Mesh:
    """Several meshes as one."""
    points = np.cumsum([0, *(len(mesh.points) for mesh in meshes)])[:-1]
    faces = np.cumsum([0, *(len(mesh.sign) for mesh in meshes)])[:-1]
    starts = list(zip(meshes, points, faces, strict=True))
    return Mesh(
        np.concatenate([mesh.points for mesh in meshes]),
        np.concatenate([mesh.corner + point for mesh, point, _ in starts]),
        np.concatenate([mesh.ahead + point for mesh, point, _ in starts]),
        np.concatenate([mesh.face + face for mesh, _, face in starts]),
        np.concatenate([mesh.edges + np.array([point, point, face, face]) for mesh, point, face in starts]),
        np.concatenate([mesh.material for mesh in meshes]),
        np.concatenate([mesh.sign for mesh in meshes]),
    )


class Solid:
    """Something built of parts. Parts of one solid should not overlap; a hollow lies inside its part."""

    def __init__(self) -> None:
        self._parts: list[Mesh] = []

    def mesh(self) -> Mesh:
        """All parts."""
        return joined(self._parts)

    def add(self, other: Solid, *, at: Vector = (0, 0, 0), turn: Array | None = None) -> None:
        """Add a solid, turned about its origin and put at a place."""
        rotation = np.eye(3) if turn is None else turn
        self._parts.append(other.mesh().moved(rotation, np.asarray(at, dtype=np.float64)))

    def box(self, material: str, size: Vector, at: Vector = (0, 0, 0), *, hollow: bool = False) -> None:
        """A box of this size around a centre."""
        half_x, half_y = size[0] / 2, size[1] / 2
        outline = [(-half_x, -half_y), (half_x, -half_y), (half_x, half_y), (-half_x, half_y)]
        moved = np.array(outline) + at[:2]
        self.prism(material, moved, at[2] - size[2] / 2, at[2] + size[2] / 2, hollow=hollow)

    def prism(self, material: str, outline: Outline, low: float, high: float, *, hollow: bool = False) -> None:
        """An outline in the plane, raised from ``low`` to ``high``. The outline may be concave."""
        flat = _counter_clockwise(outline)
        rings = np.stack([np.column_stack([flat, np.full(len(flat), level)]) for level in (low, high)])
        self._loft(material, rings, hollow)

    def loft(
        self, material: str, sections: Sequence[tuple[float, Outline]], *, hollow: bool = False, alike: bool = False
    ) -> None:
        """Outlines of as many points each, one above the other at rising levels, joined by flat triangles.

        Outlines that are ``alike`` (scaled copies of each other) have flat sides already and are joined as they are.
        """
        rings = [np.column_stack([np.asarray(outline), np.full(len(outline), level)]) for level, outline in sections]
        self._loft(material, _turned_outward(np.stack(rings)), hollow, twisted=not alike)

    def lathe(
        self,
        material: str,
        profile: Sequence[tuple[float, float]],
        *,
        at: Vector = (0, 0, 0),
        sides: int = ROUND,
        hollow: bool = False,
    ) -> None:
        """A body turned about the x axis through ``at``: pairs of place on the axis, rising, and radius."""
        circle = _circle(sides)
        rings = np.stack([np.column_stack([np.full(sides, x), circle * radius]) for x, radius in profile])
        self._loft(material, rings + np.asarray(at), hollow)

    def rod(
        self,
        material: str,
        start: Vector,
        end: Vector,
        radius: float,
        *,
        wall: float | None = None,
        sides: int = ROUND,
    ) -> None:
        """A straight rod, or a tube where a wall is given."""
        self.tube(material, np.array([start, end]), radius, sides=sides)
        if wall is not None and wall < radius:
            self.tube(material, np.array([start, end]), radius - wall, sides=sides, hollow=True)

    def tube(
        self,
        material: str,
        path: Sequence[Vector] | Array,
        radius: float,
        *,
        sides: int = 6,
        closed: bool = False,
        hollow: bool = False,
    ) -> None:
        """A round bar that follows a path, which runs back into its start where ``closed``."""
        points = _distinct(np.asarray(path, dtype=np.float64), closed)
        rings = _swept(points, _circle(sides) * radius, closed)
        self._loft(material, rings, hollow, twisted=len(points) > 2, closed=closed)

    def strip(self, material: str, path: Sequence[Vector] | Array, breadth: float, depth: float) -> None:
        """A flat bar that follows a path lying flat, straight from point to point; ``depth`` is upright."""
        half, rise = breadth / 2, depth / 2
        section = np.array([(-half, -rise), (half, -rise), (half, rise), (-half, rise)])
        points = _distinct(np.asarray(path, dtype=np.float64), False)
        for start in range(len(points) - 1):
            self._loft(material, _swept(points[start : start + 2], section, False), False)

    def ball(self, material: str, radius: float, at: Vector = (0, 0, 0), *, hollow: bool = False) -> None:
        """A ball."""
        angles = np.linspace(0, np.pi, 9)
        self.lathe(
            material, [(-radius * float(np.cos(a)), radius * float(np.sin(a))) for a in angles], at=at, hollow=hollow
        )

    def _loft(self, material: str, rings: Array, hollow: bool, *, twisted: bool = False, closed: bool = False) -> None:
        """Join rings, shape (rings, k, 3), by their sides, and close the ends unless they meet."""
        corner, ahead, face, edges = _topology(*rings.shape[:2], twisted, closed)
        faces = int(face[-1]) + 1
        material_of, sign = np.full(faces, INDEX[material]), np.full(faces, -1.0 if hollow else 1.0)
        self._parts.append(Mesh(rings.reshape(-1, 3), corner, ahead, face, edges, material_of, sign))


def turn(axis: str, degrees: float) -> Array:
    """The rotation by an angle about an axis, ``x``, ``y`` or ``z``; shape (3, 3)."""
    angle = np.deg2rad(degrees)
    cosine, sine = float(np.cos(angle)), float(np.sin(angle))
    first, second = {"x": (1, 2), "y": (2, 0), "z": (0, 1)}[axis]
    rotation = np.eye(3)
    rotation[first, first] = rotation[second, second] = cosine
    rotation[first, second], rotation[second, first] = -sine, sine
    return rotation


def arc(radius: float, start: float, end: float, steps: int, *, centre: tuple[float, float] = (0, 0)) -> Array:
    """Points on a circle from one angle to another, in degrees, both included; shape (steps, 2)."""
    angles = np.deg2rad(np.linspace(start, end, steps))
    return np.column_stack([centre[0] + radius * np.cos(angles), centre[1] + radius * np.sin(angles)])


def disc(radius: float, *, centre: tuple[float, float] = (0, 0), sides: int = ROUND) -> Array:
    """The outline of a disc, its area that of the circle; shape (sides, 2)."""
    return np.asarray(_circle(sides) * radius + np.asarray(centre))


def rounded(width: float, height: float, radius: float, *, centre: tuple[float, float] = (0, 0)) -> Array:
    """The outline of a rectangle with round corners; shape (16, 2)."""
    radius = min(radius, width / 2, height / 2)
    corners = [(1, 1, 0), (-1, 1, 90), (-1, -1, 180), (1, -1, 270)]
    middle = np.asarray(centre)
    return np.concatenate(
        [
            arc(radius, a, a + 90, 4, centre=(sx * (width / 2 - radius), sy * (height / 2 - radius))) + middle
            for sx, sy, a in corners
        ]
    )


def lifted(outline: Outline, level: float = 0.0) -> Array:
    """A flat outline or path as points in space; shape (n, 3)."""
    flat = np.asarray(outline, dtype=np.float64)
    return np.column_stack([flat, np.full(len(flat), level)])


def shifted(points: Array, by: int = 1) -> Array:
    """For each point of a closed outline or path, the one after it, or before it when ``by`` is -1.

    Many times faster on few points than NumPy's ``roll``.
    """
    return np.concatenate((points[by:], points[:by]))


def _circle(sides: int) -> Array:
    angles = np.arange(sides) * (2 * np.pi / sides)
    equal_area = float(np.sqrt(2 * np.pi / (sides * np.sin(2 * np.pi / sides))))
    return equal_area * np.column_stack([np.cos(angles), np.sin(angles)])


def _area(outline: Array) -> float:
    after = shifted(outline)
    return float((outline[:, 0] * after[:, 1] - after[:, 0] * outline[:, 1]).sum() / 2)


def _counter_clockwise(outline: Outline) -> Array:
    flat = np.asarray(outline, dtype=np.float64)
    return flat if _area(flat) >= 0 else flat[::-1]


def _turned_outward(rings: Array) -> Array:
    return rings if _area(rings[:, :, :2].mean(axis=0)) >= 0 else rings[:, ::-1]


def _distinct(path: Array, closed: bool) -> Array:
    """A path without points that repeat the one before."""
    step = np.abs(path - shifted(path, -1)).max(axis=1)
    step[0] = step[0] if closed else np.inf
    return np.asarray(path[step > 1e-6])


def _swept(path: Array, section: Array, closed: bool) -> Array:
    """A cross-section carried along a path without twisting; shape (points, k, 3)."""
    ahead = shifted(path) - path
    behind = path - shifted(path, -1)
    if not closed:
        ahead[-1], behind[0] = behind[-1], ahead[0]
    along = ahead / np.linalg.norm(ahead, axis=1, keepdims=True) + behind / np.linalg.norm(
        behind, axis=1, keepdims=True
    )
    length = np.linalg.norm(along, axis=1, keepdims=True)
    along = np.where(
        length > 1e-9, along / np.maximum(length, 1e-9), ahead / np.linalg.norm(ahead, axis=1, keepdims=True)
    )
    up = np.array([0.0, 0.0, 1.0]) if abs(along[0, 2]) < 0.9 else np.array([0.0, 1.0, 0.0])
    across = _cross(up, along)
    norms = np.linalg.norm(across, axis=1, keepdims=True)
    across = np.where(norms > 1e-6, across / np.maximum(norms, 1e-6), _cross(np.array([1.0, 0.0, 0.0]), along))
    upright = _cross(along, across)
    return path[:, None, :] + section[None, :, :1] * across[:, None, :] + section[None, :, 1:] * upright[:, None, :]


def _cross(one: Array, other: Array) -> Array:
    """The cross product of vectors, shape (..., 3); many times faster on few vectors than NumPy's."""
    x, y, z = one[..., 0], one[..., 1], one[..., 2]
    u, v, w = other[..., 0], other[..., 1], other[..., 2]
    return np.stack([y * w - z * v, z * u - x * w, x * v - y * u], axis=-1)


@cache
def _topology(rings: int, corners: int, twisted: bool, closed: bool) -> tuple[NDArray[np.int64], ...]:
    """How rings of corners, numbered one after the other, make faces: ``corner``, ``ahead``, ``face``, ``edges``."""
    number = np.arange(rings * corners).reshape(rings, corners)
    here = number if closed else number[:-1]
    after = np.roll(number, -1, axis=0) if closed else number[1:]
    quads = np.stack([here, np.roll(here, -1, axis=1), np.roll(after, -1, axis=1), after], axis=2).reshape(-1, 4)
    sides = np.concatenate([quads[:, [0, 1, 2]], quads[:, [0, 2, 3]]]) if twisted else quads
    loops: list[list[int]] = sides.tolist()
    if not closed:
        loops += [number[0, ::-1].tolist(), number[-1].tolist()]
    corner = np.array([point for loop in loops for point in loop])
    ahead = np.array([point for loop in loops for point in (*loop[1:], loop[0])])
    face = np.repeat(np.arange(len(loops)), [len(loop) for loop in loops])
    side = {(start, end): of for start, end, of in zip(corner.tolist(), ahead.tolist(), face.tolist(), strict=True)}
    edges = [(start, end, of, side[end, start]) for (start, end), of in side.items() if start < end]
    return corner, ahead, face, np.array(edges)
