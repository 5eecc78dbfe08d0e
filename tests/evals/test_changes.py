from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from xray_evals.changes import CHANGES, Change
from xray_training.datasets.record import LabelledBox, ScanRecord

from tests.evals.scanned import HEIGHT, WIDTH, Corners, DarkRectangles

NAMED = {change.name: change for change in CHANGES}
PALETTES = [change for name, change in NAMED.items() if name.startswith(("palette", "greyscale"))]


def painted(
    box: Corners, colour: tuple[int, int, int] = (20, 40, 90)
) -> np.ndarray[tuple[int, ...], np.dtype[np.uint8]]:
    pixels = np.full((HEIGHT, WIDTH, 3), 255, dtype=np.uint8)
    left, top, right, bottom = (int(corner) for corner in box)
    pixels[top:bottom, left:right] = colour
    return pixels


boxes = st.tuples(st.integers(0, 150), st.integers(0, 70), st.integers(12, 50), st.integers(12, 30)).map(
    lambda b: (float(b[0]), float(b[1]), float(b[0] + b[2]), float(b[1] + b[3]))
)


@pytest.mark.parametrize("change", [c for c in CHANGES if "4,000" not in c.name], ids=lambda change: change.name)
@settings(max_examples=8)
@given(box=boxes)
def test_boxes_stay_on_what_they_box(change: Change, box: Corners) -> None:
    shares = box[0] / WIDTH, box[1] / HEIGHT, box[2] / WIDTH, box[3] / HEIGHT
    record = ScanRecord(
        Path("x.png"), "north", "x", "test", "g", "b", (LabelledBox("gun", *shares),), frozenset({"gun"})
    )
    pixels = change.pixels(painted(box))
    height, width = pixels.shape[:2]
    (found,) = DarkRectangles().detect(pixels, floor=0)
    assert change.of(record).corners(width, height)[0] == pytest.approx(found.box, abs=1.5)


def test_scans_are_scaled_to_their_longer_side() -> None:
    assert NAMED["scaled to 200 px"].pixels(np.zeros((300, 600, 3), np.uint8)).shape == (100, 200, 3)
    assert NAMED["scaled to 4,000 px"].pixels(np.zeros((60, 30, 3), np.uint8)).shape == (4000, 2000, 3)


@pytest.mark.parametrize("change", PALETTES, ids=lambda change: change.name)
def test_an_empty_belt_stays_white_in_every_palette(change: Change) -> None:
    white = np.full((4, 4, 3), 255, dtype=np.uint8)
    assert (change.pixels(white) == white).all()


@pytest.mark.parametrize("change", PALETTES, ids=lambda change: change.name)
def test_every_palette_shows_an_orange_item_in_another_colour(change: Change) -> None:
    orange = np.full((4, 4, 3), (230, 150, 60), dtype=np.uint8)
    changed = change.pixels(orange)
    assert np.abs(changed.astype(int) - orange).max() > 30
    assert (changed == changed[0, 0]).all()


def test_compression_changes_noise_but_not_the_size() -> None:
    noise = np.random.default_rng(0).integers(0, 256, (32, 48, 3), dtype=np.uint8)
    changed = NAMED["JPEG quality 40"].pixels(noise)
    assert changed.shape == noise.shape
    assert (changed != noise).any()


def test_a_changed_scan_is_the_same_every_time() -> None:
    noise = np.random.default_rng(0).integers(0, 256, (32, 48, 3), dtype=np.uint8)
    for change in CHANGES:
        if "4,000" not in change.name:
            assert (change.pixels(noise) == change.pixels(noise)).all()


def test_mirroring_twice_and_turning_four_times_brings_boxes_back() -> None:
    sides = (0.1, 0.2, 0.4, 0.9)
    mirrored, turned = NAMED["mirrored"], NAMED["rotated by 90 degrees"]
    assert mirrored.sides(mirrored.sides(sides)) == pytest.approx(sides)
    back = sides
    for _ in range(4):
        back = turned.sides(back)
    assert back == pytest.approx(sides)
