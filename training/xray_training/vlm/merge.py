"""An adapter's changes written into its base, and the proof that the result answers alike."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from PIL import Image, ImageDraw
from torch import Tensor

from xray_agent_tools.explainer.picture import Frame
from xray_training.vlm.collate import Collator, Example
from xray_training.vlm.config import FrameSettings
from xray_training.vlm.conversation import Turn, turn_of
from xray_training.vlm.faults import MergeRefused
from xray_training.vlm.loss import tell
from xray_training.vlm.models import base_of, frame_in, load_adapter, load_model, load_processor, save_frame
from xray_training.vlm.scoring import to_device
from xray_training.vlm.shown import read_picture, read_shown

Precision = Literal["fp32", "bf16"]

TOLERANCE: dict[Precision, float] = {"fp32": 1e-3, "bf16": 0.1}
"""Largest difference of a log-probability, in nats, that rounding may make."""
_MADE = 4
_COMPARED = 16
_QUESTIONS = ("Is there a knife in this scan?", "What does this bag hold?")
_UNFINISHED = ".unfinished"


@dataclass(frozen=True, slots=True)
class Merged:
    """What a merge has shown.

    Attributes:
        folder: the merged model.
        apart: largest difference of a log-probability between merged and unmerged, in nats.
        acts: the same between the base and the base with its adapter.
        compared: examples that were looked at.
    """

    folder: Path
    apart: float
    acts: float
    compared: int


def merge(
    adapter: Path,
    out: Path,
    *,
    base: str | None = None,
    pairs: Sequence[Path] = (),
    precision: Precision = "fp32",
    tolerance: float | None = None,
    device: str = "cpu",
) -> Merged:
    """Write a model that answers as the base with the adapter does.

    The merged model is read back from the disk before it is compared: what is shipped is what was checked.

    Args:
        adapter: the folder ``adapter`` of a run.
        out: folder to write; it must not exist.
        base: the model that the adapter was trained on, if it is not where the adapter says.
        pairs: questions to compare by; without them, made pictures are asked about.
        precision: of the weights.
        tolerance: largest difference of a log-probability, in nats; by precision when not given.
        device: where to compute.

    Raises:
        MergeRefused: merged and unmerged differ, the adapter changes nothing, or the folder exists. No model is left
            there.
        BaseModelUnavailable: base or adapter are not there, or do not fit.
    """
    if out.exists():
        raise MergeRefused(f"{out} exists: choose another folder")
    allowed = TOLERANCE[precision] if tolerance is None else tolerance
    dtype = torch.float32 if precision == "fp32" else torch.bfloat16
    name = base or base_of(adapter)
    frame = frame_in(adapter)
    processor = load_processor(str(adapter), _bounds(frame))
    examples = _pair_examples(pairs, frame) if pairs else _made_examples(frame)
    collator = Collator(processor)
    plain = load_model(name, dtype=dtype, device=device)
    untouched = _log_probabilities(plain, collator, examples)
    adapted = load_adapter(plain, adapter)
    unmerged = _log_probabilities(adapted, collator, examples)
    acts = _apart(untouched, unmerged)
    if acts <= allowed:
        raise MergeRefused(
            f"the adapter changes log-probabilities by {acts:.2g} nats at most, no more than rounding may "
            f"({allowed:.2g}): it is untrained, or does not fit this base"
        )
    unfinished = out.with_name(out.name + _UNFINISHED)
    shutil.rmtree(unfinished, ignore_errors=True)
    try:
        adapted.merge_and_unload().save_pretrained(unfinished)
        processor.save_pretrained(unfinished)
        save_frame(frame, unfinished)
        del plain, adapted
        apart = _apart(
            unmerged, _log_probabilities(load_model(str(unfinished), dtype=dtype, device=device), collator, examples)
        )
        if not apart <= allowed:
            raise MergeRefused(
                f"merged and unmerged log-probabilities differ by {apart:.2g} nats, more than {allowed:.2g}: merge "
                "in fp32, or train the adapter again on a base that is not in 4 bits"
            )
        unfinished.rename(out)
    finally:
        shutil.rmtree(unfinished, ignore_errors=True)
    return Merged(out, apart, acts, len(examples))


def _bounds(frame: Frame) -> FrameSettings:
    return FrameSettings(min_pixels=frame.min_pixels, max_pixels=frame.max_pixels, boxes=frame.boxes)


def _pair_examples(sources: Sequence[Path], frame: Frame) -> list[Example]:
    examples = []
    for shown in read_shown(sources, ()).values():
        for picture in shown[:_COMPARED]:
            framed = frame.show(Image.fromarray(read_picture(picture.picture)))
            examples.append(Example(framed, (turn_of(picture.pairs[0], frame, *framed.size),)))
    return examples


def _made_examples(frame: Frame) -> list[Example]:
    """Drawn pictures, each with two questions: what they show does not matter, only that both models answer alike."""
    rng = np.random.default_rng(0)
    side = round(float(frame.min_pixels * frame.max_pixels) ** 0.25)
    examples = []
    for _ in range(_MADE):
        picture = Image.new("RGB", (side, side), "white")
        brush = ImageDraw.Draw(picture)
        for _ in range(6):
            left, upper = (int(value) for value in rng.integers(0, side * 3 // 4, 2))
            size = int(rng.integers(side // 8, side // 3))
            colour = tuple(int(value) for value in rng.integers(0, 220, 3))
            brush.rectangle((left, upper, left + size, upper + size // 2), fill=colour)
        examples.append(Example(frame.show(picture), tuple(Turn(question, "Yes.") for question in _QUESTIONS)))
    return examples


def _log_probabilities(model: Any, collator: Collator, examples: Sequence[Example]) -> list[Tensor]:
    """Log-probabilities (m, words) of all words at each token of the wanted answers, example by example."""
    found = []
    with torch.inference_mode():
        for example in examples:
            told = tell(model, to_device(collator([example]), model.device))
            found.append(told.outputs.logits.float().log_softmax(-1).cpu())
    return found


def _apart(first: Sequence[Tensor], second: Sequence[Tensor]) -> float:
    """Largest difference among words that either model thinks possible at all (one in a million)."""
    least = -14.0
    largest = 0.0
    for one, two in zip(first, second, strict=True):
        likely = (one > least) | (two > least)
        largest = max(largest, float((one - two).abs()[likely].max()))
    return largest
