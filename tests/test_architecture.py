"""The house's rules: which room may know which."""

from __future__ import annotations

import ast
import os
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
ROOMS = {
    "xray_agent_tools": ROOT / "xray_agent_tools",
    "xray_servers": ROOT / "servers" / "xray_servers",
    "xray_training": ROOT / "training" / "xray_training",
    "xray_evals": ROOT / "evals" / "xray_evals",
}
ALLOWED = {
    "xray_agent_tools": set(),
    "xray_servers": {"xray_agent_tools"},
    "xray_training": {"xray_agent_tools"},
    "xray_evals": {"xray_agent_tools", "xray_training"},
}
LIGHT = {"numpy", "PIL", "pydantic", "onnxruntime", "yaml", "click", "rich"}
OPTIONAL = {
    "torch.py": {"torch", "ultralytics"},
    "vlm.py": {"openai"},
}


def imports_of(path: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield node.module


def modules(room: str) -> list[Path]:
    return sorted(ROOMS[room].rglob("*.py"))


@pytest.mark.parametrize("room", ROOMS)
def test_imports_point_one_way(room: str) -> None:
    for path in modules(room):
        used = {name.split(".")[0] for name in imports_of(path)} & set(ROOMS) - {room}
        assert used <= ALLOWED[room], path


def test_evals_use_only_the_dataset_readers_of_training() -> None:
    for path in modules("xray_evals"):
        used = {name for name in imports_of(path) if name.startswith("xray_training")}
        assert all(name.startswith("xray_training.datasets") for name in used), path


def test_the_library_needs_only_its_light_dependencies() -> None:
    for path in modules("xray_agent_tools"):
        used = {name.split(".")[0] for name in imports_of(path)} - set(sys.stdlib_module_names) - {"xray_agent_tools"}
        assert used - {"__future__"} <= LIGHT | OPTIONAL.get(path.name, set()), path


def test_importing_the_library_loads_nothing_heavy() -> None:
    code = (
        "import sys, xray_agent_tools; "
        "print(sorted({'onnxruntime', 'torch', 'ultralytics', 'numpy', 'PIL', 'openai'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_looking_at_a_scan_does_not_load_torch(demo_scans: list[Path]) -> None:
    code = (
        "import sys; from xray_agent_tools import detect_threats; "
        f"detect_threats({str(demo_scans[0])!r}); print('torch' in sys.modules, 'onnxruntime' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["False", "True"]


def test_looking_at_a_scan_leaves_nothing_behind_and_reports_to_nobody(tmp_path: Path, demo_scans: list[Path]) -> None:
    environment = {name: value for name, value in os.environ.items() if name != "ORT_DISABLE_TELEMETRY"}
    environment |= {"HOME": str(tmp_path), "TMPDIR": str(tmp_path), "XDG_CACHE_HOME": str(tmp_path)}
    code = f"from xray_agent_tools import detect_threats; detect_threats({str(demo_scans[0])!r})"
    subprocess.run([sys.executable, "-c", code], check=True, env=environment)
    assert list(tmp_path.rglob("*")) == []


def test_constraints_name_versions_only() -> None:
    lines = [line for line in (ROOT / "constraints.txt").read_text().splitlines() if line and not line.startswith("#")]
    assert lines
    for line in lines:
        name, _, version = line.partition("==")
        assert name
        assert version
        assert not set(line) & set("/@:; ")


def test_the_versions_agree() -> None:
    import xray_agent_tools

    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert project["version"] == xray_agent_tools.__version__
    assert f"## {project['version']}" in (ROOT / "CHANGELOG.md").read_text()


def test_every_public_name_is_there() -> None:
    import xray_agent_tools

    for name in xray_agent_tools.__all__:
        assert getattr(xray_agent_tools, name) is not None
    with pytest.raises(AttributeError):
        _ = xray_agent_tools.nothing
