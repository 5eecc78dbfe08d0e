"""Questions and answers about scans, made by hand."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from xray_training.datasets.pairs import (
    PAIRS_FILE,
    REGIONS,
    Boxes,
    Choice,
    Count,
    Items,
    Kind,
    Named,
    Pair,
    Place,
    Refused,
    Truth,
    YesNo,
    write_pairs,
)

from xray_agent_tools.detector.package import ModelPackage, load_package
from xray_agent_tools.detector.protocol import RawDetection

GUN = Place(label="gun", x_min=0.1, y_min=0.2, x_max=0.3, y_max=0.4)
KNIFE = Place(label="knife", x_min=0.6, y_min=0.6, x_max=0.9, y_max=0.8)
SCAN = Path(__file__).parents[2] / "examples" / "scans" / "bag_1.png"


def pair(
    number: int,
    truth: Truth,
    *,
    kind: Kind = "presence",
    question: str = "Is there a gun?",
    answer: str = "",
    asked: tuple[str, ...] = ("gun",),
    negative: Literal["random", "popular", "look_alike"] | None = None,
    split: Literal["train", "val", "test"] = "test",
    bag: str = "",
    image: str = "",
    places: tuple[Place, ...] = (),
    source: str = "simulated",
    scanner: str = "alder",
) -> Pair:
    return Pair(
        id=f"{split}-{number}",
        kind=kind,
        image=image or f"{split}-{number}.png",
        bag=bag or f"{split}-{number}",
        source=source,
        scanner=scanner,
        split=split,
        question=question,
        answer=answer,
        asked=asked,
        negative=negative,
        truth=truth,
        places=places,
    )


def presence(number: int, *, yes: bool, label: str = "gun", **others: object) -> Pair:
    words = "Yes." if yes else "No."
    question = f"Is there a {label}?"
    return pair(number, YesNo(yes=yes), question=question, answer=words, asked=(label,), **others)  # type: ignore[arg-type]


def one_of_each(split: Literal["train", "val", "test"], image: str) -> list[Pair]:
    """A pair of every kind about one picture that shows a gun at the upper left and a knife at the lower right."""
    about = {"split": split, "image": image, "bag": image}
    wanted: list[tuple[Kind, Truth, str, str, tuple[str, ...], tuple[Place, ...]]] = [
        ("presence", YesNo(yes=True), "Is there a gun?", "Yes.", ("gun",), ()),
        ("presence", YesNo(yes=False), "Is there a hammer?", "No.", ("hammer",), ()),
        ("location", Choice(word="upper-left", options=REGIONS), "Where is the gun?", "Upper-left.", ("gun",), ()),
        ("count", Count(number=1), "How many guns are there?", "1 gun.", ("gun",), ()),
        (
            "material",
            Choice(word="metal", options=("organic", "mixed", "metal")),
            "What is the item at <box:0> made of: organic, mixed or metal?",
            "Metal.",
            (),
            (GUN,),
        ),
        ("occlusion", YesNo(yes=False), "Is the item at <box:0> hidden by other things?", "No.", (), (GUN,)),
        (
            "comparison",
            Choice(word="gun", options=("gun", "knife")),
            "Which is further to the left, the gun or the knife?",
            "The gun.",
            ("gun", "knife"),
            (),
        ),
        (
            "overview",
            Items(counts={"gun": 1, "knife": 1}),
            "Which of these does the scan show: gun, knife or hammer?",
            "The scan shows 1 gun and 1 knife.",
            ("gun", "knife", "hammer"),
            (),
        ),
        (
            "inventory",
            Items(counts={"gun": 1, "knife": 1}),
            "List gun, knife and hammer as JSON.",
            '{"items": [{"label": "gun", "count": 1}, {"label": "knife", "count": 1}]}',
            ("gun", "knife", "hammer"),
            (),
        ),
        ("grounding", Boxes(label="gun"), "Give the box of every gun as JSON.", '[{"box": <box:0>}]', ("gun",), (GUN,)),
        ("unanswerable", Refused(), "What brand is the gun?", "The picture does not tell.", ("gun",), ()),
        (
            "regions",
            Named(labels=("gun", "knife")),
            "Name the item in each region: 1: <box:0>; 2: <box:1>.",
            "1: gun; 2: knife.",
            ("gun", "knife", "hammer"),
            (GUN, KNIFE),
        ),
        (
            "crop",
            Choice(word="gun", options=("gun", "toy")),
            "Is this a gun or a toy?",
            "A gun.",
            ("gun", "toy"),
            (),
        ),
    ]
    return [
        pair(
            number,
            truth,
            kind=kind,
            question=question,
            answer=answer,
            asked=asked,
            places=places,
            negative="random" if truth == YesNo(yes=False) and kind == "presence" else None,
            **about,  # type: ignore[arg-type]
        )
        for number, (kind, truth, question, answer, asked, places) in enumerate(wanted)
    ]


def folder_of(root: Path, pairs: Sequence[Pair]) -> Path:
    """Write pairs, and a demo scan as the picture of each."""
    root.mkdir(parents=True, exist_ok=True)
    for image in {one.image for one in pairs}:
        shutil.copyfile(SCAN, root / image)
    write_pairs(pairs, root / PAIRS_FILE)
    return root


class FindsAGun:
    """Finds a gun on every scan, always at the same place."""

    def __init__(self) -> None:
        self.looks = 0

    @property
    def package(self) -> ModelPackage:
        return load_package("default")

    @property
    def backend(self) -> str:
        return "none"

    def detect(self, pixels: NDArray[np.uint8], *, floor: float) -> list[RawDetection]:
        self.looks += 1
        height, width = pixels.shape[:2]
        box = (GUN.x_min * width, GUN.y_min * height, GUN.x_max * width, GUN.y_max * height)
        return [RawDetection("gun", 0.9, box)]
