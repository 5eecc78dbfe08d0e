"""What the simulator knows of the objects of its scans, as far as computed evidence can be held against it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from pycocotools.mask import area
from xray_training.datasets.record import DatasetError

from xray_agent_tools.taxonomy import taxonomy

Band = Literal["organic", "mixed", "metal"]
BANDS: tuple[Band, ...] = ("organic", "mixed", "metal")
"""The material colours by effective atomic number: below 10, 10 to below 16, and from 16."""

_TRUTH_FILE = "truth.jsonl"
_HIDDEN = 0.97
_LEAST_PIXELS = 12

BAND_OF: dict[str, Band] = {
    **dict.fromkeys(("polyethylene", "foam", "abs", "water", "ethanol", "butane", "cloth", "wood"), "organic"),
    **dict.fromkeys(("paper", "leather", "rubber", "rdx", "tnt", "ammonium_nitrate", "graphite"), "organic"),
    **dict.fromkeys(("pvc", "glass", "ceramic", "silicon", "circuit_board", "aluminium"), "mixed"),
    **dict.fromkeys(("lithium_cell", "titanium", "steel", "brass", "copper", "tin", "lead"), "metal"),
}
"""The band of every material of the simulator, by the effective atomic number that its calibration gives half an
attenuation length: 6.0 to 7.2, 11.0 (ceramic) to 13.9 (PVC), and 18.7 (lithium cells) to 26. Lead is a metal, though
above its K edge it reads as something light."""


@dataclass(frozen=True, slots=True)
class TrueItem:
    """An object that an annotator would box.

    Attributes:
        label: canonical label.
        threat: whether it is a threat item.
        box: x_min, y_min, x_max, y_max in pixels.
        hidden: share (0..1) of its silhouette where everything else attenuates more than it does.
        bands: the bands of its materials; opaque is none, since it is a state of the ray and not of an object.
    """

    label: str
    threat: bool
    box: tuple[float, float, float, float]
    hidden: float
    bands: frozenset[Band]


@dataclass(frozen=True, slots=True)
class TrueScan:
    """A simulated scan: its picture, the scanner and what is known of its objects."""

    image: Path
    scanner: str
    items: tuple[TrueItem, ...]


def read_truth(folder: Path, *, split: str | None = None, limit: int | None = None) -> list[TrueScan]:
    """Read the truth of a folder that ``xray-train data simulate`` wrote.

    Kept are the objects that it boxes: those with a canonical label of which at least 3 % and twelve pixels show.

    Args:
        folder: holds ``truth.jsonl`` and the pictures.
        split: keep only the scans of this split.
        limit: keep only the first scans.

    Raises:
        DatasetError: the file is missing, empty or malformed, names a material that is not known, or has no scan
            of the split.
    """
    try:
        lines = (folder / _TRUTH_FILE).read_text(encoding="utf-8").splitlines()
        scans = [_scan(folder, json.loads(line)) for line in lines]
    except FileNotFoundError as error:
        raise DatasetError(f"{folder} has no {_TRUTH_FILE}: simulate scans with xray-train data simulate") from error
    except (ValueError, KeyError, TypeError) as error:
        raise DatasetError(f"{folder / _TRUTH_FILE} is malformed: {type(error).__name__}: {error}") from error
    if not scans:
        raise DatasetError(f"{folder / _TRUTH_FILE} is empty")
    chosen = [scan for scan in scans if split is None or scan.image.parent == folder / "images" / split]
    if not chosen:
        raise DatasetError(f"{folder} holds no scan of the split {split!r}: simulate some with --split {split}")
    return chosen[:limit]


def _scan(folder: Path, line: dict[str, Any]) -> TrueScan:
    return TrueScan(folder / str(line["file"]), str(line["scanner"]), tuple(_items(line["objects"])))


def _items(objects: list[dict[str, Any]]) -> Iterator[TrueItem]:
    for found in objects:
        label, hidden = str(found["label"]), float(found["occlusion"])
        if label in taxonomy().labels and hidden < _HIDDEN and int(area(found["silhouette"])) >= _LEAST_PIXELS:
            x_min, y_min, x_max, y_max = (float(side) for side in found["box"])
            bands = frozenset(BAND_OF[name] for name in found["materials"])
            yield TrueItem(label, bool(found["threat"]), (x_min, y_min, x_max, y_max), hidden, bands)
