"""How likely other things are to hide much of an item.

Attenuation adds along a ray, so where other things attenuate more than the item itself, they dominate what is seen.
Eight measures of the box and of the ring around it go into a logistic regression whose weights were fitted on simulated
scans, where the hidden share of every item is known.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from xray_agent_tools.evidence.surroundings import Surroundings, surroundings_of
from xray_agent_tools.report import Box, Occlusion

HIDDEN_FROM = 0.3
"""Share of an item's silhouette that others hide, above which it counts as hidden."""

OCCLUDED_FROM = 0.7
"""Score from which an item is called occluded.

Of what the default model found on simulated scans for development it was right most often from here on: 75 %, where
always saying no is right of 69 %. Of all items it was right of 64 %, where always saying yes is right of 63 %. Printed by
``xray-eval evidence --simulated DIR --split train --limit 400`` (2026-11-28, commit db502ac)."""

FEATURES = ("size", "around", "level", "sunken", "outweighed", "thinnest", "corners", "continued")
"""Names of the measures, in the order of ``features_in`` and of the weights."""


class Weights(NamedTuple):
    """A logistic regression on ``FEATURES``: each measure is cut to ``lowest``..``highest`` and then weighted."""

    intercept: float
    weights: tuple[float, ...]
    lowest: tuple[float, ...]
    highest: tuple[float, ...]


FITTED = Weights(
    intercept=1.692,
    weights=(0.7593, 1.015, 3.143, -4.398, 2.047, 2.438, -1.178, 1.236),
    lowest=(-4.586, -3.028, 0.008412, 0.002506, 0.1862, 0.0, 0.2757, -0.09174),
    highest=(0.2961, -0.04739, 0.9179, 0.6956, 1.0, 0.6343, 1.446, 0.9171),
)
"""Printed by ``xray-eval evidence-weights --simulated DIR --limit 1500`` (2026-11-28, commit 15b1b21+) for scans of
``xray-train data simulate --out DIR --count 1500 --seed 400000 --scanner wild --most 5``: 18,726 boxes, half of them as
inexact as a detector's, every label counting alike. Calling an item occluded was right most often from 0.51."""

_VIEW_SAMPLES = 64
_BELT_QUANTILE = 0.98
_DARKEST_BELT = 180
_CONTENT_BELOW = 0.9
_LEAST_ATTENUATION = 0.02
_FAINTEST = 0.01
_STANDS_OUT = 1.15
_OUTWEIGHED = FEATURES.index("outweighed")
_LEAST_OUTWEIGHED = 0.1


def occlusion_in(grey: NDArray[np.uint8], box: Box) -> Occlusion | None:
    """Estimate the probability that more than 30 % of an item's silhouette is hidden by other things.

    Args:
        grey: luminance, shape (height, width), 0..255.
        box: where the item is, in pixels.

    Returns:
        The score, 0..1, or None if the box fills the view, lies outside of it or does not attenuate.
    """
    features = features_in(grey, box)
    if features is None:
        return None
    score = round(float(scores_of(features, FITTED)), 3)
    return Occlusion(occluded=score >= OCCLUDED_FROM, score=score)


def scores_of(features: NDArray[np.float64], fitted: Weights) -> NDArray[np.float64]:
    """Scores (0..1) of measures, shape (..., 8) to (...).

    Where surroundings like those of the box would outweigh less than a tenth of it, they cannot hide much, whatever the
    regression says: no simulated item lies on an empty belt, so it has not learned that.
    """
    cut = np.clip(features, fitted.lowest, fitted.highest)
    likely = 1 / (1 + np.exp(-(fitted.intercept + cut @ np.array(fitted.weights))))
    return np.asarray(likely * np.clip(features[..., _OUTWEIGHED] / _LEAST_OUTWEIGHED, 0, 1))


def features_in(grey: NDArray[np.uint8], box: Box) -> NDArray[np.float64] | None:
    """Measure a box and the ring around it, in attenuation (``ln(belt / luminance)``, at least 0).

    All but ``around`` are ratios, which a palette's gamma leaves alone:

    - ``size``: logarithm of the box's area over the area that attenuates in the view;
    - ``around``: logarithm of the ring's mean;
    - ``level``: the ring's median over the box's mean;
    - ``sunken``: share of the box that does not stand out from the ring's median by 15 %;
    - ``outweighed``: share of the box that is less than twice the ring's 75th percentile, so that surroundings like
      those would be the larger part of it;
    - ``thinnest``, ``corners``: the box's 10th percentile, and the mean of its corners, where a silhouette seldom
      reaches, over the box's mean;
    - ``continued``: how alike the profiles just inside and just outside of the four edges are, as a mean correlation:
      what crosses an edge belongs to something else.

    Args:
        grey: luminance, shape (height, width), 0..255.
        box: where the item is, in pixels.

    Returns:
        The measures in the order of ``FEATURES``, shape (8,), or None if the box fills the view, lies outside of it or
        does not attenuate.
    """
    place = surroundings_of(grey, box)
    if place is None:
        return None
    belt, content = _belt_and_content(grey)
    curve = np.log((belt + 1) / np.arange(1, 257)).clip(0).astype(np.float32)
    window = curve[place.window(grey)]
    inside, ring = place.inside(window), place.ring(window)
    mean = float(inside.mean())
    if not ring.size or mean < _LEAST_ATTENUATION:
        return None
    (thin,), (median, upper) = _ranked(inside, 0.1), _ranked(ring, 0.5, 0.75)
    return np.array(
        [
            np.log(place.area / max(content, 1.0)),
            np.log(ring.mean() + _FAINTEST),
            median / mean,
            (inside < _STANDS_OUT * median).mean(),
            (inside < 2 * upper).mean(),
            thin / mean,
            _corners(inside) / mean,
            _continued(window, place),
        ],
        dtype=np.float64,
    )


def _belt_and_content(grey: NDArray[np.uint8]) -> tuple[float, float]:
    """The luminance of the empty belt, and how many pixels of the view are clearly darker."""
    height, width = grey.shape
    sample = grey[:: max(1, height // _VIEW_SAMPLES), :: max(1, width // _VIEW_SAMPLES)].ravel()
    place = int(_BELT_QUANTILE * (len(sample) - 1))
    belt = float(max(_DARKEST_BELT, int(np.partition(sample, place)[place])))
    return belt, float((sample < _CONTENT_BELOW * belt).mean()) * grey.size


def _ranked(values: NDArray[np.float32], *shares: float) -> list[float]:
    """Quantiles, without interpolation."""
    places = [int(share * (values.size - 1)) for share in shares]
    return [float(value) for value in np.partition(values, places, axis=None)[places]]


def _corners(inside: NDArray[np.float32]) -> float:
    """Mean over the four corners, each a quarter of the sides."""
    high, wide = (max(1, size // 4) for size in inside.shape)
    ends = np.concatenate([inside[:high], inside[-high:]])
    return float((ends[:, :wide].mean() + ends[:, -wide:].mean()) / 2)


def _continued(window: NDArray[np.float32], place: Surroundings) -> float:
    """Mean correlation (-1..1) of the profiles inside each edge and two samples outside of it; 0 where there is none."""
    rows, columns = slice(place.top, place.bottom), slice(place.left, place.right)
    height, width = window.shape
    left, right, top, bottom = place.left - 2, place.right + 1, place.top - 2, place.bottom + 1
    edges = []
    if left >= 0:
        edges.append((window[rows, place.left], window[rows, left]))
    if right < width:
        edges.append((window[rows, place.right - 1], window[rows, right]))
    if top >= 0:
        edges.append((window[place.top, columns], window[top, columns]))
    if bottom < height:
        edges.append((window[place.bottom - 1, columns], window[bottom, columns]))
    return float(np.mean([_correlation(inner, outer) for inner, outer in edges])) if edges else 0.0


def _correlation(one: NDArray[np.float32], other: NDArray[np.float32]) -> float:
    """Correlation of two profiles; near 0 where either is flat."""
    first, second = one - one.mean(), other - other.mean()
    return float(first @ second) / float(np.sqrt(float(first @ first) * float(second @ second) + 1e-6))
