"""What stops a run before it costs anything, and what it says to do next."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
import torch
from xray_training.vlm.config import CONFIGS, load_config

from tests.training.vlm.conftest import train_adapter, train_from_nothing, xray_train
from tests.training.vlm.drawn import write_bags
from xray_agent_tools.detector.package import load_package
from xray_agent_tools.detector.torch import CHECKPOINT_FILE

PACKAGED = sorted(file.stem for file in CONFIGS.glob("*.yaml"))


@pytest.fixture(scope="module")
def few(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_bags(tmp_path_factory.mktemp("few") / "bags", train=12, val=12)


def test_a_folder_without_pairs(tmp_path: Path) -> None:
    result = train_from_nothing(tmp_path, tmp_path / "run")
    assert result.exit_code == 1
    assert "holds no pairs.jsonl: make pairs with `xray-train vqa`" in result.output


def test_pairs_without_a_held_out_part(tmp_path: Path) -> None:
    result = train_from_nothing(write_bags(tmp_path / "bags", train=4, val=0), tmp_path / "run")
    assert result.exit_code == 1
    assert "no pairs of the val split" in result.output


def test_a_missing_picture(tmp_path: Path) -> None:
    bags = write_bags(tmp_path / "bags", train=4, val=4)
    (bags / "scan-0002.png").unlink()
    result = train_from_nothing(bags, tmp_path / "run")
    assert result.exit_code == 1
    assert "scan-0002.png" in result.output
    assert not (tmp_path / "run" / "config.yaml").exists()


def test_a_picture_that_is_none(tmp_path: Path) -> None:
    bags = write_bags(tmp_path / "bags", train=16, val=16)
    for picture in bags.glob("*.png"):
        picture.write_bytes(b"no picture")
    result = train_from_nothing(bags, tmp_path / "run")
    assert result.exit_code == 1
    assert "cannot be read" in result.output


def test_a_folder_without_a_model(few: Path, tmp_path: Path) -> None:
    result = train_adapter(few, tmp_path / "run", tmp_path)
    assert result.exit_code == 1
    assert "cannot be loaded as a vision-language model" in result.output


@pytest.mark.skipif(torch.cuda.is_available(), reason="says what is missing where there is no GPU")
def test_four_bits_without_a_gpu(few: Path, tmp_path: Path) -> None:
    result = train_adapter(few, tmp_path / "run", tmp_path, method="qlora")
    assert result.exit_code == 1
    assert "QLoRA keeps the base in 4 bits, which needs a CUDA device: use --set method=lora" in result.output


def test_a_layer_that_is_not_there(base: Path, few: Path, tmp_path: Path) -> None:
    result = train_adapter(few, tmp_path / "run", base, **{"lora.targets": "[q_proj, z_proj]"})
    assert result.exit_code == 1
    assert "no linear layer of the language model is called z_proj: set lora.targets" in result.output


def test_a_folder_that_holds_a_run(killed: Path, bags: Path) -> None:
    result = train_from_nothing(bags, killed)
    assert result.exit_code == 1
    assert "holds a run already: go on with it (--resume)" in result.output


def test_going_on_with_nothing(bags: Path, tmp_path: Path) -> None:
    result = train_from_nothing(bags, tmp_path / "run", "--resume")
    assert result.exit_code == 1
    assert "leave --resume out" in result.output


def test_going_on_with_other_settings(killed: Path, bags: Path) -> None:
    result = train_from_nothing(bags, killed, "--resume", pack=2)
    assert result.exit_code == 1
    assert "pack differ from those of the run" in result.output


def test_going_on_with_a_finished_run(base: Path, bags: Path) -> None:
    result = train_from_nothing(bags, base.parent, "--resume")
    assert result.exit_code == 1
    assert "is finished" in result.output


def test_a_detector_to_imitate_that_is_not_there(few: Path, tmp_path: Path) -> None:
    result = train_from_nothing(few, tmp_path / "run", **{"guidance.detectors": "[nowhere]"})
    assert result.exit_code == 1
    assert "'nowhere' is no model package" in result.output
    assert "one of: default, simulated" in result.output


def test_a_detector_to_imitate_without_a_checkpoint(few: Path, tmp_path: Path) -> None:
    package = tmp_path / "package"
    shutil.copytree(load_package("default").folder, package, ignore=shutil.ignore_patterns(CHECKPOINT_FILE))
    result = train_from_nothing(few, tmp_path / "run", **{"guidance.detectors": f"[{package}]"})
    assert result.exit_code == 1
    assert "model.pt is missing" in result.output


def test_going_on_with_other_detectors_to_imitate(killed: Path, bags: Path) -> None:
    result = train_from_nothing(bags, killed, "--resume", **{"guidance.detectors": "[]"})
    assert result.exit_code == 1
    assert "guidance differ from those of the run" in result.output


@pytest.mark.parametrize("name", PACKAGED)
def test_a_packaged_configuration_can_be_overridden(name: str, tmp_path: Path) -> None:
    config = load_config(
        CONFIGS / f"{name}.yaml", {"pairs": [str(tmp_path)], "lora.rank": 4, "lora.targets": ["q_proj"]}
    )
    assert (config.lora.rank, config.lora.targets) == (4, ("q_proj",))
    assert (config.base is None) == (config.architecture is not None)


def test_a_configuration_that_is_none(tmp_path: Path) -> None:
    result = xray_train("vlm", "--config", "huge", "--pairs", tmp_path, "--out", tmp_path / "run")
    assert result.exit_code == 2
    assert "qwen2.5-vl-7b-qlora" in result.output


@pytest.mark.parametrize(
    ("setting", "said"),
    [
        ("lora.rank=0", "lora.rank"),
        ("architecture={}", "set one of them"),
        ("kinds={smell: 1}", "kinds"),
        ("method=magic", "method"),
    ],
)
def test_a_setting_that_does_not_fit(setting: str, said: str, tmp_path: Path) -> None:
    result = xray_train("vlm", "--pairs", tmp_path, "--out", tmp_path / "run", "--set", setting)
    assert result.exit_code == 1
    assert said in result.output


def test_a_folder_without_an_adapter_cannot_be_merged(base: Path, tmp_path: Path) -> None:
    result = xray_train("merge", base, "--out", tmp_path / "merged")
    assert result.exit_code == 1
    assert "holds no adapter" in result.output
