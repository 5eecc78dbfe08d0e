from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor
from ultralytics.nn.tasks import DetectionModel
from ultralytics.utils import DEFAULT_CFG
from ultralytics.utils.loss import v8DetectionLoss
from xray_training.detector.loss import AnnotatedDetectionLoss

CLASSES = 3


@pytest.fixture(scope="module")
def network() -> Any:
    torch.manual_seed(0)
    model = DetectionModel("yolo11n.yaml", nc=CLASSES, verbose=False)
    model.args = DEFAULT_CFG
    return model.train()


def batch_of(annotated: list[list[bool]]) -> dict[str, Any]:
    """Two pictures at 64 px: an item of class 0 on the first, one of class 1 on the second."""
    generator = torch.Generator().manual_seed(3)
    return {
        "img": torch.rand(2, 3, 64, 64, generator=generator),
        "cls": torch.tensor([[0.0], [1.0]]),
        "bboxes": torch.tensor([[0.5, 0.5, 0.4, 0.4], [0.4, 0.6, 0.5, 0.3]]),
        "batch_idx": torch.tensor([0.0, 1.0]),
        "annotated": torch.tensor(annotated),
    }


def score_gradient(network: Any, batch: dict[str, Any]) -> tuple[Tensor, dict[str, Tensor]]:
    """Gradient of the loss at the class outputs, shape (batch, classes, anchors), and the parts of the loss."""
    predictions = network(batch["img"])
    predictions["scores"].retain_grad()
    total, parts = AnnotatedDetectionLoss(network)(predictions, batch)
    total.sum().backward()
    gradient: Tensor = predictions["scores"].grad
    return gradient, parts


def test_a_class_that_no_scan_annotates_gets_no_gradient(network: Any) -> None:
    gradient, _ = score_gradient(network, batch_of([[True, True, False]] * 2))
    per_class = gradient.abs().sum(dim=(0, 2))
    assert per_class[2] == 0
    assert per_class[0] > 0
    assert per_class[1] > 0


def test_the_weights_of_a_class_that_no_scan_annotates_are_left_alone(network: Any) -> None:
    network.zero_grad()
    score_gradient(network, batch_of([[True, True, False]] * 2))
    for branch in network.model[-1].cv3:
        per_class = branch[-1].weight.grad.abs().flatten(1).sum(dim=1)
        assert per_class[2] == 0
        assert (per_class[:2] > 0).all()


def test_an_annotated_class_that_is_absent_is_pushed_down(network: Any) -> None:
    gradient, _ = score_gradient(network, batch_of([[True, True, True]] * 2))
    assert (gradient[:, 2] > 0).all()


def test_each_scan_has_its_own_mask(network: Any) -> None:
    gradient, _ = score_gradient(network, batch_of([[True, True, True], [False, True, False]]))
    per_scan = gradient.abs().sum(dim=2)
    assert (per_scan[0] > 0).all()
    assert (per_scan[1] > 0).tolist() == [False, True, False]


def test_masking_a_class_takes_exactly_its_share_off_the_class_loss(network: Any) -> None:
    predictions = network(batch_of([[True] * CLASSES] * 2)["img"])
    loss = AnnotatedDetectionLoss(network)

    def class_loss(*annotated: bool) -> float:
        _, parts = loss(predictions, batch_of([list(annotated)] * 2))
        return float(parts["cls_loss"])

    alone = class_loss(True, False, False) + class_loss(False, True, False) + class_loss(False, False, True)
    assert class_loss(False, False, False) == 0
    assert class_loss(True, True, False) < class_loss(True, True, True)
    assert alone == pytest.approx(class_loss(True, True, True), rel=1e-5)


def test_with_every_class_annotated_it_is_the_loss_of_ultralytics(network: Any) -> None:
    batch = batch_of([[True] * CLASSES] * 2)
    predictions = network(batch["img"])
    ours, our_parts = AnnotatedDetectionLoss(network)(predictions, batch)
    theirs, their_parts = v8DetectionLoss(network)(predictions, batch)
    torch.testing.assert_close(ours, theirs)
    assert our_parts.keys() == their_parts.keys()
    for name, part in their_parts.items():
        torch.testing.assert_close(our_parts[name], part)


def test_the_mask_leaves_the_box_losses_alone(network: Any) -> None:
    batch = batch_of([[True, True, False]] * 2)
    predictions = network(batch["img"])
    _, masked = AnnotatedDetectionLoss(network)(predictions, batch)
    _, whole = v8DetectionLoss(network)(predictions, batch)
    torch.testing.assert_close(masked["box_loss"], whole["box_loss"])
    torch.testing.assert_close(masked["dfl_loss"], whole["dfl_loss"])
    assert masked["cls_loss"] < whole["cls_loss"]


def test_the_loss_is_computed_in_full_precision(network: Any) -> None:
    batch = batch_of([[True] * CLASSES] * 2)
    with torch.autocast("cpu", torch.bfloat16):
        total, _ = AnnotatedDetectionLoss(network)(network(batch["img"]), batch)
    assert total.dtype == torch.float32
    assert torch.isfinite(total).all()
