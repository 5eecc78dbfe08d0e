from __future__ import annotations

from pathlib import Path

import pytest
from xray_training.datasets.fault import Fault, FaultKind
from xray_training.datasets.plain import scans_in
from xray_training.datasets.record import DatasetError

from tests.training.datasets.trees import coco_tree, picture


def test_scans_of_a_dataset_that_are_passed_over_are_told_to_who_asks(tmp_path: Path) -> None:
    (coco_tree(tmp_path) / "images/train/0001.png").unlink()
    faults: list[Fault] = []
    records = scans_in(tmp_path, report=faults.append)
    assert [record.image.name for record in records] == ["0002.png"]
    assert [fault.kind for fault in faults] == [FaultKind.MISSING_IMAGE]
    assert scans_in(tmp_path) == records


@pytest.mark.parametrize("name", ["a.png", "a.WEBP", "a.tiff", "a.bmp"])
def test_any_folder_of_pictures_is_scans_without_labels(name: str, tmp_path: Path) -> None:
    path = picture(tmp_path / "below" / name, (40, 30))
    (record,) = scans_in(tmp_path)
    assert (record.image, record.boxes, record.annotated) == (path, (), frozenset())


def test_a_folder_without_pictures_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match="holds no scan"):
        scans_in(tmp_path)
