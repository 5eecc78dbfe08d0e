"""Augmentation that keeps a scan physically possible.

Pixels of a scan are transmission, so thickness adds where brightness multiplies: bags are mixed by
multiplying them, gain is a factor on the attenuation ``-ln(pixel / 255)``, and padding is white.
Hue is never shifted at random, because the pseudo-colour encodes material; what does change between
scanners, the palette's strength and the greyscale rendering, is varied instead.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

WHITE = (255, 255, 255)
_LUMA = (0.299, 0.587, 0.114)


@dataclass(frozen=True, slots=True)
class Sample:
    """A picture with its boxes: pixels (height, width, 3) 0..255, corners (n, 4) in pixels, labels (n,)."""

    pixels: NDArray[np.uint8]
    boxes: NDArray[np.float32]
    labels: NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Augmentation:
    """How strongly to augment. Probabilities are 0..1.

    Attributes:
        mosaic: probability of laying four scans of one source beside each other.
        mix: probability of adding the attenuation of a second bag.
        project: probability of projecting a simulated threat into a scan.
        zoom: factors between which the content is scaled.
        aspect: largest factor by which one axis is stretched.
        rotate: largest small rotation, in degrees.
        quarter_turn: probability of a rotation by 90, 180 or 270 degrees.
        flip: probability of each mirror.
        greyscale: probability of dropping the pseudo-colour.
        gain: factors between which attenuation is scaled.
        palette: largest deviation of a channel's attenuation factor from 1.
        saturation: factors between which the colour's distance from grey is scaled.
        noise: largest standard deviation of added noise, in grey levels.
        blur: probability of a Gaussian blur.
        jpeg: probability of JPEG compression.
    """

    mosaic: float = 0.3
    mix: float = 0.1
    project: float = 0.0
    zoom: tuple[float, float] = (0.7, 1.5)
    aspect: float = 1.2
    rotate: float = 8.0
    quarter_turn: float = 0.3
    flip: float = 0.5
    greyscale: float = 0.25
    gain: tuple[float, float] = (0.7, 1.4)
    palette: float = 0.2
    saturation: tuple[float, float] = (0.5, 1.6)
    noise: float = 6.0
    blur: float = 0.1
    jpeg: float = 0.15


def fit(sample: Sample, size: int, settings: Augmentation, rng: np.random.Generator) -> Sample:
    """Turn, scale, stretch, mirror and shift a sample into a white square of the given side."""
    height, width = sample.pixels.shape[:2]
    zoom = math.exp(rng.uniform(math.log(settings.zoom[0]), math.log(settings.zoom[1])))
    stretch = math.exp(rng.uniform(-1, 1) * math.log(settings.aspect) / 2)
    scale = zoom * size / max(height, width)
    angle = math.radians(rng.uniform(-settings.rotate, settings.rotate))
    if rng.random() < settings.quarter_turn:
        angle += math.pi / 2 * int(rng.integers(1, 4))
    cosine, sine = math.cos(angle), math.sin(angle)
    mirror_x = -1.0 if rng.random() < settings.flip else 1.0
    mirror_y = -1.0 if rng.random() < settings.flip else 1.0
    linear = np.array([[cosine, -sine], [sine, cosine]]) @ np.diag(
        [scale * stretch * mirror_x, scale / stretch * mirror_y]
    )
    reach = np.abs(linear) @ np.array([width, height]) / 2
    slack = np.abs(size / 2 - reach)
    centre = size / 2 + rng.uniform(-1, 1, 2) * slack
    matrix = np.column_stack([linear, centre - linear @ np.array([width / 2, height / 2])])
    pixels = cv2.warpAffine(
        sample.pixels, matrix, (size, size), flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_CONSTANT, borderValue=WHITE
    )
    return _keep_visible(np.asarray(pixels, dtype=np.uint8), transform_boxes(sample.boxes, matrix), sample.labels)


def transform_boxes(boxes: NDArray[np.float32], matrix: NDArray[np.float64]) -> NDArray[np.float32]:
    """Axis-aligned boxes around the affine images of boxes, both (n, 4) corners; matrix is (2, 3)."""
    corners = boxes[:, [0, 1, 2, 1, 2, 3, 0, 3]].reshape(-1, 4, 2)
    moved = corners @ matrix[:, :2].T + matrix[:, 2]
    return np.concatenate([moved.min(axis=1), moved.max(axis=1)], axis=1).astype(np.float32)


def _keep_visible(pixels: NDArray[np.uint8], boxes: NDArray[np.float32], labels: NDArray[np.int64]) -> Sample:
    height, width = pixels.shape[:2]
    clipped = boxes.copy()
    clipped[:, [0, 2]] = clipped[:, [0, 2]].clip(0, width)
    clipped[:, [1, 3]] = clipped[:, [1, 3]].clip(0, height)
    before = (boxes[:, 2] - boxes[:, 0]) * (boxes[:, 3] - boxes[:, 1])
    sides = clipped[:, 2:] - clipped[:, :2]
    kept = (sides.min(axis=1, initial=np.inf) >= 3) & (sides.prod(axis=1) >= 0.4 * before)
    return Sample(pixels, clipped[kept], labels[kept])


def mosaic(samples: list[Sample], size: int, settings: Augmentation, rng: np.random.Generator) -> Sample:
    """Lay four samples beside each other around a random point of a white square."""
    split_x, split_y = (int(size * rng.uniform(0.35, 0.65)) for _ in range(2))
    canvas = np.full((size, size, 3), 255, dtype=np.uint8)
    boxes, labels = [], []
    cells = [
        (0, 0, split_x, split_y),
        (split_x, 0, size, split_y),
        (0, split_y, split_x, size),
        (split_x, split_y, size, size),
    ]
    for sample, (left, top, right, bottom) in zip(samples, cells, strict=True):
        placed = fit(sample, max(right - left, bottom - top), settings, rng)
        cell = _keep_visible(placed.pixels[: bottom - top, : right - left], placed.boxes, placed.labels)
        canvas[top:bottom, left:right] = cell.pixels
        boxes.append(cell.boxes + np.array([left, top, left, top], dtype=np.float32))
        labels.append(cell.labels)
    return Sample(canvas, np.concatenate(boxes), np.concatenate(labels))


def overlay(first: Sample, second: Sample) -> Sample:
    """Put two bags on top of each other: transmissions multiply."""
    product = first.pixels.astype(np.uint16) * second.pixels // 255
    return Sample(
        product.astype(np.uint8),
        np.concatenate([first.boxes, second.boxes]),
        np.concatenate([first.labels, second.labels]),
    )


def rescan(pixels: NDArray[np.uint8], settings: Augmentation, rng: np.random.Generator) -> NDArray[np.uint8]:
    """Show the same bag as another scanner might: palette, gain, sharpness, noise, compression."""
    grey = rng.random() < settings.greyscale
    saturation = 0.0 if grey else rng.uniform(*settings.saturation)
    factors = np.ones(3) if grey else 1 + rng.uniform(-1, 1, 3) * settings.palette
    gain = math.exp(rng.uniform(math.log(settings.gain[0]), math.log(settings.gain[1])))
    mixing = saturation * np.eye(3) + (1 - saturation) * np.array(_LUMA)
    ramp = np.arange(256, dtype=np.float64).clip(0.5) / 255
    curves = (255 * ramp[:, None] ** (gain * factors)).clip(0, 255).astype(np.uint8)
    result = cv2.LUT(cv2.transform(pixels, mixing), curves[None])
    if rng.random() < settings.blur:
        result = cv2.GaussianBlur(result, (0, 0), float(rng.uniform(0.4, 1.0)))
    if rng.random() < 0.5:
        noise = rng.standard_normal(result.shape[:2], dtype=np.float32) * np.float32(rng.uniform(0, settings.noise))
        result = (result + noise[..., None]).clip(0, 255).astype(np.uint8)
    if rng.random() < settings.jpeg:
        quality = int(rng.integers(35, 92))
        _, encoded = cv2.imencode(".jpg", result, [cv2.IMWRITE_JPEG_QUALITY, quality])
        result = np.asarray(cv2.imdecode(encoded, cv2.IMREAD_COLOR))
    return np.asarray(result, dtype=np.uint8)
