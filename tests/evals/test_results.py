from __future__ import annotations

import json
import re
from typing import Any

import pytest
from xray_evals.detector import score_images, score_source
from xray_evals.results import as_data, as_page, commit

from tests.evals.scanned import Corners, alarming, scanned
from xray_agent_tools.detector.package import Manifest, load_package

COMMAND = "xray-eval detector --data DATA --split test"
BOX: Corners = (10, 10, 60, 50)


@pytest.fixture
def manifest() -> Manifest:
    return load_package("default").manifest


@pytest.fixture
def results(manifest: Manifest) -> dict[str, Any]:
    known = frozenset({"gun"})
    north = score_source([scanned([("gun", BOX), ("slingshot", BOX)], [("gun", 0.9, BOX)])], known)
    south = score_source([scanned([("gun", BOX)], source="south")], known)
    assert north is not None
    assert south is not None
    images = [score_images("all", alarming(0.9, 0.1), alarming(0.2, 0.3), {"gun": 0.5})]
    return as_data(manifest, "onnxruntime/CPUExecutionProvider", COMMAND, [north, south], images)


def test_results_say_with_what_they_were_measured(results: dict[str, Any], manifest: Manifest) -> None:
    assert results["model"] == {
        "id": manifest.id,
        "version": manifest.version,
        "sha256": manifest.sha256,
        "backend": "onnxruntime/CPUExecutionProvider",
    }
    assert results["command"] == COMMAND
    assert results["commit"] == commit()
    assert re.fullmatch(r"\d{4}-\d\d-\d\d", results["date"])


def test_the_mean_gives_every_source_the_same_weight(results: dict[str, Any]) -> None:
    assert [source["map50"] for source in results["sources"]] == pytest.approx([0.5, 0.0])
    assert [source["map50_known"] for source in results["sources"]] == pytest.approx([1.0, 0.0])
    assert results["mean_map50"] == pytest.approx(0.25)


def test_results_go_through_json(results: dict[str, Any]) -> None:
    again = json.loads(json.dumps(results, allow_nan=False))
    assert again["sources"] == json.loads(json.dumps(results["sources"]))
    assert again["images"][0]["at_rate"]["0.1"][0] == 0.5


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
    assert re.search(r"\| all \| 2 \| 2 \| 0\.500 \(", page)


def test_the_page_says_which_class_the_model_does_not_know(results: dict[str, Any]) -> None:
    page = as_page(results)
    assert "| north | slingshot | 1 | not known | 0.000 |" in page
    assert "| north | gun | 1 | 1.000 | 1.000 |" in page


def test_every_table_of_the_page_is_rectangular(results: dict[str, Any]) -> None:
    for block in as_page(results).split("\n\n"):
        if block.startswith("|"):
            assert len({line.count("|") for line in block.strip().splitlines()}) == 1
