"""Fixtures of the training tests."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

import pytest
from click.testing import CliRunner

os.environ.setdefault("YOLO_OFFLINE", "true")
os.environ.setdefault("YOLO_AUTOINSTALL", "false")
os.environ.setdefault("YOLO_CONFIG_DIR", str(Path(tempfile.gettempdir()) / "xray-tests-ultralytics"))

SHOWN_SCANS = 24


@pytest.fixture(scope="session")
def simulated(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of simulated scans, written by ``xray-train data simulate``."""
    from xray_training.cli import main

    out = tmp_path_factory.mktemp("simulated") / "scans"
    command = ["data", "simulate", "--out", str(out), "--count", str(SHOWN_SCANS), "--seed", "7"]
    command += ["--scanner", "dogwood", "--scanner", "birch", "--processes", "1"]
    result = CliRunner().invoke(main, command, catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return out
