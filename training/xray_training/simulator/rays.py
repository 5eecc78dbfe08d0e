"""How far each ray runs through matter.

A ray enters and leaves a closed surface through its faces, so the length inside is the sum of the depths at
which it leaves less the sum of those at which it enters. Seen along the rays, a face is a polygon over which
depth is linear, and whether it is left or entered is the sense in which its outline turns. Along a row of the
detector such a polygon is a jump in value and in slope at each edge that the row crosses; integrating twice
gives the depth, a third time its mean over each pixel. So a scene is a list of crossings, and any weighted sum
of its path lengths (through one material, or attenuation at one energy) is three running sums.

The same code runs on NumPy and on torch arrays, through the Python array API.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from array_api_compat import array_namespace, device
from numpy.typing import NDArray

from xray_training.simulator.solids import Mesh

SAMPLES = 2
"""Rows sampled within each pixel."""

_FLAT = 1e-6

Array = Any
"""A NumPy or torch array."""


@dataclass(frozen=True, slots=True)
class View:
    """Where rays come from and what the detector resolves.

    Attributes:
        axes: rows are, in object millimetres, the belt's direction, the detector's, and the ray's; shape (3, 3).
        pitch: millimetres per pixel along the belt (picture's x) and along the detector (y).
        source: height of the X-ray source above the belt in millimetres; its fan lies across the belt.
        centre: where across the belt the source hangs, in millimetres.
    """

    axes: NDArray[np.float64]
    pitch: tuple[float, float]
    source: float
    centre: float

    def project(self, points: NDArray[np.float64]) -> NDArray[np.float64]:
        """Points of one object as picture x, y (pixels) and depth along the ray (mm), shape (n, 3).

        The picture's origin is where the rows' and columns' millimetres are 0. Within an object the rays count as
        parallel; from object to object they fan out.
        """
        along, across, depth = (points @ self.axes.T).T
        height = float(depth.mean())
        lean = (float(across.mean()) - self.centre) / max(self.source - height, 1.0)
        seen = across + (depth - height) * lean
        magnified = self.centre + (seen - self.centre) * self.source / max(self.source - height, 1.0)
        x = along / self.pitch[0]
        y = magnified / self.pitch[1]
        return np.column_stack([x, y, depth * float(np.sqrt(1 + lean * lean))])


@dataclass(frozen=True, slots=True)
class Crossings:
    """Where rows of the detector cross the edges of faces; arrays of one length.

    Attributes:
        x: place on the row, pixels.
        row: the row.
        value: jump in path length, mm.
        slope: jump in its slope, mm per pixel.
        material: the material's place in ``MATERIALS``.
    """

    x: Array
    row: Array
    value: Array
    slope: Array
    material: Array


def crossings(mesh: Mesh, seen: NDArray[np.float64], rows: int) -> Crossings:
    """The crossings of a mesh with the rows of a detector.

    Args:
        mesh: the solid.
        seen: its points as :meth:`View.project` gives them, shape (n, 3).
        rows: rows of the detector.
    """
    after = seen[mesh.following]
    slopes, offsets, faced = _planes(seen, after, mesh)
    kept = np.flatnonzero(faced[mesh.face] & (after[:, 1] != seen[:, 1]))
    start, end, face = seen[kept], after[kept], mesh.face[kept]
    top, bottom = np.minimum(start[:, 1], end[:, 1]) * SAMPLES, np.maximum(start[:, 1], end[:, 1]) * SAMPLES
    first = np.clip(np.ceil(top - 0.5), 0, rows * SAMPLES).astype(np.int64)
    last = np.clip(np.ceil(bottom - 0.5), 0, rows * SAMPLES).astype(np.int64)
    counts = np.maximum(last - first, 0)
    edge = np.repeat(np.arange(len(kept)), counts)
    sample = np.arange(len(edge)) + np.repeat(first - np.cumsum(counts) + counts, counts)
    y = (sample + 0.5) / SAMPLES
    share = np.clip((y - start[edge, 1]) / (end[edge, 1] - start[edge, 1]), 0, 1)
    x = start[edge, 0] + share * (end[edge, 0] - start[edge, 0])
    sense = np.where(end[:, 1] > start[:, 1], -1.0, 1.0) * mesh.sign[face] / SAMPLES
    face = face[edge]
    depth = offsets[face] + slopes[face, 0] * x + slopes[face, 1] * y
    return Crossings(x, sample // SAMPLES, sense[edge] * depth, sense[edge] * slopes[face, 0], mesh.material[face])


def deposit(found: Crossings, weights: Array, width: int, rows: int, *, left: int = 0, top: int = 0) -> Array:
    """Weighted sums of path lengths, averaged over each pixel; shape (sums, rows, width).

    Args:
        found: crossings.
        weights: factors by material, shape (sums, materials): 1/mm for attenuation, one-hot for one material's path.
        width: pixels to a row.
        rows: rows.
        left: first pixel of the window.
        top: first row of the window.
    """
    xp = array_namespace(found.x)
    x = found.x - left
    cell = xp.astype(xp.clip(xp.floor(x) + 1.0, 0.0, width + 1.0), xp.int64)
    place = (found.row - top) * (width + 2) + cell
    parts = ((found.slope * x / 2 - found.value) * x, found.value - found.slope * x, found.slope / 2)
    boundary = xp.arange(width + 1, dtype=x.dtype, device=device(x))
    sums = []
    for weight in weights:
        factor = weight[found.material]
        constant, linear, square = (_running(xp, place, part * factor, rows, width) for part in parts)
        integral = (square * boundary + linear) * boundary + constant
        sums.append(integral[:, 1:] - integral[:, :-1])
    return xp.stack(sums)


def _running(xp: Any, place: Array, amount: Array, rows: int, width: int) -> Array:
    """Amounts added up by place, then along each row up to each pixel's boundary."""
    added = xp.bincount(place, weights=amount, minlength=rows * (width + 2))
    return xp.cumulative_sum(xp.reshape(added, (rows, width + 2))[:, : width + 1], axis=1)


def _planes(
    seen: NDArray[np.float64], after: NDArray[np.float64], mesh: Mesh
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.bool_]]:
    """For each face, depth's slopes in x and y, depth at the origin, and whether the face is not edge-on.

    Normals by Newell's method (Sutherland et al., 1974), which takes any flat loop.
    """
    faces = len(mesh.sign)
    x, y, z = ((seen[:, a] - after[:, a]) * (seen[:, b] + after[:, b]) for a, b in ((1, 2), (2, 0), (0, 1)))
    normal = np.column_stack([np.bincount(mesh.face, part, faces) for part in (x, y, z)])
    corners = np.bincount(mesh.face, minlength=faces)
    middle = np.column_stack([np.bincount(mesh.face, seen[:, axis], faces) for axis in range(3)]) / corners[:, None]
    faced = np.abs(normal[:, 2]) > _FLAT * (np.abs(normal).sum(axis=1) + _FLAT)
    slopes = -normal[:, :2] / np.where(faced, normal[:, 2], 1.0)[:, None]
    offsets = middle[:, 2] - (slopes * middle[:, :2]).sum(axis=1)
    return slopes, offsets, faced
