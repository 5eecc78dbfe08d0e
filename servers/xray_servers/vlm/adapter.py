"""What a LoRA adapter needs of the engine that serves it, read from its folder without loading it."""

from __future__ import annotations

import json
import struct
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from xray_agent_tools.errors import Misconfigured

ALLOWED_RANKS = (1, 8, 16, 32, 64, 128, 256, 320, 512)
"""The values that vLLM takes for ``--max-lora-rank``."""

_CONFIG = "adapter_config.json"
_WEIGHTS = "adapter_model.safetensors"
_TOWER = "visual"
_MOST_HEADER_BYTES = 100_000_000
_MERGE = "merge it into its base with `xray-train merge`, and serve the merged model"


@dataclass(frozen=True, slots=True)
class Adapter:
    """A LoRA adapter.

    Attributes:
        folder: where it lies, as an absolute path.
        base: the model that it was trained on: a folder or a name on a hub.
        rank: the highest rank of its matrices.
        in_tower: whether it changes the vision tower, or what connects that to the language model.
    """

    folder: Path
    base: str
    rank: int
    in_tower: bool

    @property
    def allowed_rank(self) -> int:
        """Its rank, rounded up to one that vLLM takes."""
        return next(rank for rank in ALLOWED_RANKS if rank >= self.rank)


def adapter_at(folder: Path, *, base: str | None = None) -> Adapter | None:
    """The adapter in a folder; None if there is none.

    Args:
        folder: where to look.
        base: the model that it was trained on, where its configuration does not say, or says it wrongly.

    Raises:
        Misconfigured: it cannot be read, or is one that vLLM cannot serve beside its base.
    """
    path = folder / _CONFIG
    if not path.is_file():
        return None
    config = _config(path)
    if kind := _not_served(config):
        raise Misconfigured(f"the adapter in {folder} has {kind}, which vLLM does not serve", hint=_MERGE)
    named = base or config.get("base_model_name_or_path")
    if not isinstance(named, str) or not named:
        raise Misconfigured(f"{path} names no base model", hint="name it with --base")
    rank = _rank(config, path)
    if rank > ALLOWED_RANKS[-1]:
        raise Misconfigured(f"the adapter's rank is {rank}; vLLM serves at most {ALLOWED_RANKS[-1]}", hint=_MERGE)
    names = tensor_names(folder / _WEIGHTS)
    return Adapter(folder.absolute(), named, rank, any(_TOWER in name.split(".") for name in names))


def _config(path: Path) -> Mapping[str, Any]:
    try:
        config = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise Misconfigured(f"{path} cannot be read: {error}", hint="export the adapter again") from error
    if not isinstance(config, dict):
        raise Misconfigured(f"{path} holds no settings", hint="export the adapter again")
    return config


def _not_served(config: Mapping[str, Any]) -> str | None:
    """What an adapter has that vLLM refuses."""
    if config.get("peft_type", "LORA") != "LORA":
        return f"the type {config['peft_type']}"
    if config.get("use_dora"):
        return "weight decomposition (DoRA)"
    if config.get("modules_to_save"):
        return "whole modules beside its matrices (modules_to_save)"
    return "biases" if config.get("bias", "none") != "none" else None


def _rank(config: Mapping[str, Any], path: Path) -> int:
    pattern = config.get("rank_pattern") or {}
    ranks = [config.get("r"), *(pattern.values() if isinstance(pattern, dict) else ())]
    known = [rank for rank in ranks if isinstance(rank, int) and rank > 0]
    if len(known) < len(ranks):
        raise Misconfigured(f"{path} gives no rank", hint="export the adapter again")
    return max(known)


def tensor_names(path: Path) -> list[str]:
    """The names of the tensors in a safetensors file, from its header alone.

    Raises:
        Misconfigured: it is missing, or no such file.
    """
    try:
        with path.open("rb") as file:
            (length,) = struct.unpack("<Q", file.read(8))
            if length > _MOST_HEADER_BYTES:
                raise ValueError("its header is too long")
            header = json.loads(file.read(length))
    except (OSError, ValueError, struct.error) as error:
        hint = "save the adapter as safetensors"
        raise Misconfigured(f"the adapter's weights {path} cannot be read: {error}", hint=hint) from error
    if not isinstance(header, dict):
        raise Misconfigured(f"{path} holds no tensors", hint="save the adapter as safetensors")
    return [name for name in header if name != "__metadata__"]
