"""Loading a model to start from, and putting an adapter on it."""

from __future__ import annotations

import importlib.util
import json
import re
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import torch
from peft import LoraConfig, PeftModel, get_peft_model, prepare_model_for_kbit_training
from transformers import AutoModelForImageTextToText, AutoProcessor, BitsAndBytesConfig

from xray_agent_tools.errors import XrayToolsError
from xray_agent_tools.explainer.picture import FRAME_FILE, Frame, read_frame
from xray_training.vlm.config import FrameSettings, LoraSettings
from xray_training.vlm.faults import BaseModelUnavailable, CudaNeeded, NothingToAdapt

_TOWER = r"(?:^|.*\.)visual\."


@dataclass(frozen=True, slots=True)
class Speaker:
    """A vision-language model, its processor, and the sizes its pictures are shown in."""

    model: Any
    processor: Any
    frame: Frame


def frame_of(processor: Any, settings: FrameSettings) -> Frame:
    """The frame of a processor's grid.

    Raises:
        BaseModelUnavailable: it is no processor of pictures in patches.
        ValueError: no picture could have a size within the bounds.
    """
    pictures = getattr(processor, "image_processor", None)
    if pictures is None or not hasattr(pictures, "merge_size"):
        raise BaseModelUnavailable("the base is no Qwen2.5-VL or Qwen3-VL: name one of those, or a folder with one")
    cell = pictures.patch_size * pictures.merge_size
    return Frame(cell=cell, min_pixels=settings.min_pixels, max_pixels=settings.max_pixels, boxes=settings.boxes)


def load_processor(base: str, settings: FrameSettings) -> Any:
    """The processor of a base; a server that resizes by it makes our sizes.

    Raises:
        BaseModelUnavailable: there is none.
    """
    try:
        processor = AutoProcessor.from_pretrained(base)
    except (OSError, ValueError, KeyError) as error:
        raise _unavailable(base) from error
    frame_of(processor, settings)
    processor.image_processor.size = {"shortest_edge": settings.min_pixels, "longest_edge": settings.max_pixels}
    return processor


def load_model(base: str, *, dtype: torch.dtype, device: str, four_bits: bool = False) -> Any:
    """The model of a base, in evaluation mode.

    Args:
        base: folder, or name on the hub (a cached copy serves where there is no network).
        dtype: of its weights, or of what is computed where they are in 4 bits.
        device: ``cpu`` or a CUDA device.
        four_bits: weights in 4 bits (NF4 of arXiv 2305.14314).

    Raises:
        BaseModelUnavailable: there is none.
        CudaNeeded: 4 bits are asked for where they do not work.
    """
    if four_bits:
        _require_four_bits(device)
    quantization = BitsAndBytesConfig(
        load_in_4bit=True, bnb_4bit_quant_type="nf4", bnb_4bit_use_double_quant=True, bnb_4bit_compute_dtype=dtype
    )
    settings: dict[str, Any] = {"quantization_config": quantization, "device_map": {"": device}} if four_bits else {}
    try:
        # Packed questions need masks of their own, which SDPA takes and flash attention does not.
        model = AutoModelForImageTextToText.from_pretrained(base, dtype=dtype, attn_implementation="sdpa", **settings)
    except (OSError, ValueError, KeyError) as error:
        raise _unavailable(base) from error
    return (model if four_bits else model.to(device)).eval()


def _unavailable(base: str) -> BaseModelUnavailable:
    return BaseModelUnavailable(
        f"{base} cannot be loaded as a vision-language model: give a folder with its files, or download it first "
        f"(`hf download {base}`)"
    )


def _require_four_bits(device: str) -> None:
    if not device.startswith("cuda"):
        raise CudaNeeded("QLoRA keeps the base in 4 bits, which needs a CUDA device: use --set method=lora here")
    if importlib.util.find_spec("bitsandbytes") is None:
        raise CudaNeeded("QLoRA needs bitsandbytes: `pip install bitsandbytes`, or use --set method=lora")


def with_quick_patches(model: Any) -> Any:
    """The model, its patches embedded by a matrix product in place of the convolution that it amounts to.

    A patch is as large as the kernel, so each output is one product. On a CPU the backward pass of that convolution takes
    half of the vision tower's time. Weights and their names stay.
    """
    for module in model.modules():
        kernel = getattr(module, "proj", None)
        if isinstance(kernel, torch.nn.Conv3d) and kernel.stride == kernel.kernel_size:
            module.forward = partial(_embedded, kernel)
    return model


def _embedded(kernel: torch.nn.Conv3d, patches: torch.Tensor) -> torch.Tensor:
    weight = kernel.weight.flatten(1)
    flat = patches.reshape(-1, weight.shape[1]).to(weight.dtype)
    return torch.nn.functional.linear(flat, weight, kernel.bias)


def with_adapter(model: Any, lora: LoraSettings, *, four_bits: bool, checkpointing: bool) -> Any:
    """The model with a fresh adapter on it, everything else frozen.

    Raises:
        NothingToAdapt: a name fits no layer.
    """
    names = [*_layers(model, lora.targets, tower=False), *_layers(model, lora.tower, tower=True)]
    if four_bits:
        model = prepare_model_for_kbit_training(
            model,
            use_gradient_checkpointing=checkpointing,
            gradient_checkpointing_kwargs={"use_reentrant": False},
        )
    settings = LoraConfig(
        r=lora.rank, lora_alpha=lora.alpha, lora_dropout=lora.dropout, target_modules=names, task_type="CAUSAL_LM"
    )
    with _old_names():
        return get_peft_model(model, settings)


@contextmanager
def _old_names() -> Iterator[None]:
    """Keep quiet about peft's use of a name that transformers has replaced and still knows."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "`is_gradient_checkpointing` is deprecated", FutureWarning)
        yield


def _layers(model: Any, ends: tuple[str, ...], *, tower: bool) -> list[str]:
    """Full names of linear layers, of the vision tower or of the rest, that end in one of the names."""
    found: dict[str, list[str]] = {end: [] for end in ends}
    for name, module in model.named_modules():
        if bool(re.match(_TOWER, name)) != tower or not isinstance(module, torch.nn.Linear):
            continue
        for end in ends:
            if name == end or name.endswith("." + end):
                found[end].append(name)
    if missing := [end for end, names in found.items() if not names]:
        part = "vision tower" if tower else "language model"
        raise NothingToAdapt(
            f"no linear layer of the {part} is called {', '.join(missing)}: set lora.{'tower' if tower else 'targets'}"
        )
    return [name for names in found.values() for name in names]


def load_adapter(model: Any, folder: Path) -> Any:
    """The model with a trained adapter on it.

    Raises:
        BaseModelUnavailable: there is no adapter, or it is another model's.
    """
    if not (folder / "adapter_config.json").is_file():
        raise BaseModelUnavailable(f"{folder} holds no adapter: give the folder `adapter` of a finished LoRA run")
    try:
        with _old_names():
            return PeftModel.from_pretrained(model, str(folder)).eval()
    except (ValueError, RuntimeError) as error:
        raise BaseModelUnavailable(f"the adapter in {folder} does not fit its base: name the right one") from error


def base_of(adapter: Path) -> str:
    """Folder or hub name of the model that an adapter was trained on.

    Raises:
        BaseModelUnavailable: there is no adapter, or it does not say.
    """
    try:
        base = json.loads((adapter / "adapter_config.json").read_text(encoding="utf-8"))["base_model_name_or_path"]
    except (OSError, ValueError, KeyError) as error:
        raise BaseModelUnavailable(
            f"{adapter} holds no adapter: give the folder `adapter` of a finished run"
        ) from error
    if not base:
        raise BaseModelUnavailable(f"the adapter in {adapter} does not say what it was trained on: name it with --base")
    return str(base)


def save_frame(frame: Frame, folder: Path) -> None:
    """Write a frame beside a model."""
    (folder / FRAME_FILE).write_text(frame.model_dump_json(indent=2) + "\n", encoding="utf-8")


def frame_in(folder: Path) -> Frame:
    """The frame beside a model.

    Raises:
        BaseModelUnavailable: there is none.
    """
    try:
        return read_frame(folder)
    except XrayToolsError as error:
        raise BaseModelUnavailable(f"{folder} holds no {FRAME_FILE}: give a folder that training wrote") from error


def computing_device(setting: str) -> str:
    """``cpu``, or ``cuda`` where there is a GPU and the setting leaves it open."""
    return "cuda" if setting == "auto" and torch.cuda.is_available() else "cpu"


def computes_in_bf16(device: str, setting: str) -> bool:
    """Whether to compute in bfloat16: as the setting says, or where the device is made for it."""
    if setting != "auto":
        return setting == "bf16"
    if device.startswith("cuda"):
        return bool(torch.cuda.is_bf16_supported())
    flags = Path("/proc/cpuinfo")
    return flags.is_file() and "avx512_bf16" in flags.read_text(encoding="utf-8", errors="replace")
