"""What the library computes of the objects of simulated scans, beside the truth."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from rich.progress import track

from xray_agent_tools.detector.preprocess import luminance
from xray_agent_tools.detector.protocol import Detector, RawDetection
from xray_agent_tools.evidence.material import material_in
from xray_agent_tools.evidence.occlusion import occlusion_in
from xray_agent_tools.evidence.surroundings import surroundings_of
from xray_agent_tools.report import Box, Material, Occlusion
from xray_agent_tools.scan import load_scan
from xray_evals.evidence_truth import TrueItem, TrueScan

FLOOR = 0.05
"""Lowest confidence of a detection that is looked at: evidence is computed for whatever is listed."""

MATCHED_FROM = 0.5
"""Intersection over union from which a detection of an item's label is that item."""

Corners = tuple[float, float, float, float]


@dataclass(frozen=True, slots=True)
class Seen:
    """An object and what was computed in a box around it.

    Attributes:
        scan: number of its scan.
        scanner: that took it.
        truth: what is known of it.
        occlusion: None where it could not be measured.
        material: None where nothing shows a colour.
        greyscale: whether the scan carries no colour, so that the material is not to be judged.
        area: the box's area, pixels.
        darkness: mean of ``ln(256 / (luminance + 1))`` in the box.
        contrast: the same around the box, over that in it.
    """

    scan: int
    scanner: str
    truth: TrueItem
    occlusion: Occlusion | None
    material: Material | None
    greyscale: bool
    area: float
    darkness: float
    contrast: float


def look_at(scans: Sequence[TrueScan], detector: Detector | None) -> tuple[list[Seen], list[Seen]]:
    """Compute the evidence of every object, in its true box and where a detector found it.

    Args:
        scans: which.
        detector: looks for the objects; None for true boxes only.

    Returns:
        The objects in their true boxes, and those that were found in the boxes of the most certain detections of their
        label with IoU of at least 0.5.

    Raises:
        XrayToolsError: a picture cannot be read, or the network failed.
    """
    true: list[Seen] = []
    found: list[Seen] = []
    for number, scan in enumerate(track(scans, description="Measuring", transient=True)):
        view = load_scan(scan.image).views[0]
        grey = luminance(view.pixels)
        detections = [] if detector is None else detector.detect(view.pixels, floor=FLOOR)
        for boxes, seen in (([(item, item.box) for item in scan.items], true), (_matched(scan, detections), found)):
            for item, corners in boxes:
                box = Box(x_min=corners[0], y_min=corners[1], x_max=corners[2], y_max=corners[3])
                seen.append(
                    Seen(
                        number,
                        scan.scanner,
                        item,
                        occlusion_in(grey, box),
                        None if view.greyscale else material_in(view.pixels, box),
                        view.greyscale,
                        (box.x_max - box.x_min) * (box.y_max - box.y_min),
                        *_shades(grey, box),
                    )
                )
    return true, found


def _matched(scan: TrueScan, detections: Sequence[RawDetection]) -> Iterator[tuple[TrueItem, Corners]]:
    """Items with the most certain detection that fits them, each detection used once."""
    left = list(scan.items)
    for detection in sorted(detections, key=lambda one: -one.confidence):
        alike = [item for item in left if item.label == detection.label]
        best = max(alike, key=lambda item: overlap(item.box, detection.box), default=None)
        if best is not None and overlap(best.box, detection.box) >= MATCHED_FROM:
            left = [item for item in left if item is not best]
            yield best, detection.box


def overlap(one: Corners, other: Corners) -> float:
    """Intersection over union of two boxes, 0..1."""
    width = min(one[2], other[2]) - max(one[0], other[0])
    height = min(one[3], other[3]) - max(one[1], other[1])
    if width <= 0 or height <= 0:
        return 0.0
    areas = sum((box[2] - box[0]) * (box[3] - box[1]) for box in (one, other))
    return width * height / (areas - width * height)


def _shades(grey: NDArray[np.uint8], box: Box) -> tuple[float, float]:
    """Mean attenuation in a box, and that of the ring around it over that."""
    place = surroundings_of(grey, box)
    if place is None:
        return 0.0, 1.0
    window = place.window(np.log(256 / (grey.astype(np.float64) + 1)))
    within, ring = float(place.inside(window).mean()), place.ring(window)
    return within, float(ring.mean()) / max(within, 1e-6) if ring.size else 1.0
