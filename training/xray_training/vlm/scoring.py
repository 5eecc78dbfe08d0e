"""What a model makes of a picture: how likely an answer is to it, and what it says by itself."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import torch
from PIL import Image

from xray_training.vlm.collate import Batch, Collator, Example
from xray_training.vlm.conversation import Turn
from xray_training.vlm.loss import tell

YES = ("Yes", "yes")
NO = ("No", "no")


def to_device(batch: Batch, device: Any) -> Batch:
    """The batch on a device."""
    return {name: value.to(device) for name, value in batch.items()}


def _half(device: torch.device, enabled: bool) -> AbstractContextManager[Any]:
    return torch.autocast(device.type, torch.bfloat16) if enabled else nullcontext()


def log_probabilities(
    model: Any, collator: Any, examples: Sequence[Example], *, batch: int = 8, bf16: bool = False
) -> list[list[float]]:
    """Log-probability in nats of each turn's answer, given picture and question; example by example."""
    found: list[list[float]] = []
    was_training = model.training
    model.eval()
    with torch.inference_mode(), _half(model.device, bf16):
        for start in range(0, len(examples), batch):
            found += tell(model, to_device(collator(examples[start : start + batch]), model.device)).by_answer()
    model.train(was_training)
    return found


def option_log_probabilities(
    model: Any,
    collator: Collator,
    picture: Image.Image,
    question: str,
    options: Sequence[str],
    *,
    bf16: bool = False,
) -> list[float]:
    """Log-probability in nats of each option as the whole answer; the picture is seen once.

    Args:
        model: the model.
        collator: of its processor.
        picture: framed.
        question: what is asked.
        options: answers to weigh.
        bf16: whether to compute in bfloat16.
    """
    turns = tuple(Turn(question, option) for option in options)
    return log_probabilities(model, collator, [Example(picture, turns)], bf16=bf16)[0]


def yes_odds(
    model: Any,
    collator: Collator,
    asked: Sequence[tuple[Image.Image, Sequence[str]]],
    *,
    batch: int = 8,
    bf16: bool = False,
) -> list[list[float]]:
    """How much likelier an answer is to begin with yes than with no: the log-odds of each question, in nats.

    Args:
        model: the model.
        collator: of its processor.
        asked: framed pictures with questions about each.
        batch: pictures at a time.
        bf16: whether to compute in bfloat16.
    """
    words = (*YES, *NO)
    examples = [
        Example(picture, tuple(Turn(question, word, ends=False) for question in questions for word in words))
        for picture, questions in asked
    ]
    odds = []
    for told in log_probabilities(model, collator, examples, batch=batch, bf16=bf16):
        rows = torch.tensor(told, dtype=torch.float64).reshape(-1, len(words))
        yes, no = rows[:, : len(YES)].logsumexp(1), rows[:, len(YES) :].logsumexp(1)
        odds.append((yes - no).tolist())
    return odds


def answer(model: Any, processor: Any, picture: Image.Image, question: str, *, most_tokens: int = 256) -> str:
    """What the model says to a question about a framed picture; always the likeliest word."""
    content = [{"type": "image", "image": picture}, {"type": "text", "text": question}]
    inputs = processor.apply_chat_template(
        [{"role": "user", "content": content}],
        tokenize=True,
        add_generation_prompt=True,
        return_dict=True,
        return_tensors="pt",
        processor_kwargs={"do_resize": False},
    ).to(model.device)
    was_training = model.training
    model.eval()
    with torch.inference_mode():
        tokens = model.generate(**inputs, max_new_tokens=most_tokens, do_sample=False)
    model.train(was_training)
    said: str = processor.tokenizer.decode(tokens[0, inputs["input_ids"].shape[1] :], skip_special_tokens=True)
    return said.strip()
