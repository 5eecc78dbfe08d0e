"""Which scans a run trains on, and what of them counts as known."""

from __future__ import annotations

from pathlib import Path

import pytest
from pydantic import ValidationError
from xray_training.detector.config import FreshScans, TrainingConfig
from xray_training.detector.records import divided_records, training_records

from tests.training.folders import Corners, Drawn, write_folder

BOX: Corners = (30, 20, 80, 60)
OTHER: Corners = (2, 2, 20, 20)
LABELS = ("knife", "cutter", "bottle")


def config(root: Path, **settings: object) -> TrainingConfig:
    return TrainingConfig.model_validate({"data": [str(root)], "names": ["knife", "cutter"], **settings})


def test_a_broad_label_is_unknown_where_a_kindred_item_is_boxed_under_its_own_name(tmp_path: Path) -> None:
    scans = [Drawn("north", (("cutter", BOX),)), Drawn("north", (("knife", BOX), ("cutter", OTHER))), Drawn("north")]
    root = write_folder(tmp_path, {"north": LABELS}, scans)
    first, both, empty = training_records(config(root, broad={"knife": ["cutter"]}))
    assert first.annotated == {"cutter", "bottle"}
    assert both.annotated == {"cutter", "bottle"}
    assert [box.label for box in both.boxes] == ["cutter"]
    assert empty.annotated == set(LABELS)


def test_a_label_that_a_source_only_claims_to_annotate_is_unknown_on_its_scans(tmp_path: Path) -> None:
    root = write_folder(tmp_path, {"north": LABELS, "south": LABELS}, [Drawn("north"), Drawn("south")])
    north, south = training_records(config(root, unannotated={"north": ["bottle"]}))
    assert north.annotated == {"knife", "cutter"}
    assert south.annotated == set(LABELS)


def test_a_run_is_divided_the_same_way_every_time_and_no_scan_is_on_both_sides(tmp_path: Path) -> None:
    root = write_folder(tmp_path, {"north": LABELS}, [Drawn("north")] * 12)
    settings = config(root, validation_share=0.25)
    training, held_out = divided_records(settings)
    assert len(held_out) == 3
    assert {record.image for record in training}.isdisjoint(record.image for record in held_out)
    assert divided_records(settings) == (training, held_out)


def test_projected_copies_are_held_out_with_their_scan(tmp_path: Path) -> None:
    scans = [Drawn("north", group=f"g{number}", block=f"b{number}") for number in range(12)]
    folders = [write_folder(tmp_path / name, {"north": LABELS}, scans) for name in ("scans", "projected")]
    settings = config(folders[0], data=[str(folder) for folder in folders], validation_share=0.25)
    training, held_out = divided_records(settings)
    assert len(held_out) == 6
    assert {record.group for record in training}.isdisjoint(record.group for record in held_out)


@pytest.mark.parametrize(
    "settings", [{"share": (0.5, 1.5)}, {"scanners": ("oak",)}, {"scanners": ("hazel",)}, {"scanners": ()}, {"most": 0}]
)
def test_settings_of_fresh_scans_that_make_no_sense_are_refused(settings: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        FreshScans.model_validate(settings)
