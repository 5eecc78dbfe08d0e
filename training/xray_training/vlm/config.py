"""What a fine-tuning run is made of."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field, model_validator

from xray_agent_tools.explainer.picture import BoxUnits
from xray_training.datasets.pairs import Kind

CONFIG_FILE = "config.yaml"
"""Name of the resolved settings in a run's folder."""
CONFIGS = Path(__file__).parent / "configs"


class _Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class LoraSettings(_Section):
    """The adapter: low-rank changes to some layers (arXiv 2106.09685)."""

    rank: int = Field(16, ge=1)
    alpha: float = Field(32, gt=0, description="Strength; a change counts alpha / rank times.")
    dropout: float = Field(0.05, ge=0, lt=1)
    targets: tuple[str, ...] = Field(
        ("q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"),
        min_length=1,
        description="Ends of the names of layers of the language model.",
    )
    tower: tuple[str, ...] = Field(
        (), description="Ends of the names of layers of the vision tower; none: it stays as is."
    )


class FrameSettings(_Section):
    """The sizes in which pictures are shown."""

    min_pixels: int = Field(56 * 56, ge=1)
    max_pixels: int = Field(768 * 768, ge=1)
    boxes: BoxUnits = Field(
        "pixels", description="How boxes are written: pixels for Qwen2.5-VL, thousandths for Qwen3-VL."
    )


class Architecture(_Section):
    """A Qwen2.5-VL to be made from its configuration and trained from nothing."""

    vocabulary: int = Field(2048, ge=300, description="Tokens of the byte-level BPE, the special ones included.")
    patch: int = Field(14, ge=2, description="Side of a patch in pixels; two by two become one token.")
    vision_width: int = Field(256, ge=8)
    vision_layers: int = Field(6, ge=1)
    vision_heads: int = Field(4, ge=1)
    vision_hidden: int = Field(768, ge=8)
    width: int = Field(256, ge=8)
    layers: int = Field(4, ge=1)
    heads: int = Field(4, ge=1)
    key_heads: int = Field(4, ge=1)
    hidden: int = Field(768, ge=8)
    spread: float = Field(0.03, gt=0, description="Standard deviation of the weights at the start.")

    @model_validator(mode="after")
    def _heads_divide(self) -> Architecture:
        if self.vision_width % (4 * self.vision_heads) or self.width % (4 * self.heads) or self.heads % self.key_heads:
            raise ValueError("a head's width is a multiple of four, and key heads divide the heads")
        return self


class CellSettings(_Section):
    """Teaching the vision tower directly what lies in each cell, from the boxes of the pairs.

    The layer that reads the cells is thrown away after training: the model is a plain Qwen2.5-VL.
    """

    weight: float = Field(0.0, ge=0, description="Weight beside the loss on answers; 0: not taught.")
    alone: float = Field(
        0.0,
        ge=0,
        lt=1,
        description="Share of the run, at its start, that teaches cells, with any guidance, and nothing else.",
    )


class GuidanceSettings(_Section):
    """Imitating trained detectors, cell by cell; see :mod:`xray_training.vlm.guidance`."""

    detectors: tuple[str, ...] = Field(
        (), description="Names or folders of detector models with a `model.pt`; none: no guidance."
    )
    weight: float = Field(1.0, gt=0, description="Weight beside the other losses.")


class VariationSettings(_Section):
    """How pictures are varied in training; see :mod:`xray_training.vlm.variation`."""

    moved: float = Field(
        0.0, ge=0, le=1, description="Probability of a mirror, a turn and a margin; questions of place drop out."
    )
    margin: float = Field(
        0.15, ge=0, lt=1, description="Largest share of the picture that such a margin takes on each axis."
    )
    rescan: float = Field(0.0, ge=0, le=1, description="Probability of showing it as another scanner might.")


class GateSettings(_Section):
    """What the proofs before and after training ask for."""

    examples: int = Field(8, ge=2, description="Examples that are looked at before training.")
    pairs: int = Field(400, ge=4, description="Most held-out presence questions asked after training.")
    least_pairs: int = Field(20, ge=2, description="Fewest held-out presence questions that prove anything.")
    margin: float = Field(0.05, ge=0, le=1, description="Accuracy above the best answer that needs no picture.")
    changed: float = Field(0.05, gt=0, le=1, description="Share of answers that change when pictures are swapped.")
    moved: float = Field(1e-3, gt=0, description="Least largest change of log-odds by the training, in nats.")


class VlmConfig(_Section):
    """Every setting of one run; the resolved values are saved beside its weights."""

    pairs: tuple[Path, ...] = Field(min_length=1, description="Files of question-answer pairs, or folders with one.")
    base: str | None = Field(None, description="Folder or hub name of the model to start from.")
    architecture: Architecture | None = Field(None, description="A model to be made in place of a base.")
    method: Literal["lora", "qlora", "full"] = "lora"
    lora: LoraSettings = Field(default_factory=LoraSettings)
    frame: FrameSettings = Field(default_factory=FrameSettings)
    kinds: dict[Kind, float] = Field(
        default_factory=dict,
        description="Share of the pairs of a kind that an epoch asks, 0..1; 1 where it is not named.",
    )
    pack: int = Field(
        1, ge=1, description="Most questions about one picture in one sequence; the picture is seen once."
    )
    brief: float = Field(0.0, ge=0, le=1, description="Share of yes-or-no answers that are told in one word.")
    per_answer: bool = Field(False, description="Every answer weighs the same, however long; else every token does.")
    cells: CellSettings = Field(default_factory=CellSettings)
    guidance: GuidanceSettings = Field(default_factory=GuidanceSettings)
    variation: VariationSettings = Field(default_factory=VariationSettings)
    gate: GateSettings = Field(default_factory=GateSettings)
    epochs: float = Field(1.0, gt=0, description="Epochs, when neither `steps` nor `hours` is given.")
    steps: int | None = Field(None, ge=1, description="Steps of the optimiser, in place of epochs.")
    hours: float | None = Field(None, gt=0, description="Time budget; the learning rate follows the clock.")
    batch: int = Field(1, ge=1, description="Sequences a step and device.")
    accumulate: int = Field(16, ge=1, description="Steps whose gradients are added up.")
    learning_rate: float = Field(1e-4, gt=0)
    final_learning_rate: float = Field(0.05, ge=0, le=1, description="Share of the learning rate at the end.")
    warmup: float = Field(0.03, ge=0, lt=1, description="Share of the run in which the learning rate rises.")
    weight_decay: float = Field(0.0, ge=0)
    beta2: float = Field(0.999, gt=0, lt=1, description="Decay of AdamW's second moment.")
    evaluate_every: int = Field(200, ge=1, description="Steps between looks at the validation loss; a checkpoint each.")
    validation_pictures: int = Field(200, ge=1, description="Most held-out pictures that the validation loss is of.")
    patience: int = Field(0, ge=0, description="Looks without a lower validation loss before stopping; 0: never.")
    checkpointing: bool = Field(False, description="Compute activations again in place of keeping them.")
    precision: Literal["auto", "bf16", "fp32"] = Field(
        "auto", description="auto: bf16 where the device computes in it."
    )
    device: Literal["auto", "cpu"] = Field("auto", description="auto: every GPU there is.")
    threads: int = Field(0, ge=0, description="CPU threads; 0 leaves PyTorch's choice.")
    workers: int = Field(0, ge=0, description="Processes that prepare batches.")
    remembered: int = Field(0, ge=0, description="Megabytes of framed pictures to keep in memory, per process.")
    seed: int = 0

    @model_validator(mode="after")
    def _one_start(self) -> VlmConfig:
        if (self.base is None) == (self.architecture is None):
            raise ValueError("a run starts from a base or from an architecture: set one of them")
        if self.architecture is not None and self.method != "full":
            raise ValueError("a model made from its architecture is trained in full: method must be full")
        return self


def load_config(path: Path, overrides: dict[str, Any]) -> VlmConfig:
    """Read a YAML configuration and put the overrides on top (dotted keys reach into sections).

    Raises:
        pydantic.ValidationError: a value does not fit.
    """
    values = yaml.safe_load(path.read_text(encoding="utf-8")) or {}
    for key, value in overrides.items():
        section = values
        *parents, last = key.split(".")
        for parent in parents:
            if not isinstance(section.get(parent), dict):
                section[parent] = {}
            section = section[parent]
        section[last] = value
    return VlmConfig.model_validate(values)


def save_config(config: VlmConfig, out: Path) -> None:
    """Write the resolved settings to ``config.yaml`` in a run's folder."""
    out.mkdir(parents=True, exist_ok=True)
    resolved = yaml.safe_dump(config.model_dump(mode="json"), sort_keys=False)
    (out / CONFIG_FILE).write_text(resolved, encoding="utf-8")
