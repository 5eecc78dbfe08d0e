from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from xray_evals.changes import CHANGES, Change
from xray_evals.robustness import score_changes
from xray_evals.scanned import ScannedRecord, scan_all
from xray_training.datasets.record import LabelledBox, ScanRecord

from tests.evals.scanned import DarkRectangles

FEW = [change for change in CHANGES if "4,000" not in change.name]


@pytest.fixture
def groups(tmp_path: Path) -> dict[str, list[ScannedRecord]]:
    """Two sources with four scans each, and what the detector finds on them: everything."""
    detector = DarkRectangles()
    scanned = {}
    for source in ("north", "south"):
        records = []
        for number in range(4):
            pixels = np.full((90, 160, 3), 255, dtype=np.uint8)
            left = 20 + 25 * number
            pixels[30:60, left : left + 40] = 30
            path = tmp_path / f"{source}_{number}.png"
            Image.fromarray(pixels).save(path)
            box = LabelledBox("gun", left / 160, 30 / 90, (left + 40) / 160, 60 / 90)
            records.append(ScanRecord(path, source, "x", "test", str(number), "b", (box,), frozenset({"gun"})))
        scanned[source] = scan_all(detector, records)
    return scanned


def test_a_detector_that_survives_everything_scores_the_same_under_every_change(
    groups: dict[str, list[ScannedRecord]],
) -> None:
    scores = score_changes(DarkRectangles(), groups, scans=3, changes=FEW)
    assert [score.change for score in scores] == [change.name for change in FEW]
    for score in scores:
        assert score.map50 == pytest.approx({"north": 1.0, "south": 1.0}), score.change
        assert (score.mean_map50, score.scans, score.boxes) == pytest.approx((1, 6, 6))


def test_a_detector_that_a_change_blinds_scores_zero_under_it(groups: dict[str, list[ScannedRecord]]) -> None:
    blinding = Change("blinding", lambda pixels: np.full_like(pixels, 255))
    unchanged, blinded = score_changes(DarkRectangles(), groups, scans=3, changes=[CHANGES[0], blinding])
    assert (unchanged.mean_map50, blinded.mean_map50) == pytest.approx((1, 0))


def test_the_detector_does_not_look_again_at_unchanged_scans(groups: dict[str, list[ScannedRecord]]) -> None:
    detector = DarkRectangles()
    score_changes(detector, groups, scans=3, changes=FEW[:2])
    assert detector.looks == 6


def test_scans_without_a_box_are_not_drawn(groups: dict[str, list[ScannedRecord]], tmp_path: Path) -> None:
    empty = ScanRecord(tmp_path / "north_0.png", "north", "x", "test", "e", "b", (), frozenset({"gun"}))
    padded = {"north": [*groups["north"][:2], *scan_all(DarkRectangles(), [empty] * 20)]}
    (score,) = score_changes(DarkRectangles(), padded, scans=3, changes=FEW[:1])
    assert (score.scans, score.boxes) == (2, 2)
