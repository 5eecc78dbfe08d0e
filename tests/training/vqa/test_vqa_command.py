from __future__ import annotations

import json
from collections import Counter, defaultdict
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner, Result
from PIL import Image
from xray_training.commands.vqa import vqa
from xray_training.datasets.pairs import Pair, YesNo, in_pixels, read_pairs
from xray_training.datasets.replies import verdict_of

from tests.training.folders import Drawn, write_folder
from tests.training.vqa.endpoint import asked_to_reword, endpoint, texts


def run(folders: Path | list[Path], out: Path, *options: str, stdin: str | None = None) -> Result:
    named = [folders] if isinstance(folders, Path) else folders
    command = [part for folder in named for part in ("--data", str(folder))]
    return CliRunner().invoke(vqa, [*command, "--out", str(out), *options], input=stdin)


def made(folders: Path | list[Path], out: Path, *options: str) -> list[Pair]:
    result = run(folders, out, *options)
    assert result.exit_code == 0, result.output
    return list(read_pairs(out / "pairs.jsonl"))


def files_in(folder: Path) -> dict[str, bytes]:
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def drawn(count: int = 40) -> list[Drawn]:
    """Scans of a source that annotates three labels; scans ``2n`` and ``2n + 1`` are of one bag, no two look the same."""
    scans = []
    for number in range(count):
        left = 4 + number
        items: list[tuple[str, tuple[int, int, int, int]]] = [("knife", (left, 5, left + 24, 14))] if number % 3 else []
        items += [("gun", (30 + number, 40 + number % 7, 70 + number, 70))] if number % 2 else []
        split = "train" if number < 0.7 * count else "test"
        scans.append(Drawn("north", tuple(items), split=split, group=f"g{number // 2}"))
    return scans


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return write_folder(tmp_path / "scans", {"north": ["knife", "gun", "scissors"]}, drawn())


@pytest.fixture(scope="module")
def from_simulator(simulated: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("vqa") / "out"
    made(simulated, out, "--val", "0.3", "--per-scan", "12")
    return out


def test_the_same_seed_and_folder_give_the_same_bytes(folder: Path, tmp_path: Path) -> None:
    made(folder, tmp_path / "one" / "out")
    made(folder, tmp_path / "other" / "out")
    first = files_in(tmp_path / "one" / "out")
    assert first == files_in(tmp_path / "other" / "out")
    assert {"pairs.jsonl", "report.json", "REPORT.md", "hf/README.md", "made.json"} <= first.keys()
    made(folder, tmp_path / "third" / "out", "--seed", "1", "--no-hf")
    assert files_in(tmp_path / "third" / "out")["pairs.jsonl"] != first["pairs.jsonl"]


def test_the_same_command_may_be_given_again_and_another_one_not(folder: Path, tmp_path: Path) -> None:
    made(folder, tmp_path / "out")
    before = files_in(tmp_path / "out")
    made(folder, tmp_path / "out")
    assert files_in(tmp_path / "out") == before
    result = run(folder, tmp_path / "out", "--seed", "5")
    assert result.exit_code == 1
    assert "choose another --out" in result.output


def test_every_kind_is_asked_of_simulated_scans_and_every_answer_is_read_as_right(from_simulator: Path) -> None:
    pairs = list(read_pairs(from_simulator / "pairs.jsonl"))
    kinds = Counter(pair.kind for pair in pairs)
    assert set(kinds) >= {
        *("overview", "presence", "location", "count", "material", "occlusion"),
        *("comparison", "inventory", "grounding", "unanswerable", "regions"),
    }
    for pair in pairs:
        answer = in_pixels(pair.answer, pair.places, 10_000, 10_000)
        assert verdict_of(pair, answer, size=(10_000, 10_000)) == "right", pair


def test_every_label_is_affirmed_as_often_as_denied_and_the_report_says_so(from_simulator: Path) -> None:
    counts: dict[tuple[str, str], Counter[bool]] = defaultdict(Counter)
    for pair in read_pairs(from_simulator / "pairs.jsonl"):
        if pair.kind == "presence" and isinstance(pair.truth, YesNo):
            counts[pair.split, pair.asked[0]][pair.truth.yes] += 1
    assert counts
    assert all(found[True] == found[False] for found in counts.values())
    report = json.loads((from_simulator / "report.json").read_text(encoding="utf-8"))
    assert {(one["split"], one["label"]): (one["yes"], one["no"]) for one in report["presence"]} == {
        key: (found[True], found[False]) for key, found in counts.items()
    }


def test_no_bag_is_in_two_splits_and_some_bags_are_held_out(folder: Path, tmp_path: Path) -> None:
    pairs = made(folder, tmp_path / "out", "--val", "0.3")
    splits: dict[str, set[str]] = defaultdict(set)
    for pair in pairs:
        splits[pair.bag].add(pair.split)
    assert all(len(found) == 1 for found in splits.values())
    assert set().union(*splits.values()) == {"train", "val", "test"}


def test_a_bag_that_its_source_divides_stays_in_the_test_split_alone(tmp_path: Path) -> None:
    scans = drawn()
    scans[-1] = Drawn("north", scans[-1].items, split="test", group="g0")
    root = write_folder(tmp_path / "scans", {"north": ["knife", "gun", "scissors"]}, scans)
    pairs = made(root, tmp_path / "out", "--val", "0")
    assert {pair.split for pair in pairs if pair.bag == "scans/g0"} == {"test"}
    report = json.loads((tmp_path / "out" / "report.json").read_text(encoding="utf-8"))
    assert report["omitted"]["bag in another split too"] == 2
    assert report["leakage"] == {"bags": 0, "pictures": 0, "pairs": 0}


def test_a_picture_that_is_in_two_folders_is_one_bag(folder: Path, tmp_path: Path) -> None:
    again = [Drawn("south", scan.items, split="test", group=f"x{n}") for n, scan in enumerate(drawn())]
    other = write_folder(tmp_path / "others", {"south": ["knife", "gun", "scissors"]}, again)
    pairs = made([folder, other], tmp_path / "out")
    bags: dict[bytes, set[str]] = defaultdict(set)
    for pair in pairs:
        if pair.kind != "crop":
            bags[(tmp_path / "out" / pair.image).read_bytes()].add(pair.split)
    assert all(len(found) == 1 for found in bags.values())


def test_only_labels_that_the_source_annotates_are_asked_about(folder: Path, tmp_path: Path) -> None:
    for pair in made(folder, tmp_path / "out", "--per-scan", "12"):
        assert set(pair.asked) <= {"knife", "gun", "scissors"}


def test_pictures_are_the_scans_byte_for_byte_and_crops_show_the_item(folder: Path, tmp_path: Path) -> None:
    pairs = made(folder, tmp_path / "out", "--per-scan", "12", "--no-hf")
    sources = {path.read_bytes() for path in (folder / "images").rglob("*.png")}
    crops = [pair for pair in pairs if pair.kind == "crop"]
    for pair in pairs:
        if pair.kind != "crop":
            assert (tmp_path / "out" / pair.image).read_bytes() in sources
    for pair in crops:
        with Image.open(tmp_path / "out" / pair.image) as picture:
            pixels = np.asarray(picture.convert("L"))
        assert pixels[pixels.shape[0] // 2, pixels.shape[1] // 2] == 0
        assert 0.3 < (pixels == 0).mean() < 0.7
    assert not (tmp_path / "out" / "hf").exists()


def test_a_squeezed_picture_gets_its_aspect_back(tmp_path: Path) -> None:
    root = write_folder(tmp_path / "scans", {"north": ["knife", "gun", "scissors"]}, drawn())
    manifest = (root / "manifest.csv").read_text(encoding="utf-8").splitlines()
    lines = [manifest[0] + ",stretch", *(line + ",1.5" for line in manifest[1:])]
    (root / "manifest.csv").write_text("\n".join(lines) + "\n", encoding="utf-8")
    pair = next(pair for pair in made(root, tmp_path / "out") if pair.kind != "crop")
    with Image.open(tmp_path / "out" / pair.image) as picture:
        assert picture.size == (180, 80)


def test_the_dataset_loads_in_the_chat_format_with_its_pictures(from_simulator: Path, tmp_path: Path) -> None:
    from datasets import load_dataset

    loaded = load_dataset(str(from_simulator / "hf"), cache_dir=str(tmp_path / "cache"))
    pairs = {pair.id: pair for pair in read_pairs(from_simulator / "pairs.jsonl")}
    assert sum(len(part) for part in loaded.values()) == len(pairs)
    for split, part in loaded.items():
        for row in part.select(range(3)):
            pair = pairs[row["id"]]
            (picture,) = row["images"]
            user, assistant = row["messages"]
            assert pair.split == split
            assert [one["type"] for one in user["content"]] == ["image", "text"]
            assert user["content"][1]["text"] == in_pixels(pair.question, pair.places, *picture.size)
            assert assistant["content"][0]["text"] == in_pixels(pair.answer, pair.places, *picture.size)
            assert Pair.model_validate_json(row["pair"]) == pair


def test_each_picture_is_stored_once_in_the_dataset(from_simulator: Path) -> None:
    pictures = sum(path.stat().st_size for path in from_simulator.rglob("*.png"))
    stored = sum(path.stat().st_size for path in (from_simulator / "hf" / "data").iterdir())
    assert stored < 1.5 * pictures


def test_questions_that_need_no_picture_stop_the_command_and_the_report_says_which(tmp_path: Path) -> None:
    labels = ["gun", "knife", "scissors", "wrench", "pliers", "hammer", "lighter", "bullet", "handcuffs", "baton"]
    labels += ["power_bank", "spray_can", "explosive", "syringe"]
    scans = [Drawn("north", (("gun", (10 + n, 10, 60 + n, 50)),), group=f"g{n}") for n in range(40)]
    root = write_folder(tmp_path / "scans", {"north": labels}, scans)
    result = run(root, tmp_path / "out", "--kinds", "inventory,grounding")
    assert result.exit_code == 1
    assert "grounding: majority" in result.output
    assert "raise --blind-limit" in result.output
    assert not (tmp_path / "out" / "pairs.jsonl").exists()
    assert "| grounding | majority |" in (tmp_path / "out" / "REPORT.md").read_text(encoding="utf-8")
    assert made(root, tmp_path / "out", "--kinds", "inventory,grounding", "--blind-limit", "1")


def test_only_the_kinds_asked_for_are_made_and_at_most_the_scans_asked_for(folder: Path, tmp_path: Path) -> None:
    pairs = made(folder, tmp_path / "out", "--kinds", "presence, location", "--limit", "10")
    assert {pair.kind for pair in pairs} <= {"presence", "location"}
    assert len({pair.image for pair in pairs}) <= 10


def test_pairs_are_reworded_and_what_it_cost_is_told(folder: Path, tmp_path: Path) -> None:
    def answer(request: dict[str, object]) -> str:
        quoted = asked_to_reword(request)
        return texts(quoted["answer"] if "answer" in quoted else f"Officer's question. {quoted['question']}")

    with endpoint(answer) as (url, requests):
        options = ("--kinds", "presence", "--limit", "12", "--rewrite-url", url, "--rewrite-model", "wordsmith")
        prices = ("--price-in", "1000", "--price-out", "1000")
        declined = run(folder, tmp_path / "out", *options, *prices, stdin="n\n")
        assert (declined.exit_code, requests) == (1, [])
        assert "estimated cost" in declined.output
        result = run(folder, tmp_path / "out", *options, *prices, "--yes")
        assert result.exit_code == 0, result.output
        asked = len(requests)
        again = run(folder, tmp_path / "out", *options)
        assert (again.exit_code, len(requests)) == (0, asked)
    assert f"cost {asked * 0.12:.2f}" in result.output
    pairs = list(read_pairs(tmp_path / "out" / "pairs.jsonl"))
    assert {pair.wording for pair in pairs} == {"wordsmith"}
    assert all(pair.question.startswith("Officer's question. ") for pair in pairs)
    report = json.loads((tmp_path / "out" / "report.json").read_text(encoding="utf-8"))
    assert report["rewriting"]["cached"] == report["rewriting"]["requests"] == asked


@pytest.mark.parametrize(
    ("options", "status", "said"),
    [
        (("--kinds", "presense"), 2, "is none of overview"),
        (("--kinds", ","), 2, "name some of"),
        (("--rewrite-url", "http://127.0.0.1:9/v1"), 2, "belong together"),
        (("--kinds", "material"), 1, "name other --kinds"),
    ],
)
def test_what_cannot_be_done_is_told_with_the_next_step(
    options: tuple[str, ...], status: int, said: str, folder: Path, tmp_path: Path
) -> None:
    result = run(folder, tmp_path / "out", *options)
    assert result.exit_code == status
    assert said in result.output


def test_pictures_without_annotations_are_refused(tmp_path: Path) -> None:
    (tmp_path / "pictures").mkdir()
    Image.new("L", (30, 20), 200).save(tmp_path / "pictures" / "a.png")
    result = run(tmp_path / "pictures", tmp_path / "out")
    assert result.exit_code == 1
    assert "xray-train data convert" in result.output


def test_a_split_of_another_name_is_refused_with_the_command_that_mends_it(tmp_path: Path) -> None:
    scans = [Drawn("north", (("gun", (10, 10, 60, 50)),), split="fold1")]
    result = run(write_folder(tmp_path / "scans", {"north": ["gun"]}, scans), tmp_path / "out")
    assert result.exit_code == 1
    assert "xray-train data split" in result.output


def test_a_malformed_truth_is_refused(folder: Path, tmp_path: Path) -> None:
    (folder / "truth.jsonl").write_text('{"file": "a", "objects": [{}]}\n', encoding="utf-8")
    result = run(folder, tmp_path / "out")
    assert result.exit_code == 1
    assert "simulate the scans again" in result.output


def test_an_object_of_which_nothing_shows_is_neither_denied_nor_counted(folder: Path, tmp_path: Path) -> None:
    lines = []
    for path in sorted((folder / "images").rglob("*.png")):
        hidden = {"label": "scissors", "threat": True, "box": [1, 1, 9, 9], "occlusion": 1.0, "materials": ["steel"]}
        hidden |= {"silhouette": {"size": [80, 120], "counts": ""}}
        lines.append(json.dumps({"file": path.relative_to(folder).as_posix(), "objects": [hidden]}))
    (folder / "truth.jsonl").write_text("\n".join(lines) + "\n", encoding="utf-8")
    pairs = made(folder, tmp_path / "out", "--per-scan", "12")
    assert pairs
    for pair in pairs:
        if pair.kind != "crop":
            assert "scissors" not in pair.asked
