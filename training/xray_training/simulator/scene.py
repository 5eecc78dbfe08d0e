"""A packed bag and its exact truth."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from xray_training.simulator.clutter import EVERYDAY, bag
from xray_training.simulator.materials import ATTENUATION_PER_MM
from xray_training.simulator.palette import SCANNERS, colourise
from xray_training.simulator.physics import measure, transmit
from xray_training.simulator.solids import Solid
from xray_training.simulator.threats import THREATS

_MARGIN_MM = 40
_REFERENCE_ENERGY = 3
_VISIBLE_ATTENUATION = 0.05


@dataclass(frozen=True, slots=True)
class Truth:
    """One object of a simulated scan.

    Attributes:
        label: canonical label, or the name of an everyday thing.
        threat: whether it is a threat item.
        box: x_min, y_min, x_max, y_max in pixels.
        occlusion: share (0..1) of its area where everything else attenuates more than it does.
    """

    label: str
    threat: bool
    box: tuple[float, float, float, float]
    occlusion: float


@dataclass(frozen=True, slots=True)
class SimulatedScan:
    """A simulated scan: RGB pixels (height, width, 3) 0..255, and what is in it."""

    pixels: NDArray[np.uint8]
    objects: tuple[Truth, ...]
    scanner: str
    seed: int


def simulate(seed: int, *, scanner: str = "alder", threats: Sequence[str] | None = None) -> SimulatedScan:
    """Pack and scan a bag.

    Args:
        seed: everything random follows from it and the other arguments.
        scanner: name of a virtual scanner.
        threats: labels of the threat items to pack; drawn at random (often none) when not given.
    """
    rng = np.random.default_rng([seed, sorted(SCANNERS).index(scanner)])
    device = SCANNERS[scanner]
    width, height = round(rng.uniform(380, 560)), round(rng.uniform(280, 400))
    frame = (height + 2 * _MARGIN_MM, width + 2 * _MARGIN_MM)
    shell = bag(width, height, rng)
    base = np.zeros((shell.thickness.shape[0], *frame), np.float32)
    base[:, _MARGIN_MM : _MARGIN_MM + height, _MARGIN_MM : _MARGIN_MM + width] = shell.thickness
    labels = list(threats) if threats is not None else _draw_threats(rng)
    everyday = [str(name) for name in rng.choice(list(EVERYDAY), int(rng.integers(4, 10)))]
    packed = [(name, False, EVERYDAY[name](rng)) for name in everyday]
    packed += [(label, True, THREATS[label](rng)) for label in labels]
    placed = [(name, threat, _put(solid, frame, rng)) for name, threat, solid in packed]
    total = base + np.sum([thickness for _, _, thickness in placed], axis=0)
    size = (round(frame[1] / device.pitch_mm), round(frame[0] / device.pitch_mm))
    low, high = transmit(
        np.stack([np.asarray(cv2.resize(layer, size, interpolation=cv2.INTER_AREA)) for layer in total])
    )
    pixels = colourise(*measure((low, high), device, rng), device)
    attenuation = _attenuation(total)
    objects = tuple(
        truth
        for name, threat, thickness in placed
        if (truth := _truth(name, threat, thickness, attenuation, device.pitch_mm)) is not None
    )
    return SimulatedScan(pixels, objects, scanner, seed)


def _draw_threats(rng: np.random.Generator) -> list[str]:
    count = int(rng.choice([0, 1, 2, 3], p=[0.35, 0.4, 0.15, 0.1]))
    return [str(label) for label in rng.choice(list(THREATS), count)]


def _put(solid: Solid, frame: tuple[int, int], rng: np.random.Generator) -> NDArray[np.float32]:
    """Turn a solid by a random angle and lay it somewhere in the bag."""
    width, height = solid.size
    angle = rng.uniform(0, 2 * math.pi)
    rotation = np.array([[math.cos(angle), -math.sin(angle)], [math.sin(angle), math.cos(angle)]])
    if rng.random() < 0.5:
        rotation = rotation @ np.diag([1.0, -1.0])
    reach = np.abs(rotation) @ np.array([width, height]) / 2
    inner = np.array([frame[1], frame[0]], dtype=np.float64)
    slack = np.maximum(inner / 2 - _MARGIN_MM - 12 - reach, 0)
    centre = inner / 2 + rng.uniform(-1, 1, 2) * slack
    matrix = np.column_stack([rotation, centre - rotation @ (np.array([width, height]) / 2)])
    used = np.flatnonzero(solid.thickness.any(axis=(1, 2)))
    placed = np.zeros((solid.thickness.shape[0], *frame), np.float32)
    for material in used:
        placed[material] = cv2.warpAffine(solid.thickness[material], matrix, (frame[1], frame[0]))
    return placed


def _attenuation(thickness: NDArray[np.float32]) -> NDArray[np.float64]:
    return np.asarray(np.tensordot(ATTENUATION_PER_MM[:, _REFERENCE_ENERGY], thickness, axes=1))


def _truth(
    label: str, threat: bool, thickness: NDArray[np.float32], total: NDArray[np.float64], pitch: float
) -> Truth | None:
    own = _attenuation(thickness)
    mask = own > _VISIBLE_ATTENUATION
    if not mask.any():
        return None
    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    hidden = (total - own)[mask] > own[mask]
    box = (columns[0] / pitch, rows[0] / pitch, (columns[-1] + 1) / pitch, (rows[-1] + 1) / pitch)
    return Truth(label, threat, (float(box[0]), float(box[1]), float(box[2]), float(box[3])), float(hidden.mean()))
