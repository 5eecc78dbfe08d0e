"""Figures of answers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from xray_evals.vqa.answering import Answer, Answerer
from xray_evals.vqa.claims import annotated_on
from xray_evals.vqa.explained import Look
from xray_evals.vqa.scoring import NO_REPLY, Scores, bags_of, score
from xray_training.datasets.pairs import Boxes, Count, Items, Pair

from tests.evals.asked import GUN, KNIFE, one_of_each, pair, presence

NOBODY: Mapping[str, Look] = {}


def answerer(pairs: Sequence[Pair], replies: Sequence[str | None], name: str = "nano") -> Answerer:
    """Who gives these replies; None is a question without one."""
    answers = {
        one.id: Answer(id=one.id, reply=reply) for one, reply in zip(pairs, replies, strict=True) if reply is not None
    }
    return Answerer(name, "model", "made by hand", answers)


def scored(
    pairs: Sequence[Pair],
    replies: Sequence[str | None],
    *,
    looks: Mapping[str, Look] = NOBODY,
    beside: Answerer | None = None,
) -> Scores:
    return score(answerer(pairs, replies), pairs, looks, annotated_on(pairs), beside=beside, draws=50)


def test_no_answer_and_no_reply_count_as_wrong_and_are_shown_apart() -> None:
    pairs = [presence(n, yes=True) for n in range(4)]
    scores = scored(pairs, ["Yes.", "No.", "I cannot say.", None])
    accuracy = scores.kinds["presence"]
    assert (accuracy.value, accuracy.questions, accuracy.unparsed) == (0.25, 4, 2)
    assert scores.failed == {NO_REPLY: 1}
    assert accuracy.low <= accuracy.value <= accuracy.high


def test_a_failure_counts_by_its_reason_even_if_words_came_with_it() -> None:
    pairs = [presence(1, yes=True)]
    failing = Answerer("nano", "model", "", {pairs[0].id: Answer(id=pairs[0].id, reply="Yes.", failed="timeout")})
    scores = score(failing, pairs, NOBODY, annotated_on(pairs), draws=10)
    assert scores.failed == {"timeout": 1}
    assert scores.kinds["presence"].value == 0.0


def test_the_mean_over_the_kinds_counts_every_kind_once() -> None:
    pairs = [*(presence(n, yes=True) for n in range(9)), pair(20, Count(number=2), kind="count")]
    scores = scored(pairs, ["Yes."] * 9 + ["3."])
    assert scores.macro.value == 0.5


def test_presence_has_precision_recall_and_accuracy_by_how_the_label_was_chosen() -> None:
    pairs = [
        presence(1, yes=True),
        presence(2, yes=True),
        presence(3, yes=False, negative="random"),
        presence(4, yes=False, negative="popular"),
        presence(5, yes=False, negative="look_alike"),
        presence(6, yes=False, negative="look_alike"),
    ]
    scores = scored(pairs, ["Yes.", "Hm.", "No.", "No.", "Yes.", "Hm."])
    rated = scores.presence
    assert rated is not None
    assert (rated.precision, rated.recall, rated.support) == (0.5, 0.5, 2)
    assert rated.f1.value == 0.5
    assert scores.yes_share == 0.5
    assert {name: accuracy.value for name, accuracy in scores.polarity.items()} == {
        "there": 0.5,
        "random": 1.0,
        "popular": 1.0,
        "look_alike": 0.0,
    }


def test_items_are_counted_piece_by_piece_of_what_was_asked() -> None:
    asked = ("gun", "knife", "hammer")
    pairs = [
        pair(1, Items(counts={"gun": 2, "knife": 1}), kind="inventory", asked=asked),
        pair(2, Items(counts={"gun": 2}), kind="overview", asked=asked),
    ]
    scores = scored(pairs, ['{"gun": 1, "hammer": 1, "laptop": 3}', "Guns are visible."])
    rated = scores.items
    assert rated is not None
    assert rated.support == 5
    assert rated.precision == pytest.approx(3 / 4)  # a gun, and two where no number was given; the hammer is not there
    assert rated.recall == pytest.approx(3 / 5)


def test_grounding_counts_each_wanted_box_and_those_beyond() -> None:
    pairs = [
        pair(
            1, Boxes(label="gun"), kind="grounding", places=(GUN, GUN.model_copy(update={"x_min": 0.6, "x_max": 0.8}))
        ),
        pair(2, Boxes(label="gun"), kind="grounding", places=(GUN,)),
        pair(3, Boxes(label="knife"), kind="grounding", places=(KNIFE,), asked=("knife",)),
    ]
    half = [GUN.x_min, GUN.y_min, GUN.x_max, GUN.y_min + 0.4 * (GUN.y_max - GUN.y_min)]
    scores = scored(pairs, ["[[0.1, 0.2, 0.3, 0.4]]", f"[{half}, {half}, [0, 0, 0.01, 0.01]]", "at the left"])
    grounding = scores.grounding
    assert grounding is not None
    assert grounding.boxes == 4
    assert (grounding.at_25.value, grounding.at_50.value) == (0.5, 0.25)
    assert grounding.mean_iou == pytest.approx((1 + 0 + 0.4 + 0) / 4)
    assert grounding.surplus == pytest.approx(2 / 3)


def test_an_item_is_made_up_if_neither_annotation_nor_detector_has_it() -> None:
    asked = ("gun", "knife", "hammer")
    pairs = [
        pair(1, Items(counts={"gun": 1}), kind="overview", asked=asked, image="a.png"),
        presence(2, yes=True, label="knife", image="a.png"),
        pair(3, Items(counts={}), kind="inventory", asked=asked, image="b.png"),
        pair(4, Items(counts={}), kind="inventory", asked=asked, image="b.png"),
    ]
    seen = frozenset({"pen"})
    looks = {"b.png": Look(found=frozenset(), listed=seen, assessed=seen)}
    replies = ["A gun, a knife and a hammer.", "Yes.", '["pen", "book", "unicorn"]', "{}"]
    scores = scored(pairs, replies, looks=looks)
    # Named: gun, knife and hammer; pen, book and a unicorn. The knife is annotated by the other pair of its picture.
    assert scores.described == 3
    assert scores.claims == {
        "chair_i": pytest.approx(4 / 6),
        "chair_s": pytest.approx(2 / 3),
        "denied": pytest.approx(1 / 6),
        "unsupported": pytest.approx(3 / 6),
        "unsupported_replies": pytest.approx(2 / 3),
    }


def test_nothing_named_is_nothing_made_up() -> None:
    scores = scored([pair(1, Items(counts={"gun": 1}), kind="overview")], ["I cannot say."])
    assert scores.described == 0
    assert set(scores.claims.values()) == {None}


def test_agreement_with_the_detector_is_about_labels_that_it_looks_for() -> None:
    pairs = [
        presence(1, yes=False),
        presence(2, yes=True),
        presence(3, yes=True, label="unicorn"),
        presence(4, yes=True),
    ]
    guns = frozenset({"gun"})
    looks = {
        pairs[0].image: Look(guns, guns, guns),
        pairs[1].image: Look(frozenset(), guns, guns),
        pairs[2].image: Look(guns, guns, guns),
    }
    scores = scored(pairs, ["Yes.", "Yes.", "Yes.", "Yes."], looks=looks)
    assert scores.agreement is not None
    assert scores.assessed is not None
    assert (scores.agreement.value, scores.agreement.questions) == (0.5, 2)
    assert (scores.assessed.value, scores.assessed.questions) == (0.5, 2)
    silent = scored(pairs, ["Hm."] * 4, looks=looks)
    assert silent.agreement is not None
    assert (silent.agreement.value, silent.agreement.unparsed) == (0.0, 2)
    assert scored(pairs, ["Yes."] * 4).agreement is None


def test_the_lead_is_over_the_same_questions() -> None:
    pairs = [presence(n, yes=True) for n in range(4)]
    blind = answerer(pairs, ["Yes.", "No.", "No.", "No."], "text-only")
    scores = scored(pairs, ["Yes.", "Yes.", "Yes.", "No."], beside=blind)
    assert scores.lead is not None
    assert scores.lead["presence"].value == scores.lead["macro"].value == 0.5
    assert scored(pairs, ["Yes."] * 4).lead is None


def test_accuracy_stands_by_source_and_by_scanner() -> None:
    pairs = [
        presence(1, yes=True, source="north", scanner="a"),
        presence(2, yes=True, source="north", scanner="b"),
        presence(3, yes=True, source="south", scanner="a"),
    ]
    scores = scored(pairs, ["Yes.", "No.", "Yes."])
    assert {name: found.value for name, found in scores.sources.items()} == {"north": 0.5, "south": 1.0}
    assert {name: found.value for name, found in scores.scanners.items()} == {
        "north, a": 1.0,
        "north, b": 0.0,
        "south, a": 1.0,
    }


def test_presence_stands_by_scanner_on_its_own() -> None:
    pairs = [
        presence(1, yes=True, source="north", scanner="a"),
        presence(2, yes=True, source="north", scanner="b"),
        pair(3, Count(number=2), kind="count", source="north", scanner="c"),
    ]
    scores = scored(pairs, ["Yes.", "No.", "2."])
    assert {name: found.value for name, found in scores.presence_scanners.items()} == {"north, a": 1.0, "north, b": 0.0}


def test_one_bag_is_drawn_as_a_whole() -> None:
    one_bag = [presence(n, yes=True, bag="same") for n in range(20)]
    many_bags = [presence(n, yes=True) for n in range(20)]
    replies = ["Yes.", "No."] * 10
    together, apart = scored(one_bag, replies).kinds["presence"], scored(many_bags, replies).kinds["presence"]
    assert (together.low, together.high) == (0.5, 0.5)
    assert apart.low < 0.5 < apart.high
    assert (
        len(set(bags_of([presence(1, yes=True, bag="x"), presence(2, yes=True, bag="x", source="other")]).tolist()))
        == 2
    )


@settings(max_examples=25, deadline=None)
@given(st.lists(st.text(max_size=30), min_size=13, max_size=13))
def test_any_replies_give_figures_between_zero_and_one(replies: list[str]) -> None:
    pairs = one_of_each("test", "a.png")
    scores = score(answerer(pairs, replies), pairs, NOBODY, annotated_on(pairs), draws=3)
    assert 0 <= scores.macro.value <= 1
    assert all(0 <= accuracy.value <= 1 for accuracy in scores.kinds.values())
    assert 0 <= scores.bleu <= 1
    assert 0 <= scores.rouge_l <= 1


def test_the_wanted_words_are_right_everywhere() -> None:
    pairs = one_of_each("test", "a.png")
    scores = scored(pairs, [one.answer for one in pairs])
    assert scores.macro.value == 1.0
    assert scores.items is not None
    assert scores.items.f1.value == 1.0
    assert scores.grounding is not None
    assert scores.grounding.mean_iou == 1.0
    assert scores.claims["chair_i"] == 0.0
