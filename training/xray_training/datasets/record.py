"""One annotated scan, whatever dataset it comes from."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from xray_training.datasets.fault import DatasetError
from xray_training.datasets.picture import UNREADABLE

__all__ = ["DatasetError", "LabelledBox", "ScanRecord"]


@dataclass(frozen=True, slots=True)
class LabelledBox:
    """A ground-truth box.

    Attributes:
        label: canonical label.
        x_min, y_min, x_max, y_max: corners as shares (0..1) of the image's width and height.
        original: the source's own name of the class; empty where it is the canonical one.
    """

    label: str
    x_min: float
    y_min: float
    x_max: float
    y_max: float
    original: str = ""


@dataclass(frozen=True, slots=True)
class ScanRecord:
    """One scan of a dataset: one view of one bag.

    Attributes:
        image: path of the picture.
        source: the dataset it comes from.
        scanner: the scanner that made it, as far as the dataset says.
        split: ``train``, ``val`` or ``test``.
        group: key of near-duplicates, views and repeats of one bag or item; a split never divides one.
        block: key of a run of neighbouring ids; a split never divides one.
        boxes: what is annotated on it.
        annotated: every label that this source boxes wherever it occurs. A label outside this set is
            unknown on this scan, not absent.
        stretch: width factor that undoes an export's squeeze (1.0: none).
        metadata: whatever else the source says of the scan (view, pose, concealment, ...).
    """

    image: Path
    source: str
    scanner: str
    split: str
    group: str
    block: str
    boxes: tuple[LabelledBox, ...]
    annotated: frozenset[str]
    stretch: float = 1.0
    metadata: Mapping[str, str] = field(default_factory=dict)

    def pixels(self) -> NDArray[np.uint8]:
        """Read the picture as RGB, shape (height, width, 3), 0..255, its aspect restored.

        Raises:
            DatasetError: the picture is missing or damaged.
        """
        try:
            with Image.open(self.image) as picture:
                rgb = picture.convert("RGB")
        except UNREADABLE as error:
            raise DatasetError(f"{self.image} cannot be read: {type(error).__name__}") from error
        if self.stretch != 1.0:
            rgb = rgb.resize((round(rgb.width * self.stretch), rgb.height), Image.Resampling.BICUBIC)
        return np.asarray(rgb)

    def corners(self, width: int, height: int) -> NDArray[np.float32]:
        """The boxes as corners in pixels, shape (n, 4)."""
        shares = np.array([[b.x_min, b.y_min, b.x_max, b.y_max] for b in self.boxes], dtype=np.float32)
        return shares.reshape(-1, 4) * np.array([width, height] * 2, dtype=np.float32)
