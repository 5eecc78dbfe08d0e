"""What the pixels of each scan say, measured once and kept."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, ValidationError

from xray_agent_tools.detector.preprocess import content_box, luminance
from xray_agent_tools.evidence.material import brightest
from xray_training.datasets.duplicates import digest_of, fingerprint
from xray_training.datasets.fault import Fault, FaultKind
from xray_training.datasets.picture import size_of
from xray_training.datasets.record import DatasetError, LabelledBox, ScanRecord
from xray_training.datasets.workers import workers

Corners = tuple[float, float, float, float]
"""``x_min, y_min, x_max, y_max`` as shares (0..1) of width and height."""

_VERSION = 1
_GREY_CHROMA = 16
_GREY_SHARE = 0.001
_CHUNK = 16


class BoxFit(BaseModel):
    """How much of something lies in a box, and would lie in it with its axes swapped.

    Each figure is the mean attenuation (255 less the luminance) plus the mean Sobel magnitude inside: both are high
    on an item and low on the belt and in empty parts of a bag.

    Attributes:
        as_is: inside the box.
        swapped_shares: inside the box whose corners are swapped as shares of the picture.
        swapped_pixels: inside the box whose corners are swapped as pixels.
    """

    model_config = ConfigDict(frozen=True)

    as_is: float
    swapped_shares: float | None
    swapped_pixels: float | None


class Examined(BaseModel):
    """What one picture showed.

    Attributes:
        fault: why it cannot be used; the rest is then empty.
        message: that in words.
        width, height: size in pixels.
        sha256: of the file.
        fingerprint: 256 bits in hexadecimal, for :func:`duplicates.alike`; empty where the picture is too even.
        greyscale: whether no colour is to be seen.
        brightness: mean luminance, 0..255.
        content: share of the frame that the box around the bag takes, 0..1.
        fits: for each box of the record, in its order; None where swapping its axes changes next to nothing.
    """

    model_config = ConfigDict(frozen=True)

    fault: FaultKind | None = None
    message: str = ""
    width: int = 0
    height: int = 0
    sha256: str = ""
    fingerprint: str = ""
    greyscale: bool = False
    brightness: float = 0.0
    content: float = 0.0
    fits: tuple[BoxFit | None, ...] = ()


class _Kept(BaseModel):
    key: str
    examined: Examined


def examine(record: ScanRecord) -> Examined:
    """Decode a scan to its last row and measure it; a picture that cannot be read gives its fault."""
    faults: list[Fault] = []
    if size_of(record.image, faults.append) is None:
        return Examined(fault=faults[0].kind, message=faults[0].message)
    try:
        pixels = record.pixels()
        sha256 = digest_of(record.image)
    except DatasetError as error:
        return Examined(fault=FaultKind.UNREADABLE_IMAGE, message=f"damaged: {error}")
    height, width = pixels.shape[:2]
    left, top, right, bottom = content_box(pixels)
    bits = fingerprint(pixels)
    grey = luminance(pixels)
    chroma = brightest(pixels).astype(np.int16) - pixels.min(axis=-1)
    return Examined(
        width=width,
        height=height,
        sha256=sha256,
        fingerprint=bits.hex() if bits else "",
        greyscale=bool((chroma > _GREY_CHROMA).mean() < _GREY_SHARE),
        brightness=float(grey.mean()),
        content=(right - left) * (bottom - top) / (width * height),
        fits=_fits(grey, record.boxes) if record.boxes else (),
    )


def examine_all(records: Sequence[ScanRecord], *, kept: Path | None = None, processes: int = 1) -> Iterator[Examined]:
    """Examine scans in their order.

    Args:
        records: the scans.
        kept: file of JSON lines to which every result is added at once. A picture that it knows with the same path,
            size, time of change and boxes is not read again, so that a run that was stopped goes on.
        processes: how many decode at once.
    """
    known = _read_kept(kept) if kept else {}
    keys = [_key(record) if kept else "" for record in records]
    fresh = _examine_fresh([r for r, key in zip(records, keys, strict=True) if key not in known], processes)
    if kept is None:
        yield from fresh
        return
    kept.parent.mkdir(parents=True, exist_ok=True)
    _end_last_line(kept)
    with kept.open("a", encoding="utf-8") as file:
        for key in keys:
            if (found := known.get(key)) is None:
                found = next(fresh)
                file.write(_Kept(key=key, examined=found).model_dump_json() + "\n")
                file.flush()
            yield found


def _examine_fresh(records: Sequence[ScanRecord], processes: int) -> Iterator[Examined]:
    if processes == 1 or len(records) < 2 * _CHUNK:
        yield from map(examine, records)
        return
    with workers(processes) as pool:
        yield from pool.map(examine, records, chunksize=_CHUNK)


def _key(record: ScanRecord) -> str:
    try:
        state = record.image.stat()
        change = f"{state.st_size} {state.st_mtime_ns}"
    except OSError:
        change = "missing"
    boxes = [(box.x_min, box.y_min, box.x_max, box.y_max) for box in record.boxes]
    text = f"{_VERSION} {record.image.absolute()} {change} {record.stretch} {boxes}"
    return hashlib.sha256(text.encode()).hexdigest()[:32]


def _end_last_line(path: Path) -> None:
    """Keep a line that was being written when a run was stopped apart from the next one."""
    with path.open("a+b") as file:
        file.seek(max(0, file.tell() - 1))
        if file.read(1) not in (b"", b"\n"):
            file.write(b"\n")


def _read_kept(path: Path) -> dict[str, Examined]:
    if not path.is_file():
        return {}
    known = {}
    for line in path.read_text(encoding="utf-8", errors="replace").splitlines():
        try:
            kept = _Kept.model_validate_json(line)
        except ValidationError:  # the line that was being written when the run was stopped
            continue
        known[kept.key] = kept.examined
    return known


def _fits(grey: NDArray[np.uint8], boxes: Sequence[LabelledBox]) -> tuple[BoxFit | None, ...]:
    attenuation = np.asarray(255 - grey.astype(np.float32))
    horizontal, vertical = (cv2.Sobel(attenuation, cv2.CV_32F, *axis) for axis in ((1, 0), (0, 1)))
    total = np.asarray(cv2.integral(attenuation + np.hypot(horizontal, vertical)), dtype=np.float64)
    return tuple(_fit(total, (box.x_min, box.y_min, box.x_max, box.y_max)) for box in boxes)


def _fit(total: NDArray[np.float64], box: Corners) -> BoxFit | None:
    """Measure a box on an integral image, shape (height + 1, width + 1)."""
    height, width = total.shape[0] - 1, total.shape[1] - 1
    x_min, y_min, x_max, y_max = box
    shares = (y_min, x_min, y_max, x_max)
    aspect = height / width
    pixels = (y_min * aspect, x_min / aspect, y_max * aspect, x_max / aspect)
    swapped = [_mean_in(total, other) if _apart(box, other) else None for other in (shares, pixels)]
    as_is = _mean_in(total, box)
    if as_is is None or swapped == [None, None]:
        return None
    return BoxFit(as_is=as_is, swapped_shares=swapped[0], swapped_pixels=swapped[1])


def _mean_in(total: NDArray[np.float64], box: Corners) -> float | None:
    """Mean inside a box; None where it does not lie inside the picture."""
    if min(box) < 0 or max(box) > 1:
        return None
    height, width = total.shape[0] - 1, total.shape[1] - 1
    left, top = min(int(box[0] * width), width - 1), min(int(box[1] * height), height - 1)
    right, bottom = max(left + 1, round(box[2] * width)), max(top + 1, round(box[3] * height))
    inside = total[bottom, right] - total[top, right] - total[bottom, left] + total[top, left]
    return float(inside / ((right - left) * (bottom - top)))


_INFORMATIVE_OVERLAP = 0.2


def _apart(box: Corners, other: Corners) -> bool:
    """Whether two boxes share so little (intersection over union below 0.2) that their contents can differ."""
    width = min(box[2], other[2]) - max(box[0], other[0])
    height = min(box[3], other[3]) - max(box[1], other[1])
    common = max(0.0, width) * max(0.0, height)
    areas = (box[2] - box[0]) * (box[3] - box[1]) + (other[2] - other[0]) * (other[3] - other[1])
    return common < _INFORMATIVE_OVERLAP * (areas - common)
