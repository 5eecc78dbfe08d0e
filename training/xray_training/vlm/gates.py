"""Proofs that the picture matters: before training, that the model is shown it; after, that its answers come from it.

A vision-language model that never sees a picture still learns to answer: the loss falls, and many questions can be
answered with the eyes shut. So nothing is taken on trust: what reaches the model is held against the files on the
disk, and what the model says is held against what it says of another picture and of none.
"""

from __future__ import annotations

import json
import unicodedata
from collections.abc import Callable, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from xray_agent_tools.explainer.picture import Frame
from xray_training.datasets.pairs import Pair, YesNo
from xray_training.vlm.collate import Batch, Collator, Example
from xray_training.vlm.config import GateSettings
from xray_training.vlm.conversation import Turn, turn_of
from xray_training.vlm.dataset import PairSet
from xray_training.vlm.faults import Figures, GateFailed
from xray_training.vlm.packing import IGNORED
from xray_training.vlm.scoring import log_probabilities, yes_odds
from xray_training.vlm.shown import Shown, read_picture

GATES_FILE = "gates.json"
"""Name of the figures in a run's folder."""

Collate = Callable[[Sequence[Example]], Batch]

_SAME_PIXELS = 1e-4
_LEAST_SPREAD = 1e-3
_LEAST_CHANGE = 1e-6
_NOISE_FACTOR = 10
_WHITE = (255, 255, 255)


@dataclass(frozen=True, slots=True)
class Check:
    """One proof.

    Attributes:
        name: what is checked.
        passed: whether it holds.
        says: what it means if it does not.
        figures: what was measured.
    """

    name: str
    passed: bool
    says: str
    figures: Figures


def conclude(checks: Sequence[Check], out: Path, when: str, *, write: bool = True) -> None:
    """Save the figures of checks as ``gates.json`` in a run's folder, beside those of another time.

    Args:
        checks: what was found.
        out: folder of the run.
        when: ``before`` or ``after``.
        write: whether to save; of several processes, one does.

    Raises:
        GateFailed: a check does not hold; the first one is named.
    """
    if write:
        path = out / GATES_FILE
        known = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}
        known[when] = [
            {"check": check.name, "passed": check.passed, "figures": dict(check.figures), "fails_if": check.says}
            for check in checks
        ]
        path.write_text(json.dumps(known, indent=2) + "\n", encoding="utf-8")
    for check in checks:
        if not check.passed:
            raise GateFailed(check.name, check.says, check.figures)


def checks_before(model: Any, collate: Collate, pairs: PairSet, processor: Any, settings: GateSettings) -> list[Check]:
    """Whether training would show the pictures: what is measured stops at the first check that does not hold.

    Args:
        model: the model, trained or not.
        collate: what makes the batches of the training.
        pairs: the examples of the training; they are looked at without variation.
        processor: the model's processor.
        settings: how many examples to look at.
    """
    plain = pairs.plain()
    indices = _different_pictures(plain, settings.examples)
    examples = [plain[index] for index in indices]
    truths = [_truth_of(plain, index) for index in indices]
    batch = collate(examples)
    checks: list[Check] = []
    proofs: Sequence[Callable[[], Check]] = (
        lambda: _image_tokens(batch, processor, len(examples)),
        lambda: _grid(batch, processor, truths),
        lambda: _varied(batch, truths),
        lambda: _own_pictures(batch, processor, truths),
        lambda: _labels(batch, processor, plain.frame, truths),
        lambda: _loss_follows(model, collate, examples),
    )
    for prove in proofs:
        checks.append(prove())
        if not checks[-1].passed:
            break
    return checks


@dataclass(frozen=True, slots=True)
class Truth:
    """What an example ought to be, read from the disk anew.

    Attributes:
        picture: framed.
        pairs: what is asked about it.
    """

    picture: Image.Image
    pairs: tuple[Pair, ...]


def _truth_of(pairs: PairSet, index: int) -> Truth:
    shown, asked = pairs.asked(index)
    return Truth(pairs.frame.show(Image.fromarray(read_picture(shown.picture))), asked)


def _different_pictures(pairs: PairSet, count: int) -> list[int]:
    """Examples spread over the set, each of another picture."""
    firsts = {place: index for index, (place, part, _) in reversed(list(enumerate(pairs.parts))) if part == 0}
    indices = sorted(firsts.values())
    spread = np.linspace(0, len(indices) - 1, min(count, len(indices))).round().astype(int)
    return [indices[place] for place in sorted(set(spread.tolist()))]


def _image_tokens(batch: Batch, processor: Any, examples: int) -> Check:
    """Image tokens are there, as many as the grid has cells, and pixels for each."""
    tokens = (batch["input_ids"] == processor.image_token_id).sum(1)
    grids = batch.get("image_grid_thw")
    pixels = batch.get("pixel_values")
    patches = 0 if grids is None else int(grids.prod(-1).sum())
    cells = torch.zeros(0) if grids is None else grids.prod(-1) // processor.image_processor.merge_size**2
    figures: dict[str, float | int | str] = {
        "examples": examples,
        "pictures": len(cells),
        "fewest_image_tokens": int(tokens.min()),
        "image_tokens": int(tokens.sum()),
        "grid_cells": int(cells.sum()),
        "patches": patches,
        "patches_of_pixels": 0 if pixels is None else len(pixels),
    }
    shown = len(cells) == examples and bool((tokens > 0).all())
    passed = shown and bool((tokens == cells).all()) and figures["patches_of_pixels"] == patches
    return Check(
        "image_tokens",
        passed,
        "each example must hold one picture, with one image token for each cell of its grid; pictures are not shown, "
        "or were cut off",
        figures,
    )


def _grid(batch: Batch, processor: Any, truths: Sequence[Truth]) -> Check:
    """The grid is the framed picture's: nothing has resized it again, so boxes mean what the words say."""
    patch = processor.image_processor.patch_size
    shown = [(columns * patch, rows * patch) for _, rows, columns in batch["image_grid_thw"].tolist()]
    framed = [truth.picture.size for truth in truths]
    wrong = [(was, is_) for was, is_ in zip(framed, shown, strict=True) if was != is_]
    figures: dict[str, float | int | str] = {"pictures": len(framed), "resized_again": len(wrong)}
    if wrong:
        figures |= {"framed": "x".join(map(str, wrong[0][0])), "shown": "x".join(map(str, wrong[0][1]))}
    return Check("grid", not wrong, "pictures reach the model in another size than their boxes are written in", figures)


def _parts(batch: Batch) -> list[Tensor]:
    """The pixels of each picture: (patches, values of a patch)."""
    return list(torch.split(batch["pixel_values"], batch["image_grid_thw"].prod(-1).tolist()))


def _varied(batch: Batch, truths: Sequence[Truth]) -> Check:
    """No picture is of one colour whose file is not."""
    spreads = [
        float(part.float().std())
        for part, truth in zip(_parts(batch), truths, strict=True)
        if np.ptp(np.asarray(truth.picture)) > 0
    ]
    least = min(spreads, default=0.0)
    return Check(
        "pixels",
        least > _LEAST_SPREAD,
        "pictures reach the model in one colour",
        {"pictures": len(spreads), "least_spread": least, "asked_spread": _LEAST_SPREAD},
    )


def _own_pictures(batch: Batch, processor: Any, truths: Sequence[Truth]) -> Check:
    """Each example shows the picture that its own file holds."""
    apart = []
    for part, truth in zip(_parts(batch), truths, strict=True):
        alone = processor.image_processor(images=[truth.picture], do_resize=False, return_tensors="pt")["pixel_values"]
        apart.append(float((part - alone).abs().max()) if part.shape == alone.shape else float("inf"))
    wrong = sum(value > _SAME_PIXELS for value in apart)
    return Check(
        "own_pictures",
        wrong == 0,
        "examples show another picture than the one they are asked about",
        {"examples": len(apart), "wrong": wrong, "largest_difference": max(apart)},
    )


def _labels(batch: Batch, processor: Any, frame: Frame, truths: Sequence[Truth]) -> Check:
    """What is learned is the answers with their ends, and nothing else."""
    labels, ids = batch["labels"], batch["input_ids"]
    end = processor.tokenizer.eos_token
    wrong, learned = 0, 0
    shown = ""
    for row, truth in enumerate(truths):
        kept = labels[row] != IGNORED
        learned += int(kept.sum())
        said = processor.tokenizer.decode(ids[row][kept], skip_special_tokens=False)
        answers = [turn_of(pair, frame, *truth.picture.size).answer for pair in truth.pairs]
        wanted = "".join(unicodedata.normalize("NFC", answer) + end for answer in answers)
        if said != wanted or bool((labels[row][kept] != ids[row][kept]).any()):
            wrong += 1
            shown = shown or said[:60]
    figures: dict[str, float | int | str] = {"examples": len(truths), "wrong": wrong, "learned_tokens": learned}
    if shown:
        figures["learned"] = repr(shown)
    return Check("labels", wrong == 0 and learned > 0, "the loss is not of the answers alone", figures)


def _loss_follows(model: Any, collate: Collate, examples: Sequence[Example]) -> Check:
    """The loss of an answer changes when another example's picture is shown."""
    others = [*examples[1:], examples[0]]
    swapped = [
        replace(example, picture=other.picture.resize(example.picture.size))
        for example, other in zip(examples, others, strict=True)
    ]
    own = log_probabilities(model, collate, examples)
    noise = _largest(own, log_probabilities(model, collate, examples))
    change = _largest(own, log_probabilities(model, collate, swapped))
    asked = max(_LEAST_CHANGE, _NOISE_FACTOR * noise)
    return Check(
        "loss_follows_picture",
        change > asked,
        "the loss stays the same when pictures are swapped: they do not reach the model",
        {"largest_change": change, "asked": asked, "of_repeating": noise},
    )


def _largest(first: Sequence[Sequence[float]], second: Sequence[Sequence[float]]) -> float:
    return max(abs(a - b) for one, two in zip(first, second, strict=True) for a, b in zip(one, two, strict=True))


@dataclass(frozen=True, slots=True)
class Asked:
    """A yes-or-no question, its picture, and another one.

    Attributes:
        pair: the question.
        picture: the file it is about.
        other: the file of another bag, where the answer is the opposite one if such a bag is known.
    """

    pair: Pair
    picture: Path
    other: Path


def presence_questions(shown: Sequence[Shown], settings: GateSettings, seed: int) -> list[Asked]:
    """Presence questions, as many with yes as with no, each with a picture of another bag to swap in.

    Raises:
        GateFailed: there are too few to prove anything.
    """
    rng = np.random.default_rng([seed, 7])
    found: dict[bool, list[tuple[Pair, Path]]] = {True: [], False: []}
    for picture in shown:
        for pair in picture.pairs:
            if pair.kind == "presence" and isinstance(pair.truth, YesNo):
                found[pair.truth.yes].append((pair, picture.picture))
    count = min(len(found[True]), len(found[False]), settings.pairs // 2)
    bags = {picture.bag for picture in shown}
    if 2 * count < settings.least_pairs or len(bags) < 2:
        raise GateFailed(
            "held_out",
            "too few held-out presence questions to prove anything: make pairs of more scans",
            {"yes": len(found[True]), "no": len(found[False]), "bags": len(bags), "asked_pairs": settings.least_pairs},
        )
    asked = []
    for yes in (True, False):
        for index in rng.permutation(len(found[yes]))[:count]:
            pair, picture_file = found[yes][index]
            opposite = [p for other, p in found[not yes] if other.asked == pair.asked and other.bag != pair.bag]
            strangers = opposite or [p.picture for p in shown if p.bag != pair.bag]
            asked.append(Asked(pair, picture_file, strangers[int(rng.integers(len(strangers)))]))
    return asked


class Asker:
    """Asks a model yes-or-no questions about pictures, their swapped ones, and blank ones.

    Args:
        collator: of the model's processor.
        frame: the sizes that pictures are shown in.
        bf16: whether to compute in bfloat16.
    """

    def __init__(self, collator: Collator, frame: Frame, *, bf16: bool = False) -> None:
        self.collator = collator
        self.frame = frame
        self.bf16 = bf16

    def own(self, model: Any, asked: Sequence[Asked]) -> list[float]:
        """Log-odds of yes about the questions' own pictures, in nats."""
        return self._odds(model, asked, [question.picture for question in asked])

    def swapped(self, model: Any, asked: Sequence[Asked]) -> list[float]:
        """The same about pictures of other bags."""
        return self._odds(model, asked, [question.other for question in asked])

    def blank(self, model: Any, asked: Sequence[Asked]) -> list[float]:
        """The same about white pictures of the same size."""
        return self._odds(model, asked, [question.picture for question in asked], blank=True)

    def _odds(self, model: Any, asked: Sequence[Asked], pictures: Sequence[Path], blank: bool = False) -> list[float]:
        together: dict[Path, list[int]] = {}
        for index, path in enumerate(pictures):
            together.setdefault(path, []).append(index)
        shown = []
        for path, indices in together.items():
            framed = self.frame.show(Image.fromarray(read_picture(path)))
            picture = Image.new("RGB", framed.size, _WHITE) if blank else framed
            turns: list[Turn] = [turn_of(asked[index].pair, self.frame, *framed.size) for index in indices]
            shown.append((picture, [turn.question for turn in turns]))
        odds = [0.0] * len(asked)
        found = yes_odds(model, self.collator, shown, bf16=self.bf16)
        for indices, answers in zip(together.values(), found, strict=True):
            for index, value in zip(indices, answers, strict=True):
                odds[index] = value
        return odds


def guess_without_picture(training: Sequence[Shown], asked: Sequence[Asked]) -> float:
    """Accuracy of the best guess from the label alone: what training says of it more often, or yes."""
    said: dict[tuple[str, ...], int] = {}
    for picture in training:
        for pair in picture.pairs:
            if pair.kind == "presence" and isinstance(pair.truth, YesNo):
                said[pair.asked] = said.get(pair.asked, 0) + (1 if pair.truth.yes else -1)
    right = [(said.get(question.pair.asked, 0) >= 0) == _is_yes(question) for question in asked]
    return sum(right) / len(right)


def _is_yes(asked: Asked) -> bool:
    return isinstance(asked.pair.truth, YesNo) and asked.pair.truth.yes


def checks_after(
    model: Any,
    asker: Asker,
    asked: Sequence[Asked],
    training: Sequence[Shown],
    untrained: Sequence[float],
    settings: GateSettings,
) -> list[Check]:
    """Whether the trained model answers from the picture.

    Args:
        model: the trained model.
        asker: asks it.
        asked: held-out presence questions.
        training: what it was trained on, for the guess without a picture.
        untrained: log-odds of the same questions before training.
        settings: margins.
    """
    own = asker.own(model, asked)
    swapped = asker.swapped(model, asked)
    blank = asker.blank(model, asked)
    truths = [_is_yes(question) for question in asked]
    accuracy = _accuracy(own, truths)
    guesses = {
        "majority": max(sum(truths), len(truths) - sum(truths)) / len(truths),
        "by_label": guess_without_picture(training, asked),
        "blank_picture": _accuracy(blank, truths),
    }
    best = max(guesses.values())
    changed = sum((a > 0) != (b > 0) for a, b in zip(own, swapped, strict=True)) / len(asked)
    moved = max(abs(a - b) for a, b in zip(own, untrained, strict=True))
    return [
        Check(
            "training_acts",
            moved > settings.moved,
            "the trained model answers as it did before: the adapter is not active, or nothing was learned",
            {"largest_change_of_odds": moved, "asked": settings.moved},
        ),
        Check(
            "answers_follow_picture",
            changed >= settings.changed,
            "answers stay the same when pictures are swapped: the model does not look",
            {
                "pairs": len(asked),
                "changed": changed,
                "asked": settings.changed,
                "accuracy_swapped": _accuracy(swapped, truths),
            },
        ),
        Check(
            "beats_blind",
            accuracy >= best + settings.margin,
            "answers are hardly better than those that need no picture: train longer, or on more scans",
            {"pairs": len(asked), "accuracy": accuracy, **guesses, "asked": best + settings.margin},
        ),
    ]


def _accuracy(odds: Sequence[float], truths: Sequence[bool]) -> float:
    return sum((value > 0) == truth for value, truth in zip(odds, truths, strict=True)) / len(truths)


@contextmanager
def without_adapter(model: Any) -> Any:
    """The model as it was before its adapter was put on; as it is where it has none."""
    if hasattr(model, "disable_adapter"):
        with model.disable_adapter():
            yield model
    else:
        yield model
