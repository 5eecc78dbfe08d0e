from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from xray_training.datasets import partial_yolo
from xray_training.datasets.record import ScanRecord
from xray_training.detector.augment import Augmentation, Sample
from xray_training.detector.config import TrainingConfig
from xray_training.detector.dataset import (
    TrainingScans,
    ValidationScans,
    annotation_mask,
    collate,
    pack_sample,
)
from xray_training.detector.sampler import FRESH
from xray_training.detector.simulated import Simulated

from tests.training.folders import Corners, Drawn, write_folder

NAMES = ("gun", "knife", "scissors")
STILL = Augmentation(
    mosaic=0, mix=0, zoom=(0.9, 1.0), aspect=1.0, rotate=0, quarter_turn=0, noise=0, blur=0, jpeg=0, greyscale=0
)
BOX: Corners = (30, 20, 80, 60)


def read(root: Path, annotated: Mapping[str, Sequence[str]], scans: list[Drawn]) -> list[ScanRecord]:
    return partial_yolo.read(write_folder(root, annotated, scans))


def training_scans(
    records: list[ScanRecord], augmentation: Augmentation, *, masked: bool = True, simulated: Simulated | None = None
) -> TrainingScans:
    torch.manual_seed(1)
    return TrainingScans(records, NAMES, size=96, augmentation=augmentation, masked=masked, simulated=simulated)


def drawn_from(scans: TrainingScans, draws: int = 40) -> list[dict[str, Any]]:
    """Items of an epoch that goes round the scans."""
    return [scans[number % len(scans)] for number in range(draws)]


def test_the_mask_tells_which_classes_a_source_annotates() -> None:
    assert annotation_mask(frozenset({"knife", "bottle"}), NAMES).tolist() == [False, True, False]


@given(counts=st.lists(st.integers(0, 4), min_size=1, max_size=5))
def test_a_batch_says_which_picture_each_box_belongs_to(counts: list[int]) -> None:
    items = []
    for number, count in enumerate(counts):
        boxes = np.array([[4, 4, 12, 8]] * count, dtype=np.float32).reshape(-1, 4)
        labels = np.full(count, number, dtype=np.int64)
        pixels = np.full((32, 32, 3), number, np.uint8)
        items.append(pack_sample(pixels, Sample(pixels, boxes, labels), np.array([True, False]), f"{number}.png"))
    batch = collate(items)
    assert batch["img"].shape == (len(counts), 3, 32, 32)
    assert batch["cls"].shape == (sum(counts), 1)
    assert batch["bboxes"].shape == (sum(counts), 4)
    assert batch["annotated"].tolist() == [[True, False]] * len(counts)
    assert batch["batch_idx"].tolist() == batch["cls"].flatten().tolist()
    assert batch["img"][:, 0, 0, 0].tolist() == list(range(len(counts)))
    assert batch["im_file"] == [f"{number}.png" for number in range(len(counts))]


def test_boxes_are_packed_as_centre_and_size_in_shares_of_the_input() -> None:
    pixels = np.zeros((40, 40, 3), np.uint8)
    sample = Sample(pixels, np.array([[10, 0, 30, 40]], dtype=np.float32), np.array([2], dtype=np.int64))
    item = pack_sample(pixels, sample, np.ones(3, dtype=np.bool_), "x.png")
    assert item["bboxes"].tolist() == [[0.5, 0.5, 0.5, 1.0]]
    assert item["cls"].tolist() == [[2.0]]


def test_held_out_scans_are_placed_with_their_boxes_on_the_items(tmp_path: Path) -> None:
    drawn = Drawn("north", (("knife", BOX),), width=200, height=100)
    scans = ValidationScans(read(tmp_path, {"north": ("gun", "knife")}, [drawn]), NAMES, size=96)
    item = scans[0]
    assert len(scans) == 1
    assert item["annotated"].tolist() == [True, True, False]
    assert item["cls"].tolist() == [[1.0]]
    x, y, width, height = (item["bboxes"][0] * 96).tolist()
    dark = item["img"].numpy().max(axis=0) < 128
    rows, columns = np.flatnonzero(dark.any(axis=1)), np.flatnonzero(dark.any(axis=0))
    seen = (columns[0], rows[0], columns[-1] + 1, rows[-1] + 1)
    assert (x - width / 2, y - height / 2, x + width / 2, y + height / 2) == pytest.approx(seen, abs=2)


def test_items_that_are_not_trained_are_left_out(tmp_path: Path) -> None:
    drawn = Drawn("north", (("bottle", (2, 2, 20, 20)), ("scissors", BOX)))
    records = read(tmp_path, {"north": ("bottle", "scissors")}, [drawn])
    assert ValidationScans(records, NAMES, size=96)[0]["cls"].tolist() == [[2.0]]
    assert training_scans(records, STILL)[0]["cls"].tolist() == [[2.0]]


def test_training_scans_are_whole_inputs(tmp_path: Path) -> None:
    records = read(tmp_path, {"north": NAMES}, [Drawn("north", (("gun", BOX),)), Drawn("north")])
    scans = training_scans(records, Augmentation())
    assert len(scans) == 2
    for item in drawn_from(scans):
        assert item["img"].shape == (3, 96, 96)
        assert item["img"].dtype == torch.uint8
        assert len(item["cls"]) == len(item["bboxes"])
        assert ((item["bboxes"] >= 0) & (item["bboxes"] <= 1)).all()


def test_mixed_bags_count_only_what_both_sources_annotate(tmp_path: Path) -> None:
    annotated = {"north": ("gun", "knife"), "south": ("knife", "scissors")}
    items = {"north": (("gun", (2, 2, 40, 40)), ("knife", BOX)), "south": (("scissors", (2, 2, 40, 40)),)}
    records = read(tmp_path, annotated, [Drawn(source, items[source]) for source in ("north", "south")])
    scans = training_scans(records, Augmentation(mosaic=0, mix=1.0, zoom=(0.8, 1.0)))
    seen: Counter[tuple[bool, ...]] = Counter()
    for item in drawn_from(scans):
        mask = item["annotated"].tolist()
        seen[tuple(mask)] += 1
        assert all(mask[int(label)] for label in item["cls"].flatten().tolist())
    assert set(seen) == {(True, True, False), (False, True, True), (False, True, False)}


def test_bags_of_sources_that_share_no_class_are_not_mixed(tmp_path: Path) -> None:
    annotated = {"north": ("gun",), "south": ("scissors",)}
    records = read(tmp_path, annotated, [Drawn("north", (("gun", BOX),)), Drawn("south", (("scissors", BOX),))])
    scans = training_scans(records, Augmentation(mosaic=0, mix=1.0, zoom=(0.8, 1.0)))
    own = {"north": [True, False, False], "south": [False, False, True]}
    for item in drawn_from(scans):
        assert item["annotated"].tolist() == own[Path(item["im_file"]).name.split("_")[0]]


def test_without_the_mask_what_a_source_does_not_annotate_counts_as_absent(tmp_path: Path) -> None:
    records = read(tmp_path, {"north": ("gun",)}, [Drawn("north", (("gun", BOX),))])
    assert training_scans(records, STILL)[0]["annotated"].tolist() == [True, False, False]
    assert training_scans(records, STILL, masked=False)[0]["annotated"].tolist() == [True, True, True]


def fresh_scans(root: Path, **settings: object) -> TrainingScans:
    records = read(root, {"north": NAMES}, [Drawn("north")])
    fresh = {"share": (1.0, 1.0), "scanners": ("dogwood",), "most": 6}
    config = TrainingConfig.model_validate({"data": [str(root)], "names": NAMES, "fresh": fresh, **settings})
    return training_scans(records, STILL, simulated=Simulated(config))


def test_a_scan_made_for_the_draw_shows_simulated_items_and_says_how_to_make_it_again(tmp_path: Path) -> None:
    scans = fresh_scans(tmp_path)
    items = [scans[FRESH] for _ in range(6)]
    assert any(len(item["cls"]) for item in items)
    for item in items:
        assert item["annotated"].tolist() == [True, True, True]
        assert item["im_file"].startswith("simulated_dogwood_")
    assert len({item["im_file"] for item in items}) == len(items)


def test_labels_of_a_scan_made_for_the_draw_are_those_that_are_trained(tmp_path: Path) -> None:
    scans = fresh_scans(tmp_path, broad={"knife": ["scissors"]}, aliases={"gun": "scissors"})
    items = [scans[FRESH] for _ in range(12)]
    assert all(0 not in item["cls"] for item in items)
    for item in items:
        assert item["annotated"].tolist() == [False, 2 not in item["cls"].flatten().tolist(), True]
