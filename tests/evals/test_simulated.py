from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from xray_evals.labels import alarming, threats
from xray_evals.scanned import ScannedRecord
from xray_evals.simulated import SimulatedScans, SimulatedScore, read_simulated, score_simulated
from xray_training.datasets.record import DatasetError

from tests.evals.scanned import Corners, scanned
from xray_agent_tools.detector.protocol import RawDetection

A: Corners = (10, 10, 60, 50)
B: Corners = (100, 20, 180, 90)
THRESHOLDS = {"gun": 0.5, "laptop": 0.5}
LABELS = ("gun", "dart", "laptop", "nail_cutter")


def scored(*entries: tuple[ScannedRecord, tuple[float, ...]]) -> SimulatedScore:
    """Scores of scans, each with the occlusion of its boxes."""
    scans = SimulatedScans(tuple(entry.record for entry, _ in entries), tuple(hidden for _, hidden in entries))
    return score_simulated([entry for entry, _ in entries], scans, THRESHOLDS)


# --- what counts as a threat


def test_threats_are_what_alarms_and_what_else_stcray_names() -> None:
    assert threats() - alarming() == {"nail_cutter"}
    assert {"gun", "syringe", "hammer"} <= alarming()
    assert not {"laptop", "bottle", "nail_polish", "keys"} & threats()


def test_there_are_at_least_the_threat_categories_that_the_default_model_is_to_know() -> None:
    assert len(threats()) >= 24


# --- scores


def test_threats_and_everyday_items_are_scored_apart() -> None:
    entry = scanned([("gun", A), ("laptop", B)], [("gun", 0.9, A)], annotated=LABELS)
    score = scored((entry, (0.0, 0.0)))
    assert (score.threats_map50, score.everyday_map50) == pytest.approx((1.0, 0.0))


def test_a_category_that_the_model_does_not_know_counts_zero() -> None:
    entry = scanned([("gun", A), ("dart", B)], [("gun", 0.9, A)], annotated=LABELS)
    score = scored((entry, (0.0, 0.0)))
    assert [(c.label, c.known) for c in score.threats] == [("dart", False), ("gun", True)]
    assert score.threats_map50 == pytest.approx(0.5)


def test_each_band_of_occlusion_is_scored_on_its_own_boxes() -> None:
    entry = scanned([("gun", A), ("gun", B)], [("gun", 0.9, A), ("gun", 0.4, B)], annotated=LABELS)
    score = scored((entry, (0.05, 0.4)))
    assert [(o.least, o.most, o.support, o.recall) for o in score.occlusion] == [(0.0, 0.1, 1, 1.0), (0.3, 0.6, 1, 0.0)]
    assert [o.map50 for o in score.occlusion] == pytest.approx([1.0, 1.0])


@pytest.mark.parametrize(
    ("occlusion", "band"),
    [(0.0, (0.0, 0.1)), (0.1, (0.1, 0.3)), (0.3, (0.3, 0.6)), (0.6, (0.6, 1.0)), (1.0, (0.6, 1.0))],
)
def test_every_occlusion_is_of_one_band(occlusion: float, band: tuple[float, float]) -> None:
    score = scored((scanned([("gun", A)], annotated=LABELS), (occlusion,)))
    assert [(o.least, o.most) for o in score.occlusion] == [band]


def test_bags_without_a_threat_are_the_benign_ones() -> None:
    bags = [scanned([("gun", A)], [("gun", 0.9, A)], annotated=LABELS), scanned([("laptop", A)], annotated=LABELS)]
    score = scored(*((bag, (0.0,)) for bag in bags))
    assert score.images is not None
    assert (score.images.positives, score.images.negatives, score.images.auc[0]) == (1, 1, 1.0)
    assert scored((bags[0], (0.0,))).images is None


def test_scans_without_any_box_cannot_be_scored() -> None:
    with pytest.raises(DatasetError, match="--benign"):
        scored((scanned(annotated=LABELS), ()))


# --- reading what the simulator wrote


@pytest.fixture
def broken(held_out: Path, tmp_path: Path) -> Path:
    return shutil.copytree(held_out, tmp_path / "broken")


def test_every_box_gets_the_occlusion_of_its_object(held_out: Path) -> None:
    scans = read_simulated(held_out, split="test")
    assert len(scans.records) == 6
    assert [len(record.boxes) for record in scans.records] == [len(hidden) for hidden in scans.occlusions]
    hidden = [value for values in scans.occlusions for value in values]
    assert 0 <= min(hidden) < max(hidden) < 1


def test_a_detector_that_finds_every_object_scores_one(held_out: Path) -> None:
    scans = read_simulated(held_out, split="test")
    entries = []
    for record in scans.records:
        height, width = record.pixels().shape[:2]
        corners = record.corners(width, height).tolist()
        found = [RawDetection(b.label, 0.9, tuple(c)) for b, c in zip(record.boxes, corners, strict=True)]
        entries.append(ScannedRecord(record, width, height, found))
    score = score_simulated(entries, scans, {box.label: 0.5 for record in scans.records for box in record.boxes})
    assert (score.threats_map50, score.everyday_map50) == pytest.approx((1.0, 1.0))
    assert [o.recall for o in score.occlusion] == [1.0] * len(score.occlusion)
    assert sum(o.support for o in score.occlusion) == sum(c.support for c in score.threats)


def test_a_limit_keeps_the_first_scans(held_out: Path) -> None:
    assert len(read_simulated(held_out, split="test", limit=2).records) == 2


def test_a_folder_without_the_simulators_truth_is_refused(broken: Path) -> None:
    (broken / "truth.jsonl").unlink()
    with pytest.raises(DatasetError, match=r"truth\.jsonl is missing: write the scans with `xray-train data simulate`"):
        read_simulated(broken, split="test")


def test_scans_without_any_box_are_refused_when_they_are_read(broken: Path) -> None:
    for rows in (broken / "labels" / "test").iterdir():
        rows.write_text("", encoding="utf-8")
    with pytest.raises(DatasetError, match=r"hold no box: simulate some without --benign$"):
        read_simulated(broken, split="test")
    with pytest.raises(DatasetError, match="or raise --limit"):
        read_simulated(broken, split="test", limit=2)


@pytest.mark.parametrize("line", ["no JSON", "{}", '{"file": "x", "objects": [{"label": "gun"}]}', "[]"])
def test_a_malformed_truth_is_refused(broken: Path, line: str) -> None:
    (broken / "truth.jsonl").write_text(line + "\n", encoding="utf-8")
    with pytest.raises(DatasetError, match=r"truth\.jsonl"):
        read_simulated(broken, split="test")


def test_a_box_that_the_truth_does_not_know_is_refused(broken: Path) -> None:
    rows = next(path for path in sorted((broken / "labels" / "test").iterdir()) if path.read_text(encoding="utf-8"))
    rows.write_text("0 0.5 0.5 0.013 0.017\n", encoding="utf-8")
    with pytest.raises(DatasetError, match="simulate the scans again"):
        read_simulated(broken, split="test")


def test_a_split_without_a_scan_is_refused_with_what_to_do(held_out: Path) -> None:
    with pytest.raises(DatasetError, match="--split val"):
        read_simulated(held_out, split="val")
