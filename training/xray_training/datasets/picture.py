"""The size of a picture, read from its header, and what may lie in its place."""

from __future__ import annotations

from pathlib import Path

from PIL import Image

from xray_training.datasets.fault import Fault, FaultKind, FaultReport

LFS = b"version https://git-lfs.github.com/spec/"
"""How a Git LFS pointer begins."""

UNREADABLE = (OSError, SyntaxError, ValueError, ImportError, Image.DecompressionBombError)
"""What Pillow raises at a damaged picture: ValueError and SyntaxError at a damaged PNG chunk, ImportError where
Ultralytics has patched it."""

Size = tuple[int, int]


def size_of(path: Path, report: FaultReport) -> Size | None:
    """Width and height in pixels, without decoding the picture; None, and a fault, where there is no picture."""
    try:
        with Image.open(path) as picture:
            return picture.size
    except FileNotFoundError:
        report(Fault(FaultKind.MISSING_IMAGE, str(path), "the picture is not there"))
    except UNREADABLE as error:
        if _is_pointer(path):
            message = "a Git LFS pointer, not a picture: run `git lfs pull` where it came from"
            report(Fault(FaultKind.LFS_POINTER, str(path), message))
        else:
            report(Fault(FaultKind.UNREADABLE_IMAGE, str(path), f"no readable picture ({type(error).__name__})"))
    return None


def _is_pointer(path: Path) -> bool:
    try:
        with path.open("rb") as file:
            return file.read(len(LFS)) == LFS
    except OSError:
        return False
