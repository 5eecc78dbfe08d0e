"""A made-up dataset of bags that a careful auditor finds nothing wrong with, to plant faults in."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

NAMES = ("knife", "gun")
TRAINING, TESTING = 22, 6
WIDTH, HEIGHT = 160, 120

Row = dict[str, str]


def bag(seed: int) -> tuple[NDArray[np.uint8], list[list[float]]]:
    """A bag on a white belt with a knife and a gun in it, and their label rows."""
    draw = np.random.default_rng(seed)
    pixels = np.full((HEIGHT, WIDTH, 3), 255, dtype=np.uint8)
    pixels[10:110, 12:148] = (200, 160, 110)
    for _ in range(14):
        left, top = int(draw.integers(14, 120)), int(draw.integers(12, 90))
        width, height = (int(side) for side in draw.integers(6, 30, 2))
        pixels[top : min(108, top + height), left : min(146, left + width)] -= draw.integers(5, 45, 3, dtype=np.uint8)
    rows = []
    for index, (left, top) in enumerate(((16, 70), (104, 16))):
        left, top = left + int(draw.integers(0, 12)), top + int(draw.integers(0, 12))
        width, height = int(draw.integers(16, 30)), int(draw.integers(10, 22))
        pixels[top : top + height, left : left + width] = (30 + 20 * index, 40, 90)
        rows.append([index, (left + width / 2) / WIDTH, (top + height / 2) / HEIGHT, width / WIDTH, height / HEIGHT])
    return pixels, rows


def write_bags(root: Path) -> Path:
    """Write bags of one source, training and testing ones, in the annotated YOLO layout."""
    manifest = []
    for number in range(TRAINING + TESTING):
        split = "train" if number < TRAINING else "test"
        pixels, rows = bag(number)
        name = f"{split}/north_{number:02d}"
        for kind in ("images", "labels"):
            (root / kind / split).mkdir(parents=True, exist_ok=True)
        Image.fromarray(pixels).save(root / "images" / f"{name}.png")
        write_rows(root / "labels" / f"{name}.txt", rows)
        manifest.append({"file": f"images/{name}.png", "source": "north", "scanner": "north-1", "split": split})
        manifest[-1] |= {"group": f"g{number}", "block": f"b{number}"}
    (root / "classes.txt").write_text("\n".join(NAMES) + "\n", encoding="utf-8")
    (root / "annotated.json").write_text(json.dumps({"north": NAMES}), encoding="utf-8")
    write_manifest(root, manifest)
    return root


def picture(root: Path, number: int) -> Path:
    """The picture file of a bag."""
    return root / "images" / ("train" if number < TRAINING else "test") / f"north_{number:02d}.png"


def label_file(root: Path, number: int) -> Path:
    """The label file of a bag."""
    return root / "labels" / ("train" if number < TRAINING else "test") / f"north_{number:02d}.txt"


def read_rows(path: Path) -> list[list[float]]:
    """Label rows as numbers."""
    return [[float(part) for part in line.split()] for line in path.read_text(encoding="utf-8").splitlines()]


def write_rows(path: Path, rows: list[list[float]]) -> None:
    """Write label rows."""
    text = "".join(f"{int(row[0])} {' '.join(f'{part:.9f}' for part in row[1:])}\n" for row in rows)
    path.write_text(text, encoding="utf-8")


def change_rows(root: Path, number: int, change: Callable[[list[list[float]]], list[list[float]]]) -> None:
    """Replace a bag's label rows by what a function makes of them."""
    write_rows(label_file(root, number), change(read_rows(label_file(root, number))))


def change_manifest(root: Path, number: int, changes: Mapping[str, str]) -> None:
    """Change cells of a bag's line."""
    with (root / "manifest.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    rows[number] |= changes
    write_manifest(root, rows)


def write_manifest(root: Path, rows: list[Row]) -> None:
    """Write ``manifest.csv``."""
    with (root / "manifest.csv").open("w", encoding="utf-8", newline="") as file:
        lines = csv.DictWriter(file, ["file", "source", "scanner", "split", "group", "block"])
        lines.writeheader()
        lines.writerows(rows)
