"""Question-answer pairs with their pictures, as found on a disk."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from xray_agent_tools.errors import XrayToolsError
from xray_agent_tools.scan import load_scan
from xray_training.datasets.pairs import PAIRS_FILE, Pair, read_pairs
from xray_training.vlm.faults import NoPairs, PictureMissing

Split = Literal["train", "val", "test"]
_NAMED = 3


@dataclass(frozen=True, slots=True)
class Shown:
    """A picture and everything that is asked about it.

    Attributes:
        picture: the file.
        pairs: at least one, of one split.
    """

    picture: Path
    pairs: tuple[Pair, ...]

    @property
    def bag(self) -> str:
        """The bag it shows."""
        return self.pairs[0].bag


def read_shown(sources: Sequence[Path], splits: Sequence[Split] = ("train", "val")) -> dict[Split, list[Shown]]:
    """Pairs of files, or of folders with a file of them, by split; pictures in the order of their first questions.

    Args:
        sources: files, or folders.
        splits: those that must have pairs.

    Raises:
        NoPairs: there is no such file, or one of these splits has no pairs.
        PictureMissing: pictures are not where the pairs say.
        DatasetError: a line is no pair.
    """
    asked: dict[tuple[Split, Path], list[Pair]] = {}
    for source in sources:
        file = source / PAIRS_FILE if source.is_dir() else source
        if not file.is_file():
            raise NoPairs(f"{source} holds no {PAIRS_FILE}: make pairs with `xray-train vqa`, and give their folder")
        for pair in read_pairs(file):
            asked.setdefault((pair.split, file.parent / pair.image), []).append(pair)
    _require({picture for _, picture in asked})
    shown: dict[Split, list[Shown]] = {"train": [], "val": [], "test": []}
    for (split, picture), pairs in asked.items():
        shown[split].append(Shown(picture, tuple(pairs)))
    for split in splits:
        if not shown[split]:
            told = ", ".join(map(str, sources))
            raise NoPairs(f"{told}: no pairs of the {split} split; make more scans, or split them into all parts")
    return shown


def _require(pictures: Iterable[Path]) -> None:
    missing = sorted(str(picture) for picture in pictures if not picture.is_file())
    if missing:
        more = f" and {len(missing) - _NAMED} more" if len(missing) > _NAMED else ""
        raise PictureMissing(
            f"missing pictures: {', '.join(missing[:_NAMED])}{more}; keep them where the pairs say, relative to "
            "their file"
        )


def read_picture(path: Path) -> NDArray[np.uint8]:
    """The pixels of a picture, (height, width, 3), 0..255.

    Raises:
        PictureMissing: it cannot be read.
    """
    try:
        return load_scan(path).views[0].pixels
    except XrayToolsError as error:
        raise PictureMissing(f"{path} cannot be read: {error}; make its pairs again") from error
