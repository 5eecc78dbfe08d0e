"""How far each ray runs through matter.

A ray enters and leaves a closed surface through its faces, so the length inside is the sum of the depths at
which it leaves less the sum of those at which it enters. Seen along the rays, a face is a polygon over which
depth is linear, and whether it is left or entered is the sense in which its outline turns. Along a row of the
detector such a polygon is a jump in value and in slope at each edge that the row crosses; integrating twice
gives the depth, a third time its mean over each pixel. So a scene is a list of crossings, and any weighted sum
of its path lengths (through one material, or attenuation at one energy) is two running sums and a term for the
pixel that the crossing lies in.

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
"""Rows sampled within each pixel; along a row the mean over a pixel is exact."""

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
        belt: the ray coordinate of the belt, in millimetres.
    """

    axes: NDArray[np.float64]
    pitch: tuple[float, float]
    source: float
    centre: float
    belt: float = 0.0

    def project(self, points: NDArray[np.float64]) -> NDArray[np.float64]:
        """Points of one object as picture x, y (pixels) and depth along the ray (mm), shape (n, 3).

        The picture's origin is where the rows' and columns' millimetres are 0. Within an object the rays count as
        parallel; from object to object they fan out.
        """
        along, across, depth = (points @ self.axes.T).T
        height = float(depth.mean()) - self.belt
        lean = (float(across.mean()) - self.centre) / max(self.source - height, 1.0)
        seen = across + (depth - self.belt - height) * lean
        magnified = self.centre + (seen - self.centre) * self.source / max(self.source - height, 1.0)
        x = along / self.pitch[0]
        y = magnified / self.pitch[1]
        return np.column_stack([x, y, depth * float(np.sqrt(1 + lean * lean))])


@dataclass(frozen=True, slots=True)
class Crossings:
    """Where rows of the detector cross the edges at which two faces meet; arrays of one length.

    Attributes:
        x: place on the row, pixels.
        row: the row.
        value: jump in path length from one face to the other, mm.
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
    slopes, offsets = _planes(seen, mesh)
    begin, finish, left, right = mesh.edges.T
    kept = np.flatnonzero(seen[begin, 1] != seen[finish, 1])
    start, end = seen[begin[kept]], seen[finish[kept]]
    left, right = left[kept], right[kept]
    top, bottom = np.minimum(start[:, 1], end[:, 1]) * SAMPLES, np.maximum(start[:, 1], end[:, 1]) * SAMPLES
    first = np.clip(np.ceil(top - 0.5), 0, rows * SAMPLES).astype(np.int64)
    last = np.clip(np.ceil(bottom - 0.5), 0, rows * SAMPLES).astype(np.int64)
    counts = np.maximum(last - first, 0)
    edge = np.repeat(np.arange(len(kept)), counts)
    sample = np.arange(len(edge)) + np.repeat(first - np.cumsum(counts) + counts, counts)
    y = (sample + 0.5) / SAMPLES
    share = np.clip((y - start[edge, 1]) / (end[edge, 1] - start[edge, 1]), 0, 1)
    x = start[edge, 0] + share * (end[edge, 0] - start[edge, 0])
    sense = np.where(end[:, 1] > start[:, 1], -1.0, 1.0) * mesh.sign[left] / SAMPLES
    slope = sense[:, None] * (slopes[left] - slopes[right])
    offset = sense * (offsets[left] - offsets[right])
    value = offset[edge] + slope[edge, 0] * x + slope[edge, 1] * y
    return Crossings(x, sample // SAMPLES, value, slope[edge, 0], mesh.material[left][edge])


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
    pixel = xp.clip(xp.floor(x), -1.0, float(width))
    place = (found.row - top) * (width + 2) + xp.astype(pixel, xp.int64) + 1
    rest = xp.clip(pixel + 1.0 - x, 0.0, 1.0)
    within = (found.value + found.slope * rest / 2) * rest
    level = found.value - found.slope * x
    middle = xp.arange(width, dtype=x.dtype, device=device(x)) + 0.5
    sums = []
    for weight in weights:
        factor = weight[found.material]
        first, before, slope = (
            xp.reshape(xp.bincount(place, weights=part * factor, minlength=rows * (width + 2)), (rows, width + 2))
            for part in (within, level, found.slope)
        )
        levels = xp.cumulative_sum(before[:, :width], axis=1)
        slopes = xp.cumulative_sum(slope[:, :width], axis=1)
        sums.append(first[:, 1 : width + 1] + levels + slopes * middle)
    return xp.stack(sums)


def _planes(seen: NDArray[np.float64], mesh: Mesh) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """For each face, depth's slopes in x and y, shape (faces, 2), and depth at the origin, shape (faces,).

    A face seen on edge covers nothing and gets zeros. Normals by Newell's method (Sutherland et al., 1974), which takes
    any flat loop.
    """
    faces = len(mesh.sign)
    here, after = seen[mesh.corner], seen[mesh.ahead]
    normal = [
        np.bincount(mesh.face, (here[:, a] - after[:, a]) * (here[:, b] + after[:, b]), faces)
        for a, b in ((1, 2), (2, 0), (0, 1))
    ]
    corners = np.bincount(mesh.face, minlength=faces)
    middle = [np.bincount(mesh.face, here[:, axis], faces) / corners for axis in range(3)]
    faced = np.abs(normal[2]) > _FLAT * (np.abs(normal[0]) + np.abs(normal[1]) + np.abs(normal[2]) + _FLAT)
    share = faced / np.where(faced, normal[2], 1.0)
    slopes = np.column_stack([-normal[0] * share, -normal[1] * share])
    offsets = np.where(faced, middle[2] - slopes[:, 0] * middle[0] - slopes[:, 1] * middle[1], 0.0)
    return slopes, offsets
