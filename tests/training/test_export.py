from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml
from click.testing import CliRunner, Result
from numpy.typing import NDArray
from ultralytics.nn.tasks import DetectionModel, load_checkpoint
from ultralytics.utils import DEFAULT_CFG_DICT
from xray_training.cli import main
from xray_training.datasets import partial_yolo
from xray_training.datasets.record import ScanRecord
from xray_training.detector.export import ExportError, check_parity, export_network, strip_checkpoint

from tests.training.fixed import Fixed
from tests.training.folders import Drawn, write_folder
from xray_agent_tools.detector.package import load_package
from xray_agent_tools.detector.protocol import RawDetection
from xray_agent_tools.errors import ModelUnavailable

NAMES = ("gun", "knife", "scissors")


def legacy_exporter(test: Callable[..., None]) -> Callable[..., None]:
    """Let pass what PyTorch warns of in the old exporter that Ultralytics uses."""
    for warning in ("DeprecationWarning", "torch.jit.TracerWarning"):
        test = pytest.mark.filterwarnings(f"ignore::{warning}")(test)
    return test


# --- parity

GUN = RawDetection("gun", 0.8, (10.0, 10.0, 40.0, 50.0))


def records_of(root: Path, *sides: tuple[int, int]) -> list[ScanRecord]:
    scans = [Drawn("north", width=width, height=height) for width, height in sides]
    return partial_yolo.read(write_folder(root, {"north": NAMES}, scans))


@pytest.mark.parametrize(
    "other",
    [
        [GUN],
        [replace(GUN, box=(10.4, 9.5, 40.9, 50.0))],
        [replace(GUN, confidence=0.795)],
        [GUN, replace(GUN, confidence=0.104)],
    ],
)
def test_detectors_that_agree_within_a_pixel_and_a_hundredth_are_alike(
    tmp_path: Path, other: list[RawDetection]
) -> None:
    check_parity(Fixed(GUN), Fixed(*other), records_of(tmp_path, (120, 80)))


@pytest.mark.parametrize(
    "other",
    [
        [],
        [replace(GUN, box=(10.0, 10.0, 40.0, 52.0))],
        [replace(GUN, confidence=0.75)],
        [replace(GUN, label="knife")],
        [GUN, replace(GUN, box=(60.0, 60.0, 70.0, 70.0)), replace(GUN, box=(0.0, 0.0, 9.0, 9.0))],
    ],
)
def test_detectors_that_differ_are_named_with_the_scan(tmp_path: Path, other: list[RawDetection]) -> None:
    with pytest.raises(ExportError, match=r"north_000\.png"):
        check_parity(Fixed(GUN), Fixed(*other), records_of(tmp_path, (120, 80)))


def test_detectors_must_agree_on_every_scan_and_not_just_the_first(tmp_path: Path) -> None:
    class Forgetful(Fixed):
        def detect(self, pixels: NDArray[np.uint8], *, floor: float) -> list[RawDetection]:
            return super().detect(pixels, floor=floor) if pixels.shape[1] == 120 else []

    with pytest.raises(ExportError, match=r"north_001\.png"):
        check_parity(Fixed(GUN), Forgetful(GUN), records_of(tmp_path, (120, 80), (140, 80)))


def test_square_scans_prove_nothing(tmp_path: Path) -> None:
    with pytest.raises(ExportError, match="no held-out scan"):
        check_parity(Fixed(GUN), Fixed(GUN), records_of(tmp_path, (80, 80)))


# --- checkpoint and network


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An untrained network as training saves it: with paths of the machine and training arguments."""
    path = tmp_path_factory.mktemp("checkpoint") / "last.pt"
    torch.manual_seed(0)
    model = DetectionModel("yolo11n.yaml", nc=len(NAMES), verbose=False)
    model.names = dict(enumerate(NAMES))
    model.args = {**DEFAULT_CFG_DICT, "imgsz": 64, "project": str(path.parent)}
    model.pt_path = str(path)
    model.yaml_file = str(path.parent / "yolo11n.yaml")
    arguments = {"imgsz": 64, "project": str(path.parent), "save_dir": str(Path.home() / "runs")}
    torch.save({"model": model.half(), "optimizer": {"state": str(path)}, "train_args": arguments}, path)
    return path


def test_a_stripped_checkpoint_names_no_path_of_the_machine(checkpoint: Path, tmp_path: Path) -> None:
    strip_checkpoint(checkpoint, tmp_path / "model.pt")
    before, after = checkpoint.read_bytes(), (tmp_path / "model.pt").read_bytes()
    for path in (checkpoint.parent, Path.home()):
        assert str(path).encode() in before
        assert str(path).encode() not in after
    assert str(tmp_path).encode() not in after


def test_a_stripped_checkpoint_is_the_same_network(checkpoint: Path, tmp_path: Path) -> None:
    strip_checkpoint(checkpoint, tmp_path / "model.pt")
    (before, _), (after, content) = load_checkpoint(str(checkpoint)), load_checkpoint(str(tmp_path / "model.pt"))
    assert after.names == dict(enumerate(NAMES))
    assert "optimizer" not in content
    assert content["license"] == "AGPL-3.0"
    assert before.state_dict().keys() == after.state_dict().keys()
    for name, weights in before.state_dict().items():
        torch.testing.assert_close(after.state_dict()[name], weights)


@legacy_exporter
def test_an_exported_network_gives_the_checkpoints_output_and_names_no_path(checkpoint: Path, tmp_path: Path) -> None:
    onnxruntime = pytest.importorskip("onnxruntime")
    exported = tmp_path / "model.onnx"
    assert export_network(checkpoint, exported, 64) == list(NAMES)
    session = onnxruntime.InferenceSession(str(exported), providers=["CPUExecutionProvider"])
    metadata = session.get_modelmeta().custom_metadata_map
    assert metadata["head"] == "raw"
    assert set(metadata) <= {"names", "imgsz", "stride", "task", "head", "license"}
    content = exported.read_bytes()
    for path in (tmp_path, checkpoint.parent, Path.home()):
        assert str(path).encode() not in content
    picture = torch.rand(1, 3, 64, 64, generator=torch.Generator().manual_seed(0))
    network, _ = load_checkpoint(str(checkpoint))
    with torch.inference_mode():
        expected = network(picture)[0].numpy()
    (output,) = session.run(None, {session.get_inputs()[0].name: picture.numpy()})
    assert output.shape == (1, 4 + len(NAMES), 84)
    np.testing.assert_allclose(output, expected, rtol=1e-3, atol=1e-3)


# --- xray-train export


def write_run(run: Path, data: Path, checkpoint: Path, names: tuple[str, ...], size: int) -> Path:
    """A finished run's folder around a checkpoint."""
    (run / "weights").mkdir(parents=True)
    shutil.copyfile(checkpoint, run / "weights/last.pt")
    settings = {"data": [str(data)], "names": list(names), "size": size, "validation_share": 0.5}
    (run / "config.yaml").write_text(yaml.safe_dump(settings), encoding="utf-8")
    return run


def export(run: Path, out: Path, canary: Path, *more: str) -> Result:
    command = ["export", "--run", str(run), "--out", str(out), "--canary", str(canary), *more]
    return CliRunner().invoke(main, command)


@pytest.fixture
def untrained(checkpoint: Path, simulated: Path, tmp_path: Path) -> Path:
    return write_run(tmp_path / "run", simulated, checkpoint, NAMES, 64)


@pytest.fixture
def canary() -> Path:
    package = load_package("default")
    return package.folder / package.manifest.canary.file


@legacy_exporter
def test_exporting_an_untrained_network_says_that_there_is_nothing_to_calibrate(
    untrained: Path, canary: Path, tmp_path: Path
) -> None:
    result = export(untrained, tmp_path / "package", canary)
    assert result.exit_code == 1
    assert isinstance(result.exception, SystemExit)
    assert "calibration needs both right and wrong detections" in result.output


@legacy_exporter
def test_a_failed_export_leaves_no_package_that_loads(untrained: Path, canary: Path, tmp_path: Path) -> None:
    assert export(untrained, tmp_path / "package", canary).exit_code == 1
    with pytest.raises(ModelUnavailable):
        load_package(tmp_path / "package")


@legacy_exporter
def test_exporting_at_an_impossible_size_says_so(untrained: Path, canary: Path, tmp_path: Path) -> None:
    result = export(untrained, tmp_path / "package", canary, "--size", "100")
    assert isinstance(result.exception, SystemExit)
    assert "32" in result.output


@pytest.mark.parametrize("missing", ["config.yaml", "weights/last.pt"])
def test_exporting_what_is_no_run_names_the_missing_file(
    untrained: Path, canary: Path, tmp_path: Path, missing: str
) -> None:
    (untrained / missing).unlink()
    result = export(untrained, tmp_path / "package", canary)
    assert isinstance(result.exception, SystemExit)
    assert Path(missing).name in result.output


def test_a_missing_canary_is_bad_usage(untrained: Path, tmp_path: Path) -> None:
    result = export(untrained, tmp_path / "package", tmp_path / "canary.png")
    assert result.exit_code == 2
    assert "canary" in result.output


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run folder around the shipped checkpoint, with scans on which it is right at times."""
    package = load_package("default")
    checkpoint = package.folder / "model.pt"
    if not checkpoint.is_file():
        pytest.skip("the embedded model ships without its checkpoint")
    folder = tmp_path_factory.mktemp("trained")
    command = ["data", "simulate", "--out", str(folder / "data"), "--count", "20", "--seed", "50", "--processes", "1"]
    command += ["--scanner", "dogwood", "--threat", "gun", "--threat", "handcuffs", "--threat", "wrench"]
    result = CliRunner().invoke(main, command)
    assert result.exit_code == 0, result.output
    return write_run(folder / "run", folder / "data", checkpoint, package.manifest.labels, package.manifest.input_size)


@pytest.mark.slow
@legacy_exporter
def test_a_trained_network_becomes_a_package_that_loads(trained: Path, canary: Path, tmp_path: Path) -> None:
    out = tmp_path / "package"
    result = export(trained, out, canary, "--id", "second", "--model-version", "2.1.0")
    assert result.exit_code == 0, result.output
    package = load_package(out)
    shipped = load_package("default").manifest
    assert (package.manifest.id, package.manifest.version) == ("second", "2.1.0")
    assert package.manifest.labels == shipped.labels
    assert package.manifest.input_size == shipped.input_size
    assert [(source.name, source.scans) for source in package.manifest.sources] == [("simulated", 10)]
    assert package.manifest.calibration.error < 0.5
    assert {point.evidence for point in package.manifest.classes} == {"simulated_scans"}
    card = (out / "CARD.md").read_text(encoding="utf-8")
    assert "second 2.1.0" in card
    assert package.manifest.sha256 in card
    assert sorted(path.name for path in out.iterdir()) == [
        "CARD.md",
        "canary.png",
        "manifest.json",
        "model.onnx",
        "model.pt",
    ]


@pytest.mark.slow
@legacy_exporter
def test_a_canary_that_does_not_alarm_stops_the_export(trained: Path, tmp_path: Path) -> None:
    blank = write_folder(tmp_path / "blank", {"north": NAMES}, [Drawn("north")]) / "images/train/north_000.png"
    result = export(trained, tmp_path / "package", blank)
    assert result.exit_code == 1
    assert "does not alarm for gun" in result.output


@pytest.mark.slow
@legacy_exporter
def test_a_canary_of_an_unknown_label_is_named(trained: Path, canary: Path, tmp_path: Path) -> None:
    result = export(trained, tmp_path / "package", canary, "--canary-label", "firecracker")
    assert isinstance(result.exception, SystemExit)
    assert "firecracker" in result.output
