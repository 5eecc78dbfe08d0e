"""A packed bag, what scanners see of it, and the exact truth."""

from __future__ import annotations

import zlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from xray_training.simulator.draw import Draw
from xray_training.simulator.materials import ATTENUATION_PER_MM, INDEX, REFERENCE_ENERGY
from xray_training.simulator.objects.bags import bag as draw_bag
from xray_training.simulator.objects.family import Family
from xray_training.simulator.objects.library import EVERYDAY, FAMILIES, THREATS
from xray_training.simulator.packing import Packed, pack
from xray_training.simulator.palette import colourise
from xray_training.simulator.physics import measure, transmit
from xray_training.simulator.rays import Crossings, View, crossings, deposit
from xray_training.simulator.scanners import Scanner, scanner_called, scanner_names
from xray_training.simulator.solids import Mesh, turn
from xray_training.simulator.texture import folds

Array = Any
"""A NumPy or torch array."""

Side = Literal["top", "side"]

Carry = Callable[[NDArray[Any]], Array]
"""Puts an array where the arithmetic is to run."""

VISIBLE_ATTENUATION = 0.02
"""Attenuation at 74 keV from which a pixel shows an object."""

_MARGIN_PX = 14
_REFERENCE = np.ascontiguousarray(ATTENUATION_PER_MM[None, :, REFERENCE_ENERGY])
_GRAINED = ("cloth", "paper", "foam", "leather", "water", "polyethylene", "wood")
_BENIGN = 0.4
_EVERYDAY = (7, 28)


@dataclass(frozen=True, slots=True)
class Contents:
    """Which threats a bag holds.

    Attributes:
        exactly: these, one of each mention; drawn when None.
        among: the labels that are drawn from.
        most: the most threats that are drawn for one bag; 40 % of bags get none, others ``k`` in proportion to 1/k.
    """

    exactly: tuple[str, ...] | None = None
    among: tuple[str, ...] = THREATS
    most: int = 3

    def __post_init__(self) -> None:
        """Refuse what nothing could be drawn from.

        Raises:
            ValueError: ``among`` is empty or ``most`` below 1.
        """
        if not self.among or self.most < 1:
            raise ValueError("there must be threats to draw from, and at least one to draw; for none, exactly=()")


@dataclass(frozen=True, slots=True)
class Truth:
    """One object of a simulated scan.

    Attributes:
        label: canonical label, or the name of an everyday thing.
        threat: whether it is a threat item.
        box: x_min, y_min, x_max, y_max in pixels.
        occlusion: share (0..1) of its silhouette where everything else attenuates more than it does.
        materials: what it is made of.
        silhouette: where it would show alone, the pixels of its box, bool.
        visible: where it attenuates at least as much as everything else, the pixels of its box, bool.
    """

    label: str
    threat: bool
    box: tuple[float, float, float, float]
    occlusion: float
    materials: tuple[str, ...]
    silhouette: NDArray[np.bool_]
    visible: NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class SimulatedScan:
    """A simulated scan: RGB pixels (height, width, 3) 0..255, and what is in it."""

    pixels: NDArray[np.uint8]
    objects: tuple[Truth, ...]
    scanner: str
    seed: int
    view: Side = "top"


ANYTHING = Contents()
"""Any threats, at the usual rates."""


def simulate(seed: int, *, scanner: str = "alder", threats: Sequence[str] | None = None) -> SimulatedScan:
    """Pack a bag and scan it from the top.

    The same seed, scanner and threats give the same pixels on every machine.

    Args:
        seed: everything random follows from it and the other arguments.
        scanner: name of a virtual scanner, or ``wild`` for one that the seed draws.
        threats: labels of the threat items to pack; drawn at random (none in 40 % of bags) when not given.

    Raises:
        KeyError: there is no such scanner or threat.
    """
    contents = Contents(None if threats is None else tuple(threats))
    return simulate_views(seed, scanner=scanner, contents=contents)[0]


def simulate_views(
    seed: int,
    *,
    scanner: str = "alder",
    contents: Contents = ANYTHING,
    views: Sequence[Side] = ("top",),
    carry: Carry = np.asarray,
) -> tuple[SimulatedScan, ...]:
    """Pack a bag and scan it from one or two sides.

    Args:
        seed: everything random follows from it and the other arguments.
        scanner: name of a virtual scanner, or ``wild`` for one that the seed draws.
        contents: which threats are packed.
        views: from where.
        carry: puts arrays where the arithmetic is to run, on torch's GPU for example; the pixels come out the same
            within rounding.

    Raises:
        KeyError: there is no such scanner or threat.
    """
    if scanner not in scanner_names():
        raise KeyError(scanner)
    key = (seed, zlib.crc32(scanner.encode()))
    device = scanner_called(scanner, Draw(*key, 0))
    shell, things = _packed_bag(Draw(*key, 1), contents)
    scans = []
    for number, side in enumerate(views):
        pixels, objects = _scanned(shell, things, side, device, Draw(*key, 2 + number), carry)
        scans.append(SimulatedScan(pixels, objects, scanner, seed, side))
    return tuple(scans)


def _packed_bag(draw: Draw, contents: Contents) -> tuple[Mesh, list[Packed]]:
    """A bag's shell, and the things in it, turned as they lie on the belt."""
    container = draw_bag(draw)
    labels = contents.exactly if contents.exactly is not None else _drawn_threats(contents, draw)
    packed = [(FAMILIES[label], True) for label in labels]
    weights = [FAMILIES[label].weight for label in EVERYDAY]
    for _ in range(round(draw.integer(*_EVERYDAY) * container.fullness)):
        family = FAMILIES[draw.choice(EVERYDAY, weights)]
        packed.insert(draw.integer(0, len(packed)), (family, False))
    families, keep = [family for family, _ in packed], [kept for _, kept in packed]
    things = list(pack(container, families, keep, draw))
    yaw = draw.uniform(-8, 8) + (draw.choice([0.0, 90.0, 180.0, 270.0]) if draw.chance(0.5) else draw.uniform(0, 360))
    rotation, still = turn("z", yaw), np.zeros(3)
    shell = container.solid.mesh().moved(rotation, still)
    return shell, [Packed(thing.family, thing.mesh.moved(rotation, still)) for thing in things]


def _drawn_threats(contents: Contents, draw: Draw) -> tuple[str, ...]:
    if draw.chance(_BENIGN):
        return ()
    counts = range(1, contents.most + 1)
    weights = [FAMILIES[label].weight for label in contents.among]
    drawn = draw.choice(counts, [1 / number for number in counts])
    return tuple(draw.choice(contents.among, weights) for _ in range(drawn))


def _scanned(
    shell: Mesh, things: Sequence[Packed], side: Side, scanner: Scanner, draw: Draw, carry: Carry
) -> tuple[NDArray[np.uint8], tuple[Truth, ...]]:
    meshes = [shell, *(thing.mesh for thing in things)]
    view = _view(meshes, side, scanner, draw)
    seen = [view.project(mesh.points) for mesh in meshes]
    corner = np.floor(np.min([points.min(axis=0) for points in seen], axis=0)) - _MARGIN_PX
    width, rows = (
        int(size) + _MARGIN_PX for size in np.ceil(np.max([points.max(axis=0) for points in seen], axis=0) - corner)[:2]
    )
    seen = [points - corner for points in seen]
    found = [crossings(mesh, points, rows) for mesh, points in zip(meshes, seen, strict=True)]
    everything = _gathered(found, carry)
    attenuation = deposit(everything, carry(np.ascontiguousarray(ATTENUATION_PER_MM.T)), width, rows)
    patches = [_Patch.of(crossed, points, width, rows) for crossed, points in zip(found[1:], seen[1:], strict=True)]
    for thing, crossed, patch in zip(things, found[1:], patches, strict=True):
        if thing.family.grain > 0:
            _roughen(attenuation, thing.family, crossed, patch, draw, carry)
    total = _on_cpu(attenuation[REFERENCE_ENERGY])
    pixels = _on_cpu(colourise(measure(transmit(attenuation), scanner, draw), scanner.palette))
    truths = (_truth(thing, patch, total) for thing, patch in zip(things, patches, strict=True))
    return np.asarray(pixels, dtype=np.uint8), tuple(truth for truth in truths if truth is not None)


def _view(meshes: Sequence[Mesh], side: Side, scanner: Scanner, draw: Draw) -> View:
    """The scanner's eye: from above or from the side, a little askew, the source near the bag's middle."""
    axes = turn("x", draw.uniform(-12, 12))
    if side == "side":
        axes = turn("x", 90) @ axes
    across = np.concatenate([mesh.points @ axes[1] for mesh in meshes])
    middle = float(across.min() + across.max()) / 2
    belt = min(float((mesh.points @ axes[2]).min()) for mesh in meshes)
    return View(axes, scanner.pitch_mm, scanner.source_mm, middle + draw.uniform(-80, 80), belt)


def _gathered(found: Sequence[Crossings], carry: Carry) -> Crossings:
    parts = ([getattr(crossed, name) for crossed in found] for name in ("x", "row", "value", "slope", "material"))
    return Crossings(*(carry(np.concatenate(part)) for part in parts))


@dataclass(frozen=True, slots=True)
class _Patch:
    """The window of one object: its corner in the picture and its attenuation at 74 keV, shape (height, width)."""

    left: int
    top: int
    own: NDArray[np.float64]

    @classmethod
    def of(cls, found: Crossings, seen: NDArray[np.float64], width: int, rows: int) -> _Patch:
        left, top = (max(0, int(low)) for low in np.floor(seen.min(axis=0))[:2])
        right, bottom = (int(high) + 1 for high in np.ceil(seen.max(axis=0))[:2])
        size = min(right, width) - left, min(bottom, rows) - top
        return cls(left, top, deposit(found, _REFERENCE, *size, left=left, top=top)[0])

    @property
    def window(self) -> tuple[slice, slice]:
        height, width = self.own.shape
        return slice(self.top, self.top + height), slice(self.left, self.left + width)


def _roughen(attenuation: Array, family: Family, found: Crossings, patch: _Patch, draw: Draw, carry: Carry) -> None:
    """Make an object's soft matter uneven: its path lengths times 1 plus the grain's share of a noise."""
    height, width = patch.own.shape
    noise = carry(family.grain * folds(draw, height, width))
    for name in _GRAINED:
        if not np.any(found.material == INDEX[name]):
            continue
        one = np.zeros((1, len(INDEX)))
        one[0, INDEX[name]] = 1.0
        path = carry(deposit(found, one, width, height, left=patch.left, top=patch.top)[0]) * noise
        for layer, per_mm in zip(attenuation, ATTENUATION_PER_MM[INDEX[name]], strict=True):
            layer[patch.window] += path * float(per_mm)


def _truth(thing: Packed, patch: _Patch, total: NDArray[np.float64]) -> Truth | None:
    """What can be known of an object; None where nothing of it shows."""
    shown = patch.own > VISIBLE_ATTENUATION
    if not shown.any():
        return None
    rows, columns = np.flatnonzero(shown.any(axis=1)), np.flatnonzero(shown.any(axis=0))
    inside = slice(rows[0], rows[-1] + 1), slice(columns[0], columns[-1] + 1)
    own = patch.own[inside]
    silhouette = shown[inside]
    visible = silhouette & (total[patch.window][inside] - own <= own)
    left, top = patch.left + int(columns[0]), patch.top + int(rows[0])
    box = (float(left), float(top), float(left + own.shape[1]), float(top + own.shape[0]))
    label = thing.family.label
    occlusion = 1 - float(visible.sum()) / float(silhouette.sum())
    return Truth(label, label in THREATS, box, occlusion, thing.mesh.materials(), silhouette, visible)


def _on_cpu(array: Array) -> NDArray[Any]:
    return array if isinstance(array, np.ndarray) else np.asarray(array.cpu())
