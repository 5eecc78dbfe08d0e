"""A detector whose findings a test chooses."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from xray_agent_tools.detector.package import ModelPackage, load_package
from xray_agent_tools.detector.protocol import RawDetection


class Fixed:
    """A detector that finds the same on every scan."""

    backend = "fixed"

    def __init__(self, *found: RawDetection) -> None:
        self._found = list(found)

    @property
    def package(self) -> ModelPackage:
        return load_package("default")

    def detect(self, pixels: NDArray[np.uint8], *, floor: float) -> list[RawDetection]:
        return [box for box in self._found if box.confidence >= floor]
