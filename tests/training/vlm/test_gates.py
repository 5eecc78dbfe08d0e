"""The gate before training: what each of four known mistakes in putting batches together makes of it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image
from xray_training.vlm.collate import Batch, Collator, Example
from xray_training.vlm.config import FrameSettings, GateSettings
from xray_training.vlm.dataset import PairSet, Plan
from xray_training.vlm.faults import GateFailed
from xray_training.vlm.gates import Check, checks_before, conclude, guess_without_picture, presence_questions
from xray_training.vlm.models import Speaker, frame_of
from xray_training.vlm.nano import TINY, make_model, make_processor
from xray_training.vlm.shown import read_shown

from tests.training.vlm.conftest import train_from_nothing

SHAPE = FrameSettings(min_pixels=3136, max_pixels=12544)
SETTINGS = GateSettings(examples=6)


@pytest.fixture(scope="module")
def untrained(bags: Path) -> Speaker:
    texts = [
        text for shown in read_shown([bags])["train"] for pair in shown.pairs for text in (pair.question, pair.answer)
    ]
    processor = make_processor(TINY, SHAPE, texts)
    return Speaker(make_model(TINY, processor, 0).eval(), processor, frame_of(processor, SHAPE))


@pytest.fixture(scope="module")
def pairs(bags: Path, untrained: Speaker) -> PairSet:
    return PairSet(read_shown([bags])["train"], untrained.frame, Plan(pack=3))


def failed(untrained: Speaker, pairs: PairSet, collate: Callable[[Sequence[Example]], Batch]) -> Check:
    """The check that stops a run with this way of making batches."""
    checks = checks_before(untrained.model, collate, pairs, untrained.processor, SETTINGS)
    assert all(check.passed for check in checks[:-1])
    assert not checks[-1].passed
    return checks[-1]


@pytest.mark.parametrize("pack", [1, 3])
def test_sound_batches_pass(untrained: Speaker, pairs: PairSet, pack: int) -> None:
    asked = PairSet(pairs.shown, untrained.frame, Plan(pack=pack))
    checks = checks_before(untrained.model, Collator(untrained.processor), asked, untrained.processor, SETTINGS)
    assert [check.name for check in checks if check.passed] == [
        *("image_tokens", "grid", "pixels", "own_pictures", "labels", "loss_follows_picture")
    ]


def test_pictures_that_never_reach_the_processor_are_noticed(untrained: Speaker, pairs: PairSet) -> None:
    sound = Collator(untrained.processor)

    def text_alone(examples: Sequence[Example]) -> Batch:
        batch = sound(examples)
        words = batch["input_ids"].clone()
        words[words == untrained.processor.image_token_id] = sound.padding
        return {name: value for name, value in batch.items() if name not in {"pixel_values", "image_grid_thw"}} | {
            "input_ids": words
        }

    check = failed(untrained, pairs, text_alone)
    assert check.name == "image_tokens"
    assert check.figures["image_tokens"] == check.figures["pictures"] == 0


def test_a_loss_on_the_prompt_and_the_padding_is_noticed(untrained: Speaker, pairs: PairSet) -> None:
    sound = Collator(untrained.processor)

    def everything(examples: Sequence[Example]) -> Batch:
        batch = sound(examples)
        return batch | {"labels": batch["input_ids"].clone()}

    assert failed(untrained, pairs, everything).name == "labels"


def test_a_loss_on_half_of_the_answer_is_noticed(untrained: Speaker, pairs: PairSet) -> None:
    sound = Collator(untrained.processor)

    def endless(examples: Sequence[Example]) -> Batch:
        batch = sound(examples)
        labels = batch["labels"].clone()
        labels[labels == untrained.processor.tokenizer.eos_token_id] = -100
        return batch | {"labels": labels}

    assert failed(untrained, pairs, endless).name == "labels"


def test_pictures_that_the_processor_resizes_again_are_noticed(untrained: Speaker, pairs: PairSet) -> None:
    class Resizing(Collator):
        def __init__(self, processor: Any) -> None:
            super().__init__(processor)
            shrink = processor.image_processor
            self.image_processor = lambda images, do_resize, return_tensors: shrink(
                images=images,
                do_resize=True,
                size={"shortest_edge": 28 * 28, "longest_edge": 56 * 56},
                return_tensors=return_tensors,
            )

    check = failed(untrained, pairs, Resizing(untrained.processor))
    assert check.name == "grid"
    assert (check.figures["framed"], check.figures["shown"]) == ("112x112", "56x56")


def test_image_tokens_that_a_longest_length_cuts_off_are_noticed(untrained: Speaker, pairs: PairSet) -> None:
    sound = Collator(untrained.processor)

    def cut(examples: Sequence[Example]) -> Batch:
        batch = sound(examples)
        return batch | {"input_ids": batch["input_ids"][:, :12], "labels": batch["labels"][:, :12]}

    assert failed(untrained, pairs, cut).name == "image_tokens"


def test_one_picture_for_all_examples_is_noticed(untrained: Speaker, pairs: PairSet) -> None:
    sound = Collator(untrained.processor)

    def first(examples: Sequence[Example]) -> Batch:
        return sound([replace(example, picture=examples[0].picture) for example in examples])

    check = failed(untrained, pairs, first)
    assert check.name == "own_pictures"
    assert (check.figures["examples"], check.figures["wrong"]) == (6, 5)


def test_pictures_in_another_order_than_the_questions_are_noticed(untrained: Speaker, pairs: PairSet) -> None:
    sound = Collator(untrained.processor)

    def shuffled(examples: Sequence[Example]) -> Batch:
        pictures = [example.picture for example in examples][::-1]
        return sound([replace(example, picture=other) for example, other in zip(examples, pictures, strict=True)])

    assert failed(untrained, pairs, shuffled).name == "own_pictures"


def test_pictures_of_one_colour_are_noticed(untrained: Speaker, pairs: PairSet) -> None:
    sound = Collator(untrained.processor)

    def blank(examples: Sequence[Example]) -> Batch:
        return sound([replace(example, picture=Image.new("RGB", example.picture.size)) for example in examples])

    assert failed(untrained, pairs, blank).name == "pixels"


def test_a_model_whose_answers_cannot_depend_on_pictures_is_noticed(untrained: Speaker, pairs: PairSet) -> None:
    blind = make_model(TINY, untrained.processor, 0).eval()
    with torch.no_grad():
        blind.model.visual.merger.mlp[2].weight.zero_()
    checks = checks_before(blind, Collator(untrained.processor), pairs, untrained.processor, SETTINGS)
    assert (checks[-1].name, checks[-1].passed) == ("loss_follows_picture", False)


def test_a_run_with_a_mistake_stops_before_it_trains(
    bags: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sound = Collator.__call__

    def first(collator: Collator, examples: Sequence[Example]) -> Batch:
        return sound(collator, [replace(example, picture=examples[0].picture) for example in examples])

    monkeypatch.setattr(Collator, "__call__", first)
    run = tmp_path / "run"
    result = train_from_nothing(bags, run)
    assert result.exit_code == 1
    assert "the gate failed at own_pictures" in result.output
    assert not (run / "checkpoints").exists() or not any((run / "checkpoints").iterdir())
    assert '"passed": false' in (run / "gates.json").read_text(encoding="utf-8")


def test_a_failed_check_tells_its_figures(tmp_path: Path) -> None:
    with pytest.raises(GateFailed, match=r"beats_blind: too weak \(accuracy 0.5, pairs 40\)") as caught:
        conclude([Check("beats_blind", False, "too weak", {"accuracy": 0.5, "pairs": 40})], tmp_path, "after")
    assert caught.value.check == "beats_blind"


def test_held_out_questions_are_balanced_and_swapped_between_bags(bags: Path) -> None:
    shown = read_shown([bags])["val"]
    asked = presence_questions(shown, GateSettings(), seed=0)
    truths = [question.pair.answer for question in asked]
    assert truths.count("Yes.") == truths.count("No.") > 10
    bag_of = {picture.picture: picture.bag for picture in shown}
    assert all(bag_of[question.picture] != bag_of[question.other] for question in asked)
    assert guess_without_picture(shown, asked) < 0.75


def test_too_few_held_out_questions_prove_nothing(bags: Path) -> None:
    with pytest.raises(GateFailed, match="held_out"):
        presence_questions(read_shown([bags])["val"], GateSettings(least_pairs=1000, pairs=1000), seed=0)
