from __future__ import annotations

from typing import Any

import pytest
from xray_training.datasets.pairs import Boxes, Choice, Count, Items, Named, Pair, Place, Refused, YesNo
from xray_training.vqa.matter import BANDS
from xray_training.vqa.verify import problem_of

from tests.training.vqa.scenes import scene, thing

GUN = thing("gun", (0.1, 0.1, 0.2, 0.2), hidden=0.9, band="metal")
KNIVES = (thing("knife", (0.4, 0.4, 0.6, 0.6), hidden=0.0), thing("knife", (0.7, 0.7, 0.9, 0.9)))
LAPTOP = thing("laptop", (0.05, 0.5, 0.35, 0.95))
SCENE = scene(GUN, *KNIVES, LAPTOP, annotated=["scissors", "phone"], complete=["gun", "knife", "laptop", "scissors"])


def pair(kind: str, truth: Any, answer: str, question: str = "What?", **parts: Any) -> Pair:
    return Pair(
        id="1", kind=kind, image="a.png", bag="b", source="s", scanner="s", split="train",
        question=question, answer=answer, truth=truth, **parts,
    )  # fmt: skip


REGIONS = ("upper-left", "centre", "lower-right")
TRUE = {
    "presence": pair("presence", YesNo(yes=True), "Yes.", asked=("gun",)),
    "absence": pair("presence", YesNo(yes=False), "No.", asked=("scissors",), negative="random"),
    "location": pair("location", Choice(word="upper-left", options=REGIONS), "Upper-left.", asked=("gun",)),
    "count": pair("count", Count(number=2), "2 knives.", asked=("knife",)),
    "material": pair(
        "material", Choice(word="metal", options=BANDS), "Metal.", "At <box:0>?", places=(GUN.place,)
    ),
    "occlusion": pair("occlusion", YesNo(yes=True), "Yes, it is hidden.", "Hidden: <box:0>?", places=(GUN.place,)),
    "comparison": pair(
        "comparison", Choice(word="gun", options=("gun", "laptop")), "The gun.", "Which is higher up?",
        asked=("gun", "laptop"),
    ),
    "overview": pair("overview", Items(counts={"gun": 1}), "I see 1 gun (upper-left).", asked=("gun", "scissors")),
    "inventory": pair(
        "inventory", Items(counts={"knife": 2}), '{"items": [{"label": "knife", "count": 2}]}',
        asked=("knife", "scissors"),
    ),
    "grounding": pair(
        "grounding", Boxes(label="gun"), '[{"label": "gun", "box": <box:0>}]', asked=("gun",), places=(GUN.place,)
    ),
    "unanswerable": pair("unanswerable", Refused(), "The picture does not tell."),
    "regions": pair(
        "regions", Named(labels=("gun", "laptop")), "1: gun; 2: laptop.", "1: <box:0>, 2: <box:1>?",
        asked=("gun", "laptop"), places=(GUN.place, LAPTOP.place),
    ),
    "crop": pair("crop", Choice(word="gun", options=("gun", "knife")), "It shows a gun.", asked=("gun", "knife")),
}  # fmt: skip
SOMEWHERE = Place(label="gun", x_min=0.3, y_min=0.1, x_max=0.4, y_max=0.2)
UNTRUE: dict[str, tuple[str, dict[str, Any]]] = {
    "yes where there is none": ("absence", {"truth": YesNo(yes=True), "answer": "Yes.", "negative": None}),
    "no where there is one": ("presence", {"truth": YesNo(yes=False), "answer": "No.", "negative": "random"}),
    "a label that is unknown there, denied": ("absence", {"asked": ("phone",)}),
    "an answer against its truth": ("presence", {"answer": "No."}),
    "another place": ("location", {"truth": Choice(word="centre", options=REGIONS), "answer": "Centre."}),
    "the place of one of two": ("location", {"asked": ("knife",)}),
    "another number": ("count", {"truth": Count(number=3), "answer": "3 knives."}),
    "an answer with another number": ("count", {"answer": "3 knives."}),
    "a number of what is not annotated everywhere": (
        "count", {"asked": ("phone",), "truth": Count(number=0), "answer": "0."}
    ),
    "another material": (
        "material", {"truth": Choice(word="organic", options=BANDS), "answer": "Organic."}
    ),
    "a material that nobody knows": ("material", {"places": (LAPTOP.place,)}),
    "hidden that is open": ("occlusion", {"places": (KNIVES[0].place,)}),
    "hidden where nobody knows": ("occlusion", {"places": (LAPTOP.place,)}),
    "the other of two": (
        "comparison", {"truth": Choice(word="laptop", options=("gun", "laptop")), "answer": "The laptop."}
    ),
    "no direction": ("comparison", {"question": "Which of them?"}),
    "an item too many": (
        "overview", {"truth": Items(counts={"gun": 1, "scissors": 1}), "answer": "1 gun and 1 scissors."}
    ),
    "an item too few": ("inventory", {"truth": Items(counts={}), "answer": '{"items": []}'}),
    "a box elsewhere": ("grounding", {"places": (SOMEWHERE,)}),
    "a box too few": ("grounding", {"truth": Boxes(label="knife"), "asked": ("knife",), "places": (KNIVES[0].place,)}),
    "a mark without a box": ("grounding", {"places": ()}),
    "a box without a mark": ("presence", {"places": (GUN.place,)}),
    "an answer to what has none": ("unanswerable", {"answer": "It is 3 years old."}),
    "a guess": ("unanswerable", {"answer": "I cannot tell, but it is probably his."}),
    "labels the other way round": ("regions", {"truth": Named(labels=("laptop", "gun")), "answer": "1: laptop; 2: gun."}),
    "an option that is not annotated": (
        "crop", {"truth": Choice(word="gun", options=("gun", "toy")), "asked": ("gun", "toy")}
    ),
    "another item": ("crop", {"truth": Choice(word="scissors", options=("gun", "scissors")), "answer": "Scissors."}),
    "a harmless bag": ("overview", {"answer": "I see 1 gun (upper-left). Otherwise the bag is safe."}),
    "a harmless question": ("presence", {"question": "The bag looks harmless; is there a gun?"}),
}  # fmt: skip


@pytest.mark.parametrize("name", TRUE)
def test_what_is_true_of_the_scan_passes(name: str) -> None:
    assert problem_of(TRUE[name], SCENE) is None


@pytest.mark.parametrize("name", UNTRUE)
def test_what_is_not_true_of_the_scan_does_not_pass(name: str) -> None:
    of, changes = UNTRUE[name]
    assert problem_of(TRUE[of].model_copy(update=changes), SCENE) is not None
