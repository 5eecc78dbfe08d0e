"""Question-answer pairs about scans: the format that generation writes, and that training and evaluation read."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Annotated, Literal, get_args

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from xray_agent_tools.report import Region
from xray_training.datasets.annotation import first_problem
from xray_training.datasets.fault import DatasetError

Kind = Literal[
    "overview",
    "presence",
    "location",
    "count",
    "material",
    "occlusion",
    "comparison",
    "inventory",
    "grounding",
    "unanswerable",
    "regions",
    "crop",
]
"""What a question is about. ``inventory`` asks for JSON, ``regions`` gives boxes to be named, ``crop`` shows a part."""

KINDS: tuple[Kind, ...] = get_args(Kind)
PAIRS_FILE = "pairs.jsonl"
PLACE_MARK = re.compile(r"<box:(\d+)>")
"""Stands in a text for one of its pair's places, by number."""

Share = Annotated[float, Field(ge=0, le=1)]


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Place(_Frozen):
    """A box as shares (0..1) of the picture's width and height, and the canonical label of what it holds."""

    label: str
    x_min: Share
    y_min: Share
    x_max: Share
    y_max: Share


class YesNo(_Frozen):
    """The answer is yes or no (presence, occlusion)."""

    type: Literal["yes_no"] = "yes_no"
    yes: bool


class Choice(_Frozen):
    """The answer is one word of several: a region word, a material, a canonical label."""

    type: Literal["choice"] = "choice"
    word: str
    options: tuple[str, ...]


class Count(_Frozen):
    """The answer is a number of items."""

    type: Literal["count"] = "count"
    number: int = Field(ge=0)


class Items(_Frozen):
    """The answer names items, with how many of each there are (overview, inventory)."""

    type: Literal["items"] = "items"
    counts: dict[str, int]


class Boxes(_Frozen):
    """The answer is where all items of a label are (grounding); the boxes are the pair's own places."""

    type: Literal["boxes"] = "boxes"
    label: str


class Named(_Frozen):
    """The answer names what each given region holds: labels in the order of the pair's places."""

    type: Literal["named"] = "named"
    labels: tuple[str, ...]


class Refused(_Frozen):
    """The right answer is that the picture does not tell."""

    type: Literal["refused"] = "refused"


Truth = Annotated[YesNo | Choice | Count | Items | Boxes | Named | Refused, Field(discriminator="type")]


class Pair(_Frozen):
    """A question about one picture and its answer.

    Attributes:
        id: unique within the file, stable for the same seed and scan.
        kind: type of question.
        image: the picture, relative to the folder of the file.
        bag: what a split never divides (near-duplicates, views and repeats of one bag).
        source: dataset, or ``simulated``.
        scanner: the scanner, as far as it is known.
        split: ``train``, ``val`` or ``test``.
        question: what is asked; ``<box:0>`` stands for the pair's first place.
        answer: the wanted words; may hold ``<box:0>`` too.
        asked: canonical labels the question is about.
        negative: how an absent label was chosen (``random``, ``popular``, ``look_alike``), for presence alone.
        truth: what an answer must say, by which replies are checked.
        places: boxes that question or answer refer to.
        wording: ``templates``, or the name of the model that reworded it.
    """

    id: str
    kind: Kind
    image: str
    bag: str
    source: str
    scanner: str
    split: Literal["train", "val", "test"]
    question: str
    answer: str
    asked: tuple[str, ...] = ()
    negative: Literal["random", "popular", "look_alike"] | None = None
    truth: Truth
    places: tuple[Place, ...] = ()
    wording: str = "templates"


REGIONS: tuple[str, ...] = get_args(Region)


def in_pixels(text: str, places: Sequence[Place], width: int, height: int) -> str:
    """Write boxes in place of their marks, as ``[x_min, y_min, x_max, y_max]`` in whole pixels of a picture of that size.

    The model sees a picture resized to its grid, and its boxes are pixels of that picture: so marks are replaced only
    once that size is known.

    Raises:
        DatasetError: a mark has no place.
    """

    def words(mark: re.Match[str]) -> str:
        index = int(mark.group(1))
        if index >= len(places):
            raise DatasetError(f"{mark.group(0)} stands for no box: the pair has {len(places)}")
        place = places[index]
        corners = (place.x_min * width, place.y_min * height, place.x_max * width, place.y_max * height)
        return str([round(corner) for corner in corners])

    return PLACE_MARK.sub(words, text)


def write_pairs(pairs: Iterable[Pair], path: Path) -> int:
    """Write pairs as JSON lines; returns how many."""
    count = 0
    with path.open("w", encoding="utf-8") as file:
        for pair in pairs:
            file.write(pair.model_dump_json() + "\n")
            count += 1
    return count


def read_pairs(path: Path) -> Iterator[Pair]:
    """Read pairs from a file of JSON lines.

    Raises:
        DatasetError: the file cannot be read, or a line is no pair; it names the line.
    """
    try:
        with path.open(encoding="utf-8") as file:
            for number, line in enumerate(file, 1):
                yield _pair(line, f"{path}, line {number}")
    except OSError as error:
        raise DatasetError(f"{path} cannot be read ({error.strerror}): make it with `xray-train vqa`") from error
    except UnicodeDecodeError as error:
        raise DatasetError(f"{path} is not UTF-8 text: make it anew with `xray-train vqa`") from error


def _pair(line: str, where: str) -> Pair:
    try:
        return Pair.model_validate_json(line)
    except ValidationError as error:
        raise DatasetError(f"{where}: {first_problem(error)}") from error
