from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from xray_agent_tools.declaration.matcher import find_items, words_in
from xray_agent_tools.taxonomy import taxonomy


@pytest.mark.parametrize(
    ("text", "labels"),
    [
        ("laptop", ["laptop"]),
        ("2 Laptops", ["laptop"]),
        ("my old MacBook", ["laptop"]),
        ("kitchen knives", ["knife"]),
        ("a Swiss army knife", ["multi_tool_knife"]),
        ("POWER-BANK", ["power_bank"]),
        ("powerbanks", ["power_bank"]),
        ("a pair of scissors", ["scissors"]),
        ("box cutter and pliers", ["cutter", "pliers"]),
        ("\uff4c\uff41\uff50\uff54\uff4f\uff50", ["laptop"]),
        ("bottle of wine", ["bottle", "glass_bottle"]),
        ("cigarette lighters", ["lighter"]),
        ("torches", ["lamp"]),
        ("shoes", ["shoes"]),
        ("keys", ["keys"]),
        ("nail scissors", ["nail_cutter"]),
        ("penknives and axes", ["knife", "hammer"]),
        ("not only a knife but a gun", ["knife", "gun"]),
        ("No. 1 knife", ["knife"]),
        ("laptop without charger, knife", ["laptop", "knife"]),
        ("water pistol", ["toy"]),
        ("I can carry a laptop", ["laptop"]),
    ],
)
def test_ordinary_words_find_their_item(text: str, labels: list[str]) -> None:
    assert list(find_items(text).labels) == labels


@pytest.mark.parametrize(
    "text",
    ["that", "gunmetal", "gunmetal watch", "shovel", "stool", "capen", "glue gun", "bullet journalism kit ", "canopy"],
)
def test_a_label_inside_another_word_or_phrase_is_not_meant(text: str) -> None:
    assert not {"gun", "clothes", "can", "pen"} & set(find_items(text).labels)


@pytest.mark.parametrize(
    ("text", "label"), [("toy gun", "toy"), ("bullet journal", "book"), ("insulin pen", "syringe")]
)
def test_the_longer_phrase_wins(text: str, label: str) -> None:
    assert find_items(text).labels == (label,)


@pytest.mark.parametrize(
    "text",
    [
        "no knife",
        "not a knife",
        "without any knife",
        "never a knife",
        "no sharp knife",
        "I don't have a knife",
        "knife - none",
        "knives: no",
        "neither gun nor knife",
    ],
)
def test_what_is_denied_is_not_declared(text: str) -> None:
    match = find_items(text)
    assert "knife" not in match.labels
    assert match.negated


def test_a_category_covers_its_members() -> None:
    covered = find_items("electronics").labels
    assert {"laptop", "phone", "tablet", "power_bank"} <= set(covered)
    assert "gun" not in covered


@pytest.mark.parametrize("label", taxonomy().labels)
def test_every_label_is_found_by_its_aliases(label: str) -> None:
    item = taxonomy().item(label)
    for phrase in item.aliases:
        assert label in find_items(phrase).labels, phrase


@given(st.text(max_size=400))
def test_any_text_is_matched_without_error(text: str) -> None:
    assert set(find_items(text).labels) <= set(taxonomy().labels)


@given(
    st.sampled_from(["gun", "hat", "can", "pen", "key"]), st.text("abcdefghijklmnopqrstuvwxyz", min_size=3, max_size=6)
)
def test_a_word_that_merely_contains_an_alias_names_nothing(alias: str, rest: str) -> None:
    glued = rest + alias + rest
    known = {tuple(words_in(phrase)) for item in taxonomy().items for phrase in item.aliases}
    if (glued,) not in known:
        assert find_items(glued).labels == ()
