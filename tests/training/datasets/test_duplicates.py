from __future__ import annotations

from itertools import combinations
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from PIL import Image
from xray_training.datasets import partial_yolo
from xray_training.datasets.duplicates import alike, exact_duplicates, fingerprint, near_duplicates, repeated
from xray_training.datasets.record import DatasetError, ScanRecord

from tests.training.datasets.bags import bag


def record(path: Path) -> ScanRecord:
    return ScanRecord(path, "north", "north", "train", path.stem, "", (), frozenset())


def bits_between(one: bytes | None, other: bytes | None) -> int:
    assert one
    assert other
    return sum((a ^ b).bit_count() for a, b in zip(one, other, strict=True))


@st.composite
def families(draw: st.DrawFn) -> list[bytes | None]:
    """Fingerprints of which some differ in a few bits."""
    found: list[bytes | None] = []
    for _ in range(draw(st.integers(0, 4))):
        found.append(draw(st.binary(min_size=32, max_size=32)))
        for _ in range(draw(st.integers(0, 4))):
            flipped = int.from_bytes(found[-1] or b"", "big")
            for bit in draw(st.sets(st.integers(0, 255), max_size=40)):
                flipped ^= 1 << bit
            found.append(flipped.to_bytes(32, "big"))
        found += [None] * draw(st.integers(0, 1))
    return draw(st.permutations(found))


@given(fingerprints=families(), distance=st.integers(0, 40))
def test_fingerprints_are_alike_through_chains_of_near_ones(fingerprints: list[bytes | None], distance: int) -> None:
    expected = [{index} for index, bits in enumerate(fingerprints) if bits is not None]
    for one, other in combinations([i for i, bits in enumerate(fingerprints) if bits is not None], 2):
        if bits_between(fingerprints[one], fingerprints[other]) <= distance:
            joined = [members for members in expected if {one, other} & members]
            expected = [members for members in expected if members not in joined] + [set().union(*joined)]
    found = alike(fingerprints, distance=distance)
    assert found == sorted((frozenset(members) for members in expected if len(members) > 1), key=min)


def test_pairs_are_found_far_apart_in_a_long_list() -> None:
    fingerprints: list[bytes | None] = [np.random.default_rng(seed).bytes(32) for seed in range(1500)]
    fingerprints[1400] = fingerprints[3]
    fingerprints[700] = fingerprints[699]
    assert alike(fingerprints) == [frozenset({3, 1400}), frozenset({699, 700})]


def test_repeated_keys_are_gathered_in_order_and_none_is_no_key() -> None:
    assert repeated(["b", "a", None, "b", "c", None, "a", "b"]) == [frozenset({0, 3, 7}), frozenset({1, 6})]


def moved(pixels: NDArray[np.uint8], right: int, down: int) -> NDArray[np.uint8]:
    """The same bag on a larger belt."""
    belt = np.full((pixels.shape[0] + down, pixels.shape[1] + right, 3), 255, dtype=np.uint8)
    belt[down:, right:] = pixels
    return belt


def test_copies_that_are_compressed_brighter_greyer_or_moved_on_the_belt_are_near(tmp_path: Path) -> None:
    pixels, _ = bag(1)
    files = [tmp_path / f"{name}.png" for name in ("first", "again", "brighter", "grey", "moved", "larger")]
    copies = [
        pixels,
        pixels,
        np.clip(pixels.astype(int) + 6, 0, 255).astype(np.uint8),
        np.asarray(Image.fromarray(pixels).convert("L")),
        moved(pixels, 60, 40),
        np.asarray(Image.fromarray(pixels).resize((240, 180), Image.Resampling.BICUBIC)),
    ]
    for file, copy in zip(files, copies, strict=True):
        Image.fromarray(copy).save(file)
    files.append(tmp_path / "compressed.jpg")
    Image.fromarray(pixels).save(files[-1], quality=70)
    records = [record(file) for file in files]
    assert near_duplicates(records) == [frozenset(range(7))]
    assert exact_duplicates(records) == [frozenset({0, 1})]


def test_different_bags_are_not_near(tmp_path: Path) -> None:
    files = [tmp_path / f"{seed}.png" for seed in range(30)]
    for seed, file in enumerate(files):
        Image.fromarray(bag(seed)[0]).save(file)
    assert near_duplicates([record(file) for file in files]) == []


def test_empty_belts_have_no_fingerprint() -> None:
    assert fingerprint(np.full((50, 80, 3), 255, dtype=np.uint8)) is None
    assert fingerprint(bag(0)[0]) is not None


def test_a_picture_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    missing = record(tmp_path / "missing.png")
    for look in (near_duplicates, exact_duplicates):
        with pytest.raises(DatasetError, match=r"missing\.png"):
            look([missing])


@pytest.mark.scans
def test_near_duplicates_of_the_real_scans_are_neighbours(real_scans: Path) -> None:
    records = [r for r in partial_yolo.read(real_scans, split="test") if r.source in ("sixray", "ifly")]
    found = near_duplicates(records)
    assert found
    for members in found:
        assert len({(records[i].source, records[i].block) for i in members}) == 1
