"""Pages that several commands write."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from xray_evals.sections import put_section, sections_of, with_section, write_results

texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=60).filter(lambda text: "<!--" not in text)


@given(texts, texts, texts)
def test_each_part_keeps_its_text_when_others_are_put_in(page: str, one: str, other: str) -> None:
    written = with_section(with_section(page, "one", one), "other", other)
    assert sections_of(written) == {"one": one.strip(), "other": other.strip()}
    assert written.startswith(page.rstrip())
    again = with_section(written, "one", "new")
    assert sections_of(again) == {"one": "new", "other": other.strip()}


def test_a_command_that_writes_all_keeps_the_parts_of_others(tmp_path: Path) -> None:
    write_results(tmp_path, "# Results\n\nold\n", {"boxes": 1, "gone": 1})
    put_section(tmp_path, "vqa", "## Questions", {"figure": 2})
    write_results(tmp_path, "# Results\n\nnew\n", {"boxes": 3})
    page, data = (tmp_path / "RESULTS.md").read_text(), json.loads((tmp_path / "results.json").read_text())
    assert page == "# Results\n\nnew\n\n<!-- begin vqa -->\n## Questions\n<!-- end vqa -->\n"
    assert data == {"boxes": 3, "vqa": {"figure": 2}}


def test_a_part_put_in_changes_nothing_else(tmp_path: Path) -> None:
    write_results(tmp_path, "# Results\n", {"boxes": 1})
    put_section(tmp_path, "vqa", "first", {"figure": 1})
    put_section(tmp_path, "drift", "second", {"figure": 2})
    put_section(tmp_path, "vqa", "third", {"figure": 3})
    assert sections_of((tmp_path / "RESULTS.md").read_text()) == {"vqa": "third", "drift": "second"}
    assert json.loads((tmp_path / "results.json").read_text()) == {
        "boxes": 1,
        "vqa": {"figure": 3},
        "drift": {"figure": 2},
    }


@pytest.mark.parametrize("text", ["no json", "[1]"])
def test_data_that_cannot_be_read_is_not_written_over_by_a_part(tmp_path: Path, text: str) -> None:
    (tmp_path / "results.json").write_text(text)
    with pytest.raises(ValueError, match=r"results\.json"):
        put_section(tmp_path, "vqa", "text", {})
    assert (tmp_path / "results.json").read_text() == text
    assert not (tmp_path / "RESULTS.md").exists()
    write_results(tmp_path, "# Results\n", {"boxes": 1})
    assert json.loads((tmp_path / "results.json").read_text()) == {"boxes": 1}
