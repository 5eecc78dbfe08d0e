"""What a folder was made of, and by which command."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path


def made(command: str, folders: Sequence[Path], **settings: object) -> dict[str, object]:
    """What ``made.json`` says: enough to tell the same command from another, and no path of this machine.

    Args:
        command: the command of ``xray-train data``.
        folders: what it reads.
        settings: every option that what it writes depends on.
    """
    places = "\n".join(str(folder.resolve()) for folder in folders)
    return {
        "by": f"xray-train data {command}",
        "from": [folder.resolve().name for folder in folders],
        "from_sha256": hashlib.sha256(places.encode()).hexdigest(),
        **settings,
    }
