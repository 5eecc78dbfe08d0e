"""What a detector is."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from xray_agent_tools.detector.package import ModelPackage
from xray_agent_tools.detector.preprocess import Content


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
class ContentDetector(Detector, Protocol):
    """A detector that computes nothing twice of a view, and may look at several views at once."""

    @property
    def takes_batches(self) -> bool:
        """Whether its network takes any number of views, which saves time where the device has room for them."""

    def look(self, contents: Sequence[Content], *, floors: Sequence[float]) -> list[list[RawDetection]]:
        """What :meth:`Detector.detect` gives for each view, with a floor for each.

        Raises:
            ModelUnavailable: the network failed.
        """


def detect_all(
    detector: Detector,
    views: Sequence[Content],
    floors: Sequence[float],
    begun: Callable[[int], None],
) -> list[list[RawDetection]]:
    """Look at views, at once where the detector can.

    Args:
        detector: looks.
        views: what at.
        floors: for each view the lowest confidence to return, 0..1.
        begun: told the index of each view when its look begins.

    Raises:
        ModelUnavailable: the network failed.
    """
    prepared = detector if isinstance(detector, ContentDetector) else None
    if prepared is not None and prepared.takes_batches and len(views) > 1:
        for index in range(len(views)):
            begun(index)
        return prepared.look(views, floors=floors)
    found = []
    for index, (view, floor) in enumerate(zip(views, floors, strict=True)):
        begun(index)
        if prepared is None:
            found.append(detector.detect(view.pixels, floor=floor))
        else:
            found += prepared.look([view], floors=[floor])
    return found
