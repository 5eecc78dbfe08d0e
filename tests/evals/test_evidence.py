from __future__ import annotations

import json
import math
import shutil
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner, Result
from hypothesis import given
from hypothesis import strategies as st
from xray_evals.cli import main
from xray_evals.evidence import figures_of, material_worth, occlusion_worth
from xray_evals.evidence_fit import fitted
from xray_evals.evidence_seen import Seen, look_at, overlap
from xray_evals.evidence_truth import BAND_OF, Band, TrueItem, read_truth
from xray_evals.statistics import auc, auc_within, balanced_accuracy, bootstrapped, rank_correlation
from xray_training.datasets.record import DatasetError

from xray_agent_tools.detector.package import load_package
from xray_agent_tools.detector.protocol import Detector, RawDetection
from xray_agent_tools.evidence.occlusion import FEATURES, scores_of
from xray_agent_tools.report import Material, Occlusion

NOTHING = dict.fromkeys(("organic", "mixed", "metal", "opaque"), 0.0)


def xray_eval(*arguments: str | Path) -> Result:
    return CliRunner().invoke(main, [str(argument) for argument in arguments])


def seen(
    number: int,
    *,
    label: str = "gun",
    hidden: float = 0.0,
    score: float | None = 0.0,
    bands: Iterable[Band] = ("metal",),
    looks: str | None = "metal",
    greyscale: bool = False,
) -> Seen:
    """An object of a scan of its own."""
    occlusion = None if score is None else Occlusion(occluded=score >= 0.5, score=score)
    material = None if looks is None else Material(**{**NOTHING, looks: 1.0})
    truth = TrueItem(label, True, (0, 0, 10, 10), hidden, frozenset(bands))
    return Seen(number, "hazel", truth, occlusion, material, greyscale, 100.0, 1.0, 1.0)


HIDDEN = [0.0, 0.1, 0.2, 0.4, 0.6, 0.9]


@given(st.lists(st.tuples(st.integers(0, 5), st.booleans()), min_size=2, max_size=30))
def test_the_area_under_the_curve_is_the_share_of_pairs_in_the_right_order(members: list[tuple[int, bool]]) -> None:
    scores, positive = np.array([float(m[0]) for m in members]), np.array([m[1] for m in members])
    pairs = [(a > b) + (a == b) / 2 for a in scores[positive] for b in scores[~positive]]
    found = auc(scores, positive)
    assert found == pytest.approx(np.mean(pairs)) if pairs else math.isnan(found)


def test_pairs_of_different_groups_do_not_count_within_groups() -> None:
    scores, positive = np.array([1.0, 2.0, 8.0, 9.0]), np.array([False, True, False, True])
    assert auc_within(scores, positive, np.array([0, 0, 1, 1])) == 1.0
    assert auc_within(scores, positive, np.array([0, 1, 1, 0])) == 0.5
    assert math.isnan(auc_within(scores, positive, np.arange(4)))


def test_ranks_that_agree_correlate_and_a_constant_has_no_correlation() -> None:
    assert rank_correlation(np.array([1.0, 2, 3]), np.array([1.0, 10, 100])) == pytest.approx(1)
    assert math.isnan(rank_correlation(np.ones(3), np.array([1.0, 2, 3])))


def test_every_class_weighs_alike_in_balanced_accuracy() -> None:
    assert balanced_accuracy(np.array([0, 0, 0, 0]), np.array([0, 0, 0, 1])) == 0.5


def test_an_interval_holds_its_figure_and_is_the_same_every_time() -> None:
    values = np.random.default_rng(1).normal(size=60)
    first, second = (bootstrapped(lambda drawn: float(values[drawn].mean()), np.arange(60) // 3) for _ in range(2))
    assert first == second
    assert first.low < first.value < first.high


def test_a_perfect_occlusion_score_is_perfect() -> None:
    worth = occlusion_worth("all", [seen(n, hidden=h, score=float(h > 0.3)) for n, h in enumerate(HIDDEN)])
    assert worth is not None
    assert worth.auc.value == worth.accuracy.value == worth.balanced.value == 1.0
    assert worth.baselines["constant"] == worth.baselines["box area"] == 0.5
    assert (worth.majority, worth.hidden, worth.lead.value) == (0.5, 0.5, 0.5)


def test_a_constant_occlusion_score_is_worth_nothing() -> None:
    worth = occlusion_worth("all", [seen(n, hidden=h, score=0.7) for n, h in enumerate(HIDDEN)])
    assert worth is not None
    assert (worth.auc.value, worth.within[0], worth.lead.value) == (0.5, 0.5, 0.0)
    assert worth.accuracy.value == worth.balanced.value == 0.5
    assert math.isnan(worth.rank.value)


def test_knowing_the_label_is_a_baseline_of_its_own() -> None:
    objects = [seen(n, hidden=h, score=0.5, label="gun" if h > 0.3 else "knife") for n, h in enumerate(HIDDEN)]
    worth = occlusion_worth("all", objects)
    assert worth is not None
    assert worth.baselines["label"] == 1.0
    assert worth.lead.value == -0.5


def test_objects_whose_occlusion_could_not_be_measured_are_counted() -> None:
    worth = occlusion_worth("all", [seen(9, score=None), *(seen(n, hidden=h) for n, h in enumerate(HIDDEN))])
    assert worth is not None
    assert (worth.support, worth.unmeasured) == (6, 1)


def test_nothing_is_said_of_objects_that_are_all_open() -> None:
    assert occlusion_worth("all", [seen(0), seen(1)]) is None
    assert occlusion_worth("all", []) is None


def test_right_materials_are_perfect() -> None:
    bands: list[Band] = ["organic", "mixed", "metal", "metal"]
    worth = material_worth("all", [seen(n, bands=[band], looks=band) for n, band in enumerate(bands)])
    assert worth is not None
    assert worth.accuracy.value == worth.balanced.value == 1.0
    assert (worth.error.value, worth.majority, worth.by_label) == (0.0, 0.5, (0.5, 1 / 3))
    assert worth.confusion == ((1, 0, 0, 0, 0), (0, 1, 0, 0, 0), (0, 0, 2, 0, 0))


def test_opaque_and_no_answer_are_wrong_of_an_object() -> None:
    worth = material_worth("all", [seen(0, looks="opaque"), seen(1, looks=None), seen(2)])
    assert worth is not None
    assert worth.confusion[2] == (0, 0, 1, 1, 1)
    assert worth.accuracy.value == pytest.approx(1 / 3)
    assert worth.error.value == pytest.approx((0.5 + 0.25 + 0) / 3)


def test_objects_of_several_bands_are_judged_only_by_whether_the_answer_is_one_of_them() -> None:
    several = seen(0, bands=("organic", "metal"), looks="organic")
    worth = material_worth("all", [several, replace(several, material=Material(**{**NOTHING, "mixed": 1.0})), seen(1)])
    assert worth is not None
    assert worth.support == 1
    count, among, constant = worth.among_own
    assert (count, constant) == (3, 1.0)
    assert among.value == pytest.approx(2 / 3)


def test_greyscale_scans_say_nothing_of_materials() -> None:
    assert material_worth("all", [seen(0, greyscale=True, looks=None)]) is None


def test_figures_name_their_best_trivial_answer_and_leave_out_what_could_not_be_measured() -> None:
    objects = [seen(n, hidden=h, score=float(h > 0.3)) for n, h in enumerate(HIDDEN * 5)]
    occlusion, material = occlusion_worth("boxes", objects), material_worth("boxes", objects)
    assert occlusion is not None
    assert material is not None
    figures = figures_of([occlusion], [material], "6 scans")
    assert [(f.name, f.value, f.baseline, f.against) for f in figures] == [
        ("occlusion: AUC for over 30 % hidden", 1.0, 0.5, "constant"),
        ("occlusion: accuracy of occluded", 1.0, 0.5, "commoner answer"),
        ("material: accuracy", 1.0, 1.0, "commonest band of the label"),
        ("material: balanced accuracy", 1.0, 1.0, "commonest band of the label"),
    ]
    assert {(f.scans, f.support) for f in figures} == {("6 scans, boxes", 30)}
    nameless = replace(occlusion, auc=occlusion.auc._replace(low=math.nan))
    assert len(figures_of([nameless], [], "6 scans")) == 1


def test_overlap_is_one_for_the_same_box_and_zero_for_boxes_apart() -> None:
    assert overlap((0, 0, 10, 10), (0, 0, 10, 10)) == 1
    assert overlap((0, 0, 10, 10), (20, 0, 30, 10)) == 0
    assert overlap((0, 0, 10, 10), (0, 0, 10, 20)) == 0.5


def test_a_regression_finds_the_measure_that_tells() -> None:
    features = np.random.default_rng(2).normal(size=(400, len(FEATURES)))
    features[:, FEATURES.index("outweighed")] = 1.0
    weights = fitted(features, features[:, 2] > 0.2, np.ones(400))
    assert int(np.argmax(np.abs(weights.weights))) == 2
    assert auc(scores_of(features, weights), features[:, 2] > 0.2) > 0.99


def test_every_material_of_the_simulator_has_the_band_of_its_atomic_number() -> None:
    from xray_training.simulator.materials import ATTENUATION_PER_MM, INDEX
    from xray_training.simulator.palette import atomic_number
    from xray_training.simulator.physics import transmit

    assert set(BAND_OF) == set(INDEX)
    limits = {"organic": (0, 10), "mixed": (10, 16), "metal": (16, 100)}
    for name, number in INDEX.items():
        paths = np.geomspace(0.01, 10_000, 400) / float(ATTENUATION_PER_MM[number, 3]) / 100
        opacity = -np.log(np.maximum(transmit(ATTENUATION_PER_MM[number][:, None, None] * paths[None, None]), 1e-9))
        nearest = int(np.abs(opacity[1, 0] - 0.5).argmin())
        low, high = opacity[:, 0, nearest]
        least, most = limits[BAND_OF[name]]
        assert name == "lead" or least <= float(atomic_number(np.array([low / high]), np.array([high]))[0]) < most, name


def test_the_objects_of_the_truth_are_those_that_the_simulator_boxes(held_out: Path) -> None:
    scans = read_truth(held_out)
    rows = [(held_out / "labels" / "test" / f"{scan.image.stem}.txt").read_text().splitlines() for scan in scans]
    assert [len(scan.items) for scan in scans] == [len(lines) for lines in rows]
    assert len(read_truth(held_out, limit=2)) == 2


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (None, "no truth.jsonl"),
        ("", "is empty"),
        ("[]\n", "malformed"),
        ('{"file": "x.png"}\n', "malformed"),
    ],
)
def test_a_folder_without_usable_truth_is_refused(text: str | None, message: str, tmp_path: Path) -> None:
    if text is not None:
        (tmp_path / "truth.jsonl").write_text(text, encoding="utf-8")
    with pytest.raises(DatasetError, match=message):
        read_truth(tmp_path)


class Oracle:
    """A detector that finds every object of a folder's first scan, one of them twice and one as something else."""

    package = load_package("default")
    backend = "truth"

    def __init__(self, items: tuple[TrueItem, ...]) -> None:
        boxes = [RawDetection(item.label, 0.9, item.box) for item in items]
        wrong = "gun" if items[0].label != "gun" else "book"
        self.found = [
            *boxes[1:],
            RawDetection(items[1].label, 0.5, items[1].box),
            RawDetection(wrong, 0.9, items[0].box),
        ]

    def detect(self, pixels: object, *, floor: float) -> list[RawDetection]:
        return self.found


def test_detections_stand_for_the_objects_that_they_fit(held_out: Path) -> None:
    (scan,) = read_truth(held_out, limit=1)
    oracle: Detector = Oracle(scan.items)
    true, found = look_at([scan], oracle)
    assert [one.truth for one in true] == list(scan.items)
    assert {id(one.truth) for one in found} == {id(item) for item in scan.items[1:]}
    by_item = {id(one.truth): one for one in true}
    assert all(replace(one, scan=0) == by_item[id(one.truth)] for one in found)
    assert look_at([scan], None)[1] == []


@pytest.fixture(scope="module")
def judged(held_out: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Result, Path, Path]:
    """What ``xray-eval evidence --record`` prints, its folder, and the package that it recorded in."""
    folder = tmp_path_factory.mktemp("evidence")
    package = Path(shutil.copytree(load_package("default").folder, folder / "package"))
    result = xray_eval("evidence", "--simulated", held_out, "--model", package, "--out", folder / "out", "--record")
    return result, folder / "out", package


def test_evidence_is_judged_on_a_page_and_as_data(judged: tuple[Result, Path, Path], held_out: Path) -> None:
    result, out, _ = judged
    assert result.exit_code == 0, result.output
    page = (out / "EVIDENCE.md").read_text(encoding="utf-8")
    data = json.loads((out / "evidence.json").read_text(encoding="utf-8"))
    objects = sum(len(scan.items) for scan in read_truth(held_out))
    assert data["occlusion"][0]["support"] + data["occlusion"][0]["unmeasured"] == objects
    assert {"command", "commit", "date", "model", "scans", "occlusion", "material"} == set(data)
    assert data["command"] in page
    assert str(held_out) not in page
    assert data["command"] == "xray-eval evidence --simulated SIMULATED --split test --model package"
    assert "NaN" not in (out / "evidence.json").read_text(encoding="utf-8")


def test_recording_adds_the_figures_and_keeps_the_rest_of_the_package(judged: tuple[Result, Path, Path]) -> None:
    _, _, folder = judged
    before, after = load_package("default").manifest, load_package(folder).manifest
    assert after.model_copy(update={"evidence_worth": before.evidence_worth}) == before
    names = {figure.name for figure in after.evidence_worth}
    assert {"occlusion: AUC for over 30 % hidden", "material: balanced accuracy"} <= names
    assert "6 simulated scans (hazel)" in after.evidence_worth[0].scans
    assert "## What the evidence is worth" in (folder / "CARD.md").read_text(encoding="utf-8")


def test_a_part_of_the_scans_is_not_put_on_record(held_out: Path, tmp_path: Path) -> None:
    result = xray_eval("evidence", "--simulated", held_out, "--limit", "2", "--record", "--out", tmp_path)
    assert result.exit_code == 2
    assert "leave --limit out" in result.output
    assert not list(tmp_path.iterdir())


def test_figures_of_another_split_are_not_put_on_record(held_out: Path) -> None:
    result = xray_eval("evidence", "--simulated", held_out, "--split", "val", "--record")
    assert result.exit_code == 2
    assert "leave --split val out" in result.output


def test_only_the_test_split_is_judged_and_no_other_in_its_stead(held_out: Path, tmp_path: Path) -> None:
    data = Path(shutil.copytree(held_out, tmp_path / "scans"))
    lines = (data / "truth.jsonl").read_text(encoding="utf-8").splitlines()
    moved = [line.replace("images/test/", "images/train/") for line in lines[:2]]
    (data / "truth.jsonl").write_text("\n".join([*moved, *lines[2:]]), encoding="utf-8")
    assert len(read_truth(data)) == 6
    assert [scan.image.parent.name for scan in read_truth(data, split="test")] == ["test"] * 4
    assert len(read_truth(data, split="test", limit=3)) == 3
    result = xray_eval("evidence", "--simulated", data, "--split", "val")
    assert result.exit_code == 1
    assert "no scan of the split 'val'" in result.output


def test_nothing_is_written_unless_a_folder_is_named(
    held_out: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    result = xray_eval("evidence", "--simulated", held_out)
    assert result.exit_code == 0, result.output
    assert "occlusion: AUC" in result.output
    assert not list(tmp_path.iterdir())


def test_a_folder_without_truth_is_told_in_a_sentence(tmp_path: Path) -> None:
    result = xray_eval("evidence", "--simulated", tmp_path, "--out", tmp_path / "out")
    assert result.exit_code == 1
    assert "no truth.jsonl" in result.output


def test_weights_are_fitted_from_the_command_line(held_out: Path) -> None:
    result = xray_eval("evidence-weights", "--simulated", held_out)
    assert result.exit_code == 0, result.output
    assert "boxes; AUC" in result.output
    assert [line.split(":")[0] for line in result.output.splitlines()[-4:]] == [
        "intercept",
        "weights",
        "lowest",
        "highest",
    ]
