"""What lies in each cell of a picture, as far as its pairs tell: a dense lesson for the vision tower.

A yes or no a question is little to learn to see from. The boxes that the same pairs speak of say much more, and are
known for the same pictures: nothing is taught that the pairs do not hold.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from xray_training.datasets.pairs import Boxes, Count, Pair, Place, YesNo

UNKNOWN = -1
_COVERED = 0.4
_ALPHA, _GAMMA = 0.5, 1.5

Corners = tuple[float, float, float, float]


@dataclass(frozen=True, slots=True)
class Known:
    """What the pairs of one picture tell.

    Attributes:
        places: boxes, each once.
        whole: labels of which every item has a box there, or of which there is none.
    """

    places: tuple[Place, ...]
    whole: frozenset[str]


def known_of(pairs: Iterable[Pair]) -> Known:
    """What the pairs of one picture tell about where things lie.

    A label counts as boxed in whole where a grounding question asks for all its boxes, where a count is the number of
    boxes, or where a question says that there is none.
    """
    places: dict[tuple[str, Corners], Place] = {}
    numbers: dict[str, int] = {}
    whole: set[str] = set()
    for pair in pairs:
        for place in pair.places:
            places[place.label, (place.x_min, place.y_min, place.x_max, place.y_max)] = place
        if isinstance(pair.truth, Boxes):
            whole.add(pair.truth.label)
        elif isinstance(pair.truth, Count) and len(pair.asked) == 1:
            numbers[pair.asked[0]] = pair.truth.number
        elif pair.kind == "presence" and isinstance(pair.truth, YesNo) and not pair.truth.yes and len(pair.asked) == 1:
            numbers[pair.asked[0]] = 0
    boxed = [place.label for place in places.values()]
    whole.update(label for label, number in numbers.items() if boxed.count(label) == number)
    return Known(tuple(places.values()), frozenset(whole))


def labels_of(pairs: Iterable[Pair]) -> tuple[str, ...]:
    """Labels that any of the pairs boxes, in order."""
    return tuple(sorted({place.label for pair in pairs for place in pair.places}))


def cells_of(known: Known, labels: Sequence[str], rows: int, columns: int) -> NDArray[np.int8]:
    """What lies in each cell: (labels, rows, columns), 1 there, 0 not there, -1 unknown.

    An item lies in the cell that its box covers most of, and in those of which it covers nearly half as much: a thin
    item lies in all cells along it.
    """
    cells = np.full((len(labels), rows, columns), UNKNOWN, dtype=np.int8)
    for index, label in enumerate(labels):
        if label in known.whole:
            cells[index] = 0
    order = {label: index for index, label in enumerate(labels)}
    for place in known.places:
        if place.label in order:
            cells[order[place.label]][_covered(place, rows, columns)] = 1
    return cells


def _covered(place: Place, rows: int, columns: int) -> NDArray[np.bool_]:
    across = _overlaps(place.x_min * columns, place.x_max * columns, columns)
    down = _overlaps(place.y_min * rows, place.y_max * rows, rows)
    shared = np.outer(down, across)
    most = shared.max()
    covered: NDArray[np.bool_] = (shared > 0) & (shared >= _COVERED * most)
    return covered


def _overlaps(start: float, end: float, count: int) -> NDArray[np.float64]:
    edges = np.arange(count)
    shared: NDArray[np.float64] = np.clip(np.minimum(end, edges + 1) - np.maximum(start, edges), 0, None)
    return shared


class CellHead(nn.Module):
    """Reads what lies in a cell from its image token; used in training and then thrown away."""

    def __init__(self, width: int, labels: int) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(width)
        self.read = nn.Linear(width, labels)
        nn.init.normal_(self.read.weight, std=0.02)
        nn.init.constant_(self.read.bias, -4.0)

    def forward(self, tokens: Tensor) -> Tensor:
        """Logits (tokens, labels) of image tokens (tokens, width)."""
        logits: Tensor = self.read(self.norm(tokens))
        return logits


def cell_loss(logits: Tensor, cells: Tensor) -> Tensor:
    """Focal loss (arXiv 1708.02002) over the cells that are known, a scalar; divided by how many hold something.

    Args:
        logits: (tokens, labels).
        cells: (tokens, labels): 1, 0, or -1 for unknown.
    """
    known = cells != UNKNOWN
    there = cells == 1
    logits = logits.float()
    entropy = nn.functional.binary_cross_entropy_with_logits(logits, there.float(), reduction="none")
    chance = torch.sigmoid(logits)
    miss = torch.where(there, 1 - chance, chance)
    balance = torch.where(there, 1 - _ALPHA, _ALPHA)
    loss = (balance * miss**_GAMMA * entropy * known).sum()
    return loss / there.sum().clamp(min=1)
