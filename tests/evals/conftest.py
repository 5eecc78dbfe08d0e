"""Fixtures of the evaluation tests."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

SEEDS = {"simulated": (3, 4, 5), "benign": (6, 7)}


@pytest.fixture(scope="session")
def tiny_dataset(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Simulated test scans in the annotated YOLO layout: three bags with threats, two benign ones."""
    from xray_training.simulator.objects.library import THREATS
    from xray_training.simulator.scene import simulate

    root = tmp_path_factory.mktemp("tiny")
    names = list(THREATS)
    for folder in ("images/test", "labels/test"):
        (root / folder).mkdir(parents=True)
    (root / "classes.txt").write_text("\n".join(names), encoding="utf-8")
    (root / "annotated.json").write_text(json.dumps(dict.fromkeys(SEEDS, names)), encoding="utf-8")
    with (root / "manifest.csv").open("w", encoding="utf-8", newline="") as file:
        rows = csv.writer(file)
        rows.writerow(["file", "source", "scanner", "split", "group", "block"])
        for source, seeds in SEEDS.items():
            for seed in seeds:
                packed = ("gun", "handcuffs") if source == "simulated" else ()
                scan = simulate(seed, scanner="dogwood", threats=packed)
                height, width = scan.pixels.shape[:2]
                stem = f"test/{source}_{seed}"
                Image.fromarray(scan.pixels).save(root / "images" / f"{stem}.png")
                lines = []
                for item in scan.objects:
                    if item.threat:
                        x_min, y_min, x_max, y_max = np.divide(item.box, [width, height, width, height])
                        middle = f"{(x_min + x_max) / 2} {(y_min + y_max) / 2} {x_max - x_min} {y_max - y_min}"
                        lines.append(f"{names.index(item.label)} {middle}\n")
                (root / "labels" / f"{stem}.txt").write_text("".join(lines), encoding="utf-8")
                rows.writerow([f"images/{stem}.png", source, "dogwood", "test", stem, stem])
    return root


@pytest.fixture(scope="session")
def held_out(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Six simulated test bags of a scanner that nothing is trained on, with their truth."""
    from xray_training.simulator.scene import Contents
    from xray_training.simulator.write import Order, write_scans

    root = tmp_path_factory.mktemp("held-out") / "scans"
    order = Order(6, 900_000, ("hazel",), Contents(among=("gun", "hammer", "dart"), most=3), split="test")
    for _ in write_scans(root, order, processes=1):
        pass
    return root
