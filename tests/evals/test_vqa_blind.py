"""The baselines that see no picture."""

from __future__ import annotations

import json

import pytest
from xray_evals.vqa.blind import REFUSAL, majority_answers, text_only_answers
from xray_training.datasets.pairs import REGIONS, Boxes, Choice, Count, Items, Named, Place, Refused
from xray_training.datasets.replies import verdict_of

from tests.evals.asked import GUN, KNIFE, one_of_each, pair, presence

TAUGHT = one_of_each("train", "a.png")


def test_both_answer_every_kind_in_words_that_can_be_read() -> None:
    asked = one_of_each("test", "b.png")
    for answers in (majority_answers(TAUGHT, asked), text_only_answers(TAUGHT, asked)):
        assert [answer.id for answer in answers] == [one.id for one in asked]
        assert all(verdict_of(one, answer.reply) != "unparsed" for one, answer in zip(asked, answers, strict=True))


def test_the_majority_gives_the_commonest_answer_of_the_kind() -> None:
    train = [presence(number, yes=number < 4, split="train") for number in range(10)]
    train += [pair(20 + n, Count(number=n // 4), kind="count", split="train") for n in range(7)]
    yes, count = majority_answers(train, [presence(1, yes=True), pair(2, Count(number=0), kind="count")])
    assert (yes.reply, count.reply) == ("No.", "0.")


def test_the_majority_keeps_to_the_options() -> None:
    train = [
        pair(n, Choice(word=word, options=("gun", "toy", "hammer")), kind="crop", split="train")
        for n, word in enumerate(["gun", "gun", "gun", "toy", "toy", "hammer"])
    ]
    (answer,) = majority_answers(train, [pair(1, Choice(word="hammer", options=("hammer", "toy")), kind="crop")])
    assert answer.reply == "toy"


def test_text_alone_finds_out_what_a_wording_gives_away() -> None:
    guns = [presence(n, yes=n % 2 == 0, split="train", label="gun") for n in range(80)]
    pens = [presence(100 + n, yes=True, split="train", label="pen") for n in range(40)]
    train = [*guns, *pens]
    for one in (presence(1, yes=True, label="pen"), presence(2, yes=True, label="pen")):
        (answer,) = text_only_answers(train, [one])
        assert answer.reply == "Yes."


def test_text_alone_is_no_better_than_chance_where_answers_are_balanced_over_words() -> None:
    labels = ("gun", "knife", "hammer", "pen")
    train = [presence(n, yes=n % 2 == 0, label=labels[n // 2 % 4], split="train") for n in range(200)]
    test = [presence(n, yes=n % 2 == 0, label=labels[n // 2 % 4]) for n in range(200)]
    answers = text_only_answers(train, test)
    right = sum(verdict_of(one, answer.reply) == "right" for one, answer in zip(test, answers, strict=True))
    assert right == 100


def test_text_alone_reads_the_boxes_in_the_question() -> None:
    small = Place(label="pen", x_min=0.4, y_min=0.4, x_max=0.42, y_max=0.5)
    large = Place(label="laptop", x_min=0.1, y_min=0.1, x_max=0.8, y_max=0.9)
    train = [
        pair(n, Named(labels=(place.label,)), kind="regions", asked=("pen", "laptop"), places=(place,), split="train")
        for n in range(20)
        for place in [(small, large)[n % 2]]
    ]
    asked = [
        pair(n, Named(labels=(place.label,)), kind="regions", asked=("laptop", "pen"), places=(place,))
        for n, place in enumerate((small, large))
    ]
    assert [answer.reply for answer in text_only_answers(train, asked)] == ["1: pen", "1: laptop"]


def test_boxes_are_those_usual_for_the_label() -> None:
    train = [
        pair(n, Boxes(label=place.label), kind="grounding", places=(place,), asked=(place.label,), split="train")
        for n, place in enumerate([GUN, GUN, KNIFE])
    ]
    asked = pair(1, Boxes(label="knife"), kind="grounding", places=(KNIFE,), asked=("knife",))
    (by_label,) = text_only_answers(train, [asked])
    (overall,) = majority_answers(train, [asked])
    assert verdict_of(asked, by_label.reply) == "right"
    assert json.loads(overall.reply) == [{"box": [GUN.x_min, GUN.y_min, GUN.x_max, GUN.y_max]}]


def test_a_kind_that_was_never_taught_gets_no_words() -> None:
    asked = [pair(1, Count(number=1), kind="count"), pair(2, Boxes(label="gun"), kind="grounding", places=(GUN,))]
    train = [presence(1, yes=True, split="train")]
    for answers in (majority_answers(train, asked), text_only_answers(train, asked)):
        assert [verdict_of(one, a.reply) for one, a in zip(asked, answers, strict=True)] == ["unparsed", "wrong"]


def test_inventories_and_refusals_have_an_answer_each() -> None:
    train = [
        pair(1, Items(counts={"gun": 2}), kind="inventory", split="train"),
        pair(2, Refused(), kind="unanswerable", split="train"),
    ]
    asked = [pair(1, Items(counts={"gun": 2}), kind="inventory"), pair(2, Refused(), kind="unanswerable")]
    inventory, refusal = majority_answers(train, asked)
    assert json.loads(inventory.reply) == {"items": [{"label": "gun", "count": 2}]}
    assert refusal.reply == REFUSAL


def test_what_was_learned_is_the_same_every_time() -> None:
    train = [pair(n, Choice(word=REGIONS[n % 9], options=REGIONS), kind="location", split="train") for n in range(90)]
    first = text_only_answers(train, [pair(1, Choice(word="centre", options=REGIONS), kind="location")])
    assert first == text_only_answers(train, [pair(1, Choice(word="centre", options=REGIONS), kind="location")])


def test_of_options_that_training_never_met_the_first_is_given() -> None:
    train = [pair(n, Choice(word="centre", options=REGIONS), kind="location", split="train") for n in range(30)]
    asked = pair(1, Choice(word="wait", options=("walk", "wait")), kind="location")
    assert [answer.reply for answer in text_only_answers(train, [asked])] == ["wait"]


@pytest.mark.parametrize("answers", [majority_answers, text_only_answers])
def test_no_picture_is_opened(answers: object) -> None:
    assert callable(answers)
    assert answers(TAUGHT, [presence(1, yes=True, image="there/is/no/such.png")])
