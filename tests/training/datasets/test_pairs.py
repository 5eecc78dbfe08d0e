from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from xray_training.datasets.pairs import Count, Pair, Place, in_pixels, read_pairs, write_pairs
from xray_training.datasets.record import DatasetError

PAIR = Pair(
    id="1", kind="count", image="a.png", bag="b", source="s", scanner="s", split="train",
    question="How many?", answer="2.", truth=Count(number=2),
)  # fmt: skip


def test_pairs_come_back_as_they_were_written(tmp_path: Path) -> None:
    pairs = [PAIR, PAIR.model_copy(update={"id": "2", "question": "Ünïcode\u2028?"})]
    assert write_pairs(pairs, tmp_path / "pairs.jsonl") == 2
    assert list(read_pairs(tmp_path / "pairs.jsonl")) == pairs


@pytest.mark.parametrize(
    "bad", ["", "{}", "no json", '{"id": 1}', PAIR.model_dump_json().replace("count", "colour", 1)]
)
def test_a_bad_line_is_named_by_its_number(bad: str, tmp_path: Path) -> None:
    path = tmp_path / "pairs.jsonl"
    path.write_text(f"{PAIR.model_dump_json()}\n{bad}\n{PAIR.model_dump_json()}\n", encoding="utf-8")
    with pytest.raises(DatasetError, match=r"pairs\.jsonl, line 2: "):
        list(read_pairs(path))


def test_lines_before_a_bad_one_are_read(tmp_path: Path) -> None:
    path = tmp_path / "pairs.jsonl"
    path.write_text(f"{PAIR.model_dump_json()}\nnothing\n", encoding="utf-8")
    assert next(read_pairs(path)) == PAIR


@pytest.mark.parametrize("content", [None, b"\xff\xfe\x00"])
def test_a_file_that_cannot_be_read_is_refused_with_the_next_step(content: bytes | None, tmp_path: Path) -> None:
    path = tmp_path / "pairs.jsonl"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(DatasetError, match="xray-train vqa"):
        list(read_pairs(path))


@given(
    st.lists(st.tuples(*[st.integers(0, 100)] * 4), min_size=1, max_size=4), st.integers(1, 3000), st.integers(1, 3000)
)
def test_marks_become_whole_pixels_of_the_picture(corners: list[tuple[int, ...]], width: int, height: int) -> None:
    places = [
        Place(label="gun", x_min=left / 100, y_min=top / 100, x_max=right / 100, y_max=bottom / 100)
        for left, top, right, bottom in corners
    ]
    text = in_pixels(" and ".join(f"<box:{number}>" for number in range(len(places))), places, width, height)
    wanted = [
        [round(p.x_min * width), round(p.y_min * height), round(p.x_max * width), round(p.y_max * height)]
        for p in places
    ]
    assert text == " and ".join(map(str, wanted))


def test_a_mark_without_a_box_is_refused() -> None:
    with pytest.raises(DatasetError, match="<box:1>"):
        in_pixels("at <box:1>", [Place(label="gun", x_min=0, y_min=0, x_max=1, y_max=1)], 10, 10)
