"""Putting things into a bag: each comes to rest on what lies below it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np

from xray_training.simulator.draw import Draw
from xray_training.simulator.objects.bags import Bag
from xray_training.simulator.objects.family import Family
from xray_training.simulator.solids import Array, Mesh, turn

_CELL_MM = 12.0
_TRIES = 6
_PATIENCE = 5
_GIVE = {"cloth": 0.2, "foam": 0.2}
_OVERFULL = 1.25


@dataclass(frozen=True, slots=True)
class Packed:
    """A thing at its place in a bag (millimetres, the bag's middle at the origin, its bottom at z = 0)."""

    family: Family
    mesh: Mesh


def pack(bag: Bag, families: Sequence[Family], keep: Sequence[bool], draw: Draw) -> Iterator[Packed]:
    """Pack things one after the other, heights added up over a coarse grid.

    Args:
        bag: where to.
        families: what, in order.
        keep: for each, whether it goes in even where the bag is full; others are then left at home, and after five
            that did not fit none is tried any more.
        draw: makes and places them.
    """
    width, height, depth = bag.room
    heights = np.zeros((max(2, round(height / _CELL_MM)), max(2, round(width / _CELL_MM))))
    refused = 0
    for family, kept in zip(families, keep, strict=True):
        if refused >= _PATIENCE and not kept:
            continue
        lying = family.make(draw).mesh()
        best = _settled(family, lying, bag, heights, draw)
        if best.badness > depth * (_OVERFULL - 1):
            if not kept:
                refused += 1
                continue
            best = best.lowered(best.top - depth)
        window = heights[best.window]
        give = min(_GIVE.get(material, 1.0) for material in lying.materials())
        raised = window.max() + give * max(best.top - window.max(), 0.0)
        heights[best.window] = np.clip(raised, window, depth)
        yield Packed(family, best.mesh.moved(np.eye(3), best.shift))


def _settled(family: Family, lying: Mesh, bag: Bag, heights: Array, draw: Draw) -> _Try:
    """The first pose and place in which a thing does not stick out, or of several tries the least bad one."""
    best = _try(lying.moved(_pose(family, draw), np.zeros(3)), bag, heights, draw)
    for _ in range(_TRIES - 1):
        if best.badness <= 0:
            break
        other = _try(lying.moved(_pose(family, draw), np.zeros(3)), bag, heights, draw)
        best = min(best, other, key=lambda tried: tried.badness)
    return best


@dataclass(frozen=True, slots=True)
class _Try:
    """A thing in a pose at a place: its shift there, the grid cells under it, its top, and how badly it fits.

    Badness is how far it rises above the bag, in millimetres, and ten times how far it is too long for it.
    """

    mesh: Mesh
    shift: Array
    window: tuple[slice, slice]
    top: float
    badness: float

    def lowered(self, by: float) -> _Try:
        """The same, pressed down among what lies there, at most to the bottom."""
        drop = min(max(by, 0.0), float(self.shift[2] + self.mesh.extent()[0][2]))
        return replace(self, shift=self.shift - np.array([0.0, 0.0, drop]), top=self.top - drop)


def _try(mesh: Mesh, bag: Bag, heights: Array, draw: Draw) -> _Try:
    """Let a thing down somewhere in the bag."""
    low, high = mesh.extent()
    size = high - low
    room = np.array(bag.room)
    slack = np.maximum(room - size, 0)[:2] / 2
    middle = np.array([draw.uniform(-1, 1), draw.uniform(-1, 1)]) * slack
    window = _window(middle, size, bag, heights.shape)
    rest = float(heights[window].max())
    shift = np.array([*middle, rest]) - np.array([*(low[:2] + high[:2]) / 2, low[2]])
    top = rest + float(size[2])
    beyond = float(np.maximum(size - room, 0)[:2].max())
    return _Try(mesh, shift, window, top, top - float(room[2]) + 10 * max(beyond - _CELL_MM, 0))


def _pose(family: Family, draw: Draw) -> Array:
    """A rotation in which such a thing may come to rest."""
    yaw = turn("z", draw.uniform(0, 360))
    if family.stance == "any" or draw.chance(0.06):
        return yaw @ turn("x", float(np.rad2deg(np.arccos(draw.uniform(-1, 1))))) @ turn("z", draw.uniform(0, 360))
    flipped = turn("x", draw.choice([0.0, 180.0]))
    if draw.chance(0.1):
        flipped = turn("x", draw.choice([90.0, -90.0]) + draw.uniform(-15, 15))
    return yaw @ turn("y", draw.uniform(-1, 1) ** 3 * 35) @ turn("x", draw.uniform(-1, 1) ** 3 * 35) @ flipped


def _window(middle: Array, size: Array, bag: Bag, shape: tuple[int, ...]) -> tuple[slice, slice]:
    slices = []
    for axis, cells in ((1, shape[0]), (0, shape[1])):
        start = (middle[axis] - size[axis] / 2) / bag.room[axis] + 0.5
        end = (middle[axis] + size[axis] / 2) / bag.room[axis] + 0.5
        first = min(max(int(start * cells), 0), cells - 1)
        slices.append(slice(first, min(max(int(np.ceil(end * cells)), first + 1), cells)))
    return slices[0], slices[1]
