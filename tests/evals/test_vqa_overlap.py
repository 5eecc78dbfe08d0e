"""BLEU and ROUGE-L."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st
from xray_evals.vqa.overlap import bleu, rouge_l

words = st.sampled_from(["the", "scan", "shows", "a", "gun", "and", "two", "knives"])
sentences = st.lists(words, min_size=1, max_size=12).map(" ".join)


def test_bleu_is_that_of_the_paper() -> None:
    reply = "the cat is on the mat today"
    wanted = "the cat sat on the mat today"
    precisions = [6 / 7, 4 / 6, 2 / 5, 1 / 4]
    assert bleu([reply], [wanted]) == pytest.approx(math.exp(sum(map(math.log, precisions)) / 4))


def test_bleu_counts_no_word_more_often_than_it_is_wanted() -> None:
    assert bleu(["the the the the"], ["the cat"]) == 0.0
    assert bleu(["the"], ["the cat"]) == pytest.approx(math.exp(1 - 2))


def test_rouge_l_takes_the_longest_common_run_with_gaps() -> None:
    assert rouge_l("police killed the gunman", "police kill the gunman") == pytest.approx(0.75)
    assert rouge_l("the gunman police killed", "police killed the gunman") == pytest.approx(0.5)


@given(sentences)
def test_the_wanted_words_score_one_and_none_scores_zero(sentence: str) -> None:
    assert bleu([sentence], [sentence]) == pytest.approx(1.0)
    assert rouge_l(sentence, sentence) == pytest.approx(1.0)
    assert bleu([""], [sentence]) == rouge_l("", sentence) == 0.0


@given(sentences, sentences)
def test_both_lie_between_zero_and_one(reply: str, wanted: str) -> None:
    assert 0.0 <= bleu([reply], [wanted]) <= 1.0 + 1e-9
    assert rouge_l(reply, wanted) == pytest.approx(rouge_l(wanted, reply))


def test_nothing_said_at_all_is_no_likeness() -> None:
    assert bleu([], []) == 0.0
