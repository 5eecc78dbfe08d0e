"""Numbers of items as English has them."""

from __future__ import annotations

import pytest

from xray_agent_tools.wording import counted


@pytest.mark.parametrize(
    ("label", "count", "words"),
    [
        ("gun", 1, "1 gun"),
        ("knife", 2, "2 knives"),
        ("battery", 3, "3 batteries"),
        ("wrench", 2, "2 wrenches"),
        ("scissors", 2, "2 scissors"),
        ("small_electronics", 2, "2 small electronics"),
    ],
)
def test_a_number_of_items_is_told_in_english(label: str, count: int, words: str) -> None:
    assert counted(label, count) == words
