from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from xray_training.datasets.record import LabelledBox, ScanRecord
from xray_training.detector.sampler import FRESH, BalancedSampler

NAMES = ("gun", "knife")
PLACE = (0.1, 0.1, 0.4, 0.5)


def scan(source: str, *labels: str) -> ScanRecord:
    boxes = tuple(LabelledBox(label, *PLACE) for label in labels)
    return ScanRecord(Path("x.png"), source, source, "train", "g", "b", boxes, frozenset({"gun", "knife"}))


def shares(sampler: BalancedSampler, records: Sequence[ScanRecord]) -> dict[str, float]:
    """How much of an epoch each source gets."""
    totals: dict[str, float] = {}
    for record, weight in zip(records, sampler.weights(), strict=True):
        totals[record.source] = totals.get(record.source, 0.0) + float(weight)
    return totals


MANY = [scan("south"), *[scan("north")] * 9]


@pytest.mark.parametrize(("balance", "expected"), [(0.0, 0.5), (0.5, 0.25), (1.0, 0.1)])
def test_balance_decides_how_often_a_small_source_is_drawn(balance: float, expected: float) -> None:
    sampler = BalancedSampler(MANY, names=NAMES, length=4000, balance=balance)
    assert shares(sampler, MANY)["south"] == pytest.approx(expected)
    torch.manual_seed(0)
    drawn = Counter(MANY[index].source for index in sampler)
    assert drawn["south"] / 4000 == pytest.approx(expected, abs=0.03)


def test_simulated_scans_give_way_to_real_ones_as_the_run_goes_on() -> None:
    records = [*[scan("simulated")] * 5, *[scan("north")] * 5]
    sampler = BalancedSampler(records, names=NAMES, length=10, balance=1.0, emphasis={"simulated": (4.0, 0.25)})
    seen = []
    for progress in (0.0, 0.5, 1.0):
        sampler.progress = progress
        seen.append(shares(sampler, records)["simulated"])
    assert seen[0] == pytest.approx(0.8)
    assert seen[2] == pytest.approx(0.2)
    assert seen[0] > seen[1] > seen[2]


def test_scans_of_a_rare_class_are_drawn_more_often_and_others_alike() -> None:
    records = [scan("north", "gun"), *[scan("north", "knife")] * 9, *[scan("north")] * 6]
    weights = BalancedSampler(records, names=NAMES, length=1, balance=1.0, rare_below=0.25).weights()
    assert weights[0] / weights[1] == pytest.approx((0.25 * 16) ** 0.5)
    assert np.allclose(weights[1:], weights[1])


def test_rare_classes_do_not_change_what_a_source_gets() -> None:
    records = [scan("north", "gun"), *[scan("north")] * 9, *[scan("south", "knife")] * 10]
    plain, rare = (
        BalancedSampler(records, names=NAMES, length=1, balance=0.7, rare_below=share) for share in (0.0, 0.5)
    )
    assert shares(rare, records)["north"] == pytest.approx(shares(plain, records)["north"])


@given(
    length=st.integers(1, 200),
    parts=st.integers(1, 8),
    start=st.floats(0, 1),
    end=st.floats(0, 1),
    progress=st.floats(0, 1),
)
def test_an_epoch_is_as_long_as_asked_whoever_shares_it(
    length: int, parts: int, start: float, end: float, progress: float
) -> None:
    sampler = BalancedSampler(MANY, names=NAMES, length=length, balance=0.6, fresh=(start, end), parts=parts)
    sampler.progress = progress
    drawn = list(sampler)
    assert len(drawn) == len(sampler) == -(-length // parts)
    assert all(index == FRESH or 0 <= index < len(MANY) for index in drawn)
    assert sampler.weights().sum() == pytest.approx(1)


@pytest.mark.parametrize(("progress", "expected"), [(0.0, 0.8), (1.0, 0.0)])
def test_part_of_an_epoch_is_scans_yet_to_be_made(progress: float, expected: float) -> None:
    torch.manual_seed(0)
    sampler = BalancedSampler(MANY, names=NAMES, length=2000, balance=1.0, fresh=(0.8, 0.0))
    sampler.progress = progress
    assert sum(index == FRESH for index in sampler) / 2000 == pytest.approx(expected, abs=0.04)


def test_a_class_that_is_not_trained_makes_no_scan_rare() -> None:
    records = [scan("north", "bottle"), *[scan("north", "knife")] * 9]
    assert np.allclose(BalancedSampler(records, names=NAMES, length=1, balance=1.0, rare_below=0.9).weights(), 0.1)


def test_what_is_drawn_late_in_an_epoch_knows_of_the_progress_made_since() -> None:
    records = [scan("simulated"), scan("north")]
    sampler = BalancedSampler(records, names=NAMES, length=400, balance=1.0, emphasis={"simulated": (1.0, 0.0)})
    drawn = iter(sampler)
    early = {records[next(drawn)].source for _ in range(64)}
    sampler.progress = 1.0
    assert early == {"simulated", "north"}
    assert {records[index].source for index in drawn} == {"north"}
