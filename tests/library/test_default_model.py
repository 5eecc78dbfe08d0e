"""The shipped detectors themselves, on the demo scans and, where they are at hand, on real ones."""

from __future__ import annotations

import base64
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner

from xray_agent_tools import Screener, assess_declaration, detect_threats, explain_scan
from xray_agent_tools.adapters import anthropic, openai
from xray_agent_tools.cli import main
from xray_agent_tools.detector.card import card_text
from xray_agent_tools.detector.onnx import OnnxDetector
from xray_agent_tools.detector.package import embedded_models, load_package
from xray_agent_tools.detector.torch import UltralyticsDetector
from xray_agent_tools.scan import load_scan

MOST_BYTES = 12_000_000
MOST_BYTES_OF_ALL = 25_000_000
EMBEDDED = ("default", "simulated")


def without_timing(text: str) -> str:
    """JSON text with its order kept and its timings removed."""

    def strip(value: Any) -> Any:
        if isinstance(value, dict):
            return {key: strip(item) for key, item in value.items() if key != "timing_ms"}
        return [strip(item) for item in value] if isinstance(value, list) else value

    return json.dumps(strip(json.loads(text)))


def test_there_are_eight_demo_scans_half_of_them_with_a_threat(demo_scans: list[Path]) -> None:
    truth = json.loads((demo_scans[0].parent / "truth.json").read_text())
    assert [path.name for path in demo_scans] == sorted(truth)
    assert len(truth) == 8
    assert sum(any(item["threat"] for item in scan["objects"]) for scan in truth.values()) == 4


def test_every_demo_scan_supports_a_verdict_and_a_threat_alarms(demo_scans: list[Path]) -> None:
    verdicts = {path.name: detect_threats(path).verdict for path in demo_scans}
    assert set(verdicts.values()) <= {"ALARM", "NO_ALARM"}
    assert "ALARM" in verdicts.values()


def test_three_interfaces_give_the_same_three_answers_byte_for_byte(demo_scans: list[Path]) -> None:
    scan, question, declared = str(demo_scans[0]), "What should I do?", ["laptop", "2 knives"]
    in_python = [
        detect_threats(scan).model_dump_json(),
        explain_scan(scan, question=question).model_dump_json(),
        assess_declaration(scan, declared_items=declared, policy="cabin").model_dump_json(),
    ]
    arguments = [
        ["detect", scan, "--json"],
        ["explain", scan, "-q", question, "--json"],
        ["assess", scan, "-d", declared[0], "-d", declared[1], "--policy", "cabin", "--json"],
    ]
    in_shell = [CliRunner().invoke(main, words).output.rstrip("\n") for words in arguments]
    calls: list[tuple[str, dict[str, Any]]] = [
        ("detect_threats", {"scan": scan}),
        ("explain_scan", {"scan": scan, "question": question}),
        ("assess_declaration", {"scan": scan, "declared_items": declared, "policy": "cabin"}),
    ]
    from_openai = [openai.call_tool(name, json.dumps(values)) for name, values in calls]
    from_anthropic = [anthropic.call_tool("t", name, values)["content"] for name, values in calls]
    expected = [without_timing(answer) for answer in in_python]
    for answers in (in_shell, from_openai, from_anthropic):
        assert [without_timing(answer) for answer in answers] == expected


def test_a_data_uri_gives_the_same_answer_as_the_file(demo_scans: list[Path]) -> None:
    uri = "data:image/png;base64," + base64.b64encode(demo_scans[0].read_bytes()).decode()
    answers = [openai.call_tool("detect_threats", {"scan": scan}) for scan in (str(demo_scans[0]), uri)]
    assert without_timing(answers[0]) == without_timing(answers[1])


def test_the_network_is_small_and_says_what_it_was_trained_on() -> None:
    package = load_package("default")
    assert package.network.stat().st_size <= MOST_BYTES
    manifest = package.manifest
    card = (package.folder / "CARD.md").read_text()
    assert {source.name for source in manifest.sources} >= {"opixray", "pidray", "sixray", "ifly", "benign"}
    for source in manifest.sources:
        assert source.licence
        assert source.name in card
    for point in manifest.classes:
        assert f"| {point.label} |" in card
    assert manifest.scores
    assert "Research and evaluation only" in card


def test_two_models_are_embedded_and_small_together() -> None:
    assert sorted(embedded_models()) == sorted(EMBEDDED)
    files = [path for name in EMBEDDED for path in load_package(name).folder.iterdir()]
    assert sum(path.stat().st_size for path in files) <= MOST_BYTES_OF_ALL


def test_a_model_that_saw_no_real_scan_stands_beside_the_default_one_free_of_datasets_terms() -> None:
    manifest, default = load_package("simulated").manifest, load_package("default").manifest
    assert [(source.name, source.licence) for source in manifest.sources] == [
        ("simulated", "Apache-2.0, made by this project")
    ]
    assert {point.evidence for point in manifest.classes} == {"simulated_scans"}
    assert manifest.labels == default.labels
    assert "no dataset's terms apply" in manifest.licence
    assert "academic" in default.licence
    assert "Research and evaluation only" in manifest.statement


@pytest.mark.parametrize("name", EMBEDDED)
def test_the_card_is_that_of_the_manifest(name: str) -> None:
    package = load_package(name)
    assert (package.folder / "CARD.md").read_text(encoding="utf-8") == card_text(package.manifest)


@pytest.mark.parametrize("name", EMBEDDED)
def test_no_model_file_carries_a_path_of_the_machine_it_was_made_on(name: str) -> None:
    for path in load_package(name).folder.iterdir():
        content = path.read_bytes()
        assert not any(root in content for root in (b"/home/", b"/tmp/", b"/Users/", str(Path.home()).encode()))


@pytest.mark.parametrize("name", EMBEDDED)
def test_the_canary_alarms(name: str) -> None:
    assert Screener(model=name).canary_alarms()


@pytest.mark.parametrize("name", EMBEDDED)
def test_the_exported_network_gives_the_boxes_of_the_checkpoint(name: str, demo_scans: list[Path]) -> None:
    package = load_package(name)
    exported, trained = OnnxDetector(package), UltralyticsDetector(package)
    for path in demo_scans[:4]:
        pixels = load_scan(path).views[0].pixels
        first, second = exported.detect(pixels, floor=0.1), trained.detect(pixels, floor=0.1)
        assert [box.label for box in first] == [box.label for box in second]
        for one, other in zip(first, second, strict=True):
            assert np.allclose(one.box, other.box, atol=1.0)
            assert one.confidence == pytest.approx(other.confidence, abs=0.01)


def test_the_demo_prints_verdicts_and_writes_overlays(demo_scans: list[Path], tmp_path: Path) -> None:
    script = demo_scans[0].parent.parent / "screen_folder.py"
    done = subprocess.run(
        [sys.executable, script, demo_scans[0].parent, tmp_path], capture_output=True, text=True, check=True
    )
    assert sorted(path.name for path in tmp_path.iterdir()) == [path.name for path in demo_scans]
    assert all(path.name in done.stdout for path in demo_scans)


@pytest.mark.scans
@pytest.mark.slow
def test_guns_on_real_scans_alarm_far_more_often_than_benign_bags(real_scans: Path) -> None:
    from xray_training.datasets import partial_yolo

    records = partial_yolo.read(real_scans, split="test")
    guns = [r for r in records if r.source == "sixray" and any(box.label == "gun" for box in r.boxes)][:40]
    benign = [r for r in records if r.source == "benign"][:40]
    screener = Screener()
    alarms = [
        [screener.detect_threats(record.image).verdict == "ALARM" for record in group] for group in (guns, benign)
    ]
    assert np.mean(alarms[0]) > np.mean(alarms[1]) + 0.3


@pytest.mark.scans
def test_nearly_every_real_scan_is_recognised_as_one(real_scans: Path) -> None:
    from xray_agent_tools.detector.preprocess import Content
    from xray_agent_tools.evidence.quality import view_issues

    files = sorted((real_scans / "images" / "test").glob("*.jpg"))[::20]
    unusable = [path.name for path in files if view_issues(Content(load_scan(path).views[0].pixels), 320)]
    assert len(unusable) <= 0.03 * len(files), unusable
