"""What a dataset holds, counted and measured by source, split and scanner, with plots."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict

from xray_agent_tools import markdown
from xray_training.datasets.examine import Examined
from xray_training.datasets.record import ScanRecord

SCHEMA = "xray-stats/1"


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True)


class Range(_Part):
    """How a figure is spread: mean, least, 5th, 25th, 50th, 75th and 95th percentile, greatest."""

    mean: float
    least: float
    p05: float
    p25: float
    p50: float
    p75: float
    p95: float
    greatest: float


class ClassSupport(_Part):
    """Boxes of one class, the scans that hold it, and the size of its boxes."""

    label: str
    boxes: int
    scans: int
    longest_side_px: Range
    share_of_frame: Range


class Group(_Part):
    """The scans of one source, split and scanner.

    Attributes:
        source, split, scanner: what they have in common.
        scans: how many there are.
        unreadable: of these, how many pictures could not be read; the figures of pixels leave them out.
        benign_share: share (0..1) of the scans without a box.
        boxes: how many boxes there are.
        boxes_per_scan: over all scans.
        boxes_on_a_scan: number of boxes on a scan -> how many scans have it.
        classes: the classes, the most frequent first.
        annotated_without_box: classes that are annotated here and have no box.
        longest_side_px: the longer side of the boxes in pixels.
        share_of_frame: the boxes' area by the frame's, 0..1.
        box_aspect: width of the boxes in pixels by their height.
        width_px, height_px, aspect: of the pictures as they are read.
        stretch: width factors that undo an export's squeeze, which these sizes include.
        greyscale_share: share of the scans without colour.
        brightness: mean luminance of a scan, 0..255.
        content: share of the frame that the box around the bag takes.
    """

    source: str
    split: str
    scanner: str
    scans: int
    unreadable: int
    benign_share: float
    boxes: int
    boxes_per_scan: float
    boxes_on_a_scan: dict[int, int]
    classes: tuple[ClassSupport, ...]
    annotated_without_box: tuple[str, ...]
    longest_side_px: Range | None
    share_of_frame: Range | None
    box_aspect: Range | None
    width_px: Range | None
    height_px: Range | None
    aspect: Range | None
    stretch: tuple[float, ...]
    greyscale_share: float
    brightness: Range | None
    content: Range | None


class Statistics(_Part):
    """All groups of a folder, in order of source, split and scanner."""

    format: str = SCHEMA
    folder: str
    scans: int
    boxes: int
    groups: tuple[Group, ...]


def statistics_of(records: Sequence[ScanRecord], examined: Sequence[Examined], *, folder: str) -> Statistics:
    """Count and measure scans.

    Args:
        records: the scans.
        examined: what the pixels of each said, in the same order.
        folder: what to call them.
    """
    groups: dict[tuple[str, str, str], list[int]] = defaultdict(list)
    for index, record in enumerate(records):
        groups[record.source, record.split, record.scanner].append(index)
    return Statistics(
        folder=folder,
        scans=len(records),
        boxes=sum(len(record.boxes) for record in records),
        groups=tuple(
            _group([records[i] for i in members], [examined[i] for i in members])
            for _, members in sorted(groups.items())
        ),
    )


def _group(records: Sequence[ScanRecord], examined: Sequence[Examined]) -> Group:
    seen = [found for found in examined if found.fault is None]
    sizes = _box_sizes(records, examined)
    boxes = Counter(len(record.boxes) for record in records)
    total = sum(count * scans for count, scans in boxes.items())
    labels = Counter(box.label for record in records for box in record.boxes)
    return Group(
        source=records[0].source,
        split=records[0].split,
        scanner=records[0].scanner,
        scans=len(records),
        unreadable=len(records) - len(seen),
        benign_share=boxes[0] / len(records),
        boxes=total,
        boxes_per_scan=total / len(records),
        boxes_on_a_scan=dict(sorted(boxes.items())),
        classes=tuple(_support(label, records, sizes) for label, _ in labels.most_common() if label in sizes),
        annotated_without_box=tuple(sorted({label for r in records for label in r.annotated} - set(labels))),
        longest_side_px=_range(pixels for of_label in sizes.values() for pixels, _, _ in of_label),
        share_of_frame=_range(share for of_label in sizes.values() for _, share, _ in of_label),
        box_aspect=_range(aspect for of_label in sizes.values() for _, _, aspect in of_label),
        width_px=_range(found.width for found in seen),
        height_px=_range(found.height for found in seen),
        aspect=_range(found.width / found.height for found in seen),
        stretch=tuple(sorted({record.stretch for record in records} - {1.0})),
        greyscale_share=sum(found.greyscale for found in seen) / len(seen) if seen else 0.0,
        brightness=_range(found.brightness for found in seen),
        content=_range(found.content for found in seen),
    )


BoxSize = tuple[float, float, float]
"""Longer side in pixels, share of the frame, width by height in pixels."""


def _box_sizes(records: Sequence[ScanRecord], examined: Sequence[Examined]) -> dict[str, list[BoxSize]]:
    sizes: dict[str, list[BoxSize]] = defaultdict(list)
    for record, found in zip(records, examined, strict=True):
        if found.fault is not None:
            continue
        for box in record.boxes:
            width, height = (box.x_max - box.x_min) * found.width, (box.y_max - box.y_min) * found.height
            if width > 0 and height > 0:
                share = width * height / (found.width * found.height)
                sizes[box.label].append((max(width, height), share, width / height))
    return dict(sizes)


def _support(label: str, records: Sequence[ScanRecord], sizes: dict[str, list[BoxSize]]) -> ClassSupport:
    values = np.array(sizes[label])
    return ClassSupport(
        label=label,
        boxes=sum(box.label == label for record in records for box in record.boxes),
        scans=sum(any(box.label == label for box in record.boxes) for record in records),
        longest_side_px=_spread(values[:, 0]),
        share_of_frame=_spread(values[:, 1]),
    )


def _range(values: Iterable[float]) -> Range | None:
    array = np.fromiter(values, dtype=np.float64)
    return _spread(array) if array.size else None


def _spread(values: NDArray[np.float64]) -> Range:
    least, p05, p25, p50, p75, p95, greatest = np.percentile(values, (0, 5, 25, 50, 75, 95, 100)).tolist()
    mean = float(values.mean())
    return Range(mean=mean, least=least, p05=p05, p25=p25, p50=p50, p75=p75, p95=p95, greatest=greatest)


def as_markdown(found: Statistics) -> str:
    """The figures for people."""
    lines = [f"# Statistics of {found.folder}", "", f"{found.scans} scans, {found.boxes} boxes.", "", "## Scans", ""]
    head = ["source", "split", "scanner", "scans", "without a box", "boxes", "a scan", "greyscale", "brightness"]
    head += ["width", "height", "aspect", "content"]
    rows = [
        [
            *(group.source, group.split, group.scanner, group.scans, f"{group.benign_share:.0%}", group.boxes),
            *(f"{group.boxes_per_scan:.2f}", f"{group.greyscale_share:.0%}", _middle(group.brightness, ".0f")),
            *(_middle(group.width_px, ".0f"), _middle(group.height_px, ".0f"), _middle(group.aspect, ".2f")),
            _middle(group.content, ".2f"),
        ]
        for group in found.groups
    ]
    lines += ["Medians, with the 5th and 95th percentile where they differ.", "", markdown.table(head, rows), ""]
    lines += ["## Boxes", "", "Longer side in pixels and share of the frame: median, 5th and 95th percentile.", ""]
    head = ["source", "split", "scanner", "class", "boxes", "scans", "longer side", "share of frame"]
    rows = [
        [
            *(group.source, group.split, group.scanner, support.label, support.boxes, support.scans),
            *(_middle(support.longest_side_px, ".0f"), _middle(support.share_of_frame, ".4f")),
        ]
        for group in found.groups
        for support in group.classes
    ]
    lines += [markdown.table(head, rows) if rows else "There is no box.", ""]
    missing = [group for group in found.groups if group.annotated_without_box]
    lines += ["## Annotated classes without a box", ""] * bool(missing)
    lines += [f"- {g.source} {g.split} {g.scanner}: {', '.join(g.annotated_without_box)}" for g in missing]
    return "\n".join(lines).rstrip() + "\n"


def _middle(spread: Range | None, form: str) -> str:
    if spread is None:
        return "-"
    middle, low, high = (format(value, form) for value in (spread.p50, spread.p05, spread.p95))
    return middle if low == high else f"{middle} ({low} to {high})"
