from __future__ import annotations

from pathlib import Path

from xray_training.datasets import hixray, opixray

from tests.training.datasets.trees import hixray_tree, opixray_tree


def test_the_eight_classes_become_their_canonical_labels(tmp_path: Path) -> None:
    first, second = hixray.read(hixray_tree(tmp_path))
    assert [(box.label, box.original) for box in first.boxes] == [
        ("lighter", "Nonmetallic_Lighter"),
        ("phone", "Mobile_Phone"),
    ]
    assert first.corners(150, 80).round(3).tolist() == [[10, 20, 60, 45], [100, 10, 140, 75]]
    assert [box.label for box in second.boxes] == ["power_bank"]
    assert (first.split, second.split) == ("train", "test")
    assert first.annotated == {"lighter", "power_bank", "bottle", "laptop", "phone", "tablet", "cosmetic"}


def test_one_layout_is_two_datasets_told_apart_by_their_classes(tmp_path: Path) -> None:
    other = opixray_tree(tmp_path / "opixray")
    mine = hixray_tree(tmp_path / "hixray")
    assert (hixray.recognises(mine), hixray.recognises(other)) == (True, False)
    assert (opixray.recognises(mine), opixray.recognises(other)) == (False, True)
