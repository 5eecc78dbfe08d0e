"""Small annotated YOLO folders with scans that tests can reason about."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

Corners = tuple[int, int, int, int]


@dataclass(frozen=True)
class Drawn:
    """A white scan with dark rectangles: label and corners in pixels of each."""

    source: str
    items: tuple[tuple[str, Corners], ...] = ()
    split: str = "train"
    group: str | None = None
    block: str | None = None
    width: int = 120
    height: int = 80


def dark_on_white(width: int, height: int, boxes: Sequence[Corners]) -> NDArray[np.uint8]:
    """A white picture with a black rectangle in each box (right and bottom exclusive)."""
    pixels = np.full((height, width, 3), 255, dtype=np.uint8)
    for left, top, right, bottom in boxes:
        pixels[top:bottom, left:right] = 0
    return pixels


def write_folder(root: Path, annotated: Mapping[str, Sequence[str]], scans: Sequence[Drawn]) -> Path:
    """Write drawn scans in the layout that ``partial_yolo`` reads."""
    names = list(dict.fromkeys(name for labels in annotated.values() for name in labels))
    for split in dict.fromkeys(scan.split for scan in scans):
        (root / "images" / split).mkdir(parents=True, exist_ok=True)
        (root / "labels" / split).mkdir(parents=True, exist_ok=True)
    (root / "classes.txt").write_text("\n".join(names) + "\n", encoding="utf-8")
    (root / "annotated.json").write_text(json.dumps(annotated), encoding="utf-8")
    manifest = ["file,source,scanner,split,group,block"]
    for number, scan in enumerate(scans):
        stem = f"{scan.split}/{scan.source}_{number:03d}"
        pixels = dark_on_white(scan.width, scan.height, [corners for _, corners in scan.items])
        Image.fromarray(pixels).save(root / "images" / f"{stem}.png")
        rows = []
        for label, (left, top, right, bottom) in scan.items:
            x, y = (left + right) / 2 / scan.width, (top + bottom) / 2 / scan.height
            rows.append(f"{names.index(label)} {x} {y} {(right - left) / scan.width} {(bottom - top) / scan.height}\n")
        (root / "labels" / f"{stem}.txt").write_text("".join(rows), encoding="utf-8")
        group, block = scan.group or f"g{number}", scan.block or f"b{number}"
        manifest.append(f"images/{stem}.png,{scan.source},{scan.source},{scan.split},{group},{block}")
    (root / "manifest.csv").write_text("\n".join(manifest) + "\n", encoding="utf-8")
    return root
