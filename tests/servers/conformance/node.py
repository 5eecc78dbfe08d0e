"""Node programs from a folder with ``node_modules``."""

from __future__ import annotations

import os
from pathlib import Path

PROGRAMS = ("node", "conformance", "mcp-inspector")


def programs(node: Path) -> Path:
    """The folder of executables."""
    return node / "node_modules" / ".bin"


def missing(node: Path) -> list[str]:
    """Which programs are not installed there."""
    return [name for name in PROGRAMS if not (programs(node) / name).exists()]


def environment(node: Path) -> dict[str, str]:
    """An environment in which the programs are found, that of the folder before any of the system's.

    What the Inspector keeps in a home folder goes beside ``node_modules``, not into the user's.
    """
    path = os.pathsep.join((str(programs(node).resolve()), os.environ.get("PATH", os.defpath)))
    return {**os.environ, "PATH": path, "HOME": str((node / "home").resolve())}
