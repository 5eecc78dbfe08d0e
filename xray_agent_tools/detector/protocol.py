"""What a detector is."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

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


@runtime_checkable
class BatchDetector(Detector, Protocol):
    """A detector that looks at several views at once, which saves time where the device has room for them."""

    def detect_many(self, views: Sequence[NDArray[np.uint8]], *, floors: Sequence[float]) -> list[list[RawDetection]]:
        """What :meth:`Detector.detect` gives for each view, with a floor for each.

        Raises:
            ModelUnavailable: the network failed.
        """


def detect_all(
    detector: Detector, views: Sequence[NDArray[np.uint8]], floors: Sequence[float]
) -> list[list[RawDetection]]:
    """Look at views, at once where the detector can, with a floor for each.

    Raises:
        ModelUnavailable: the network failed.
    """
    if isinstance(detector, BatchDetector) and len(views) > 1:
        return detector.detect_many(views, floors=floors)
    return [detector.detect(view, floor=floor) for view, floor in zip(views, floors, strict=True)]
