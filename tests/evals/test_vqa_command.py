"""``xray-eval vqa``."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from xray_evals.cli import main
from xray_evals.sections import put_section, sections_of
from xray_training.datasets.pairs import PAIRS_FILE, Pair, in_pixels, write_pairs

from tests.evals.asked import folder_of, one_of_each, presence
from tests.evals.talker import Question, Reply, talking
from xray_agent_tools.detector.package import load_package

TEST_PAIRS = one_of_each("test", "one.png")


def xray_eval(*arguments: str | Path) -> Result:
    return CliRunner().invoke(main, ["vqa", *[str(argument) for argument in arguments]])


def truthful(question: Question) -> Reply:
    """The wanted answer, but for one kind of question that it fails to answer and one that it answers wrongly."""
    for one in TEST_PAIRS:
        if in_pixels(one.question, one.places, *question.size) == question.text:
            if one.kind == "count":
                return 400
            return "A toy." if one.kind == "crop" else in_pixels(one.answer, one.places, *question.size)
    return "I do not know the question."


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return folder_of(tmp_path_factory.mktemp("pairs"), [*one_of_each("train", "two.png"), *TEST_PAIRS])


@pytest.fixture(scope="module")
def measured(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Result, Path]:
    """What the command prints and writes about a model that is nearly always right."""
    out = tmp_path_factory.mktemp("results") / "deep"
    with talking(truthful) as talker:
        result = xray_eval(
            *("--pairs", folder, "--endpoint", f"nano=xray-vlm-nano@{talker.url}"),
            *("--out", out, "--record", "--keep-replies", out / "replies"),
        )
    return result, out


def test_all_answerers_stand_in_one_table(measured: tuple[Result, Path]) -> None:
    result, out = measured
    assert result.exit_code == 0, result.output
    page = (out / "VQA.md").read_text(encoding="utf-8")
    head = next(line for line in page.splitlines() if line.startswith("| accuracy |"))
    assert [cell.strip() for cell in head.strip("|").split("|")] == [
        "accuracy",
        "questions",
        "nano",
        "grounded explainer",
        "text-only",
        "majority",
    ]
    for name in ("nano", "grounded explainer", "text-only", "majority"):
        assert name in result.output


def test_the_figures_are_those_of_the_replies(measured: tuple[Result, Path]) -> None:
    data = json.loads((measured[1] / "vqa.json").read_text(encoding="utf-8"))
    nano = data["answerers"][0]
    wrong = {kind: accuracy["value"] for kind, accuracy in nano["kinds"].items() if accuracy["value"] < 1}
    assert wrong == {"count": 0.0, "crop": 0.0}
    assert nano["kinds"]["count"]["unparsed"] == 1
    assert nano["kinds"]["crop"]["unparsed"] == 0
    assert list(nano["failed"].values()) == [1]
    assert nano["macro"][0] == pytest.approx(10 / 12, abs=1e-6)
    assert data["pairs"]["questions"] == len(TEST_PAIRS)
    assert data["pairs"]["taught"] == len(TEST_PAIRS)
    presence = {one["name"]: one["kinds"]["presence"]["value"] for one in data["answerers"]}
    assert [goal["measured"][0] for goal in data["goals"]] == [1.0, 1.0 - presence["text-only"]]
    assert [goal["met"] for goal in data["goals"]] == [True, presence["text-only"] <= 0.8]


def test_the_page_says_what_failed_and_what_made_the_figures(measured: tuple[Result, Path], folder: Path) -> None:
    page = (measured[1] / "VQA.md").read_text(encoding="utf-8")
    assert "1 of 13 questions got no reply" in measured[0].output
    assert "BadRequestError" in page
    assert "--endpoint nano=xray-vlm-nano@URL" in page
    assert load_package("default").manifest.sha256[:16] in page
    assert "Commit" in page
    for private in (str(folder), "127.0.0.1"):
        assert private not in page


def test_recording_puts_the_table_into_the_results_of_all(measured: tuple[Result, Path]) -> None:
    out = measured[1]
    section = sections_of((out / "RESULTS.md").read_text(encoding="utf-8"))["vqa"]
    assert section.startswith("## Questions and answers")
    assert "| accuracy |" in section
    assert json.loads((out / "results.json").read_text(encoding="utf-8"))["vqa"]["split"] == "test"


def test_recorded_replies_score_the_same_again(measured: tuple[Result, Path], folder: Path, tmp_path: Path) -> None:
    replies = measured[1] / "replies"
    assert sorted(path.name for path in replies.iterdir()) == [
        "grounded-explainer.jsonl",
        "majority.jsonl",
        "nano.jsonl",
        "text-only.jsonl",
    ]
    result = xray_eval("--pairs", folder, "--replies", f"again={replies / 'nano.jsonl'}", "--out", tmp_path)
    assert result.exit_code == 0, result.output
    first = json.loads((measured[1] / "vqa.json").read_text(encoding="utf-8"))["answerers"][0]
    again = json.loads((tmp_path / "vqa.json").read_text(encoding="utf-8"))["answerers"][0]
    assert {name: first[name] for name in first if name not in ("name", "about")} == {
        name: again[name] for name in again if name not in ("name", "about")
    }


def test_without_a_model_the_baselines_are_scored_and_other_results_stay(folder: Path, tmp_path: Path) -> None:
    put_section(tmp_path, "drift", "kept", {"figure": 1})
    result = xray_eval("--pairs", folder, "--out", tmp_path, "--record")
    assert result.exit_code == 0, result.output
    assert sections_of((tmp_path / "RESULTS.md").read_text(encoding="utf-8")).keys() == {"drift", "vqa"}
    data = json.loads((tmp_path / "results.json").read_text(encoding="utf-8"))
    assert data["drift"] == {"figure": 1}
    assert [answerer["name"] for answerer in data["vqa"]["answerers"]] == [
        "grounded explainer",
        "text-only",
        "majority",
    ]
    assert data["vqa"]["goals"] == []


def test_nothing_is_written_unless_asked(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert xray_eval("--pairs", folder, "--limit", "2").exit_code == 0
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        (["--record"], "--record needs --out"),
        (["--record", "--out", "x", "--limit", "2"], "leave --limit out"),
        (["--record", "--out", "x", "--split", "train"], "leave --split train out"),
        (["--endpoint", "nano"], "give NAME=MODEL@URL"),
        (["--endpoint", "nano=model@ftp://x"], "give NAME=MODEL@URL"),
        (["--frame", "nano=/there/is/no/frame.json"], "cannot be read"),
        (["--frame", "frame.json"], "give NAME=FILE"),
        (["--replies", "nano=/there/is/no/such.jsonl"], "give NAME=FILE"),
        (["--endpoint", "majority=m@http://127.0.0.1:1"], "a name of its own"),
        (["--endpoint", "a=m@http://127.0.0.1:1", "--endpoint", "a=n@http://127.0.0.1:1"], "a name of its own"),
        (["--endpoint", "a/b=m@http://127.0.0.1:1"], "letters, digits"),
        (["--split", "val"], "no pair is of the split 'val'"),
    ],
)
def test_what_makes_no_sense_is_refused_before_anything_is_asked(
    folder: Path, arguments: list[str], problem: str
) -> None:
    result = xray_eval("--pairs", folder, *arguments)
    assert result.exit_code != 0
    assert problem in " ".join(result.output.split())


def test_a_frame_is_the_one_of_an_endpoint_and_the_folder_of_its_model_is_not_told(
    folder: Path, tmp_path: Path
) -> None:
    frame = tmp_path / "frame.json"
    frame.write_text('{"cell": 24, "min_pixels": 20736, "max_pixels": 69696}', encoding="utf-8")
    result = xray_eval("--pairs", folder, "--frame", f"nano={frame}")
    assert "there is none called 'nano'" in " ".join(result.output.split())
    with talking(lambda question: "Yes.") as talker:
        endpoint = f"nano=/srv/models/xray-vlm-nano@{talker.url}"
        out = tmp_path / "out"
        result = xray_eval(
            "--pairs", folder, "--endpoint", endpoint, "--frame", f"nano={frame}", "--out", out, "--limit", "1"
        )
    assert result.exit_code == 0, result.output
    ((width, height),) = [question.size for question in talker.heard]
    assert width % 24 == height % 24 == 0
    assert 20736 <= width * height <= 69696
    page = (out / "VQA.md").read_text(encoding="utf-8")
    assert "cells of 24" in page
    assert "--endpoint nano=xray-vlm-nano@URL" in page
    assert "/srv" not in page


def folder_with(root: Path, pairs: list[Pair]) -> Path:
    write_pairs(pairs, root / PAIRS_FILE)
    return root


def test_pairs_that_nothing_can_be_learned_from_are_refused(tmp_path: Path) -> None:
    result = xray_eval("--pairs", folder_with(tmp_path, [presence(1, yes=True)]))
    assert result.exit_code == 1
    assert "no pair of the split 'train'" in result.output


def test_an_id_that_occurs_twice_is_refused(tmp_path: Path) -> None:
    twice = [presence(1, yes=True), presence(1, yes=False), presence(2, yes=True, split="train")]
    result = xray_eval("--pairs", folder_with(tmp_path, twice))
    assert result.exit_code == 1
    assert "holds an id twice" in result.output


def test_replies_to_other_pairs_are_refused(folder: Path, tmp_path: Path) -> None:
    path = tmp_path / "replies.jsonl"
    path.write_text('{"id": "elsewhere", "reply": "Yes."}\n', encoding="utf-8")
    result = xray_eval("--pairs", folder, "--replies", f"nano={path}")
    assert result.exit_code == 1
    assert "a reply to none of the questions" in result.output
