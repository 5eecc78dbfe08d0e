"""What the vision tower is taught directly: what lies in its cells, and what detectors make of them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from xray_training.vlm.collate import Collator, Example
from xray_training.vlm.config import FrameSettings, VariationSettings, VlmConfig
from xray_training.vlm.dataset import PairSet, Plan
from xray_training.vlm.guidance import CELL, Guide, guidance_loss
from xray_training.vlm.lessons import Lessons
from xray_training.vlm.models import with_quick_patches
from xray_training.vlm.nano import TINY, make_model, make_processor
from xray_training.vlm.shown import Shown, read_shown

from tests.training.vlm.drawn import LABELS
from xray_agent_tools.explainer.picture import Frame

FRAME = Frame(cell=28, min_pixels=3136, max_pixels=12544)
CHANNELS = 3 * 64
"""Three levels of a nano YOLO with 48 classes."""


@pytest.fixture(scope="module")
def shown(bags: Path) -> list[Shown]:
    return read_shown([bags])["train"][:8]


@pytest.fixture(scope="module")
def guide() -> Guide:
    return Guide(["default"], "cpu")


@pytest.fixture(scope="module")
def processor(shown: list[Shown]) -> Any:
    texts = [text for picture in shown for pair in picture.pairs for text in (pair.question, pair.answer)]
    return make_processor(TINY, FrameSettings(min_pixels=3136, max_pixels=12544), texts)


def guided(shown: list[Shown], **variation: float) -> PairSet:
    return PairSet(shown, FRAME, Plan(pack=4, labels=LABELS, guided=True, variation=VariationSettings(**variation)))


def test_detectors_see_the_moved_picture_as_its_own_scanner_showed_it(shown: list[Shown]) -> None:
    varied, plain = guided(shown, moved=1, rescan=1), guided(shown, moved=1, rescan=0)
    for index in range(len(shown)):
        one, other = varied[index], plain[index]
        assert one.own is not None
        assert one.own.tobytes() == other.picture.tobytes()
    assert any(varied[index].picture.tobytes() != plain[index].picture.tobytes() for index in range(len(shown)))


def test_nothing_is_kept_for_detectors_where_none_is_imitated(shown: list[Shown], processor: Any) -> None:
    pairs = PairSet(shown, FRAME, Plan(pack=4, labels=LABELS))
    assert pairs[0].own is None
    assert "guides" not in Collator(processor)([pairs[0], pairs[1]])


def test_a_picture_is_as_large_for_detectors_as_its_cells_and_white_beyond(shown: list[Shown], processor: Any) -> None:
    pairs = guided(shown)
    small = Image.new("RGB", (56, 84), (10, 20, 30))
    batch = Collator(processor)([pairs[0], Example(small, pairs[0].turns, own=small)])
    assert batch["guide_grids"].tolist() == [[1, 4, 4], [1, 3, 2]]
    assert batch["guides"].shape == (2, 3, 4 * CELL, 4 * CELL)
    seen = batch["guides"][1]
    assert (seen[:, : 3 * CELL, : 2 * CELL] == torch.tensor([10, 20, 30])[:, None, None]).all()
    assert (seen[:, 3 * CELL :] == 255).all()
    assert (seen[:, :, 2 * CELL :] == 255).all()


def test_every_cell_has_the_features_of_all_levels_on_one_scale(guide: Guide, demo_scans: list[Path]) -> None:
    side = 10 * CELL
    pictures = [np.asarray(Image.open(scan).convert("RGB").resize((side, side))) for scan in demo_scans[:2]]
    features = guide.features(
        torch.from_numpy(np.stack(pictures)).permute(0, 3, 1, 2), torch.tensor([[1, 10, 10], [1, 10, 10]])
    )
    assert features.shape == (200, CHANNELS)
    assert guide.channels == CHANNELS
    assert features.mean(dim=0).abs().max() < 1e-4
    assert features.var(dim=0, unbiased=False).median() == pytest.approx(1, abs=0.05)
    assert not features.requires_grad


def test_features_tell_cells_apart_and_stay_with_them_when_the_batch_is_turned_round(
    guide: Guide, demo_scans: list[Path]
) -> None:
    side = 10 * CELL
    pictures = torch.stack(
        [
            torch.from_numpy(np.array(Image.open(scan).convert("RGB").resize((side, side)))).permute(2, 0, 1)
            for scan in demo_scans[:2]
        ]
    )
    grids = torch.tensor([[1, 10, 10], [1, 10, 10]])
    features, turned = guide.features(pictures, grids), guide.features(pictures.flip(0), grids)
    assert torch.allclose(features, torch.cat([turned[100:], turned[:100]]), atol=1e-3)
    assert guidance_loss(features, features) == 0
    assert guidance_loss(torch.zeros_like(features), features) == pytest.approx(1, abs=0.05)
    assert guidance_loss(features.flip(0), features) > 1


def test_lessons_teach_the_tower_what_lies_where(guide: Guide, shown: list[Shown], processor: Any, bags: Path) -> None:
    """Both losses fall by learning on one batch, and only what is to be saved is saved."""
    config = VlmConfig.model_validate(
        {"pairs": [bags], "architecture": TINY, "method": "full", "cells": {"weight": 1}, "guidance": {"weight": 1}}
    )
    torch.manual_seed(0)
    model = with_quick_patches(make_model(TINY, processor, 0))
    lessons = Lessons(config, TINY.width, len(LABELS), guide)
    pairs = guided(shown)
    batch = Collator(processor)([pairs[index] for index in range(len(shown))])
    optimizer = torch.optim.AdamW([*model.model.visual.parameters(), *lessons.parameters()], lr=3e-3)
    told = []
    for _ in range(40):
        seen = model.get_image_features(batch["pixel_values"], batch["image_grid_thw"], return_dict=True).pooler_output
        loss = lessons.loss(seen, batch)
        optimizer.zero_grad()
        torch.autograd.backward(loss)
        optimizer.step()
        told.append(dict(lessons.told))
    assert told[-1]["guidance"] < 0.7 * told[0]["guidance"]
    assert told[-1]["cells"] < 0.5 * told[0]["cells"]
    assert {name.split(".")[0] for name in lessons.state_dict()} == {"cells", "guided"}
