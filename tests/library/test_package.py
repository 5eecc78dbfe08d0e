from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from xray_agent_tools.detector.onnx import OnnxDetector
from xray_agent_tools.detector.package import Calibration, ModelPackage, load_package
from xray_agent_tools.detector.postprocess import decode, iou, suppress
from xray_agent_tools.detector.preprocess import Placement
from xray_agent_tools.detector.runtime import onnxruntime_conflict
from xray_agent_tools.errors import Misconfigured, ModelUnavailable
from xray_agent_tools.screener import Screener


@pytest.fixture
def package(tmp_path: Path) -> Path:
    """A copy of the default package that a test may damage."""
    folder = tmp_path / "package"
    shutil.copytree(load_package("default").folder, folder, ignore=shutil.ignore_patterns("*.pt"))
    return folder


def change(folder: Path, **changes: Any) -> None:
    manifest = json.loads((folder / "manifest.json").read_text())
    (folder / "manifest.json").write_text(json.dumps({**manifest, **changes}))


def test_a_copied_package_loads_from_its_folder(package: Path) -> None:
    assert isinstance(load_package(package), ModelPackage)
    assert isinstance(load_package(str(package)), ModelPackage)


def test_a_changed_network_is_refused(package: Path) -> None:
    content = bytearray((package / "model.onnx").read_bytes())
    content[len(content) // 2] ^= 1
    (package / "model.onnx").write_bytes(content)
    with pytest.raises(ModelUnavailable, match="not the file its manifest names"):
        load_package(package)


@pytest.mark.parametrize("missing", ["model.onnx", "manifest.json"])
def test_a_package_with_a_part_missing_is_refused(package: Path, missing: str) -> None:
    (package / missing).unlink()
    with pytest.raises(ModelUnavailable):
        load_package(package)


@pytest.mark.parametrize(
    "changes", [{"sha256": "x"}, {"classes": []}, {"head": "other"}, {"surprise": 1}, {"input_size": 33}]
)
def test_a_malformed_manifest_is_refused(package: Path, changes: dict[str, Any]) -> None:
    change(package, **changes)
    with pytest.raises(ModelUnavailable, match="no model package"):
        load_package(package)


def test_class_names_that_differ_from_the_network_are_refused(package: Path) -> None:
    classes = json.loads((package / "manifest.json").read_text())["classes"]
    change(package, classes=[classes[1], classes[0], *classes[2:]])
    with pytest.raises(ModelUnavailable, match="classes"):
        OnnxDetector(load_package(package))


def test_a_file_that_is_no_network_is_refused(package: Path) -> None:
    import hashlib

    (package / "model.onnx").write_bytes(b"no network")
    change(package, sha256=hashlib.sha256(b"no network").hexdigest())
    with pytest.raises(ModelUnavailable, match="cannot be loaded"):
        OnnxDetector(load_package(package))


def test_a_missing_canary_makes_verdicts_unknown(package: Path) -> None:
    (package / load_package(package).manifest.canary.file).unlink()
    assert not Screener(model=package).canary_alarms()


def test_an_unknown_model_names_the_embedded_ones() -> None:
    with pytest.raises(ModelUnavailable) as caught:
        load_package("nothing")
    assert "default" in caught.value.hint


def test_a_provider_that_is_not_installed_is_a_misconfiguration() -> None:
    with pytest.raises(Misconfigured, match="none of the execution providers"):
        OnnxDetector(load_package("default"), providers=["NoSuchProvider"])


def test_the_best_installed_provider_is_used() -> None:
    assert OnnxDetector(load_package("default")).backend.startswith("onnxruntime/")


def test_a_clash_of_two_runtime_builds_is_explained(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("xray_agent_tools.detector.runtime.version", lambda name: "1.0")
    assert "uninstall both" in (onnxruntime_conflict() or "")


@given(st.floats(0.05, 5), st.floats(-4, 4), st.floats(0.01, 0.99))
def test_calibration_is_monotonic_and_invertible(slope: float, intercept: float, score: float) -> None:
    calibration = Calibration(slope=slope, intercept=intercept, error=0)
    confidence = calibration.confidence(score)
    assert 0 <= confidence <= 1
    assert calibration.confidence(min(1.0, score + 0.005)) >= confidence
    if 1e-5 < confidence < 1 - 1e-5:
        assert calibration.score(confidence) == pytest.approx(score, abs=1e-3)


def test_boxes_are_decoded_mapped_back_and_clipped() -> None:
    manifest = load_package("default").manifest
    output = np.zeros((4 + len(manifest.labels), 3), np.float32)
    output[:4, 0] = (100, 100, 40, 20)
    output[4, 0] = 0.9
    output[:4, 1] = (101, 100, 40, 20)
    output[4, 1] = 0.8
    output[:4, 2] = (0, 0, 60, 60)
    output[5, 2] = 0.7
    placement = Placement(offset_x=10, offset_y=20, scale=2.0, pad_x=0, pad_y=4)
    boxes = decode(output, manifest, placement, within=(0, 0, 200, 200), floor=0.05)
    assert [box.label for box in boxes] == list(manifest.labels[:2])
    assert boxes[0].box == (50.0, 63.0, 70.0, 73.0)
    assert boxes[1].box == (0.0, 3.0, 25.0, 33.0)


def test_a_cap_on_boxes_never_cuts_off_an_alarm_behind_more_certain_ones_that_do_not_alarm() -> None:
    package = load_package("default")
    order = sorted(package.thresholds, key=lambda label: package.thresholds[label])
    easy, hard = (package.manifest.labels.index(label) for label in (order[0], order[-1]))
    scores = [package.manifest.calibration.score(package.thresholds[label]) for label in (order[0], order[-1])]
    output = np.zeros((4 + len(package.manifest.labels), 1601), np.float32)
    output[:2] = 5 + 10 * np.stack([np.arange(1601) % 40, np.arange(1601) // 40])
    output[2:4] = 8
    output[4 + hard, :1600] = 0.9 * scores[1]
    output[4 + easy, 1600] = scores[0] + 0.01
    assert output[4 + easy].max() < output[4 + hard].max()
    boxes = decode(output, package.manifest, Placement(0, 0, 1.0, 0, 0), within=(0, 0, 500, 500), floor=0.01)
    assert len(boxes) == 200
    assert order[0] in {box.label for box in boxes}


def test_overlapping_boxes_of_one_class_are_merged_and_of_two_kept() -> None:
    boxes = np.array([[0, 0, 10, 10], [1, 0, 11, 10], [0, 0, 10, 10]], np.float32)
    assert suppress(boxes, np.array([0, 0, 1]), 0.6) == [0, 2]
    assert iou(boxes[0], boxes).tolist() == pytest.approx([1.0, 90 / 110, 1.0])
