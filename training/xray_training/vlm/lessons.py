"""What a vision tower is taught directly, beside the answers that the whole model is to give."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from xray_training.vlm.cells import CellHead, cell_loss
from xray_training.vlm.collate import Batch
from xray_training.vlm.config import VlmConfig
from xray_training.vlm.guidance import Guide, guidance_loss


class Lessons(nn.Module):
    """The layers that read cells off image tokens, and their loss. All of it is thrown away after training.

    Args:
        config: the weights of the lessons.
        width: of an image token.
        labels: how many labels are taught.
        guide: the detectors to imitate, if any; they are no part of the state that is saved.
    """

    def __init__(self, config: VlmConfig, width: int, labels: int, guide: Guide | None) -> None:
        super().__init__()
        self.weights = (config.cells.weight, config.guidance.weight)
        self.cells = CellHead(width, labels) if labels else None
        self.guide = guide
        self.guided = (
            nn.Sequential(nn.LayerNorm(width), nn.Linear(width, guide.channels)) if guide is not None else None
        )
        self.told: dict[str, float] = {}

    def loss(self, seen: Sequence[Tensor], batch: Batch) -> Tensor:
        """Weighted sum of the lessons' losses, a scalar.

        Args:
            seen: image tokens, (cells, width) for each picture.
            batch: what the collator made, with ``cells`` and ``guides`` where they are taught.
        """
        tokens = torch.cat(list(seen))
        total = tokens.new_zeros((), dtype=torch.float32)
        if self.cells is not None:
            loss = cell_loss(self.cells(tokens), batch["cells"])
            self.told["cells"] = float(loss.detach())
            total = total + self.weights[0] * loss
        if self.guided is not None and self.guide is not None:
            features = self.guide.features(batch["guides"], batch["guide_grids"])
            loss = guidance_loss(self.guided(tokens), features)
            self.told["guidance"] = float(loss.detach())
            total = total + self.weights[1] * loss
        return total
