"""Path lengths of solids in any pose, for tests that reason about volumes and chords."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from xray_training.simulator.materials import INDEX, MATERIALS
from xray_training.simulator.rays import View, crossings, deposit
from xray_training.simulator.solids import Mesh, turn

FAR_MM = 1e9


def pose(yaw: float, tilt: float, roll: float) -> NDArray[np.float64]:
    """A rotation by three angles in degrees."""
    return turn("z", yaw) @ turn("x", tilt) @ turn("y", roll)


def paths(mesh: Mesh, rotation: NDArray[np.float64], material: str, *, pitch: float = 1.0) -> NDArray[np.float64]:
    """Millimetres of a material along parallel rays through a turned solid."""
    turned = mesh.moved(rotation, np.zeros(3))
    seen = View(np.eye(3), (pitch, pitch), FAR_MM, 0.0).project(turned.points)
    seen = seen - np.array([*(np.floor(seen.min(axis=0)[:2]) - 3), 0.0])
    width, rows = (int(size) + 4 for size in np.ceil(seen.max(axis=0)[:2]))
    weights = np.zeros((1, len(MATERIALS)))
    weights[0, INDEX[material]] = 1.0
    return np.asarray(deposit(crossings(turned, seen, rows), weights, width, rows)[0])
