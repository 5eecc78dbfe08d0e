"""What the simulator alone knows of the things on its scans."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from xray_agent_tools.taxonomy import taxonomy
from xray_training.datasets.record import DatasetError, LabelledBox
from xray_training.vqa.matter import Band, only_band

TRUTH_FILE = "truth.jsonl"

_ROUNDING_PX = 2.0


@dataclass(frozen=True, slots=True)
class Known:
    """An object of a simulated scan: label, corners in shares of the picture, hidden share, and the band of its matter.

    ``rounding`` is how far its corners may lie from its box's, in shares of width and height.
    """

    label: str
    corners: tuple[float, float, float, float]
    rounding: tuple[float, float]
    hidden: float
    band: Band | None

    def is_boxed_by(self, box: LabelledBox) -> bool:
        """Whether a box is drawn round this object."""
        sides = (box.x_min, box.y_min, box.x_max, box.y_max)
        return box.label == self.label and all(
            abs(one - other) <= self.rounding[number % 2]
            for number, (one, other) in enumerate(zip(sides, self.corners, strict=True))
        )


def read_truth(folder: Path) -> dict[str, tuple[Known, ...]]:
    """The canonical objects of every scan that ``xray-train data simulate`` wrote, by picture; empty where it wrote none.

    Raises:
        DatasetError: the file cannot be read.
    """
    path = folder / TRUTH_FILE
    if not path.is_file():
        return {}
    try:
        with path.open(encoding="utf-8") as file:
            lines = [json.loads(line) for line in file]
        return {str(line["file"]): tuple(_objects(line["objects"])) for line in lines if "objects" in line}
    except (ValueError, KeyError, TypeError, OSError) as error:
        raise DatasetError(
            f"{path} is no truth of simulated scans ({type(error).__name__}: {error}): simulate the scans again"
        ) from error


def _objects(found: Sequence[Mapping[str, Any]]) -> list[Known]:
    return [_known(one) for one in found if one["label"] in taxonomy().labels]


def _known(found: Mapping[str, Any]) -> Known:
    height, width = found["silhouette"]["size"]
    left, top, right, bottom = (float(side) for side in found["box"])
    return Known(
        label=str(found["label"]),
        corners=(left / width, top / height, right / width, bottom / height),
        rounding=(_ROUNDING_PX / width, _ROUNDING_PX / height),
        hidden=float(found["occlusion"]),
        band=only_band(found["materials"]),
    )
