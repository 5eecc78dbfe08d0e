"""The loss on answers, token by token."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy

from xray_training.vlm.collate import Batch, for_model
from xray_training.vlm.packing import IGNORED


@dataclass(frozen=True, slots=True)
class Told:
    """What a model makes of the wanted answers.

    Attributes:
        losses: (m,) negative log-probability of each token of an answer, in nats.
        rows: (m,) the example it is of.
        blocks: (m,) the question it is of.
        weights: (m,) how much it counts.
        outputs: all that the model returned.
    """

    losses: Tensor
    rows: Tensor
    blocks: Tensor
    weights: Tensor
    outputs: Any

    @property
    def mean(self) -> Tensor:
        """The weighted mean, a scalar."""
        return (self.losses * self.weights).sum() / self.weights.sum()

    def by_answer(self) -> list[list[float]]:
        """Log-probability of each answer, example by example."""
        found: list[list[float]] = [[] for _ in range(int(self.rows.max()) + 1)]
        for loss, row, block in zip(self.losses.tolist(), self.rows.tolist(), self.blocks.tolist(), strict=True):
            answers = found[row]
            answers.extend([0.0] * (block + 1 - len(answers)))
            answers[block] -= loss
        return found


def tell(model: Any, batch: Batch) -> Told:
    """Run the model over a batch; logits are computed for what precedes an answer's tokens alone."""
    wanted = batch["labels"][:, 1:]
    asked = wanted != IGNORED
    before = torch.nn.functional.pad(asked, (0, 1), value=False)
    outputs = model(**for_model(batch), logits_to_keep=before)
    losses = cross_entropy(outputs.logits.float(), wanted[asked], reduction="none")
    rows = torch.arange(len(wanted), device=wanted.device)[:, None].expand_as(wanted)[asked]
    return Told(losses, rows, batch["blocks"][:, 1:][asked], batch["weights"][:, 1:][asked], outputs)
