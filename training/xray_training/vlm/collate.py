"""From pictures with their questions to the tensors of a batch."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from xray_training.vlm.conversation import Talk, Turn
from xray_training.vlm.guidance import CELL
from xray_training.vlm.packing import IGNORED, SHARED, Sequenced, pack, visible

Batch = dict[str, Tensor]
"""What a model is given: ``input_ids``, ``labels``, ``attention_mask``, ``position_ids``, ``pixel_values`` and
``image_grid_thw``; beside them ``weights``, ``blocks`` and perhaps ``cells``, ``guides`` and ``guide_grids``, which are
the loss's own."""

OWN = ("weights", "blocks", "cells", "guides", "guide_grids")
"""Entries of a batch that are not the model's."""


@dataclass(frozen=True, slots=True)
class Example:
    """A picture and questions about it.

    Attributes:
        picture: RGB, framed already: its sides are multiples of the model's cell.
        turns: at least one question with its answer.
        cells: (labels, rows, columns) int8 of what lies in each cell: 1 there, 0 not, -1 unknown; None where it is
            not taught.
        own: the picture as its own scanner showed it, for detectors to look at; None where none is imitated.
    """

    picture: Image.Image
    turns: tuple[Turn, ...]
    cells: NDArray[np.int8] | None = None
    own: Image.Image | None = None


class Collator:
    """Makes batches with a processor: one picture an example, never resized again.

    Args:
        processor: of a Qwen2.5-VL or Qwen3-VL.
        per_answer: whether every answer weighs the same, however long; else every token does.
    """

    def __init__(self, processor: Any, *, per_answer: bool = False) -> None:
        self.talk = Talk(processor)
        self.image_processor = processor.image_processor
        self.merge: int = processor.image_processor.merge_size
        self.padding: int = processor.tokenizer.pad_token_id
        self.per_answer = per_answer

    def __call__(self, examples: Sequence[Example]) -> Batch:
        """Tensors of a batch of b examples, padded on the right to n tokens.

        Where every example has one question, ``attention_mask`` is (b, n); else (b, 1, n, n), true where a token sees
        another.
        """
        pictures = [example.picture for example in examples]
        seen = self.image_processor(images=pictures, do_resize=False, return_tensors="pt")
        grids = seen["image_grid_thw"]
        sequences = [
            self._sequence(example, int(rows) // self.merge, int(columns) // self.merge)
            for example, (_, rows, columns) in zip(examples, grids.tolist(), strict=True)
        ]
        length = max(len(sequence.ids) for sequence in sequences)
        batch = {
            "input_ids": _padded([sequence.ids for sequence in sequences], length, self.padding),
            "labels": _padded([sequence.labels for sequence in sequences], length, IGNORED),
            "attention_mask": self._mask(sequences, length),
            "position_ids": _padded([sequence.positions for sequence in sequences], length, 0).transpose(0, 1),
            "pixel_values": seen["pixel_values"],
            "image_grid_thw": grids,
            "blocks": _padded([sequence.blocks for sequence in sequences], length, SHARED),
            "weights": torch.stack([self._weights(sequence, length) for sequence in sequences]),
        }
        if any(example.cells is not None for example in examples):
            batch["cells"] = _padded_cells([example.cells for example in examples], grids // self.merge)
        if own := [example.own for example in examples if example.own is not None]:
            batch["guide_grids"] = grids // torch.tensor([1, self.merge, self.merge])
            batch["guides"] = _for_guides(own, batch["guide_grids"])
        return batch

    def _sequence(self, example: Example, rows: int, columns: int) -> Sequenced:
        conversations = [self.talk.conversation(turn, rows * columns) for turn in example.turns]
        return pack(conversations, self.talk.image_token, rows, columns)

    def _mask(self, sequences: Sequence[Sequenced], length: int) -> Tensor:
        if all(sequence.blocks.max() == 0 for sequence in sequences):
            return _padded([np.ones(len(sequence.ids), dtype=np.int64) for sequence in sequences], length, 0)
        mask = torch.eye(length, dtype=torch.bool).repeat(len(sequences), 1, 1)
        for row, sequence in zip(mask, sequences, strict=True):
            count = len(sequence.ids)
            row[:count, :count] = torch.from_numpy(visible(sequence.blocks))
        return mask[:, None]

    def _weights(self, sequence: Sequenced, length: int) -> Tensor:
        """(n,) weights of the tokens as labels: they sum to the number of answers, or of answers' tokens."""
        answers = sequence.labels != IGNORED
        weights = answers.astype(np.float32)
        if self.per_answer:
            sizes = np.bincount(sequence.blocks[answers])
            weights[answers] /= sizes[sequence.blocks[answers]]
        return torch.nn.functional.pad(torch.from_numpy(weights), (0, length - len(weights)))


def for_model(batch: Batch) -> Batch:
    """The entries that the model's ``forward`` takes, but for the labels."""
    return {name: value for name, value in batch.items() if name not in (*OWN, "labels")}


def _padded(rows: Sequence[NDArray[np.int64]], length: int, value: int) -> Tensor:
    tensors = [torch.from_numpy(row) for row in rows]
    return torch.stack([torch.nn.functional.pad(row, (0, length - row.shape[-1]), value=value) for row in tensors])


def _padded_cells(cells: Sequence[NDArray[np.int8] | None], grids: Tensor) -> Tensor:
    """(cells of all pictures, labels), in the order of their image tokens; -1 where a picture teaches none."""
    labels = next(known.shape[0] for known in cells if known is not None)
    parts = []
    for known, (_, rows, columns) in zip(cells, grids.tolist(), strict=True):
        part = np.full((labels, rows, columns), -1, dtype=np.int8) if known is None else known
        parts.append(torch.from_numpy(part.reshape(labels, -1).T.copy()))
    return torch.cat(parts)


def _for_guides(pictures: Sequence[Image.Image], grids: Tensor) -> Tensor:
    """(b, 3, height, width) uint8: every picture so large that detectors see its cells, white beyond it."""
    height, width = (int(side) * CELL for side in grids[:, 1:].amax(dim=0))
    canvas = np.full((len(pictures), height, width, 3), 255, dtype=np.uint8)
    for room, picture, (_, rows, columns) in zip(canvas, pictures, grids.tolist(), strict=True):
        size = (columns * CELL, rows * CELL)
        fitting = picture if picture.size == size else picture.resize(size, Image.Resampling.BICUBIC)
        room[: size[1], : size[0]] = np.asarray(fitting)
    return torch.from_numpy(canvas).permute(0, 3, 1, 2)
