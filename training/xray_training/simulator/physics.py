"""From thickness to what two detectors behind each other read."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from xray_training.simulator.materials import ATTENUATION_PER_MM, WEIGHTS_HIGH, WEIGHTS_LOW
from xray_training.simulator.palette import Scanner

Transmissions = tuple[NDArray[np.float64], NDArray[np.float64]]


def transmit(thickness: NDArray[np.float32]) -> Transmissions:
    """Ideal low- and high-energy transmission, 0..1, shape (height, width).

    ``T_b = sum_E w_b(E) exp(-sum_m mu_m(E) t_m)``: along a ray thicknesses add, so what lies on top
    of each other multiplies.

    Args:
        thickness: millimetres of each material along the ray, shape (materials, height, width).
    """
    depth = np.tensordot(ATTENUATION_PER_MM.T, thickness, axes=1)
    survived = np.exp(-depth)
    return np.tensordot(WEIGHTS_LOW, survived, axes=1), np.tensordot(WEIGHTS_HIGH, survived, axes=1)


def measure(ideal: Transmissions, scanner: Scanner, rng: np.random.Generator) -> Transmissions:
    """What the scanner records of an ideal transmission: scatter, blur, quantum noise, row gain."""
    return (
        _read_out(ideal[0], scanner, scanner.photons * 0.6, rng),
        _read_out(ideal[1], scanner, scanner.photons, rng),
    )


def _read_out(
    transmission: NDArray[np.float64], scanner: Scanner, photons: float, rng: np.random.Generator
) -> NDArray[np.float64]:
    scattered = cv2.GaussianBlur(transmission, (0, 0), 40.0)
    blurred = cv2.GaussianBlur(transmission, (0, 0), scanner.blur_px)
    signal = (1 - scanner.scatter) * np.asarray(blurred) + scanner.scatter * np.asarray(scattered)
    counted = rng.poisson(signal * photons) / photons
    gain = 1 + rng.normal(0, scanner.row_gain, (signal.shape[0], 1))
    return np.clip(counted * gain, scanner.floor, 1.0)
