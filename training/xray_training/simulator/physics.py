"""From attenuation to what two detectors behind each other read, on NumPy or torch arrays alike."""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np
from array_api_compat import array_namespace, device
from numpy.typing import NDArray

from xray_training.simulator.draw import Draw
from xray_training.simulator.materials import WEIGHTS_HIGH, WEIGHTS_LOW
from xray_training.simulator.scanners import Scanner

Array = Any
"""A NumPy or torch array."""

_LOW_TO_HIGH_PHOTONS = 0.6
_SCATTER_CELL = 16
_SCATTER_CELLS = 2.5
_DEAD_LEVEL = 0.06


def transmit(attenuation: Array) -> Array:
    """Ideal low- and high-energy transmission, 0..1, shape (2, height, width).

    ``T_b = sum_E w_b(E) exp(-A(E))`` with ``A(E) = sum_m mu_m(E) t_m``: along a ray attenuations add, so what lies
    on top of each other multiplies.

    Args:
        attenuation: attenuation (no unit) along the ray at each energy, shape (energies, height, width).
    """
    xp = array_namespace(attenuation)
    energies, height, width = attenuation.shape
    weights = xp.asarray(np.stack([WEIGHTS_LOW, WEIGHTS_HIGH]), device=device(attenuation))
    survived = xp.reshape(xp.exp(-attenuation), (energies, height * width))
    return xp.reshape(weights @ survived, (2, height, width))


def measure(ideal: Array, scanner: Scanner, draw: Draw) -> Array:
    """What a scanner records of ideal transmissions: scatter, blur, quantum and electronic noise, uneven rows.

    Args:
        ideal: low- and high-energy transmission, shape (2, height, width).
        scanner: the scanner.
        draw: the noise follows from it.

    Returns:
        The recorded transmissions, ``scanner.floor``..1, same shape.
    """
    xp = array_namespace(ideal)
    rows, columns = ideal.shape[1:]

    def carried(values: NDArray[np.float64]) -> Array:
        return xp.asarray(values, device=device(ideal))

    blurred = _filtered(ideal, _kernel(scanner.blur_px, scanner.sharpening))
    signal = (1 - scanner.scatter) * blurred + scanner.scatter * _scattered(ideal)
    photons = carried(np.array([scanner.photons * _LOW_TO_HIGH_PHOTONS, scanner.photons]).reshape(2, 1, 1))
    spread = xp.sqrt(xp.clip(signal, 0.0, 1.0) / photons + scanner.electronic**2)
    noisy = signal + spread * carried(draw.normals(2, rows, columns))
    gain = 1 + scanner.row_gain * draw.normals(2, rows, 1)
    dead, chance_of_one_more = divmod(scanner.dead_rows, 1)
    for _ in range(int(dead) + draw.chance(chance_of_one_more)):
        gain[:, draw.integer(0, rows - 1)] += draw.uniform(-_DEAD_LEVEL, _DEAD_LEVEL)
    return xp.clip(noisy * carried(gain), scanner.floor, 1.0)


@cache
def _kernel(blur: float, sharpening: float) -> tuple[float, ...]:
    """One axis of blur and edge enhancement: a Gaussian plus what a wider one leaves of it."""
    place = np.arange(-2, 3)
    narrow = np.exp(-0.5 * (place / max(blur, 0.1)) ** 2)
    wide = np.exp(-0.5 * (place / 1.6) ** 2)
    narrow, wide = narrow / narrow.sum(), wide / wide.sum()
    return tuple(float(value) for value in narrow + 0.5 * sharpening * (narrow - wide))


def _filtered(bands: Array, kernel: tuple[float, ...]) -> Array:
    """Both axes filtered with a symmetric kernel, the edges repeated."""
    xp = array_namespace(bands)
    radius = len(kernel) // 2
    for axis in (1, 2):
        size = bands.shape[axis]
        place = xp.clip(xp.arange(-radius, size + radius, device=device(bands)), 0, size - 1)
        padded = xp.take(bands, place, axis=axis)

        def shifted(step: int, padded: Array = padded, axis: int = axis, size: int = size) -> Array:
            return padded[:, step : step + size, :] if axis == 1 else padded[:, :, step : step + size]

        summed = shifted(radius) * kernel[radius]
        for step in range(radius):
            summed = summed + (shifted(step) + shifted(len(kernel) - 1 - step)) * kernel[step]
        bands = summed
    return bands


def _scattered(bands: Array) -> Array:
    """Transmission blurred over about 40 pixels: means over coarse cells, smoothed, and interpolated back."""
    xp = array_namespace(bands)
    (down, up), (across, back) = (
        (xp.asarray(matrix, device=device(bands)) for matrix in _coarse(size)) for size in bands.shape[1:]
    )
    return up @ (down @ bands @ xp.matrix_transpose(across)) @ xp.matrix_transpose(back)


@cache
def _coarse(size: int) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """The smoothed means over cells, shape (cells, size), and linear interpolation back, shape (size, cells)."""
    cells = max(1, -(-size // _SCATTER_CELL))
    cell = np.minimum(np.arange(size) * cells // size, cells - 1)
    means = np.equal.outer(np.arange(cells), cell).astype(np.float64)
    means /= means.sum(axis=1, keepdims=True)
    gauss = np.exp(-0.5 * (np.subtract.outer(np.arange(cells), np.arange(cells)) / _SCATTER_CELLS) ** 2)
    gauss /= gauss.sum(axis=1, keepdims=True)
    place = np.clip((np.arange(size) + 0.5) * cells / size - 0.5, 0, cells - 1)
    return gauss @ means, np.maximum(0, 1 - np.abs(np.subtract.outer(place, np.arange(cells))))
