from __future__ import annotations

import json
from pathlib import Path

import pytest
from xray_evals.assess import Assessment, Looked, Scans, assess
from xray_evals.goals import Goal, Speed, goals_of, read_speed
from xray_evals.scanned import ScannedRecord
from xray_evals.variants import VariantScore

from tests.evals.scanned import Corners, alarming, scanned

A: Corners = (10, 10, 60, 50)
SPEED = Speed(
    ratio_to_peer=0.25,
    non_network_share=0.2,
    ours_ms=20,
    peer_ms=80,
    sha256="ab",
    scans="demo scans",
    threads=2,
    commit="abc",
)


def assessed(sources: dict[str, bool], benign: list[ScannedRecord]) -> Assessment:
    """One scan with a gun for each source, found or not, and benign scans."""
    groups = {
        name: [scanned([("gun", A)], [("gun", 0.9, A)] if found else [], source=name)]
        for name, found in sources.items()
    }
    looked = Looked(groups, benign, None)
    scans = Scans({name: [e.record for e in group] for name, group in groups.items()}, [e.record for e in benign])
    return assess(looked, scans, {"gun": 0.5})


EVERY = {"opixray": True, "pidray": True, "sixray": False, "ifly": True}


def goal(found: Assessment, words: str, *, peer: VariantScore | None = None, speed: Speed | None = None) -> Goal:
    (one,) = [one for one in goals_of(found, peer=peer, speed=speed) if words in one.what]
    return one


def test_the_familiar_sources_have_one_mean_and_the_unseen_scanner_a_row_of_its_own() -> None:
    found = assessed(EVERY, alarming(0.1))
    assert goal(found, "OPIXray").measured == pytest.approx(2 / 3)
    assert goal(found, "never trained on").measured == pytest.approx(1.0)


def test_a_mean_over_fewer_sources_is_no_figure() -> None:
    assert goal(assessed({"opixray": True, "pidray": True}, alarming(0.1)), "OPIXray").measured is None


def test_the_distance_is_what_is_missing_and_zero_where_the_goal_is_met() -> None:
    found = assessed(EVERY, alarming(0.1))
    missed, met = goal(found, "OPIXray"), goal(found, "never trained on")
    assert missed.met is False
    assert missed.distance == pytest.approx(0.85 - 2 / 3)
    assert (met.met, met.distance) == (True, 0.0)


def test_errors_and_times_are_to_be_small() -> None:
    found = assessed(EVERY, alarming(0.1))
    quick, clumsy = (
        goal(found, "share of that", speed=SPEED),
        goal(found, "not the network", speed=SPEED),
    )
    assert (quick.sense, quick.met, quick.measured) == ("at most", True, 0.25)
    assert clumsy.met is False
    assert clumsy.distance == pytest.approx(0.05)


def test_speeds_tell_scans_threads_and_commit() -> None:
    found = assessed(EVERY, alarming(0.1))
    for words in ("share of that", "not the network"):
        assert "demo scans, 2 threads, commit abc" in goal(found, words, speed=SPEED).remark
        assert goal(found, words).remark == ""


def test_the_rate_of_alarms_stands_beside_the_fields_own_target() -> None:
    found = assessed(EVERY, alarming(0.1))
    assert "field's own target is 0.90" in goal(found, "TPR at FPR 10%").remark
    assert "field" not in goal(found, "TPR at FPR 1%").remark


def test_the_peer_is_the_goal_of_the_average_precision_beside_it() -> None:
    found = assessed(EVERY, alarming(0.1))
    peer = VariantScore("peer", {}, 0.8, None, None, None, 1.0)
    beside = goal(found, "not below", peer=peer)
    assert (beside.goal, beside.met) == (0.8, False)
    assert beside.measured == pytest.approx(0.75)
    assert goal(found, "not below").measured is None


def test_what_was_not_measured_is_neither_met_nor_missed() -> None:
    found = assessed({"opixray": True}, [])
    for words in ("TPR at FPR 10%", "TPR at FPR 1%", "simulated scanners", "share of that", "not the network"):
        unmeasured = goal(found, words)
        assert (unmeasured.measured, unmeasured.met, unmeasured.distance) == (None, None, None)


def test_speeds_are_read_from_what_the_benchmark_wrote(tmp_path: Path) -> None:
    file = tmp_path / "speed.json"
    file.write_text(json.dumps({**SPEED.model_dump(), "import_s": 0.1}), encoding="utf-8")
    assert read_speed(file) == SPEED


@pytest.mark.parametrize("content", ["", "[]", "{}", '{"ratio_to_peer": 0}', "no JSON"])
def test_a_file_without_speeds_is_refused_with_what_to_do(tmp_path: Path, content: str) -> None:
    file = tmp_path / "speed.json"
    file.write_text(content, encoding="utf-8")
    with pytest.raises(ValueError, match="make bench"):
        read_speed(file)
