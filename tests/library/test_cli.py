from __future__ import annotations

import json
import os
import subprocess
import sys
from importlib.metadata import EntryPoint, EntryPoints
from pathlib import Path
from typing import Any

import click
import numpy as np
import pytest
import yaml
from click.testing import CliRunner, Result
from PIL import Image

from tests.library.pictures import ScriptedDetector, bag, encoded, found
from xray_agent_tools import cli
from xray_agent_tools.cli import main
from xray_agent_tools.declaration.policy import embedded_policies
from xray_agent_tools.errors import TABLE
from xray_agent_tools.screener import Screener


@pytest.fixture
def bag_file(tmp_path: Path) -> Path:
    path = tmp_path / "bag.png"
    path.write_bytes(encoded(bag()))
    return path


@pytest.fixture
def gun_is_seen(monkeypatch: pytest.MonkeyPatch) -> ScriptedDetector:
    """The command line's detector sees a gun on every scan."""
    detector = ScriptedDetector([found("gun")])
    monkeypatch.setattr(cli, "_screener", lambda model: Screener(model=detector))
    return detector


@pytest.fixture
def nothing_is_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cli, "_screener", lambda model: Screener(model=ScriptedDetector()))


def run(*arguments: str | Path) -> Result:
    return CliRunner().invoke(main, [str(argument) for argument in arguments])


@pytest.mark.usefixtures("gun_is_seen")
def test_an_alarm_exits_with_10_and_shows_a_table(bag_file: Path) -> None:
    result = run("detect", bag_file)
    assert result.exit_code == 10
    assert "ALARM" in result.output
    assert "centre-left" in result.output
    assert "\x1b" not in result.output


@pytest.mark.usefixtures("nothing_is_seen")
def test_no_alarm_exits_with_0_and_unknown_with_11(bag_file: Path, tmp_path: Path) -> None:
    blank = tmp_path / "blank.png"
    blank.write_bytes(encoded(np.full((200, 200), 255, np.uint8)))
    assert (run("detect", bag_file).exit_code, run("detect", blank).exit_code) == (0, 11)


@pytest.mark.usefixtures("gun_is_seen")
@pytest.mark.parametrize(
    ("arguments", "keys"),
    [
        (["detect"], {"verdict", "detections"}),
        (["explain", "-q", "Is there a gun?"], {"answer", "findings"}),
        (["assess", "-d", "laptop"], {"items", "reasons"}),
    ],
)
def test_json_is_one_line_and_the_whole_answer(arguments: list[str], keys: set[str], bag_file: Path) -> None:
    result = run(arguments[0], bag_file, *arguments[1:], "--json")
    assert result.output.count("\n") == 1
    assert keys <= set(json.loads(result.output))


@pytest.mark.usefixtures("gun_is_seen")
def test_an_explanation_and_an_assessment_read_well(bag_file: Path) -> None:
    explained, assessed = run("explain", bag_file), run("assess", bag_file, "-d", "my [red]laptop[/red]")
    assert explained.exit_code == 10
    assert "gun at the centre-left (d1)" in explained.output
    assert assessed.exit_code == 10
    assert "PHYSICAL_INSPECTION" in assessed.output
    assert "my [red]laptop[/red]" in assessed.output
    assert "critical-item" in assessed.output


@pytest.mark.usefixtures("gun_is_seen")
def test_views_of_one_bag_are_given_one_after_the_other(bag_file: Path) -> None:
    answer = json.loads(run("detect", bag_file, bag_file, "--json").output)
    assert len(answer["image"]["views"]) == 2


@pytest.mark.usefixtures("gun_is_seen")
def test_view_writes_an_overlay_and_a_crop(bag_file: Path, tmp_path: Path) -> None:
    overlay, crop = tmp_path / "overlay.png", tmp_path / "crop.png"
    assert run("view", bag_file, "-o", overlay).exit_code == 10
    assert run("view", bag_file, "-o", crop, "--crop", "d1").exit_code == 10
    with Image.open(overlay) as picture:
        assert picture.size == (300, 200)
        assert np.any(np.asarray(picture) != bag())
    with Image.open(crop) as picture:
        assert max(picture.size) == 224


@pytest.mark.usefixtures("gun_is_seen")
def test_a_crop_of_a_detection_that_is_not_there_is_refused(bag_file: Path, tmp_path: Path) -> None:
    result = run("view", bag_file, "-o", tmp_path / "x.png", "--crop", "d7")
    assert result.exit_code == 2
    assert "the detections are: d1" in result.output


@pytest.mark.parametrize(
    ("arguments", "exit_code", "code"),
    [
        (["detect", "missing.png"], 3, "invalid_scan"),
        (["detect", "http://a/b.png"], 5, "access_denied"),
        (["detect", "BAG", "--label", "gnu"], 6, "unknown_label"),
        (["detect", "BAG", "--min-confidence", "2"], 2, "invalid_argument"),
        (["detect", "BAG", "--model", "nothing"], 20, "model_unavailable"),
        (["assess", "BAG", "--policy", "nothing"], 8, "invalid_policy"),
        (["assess", "BAG", "-d", "x" * 2000], 7, "invalid_declaration"),
        (["policy", "check", "nothing"], 8, "invalid_policy"),
        (["model", "show", "nothing"], 20, "model_unavailable"),
        (["taxonomy", "gnu"], 6, "unknown_label"),
    ],
)
def test_errors_have_their_own_exit_code_and_a_hint(
    arguments: list[str], exit_code: int, code: str, bag_file: Path
) -> None:
    filled = [str(bag_file) if argument == "BAG" else argument for argument in arguments]
    readable, machine = run(*filled), run(*filled, "--json")
    assert (readable.exit_code, machine.exit_code) == (exit_code, exit_code)
    assert "hint:" in readable.output
    assert json.loads(machine.output)["error"]["code"] == code


def test_no_error_shares_its_exit_code_with_a_verdict() -> None:
    codes = [outcome.exit_code for outcome in TABLE.values()]
    assert not {0, 10, 11} & set(codes)
    assert len(set(codes)) == len(codes)


@pytest.mark.parametrize("arguments", [[], ["detect"], ["detect", "--no-such-option"], ["nothing"], ["batch", "x"]])
def test_bad_usage_exits_with_2(arguments: list[str]) -> None:
    assert run(*arguments).exit_code == 2


@pytest.fixture
def scans(tmp_path: Path) -> Path:
    folder = tmp_path / "scans"
    (folder / "more").mkdir(parents=True)
    for name in ("a.png", "b.JPG", "more/c.png"):
        (folder / name).write_bytes(encoded(bag()))
    (folder / "broken.png").write_bytes(b"broken")
    (folder / "notes.txt").write_text("no scan")
    return folder


def lines_of(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text().splitlines()]


@pytest.mark.usefixtures("gun_is_seen")
def test_a_batch_writes_a_line_for_each_scan_and_a_bad_one_does_not_stop_it(scans: Path, tmp_path: Path) -> None:
    out = tmp_path / "out.jsonl"
    result = run("batch", scans, "-o", out)
    assert result.exit_code == 0
    assert "3 ALARM, 0 NO_ALARM, 0 UNKNOWN, 1 error, 0 skipped" in result.output
    lines = lines_of(out)
    assert [Path(line["file"]).name for line in lines] == ["a.png", "b.JPG", "broken.png", "c.png"]
    assert lines[2]["error"]["code"] == "invalid_scan"
    assert lines[0]["report"]["verdict"] == "ALARM"


def test_a_batch_goes_on_after_a_kill_in_the_middle_of_a_line(
    scans: Path, tmp_path: Path, gun_is_seen: ScriptedDetector
) -> None:
    out = tmp_path / "out.jsonl"
    run("batch", scans, "-o", out)
    whole = out.read_text()
    first = whole.splitlines(keepends=True)[0]
    out.write_text(first + '{"file": "half a li')
    gun_is_seen.calls = 0
    totals = json.loads(run("batch", scans, "-o", out, "--json").output)
    assert totals == {"ALARM": 2, "NO_ALARM": 0, "UNKNOWN": 0, "error": 1, "skipped": 1}
    assert [line["file"] for line in lines_of(out)] == [json.loads(line)["file"] for line in whole.splitlines()]
    assert gun_is_seen.calls == 2


@pytest.mark.usefixtures("gun_is_seen")
def test_a_batch_takes_a_glob_and_can_begin_again(scans: Path, tmp_path: Path) -> None:
    out = tmp_path / "out.jsonl"
    for _ in range(2):
        assert run("batch", f"{scans}/*.png", "-o", out, "--restart").exit_code == 0
    assert len(lines_of(out)) == 2


def test_a_batch_of_nothing_and_one_that_cannot_be_written_say_so(scans: Path, tmp_path: Path) -> None:
    assert "no pictures" in run("batch", tmp_path / "empty", "-o", tmp_path / "o").output
    result = run("batch", scans, "-o", tmp_path / "no" / "such" / "folder.jsonl")
    assert result.exit_code == 23


def test_the_taxonomy_and_an_item_are_shown() -> None:
    assert "8211" in run("taxonomy").output
    assert "look-alikes" in run("taxonomy", "knife").output
    assert len(json.loads(run("taxonomy", "--json").output)["items"]) >= 40


@pytest.mark.parametrize("name", embedded_policies())
def test_an_embedded_policy_is_shown(name: str) -> None:
    assert "critical-item" in run("policy", "check", "cabin").output
    assert json.loads(run("policy", "check", name, "--json").output)["name"] == name


def test_a_broken_policy_file_names_its_problem(tmp_path: Path) -> None:
    path = tmp_path / "policy.yaml"
    path.write_text(yaml.safe_dump({"name": "mine"}))
    result = run("policy", "check", path)
    assert result.exit_code == 8
    assert "rules" in result.output


def test_the_model_is_shown_with_its_operating_points() -> None:
    result = run("model", "show")
    assert "Research and evaluation only" in result.output
    assert "trained on" in result.output
    assert json.loads(run("model", "show", "--json").output)["head"] == "raw"


def test_the_doctor_finds_a_healthy_installation_healthy() -> None:
    result = run("doctor")
    assert "canary: the known" in result.output
    checks = json.loads(run("doctor", "--json").output)
    assert {check["name"] for check in checks} >= {"python", "onnxruntime", "model", "canary", "policies"}
    assert result.exit_code == (0 if all(check["passed"] for check in checks) else 23)


def test_the_doctor_explains_a_clash_of_runtimes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("xray_agent_tools.detector.runtime.version", lambda name: "1.0")
    result = run("doctor")
    assert result.exit_code == 23
    assert "uninstall both" in result.output


@click.command()
def plugged_in() -> None:
    """Say hello."""
    click.echo("hello")


def test_another_package_can_add_commands_and_one_that_lacks_something_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    named = {"hello": f"{__name__}:plugged_in", "broken": "no_such_package:command", "detect": f"{__name__}:plugged_in"}
    entries = [EntryPoint(name, value, "xray_tools.commands") for name, value in named.items()]
    monkeypatch.setattr(cli, "entry_points", EntryPoints(entries).select)
    listed = run("--help").output
    assert "Say hello." in listed
    assert listed.count("  detect") == 1
    assert run("hello").output == "hello\n"
    assert "look for threats" in run("detect", "--help").output.lower()
    readable, machine = run("broken", "x", "--option"), run("broken", "--json")
    assert (readable.exit_code, machine.exit_code) == (23, 23)
    assert "no_such_package" in readable.output
    assert "hint:" in readable.output
    assert json.loads(machine.output)["error"]["code"] == "misconfigured"


def test_the_installed_command_runs(bag_file: Path) -> None:
    command = Path(sys.executable).parent / "xray-tools"
    result = subprocess.run(
        [command, "detect", bag_file, "--json"],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "TERM": "dumb"},
    )
    assert result.returncode in {0, 10, 11}
    assert json.loads(result.stdout)["image"]["width"] == 300
    assert result.stderr == ""
