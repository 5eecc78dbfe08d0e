"""Small pictures made here, and a detector that says what a test wants it to say."""

from __future__ import annotations

from collections.abc import Sequence
from io import BytesIO
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from xray_agent_tools.detector.package import ModelPackage, load_package
from xray_agent_tools.detector.protocol import RawDetection
from xray_agent_tools.report import ThreatReport
from xray_agent_tools.scan import load_scan
from xray_agent_tools.screener import Screener

ORANGE, GREEN, BLUE, BLACK = (188, 138, 70), (124, 168, 104), (76, 114, 182), (10, 10, 12)


def bag(width: int = 300, height: int = 200) -> NDArray[np.uint8]:
    """A scan-like picture: white belt, an orange bag, a blue bar, a green patch."""
    pixels = np.full((height, width, 3), 255, dtype=np.uint8)
    pixels[height // 8 : -height // 8, width // 8 : -width // 8] = ORANGE
    pixels[height // 3 : height // 2, width // 5 : width // 2] = BLUE
    pixels[height // 2 : height * 2 // 3, width // 2 : width * 3 // 4] = GREEN
    grain = np.random.default_rng(0).integers(-20, 21, (height, width, 1))
    return np.where(pixels < 255, (pixels + grain).clip(0, 254), 255).astype(np.uint8)


def encoded(pixels: NDArray[Any], form: str = "PNG", **options: Any) -> bytes:
    """A picture's bytes in a file format."""
    buffer = BytesIO()
    Image.fromarray(pixels).save(buffer, format=form, **options)
    return buffer.getvalue()


KNOWN = (
    *("gun", "knife", "scissors", "wrench", "pliers", "hammer", "lighter", "power_bank", "spray_can", "bullet"),
    *("handcuffs", "baton"),
)
"""What the detectors of these tests look for, whatever the embedded model does."""


def package_of(*simulated_only: str) -> ModelPackage:
    """The embedded package as if it knew :data:`KNOWN`, validated on real scans, and more on simulated ones alone."""
    package = load_package("default")
    points = {point.label: point for point in package.manifest.classes}
    template = points["gun"]
    classes = [points[label].model_copy(update={"evidence": "real_scans"}) for label in KNOWN]
    classes += [template.model_copy(update={"label": x, "evidence": "simulated_scans"}) for x in simulated_only]
    return ModelPackage(package.folder, package.manifest.model_copy(update={"classes": tuple(classes)}))


class ScriptedDetector:
    """Reports the given boxes on every scan but the canary, which alarms while ``alive``."""

    def __init__(
        self, boxes: Sequence[RawDetection] = (), *, alive: bool = True, package: ModelPackage | None = None
    ) -> None:
        self.package: ModelPackage = package or package_of()
        self.backend = "scripted"
        self.boxes = list(boxes)
        self.alive = alive
        self.calls = 0
        self._canary = load_scan(self.package.canary_bytes()).views[0].pixels

    def detect(self, pixels: NDArray[np.uint8], *, floor: float) -> list[RawDetection]:
        if pixels.shape == self._canary.shape and np.array_equal(pixels, self._canary):
            label = self.package.manifest.canary.label
            return [RawDetection(label, 0.99, (1.0, 1.0, 9.0, 9.0))] if self.alive else []
        self.calls += 1
        return [box for box in self.boxes if box.confidence >= floor]


def found(
    label: str, confidence: float = 0.97, box: tuple[float, float, float, float] = (60, 68, 120, 100)
) -> RawDetection:
    """A box as a detector gives it."""
    return RawDetection(label, confidence, box)


def screener_that_finds(*boxes: RawDetection, alive: bool = True) -> Screener:
    """A screener whose detector reports the given boxes."""
    return Screener(model=ScriptedDetector(boxes, alive=alive))


def report_with(*boxes: RawDetection) -> ThreatReport:
    """A finished report with the given boxes on the bag."""
    return screener_that_finds(*boxes).detect_threats(bag())
