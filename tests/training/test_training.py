"""The detector's way from scans to a checkpoint and a model package, through ``xray-train``."""

from __future__ import annotations

import csv
import pickle
import shutil
from pathlib import Path

import cloudpickle
import pytest
import yaml
from click.testing import CliRunner, Result
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from xray_training.cli import DEFAULT_CONFIG, main
from xray_training.detector import trainer as trainer_module
from xray_training.detector.config import load_config
from xray_training.detector.trainer import ScanTrainer

from tests.training.folders import Drawn, write_folder

SETTINGS = {
    "epochs": 2,
    "size": 64,
    "epoch_scans": 16,
    "batch": 4,
    "workers": 0,
    "threads": 1,
    "precision": "fp32",
    "validation_share": 0.25,
}


class Killed(Exception):
    """Stands for whatever ends a run early."""


def xray_train(*arguments: str | Path) -> Result:
    return CliRunner().invoke(main, [str(argument) for argument in arguments])


def train(data: Path, out: Path, *flags: str, **settings: object) -> Result:
    pairs = [part for key, value in {**SETTINGS, **settings}.items() for part in ("--set", f"{key}={value}")]
    return xray_train("detector", "--data", data, "--out", out, *flags, *pairs)


def epochs_of(run: Path) -> list[int]:
    with (run / "results.csv").open(encoding="utf-8", newline="") as file:
        return [int(row["epoch"]) for row in csv.DictReader(file)]


@pytest.fixture(scope="module")
def interrupted(simulated: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of two epochs that ended after the first."""
    out = tmp_path_factory.mktemp("interrupted") / "run"
    save = ScanTrainer.save_model

    def save_and_die(trainer: ScanTrainer) -> None:
        save(trainer)
        raise Killed

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ScanTrainer, "save_model", save_and_die)
        result = train(simulated, out)
    assert isinstance(result.exception, Killed)
    return out


@pytest.fixture(scope="module")
def finished(interrupted: Path, simulated: Path) -> Path:
    """The same run, gone on with to its end."""
    assert epochs_of(interrupted) == [1]
    result = train(simulated, interrupted, "--resume")
    assert result.exit_code == 0, result.output
    assert result.output.splitlines()[-1] == str(interrupted / "weights/last.pt")
    return interrupted


@pytest.mark.slow
def test_an_interrupted_run_goes_on_where_it_stopped(finished: Path) -> None:
    assert epochs_of(finished) == [1, 2]
    assert (finished / "weights/last.pt").is_file()


@pytest.mark.slow
def test_a_run_saves_the_settings_that_it_was_made_with(finished: Path, simulated: Path) -> None:
    saved = yaml.safe_load((finished / "config.yaml").read_text(encoding="utf-8"))
    assert saved["data"] == [str(simulated)]
    assert {key: saved[key] for key in SETTINGS} == SETTINGS
    assert saved["names"][:2] == ["gun", "knife"]
    assert saved["augmentation"]["mosaic"] == 0.3


@pytest.mark.slow
def test_validation_reports_every_part_of_the_loss(finished: Path) -> None:
    with (finished / "results.csv").open(encoding="utf-8", newline="") as file:
        last = list(csv.DictReader(file))[-1]
    for name in ("val/box_loss", "val/cls_loss", "val/dfl_loss"):
        assert 0 < float(last[name]) < 100


@pytest.mark.slow
def test_resuming_a_finished_run_says_that_it_is_finished(finished: Path, simulated: Path) -> None:
    result = train(simulated, finished, "--resume")
    assert isinstance(result.exception, SystemExit)
    assert "finished" in result.output


@pytest.mark.slow
def test_a_run_can_be_watched_in_tensorboard(finished: Path) -> None:
    board = EventAccumulator(str(finished)).Reload()
    assert {"train/box_loss", "val/cls_loss", "lr/pg0"} <= set(board.Tags()["scalars"])
    assert {event.step for event in board.Scalars("val/cls_loss")} == {1, 2}


@pytest.mark.slow
def test_a_run_stops_when_the_held_out_loss_no_longer_falls(simulated: Path, tmp_path: Path) -> None:
    losses = iter([3.0, 2.0, 2.5, 2.5, 2.5, 2.5])

    def validate(trainer: ScanTrainer) -> tuple[dict[str, float], float]:
        return {"val/loss": 0.0}, -next(losses)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ScanTrainer, "validate", validate)
        result = train(simulated, tmp_path / "run", epochs=6, patience=2, epoch_scans=4)
    assert result.exit_code == 0, result.output
    assert epochs_of(tmp_path / "run") == [1, 2, 3, 4]


@pytest.mark.slow
def test_simulated_scans_can_be_made_while_training_runs(simulated: Path, tmp_path: Path) -> None:
    fresh = "{share: [1.0, 0.5], scanners: [dogwood]}"
    result = train(simulated, tmp_path / "run", epochs=1, epoch_scans=4, fresh=fresh)
    assert result.exit_code == 0, result.output
    saved = yaml.safe_load((tmp_path / "run/config.yaml").read_text(encoding="utf-8"))
    assert saved["fresh"]["share"] == [1.0, 0.5]


def test_a_trainer_made_anew_from_its_arguments_has_the_same_settings(simulated: Path, tmp_path: Path) -> None:
    """What Ultralytics does in each process of a run on several GPUs."""
    config = load_config(DEFAULT_CONFIG, {"data": [str(simulated)], **SETTINGS})
    settings = {"model": "yolo11n.yaml", "data": config.model_dump_json(), "device": "cpu", "imgsz": 64}
    first = ScanTrainer(overrides={**settings, "project": str(tmp_path), "name": "run"})
    copy = pickle.loads(cloudpickle.dumps({"trainer": type(first), "args": vars(first.args)}))
    again = copy["trainer"](overrides=copy["args"])
    assert again.config == first.config == config
    assert [record.image for record in again.data["val"]] == [record.image for record in first.data["val"]]


@pytest.mark.slow
def test_a_run_does_not_go_on_with_settings_that_hold_out_other_scans(
    interrupted: Path, simulated: Path, tmp_path: Path
) -> None:
    copy = shutil.copytree(interrupted, tmp_path / "run")
    settings = {**SETTINGS, "validation_share": 0.5, "seed": 3}
    pairs = [part for key, value in settings.items() for part in ("--set", f"{key}={value}")]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(trainer_module, "_is_finished", lambda checkpoint: False)
        result = xray_train("detector", "--data", simulated, "--out", copy, "--resume", *pairs)
    assert result.exit_code == 1
    assert "validation_share, seed differ" in result.output


@pytest.mark.slow
def test_a_finished_run_is_not_overwritten(finished: Path, simulated: Path) -> None:
    before = (finished / "results.csv").read_bytes()
    result = train(simulated, finished)
    assert result.exit_code == 1
    assert "holds a run already" in result.output
    assert (finished / "results.csv").read_bytes() == before


def test_resuming_without_a_checkpoint_says_so(simulated: Path, tmp_path: Path) -> None:
    result = train(simulated, tmp_path / "run", "--resume")
    assert result.exit_code == 1
    assert "holds no checkpoint" in result.output
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("settings", "named"),
    [
        ({"size": 100}, "size"),
        ({"batch": 1}, "batch"),
        ({"colour": "red"}, "colour"),
        ({"precision": "int8"}, "precision"),
    ],
)
def test_a_wrong_setting_is_named(simulated: Path, tmp_path: Path, settings: dict[str, object], named: str) -> None:
    result = train(simulated, tmp_path / "run", **settings)
    assert result.exit_code == 1
    assert named in result.output
    assert not (tmp_path / "run").exists()


def test_a_setting_without_a_value_is_bad_usage(simulated: Path, tmp_path: Path) -> None:
    result = xray_train("detector", "--data", simulated, "--out", tmp_path / "run", "--set", "epochs")
    assert result.exit_code == 2
    assert "KEY=VALUE" in result.output


def test_training_without_data_says_that_data_is_missing(tmp_path: Path) -> None:
    result = xray_train("detector", "--out", tmp_path / "run")
    assert result.exit_code == 1
    assert "data" in result.output


def test_training_on_a_broken_dataset_names_the_missing_file(tmp_path: Path) -> None:
    data = write_folder(tmp_path / "data", {"north": ["gun"]}, [Drawn("north")])
    (data / "classes.txt").unlink()
    result = train(data, tmp_path / "run")
    assert result.exit_code == 1
    assert "classes.txt is missing" in result.output


def test_training_without_a_scan_to_train_on_says_so(tmp_path: Path) -> None:
    data = write_folder(tmp_path / "data", {"north": ["gun"]}, [Drawn("north", split="test")])
    result = train(data, tmp_path / "run")
    assert result.exit_code == 1
    assert isinstance(result.exception, SystemExit)
