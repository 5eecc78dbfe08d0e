"""Fixtures that every room's tests share."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

os.environ.setdefault("YOLO_OFFLINE", "true")
os.environ.setdefault("YOLO_AUTOINSTALL", "false")
os.environ.setdefault("YOLO_VERBOSE", "false")
os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")

# Machines that run the tests are shared and noisy: no test is judged by how long an example takes.
settings.register_profile("house", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("house")

ROOT = Path(__file__).parent.parent


@pytest.fixture(scope="session")
def demo_scans() -> list[Path]:
    """The simulated scans that ship with the project."""
    return sorted((ROOT / "examples" / "scans").glob("*.png"))


@pytest.fixture(scope="session")
def real_scans() -> Path:
    """Folder of annotated real scans; the test is skipped without it."""
    folder = Path(os.environ.get("XRAY_DATA") or ROOT.parent / "shared" / "data" / "baggage")
    if not (folder / "manifest.csv").is_file():
        pytest.skip("no real scans: set XRAY_DATA to a folder in the annotated YOLO layout")
    return folder
