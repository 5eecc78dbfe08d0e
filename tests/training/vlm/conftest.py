"""Runs that several tests look at: a tiny model from nothing, killed and gone on with, and an adapter on it."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result
from xray_training.cli import main

from tests.training.vlm.drawn import write_bags

STEPS, SAVED = 160, 40
FRAME = {"frame.min_pixels": 3136, "frame.max_pixels": 12544}
SETTINGS: dict[str, object] = {
    **FRAME,
    "pack": 4,
    "batch": 8,
    "accumulate": 1,
    "precision": "fp32",
    "device": "cpu",
    "threads": 1,
    "workers": 0,
    "remembered": 64,
    "gate.margin": 0.05,
}
FROM_NOTHING: dict[str, object] = {
    **SETTINGS,
    "steps": STEPS,
    "hours": "null",
    "evaluate_every": SAVED,
    "learning_rate": 0.003,
    "cells.weight": 1.0,
    "cells.alone": 0.2,
    "guidance.detectors": "[default]",
    "variation.moved": 0,
    "variation.rescan": 0,
    "kinds": "{}",
}
ADAPTED: dict[str, object] = {
    **SETTINGS,
    "steps": 24,
    "evaluate_every": 12,
    "learning_rate": 0.002,
    "lora.rank": 8,
    "lora.alpha": 16,
    "lora.dropout": 0,
    "checkpointing": True,
    "per_answer": True,
}


class Killed(Exception):
    """Stands for whatever ends a run early."""


def xray_train(*arguments: object) -> Result:
    return CliRunner().invoke(main, [str(argument) for argument in arguments])


def train(data: Path, out: Path, settings: dict[str, object], *flags: object, **more: object) -> Result:
    pairs = [part for key, value in {**settings, **more}.items() for part in ("--set", f"{key}={value}")]
    return xray_train("vlm", "--pairs", data, "--out", out, *flags, *pairs)


def train_from_nothing(data: Path, out: Path, *flags: object, **more: object) -> Result:
    from xray_training.vlm.nano import TINY

    return train(data, out, FROM_NOTHING, "--config", "nano", *flags, architecture=TINY.model_dump_json(), **more)


def train_adapter(data: Path, out: Path, base: Path, *flags: object, **more: object) -> Result:
    return train(data, out, ADAPTED, "--config", "qwen2.5-vl-7b-lora", "--base", base, *flags, **more)


def killed_after_saving(patch: pytest.MonkeyPatch) -> None:
    """Every run dies when it has written its first checkpoint."""
    from xray_training.vlm.trainer import AnswerTrainer

    save = AnswerTrainer._save_checkpoint

    def save_and_die(trainer: AnswerTrainer, *arguments: Any) -> None:
        save(trainer, *arguments)
        raise Killed

    patch.setattr(AnswerTrainer, "_save_checkpoint", save_and_die)


@pytest.fixture(scope="session")
def bags(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Drawn bags with questions, in training and validation parts."""
    return write_bags(tmp_path_factory.mktemp("bags") / "bags")


@pytest.fixture(scope="session")
def killed(bags: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run from nothing that died after its first checkpoint."""
    out = tmp_path_factory.mktemp("nothing") / "run"
    with pytest.MonkeyPatch.context() as patch:
        killed_after_saving(patch)
        result = train_from_nothing(bags, out)
    assert isinstance(result.exception, Killed), result.output
    return out


@pytest.fixture(scope="session")
def base(killed: Path, bags: Path) -> Path:
    """The model of a copy of that run, gone on with to its end."""
    run = killed.with_name("finished")
    shutil.copytree(killed, run)
    result = train_from_nothing(bags, run, "--resume")
    assert result.exit_code == 0, result.output
    assert result.output.splitlines()[-1] == str(run / "model")
    return run / "model"


@pytest.fixture(scope="session")
def killed_adapter(base: Path, bags: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A LoRA run on the tiny model that died after its first checkpoint."""
    out = tmp_path_factory.mktemp("adapter") / "run"
    with pytest.MonkeyPatch.context() as patch:
        killed_after_saving(patch)
        result = train_adapter(bags, out, base)
    assert isinstance(result.exception, Killed), result.output
    return out


@pytest.fixture(scope="session")
def adapter(killed_adapter: Path, base: Path, bags: Path) -> Path:
    """The adapter of the same run, gone on with to its end."""
    result = train_adapter(bags, killed_adapter, base, "--resume")
    assert result.exit_code == 0, result.output
    return killed_adapter / "adapter"
