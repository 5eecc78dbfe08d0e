"""Uneven matter: folds of cloth, grains of food."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from xray_training.simulator.draw import Draw

_COARSEST_PX = 48
_OCTAVES = 6
_FADE = 0.72


def folds(draw: Draw, height: int, width: int) -> NDArray[np.float64]:
    """Ridged noise over several octaves, -1..1, shape (height, width)."""
    total = np.zeros((height, width))
    for octave in range(_OCTAVES):
        cell = _COARSEST_PX / 2**octave * draw.uniform(0.7, 1.4)
        rows, columns = int(height / cell) + 2, int(width / cell) + 2
        corners = draw.uniforms(rows * columns, -1, 1).reshape(rows, columns)
        noise = _between(height, rows) @ corners @ _between(width, columns).T
        total += (1 - 2 * np.abs(noise)) * _FADE**octave
    return np.clip(total / sum(_FADE**octave for octave in range(_OCTAVES)), -1, 1)


@lru_cache(maxsize=256)
def _between(size: int, corners: int) -> NDArray[np.float64]:
    """Weights that interpolate ``corners`` values smoothly over ``size`` pixels, shape (size, corners)."""
    place = (np.arange(size) + 0.5) * (corners - 1) / size
    distance = np.abs(np.subtract.outer(place, np.arange(corners)))
    share = np.clip(1 - distance, 0, 1)
    return np.asarray(share * share * (3 - 2 * share))
