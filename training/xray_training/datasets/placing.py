"""From a source's boxes in pixels to labelled boxes in shares of the real picture."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from xray_agent_tools.taxonomy import taxonomy
from xray_training.datasets.fault import Fault, FaultKind, FaultReport
from xray_training.datasets.picture import Size
from xray_training.datasets.record import LabelledBox

_CLIPPED_PX = 1.0
_RATIO_TOLERANCE = 0.01

Naming = Callable[[str], str | None]


@dataclass(frozen=True, slots=True)
class PixelBox:
    """A box as a source gives it: its class name and two opposite corners in pixels, in either order."""

    name: str
    x_1: float
    y_1: float
    x_2: float
    y_2: float


def names_of(dataset: str) -> Naming:
    """The taxonomy's translation of a dataset's class names: canonical label, or None."""
    return lambda name: taxonomy().label_for(dataset, name)


def labels_of(dataset: str) -> frozenset[str]:
    """Every canonical label that a dataset annotates, by the taxonomy."""
    return frozenset(item.label for item in taxonomy().items if item.datasets.get(dataset))


def place(
    boxes: Iterable[PixelBox], *, picture: Size, declared: Size | None, naming: Naming, where: str, report: FaultReport
) -> tuple[LabelledBox, ...] | None:
    """Turn boxes in declared pixels into shares of the picture.

    A declared size that is off by at most one pixel is the picture's. One that is the picture's times one factor
    (both axes within 1 %) scales the boxes; any other makes them meaningless.

    Args:
        boxes: the source's boxes.
        picture: real width and height of the picture.
        declared: the size the annotation claims, if it does.
        naming: from the source's class name to the canonical label.
        where: the file to name in a fault.
        report: hears of every fault.

    Returns:
        The boxes, clipped to the picture, or None where the declared size cannot be reconciled.
    """
    width, height = picture
    x_scale = y_scale = 1.0
    if declared is not None and max(abs(declared[0] - width), abs(declared[1] - height)) > 1:
        ratios = (width / declared[0], height / declared[1]) if min(declared) > 0 else (0.0, 1.0)
        said = f"declares {declared[0]}x{declared[1]}, the picture has {width}x{height}"
        if abs(ratios[0] / ratios[1] - 1) > _RATIO_TOLERANCE:
            report(Fault(FaultKind.SIZE_MISMATCH, where, said))
            return None
        report(Fault(FaultKind.SIZE_RESCALED, where, f"{said}; boxes scaled"))
        x_scale, y_scale = ratios
    placed = []
    for box in boxes:
        label = naming(box.name)
        if label is None:
            report(Fault(FaultKind.UNKNOWN_LABEL, where, f"{box.name!r} is no label this source is known to use"))
            continue
        left, right = sorted((box.x_1 * x_scale, box.x_2 * x_scale))
        top, bottom = sorted((box.y_1 * y_scale, box.y_2 * y_scale))
        if fitted := _fit(label, (left, top, right, bottom), picture, where, report):
            placed.append(LabelledBox(label, *fitted, original="" if box.name == label else box.name))
    return tuple(placed)


def _fit(
    label: str, corners: tuple[float, float, float, float], picture: Size, where: str, report: FaultReport
) -> tuple[float, float, float, float] | None:
    """Shares of the picture, clipped to it; None where no area is left."""
    left, top, right, bottom = corners
    width, height = picture
    said = f"{label} at {left:g},{top:g} to {right:g},{bottom:g}"
    if not (right > left and bottom > top):  # also where a corner is no number
        report(Fault(FaultKind.BOX_EMPTY, where, f"{said} has no area"))
        return None
    if min(left, top) < -_CLIPPED_PX or right > width + _CLIPPED_PX or bottom > height + _CLIPPED_PX:
        report(Fault(FaultKind.BOX_OUTSIDE, where, f"{said} reaches out of {width}x{height}"))
    left, right = max(left, 0.0), min(right, float(width))
    top, bottom = max(top, 0.0), min(bottom, float(height))
    if not (right > left and bottom > top):
        return None
    return left / width, top / height, right / width, bottom / height
