from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from xray_evals.calibration import Outcomes, score_calibration
from xray_evals.images import score_images
from xray_evals.plots import write_plots

from tests.evals.scanned import alarming

RNG = np.random.default_rng(0)
IMAGES = [
    score_images(name, alarming(*RNG.random(120)), alarming(*RNG.random(136)), {"gun": 0.5}, counted=frozenset({"gun"}))
    for name in ("north", "south")
]
CONFIDENCES = RNG.random(400)
CALIBRATION = score_calibration("north", Outcomes(CONFIDENCES, RNG.random(400) < CONFIDENCES, CONFIDENCES > 0.5))


def test_plots_are_small_name_every_source_and_are_the_same_from_the_same_figures(tmp_path: Path) -> None:
    assert CALIBRATION is not None
    first = write_plots(IMAGES, [CALIBRATION], tmp_path / "first")
    second = write_plots(IMAGES, [CALIBRATION], tmp_path / "second")
    assert [path.name for path in first] == ["roc.svg", "reliability.svg"]
    for one, other in zip(first, second, strict=True):
        assert one.read_bytes() == other.read_bytes()
        assert one.stat().st_size < 60_000
        assert "<dc:date>" not in one.read_text(encoding="utf-8")
    for image in IMAGES:
        assert f"{image.source}, AUC {image.auc[0]:.3f}" in first[0].read_text(encoding="utf-8")
    assert "north, ECE" in first[1].read_text(encoding="utf-8")


@pytest.mark.parametrize("images", [IMAGES, []])
def test_nothing_is_drawn_of_nothing(tmp_path: Path, images: list[object]) -> None:
    written = write_plots(IMAGES if images else [], [], tmp_path)
    assert [path.name for path in written] == (["roc.svg"] if images else [])
