"""Threats to project: simulated ones, and ones cut out of scans."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from xray_agent_tools.errors import InvalidArgument
from xray_training.projection.reading import Reading
from xray_training.simulator.draw import Draw
from xray_training.simulator.materials import ATTENUATION_PER_MM
from xray_training.simulator.objects.library import FAMILIES
from xray_training.simulator.physics import transmit
from xray_training.simulator.rays import View, crossings, deposit
from xray_training.simulator.solids import turn

_RING_PX = 6
_FAR_MM = 1e7
_LEAST_OPACITY = 0.02


@dataclass(frozen=True, slots=True)
class Threat:
    """A threat alone.

    Attributes:
        label: canonical label.
        transmissions: low- and high-energy transmission, 1 where nothing is, shape (2, height, width).
        pitch_mm: millimetres per pixel.
        origin: ``simulated``, or the scan that it was cut out of.
    """

    label: str
    transmissions: NDArray[np.float64]
    pitch_mm: float
    origin: str = "simulated"

    @property
    def silhouette(self) -> NDArray[np.bool_]:
        """Where it shows, shape (height, width)."""
        return np.asarray(self.transmissions[1] < np.exp(-_LEAST_OPACITY))

    def at(self, pitch_mm: float) -> Threat:
        """The threat at another scale."""
        height, width = self.transmissions.shape[1:]
        factor = self.pitch_mm / pitch_mm
        size = max(2, round(width * factor)), max(2, round(height * factor))
        method = cv2.INTER_AREA if factor < 1 else cv2.INTER_LINEAR
        bands = [np.asarray(cv2.resize(band, size, interpolation=method)) for band in self.transmissions]
        return Threat(self.label, np.stack(bands), pitch_mm, self.origin)


def simulated_threat(label: str, draw: Draw, *, pitch_mm: float) -> Threat:
    """Make a threat in a random pose at a scale.

    Raises:
        InvalidArgument: no such thing can be simulated.
    """
    if label not in FAMILIES:
        raise InvalidArgument(f"{label!r} cannot be simulated", hint=f"one of {', '.join(sorted(FAMILIES))}")
    made = FAMILIES[label].make(draw).mesh()
    tilt = 25.0 if FAMILIES[label].stance == "flat" else 90.0
    pose = turn("z", draw.uniform(0, 360)) @ turn("x", draw.uniform(-tilt, tilt)) @ turn("y", draw.uniform(-tilt, tilt))
    mesh = made.moved(pose, np.zeros(3))
    seen = View(np.eye(3), (pitch_mm, pitch_mm), _FAR_MM, 0.0).project(mesh.points)
    seen = seen - np.array([*(np.floor(seen.min(axis=0)[:2]) - 2), 0.0])
    width, height = (int(size) + 3 for size in np.ceil(seen.max(axis=0)[:2]))
    attenuation = deposit(crossings(mesh, seen, height), ATTENUATION_PER_MM.T, width, height)
    return Threat(label, np.clip(transmit(attenuation), 0.0, 1.0), pitch_mm)


def cut_out(reading: Reading, label: str, box: tuple[float, float, float, float], *, origin: str = "a scan") -> Threat:
    """Cut a threat out of a scan: what it transmits beyond its surroundings.

    The surroundings are the median of a ring of six pixels round the box, so this suits threats on an even ground.

    Args:
        reading: the scan.
        label: canonical label.
        box: x_min, y_min, x_max, y_max in pixels.
        origin: the scan's name.

    Raises:
        InvalidArgument: the box has no pixel in the scan, or hides nothing.
    """
    rows, columns = reading.pixels.shape[:2]
    left, top = max(0, int(box[0])), max(0, int(box[1]))
    right, bottom = min(columns, int(np.ceil(box[2]))), min(rows, int(np.ceil(box[3])))
    if right - left < 2 or bottom - top < 2:
        raise InvalidArgument("the box has no pixels in the scan", hint="give corners inside the picture")
    outer = slice(max(0, top - _RING_PX), bottom + _RING_PX), slice(max(0, left - _RING_PX), right + _RING_PX)
    around = reading.transmissions(outer)
    ring = np.ones(around.shape[1:], dtype=np.bool_)
    inner = slice(top - outer[0].start, bottom - outer[0].start), slice(left - outer[1].start, right - outer[1].start)
    ring[inner] = False
    ground = np.median(around[:, ring], axis=1) if ring.any() else np.ones(2)
    through = np.clip(around[:, inner[0], inner[1]] / ground[:, None, None], 0.0, 1.0)
    threat = Threat(label, through, reading.pitch_mm, origin)
    if not threat.silhouette.any():
        raise InvalidArgument("nothing in the box is darker than its surroundings", hint="cut a visible threat out")
    return threat
