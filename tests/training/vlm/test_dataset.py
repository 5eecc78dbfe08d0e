"""Pairs as examples: what is asked, how pictures are varied, and what their cells teach."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from xray_training.datasets.pairs import Place, YesNo
from xray_training.vlm.cells import Known, cells_of, known_of, labels_of
from xray_training.vlm.config import CONFIGS, VariationSettings, load_config
from xray_training.vlm.dataset import PairSet, Plan, in_one_word
from xray_training.vlm.nano import make_model, make_processor, parameters_of
from xray_training.vlm.shown import Shown, read_shown
from xray_training.vlm.variation import Move, speaks_of_place

from tests.training.vlm.drawn import COLOURS, LABELS, draw
from xray_agent_tools.explainer.picture import Frame

FRAME = Frame(cell=28, min_pixels=3136, max_pixels=12544)
shares = st.floats(0, 1)


@pytest.fixture(scope="module")
def shown(bags: Path) -> list[Shown]:
    return read_shown([bags])["train"][:12]


@pytest.mark.parametrize("pack", [1, 3, 16])
def test_an_epoch_asks_every_pair_once(shown: list[Shown], pack: int) -> None:
    pairs = PairSet(shown, FRAME, Plan(pack=pack))
    for epoch in (0, 1):
        pairs.set_epoch(epoch)
        asked = Counter(pair.id for index in range(len(pairs)) for pair in pairs.asked(index)[1])
        assert asked == Counter(pair.id for picture in shown for pair in picture.pairs)
        assert all(len(pairs[index].turns) <= pack for index in range(len(pairs)))


def test_a_kind_is_asked_as_often_as_wanted(shown: list[Shown]) -> None:
    pairs = PairSet(shown, FRAME, Plan(pack=16, kinds=(("grounding", 0.0), ("location", 0.0))))
    kinds = {pair.kind for index in range(len(pairs)) for pair in pairs.asked(index)[1]}
    assert kinds == {"presence"}


def test_the_same_seed_draws_the_same(shown: list[Shown]) -> None:
    plan = Plan(pack=3, variation=VariationSettings(moved=1, rescan=1), seed=4, labels=LABELS)
    one, two = PairSet(shown, FRAME, plan), PairSet(shown, FRAME, plan)
    assert one[5].picture.tobytes() == two[5].picture.tobytes()
    assert one[5].turns == two[5].turns
    two.set_epoch(1)
    assert one[5].picture.tobytes() != two[5].picture.tobytes()


def test_a_moved_picture_is_asked_about_no_place(shown: list[Shown]) -> None:
    moved = PairSet(shown, FRAME, Plan(pack=16, variation=VariationSettings(moved=1)))
    questions = {turn.question for index in range(len(moved)) for turn in moved[index].turns}
    assert not any("half" in question for question in questions)
    assert any("box" in question for question in questions)
    kinds = {
        speaks_of_place(pair): pair.kind for picture in shown for pair in picture.pairs if pair.kind != "grounding"
    }
    assert kinds == {True: "location", False: "presence"}


def test_a_moved_picture_is_asked_as_often_about_what_is_there(shown: list[Shown]) -> None:
    """A yes that tells a place is shortened, not left out: moved pictures would seem to hold less."""
    placed = [
        Shown(
            picture.picture,
            tuple(
                pair.model_copy(update={"answer": "Yes, at the upper-left."}) if pair.answer == "Yes." else pair
                for pair in picture.pairs
            ),
        )
        for picture in shown
    ]
    plan = Plan(pack=16, kinds=(("grounding", 0.0), ("location", 0.0)))
    moved = PairSet(placed, FRAME, replace(plan, variation=VariationSettings(moved=1)))
    still = PairSet(placed, FRAME, plan)
    answers = Counter(turn.answer for index in range(len(moved)) for turn in moved[index].turns)
    told = Counter(turn.answer for index in range(len(still)) for turn in still[index].turns)
    assert answers == {"Yes.": told["Yes, at the upper-left."], "No.": told["No."]}


def test_answers_in_one_word_say_the_same(shown: list[Shown]) -> None:
    wordy = shown[0].pairs[0].model_copy(update={"answer": "No, I see none.", "truth": YesNo(yes=False)})
    assert in_one_word(wordy).answer == "No."
    assert in_one_word(wordy.model_copy(update={"answer": "Nothing of the kind."})).answer == "Nothing of the kind."
    brief = PairSet([Shown(shown[0].picture, (wordy,))], FRAME, Plan(brief=1))
    assert brief[0].turns[0].answer == "No."


@given(st.booleans(), st.integers(0, 3), st.floats(0.7, 1), st.floats(0.7, 1), shares, shares, st.integers(0, 50))
@settings(max_examples=40)
def test_boxes_move_with_the_picture(
    mirrored: bool, turns: int, wide: float, high: float, across: float, down: float, seed: int
) -> None:
    bag = draw(np.random.default_rng(seed))
    move = Move(mirrored, turns, (wide, high), ((1 - wide) * across, (1 - high) * down))
    pixels = move.show(np.asarray(bag.picture))
    for place in bag.places:
        there = move.place(place)
        row = int((there.y_min + there.y_max) / 2 * pixels.shape[0])
        column = int((there.x_min + there.x_max) / 2 * pixels.shape[1])
        assert np.abs(pixels[row, column].astype(int) - COLOURS[place.label]).max() <= 2
        edge = int(there.x_max * pixels.shape[1]) + 3
        if edge < pixels.shape[1]:
            assert np.abs(pixels[row, edge].astype(int) - COLOURS[place.label]).max() > 2


def test_cells_hold_what_the_boxes_hold(shown: list[Shown]) -> None:
    labels = labels_of(pair for picture in shown for pair in picture.pairs)
    assert labels == tuple(sorted(LABELS))
    for picture in shown:
        known = known_of(picture.pairs)
        cells = cells_of(known, labels, 4, 4)
        boxed = {place.label for place in known.places}
        for index, label in enumerate(labels):
            assert set(np.unique(cells[index])) == ({0, 1} if label in boxed else {0})


def test_what_the_pairs_do_not_tell_stays_unknown() -> None:
    place = Place(label="knife", x_min=0, y_min=0, x_max=0.5, y_max=0.5)
    cells = cells_of(Known((place,), frozenset({"gun"})), ("gun", "knife", "saw"), 2, 2)
    assert cells.tolist() == [[[0, 0], [0, 0]], [[1, -1], [-1, -1]], [[-1, -1], [-1, -1]]]


@given(shares, shares, st.floats(0.001, 0.3), st.floats(0.001, 0.3))
def test_an_item_of_any_size_lies_in_some_cell(x: float, y: float, wide: float, high: float) -> None:
    place = Place(label="dart", x_min=x * 0.7, y_min=y * 0.7, x_max=x * 0.7 + wide, y_max=y * 0.7 + high)
    assert (cells_of(Known((place,), frozenset()), ("dart",), 9, 9) == 1).any()


def test_the_nano_model_is_as_small_as_it_says(tmp_path: Path) -> None:
    config = load_config(CONFIGS / "nano.yaml", {"pairs": [str(tmp_path)]})
    assert config.architecture is not None
    processor = make_processor(config.architecture, config.frame, ["Is there a knife?", "Yes.", "No."])
    assert parameters_of(make_model(config.architecture, processor, 0)) < 25e6
