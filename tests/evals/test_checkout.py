from __future__ import annotations

import subprocess
from pathlib import Path

import pytest
from xray_evals.checkout import commit

CODE = "evals/xray_evals/page.py"
GENERATED = (
    "evals/RESULTS.md",
    "evals/evidence.json",
    "evals/plots/roc.svg",
    "evals/simulated/results.json",
    "xray_agent_tools/models/default/manifest.json",
)


def git(folder: Path, *arguments: str) -> str:
    settings = ("-c", "user.name=a", "-c", "user.email=a@b", "-c", "commit.gpgsign=false")
    return subprocess.run(
        ["git", *settings, *arguments], cwd=folder, capture_output=True, text=True, check=True
    ).stdout.strip()


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A committed tree of code and of files that measuring writes."""
    for name in (CODE, *GENERATED):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text("before", encoding="utf-8")
    git(tmp_path, "init", "--quiet")
    git(tmp_path, "add", ".")
    git(tmp_path, "commit", "--quiet", "--message", "one")
    return tmp_path


def test_files_that_measuring_writes_do_not_mark_the_commit(checkout: Path) -> None:
    for name in GENERATED:
        (checkout / name).write_text("after", encoding="utf-8")
    assert git(checkout, "status", "--porcelain")
    assert commit((checkout / CODE).parent) == git(checkout, "rev-parse", "--short", "HEAD")


def test_changed_code_marks_the_commit_from_wherever_one_looks(checkout: Path) -> None:
    (checkout / CODE).write_text("after", encoding="utf-8")
    for folder in (checkout, (checkout / CODE).parent, checkout / "xray_agent_tools"):
        assert commit(folder) == git(checkout, "rev-parse", "--short", "HEAD") + "+"


def test_no_checkout_has_no_commit(tmp_path: Path) -> None:
    assert commit(tmp_path) == "unknown"
