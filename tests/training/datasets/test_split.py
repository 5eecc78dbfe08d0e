from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner, Result
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from xray_training.commands.prepare import split as command
from xray_training.datasets import partial_yolo
from xray_training.datasets.record import LabelledBox, ScanRecord
from xray_training.datasets.split import divide

from tests.training.datasets.records import assert_same
from tests.training.folders import Drawn, write_folder

SHARES = {"train": 0.8, "val": 0.1, "test": 0.1}
LABELS = ("knife", "gun", "scissors")


def scan(file: str, *, group: str, block: str, source: str = "north", labels: Iterable[str] = ()) -> ScanRecord:
    boxes = tuple(LabelledBox(label, 0.1, 0.2, 0.3, 0.5) for label in labels)
    return ScanRecord(Path(f"{file}.png"), source, "x", "train", group, block, boxes, frozenset(LABELS))


@st.composite
def scans(draw: st.DrawFn, *, tangled: bool = False) -> list[ScanRecord]:
    """Sources of blocks of groups of scans, each in a run of its own; where tangled, groups reach over blocks."""
    records = []
    for source in range(draw(st.integers(1, 3))):
        for block in range(draw(st.integers(1, 15))):
            for group in range(draw(st.integers(1, 3))):
                labels = draw(st.frozensets(st.sampled_from(LABELS), max_size=2))
                name = str(draw(st.integers(0, 20))) if tangled else f"{source}/{block}/{group}"
                views = range(draw(st.integers(1, 3)))
                files = [f"{source}/{block}/{group}/{view}" for view in views]
                where = {"group": name, "block": f"{source}/{block}", "source": f"s{source}"}
                records += [scan(file, **where, labels=sorted(labels)) for file in files]
    return draw(st.permutations(records))


shares = st.sampled_from([SHARES, {"train": 0.5, "val": 0.5, "test": 0.0}, {"train": 0.7, "val": 0.1, "test": 0.2}])
seeds = st.integers(0, 20)


def splits_by(records: Iterable[ScanRecord], key: str) -> dict[str, set[str]]:
    found: dict[str, set[str]] = defaultdict(set)
    for record in records:
        found[getattr(record, key)].add(record.split)
    return found


@given(records=scans(tangled=True), wanted=shares, seed=seeds)
def test_every_scan_gets_one_split_and_no_group_or_block_is_divided(
    records: list[ScanRecord], wanted: Mapping[str, float], seed: int
) -> None:
    divided = divide(records, wanted, seed=seed)
    assert [replace(record, split="train") for record in divided] == records
    for key in ("group", "block"):
        assert all(len(found) == 1 for found in splits_by(divided, key).values())
    assert {record.split for record in divided} <= {name for name, share in wanted.items() if share > 0}


@given(records=scans(), wanted=shares, seed=seeds)
def test_each_source_is_shared_out_as_wanted_but_for_one_unit(
    records: list[ScanRecord], wanted: Mapping[str, float], seed: int
) -> None:
    divided = divide(records, wanted, seed=seed)
    for source in {record.source for record in records}:
        members = [record for record in divided if record.source == source]
        unit = max(Counter(record.block for record in members).values())
        held = Counter(record.split for record in members)
        for name, share in wanted.items():
            assert held[name] < share * len(members) + unit or not share
            assert held[name] > share * len(members) - 2 * unit


@given(records=scans(tangled=True), seed=seeds, data=st.data())
def test_the_split_follows_from_the_seed_and_not_from_the_order(
    records: list[ScanRecord], seed: int, data: st.DataObject
) -> None:
    first = divide(records, SHARES, seed=seed)
    second = divide(data.draw(st.permutations(records)), SHARES, seed=seed)
    assert {r.image: r.split for r in first} == {r.image: r.split for r in second}


@given(records=scans(), seed=seeds, data=st.data())
def test_what_is_said_to_belong_together_stays_together(
    records: list[ScanRecord], seed: int, data: st.DataObject
) -> None:
    positions = st.frozensets(st.integers(0, len(records) - 1), min_size=1, max_size=4)
    belonging = data.draw(st.lists(positions, max_size=3))
    divided = divide(records, SHARES, seed=seed, belonging=belonging)
    for together in belonging:
        assert len({divided[position].split for position in together}) == 1
    assert all(len(found) == 1 for found in splits_by(divided, "block").values())


def test_rare_labels_are_shared_out_too() -> None:
    records = [scan(f"{n}", group=f"g{n}", block=f"b{n}", labels=["knife"]) for n in range(950)]
    records += [scan(f"gun{n}", group=f"gun{n}", block=f"gun{n}", labels=["gun"]) for n in range(50)]
    for seed in range(3):
        divided = divide(records, SHARES, seed=seed)
        guns = Counter(record.split for record in divided if record.boxes[0].label == "gun")
        assert [guns[name] for name in SHARES] == pytest.approx([40, 5, 5], abs=1)
        assert Counter(record.split for record in divided) == {"train": 800, "val": 100, "test": 100}


def test_another_seed_gives_another_split() -> None:
    records = [scan(f"{n}", group=f"g{n // 3}", block=f"b{n // 6}") for n in range(120)]
    drawn = {tuple(record.split for record in divide(records, SHARES, seed=seed)) for seed in range(4)}
    assert len(drawn) == 4


@pytest.mark.parametrize("wrong", [{"train": 0.5, "val": 0.1}, {"train": 1.2, "val": -0.2}])
def test_shares_that_are_no_parts_of_a_whole_are_refused(wrong: Mapping[str, float]) -> None:
    with pytest.raises(ValueError, match="parts of a whole"):
        divide([], wrong, seed=0)


def test_a_group_that_joins_two_sources_is_not_divided() -> None:
    records = [scan(f"{n}", group=f"g{n // 2}", block=f"b{n}", source=f"s{n % 2}") for n in range(60)]
    divided = divide(records, SHARES, seed=0)
    assert all(len(found) == 1 for found in splits_by(divided, "group").values())


# --- the command


def run(*arguments: object) -> Result:
    return CliRunner().invoke(command, [str(argument) for argument in arguments])


def bag(root: Path, stem: str, *, seed: int, noise: int = 0) -> None:
    """A picture of a bag of random blocks; the same seed gives nearly the same picture."""
    draw = np.random.default_rng(seed)
    pixels = np.full((160, 240, 3), 255, dtype=np.uint8)
    blocks = draw.integers(0, 230, (5, 8)).repeat(24, axis=0).repeat(24, axis=1)
    pixels[20:140, 24:216] = blocks[..., None]
    pixels[30, 30] = noise
    Image.fromarray(pixels).save(root / "images/train" / f"{stem}.png")


def folder(root: Path, count: int = 30) -> Path:
    scans_ = [Drawn("north", (("knife", (30, 20, 60, 40)),)) for _ in range(count)]
    write_folder(root, {"north": ("knife",)}, scans_)
    for number in range(count):
        bag(root, f"north_{number:03d}", seed=number)
    return root


def splits_of(root: Path) -> dict[str, str]:
    return {record.image.stem: record.split for record in partial_yolo.read(root)}


def test_the_command_writes_the_same_scans_under_new_splits(tmp_path: Path) -> None:
    root = folder(tmp_path / "in")
    result = run(root, "--out", tmp_path / "out", "--val", 0.2, "--test", 0.1, "--seed", 3)
    assert result.exit_code == 0, result.output
    assert "north: 21 train, 6 val, 3 test" in result.output
    after = partial_yolo.read(tmp_path / "out")
    assert_same([replace(r, split="") for r in after], [replace(r, split="") for r in partial_yolo.read(root)])
    assert Counter(record.split for record in after) == {"train": 21, "val": 6, "test": 3}
    assert all(record.image.parent.name == record.split for record in after)
    assert run(root, "--out", tmp_path / "again", "--val", 0.2, "--test", 0.1, "--seed", 3).exit_code == 0
    assert splits_of(tmp_path / "again") == splits_of(tmp_path / "out")


def near_twins(root: Path) -> list[tuple[str, str]]:
    """Make pairs of scans that differ in a pixel; their names."""
    pairs = [(f"north_{number:03d}", f"north_{number + 15:03d}") for number in range(15)]
    for number, (_, second) in enumerate(pairs):
        bag(root, second, seed=number, noise=255)
    return pairs


def test_near_duplicates_stay_on_one_side_though_their_groups_differ(tmp_path: Path) -> None:
    root = folder(tmp_path / "in")
    pairs = near_twins(root)
    assert run(root, "--out", tmp_path / "out", "--val", 0.3, "--test", 0.3).exit_code == 0
    splits = splits_of(tmp_path / "out")
    assert all(splits[first] == splits[second] for first, second in pairs)
    assert len(set(splits.values())) == 3


def test_near_duplicates_are_not_looked_for_when_not_asked(tmp_path: Path) -> None:
    root = folder(tmp_path / "in")
    pairs = near_twins(root)
    result = run(root, "--out", tmp_path / "out", "--val", 0.3, "--test", 0.3, "--no-near-duplicates")
    assert result.exit_code == 0
    splits = splits_of(tmp_path / "out")
    assert any(splits[first] != splits[second] for first, second in pairs)


def test_a_source_of_one_block_is_told_to_lack_in_splits(tmp_path: Path) -> None:
    drawn: Sequence[Drawn] = [Drawn("north", block="all") for _ in range(5)]
    root = write_folder(tmp_path / "in", {"north": ("knife",)}, drawn)
    result = run(root, "--out", tmp_path / "out", "--no-near-duplicates")
    assert result.exit_code == 0
    assert "north has too few groups or blocks for val and test" in result.output


@pytest.mark.parametrize(("val", "test"), [(0.8, 0.2), (0.9, 0.1), (0.7, 0.3)])
def test_nothing_need_be_left_to_train_on(val: float, test: float, tmp_path: Path) -> None:
    root = folder(tmp_path / "in", 10)
    result = run(root, "--out", tmp_path / "out", "--val", val, "--test", test, "--no-near-duplicates")
    assert result.exit_code == 0, result.output
    assert Counter(splits_of(tmp_path / "out").values()) == {"val": round(10 * val), "test": round(10 * test)}


@pytest.mark.parametrize(("val", "test"), [(0.7, 0.7), (0.8, 0.2001), ("nan", 0.1), (0.1, "nan")])
def test_shares_of_more_than_the_whole_are_refused(val: object, test: object, tmp_path: Path) -> None:
    result = run(folder(tmp_path / "in", 1), "--out", tmp_path / "out", "--val", val, "--test", test)
    assert result.exit_code == 2
    assert "more than the whole" in result.output


@pytest.mark.parametrize("left", [10, -200])
def test_a_damaged_picture_stops_or_is_left_out(left: int, tmp_path: Path) -> None:
    root = folder(tmp_path / "in", 4)
    picture = root / "images/train/north_002.png"
    picture.write_bytes(picture.read_bytes()[:left])
    result = run(root, "--out", tmp_path / "out")
    assert result.exit_code == 1
    assert "north_002.png" in result.output
    result = run(root, "--out", tmp_path / "out", "--keep-going")
    assert result.exit_code == 0, result.output
    assert "unreadable_image: 1" in result.output
    assert sorted(splits_of(tmp_path / "out")) == ["north_000", "north_001", "north_003"]


@pytest.mark.scans
def test_the_real_scans_are_shared_out_with_no_block_divided(real_scans: Path) -> None:
    divided = divide(partial_yolo.read(real_scans), SHARES, seed=0)
    for key in ("group", "block"):
        assert all(len(found) == 1 for found in splits_by(divided, key).values())
    for source in ("opixray", "pidray", "sixray"):
        held = Counter(record.split for record in divided if record.source == source)
        assert held["test"] / sum(held.values()) == pytest.approx(0.1, abs=0.01)
