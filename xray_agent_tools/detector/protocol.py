"""What a detector is."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from xray_agent_tools.detector.package import ModelPackage


@dataclass(frozen=True, slots=True)
class RawDetection:
    """A box as a detector gives it.

    Attributes:
        label: canonical label.
        confidence: calibrated, 0..1.
        box: x_min, y_min, x_max, y_max in pixels of the view, inside it.
    """

    label: str
    confidence: float
    box: tuple[float, float, float, float]


class Detector(Protocol):
    """Finds items on one view. Implementations are safe to call from several threads."""

    @property
    def package(self) -> ModelPackage:
        """The model package it runs."""

    @property
    def backend(self) -> str:
        """What runs the network, for people."""

    def detect(self, pixels: NDArray[np.uint8], *, floor: float) -> list[RawDetection]:
        """Every box with at least the given confidence, most certain first.

        Args:
            pixels: RGB, shape (height, width, 3), 0..255.
            floor: lowest calibrated confidence to return, 0..1.

        Raises:
            ModelUnavailable: the network failed.
        """
