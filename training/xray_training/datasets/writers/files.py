"""Writing folders that can be left half-way and taken up again, with no file ever half-written."""

from __future__ import annotations

import filecmp
import json
import os
import shutil
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TextIO

from xray_training.datasets.record import DatasetError

_CLAIM = "made.json"


def claim(out: Path, made: Mapping[str, object]) -> None:
    """Take a folder for what one command makes of one input; the same command may take it again, to go on.

    Args:
        out: the folder; it is made where it is not there.
        made: what makes it, as JSON; kept in ``made.json``.

    Raises:
        DatasetError: the folder holds something else.
    """
    path = out / _CLAIM
    try:
        out.mkdir(parents=True, exist_ok=True)
        held = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else None
        occupied = held is not None or any(out.iterdir())
    except (OSError, ValueError) as error:
        raise DatasetError(f"{out} cannot be written to: {error}") from error
    if occupied and held != made:
        raise DatasetError(f"{out} already holds something else: choose another --out, or empty it")
    write_text(path, json.dumps(made, indent=1) + "\n")


@contextmanager
def replacing(path: Path) -> Iterator[TextIO]:
    """A text file that takes its place when the block has ended well, and leaves what was there before otherwise."""
    with replacing_path(path) as part, part.open("w", encoding="utf-8", newline="") as file:
        yield file


@contextmanager
def replacing_path(path: Path) -> Iterator[Path]:
    """A path to write to, which takes the place of another when the block has ended well."""
    part = path.with_name(f"{path.name}.part")
    part.unlink(missing_ok=True)
    try:
        yield part
        os.replace(part, path)
    finally:
        part.unlink(missing_ok=True)


def write_text(path: Path, text: str) -> None:
    """Write a whole text file at once."""
    with replacing(path) as file:
        file.write(text)


def copy_picture(picture: Path, target: Path, *, link: bool = False) -> None:
    """Copy a file byte for byte, unless it is there already.

    Args:
        picture: the file.
        target: where to; its folder must exist.
        link: make it a second name of the same file where the file system can.
    """
    if target.exists() and filecmp.cmp(picture, target, shallow=False):
        return
    with replacing_path(target) as part:
        if not (link and _linked(picture, part)):
            shutil.copy2(picture, part)


def remove_others(folder: Path, kept: Collection[Path]) -> None:
    """Delete the files below a folder that are not among those kept: leftovers of an input that has changed since."""
    for path in [path for path in folder.rglob("*") if path.is_file() and path not in kept]:
        path.unlink()


def _linked(picture: Path, target: Path) -> bool:
    try:
        os.link(picture.resolve(), target)
    except OSError:
        return False
    return True
