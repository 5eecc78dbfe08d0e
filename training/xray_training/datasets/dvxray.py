"""DvXray: two views of each bag, and one JSON file for both.

Layout::

    DvXray_{Positive,Negative}_Samples/P03152.json
    DvXray_{Positive,Negative}_Samples/P03152_OL.png    from above
    DvXray_{Positive,Negative}_Samples/P03152_SD.png    from the side
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, FiniteFloat

from xray_training.datasets.annotation import json_of, missing
from xray_training.datasets.fault import FaultReport, refuse
from xray_training.datasets.folders import files_in, pictures_by_stem, wanted
from xray_training.datasets.neighbours import block_of
from xray_training.datasets.picture import size_of
from xray_training.datasets.placing import PixelBox, labels_of, names_of, place
from xray_training.datasets.record import ScanRecord

SOURCE = "dvxray"

VIEWS = {"OL": "top", "SD": "side"}
"""The views by the ending of their pictures' names."""

_FOLDERS = ("DvXray_Positive_Samples", "DvXray_Negative_Samples")

Corners = tuple[FiniteFloat, FiniteFloat, FiniteFloat, FiniteFloat]


class _Object(BaseModel):
    label: str
    ol_bb: Corners | Literal["difficult"]
    sd_bb: Corners | Literal["difficult"]

    def corners(self, view: str) -> Corners | None:
        """The box in a view; None where the annotators could not draw it."""
        corners = self.ol_bb if view == "OL" else self.sd_bb
        return None if corners == "difficult" else corners


class _Bag(BaseModel):
    objects: list[_Object] | Literal["None"]


def read(root: Path, *, split: str | None = None, report: FaultReport = refuse) -> Iterator[ScanRecord]:
    """Read DvXray, two records a bag: both views share a group, and the metadata's ``view`` is ``top`` or ``side``.

    An item that is in the bag but could not be boxed in a view ("difficult") is neither present nor absent there: its
    label is taken out of what that view annotates. Where another item of the same label is boxed in that view, its box
    stays: it is certain, while the label as a whole is not.

    Args:
        root: the folder that holds ``DvXray_Positive_Samples`` and ``DvXray_Negative_Samples``.
        split: all is ``train``, for the dataset has no split of its own.
        report: hears of every fault.

    Raises:
        DatasetError: by the default report, at the first fault.
    """
    if not recognises(root):
        report(missing(root, f"neither {_FOLDERS[0]} nor {_FOLDERS[1]} is there"))
    for name in _FOLDERS if wanted("train", split) else ():
        folder = root / name
        pictures = pictures_by_stem(folder)
        views = tuple(f"_{view}" for view in VIEWS)
        bags = {path.stem for path in files_in(folder, ".json")}
        bags |= {stem.removesuffix(view) for stem in pictures for view in views if stem.endswith(view)}
        for bag in sorted(bags):
            content = json_of(folder / f"{bag}.json", _Bag, report)
            for view in VIEWS if content else ():
                picture = pictures.get(f"{bag}_{view}", folder / f"{bag}_{view}.png")
                if content and (record := _record(content, bag, view, picture, report)):
                    yield record


def recognises(root: Path) -> bool:
    """Whether the folder holds DvXray's positive or negative samples."""
    return any((root / name).is_dir() for name in _FOLDERS)


def _record(content: _Bag, bag: str, view: str, picture: Path, report: FaultReport) -> ScanRecord | None:
    size = size_of(picture, report)
    if size is None:
        return None
    naming = names_of(SOURCE)
    items = content.objects if isinstance(content.objects, list) else []
    seen = [PixelBox(item.label, *corners) for item in items if (corners := item.corners(view)) is not None]
    boxes = place(seen, picture=size, declared=None, naming=naming, where=str(picture), report=report)
    if boxes is None:
        return None
    unknown = {naming(item.label) for item in items if item.corners(view) is None}
    return ScanRecord(
        image=picture,
        source=SOURCE,
        scanner=SOURCE,
        split="train",
        group=bag,
        block=block_of(bag, bag),
        boxes=boxes,
        annotated=labels_of(SOURCE) - unknown,
        metadata={"view": VIEWS[view]},
    )
