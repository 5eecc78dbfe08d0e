from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from xray_evals.cli import main

from xray_agent_tools.detector.package import load_package

SHIPPED_CHECKPOINT = load_package("default").folder / "model.pt"


def xray_eval(*arguments: str | Path) -> Result:
    return CliRunner().invoke(main, ["detector", *[str(argument) for argument in arguments]])


@pytest.fixture(scope="module")
def measured(tiny_dataset: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Result, Path]:
    """What ``xray-eval detector`` prints and writes for the tiny dataset."""
    out = tmp_path_factory.mktemp("results") / "deep" / "er"
    return xray_eval("--data", tiny_dataset, "--out", out), out


@pytest.fixture
def broken(tiny_dataset: Path, tmp_path: Path) -> Path:
    """A copy of the tiny dataset to break."""
    return shutil.copytree(tiny_dataset, tmp_path / "broken")


def test_scoring_prints_a_table_per_source(measured: tuple[Result, Path]) -> None:
    result, _ = measured
    assert result.exit_code == 0, result.output
    for word in ("simulated", "mAP50", "mean", "TPR", "all"):
        assert word in result.output


def test_scoring_writes_the_results_as_a_page_and_as_data(measured: tuple[Result, Path], tiny_dataset: Path) -> None:
    result, out = measured
    data = json.loads((out / "results.json").read_text(encoding="utf-8"))
    page = (out / "RESULTS.md").read_text(encoding="utf-8")
    assert f"wrote {out / 'RESULTS.md'}" in result.output.replace("\n", "")
    assert data["model"]["sha256"] == load_package("default").manifest.sha256
    assert data["model"]["backend"].startswith("onnxruntime/")
    assert [(source["source"], source["scans"]) for source in data["sources"]] == [("simulated", 3)]
    assert [(c["label"], c["support"]) for c in data["sources"][0]["classes"]] == [("gun", 3), ("handcuffs", 3)]
    assert [(i["source"], i["positives"], i["negatives"]) for i in data["images"]] == [
        ("simulated", 3, 2),
        ("all", 3, 2),
    ]
    assert data["command"] in page
    assert str(tiny_dataset) not in page
    assert "| simulated | 3 |" in page


def test_a_limit_scores_only_the_first_scans_of_each_source(tiny_dataset: Path, tmp_path: Path) -> None:
    assert xray_eval("--data", tiny_dataset, "--limit", "1", "--out", tmp_path).exit_code == 0
    data = json.loads((tmp_path / "results.json").read_text(encoding="utf-8"))
    assert [source["scans"] for source in data["sources"]] == [1]
    assert data["images"][0]["negatives"] == 1


def test_the_recorded_command_tells_of_a_limit(tiny_dataset: Path, tmp_path: Path) -> None:
    assert xray_eval("--data", tiny_dataset, "--limit", "1", "--out", tmp_path).exit_code == 0
    assert "--limit 1" in json.loads((tmp_path / "results.json").read_text(encoding="utf-8"))["command"]


@pytest.mark.slow
@pytest.mark.skipif(not SHIPPED_CHECKPOINT.is_file(), reason="the embedded model ships without its checkpoint")
def test_the_checkpoint_scores_like_the_exported_network(
    measured: tuple[Result, Path], tiny_dataset: Path, tmp_path: Path
) -> None:
    result = xray_eval("--data", tiny_dataset, "--backend", "ultralytics", "--out", tmp_path)
    assert result.exit_code == 0, result.output
    ours = json.loads((tmp_path / "results.json").read_text(encoding="utf-8"))
    exported = json.loads((measured[1] / "results.json").read_text(encoding="utf-8"))
    assert ours["model"]["backend"].startswith("ultralytics/")
    assert ours["mean_map50"] == pytest.approx(exported["mean_map50"], abs=0.02)


def test_a_missing_folder_is_bad_usage(tmp_path: Path) -> None:
    result = xray_eval("--data", tmp_path / "nowhere")
    assert result.exit_code == 2
    assert "does not exist" in result.output


def test_an_unknown_model_is_named_with_what_there_is(tiny_dataset: Path) -> None:
    result = xray_eval("--data", tiny_dataset, "--model", "imaginary")
    assert result.exit_code == 20
    assert "imaginary" in result.output
    assert "default" in result.output


@pytest.mark.parametrize("missing", ["manifest.csv", "classes.txt", "annotated.json", "labels/test/simulated_3.txt"])
def test_a_dataset_with_a_missing_file_is_named(broken: Path, missing: str) -> None:
    (broken / missing).unlink()
    result = xray_eval("--data", broken)
    assert result.exit_code == 1
    assert isinstance(result.exception, SystemExit)
    assert f"{Path(missing).name} is missing" in result.output.replace("\n", "")


def test_a_bad_label_row_is_named_with_file_and_line(broken: Path) -> None:
    (broken / "labels/test/simulated_3.txt").write_text("0 0.5 0.5\n", encoding="utf-8")
    result = xray_eval("--data", broken)
    assert result.exit_code == 1
    assert "simulated_3.txt, line 1" in result.output.replace("\n", "")


@pytest.mark.parametrize("content", [None, b"no picture"])
def test_a_missing_or_broken_picture_is_named(broken: Path, content: bytes | None) -> None:
    picture = broken / "images/test/simulated_3.png"
    picture.unlink()
    if content is not None:
        picture.write_bytes(content)
    result = xray_eval("--data", broken)
    assert isinstance(result.exception, SystemExit)
    assert "simulated_3.png" in result.output


def test_a_split_without_scans_is_an_error(tiny_dataset: Path) -> None:
    result = xray_eval("--data", tiny_dataset, "--split", "train")
    assert result.exit_code in {1, 2}
    assert isinstance(result.exception, SystemExit)
    assert "train" in result.output
