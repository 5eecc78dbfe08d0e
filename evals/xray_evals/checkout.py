"""The commit that figures were measured with."""

from __future__ import annotations

import subprocess
from pathlib import Path

_GENERATED = ("evals/*.md", "evals/*.json", "evals/plots", "evals/simulated", "xray_agent_tools/models")
"""What measuring writes itself, so that it changes nothing that is measured; a network goes by its own hash."""


def commit(folder: Path = Path(__file__).parent) -> str:
    """The commit of the checkout around a folder, or "unknown"; "+" marks uncommitted changes to tracked files.

    Changes to files that measuring writes do not count.
    """
    try:
        head = _git(folder, "rev-parse", "--short", "HEAD")
        kept = [f":(top,exclude){path}" for path in _GENERATED]
        changed = _git(folder, "status", "--porcelain", "--untracked-files=no", "--", ":(top)", *kept)
    except (OSError, subprocess.CalledProcessError):
        return "unknown"
    return head + ("+" if changed else "")


def _git(folder: Path, *arguments: str) -> str:
    done = subprocess.run(["git", *arguments], cwd=folder, capture_output=True, text=True, check=True)
    return done.stdout.strip()
