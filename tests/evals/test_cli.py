from __future__ import annotations

import json
import re
import shutil
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result
from xray_evals.assess import Looked, look_at
from xray_evals.changes import CHANGES
from xray_evals.cli import main
from xray_evals.commands import detector as command

from xray_agent_tools.detector.package import load_package

SPEED = {
    "ratio_to_peer": 0.5,
    "non_network_share": 0.1,
    "ours_ms": 40,
    "peer_ms": 80,
    "scans": "demo scans",
    "threads": 2,
    "commit": "abc",
}
SHIPPED_CHECKPOINT = load_package("default").folder / "model.pt"


def xray_eval(*arguments: str | Path) -> Result:
    return CliRunner().invoke(main, ["detector", *[str(argument) for argument in arguments]])


@pytest.fixture(scope="module")
def measured(tiny_dataset: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Result, Path]:
    """What ``xray-eval detector`` prints and writes for the tiny dataset."""
    out = tmp_path_factory.mktemp("results") / "deep" / "er"
    return xray_eval("--data", tiny_dataset, "--out", out), out


@pytest.fixture
def looks(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """The detectors that looked, in their order."""
    seen = []

    def watched(detector: Any, *arguments: Any, **others: Any) -> Looked:
        seen.append(detector)
        return look_at(detector, *arguments, **others)

    monkeypatch.setattr(command, "look_at", watched)
    return seen


@pytest.fixture
def broken(tiny_dataset: Path, tmp_path: Path) -> Path:
    """A copy of the tiny dataset to break."""
    return shutil.copytree(tiny_dataset, tmp_path / "broken")


def test_scoring_prints_a_table_per_source(measured: tuple[Result, Path]) -> None:
    result, _ = measured
    assert result.exit_code == 0, result.output
    for word in ("simulated", "mAP50", "mean", "TPR", "all", "ECE", "goal"):
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


def test_the_recorded_command_names_no_folder_of_the_machine(
    tiny_dataset: Path, held_out: Path, tmp_path: Path
) -> None:
    package = load_package("default").folder
    options: list[str | Path] = [
        "--simulated",
        held_out,
        "--model",
        package,
        "--compare",
        f"same={package}",
        "--limit",
        "1",
    ]
    result = xray_eval("--data", tiny_dataset, *options, "--out", tmp_path)
    assert result.exit_code == 0, result.output
    assert json.loads((tmp_path / "results.json").read_text(encoding="utf-8"))["command"] == (
        "xray-eval detector --data DATA --split test --simulated SIMULATED --model default --backend onnx "
        "--compare same=default --limit 1"
    )


def test_another_model_stands_beside_the_scored_one(tiny_dataset: Path, tmp_path: Path) -> None:
    assert xray_eval("--data", tiny_dataset, "--compare", "same=default", "--out", tmp_path).exit_code == 0
    data = json.loads((tmp_path / "results.json").read_text(encoding="utf-8"))
    first, second = data["others"]
    assert second["name"] == "same"
    for figure in ("map50", "mean_map50", "tpr", "ece"):
        assert first[figure] == second[figure]


def test_simulated_scans_are_scored_apart(
    measured: tuple[Result, Path], tiny_dataset: Path, held_out: Path, tmp_path: Path
) -> None:
    result = xray_eval("--data", tiny_dataset, "--simulated", held_out, "--out", tmp_path)
    assert result.exit_code == 0, result.output
    alone, beside = (json.loads((out / "results.json").read_text(encoding="utf-8")) for out in (measured[1], tmp_path))
    assert beside["simulated"]["boxes"]["scans"] == 6
    assert alone["simulated"] is None
    assert beside["mean_map50"] == alone["mean_map50"]
    assert beside["images"] == alone["images"]


def test_looks_are_turned_round_and_changed_scans_are_scored_on_request(
    tiny_dataset: Path, tmp_path: Path, looks: list[Any]
) -> None:
    options = ["--ablations", "--robustness", "--robustness-scans", "1"]
    result = xray_eval("--data", tiny_dataset, *options, "--out", tmp_path)
    assert result.exit_code == 0, result.output
    data = json.loads((tmp_path / "results.json").read_text(encoding="utf-8"))
    manifest = load_package("default").manifest
    assert [row["name"] for row in data["ablations"]] == [
        f"{manifest.id} {manifest.version}",
        "without content crop" if manifest.content_crop else "with content crop",
        "without second look" if manifest.second_look else "with second look",
    ]
    crops, again = manifest.content_crop, manifest.second_look is not None
    assert [(one.content_crop, one.second_look is not None) for one in looks] == [
        (crops, again),
        (not crops, again),
        (crops, not again),
    ]
    assert [row["change"] for row in data["robustness"]] == [change.name for change in CHANGES]
    assert {row["scans"] for row in data["robustness"]} == {1}
    assert "--robustness --robustness-scans 1 --ablations" in data["command"]


def test_plots_lie_beside_the_page_that_shows_them(measured: tuple[Result, Path]) -> None:
    _, out = measured
    page = (out / "RESULTS.md").read_text(encoding="utf-8")
    shown = re.findall(r"!\[[^]]*\]\(([^)]*)\)", page)
    assert shown == ["plots/roc.svg", "plots/reliability.svg"]
    assert all((out / plot).is_file() for plot in shown)


def test_a_page_in_the_checkout_links_to_its_documentation(
    tiny_dataset: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(command, "_ROOT", tmp_path)
    (tmp_path / "docs").mkdir()
    out = tmp_path / "evals" / "simulated"
    assert xray_eval("--data", tiny_dataset, "--limit", "1", "--out", out).exit_code == 0
    assert "](../../docs/model.md#" in (out / "RESULTS.md").read_text(encoding="utf-8")


def test_speeds_of_the_benchmark_reach_the_goals(tiny_dataset: Path, tmp_path: Path) -> None:
    speed = tmp_path / "speed.json"
    speed.write_text(json.dumps({**SPEED, "sha256": load_package("default").manifest.sha256}), encoding="utf-8")
    assert xray_eval("--data", tiny_dataset, "--limit", "1", "--speed", speed, "--out", tmp_path).exit_code == 0
    goals = json.loads((tmp_path / "results.json").read_text(encoding="utf-8"))["goals"]
    assert [(goal["measured"], goal["met"]) for goal in goals[-2:]] == [(0.5, False), (0.1, True)]


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--compare", "alone"], "NAME=MODEL"),
        (["--compare", "a=default", "--compare", "a=default"], "each name has to be another"),
        (["--record", "--limit", "1"], "leave --limit out"),
        (["--record", "--split", "val"], "leave --split val out"),
        (["--record", "--backend", "ultralytics"], "leave --backend ultralytics out"),
    ],
)
def test_bad_options_are_refused_before_anything_is_looked_at(
    tiny_dataset: Path, options: list[str], said: str, looks: list[Any]
) -> None:
    result = xray_eval("--data", tiny_dataset, *options)
    assert result.exit_code == 2
    assert said in result.output
    assert not looks


def test_speeds_of_another_network_are_refused(tiny_dataset: Path, tmp_path: Path, looks: list[Any]) -> None:
    speed = tmp_path / "speed.json"
    speed.write_text(json.dumps({**SPEED, "sha256": "0" * 64}), encoding="utf-8")
    result = xray_eval("--data", tiny_dataset, "--speed", speed)
    assert result.exit_code == 2
    assert "run `make bench` again" in result.output.replace("\n", " ")
    assert not looks


def test_recording_puts_the_scores_into_manifest_and_card(tiny_dataset: Path, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(load_package("default").folder, tmp_path / "package"))
    before = load_package(folder).manifest
    result = xray_eval("--data", tiny_dataset, "--model", folder, "--record")
    assert result.exit_code == 0, result.output
    after = load_package(folder).manifest
    assert ("mAP50", "simulated, 3 scans") in {(score.name, score.scans) for score in after.scores}
    assert after.model_copy(update={"scores": before.scores}) == before
    assert "| mAP50 | simulated, 3 scans |" in (folder / "CARD.md").read_text(encoding="utf-8")


def test_a_file_without_speeds_is_bad_usage(tiny_dataset: Path, tmp_path: Path) -> None:
    (tmp_path / "speed.json").write_text("{}", encoding="utf-8")
    result = xray_eval("--data", tiny_dataset, "--speed", tmp_path / "speed.json")
    assert result.exit_code == 2
    assert "make bench" in result.output.replace("\n", " ")


def test_a_folder_that_no_simulator_wrote_is_named(tiny_dataset: Path) -> None:
    result = xray_eval("--data", tiny_dataset, "--simulated", tiny_dataset)
    assert result.exit_code == 1
    assert "truth.jsonl is missing" in result.output.replace("\n", "")


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::torch.jit.TracerWarning")  # PyTorch's own exporter
@pytest.mark.skipif(not SHIPPED_CHECKPOINT.is_file(), reason="the embedded model ships without its checkpoint")
def test_the_peer_runs_the_same_weights_on_the_same_scans(tiny_dataset: Path, tmp_path: Path) -> None:
    result = xray_eval("--data", tiny_dataset, "--peer", "--out", tmp_path)
    assert result.exit_code == 0, result.output
    data = json.loads((tmp_path / "results.json").read_text(encoding="utf-8"))
    ours, peer = data["others"]
    assert peer["name"] == "Ultralytics predict at 640"
    assert set(peer["map50"]) == set(ours["map50"])
    assert peer["mean_map50"] > 0
    beside = next(goal for goal in data["goals"] if "not below" in goal["what"])
    assert (beside["goal"], beside["measured"]) == (peer["mean_map50"], ours["mean_map50"])


def test_a_peer_without_a_checkpoint_is_refused_before_anything_is_looked_at(
    tiny_dataset: Path, tmp_path: Path, looks: list[Any]
) -> None:
    package = tmp_path / "package"
    shutil.copytree(load_package("default").folder, package, ignore=shutil.ignore_patterns("*.pt"))
    result = xray_eval("--data", tiny_dataset, "--limit", "1", "--model", package, "--peer")
    assert result.exit_code == 20
    assert "leave --peer out" in result.output
    assert not looks


def test_a_broken_model_to_compare_is_refused_before_anything_is_looked_at(
    tiny_dataset: Path, tmp_path: Path, looks: list[Any]
) -> None:
    package = Path(shutil.copytree(load_package("default").folder, tmp_path / "package"))
    (package / "model.onnx").write_bytes(b"no network")
    result = xray_eval("--data", tiny_dataset, "--compare", f"broken={package}")
    assert isinstance(result.exception, SystemExit)
    assert result.exit_code not in (0, 1, 2)
    assert not looks


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
