from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.library.batches import Form, batch_package
from tests.library.pictures import bag, encoded
from xray_agent_tools.detector.onnx import OnnxDetector
from xray_agent_tools.detector.package import load_package
from xray_agent_tools.errors import InvalidScan, UnknownLabel, XrayToolsError
from xray_agent_tools.progress import heard_by
from xray_agent_tools.report import ThreatReport
from xray_agent_tools.screener import DetectRequest, Screener


@pytest.fixture(scope="module")
def package(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return batch_package(tmp_path_factory.mktemp("batches") / "package")


@pytest.fixture(scope="module")
def detector(package: Path) -> OnnxDetector:
    return OnnxDetector(load_package(package))


@pytest.fixture(scope="module")
def screener(package: Path) -> Screener:
    return Screener(model=package)


def untimed(report: ThreatReport | XrayToolsError) -> dict[str, Any]:
    return report.as_dict() if isinstance(report, XrayToolsError) else report.model_dump(exclude={"timing_ms"})


def shaded(level: int, width: int = 300, height: int = 200) -> np.ndarray:
    pixels = bag(width, height)
    pixels[height // 3 : height * 2 // 3, width // 4 : width * 3 // 4] = level
    return pixels


def test_a_network_exported_for_batches_says_so_as_the_embedded_one_does(detector: OnnxDetector) -> None:
    assert detector.takes_batches
    assert OnnxDetector(load_package("default")).takes_batches


@settings(max_examples=15)
@given(
    views=st.lists(
        st.tuples(st.integers(0, 254), st.integers(300, 500), st.integers(120, 400), st.floats(0.05, 0.6)),
        min_size=1,
        max_size=5,
    )
)
def test_views_looked_at_together_show_what_each_shows_alone(
    views: list[tuple[int, int, int, float]], detector: OnnxDetector
) -> None:
    pictures = [shaded(level, width, height) for level, width, height, _ in views]
    floors = [floor for *_, floor in views]
    together = detector.detect_many(pictures, floors=floors)
    assert together == [detector.detect(view, floor=floor) for view, floor in zip(pictures, floors, strict=True)]
    assert any(together)


@pytest.mark.parametrize("form", ["8-bit", "half"])
def test_networks_in_8_and_16_bits_run_as_they_are(form: Form, detector: OnnxDetector, tmp_path: Path) -> None:
    other = OnnxDetector(load_package(batch_package(tmp_path / "package", form)))
    views = [shaded(30), shaded(200)]
    for full, small in zip(
        detector.detect_many(views, floors=[0.1, 0.1]), other.detect_many(views, floors=[0.1, 0.1]), strict=True
    ):
        assert [box.label for box in small] == [box.label for box in full]
        for one, two in zip(full, small, strict=True):
            assert two.confidence == pytest.approx(one.confidence, abs=0.02)
            assert np.allclose(one.box, two.box, atol=0.5)


def test_bags_looked_at_together_have_the_reports_that_each_has_alone(screener: Screener) -> None:
    requests = [
        DetectRequest(shaded(30)),
        DetectRequest(b"broken"),
        DetectRequest([shaded(90), shaded(200, 260, 180)], min_confidence=0.1, max_detections=2),
        DetectRequest(shaded(30), labels=["nothing of the kind"]),
        DetectRequest(np.full((300, 300, 3), 255, dtype=np.uint8)),
        DetectRequest(encoded(shaded(10)), detail="full"),
    ]
    together = screener.detect_together(requests)
    alone: list[ThreatReport | XrayToolsError] = []
    for request in requests:
        try:
            alone.append(
                screener.detect_threats(
                    request.scan,
                    labels=request.labels,
                    min_confidence=request.min_confidence,
                    max_detections=request.max_detections,
                    detail=request.detail,
                )
            )
        except XrayToolsError as error:
            alone.append(error)
    assert [untimed(report) for report in together] == [untimed(report) for report in alone]
    assert isinstance(together[1], InvalidScan)
    assert isinstance(together[3], UnknownLabel)
    assert isinstance(together[4], ThreatReport)
    assert together[4].verdict == "UNKNOWN"


def test_no_bags_at_all_have_no_reports(screener: Screener) -> None:
    assert screener.detect_together([]) == []


def test_a_folder_of_bags_is_looked_at_so_many_at_a_time(screener: Screener) -> None:
    scans = [shaded(level) for level in (20, 60, 100, 140, 180)]
    alone = [untimed(screener.detect_threats(scan)) for scan in scans]
    for batch in (1, 2, 5, 8):
        assert [untimed(report) for report in screener.detect_batch(scans, batch=batch)] == alone


def test_every_view_of_a_batch_is_told_as_a_step(screener: Screener) -> None:
    steps: list[str] = []
    with heard_by(steps.append):
        screener.detect_together([DetectRequest(shaded(20)), DetectRequest([shaded(60), shaded(90)])])
    looks = [step for step in steps if step.startswith("looking")]
    assert looks == ["looking at view 1 of 1", "looking at view 1 of 2", "looking at view 2 of 2"]
