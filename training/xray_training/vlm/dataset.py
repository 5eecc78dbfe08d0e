"""Pairs as a dataset of examples: pictures framed, questions of one picture put together."""

from __future__ import annotations

import copy
import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from torch.utils.data import Dataset

from xray_agent_tools.explainer.picture import Frame
from xray_training.datasets.pairs import Kind, Pair, YesNo
from xray_training.vlm.cells import Known, cells_of, known_of
from xray_training.vlm.collate import Example
from xray_training.vlm.config import VariationSettings
from xray_training.vlm.conversation import turn_of
from xray_training.vlm.shown import Shown, read_picture
from xray_training.vlm.variation import STILL, as_another_scanner, draw_move, speaks_of_place

_YES_OR_NO = re.compile(r"(yes|no)\b", re.IGNORECASE)
_PLAIN = VariationSettings(moved=0, rescan=0)


@dataclass(frozen=True, slots=True)
class Plan:
    """How pairs become examples.

    Attributes:
        pack: most questions of one example.
        kinds: share of the pairs of a kind that an epoch asks.
        brief: share of yes-or-no answers that are told in one word.
        variation: how pictures are varied.
        labels: labels to teach cells of; none: no cells.
        guided: whether detectors are imitated, which see the picture as its own scanner showed it.
        seed: of everything drawn.
        remembered: bytes of framed pictures to keep.
    """

    pack: int = 1
    kinds: tuple[tuple[Kind, float], ...] = ()
    brief: float = 0.0
    variation: VariationSettings = _PLAIN
    labels: tuple[str, ...] = ()
    guided: bool = False
    seed: int = 0
    remembered: int = 0


def in_one_word(pair: Pair) -> Pair:
    """The pair with its yes or no alone; one of another kind, or that begins otherwise, as it is."""
    said = _YES_OR_NO.match(pair.answer)
    if said is None or not isinstance(pair.truth, YesNo):
        return pair
    return pair.model_copy(update={"answer": f"{said.group()}."})


class PairSet(Dataset[Example]):
    """Examples of pictures with some of their questions.

    Each epoch asks every pair once, but for the kinds that are to be asked less; which of a picture's questions stand
    together, and how the picture is varied, follows from seed, epoch and index.
    """

    def __init__(self, shown: Sequence[Shown], frame: Frame, plan: Plan | None = None) -> None:
        self.shown = shown
        self.frame = frame
        self.plan = plan or Plan()
        self.epoch = 0
        shares = dict(self.plan.kinds)
        self.known: list[Known] = [known_of(picture.pairs) for picture in shown] if self.plan.labels else []
        self.parts: list[tuple[int, int, int]] = []
        for index, picture in enumerate(shown):
            asked = sum(shares.get(pair.kind, 1.0) for pair in picture.pairs)
            count = max(1, -(-round(asked) // self.plan.pack))
            self.parts += [(index, part, count) for part in range(count)]
        self._framed: dict[Path, NDArray[np.uint8]] = {}
        self._remembered = 0

    def __len__(self) -> int:
        return len(self.parts)

    def set_epoch(self, epoch: int) -> None:
        """What is drawn depends on the epoch."""
        self.epoch = epoch

    def plain(self) -> PairSet:
        """The same without variation."""
        twin = copy.copy(self)
        twin.plan = replace(self.plan, variation=_PLAIN)
        return twin

    def asked(self, index: int) -> tuple[Shown, tuple[Pair, ...]]:
        """The picture of an example, and which of its questions are asked in this epoch."""
        place, part, count = self.parts[index]
        picture = self.shown[place]
        rng = np.random.default_rng([self.plan.seed, self.epoch, place])
        shares = dict(self.plan.kinds)
        chances = rng.random(len(picture.pairs))
        order = rng.permutation(len(picture.pairs))
        briefly = rng.random(len(picture.pairs)) < self.plan.brief
        kept = [
            in_one_word(pair) if brief else pair
            for pair, chance, brief in ((picture.pairs[i], chances[i], briefly[i]) for i in order)
            if chance < shares.get(pair.kind, 1.0)
        ]
        chosen = kept[part::count][: self.plan.pack]
        return picture, tuple(chosen or [picture.pairs[order[0]]])

    def __getitem__(self, index: int) -> Example:
        picture, pairs = self.asked(index)
        place = self.parts[index][0]
        variation = self.plan.variation
        rng = np.random.default_rng([self.plan.seed, self.epoch, place, 1 + index])
        move = draw_move(variation, rng)
        if move != STILL:
            still_true = tuple(pair for pair in map(in_one_word, pairs) if not speaks_of_place(pair))
            pairs, move = (still_true, move) if still_true else (pairs, STILL)
        own = move.show(self._frame(picture.picture))
        pixels = as_another_scanner(own, variation, rng)
        height, width = pixels.shape[:2]
        if move != STILL:
            pairs = tuple(pair.model_copy(update={"places": tuple(map(move.place, pair.places))}) for pair in pairs)
        turns = tuple(turn_of(pair, self.frame, width, height) for pair in pairs)
        cells = None
        if self.known:
            known = self.known[place]
            moved = Known(tuple(map(move.place, known.places)), known.whole)
            cells = cells_of(moved, self.plan.labels, height // self.frame.cell, width // self.frame.cell)
        return Example(Image.fromarray(pixels), turns, cells, Image.fromarray(own) if self.plan.guided else None)

    def _frame(self, path: Path) -> NDArray[np.uint8]:
        known = self._framed.get(path)
        if known is not None:
            return known
        pixels = np.asarray(self.frame.show(Image.fromarray(read_picture(path))))
        if self._remembered + pixels.nbytes <= self.plan.remembered:
            self._framed[path] = pixels
            self._remembered += pixels.nbytes
        return pixels
