"""The detection loss, blind to what a scan's source never annotates."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from ultralytics.utils.loss import v8DetectionLoss


class _MaskedBCE(nn.Module):
    """Binary cross-entropy per anchor and class, zero for the classes that a scan's source does not annotate."""

    def __init__(self) -> None:
        super().__init__()
        self.annotated: Tensor | None = None

    def forward(self, scores: Tensor, targets: Tensor) -> Tensor:
        loss = nn.functional.binary_cross_entropy_with_logits(scores, targets, reduction="none")
        return loss if self.annotated is None else loss * self.annotated[:, None, :].to(loss.dtype)


class AnnotatedDetectionLoss(v8DetectionLoss):  # type: ignore[misc]
    """Ultralytics' loss in which an unannotated class is neither present nor absent.

    The batch carries ``annotated``, boolean of shape (batch, classes).
    """

    def __init__(self, model: nn.Module, *, masked: bool = True, **settings: Any) -> None:
        """Make the loss.

        Args:
            model: the network.
            masked: False counts what a source does not annotate as absent, to measure what the mask is worth.
            settings: passed on.
        """
        super().__init__(model, **settings)
        self._masked = masked
        self.bce = _MaskedBCE()

    def loss(self, preds: dict[str, Tensor], batch: dict[str, Any]) -> tuple[Tensor, dict[str, Tensor]]:
        """Total (batch-scaled) and detached box, class and DFL losses."""
        self.bce.annotated = batch["annotated"] if self._masked else None
        with torch.autocast(batch["img"].device.type, enabled=False):
            full = {key: value.float() if torch.is_tensor(value) else value for key, value in preds.items()}
            total, parts = super().loss(full, batch)
        return total, parts
