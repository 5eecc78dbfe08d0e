from __future__ import annotations

import json
import re
from dataclasses import replace
from typing import Any

import pytest
from xray_evals.assess import Looked, Scans, assess
from xray_evals.goals import goals_of
from xray_evals.page import as_page
from xray_evals.results import Results, as_data, as_scores
from xray_evals.robustness import ChangeScore
from xray_evals.scanned import ScannedRecord
from xray_evals.simulated import SimulatedScans
from xray_evals.variants import VariantScore

from tests.evals.scanned import Corners, alarming, scanned
from xray_agent_tools.detector.package import Manifest, load_package

COMMAND = "xray-eval detector --data DATA --split test"
BOX: Corners = (10, 10, 60, 50)
ASIDE: Corners = (100, 20, 180, 90)


@pytest.fixture(scope="module")
def manifest() -> Manifest:
    return load_package("default").manifest


@pytest.fixture(scope="module")
def measured(manifest: Manifest) -> Results:
    """Two sources, one whose gun is found and one whose gun is taken for a knife; benign and simulated scans."""
    groups = {
        "north": [scanned([("gun", BOX), ("slingshot", ASIDE)], [("gun", 0.9, BOX)])],
        "south": [scanned([("gun", BOX)], [("knife", 0.6, BOX)], source="south")],
    }
    benign = alarming(0.2, 0.3)
    bags = [scanned([("gun", BOX), ("dart", ASIDE), ("laptop", ASIDE)], [("gun", 0.8, BOX)], source="simulated")]
    simulated = SimulatedScans(tuple(bag.record for bag in bags), ((0.05, 0.4, 0.9),))
    looked = Looked(groups, benign, bags)
    found = assess(looked, Scans(_records(groups), _only(benign), simulated), {"gun": 0.5, "knife": 0.5})
    whole = VariantScore.of("whole", found)
    return Results(
        manifest=manifest,
        backend="onnxruntime/CPUExecutionProvider",
        command=COMMAND,
        commit="1234567",
        split="test",
        found=found,
        goals=goals_of(found, peer=whole, speed=None),
        changes=[ChangeScore("as it is", {"north": 0.5, "south": 0.25}, 2, 3)],
        ablations=[VariantScore("plain", {"north": 0.4, "south": 0.0}, 0.2, None, None, None, 12.4)],
        others=[
            VariantScore("rival", {"north": 0.3, "south": 0.1}, 0.2, {0.01: 0.1, 0.05: 0.2, 0.1: 0.3}, 0.05, 0.6, 80)
        ],
    )


def _only(entries: list[ScannedRecord]) -> list[Any]:
    return [entry.record for entry in entries]


def _records(groups: dict[str, list[ScannedRecord]]) -> dict[str, list[Any]]:
    return {name: _only(group) for name, group in groups.items()}


@pytest.fixture
def results(measured: Results) -> dict[str, Any]:
    return as_data(measured)


def test_results_say_with_what_they_were_measured(results: dict[str, Any], manifest: Manifest) -> None:
    assert results["model"] == {
        "id": manifest.id,
        "version": manifest.version,
        "sha256": manifest.sha256,
        "backend": "onnxruntime/CPUExecutionProvider",
    }
    assert results["command"] == COMMAND
    assert results["commit"] == "1234567"
    assert re.fullmatch(r"\d{4}-\d\d-\d\d", results["date"])


def test_the_mean_gives_every_source_the_same_weight(results: dict[str, Any]) -> None:
    assert [source["map50"] for source in results["sources"]] == pytest.approx([0.5, 0.0])
    assert [source["map50_known"] for source in results["sources"]] == pytest.approx([1.0, 0.0])
    assert results["mean_map50"] == pytest.approx(0.25)


def test_results_go_through_json(results: dict[str, Any]) -> None:
    again = json.loads(json.dumps(results, allow_nan=False))
    assert again["sources"] == json.loads(json.dumps(results["sources"]))
    assert again["images"][0]["at_rate"]["0.1"][0] == 1.0
    assert again == results


def test_the_page_shows_every_source_the_command_and_the_model(results: dict[str, Any], manifest: Manifest) -> None:
    page = as_page(results)
    assert page.startswith("# Results\n")
    assert f"`{COMMAND}`" in page
    assert results["commit"] in page
    assert manifest.sha256[:16] in page
    assert "| north | 1 | 0.500 | 0.500 | 1.000 |" in page
    assert "| south | 1 | 0.000 | 0.000 | 0.000 |" in page
    assert "| **mean** |  | **0.250** |  |  |" in page
    assert "TPR at FPR 10%" in page
    assert re.search(r"\| all \| 2 \| 1\.000 \(", page)


def test_the_page_says_which_class_the_model_does_not_know(results: dict[str, Any]) -> None:
    page = as_page(results)
    assert "| north | slingshot | 1 | not known | not known |" in page
    assert "| north | gun | 1 | 1.000 | 1.000 |" in page


def test_every_table_of_the_page_is_rectangular(results: dict[str, Any]) -> None:
    for block in as_page(results).split("\n\n"):
        if block.startswith("|"):
            assert len({line.count("|") for line in block.strip().splitlines()}) == 1


def test_the_page_begins_with_the_goals_and_how_far_they_are(results: dict[str, Any]) -> None:
    page = as_page(results)
    assert page.index("## Goals") < page.index("## Boxes")
    assert "| mean mAP50 of OPIXray, PIDray and SIXray | at least 0.850 | not measured |" in page
    assert re.search(r"\| image-level TPR at FPR 10%, all sources \| at least 0\.950 \| 1\.000 \| met \|", page)
    assert re.search(r"\| mAP50 of the threat categories .* \| at least 0\.800 \| 0\.500 \| 0\.300 \|", page)


def test_the_page_names_the_labels_that_count_per_image(results: dict[str, Any]) -> None:
    assert "searched for count: baton, gun, knife." in as_page(results)


def test_the_page_tells_what_is_taken_for_what(results: dict[str, Any]) -> None:
    page = as_page(results)
    assert "| gun | 2 | 1 | 1 | 0 | 0 |" in page
    assert "| slingshot | 1 | 0 | 0 | 1 | 0 |" in page
    assert "| gun | knife | 1 |" in page
    assert results["confusion"] == {"gun": {"gun": 1, "knife": 1}, "slingshot": {"background": 1}}


def test_the_page_tells_threats_from_everyday_items_and_by_occlusion(results: dict[str, Any]) -> None:
    page = as_page(results)
    assert "| threat categories | 2 | 1 | 2 | 0.500 |" in page
    assert "| everyday items | 1 | 0 | 1 | 0.000 |" in page
    assert "| 0% to 10% | 1 | 1.000 | 1.000 |" in page
    assert "| 30% to 60% | 1 | 0.000 | 0.000 |" in page
    assert "| laptop | no | 1 | not known | not known |" in page


def test_the_page_puts_changes_ablations_and_others_beside_the_model(results: dict[str, Any]) -> None:
    page = as_page(results)
    assert "| as it is | 0.375 | 0.500 | 0.250 |" in page
    assert "| plain | 0.200 | 0.400 | 0.000 |  |  |  |  |  | 12 |" in page
    assert "| rival | 0.200 | 0.300 | 0.100 | 0.100 | 0.200 | 0.300 | 0.050 | 0.600 | 80 |" in page
    assert re.search(r"\| xray-detector [\d.]+ \| 0\.250 \| 0\.500 \| 0\.000 \|", page)


def test_the_page_leaves_out_what_was_not_measured(measured: Results) -> None:
    bare = replace(
        measured, changes=(), ablations=(), others=(), found=replace(measured.found, simulated=None, images=())
    )
    page = as_page(as_data(bare))
    for heading in (
        "Changed scans",
        "second look",
        "On the same scans and by the same scoring",
        "Simulated scans",
        "Alarms per image",
    ):
        assert heading not in page.split("## Boxes")[1]


def test_ablations_of_training_are_not_measured_unless_other_models_stand_beside_it(measured: Results) -> None:
    said = "Ablations of training (masked loss, simulated pretraining) compare runs of their own"
    assert said not in as_page(as_data(measured))
    alone = replace(measured, others=(), peer=measured.others[0])
    assert f"{said}: not measured here." in as_page(as_data(alone))
    assert f"{said}: [what they showed](../docs/model.md#" in as_page(as_data(alone), docs="../docs")
    assert "| rival |" in as_page(as_data(alone))


def test_the_opening_tells_test_scans_from_others(measured: Results) -> None:
    assert "test scans that nothing was trained or tuned on" in as_page(as_data(measured))
    page = as_page(as_data(replace(measured, split="val")))
    assert "scans of the split `val`, on which the model may have been trained" in page
    assert "nothing was trained" not in page


def test_the_page_links_to_what_was_tried_where_the_documentation_is(results: dict[str, Any]) -> None:
    assert "](../docs/model.md#what-would-close-the-distance)" in as_page(results, docs="../docs")
    assert "model.md" not in as_page(results)


def test_the_page_tells_what_its_figures_leave_out(results: dict[str, Any]) -> None:
    page = as_page(results)
    for said in ("two runs of neighbouring scans", "threshold set on other scanners", "`knife` covers cutters"):
        assert said in page


def test_the_page_shows_the_plots_that_there_are(results: dict[str, Any]) -> None:
    assert "](plots/roc.svg)" in as_page(results, plots=["plots/roc.svg"])
    assert "](plots/reliability.svg)" not in as_page(results, plots=["plots/roc.svg"])


def test_the_card_quotes_boxes_alarms_calibration_and_simulated_threats(measured: Results) -> None:
    quoted = {(score.name, score.scans): (score.value, score.support) for score in as_scores(measured.found)}
    assert quoted["mAP50", "north, 1 scans"] == (0.5, 2)
    assert quoted["AP50 gun", "north, 1 scans"] == (1.0, 1)
    assert ("AP50 slingshot", "north, 1 scans") not in quoted
    assert quoted["TPR per image at FPR 10 % on benign scans", "all"] == (1.0, 2)
    assert quoted["expected calibration error", "all"][1] == 4
    assert quoted["mAP50 of the threat categories", "simulated, 1 scans"] == (0.5, 2)
