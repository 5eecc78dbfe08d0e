from __future__ import annotations

from dataclasses import replace

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from numpy.typing import NDArray
from xray_training.detector.augment import Augmentation, Sample, fit, mosaic, overlay, rescan, transform_boxes

from tests.training.folders import Corners, dark_on_white

DEFAULT = Augmentation()
SIZE = 128
seeds = st.integers(0, 2**32 - 1)


def sample_of(width: int, height: int, *boxes: Corners) -> Sample:
    corners = np.array(boxes, dtype=np.float32).reshape(-1, 4)
    return Sample(dark_on_white(width, height, boxes), corners, np.arange(len(boxes), dtype=np.int64))


@st.composite
def samples(draw: st.DrawFn) -> Sample:
    """A white picture with one dark rectangle and its box."""
    width, height = draw(st.integers(60, 200)), draw(st.integers(60, 200))
    left, top = draw(st.integers(0, width - 30)), draw(st.integers(0, height - 30))
    right, bottom = draw(st.integers(left + 20, width)), draw(st.integers(top + 20, height))
    return sample_of(width, height, (left, top, right, bottom))


def dark_box(pixels: NDArray[np.uint8]) -> NDArray[np.int64]:
    """Corners around the dark pixels, right and bottom exclusive."""
    dark = pixels.max(axis=2) < 128
    rows, columns = np.flatnonzero(dark.any(axis=1)), np.flatnonzero(dark.any(axis=0))
    return np.array([columns[0], rows[0], columns[-1] + 1, rows[-1] + 1])


# --- transform_boxes


@given(
    matrix=hnp.arrays(np.float64, (2, 3), elements=st.floats(-3, 3)),
    sides=hnp.arrays(np.float32, (3, 4), elements=st.floats(0, 100, width=32)),
)
def test_a_moved_box_is_the_smallest_around_its_moved_points(
    matrix: NDArray[np.float64], sides: NDArray[np.float32]
) -> None:
    boxes = np.concatenate([sides[:, :2], sides[:, :2] + sides[:, 2:]], axis=1)
    moved = transform_boxes(boxes, matrix)
    share = np.linspace(0, 1, 5)
    for box, result in zip(boxes.astype(np.float64), moved, strict=True):
        x, y = np.meshgrid(box[0] + share * (box[2] - box[0]), box[1] + share * (box[3] - box[1]))
        points = np.stack([x.ravel(), y.ravel(), np.ones(x.size)])
        images = matrix @ points
        expected = np.concatenate([images.min(axis=1), images.max(axis=1)])
        np.testing.assert_allclose(result, expected, rtol=1e-4, atol=1e-3)


# --- fit


@given(sample=samples(), seed=seeds)
def test_boxes_stay_on_their_items_however_the_picture_is_turned_and_scaled(sample: Sample, seed: int) -> None:
    fitted = fit(sample, SIZE, DEFAULT, np.random.default_rng(seed))
    assert fitted.pixels.shape == (SIZE, SIZE, 3)
    if not len(fitted.boxes):
        return
    (box,) = fitted.boxes
    seen = dark_box(fitted.pixels)
    assert box.min() >= 0
    assert box.max() <= SIZE
    assert (seen[:2] >= box[:2] - 2.5).all()
    assert (seen[2:] <= box[2:] + 2.5).all()
    if box.min() > 0 and box.max() < SIZE:
        np.testing.assert_allclose(seen, box, atol=2.5)


@given(sample=samples(), seed=seeds)
def test_a_picture_that_is_shrunk_keeps_every_item(sample: Sample, seed: int) -> None:
    small = replace(DEFAULT, zoom=(0.6, 0.7))
    fitted = fit(sample, SIZE, small, np.random.default_rng(seed))
    assert fitted.labels.tolist() == [0]
    np.testing.assert_allclose(dark_box(fitted.pixels), fitted.boxes[0], atol=2.5)


@given(seed=seeds)
def test_what_leaves_the_picture_takes_its_label_along(seed: int) -> None:
    scattered = sample_of(200, 200, *[(x, y, x + 24, y + 24) for x in (0, 88, 176) for y in (0, 88, 176)])
    fitted = fit(scattered, SIZE, replace(DEFAULT, zoom=(1.4, 2.0)), np.random.default_rng(seed))
    assert len(fitted.boxes) == len(fitted.labels) < 9
    for left, top, right, bottom in fitted.boxes.round().astype(int).tolist():
        assert fitted.pixels[top:bottom, left:right].min() < 40


def test_an_empty_belt_stays_white_and_without_boxes() -> None:
    fitted = fit(sample_of(90, 60), SIZE, DEFAULT, np.random.default_rng(0))
    assert fitted.boxes.shape == (0, 4)
    assert fitted.labels.shape == (0,)
    assert (fitted.pixels == 255).all()


def test_the_same_random_state_gives_the_same_picture() -> None:
    sample = sample_of(90, 60, (10, 10, 40, 40))
    first, second = (fit(sample, SIZE, DEFAULT, np.random.default_rng(4)) for _ in range(2))
    other = fit(sample, SIZE, DEFAULT, np.random.default_rng(5))
    np.testing.assert_array_equal(first.pixels, second.pixels)
    assert not np.array_equal(first.pixels, other.pixels)


# --- mosaic


@given(parts=st.lists(samples(), min_size=4, max_size=4), seed=seeds)
def test_a_mosaic_keeps_every_box_inside_and_on_something_dark(parts: list[Sample], seed: int) -> None:
    laid = mosaic(parts, SIZE, DEFAULT, np.random.default_rng(seed))
    assert laid.pixels.shape == (SIZE, SIZE, 3)
    assert len(laid.boxes) == len(laid.labels) <= 4
    for left, top, right, bottom in laid.boxes.tolist():
        assert 0 <= left < right <= SIZE
        assert 0 <= top < bottom <= SIZE
        assert laid.pixels[int(top) : int(bottom) + 1, int(left) : int(right) + 1].min() < 128


def test_a_mosaic_shows_all_four_scans() -> None:
    parts = [replace(sample_of(100, 100, (30, 30, 70, 70)), labels=np.array([n], dtype=np.int64)) for n in range(4)]
    laid = mosaic(parts, SIZE, replace(DEFAULT, zoom=(0.5, 0.6)), np.random.default_rng(1))
    assert laid.labels.tolist() == [0, 1, 2, 3]


# --- overlay

pictures = hnp.arrays(np.uint8, (6, 5, 3))


def bare(pixels: NDArray[np.uint8]) -> Sample:
    return Sample(pixels, np.zeros((0, 4), np.float32), np.zeros(0, np.int64))


@given(pixels=pictures)
def test_an_empty_belt_changes_nothing_that_is_laid_on_it(pixels: NDArray[np.uint8]) -> None:
    white = np.full_like(pixels, 255)
    np.testing.assert_array_equal(overlay(bare(pixels), bare(white)).pixels, pixels)
    np.testing.assert_array_equal(overlay(bare(white), bare(pixels)).pixels, pixels)


@given(first=pictures, second=pictures)
def test_transmissions_of_overlaid_bags_multiply(first: NDArray[np.uint8], second: NDArray[np.uint8]) -> None:
    product = first.astype(np.float64) / 255 * second / 255
    result = overlay(bare(first), bare(second)).pixels
    np.testing.assert_allclose(result / 255, product, atol=1 / 255)
    np.testing.assert_array_equal(result, overlay(bare(second), bare(first)).pixels)


def test_overlaid_bags_keep_the_boxes_of_both() -> None:
    first, second = sample_of(50, 50, (1, 2, 20, 20)), sample_of(50, 50, (5, 5, 30, 30), (30, 30, 40, 40))
    both = overlay(first, second)
    assert both.boxes.tolist() == [[1, 2, 20, 20], [5, 5, 30, 30], [30, 30, 40, 40]]
    assert both.labels.tolist() == [0, 0, 1]


# --- rescan

PLAIN = Augmentation(greyscale=0, gain=(1.0, 1.0), palette=0, saturation=(1.0, 1.0), noise=0, blur=0, jpeg=0)


@given(seed=seeds, height=st.integers(16, 40), width=st.integers(16, 40))
def test_another_scanner_still_shows_an_empty_belt_white(seed: int, height: int, width: int) -> None:
    shown = rescan(np.full((height, width, 3), 255, np.uint8), DEFAULT, np.random.default_rng(seed))
    assert shown.shape == (height, width, 3)
    assert shown.dtype == np.uint8
    assert shown.mean() >= 245
    assert shown.min() >= 210


@given(seed=seeds)
def test_another_scanner_shows_a_dense_item_darker_than_the_belt(seed: int) -> None:
    pixels = np.full((40, 40, 3), 255, np.uint8)
    pixels[10:30, 10:30] = (60, 90, 160)
    shown = rescan(pixels, DEFAULT, np.random.default_rng(seed)).mean(axis=2)
    assert shown[15:25, 15:25].mean() < shown[:8].mean() - 30


@given(pixels=hnp.arrays(np.uint8, (8, 8, 3)), seed=seeds)
def test_a_scanner_without_any_difference_shows_the_same(pixels: NDArray[np.uint8], seed: int) -> None:
    shown = rescan(pixels, PLAIN, np.random.default_rng(seed))
    assert np.abs(shown.astype(int) - pixels).max() <= 2


@given(pixels=hnp.arrays(np.uint8, (8, 8, 3)), seed=seeds)
def test_a_greyscale_scanner_shows_no_colour(pixels: NDArray[np.uint8], seed: int) -> None:
    shown = rescan(pixels, replace(DEFAULT, greyscale=1.0, jpeg=0), np.random.default_rng(seed))
    assert (shown == shown[..., :1]).all()
