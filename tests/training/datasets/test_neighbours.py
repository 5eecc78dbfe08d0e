from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st
from xray_training.datasets.naming import canonical, folded_names_of
from xray_training.datasets.neighbours import RUN, block_of, uploaded_stem
from xray_training.datasets.units import Units

from xray_agent_tools.taxonomy import taxonomy


@given(first=st.integers(0, 99_999), second=st.integers(0, 99_999))
def test_ids_of_one_run_share_a_block_and_others_do_not(first: int, second: int) -> None:
    blocks = {block_of(f"P{number:05d}", "alone") for number in (first, second)}
    assert (len(blocks) == 1) == (first // RUN == second // RUN)


def test_ids_of_other_series_and_names_without_a_number_share_no_block() -> None:
    assert block_of("P00007", "g") != block_of("N00007", "g")
    assert block_of("bag", "g") == "g"


@pytest.mark.parametrize(
    ("name", "stem"),
    [
        ("Pictures-1-1-_jpg.rf.0a1b2c", "Pictures-1-1-"),
        ("20_40_04_140_png.rf.AbC9", "20_40_04_140"),
        ("bag.rf.0a", "bag"),
        ("bag_jpg", None),
        ("bag.rf", None),
    ],
)
def test_the_name_before_roboflows_is_found(name: str, stem: str | None) -> None:
    assert uploaded_stem(name) == stem


@given(pairs=st.lists(st.tuples(*[st.integers(0, 12).map(str)] * 2)))
def test_units_are_what_pairs_connect_named_by_the_least(pairs: list[tuple[str, str]]) -> None:
    units = Units()
    for one, other in pairs:
        units.join(one, other)
    sets = [{str(number)} for number in range(13)]
    for one, other in pairs:
        joined = [members for members in sets if {one, other} & members]
        sets = [members for members in sets if members not in joined] + [set().union(*joined)]
    assert {name: units.of(name) for name in map(str, range(13))} == {
        name: min(members) for members in sets for name in members
    }


@given(st.sampled_from(taxonomy().labels), st.sampled_from([str.upper, str.title, str.lower]), st.sampled_from(" -_"))
def test_a_canonical_label_is_understood_in_any_spelling(label: str, cased: type[str], between: str) -> None:
    assert canonical(f" {cased(label).replace('_', between)}") == label
    assert canonical(label + "x") is None or label + "x" in taxonomy().labels


def test_no_two_labels_of_a_dataset_fold_into_one_name() -> None:
    datasets = {name for item in taxonomy().items for name in item.datasets}
    for dataset, item in itertools.product(datasets, taxonomy().items):
        for name in item.datasets.get(dataset, ()):
            assert folded_names_of(dataset)(name.upper()) == item.label


def test_frames_that_roboflow_renamed_share_the_block_of_the_run_they_were_uploaded_from() -> None:
    assert block_of("bag_17_jpg.rf.0a1b", "g") == block_of("bag_12_png.rf.99ff", "h") == block_of("bag_17", "g")
    assert block_of("bag_77_jpg.rf.0a1b", "g") != block_of("bag_17_jpg.rf.0a1b", "g")


def test_a_long_chain_of_joins_is_followed_in_steps_that_get_fewer() -> None:
    class Counted(str):
        looked_at = 0

        def __hash__(self) -> int:
            Counted.looked_at += 1
            return super().__hash__()

    units = Units()
    names = [Counted(f"{number:04d}") for number in range(1000)]
    for later, earlier in itertools.pairwise(reversed(names)):
        units.join(later, earlier)
    Counted.looked_at = 0
    assert {units.of(names[-1]) for _ in range(100)} == {"0000"}
    assert Counted.looked_at < 10_000
