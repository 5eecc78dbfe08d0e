from __future__ import annotations

from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st
from xray_training.datasets.pairs import Boxes, Choice, Count, Pair, Place, Refused, YesNo
from xray_training.datasets.word_reader import WordReader, terms_of
from xray_training.vqa.blind import BlindScore, measure, wilson_low
from xray_training.vqa.report import as_markdown, leakage_in, report_on


def pair(number: int, question: str, truth: object, kind: str = "presence", **parts: object) -> Pair:
    given = {"split": "train" if number % 2 else "test", "bag": f"b{number}", "image": f"{number}.png"} | parts
    return Pair(id=str(number), kind=kind, source="s", scanner="s", question=question, answer="", truth=truth, **given)


def score(pairs: Sequence[Pair], baseline: str) -> BlindScore:
    return next(one for one in measure(pairs) if one.baseline == baseline)


def test_words_that_give_the_answer_away_are_found_out() -> None:
    pairs = [
        pair(number, f"Is there a {'gun' if number // 2 % 2 else 'knife'}?", YesNo(yes=bool(number // 2 % 2)))
        for number in range(200)
    ]
    assert score(pairs, "majority").accuracy == pytest.approx(0.5)
    blind = score(pairs, "text_only")
    assert blind.accuracy == 1.0
    assert blind.exceeds(0.6)


def test_answers_that_the_words_do_not_tell_leave_a_reader_of_words_at_chance() -> None:
    pairs = [
        pair(number, f"Is there a {'gun' if number // 4 % 2 else 'knife'}?", YesNo(yes=bool(number // 2 % 2)))
        for number in range(400)
    ]
    for one in measure(pairs):
        assert one.accuracy == pytest.approx(0.5, abs=0.1)
        assert not one.exceeds(0.6)


def test_the_commonest_answer_counts_as_known() -> None:
    pairs = [pair(number, "How many guns?", Count(number=1 if number % 5 else 2), "count") for number in range(200)]
    assert score(pairs, "majority").accuracy == pytest.approx(0.8)


def test_the_place_of_the_right_option_is_a_giveaway_too() -> None:
    labels = ("gun", "knife", "toy", "book", "pen", "coin")
    pairs = []
    for number in range(240):
        first, second = labels[number % 6], labels[(number // 6 + number + 1) % 6]
        if first != second:
            truth = Choice(word=first, options=(first, second))
            pairs.append(pair(number, "Which of them?", truth, "comparison", split="train" if number < 120 else "test"))
    assert score(pairs, "majority").accuracy == 1.0


def test_a_box_that_is_always_in_the_same_place_is_a_giveaway() -> None:
    place = Place(label="gun", x_min=0.4, y_min=0.4, x_max=0.6, y_max=0.6)
    pairs = [pair(n, "Where is the gun?", Boxes(label="gun"), "grounding", places=(place,)) for n in range(80)]
    assert {one.accuracy for one in measure(pairs)} == {1.0}


def test_few_pairs_are_tried_in_turn_and_none_on_what_it_was_learned_from() -> None:
    pairs = [pair(n, f"Question {n}?", Count(number=n), "count", split="train") for n in range(12)]
    for one in measure(pairs):
        assert (one.pairs, one.accuracy) == (12, 0.0)


def test_what_no_picture_answers_is_measured_but_not_judged() -> None:
    pairs = [pair(number, "What brand is it?", Refused(), "unanswerable") for number in range(60)]
    report = report_on(pairs, blind_limit=0.6, omitted={}, dropped={})
    assert {one.accuracy for one in report.blind} == {1.0}
    assert report.too_blind == ()


def test_a_bag_in_two_splits_is_counted_as_a_leak() -> None:
    pairs = [pair(number, "Is there a gun?", YesNo(yes=True), bag="same", image="same.png") for number in range(4)]
    found = leakage_in(pairs)
    assert (found.bags, found.pictures, found.pairs) == (1, 1, 0)
    assert leakage_in([pairs[0], pairs[0]]).pairs == 1


def test_the_page_shows_figures_and_samples_and_no_markup_of_the_pairs() -> None:
    pairs = [
        pair(number, "Is <b>it</b> there?", YesNo(yes=bool(number % 4 < 2)), asked=("gun",)) for number in range(40)
    ]
    page = as_markdown(
        report_on(pairs, blind_limit=0.55, omitted={"fault": 2}, dropped={"count: the count is wrong": 3})
    )
    assert "| presence | majority |" in page
    assert "above 0.55" in page
    assert "fault 2" in page
    assert "count: the count is wrong 3" in page
    assert "<b>" not in page


@given(st.integers(1, 500), st.floats(0, 1))
def test_the_lower_end_of_an_interval_is_below_its_share(total: int, share: float) -> None:
    right = round(share * total)
    assert 0 <= wilson_low(right, total) <= right / total + 1e-12


def test_a_known_interval() -> None:
    assert wilson_low(50, 100) == pytest.approx(0.4038, abs=1e-4)


def test_an_answer_is_chosen_among_those_offered() -> None:
    long, round_ = terms_of("What is long?"), terms_of("What is round?")
    reader = WordReader([long, round_] * 5, ["knife", "coin"] * 5)
    assert reader.answer(long) == "knife"
    assert reader.answer(long, {"coin"}) == "coin"
    assert reader.answer(long, {"gun"}) == ""


def test_terms_are_words_and_pairs_of_them_without_the_marks_of_boxes() -> None:
    assert terms_of("Is <box:0> a Gun, a gun?") == ["is", "a", "gun", "is a", "a gun", "gun a"]


def test_a_reader_needs_an_answer_to_each_question() -> None:
    with pytest.raises(ValueError, match="an answer to each"):
        WordReader([], [])
    with pytest.raises(ValueError, match="an answer to each"):
        WordReader([["gun"]], [])
