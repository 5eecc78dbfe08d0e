from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from xray_training.datasets import partial_yolo
from xray_training.datasets.fault import Fault, FaultKind
from xray_training.datasets.record import DatasetError, LabelledBox, ScanRecord
from xray_training.datasets.split import hold_out

from tests.training.folders import Drawn, write_folder

ANNOTATED = {"north": ("gun", "knife"), "south": ("knife",)}


def north(**changes: object) -> Drawn:
    return replace(Drawn("north", (("knife", (30, 20, 60, 40)),)), **changes)  # type: ignore[arg-type]


# --- partial_yolo


def test_a_folder_gives_its_records_in_the_order_of_the_manifest(tmp_path: Path) -> None:
    scans = [
        Drawn("north", (("knife", (30, 20, 60, 40)), ("gun", (0, 0, 12, 8)))),
        Drawn("south", split="test", group="pair", block="run"),
    ]
    first, second = partial_yolo.read(write_folder(tmp_path, ANNOTATED, scans))
    assert first.image == tmp_path / "images/train/north_000.png"
    assert (first.source, first.scanner, first.split) == ("north", "north", "train")
    assert first.annotated == {"gun", "knife"}
    assert first.boxes[0] == LabelledBox("knife", 0.25, 0.25, 0.5, 0.5)
    assert [box.label for box in first.boxes] == ["knife", "gun"]
    np.testing.assert_allclose(first.corners(120, 80), [[30, 20, 60, 40], [0, 0, 12, 8]], atol=1e-4)
    assert (second.split, second.group, second.block) == ("test", "pair", "run")
    assert second.annotated == {"knife"}
    assert second.boxes == ()
    assert second.corners(120, 80).shape == (0, 4)


def test_only_the_asked_split_is_read(tmp_path: Path) -> None:
    root = write_folder(tmp_path, ANNOTATED, [north(), north(split="test"), north()])
    assert [record.split for record in partial_yolo.read(root, split="test")] == ["test"]
    assert len(partial_yolo.read(root, split="train")) == 2
    assert partial_yolo.read(root, split="elsewhere") == []


def label_file(root: Path) -> Path:
    return root / "labels/train/north_000.txt"


def test_boxes_are_clipped_to_the_picture(tmp_path: Path) -> None:
    root = write_folder(tmp_path, ANNOTATED, [north()])
    label_file(root).write_text("1 0.95 0.02 0.2 0.2\n", encoding="utf-8")
    (record,) = partial_yolo.read(root)
    (box,) = record.boxes
    assert (box.x_min, box.y_min, box.x_max, box.y_max) == pytest.approx((0.85, 0.0, 1.0, 0.12))


def test_empty_lines_are_passed_over(tmp_path: Path) -> None:
    root = write_folder(tmp_path, ANNOTATED, [north()])
    label_file(root).write_text("\n0 0.5 0.5 0.1 0.1\n  \n", encoding="utf-8")
    (record,) = partial_yolo.read(root)
    assert [box.label for box in record.boxes] == ["gun"]


@pytest.mark.parametrize(
    "row",
    ["0 0.5 0.5 0.1", "0 0.5 0.5 0.1 0.1 0.9", "gun 0.5 0.5 0.1 0.1", "7 0.5 0.5 0.1 0.1", "nan 0.5 0.5 0.1 0.1"],
)
def test_a_bad_label_row_is_named_with_file_and_line(tmp_path: Path, row: str) -> None:
    root = write_folder(tmp_path, ANNOTATED, [north()])
    label_file(root).write_text(f"0 0.5 0.5 0.1 0.1\n{row}\n", encoding="utf-8")
    with pytest.raises(DatasetError) as caught:
        partial_yolo.read(root)
    assert str(label_file(root)) in str(caught.value)
    assert "line 2" in str(caught.value)
    assert row in str(caught.value)


@pytest.mark.parametrize("row", ["-1 0.5 0.5 0.1 0.1", "0.6 0.5 0.5 0.1 0.1", "0 nan 0.5 0.1 0.1", "0 5 0.5 0.1 0.1"])
def test_a_label_row_out_of_range_is_rejected(tmp_path: Path, row: str) -> None:
    root = write_folder(tmp_path, ANNOTATED, [north()])
    label_file(root).write_text(f"{row}\n", encoding="utf-8")
    with pytest.raises(DatasetError, match="line 1"):
        partial_yolo.read(root)


@pytest.mark.parametrize("content", [b"1 0.5 0.5 0.1 0.1\nscratched out\n", b"1 0.5 0.5 0.1 0.1\n\xff"])
def test_a_scan_with_a_label_file_that_cannot_be_read_is_left_out_whole(tmp_path: Path, content: bytes) -> None:
    root = write_folder(tmp_path, ANNOTATED, [north(), north()])
    label_file(root).write_bytes(content)
    faults: list[Fault] = []
    (record,) = partial_yolo.read(root, report=faults.append)
    assert record.image.name == "north_001.png"
    assert [fault.kind for fault in faults] == [FaultKind.BAD_ANNOTATION]
    assert faults[0].where.startswith(str(label_file(root)))


@pytest.mark.parametrize("file", ["images/../../secret.png", "/images/secret.png", "images/.."])
def test_a_picture_outside_the_folder_is_never_read(tmp_path: Path, file: str) -> None:
    root = write_folder(tmp_path / "in", ANNOTATED, [north()])
    (tmp_path / "secret.txt").write_text("", encoding="utf-8")
    (root / "secret.txt").write_text("", encoding="utf-8")
    manifest = root / "manifest.csv"
    manifest.write_text(manifest.read_text().replace("images/train/north_000.png", file), encoding="utf-8")
    faults: list[Fault] = []
    assert partial_yolo.read(root, report=faults.append) == []
    assert [fault.kind for fault in faults] == [FaultKind.BAD_ANNOTATION]
    assert "no picture in the folder" in faults[0].message


@pytest.mark.parametrize("name", ["classes.txt", "annotated.json", "manifest.csv"])
def test_a_file_that_is_not_utf_8_is_named(tmp_path: Path, name: str) -> None:
    root = write_folder(tmp_path, ANNOTATED, [north()])
    (root / name).write_bytes((root / name).read_bytes() + b"\xff")
    with pytest.raises(DatasetError, match=rf"{name} is no.* UTF-8"):
        partial_yolo.read(root)


@pytest.mark.parametrize("missing", ["classes.txt", "annotated.json", "manifest.csv", "labels/train/north_000.txt"])
def test_a_missing_file_is_named(tmp_path: Path, missing: str) -> None:
    root = write_folder(tmp_path, ANNOTATED, [north()])
    (root / missing).unlink()
    with pytest.raises(DatasetError) as caught:
        partial_yolo.read(root)
    assert f"{root / missing} is missing" in str(caught.value)


@pytest.mark.parametrize(
    ("file", "content"),
    [
        ("annotated.json", "{"),
        ("annotated.json", "[]"),
        ("annotated.json", '{"north": "gun"}'),
        ("manifest.csv", "file,source\nimages/train/north_000.png,north\n"),
        ("manifest.csv", "file,source,scanner,split,group,block\nnorth_000.png,north,x,train,g,b\n"),
    ],
)
def test_a_malformed_file_is_named(tmp_path: Path, file: str, content: str) -> None:
    root = write_folder(tmp_path, ANNOTATED, [north()])
    (root / file).write_text(content, encoding="utf-8")
    try:
        partial_yolo.read(root)
    except DatasetError as error:
        assert file in str(error)
    else:
        pytest.fail("it was read")


def test_a_source_that_says_nothing_about_its_labels_is_rejected(tmp_path: Path) -> None:
    root = write_folder(tmp_path, ANNOTATED, [north()])
    (root / "annotated.json").write_text('{"south": ["knife"]}', encoding="utf-8")
    with pytest.raises(DatasetError, match=r"annotated\.json.*'north'"):
        partial_yolo.read(root)


def test_stretching_restores_the_aspect_and_leaves_the_boxes_on_their_items(tmp_path: Path) -> None:
    root = write_folder(tmp_path, ANNOTATED, [north(), Drawn("south")])
    stretched, untouched = partial_yolo.read(root, stretch={"north": 1.5})
    pixels = stretched.pixels()
    assert pixels.shape == (80, 180, 3)
    assert untouched.pixels().shape == (80, 120, 3)
    ((left, top, right, bottom),) = stretched.corners(180, 80).tolist()
    assert (left, top, right, bottom) == pytest.approx((45, 20, 90, 40), abs=1e-3)
    dark = pixels[..., 0] < 128
    columns = np.flatnonzero(dark.any(axis=0))
    assert (columns[0], columns[-1] + 1) == pytest.approx((left, right), abs=1)


# --- hold_out


@st.composite
def collections_of_scans(draw: st.DrawFn) -> list[ScanRecord]:
    """Sources of blocks of near-duplicate groups of scans, shuffled."""
    records = []
    for source in range(draw(st.integers(1, 3))):
        for block in range(draw(st.integers(1, 12))):
            for group in range(draw(st.integers(1, 4))):
                for copy in range(draw(st.integers(1, 3))):
                    name = f"{source}/{block}/{group}"
                    file = Path(f"{name}/{copy}.png")
                    records.append(
                        ScanRecord(
                            file, f"s{source}", "x", "train", name, f"{source}/{block}", (), frozenset({"knife"})
                        )
                    )
    return draw(st.permutations(records))


shares_by_source = st.dictionaries(st.sampled_from(["s0", "s1", "s2"]), st.floats(0.0, 1.0))
default_shares = st.floats(0.05, 0.5)


@given(records=collections_of_scans(), shares=shares_by_source, default=default_shares, seed=st.integers(0, 5))
def test_holding_out_divides_the_scans_in_two_and_keeps_their_order(
    records: list[ScanRecord], shares: dict[str, float], default: float, seed: int
) -> None:
    training, validation = hold_out(records, shares, default=default, seed=seed)
    held = {record.image for record in validation}
    assert training == [record for record in records if record.image not in held]
    assert validation == [record for record in records if record.image in held]


@given(records=collections_of_scans(), shares=shares_by_source, default=default_shares, seed=st.integers(0, 5))
def test_holding_out_divides_no_group_and_no_small_block(
    records: list[ScanRecord], shares: dict[str, float], default: float, seed: int
) -> None:
    training, validation = hold_out(records, shares, default=default, seed=seed)
    assert not {record.group for record in training} & {record.group for record in validation}
    for block in {record.block for record in training} & {record.block for record in validation}:
        members = [record for record in records if record.block == block]
        of_source = [record for record in records if record.source == members[0].source]
        assert len(members) > default * len(of_source)


@given(records=collections_of_scans(), shares=shares_by_source, default=default_shares, seed=st.integers(0, 5))
def test_each_source_gives_up_its_share_and_at_most_one_unit_more(
    records: list[ScanRecord], shares: dict[str, float], default: float, seed: int
) -> None:
    _, validation = hold_out(records, shares, default=default, seed=seed)
    for source in {record.source for record in records}:
        members = [record for record in records if record.source == source]
        held = [record for record in validation if record.source == source]
        wanted = shares.get(source, default) * len(members)
        units = [[r for r in held if r.block == block] for block in {record.block for record in held}]
        assert len(held) >= wanted - 1e-9
        assert len(held) - max(map(len, units), default=0) < wanted or not held


@given(records=collections_of_scans(), seed=st.integers(0, 5), data=st.data())
def test_what_is_held_out_follows_from_the_seed_and_not_from_the_order(
    records: list[ScanRecord], seed: int, data: st.DataObject
) -> None:
    _, first = hold_out(records, {}, default=0.2, seed=seed)
    _, second = hold_out(data.draw(st.permutations(records)), {}, default=0.2, seed=seed)
    assert {record.image for record in first} == {record.image for record in second}


def test_another_seed_holds_out_other_scans() -> None:
    records = [ScanRecord(Path(f"{n}.png"), "s", "x", "train", f"g{n}", f"b{n}", (), frozenset()) for n in range(100)]
    drawn = {tuple(r.image for r in hold_out(records, {}, default=0.1, seed=seed)[1]) for seed in range(4)}
    assert len(drawn) == 4
    assert {len(files) for files in drawn} == {10}


def test_a_group_that_reaches_over_two_blocks_stays_together() -> None:
    records = [
        ScanRecord(Path(f"{n}.png"), "s", "x", "train", f"g{(n + 1) // 2}", f"b{n}", (), frozenset()) for n in range(40)
    ]
    for seed in range(10):
        training, validation = hold_out(records, {}, default=0.25, seed=seed)
        assert not {record.group for record in training} & {record.group for record in validation}


# --- the real scans


@pytest.mark.scans
def test_the_real_scans_are_read_with_boxes_of_annotated_classes_inside_the_picture(real_scans: Path) -> None:
    records = partial_yolo.read(real_scans)
    assert {record.split for record in records} == {"train", "test"}
    for record in records:
        for box in record.boxes:
            assert 0 <= box.x_min < box.x_max <= 1
            assert 0 <= box.y_min < box.y_max <= 1
            assert box.label in record.annotated


@pytest.mark.scans
def test_no_near_duplicates_of_the_real_scans_lie_on_both_sides_of_the_hold_out(real_scans: Path) -> None:
    records = partial_yolo.read(real_scans, split="train")
    training, validation = hold_out(records, {"benign": 0.25}, default=0.08, seed=0)
    assert validation
    assert not {record.group for record in training} & {record.group for record in validation}


@pytest.mark.scans
def test_a_real_scan_of_each_source_opens(real_scans: Path) -> None:
    first = {record.source: record for record in reversed(partial_yolo.read(real_scans, split="test"))}
    assert len(first) >= 2
    for record in first.values():
        assert record.pixels().ndim == 3
