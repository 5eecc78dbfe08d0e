"""Averages of two checkpoints, through ``xray-train average``."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from click.testing import CliRunner, Result
from ultralytics.nn.tasks import DetectionModel, load_checkpoint
from xray_training.cli import main


def written(path: Path, names: tuple[str, ...], *, seed: int, architecture: str = "yolo11n.yaml") -> Path:
    """An untrained network with random weights."""
    torch.manual_seed(seed)
    model = DetectionModel(architecture, nc=len(names), verbose=False)
    model.names = dict(enumerate(names))
    for weights in model.state_dict().values():
        if weights.dtype.is_floating_point:
            weights.copy_(torch.rand(weights.shape))
    torch.save({"model": model.half(), "train_args": {}}, path)
    return path


def average(*arguments: object) -> Result:
    return CliRunner().invoke(main, ["average", *[str(argument) for argument in arguments]])


def weights_of(path: Path) -> dict[str, Any]:
    network, _ = load_checkpoint(str(path))
    return dict(network.float().state_dict())


def test_every_weight_lies_between_those_of_both(tmp_path: Path) -> None:
    first = written(tmp_path / "first.pt", ("gun", "knife"), seed=1)
    second = written(tmp_path / "second.pt", ("gun", "knife"), seed=2)
    result = average(first, second, "--share", "0.25", "--out", tmp_path / "deep" / "mean.pt")
    assert result.exit_code == 0, result.output
    mixed, old, new = (weights_of(path) for path in (tmp_path / "deep" / "mean.pt", first, second))
    for name, weights in mixed.items():
        if weights.dtype.is_floating_point:
            torch.testing.assert_close(weights, 0.25 * new[name] + 0.75 * old[name], atol=2e-3, rtol=2e-3)


def test_classes_are_matched_by_name_and_new_ones_keep_their_weights(tmp_path: Path) -> None:
    first = written(tmp_path / "first.pt", ("gun", "knife"), seed=1)
    second = written(tmp_path / "second.pt", ("laptop", "knife", "gun"), seed=2)
    assert average(first, second, "--out", tmp_path / "mean.pt").exit_code == 0
    mixed, old, new = (weights_of(path) for path in (tmp_path / "mean.pt", first, second))
    layer = next(name for name, weights in new.items() if weights.shape != old[name].shape)
    torch.testing.assert_close(mixed[layer][0], new[layer][0])
    torch.testing.assert_close(mixed[layer][2], (new[layer][2] + old[layer][0]) / 2, atol=2e-3, rtol=2e-3)
    network, _ = load_checkpoint(str(tmp_path / "mean.pt"))
    assert network.names == {0: "laptop", 1: "knife", 2: "gun"}


def test_networks_of_two_architectures_have_no_mean(tmp_path: Path) -> None:
    first = written(tmp_path / "first.pt", ("gun",), seed=1)
    second = written(tmp_path / "second.pt", ("gun",), seed=2, architecture="yolov8n.yaml")
    result = average(first, second, "--out", tmp_path / "mean.pt")
    assert isinstance(result.exception, SystemExit)
    assert "differ" in result.output
    assert not (tmp_path / "mean.pt").exists()


@pytest.mark.parametrize("share", ["-0.1", "1.1", "half"])
def test_a_share_that_is_none_is_bad_usage(tmp_path: Path, share: str) -> None:
    first = written(tmp_path / "first.pt", ("gun",), seed=1)
    assert average(first, first, "--share", share, "--out", tmp_path / "mean.pt").exit_code == 2
