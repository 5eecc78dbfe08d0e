"""The whole way through ``xray-train vlm``: from nothing, killed, gone on with, an adapter, its merge."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from peft import PeftModel
from PIL import Image
from safetensors.torch import load_file, save_file
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from xray_training.datasets.pairs import PAIRS_FILE, read_pairs, write_pairs
from xray_training.vlm.collate import Collator
from xray_training.vlm.config import FrameSettings, GateSettings
from xray_training.vlm.gates import Asker, presence_questions
from xray_training.vlm.models import Speaker, load_adapter, load_model, load_processor
from xray_training.vlm.nano import TINY, make_model
from xray_training.vlm.scoring import answer, option_log_probabilities
from xray_training.vlm.shown import read_shown

from tests.training.vlm.conftest import ADAPTED, SAVED, STEPS, train_adapter, train_from_nothing, xray_train
from tests.training.vlm.drawn import LABELS, write_bags
from xray_agent_tools.explainer.picture import read_frame

pytestmark = pytest.mark.slow


def figures(run: Path, when: str) -> dict[str, Any]:
    known = json.loads((run / "gates.json").read_text(encoding="utf-8"))[when]
    assert all(check["passed"] for check in known)
    return {check["check"]: check["figures"] for check in known}


def state(run: Path) -> dict[str, Any]:
    last = max((run / "checkpoints").glob("checkpoint-*"), key=lambda folder: int(folder.name.split("-")[1]))
    known: dict[str, Any] = json.loads((last / "trainer_state.json").read_text(encoding="utf-8"))
    return known


def speaker(folder: Path) -> Speaker:
    frame = read_frame(folder)
    settings = FrameSettings(min_pixels=frame.min_pixels, max_pixels=frame.max_pixels)
    model = load_model(str(folder), dtype=torch.float32, device="cpu")
    return Speaker(model, load_processor(str(folder), settings), frame)


def test_a_model_from_nothing_learns_to_look(base: Path) -> None:
    after = figures(base.parent, "after")
    assert after["beats_blind"]["accuracy"] >= after["beats_blind"]["majority"] + 0.05
    assert after["answers_follow_picture"]["changed"] >= 0.05
    assert after["beats_blind"]["pairs"] >= 20


def test_the_written_model_is_as_good_as_the_gate_says(base: Path, bags: Path) -> None:
    known = speaker(base)
    asked = presence_questions(read_shown([bags])["val"], GateSettings(), seed=0)
    odds = Asker(Collator(known.processor), known.frame).own(known.model, asked)
    right = sum((value > 0) == (question.pair.answer == "Yes.") for value, question in zip(odds, asked, strict=True))
    assert right / len(asked) == pytest.approx(figures(base.parent, "after")["beats_blind"]["accuracy"])


def test_the_gate_before_saves_what_it_saw(base: Path) -> None:
    before = figures(base.parent, "before")
    assert list(before) == ["image_tokens", "grid", "pixels", "own_pictures", "labels", "loss_follows_picture"]
    assert before["image_tokens"]["image_tokens"] == before["image_tokens"]["grid_cells"] == 8 * 4 * 4


def test_a_killed_run_goes_on_where_it_stopped(base: Path) -> None:
    known = state(base.parent)
    looks = [entry["step"] for entry in known["log_history"] if "eval_loss" in entry]
    assert looks == list(range(SAVED, STEPS + 1, SAVED))


def test_a_run_that_goes_on_has_the_weights_of_its_checkpoint(killed: Path, bags: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    shutil.copytree(killed, run)
    train_from_nothing(bags, run, "--resume", steps=SAVED + 1)
    steps = (run / "checkpoints" / f"checkpoint-{step}" / "model.safetensors" for step in (SAVED, SAVED + 1))
    kept, next_step = map(load_file, steps)
    untrained = make_model(TINY, load_processor(str(run / "processor"), FrameSettings(max_pixels=12544)), 0)
    name = "model.language_model.layers.0.mlp.up_proj.weight"
    saved_name = next(known for known in kept if known.endswith("layers.0.mlp.up_proj.weight"))
    one_step = (kept[saved_name] - next_step[saved_name]).abs().max()
    all_steps = (kept[saved_name] - untrained.state_dict()[name]).abs().max()
    assert 0 < one_step < 0.004 < all_steps


def test_the_best_checkpoint_is_what_is_written(adapter: Path) -> None:
    best = Path(state(adapter.parent)["best_model_checkpoint"])
    kept, written = (load_file(folder / "adapter_model.safetensors") for folder in (best, adapter))
    assert kept.keys() == written.keys()
    assert all(torch.equal(kept[name], written[name]) for name in kept)
    assert any(value.abs().max() > 0 for name, value in written.items() if "lora_B" in name)


def test_settings_and_figures_are_kept_with_the_run(adapter: Path, base: Path) -> None:
    run = adapter.parent
    saved = yaml.safe_load((run / "config.yaml").read_text(encoding="utf-8"))
    assert saved["base"] == str(base)
    assert saved["lora"]["rank"] == ADAPTED["lora.rank"]
    assert saved["lora"]["tower"] == ["attn.qkv", "attn.proj", "merger.mlp.0", "merger.mlp.2"]
    board = EventAccumulator(str(run / "tensorboard"))
    board.Reload()
    assert {"train/loss", "eval/loss", "train/learning_rate"} <= set(board.Tags()["scalars"])


def test_the_adapter_changes_what_the_base_says(adapter: Path) -> None:
    assert figures(adapter.parent, "after")["training_acts"]["largest_change_of_odds"] > 1e-3
    names = set(load_file(adapter / "adapter_model.safetensors"))
    assert any("visual.blocks.0.attn.qkv" in name for name in names)
    assert any("layers.1.self_attn.q_proj" in name for name in names)


def test_the_written_model_answers_in_words(base: Path, bags: Path) -> None:
    known = speaker(base)
    picture = known.frame.show(Image.open(bags / "scan-0100.png"))
    assert answer(known.model, known.processor, picture, "Is there a knife?") in {"Yes.", "No."}
    told = option_log_probabilities(
        known.model, Collator(known.processor), picture, "Is there a knife?", ("Yes.", "No.", "Perhaps.")
    )
    chances = torch.tensor(told).exp()
    assert chances.sum() <= 1.0001
    assert chances[2] == min(chances)


def test_a_merged_adapter_answers_as_the_base_with_it(adapter: Path, base: Path, bags: Path, tmp_path: Path) -> None:
    out = tmp_path / "merged"
    result = xray_train("merge", adapter, "--out", out, "--pairs", bags)
    assert result.exit_code == 0, result.output
    assert "nats at most" in result.output
    merged, plain = speaker(out), speaker(base)
    worn = load_adapter(plain.model, adapter)
    picture = plain.frame.show(Image.open(bags / "scan-0101.png"))
    options = ("Yes.", "No.")
    for label in LABELS:
        question = f"Is there a {label}?"
        collator = Collator(plain.processor)
        one = option_log_probabilities(merged.model, collator, picture, question, options)
        two = option_log_probabilities(worn, collator, picture, question, options)
        assert one == pytest.approx(two, abs=1e-3)


def test_a_merge_compares_on_made_pictures_too(adapter: Path, tmp_path: Path) -> None:
    result = xray_train("merge", adapter, "--out", tmp_path / "merged")
    assert result.exit_code == 0, result.output
    again = xray_train("merge", adapter, "--out", tmp_path / "merged")
    assert again.exit_code == 1
    assert "exists" in again.output


def test_a_merge_that_changes_the_answers_is_refused(
    adapter: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(PeftModel, "merge_and_unload", lambda model: model.unload(), raising=False)
    result = xray_train("merge", adapter, "--out", tmp_path / "merged")
    assert result.exit_code == 1
    assert "differ by" in result.output
    assert list(tmp_path.iterdir()) == []


def test_an_adapter_that_changes_nothing_is_not_merged(adapter: Path, tmp_path: Path) -> None:
    fresh = tmp_path / "fresh"
    shutil.copytree(adapter, fresh)
    weights = load_file(fresh / "adapter_model.safetensors")
    emptied = {name: torch.zeros_like(value) if "lora_B" in name else value for name, value in weights.items()}
    save_file(emptied, fresh / "adapter_model.safetensors", {"format": "pt"})
    result = xray_train("merge", fresh, "--out", tmp_path / "merged")
    assert result.exit_code == 1
    assert "untrained" in result.output


def test_a_model_that_learned_nothing_of_pictures_fails_the_gate_after(bags: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    result = train_from_nothing(bags, run, steps=2, evaluate_every=2)
    assert result.exit_code == 1
    assert "the gate failed at" in result.output
    assert not (run / "model").exists()
    after = json.loads((run / "gates.json").read_text(encoding="utf-8"))["after"]
    assert not all(check["passed"] for check in after)


def test_a_run_ends_when_its_time_is_up_and_has_no_more_after_a_kill(bags: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    # A run that proves itself is finished and cannot go on: no model is better than blind by that much.
    timed: dict[str, object] = {"hours": 4 / 3600, "steps": "null", "evaluate_every": 10_000, "gate.margin": 1}
    train_from_nothing(bags, run, **timed)
    known = state(run)
    assert "eval_loss" in known["log_history"][-1] or "eval_loss" in known["log_history"][-2]
    assert 0 < known["global_step"] < known["max_steps"]
    rates = [entry["learning_rate"] for entry in known["log_history"] if "learning_rate" in entry]
    assert rates[-1] < 0.003 / 2
    train_from_nothing(bags, run, "--resume", **timed)
    assert state(run)["global_step"] == known["global_step"] + 1


def test_questions_that_words_alone_answer_fail_the_gate_after(base: Path, tmp_path: Path) -> None:
    """The answer to a question about a label is always the same: the model learns it, and does not need to look."""
    told = write_bags(tmp_path / "bags", train=24, val=24)
    pairs = [pair for pair in read_pairs(told / PAIRS_FILE) if pair.kind == "presence"]
    by_label = {"knife": True, "gun": False}
    kept = [
        pair.model_copy(update={"truth": pair.truth.model_copy(update={"yes": by_label[pair.asked[0]]})})
        for pair in pairs
        if pair.asked[0] in by_label
    ]
    written = [pair.model_copy(update={"answer": "Yes." if by_label[pair.asked[0]] else "No."}) for pair in kept]
    write_pairs(written, told / PAIRS_FILE)
    result = train_adapter(told, tmp_path / "run", base, steps=20)
    assert result.exit_code == 1
    assert "answers_follow_picture" in result.output or "beats_blind" in result.output


def test_a_run_stops_when_held_out_answers_get_no_better(base: Path, bags: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    train_adapter(
        bags, run, base, steps=60, evaluate_every=2, batch=2, validation_pictures=4, patience=1, learning_rate=1.0
    )
    steps = [int(folder.name.split("-")[1]) for folder in (run / "checkpoints").iterdir()]
    assert max(steps) < 60
