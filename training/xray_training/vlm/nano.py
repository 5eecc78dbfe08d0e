"""A Qwen2.5-VL made from its configuration: small enough to be trained from nothing on a CPU.

The architecture, the chat format and the files are those of the large ones, so whatever serves or asks a Qwen2.5-VL
serves and asks this one. Only sizes differ, and the words: a byte-level BPE learned from the pairs themselves.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any

import torch
from tokenizers import Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, trainers
from transformers import (
    Qwen2_5_VLConfig,
    Qwen2_5_VLForConditionalGeneration,
    Qwen2_5_VLProcessor,
    Qwen2Tokenizer,
    Qwen2VLImageProcessor,
    Qwen2VLVideoProcessor,
)
from transformers.models.qwen2.tokenization_qwen2 import PRETOKENIZE_REGEX

from xray_training.vlm.config import Architecture, FrameSettings

TINY = Architecture(
    vocabulary=384,
    patch=14,
    vision_width=48,
    vision_layers=2,
    vision_heads=2,
    vision_hidden=96,
    width=64,
    layers=2,
    heads=2,
    key_heads=1,
    hidden=128,
    spread=0.05,
)
"""A few hundred thousand parameters, for tests."""

_PADDING, _END = "<|endoftext|>", "<|im_end|>"
SPECIAL = (
    *(_PADDING, "<|im_start|>", _END),
    *("<|vision_start|>", "<|vision_end|>", "<|vision_pad|>", "<|image_pad|>", "<|video_pad|>"),
)
"""Special tokens, in the order of their numbers; the names are Qwen's."""

CHAT_TEMPLATE = """\
{% for message in messages %}<|im_start|>{{ message['role'] }}
{% if message['content'] is string %}{{ message['content'] }}{% else %}\
{% for content in message['content'] %}\
{% if content['type'] in ['image', 'image_url'] %}<|vision_start|><|image_pad|><|vision_end|>\
{% elif 'text' in content %}{{ content['text'] }}{% endif %}\
{% endfor %}{% endif %}<|im_end|>
{% endfor %}\
{% if add_generation_prompt %}<|im_start|>assistant
{% endif %}"""
"""Qwen2.5-VL's chat format without the system message that it puts before conversations that have none."""

_LONGEST = 8192
_MERGE = 2
_PALE = 0.7
_SPREAD = 0.3


def words_tokenizer(texts: Iterable[str], vocabulary: int) -> Any:
    """A byte-level BPE learned from texts, as a Qwen2 tokenizer of at most that many tokens."""
    learned = Tokenizer(models.BPE())
    learned.normalizer = normalizers.NFC()
    learned.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(PRETOKENIZE_REGEX), behavior="isolated", invert=False),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    learned.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=vocabulary - len(SPECIAL),
        show_progress=False,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
    )
    learned.train_from_iterator(texts, trainer)
    written = json.loads(learned.to_str())["model"]
    tokenizer = Qwen2Tokenizer(
        vocab=written["vocab"],
        merges=[tuple(merge) for merge in written["merges"]],
        unk_token=None,
        eos_token=_END,
        pad_token=_PADDING,
        model_max_length=_LONGEST,
    )
    tokenizer.add_special_tokens({"additional_special_tokens": list(SPECIAL)})
    return tokenizer


def make_processor(architecture: Architecture, frame: FrameSettings, texts: Iterable[str]) -> Any:
    """A processor whose words are learned from texts."""
    tokenizer = words_tokenizer(texts, architecture.vocabulary)
    shape = {
        "patch_size": architecture.patch,
        "merge_size": _MERGE,
        "temporal_patch_size": 1,
        "image_mean": [_PALE] * 3,
        "image_std": [_SPREAD] * 3,
        "size": {"shortest_edge": frame.min_pixels, "longest_edge": frame.max_pixels},
    }
    return Qwen2_5_VLProcessor(
        image_processor=Qwen2VLImageProcessor(**shape),
        tokenizer=tokenizer,
        video_processor=Qwen2VLVideoProcessor(**shape),
        chat_template=CHAT_TEMPLATE,
    )


def make_model(architecture: Architecture, processor: Any, seed: int) -> Any:
    """An untrained Qwen2.5-VL for a processor made by :func:`make_processor`.

    Every layer of its vision tower attends to the whole picture: windows would save little on small pictures.
    """
    torch.manual_seed(seed)
    tokenizer = processor.tokenizer
    half = architecture.width // architecture.heads // 2
    # Qwen2.5-VL's own proportions of time, height and width: 16, 24 and 24 of 64.
    sides = half * 3 // 8
    config = Qwen2_5_VLConfig(
        text_config={
            "vocab_size": len(tokenizer),
            "hidden_size": architecture.width,
            "intermediate_size": architecture.hidden,
            "num_hidden_layers": architecture.layers,
            "num_attention_heads": architecture.heads,
            "num_key_value_heads": architecture.key_heads,
            "max_position_embeddings": _LONGEST,
            "initializer_range": architecture.spread,
            "tie_word_embeddings": True,
            "rope_parameters": {
                "rope_type": "default",
                "rope_theta": 10000.0,
                "mrope_section": [half - 2 * sides, sides, sides],
            },
            "bos_token_id": tokenizer.pad_token_id,
            "eos_token_id": tokenizer.eos_token_id,
            "pad_token_id": tokenizer.pad_token_id,
        },
        vision_config={
            "depth": architecture.vision_layers,
            "hidden_size": architecture.vision_width,
            "intermediate_size": architecture.vision_hidden,
            "num_heads": architecture.vision_heads,
            "patch_size": architecture.patch,
            "temporal_patch_size": 1,
            "spatial_merge_size": _MERGE,
            "window_size": 8 * architecture.patch * _MERGE,
            "out_hidden_size": architecture.width,
            "fullatt_block_indexes": list(range(architecture.vision_layers)),
            "initializer_range": architecture.spread,
        },
        image_token_id=tokenizer.convert_tokens_to_ids("<|image_pad|>"),
        video_token_id=tokenizer.convert_tokens_to_ids("<|video_pad|>"),
        vision_start_token_id=tokenizer.convert_tokens_to_ids("<|vision_start|>"),
        vision_end_token_id=tokenizer.convert_tokens_to_ids("<|vision_end|>"),
        tie_word_embeddings=True,
    )
    config.vision_config._attn_implementation = "sdpa"
    model = Qwen2_5_VLForConditionalGeneration._from_config(config, attn_implementation="sdpa")
    model.generation_config.eos_token_id = tokenizer.eos_token_id
    model.generation_config.pad_token_id = tokenizer.pad_token_id
    return model


def parameters_of(model: Any) -> int:
    """How many numbers a model has learned, tied ones once."""
    return sum(parameter.numel() for parameter in model.parameters())
