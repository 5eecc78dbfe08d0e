"""What a detector training run is made of."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field, field_validator

from xray_training.detector.augment import Augmentation
from xray_training.simulator.scanners import TRAINING_SCANNERS, WILD

CONFIG_FILE = "config.yaml"
"""Name of the resolved settings in a run's folder."""


class FreshScans(BaseModel):
    """Simulated scans made anew for every draw, by the processes that load data."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    share: tuple[float, float] = Field((0.0, 0.0), description="Share of draws at the start and at the end of the run.")
    scanners: tuple[str, ...] = Field((WILD,), min_length=1, description="Virtual scanners to draw from.")
    most: int = Field(5, ge=1, description="Most threats drawn for one bag.")

    @field_validator("share")
    @classmethod
    def _is_share(cls, share: tuple[float, float]) -> tuple[float, float]:
        if not all(0 <= value <= 1 for value in share):
            raise ValueError("shares lie in 0..1")
        return share

    @field_validator("scanners")
    @classmethod
    def _are_scanners(cls, scanners: tuple[str, ...]) -> tuple[str, ...]:
        known = (*TRAINING_SCANNERS, WILD)
        if unknown := sorted(set(scanners) - set(known)):
            raise ValueError(f"no scanner to train with: {', '.join(unknown)}; there are {', '.join(known)}")
        return scanners


class TrainingConfig(BaseModel):
    """Every setting of one run; the resolved values are saved beside its weights."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    data: tuple[Path, ...] = Field(min_length=1, description="Folders of scans in the annotated YOLO layout.")
    names: tuple[str, ...] = Field(min_length=1, description="Canonical labels to train, in the network's order.")
    aliases: dict[str, str] = Field(default_factory=dict, description="Labels to train as another one, by label.")
    broad: dict[str, tuple[str, ...]] = Field(
        default_factory=dict,
        description="Labels that some sources give to kindred items too: where an item is boxed under its own name, the "
        "broad label is unknown on that scan.",
    )
    unannotated: dict[str, tuple[str, ...]] = Field(
        default_factory=dict, description="Labels that a source says it annotates and does not, by source."
    )
    stretch: dict[str, float] = Field(default_factory=dict, description="Width factor by source.")
    architecture: str = Field("yolo11n.yaml", description="Ultralytics model description.")
    weights: Path | None = Field(None, description="Checkpoint to start from; classes are matched by name.")
    size: int = Field(320, ge=64, multiple_of=32, description="Side of the network input in pixels.")
    epochs: int = Field(100, ge=1, description="Epochs, when `hours` is not given.")
    hours: float | None = Field(None, gt=0, description="Time budget; the schedule adapts to it.")
    epoch_scans: int = Field(4000, ge=1, description="Scans drawn per epoch.")
    batch: int = Field(16, ge=2)
    learning_rate: float = Field(0.0015, gt=0)
    final_learning_rate: float = Field(0.01, gt=0, le=1, description="Share of the learning rate at the end.")
    weight_decay: float = Field(0.0005, ge=0)
    warmup_epochs: float = Field(1.0, ge=0)
    plain_epochs: int = Field(2, ge=0, description="Epochs without mosaic at the end.")
    balance: float = Field(0.6, ge=0, le=1, description="0: every source alike, 1: every scan alike.")
    emphasis: dict[str, tuple[float, float]] = Field(
        default_factory=dict,
        description="Factors on how often a source is drawn, at the start and at the end of the run: the curriculum.",
    )
    rare_below: float = Field(
        0.0,
        ge=0,
        le=1,
        description="Scans of a class found on a smaller share f of its source's scans are drawn sqrt(rare_below / f) "
        "times as often.",
    )
    fresh: FreshScans = Field(default_factory=FreshScans)
    validation_share: float = Field(0.1, gt=0, lt=1, description="Share of each source's training scans held out.")
    validation_shares: dict[str, float] = Field(default_factory=dict, description="The same, by source.")
    patience: int = Field(0, ge=0, description="Epochs without a lower held-out loss before stopping; 0: never.")
    masked_loss: bool = Field(True, description="Leave out classes that a scan's source does not annotate.")
    seed: int = 0
    precision: Literal["fp32", "bf16"] = "bf16"
    threads: int = Field(0, ge=0, description="CPU threads; 0 takes every core.")
    workers: int = Field(2, ge=0, description="Data loading processes.")
    device: str = Field("cpu", description="A torch device, or several GPUs: 0,1.")
    augmentation: Augmentation = Field(default_factory=Augmentation)


def load_config(path: Path, overrides: dict[str, Any]) -> TrainingConfig:
    """Read a YAML configuration and put the overrides on top (dotted keys reach into sections)."""
    values = yaml.safe_load(path.read_text(encoding="utf-8")) or {}
    for key, value in overrides.items():
        section = values
        *parents, last = key.split(".")
        for parent in parents:
            section = section.setdefault(parent, {})
        section[last] = value
    return TrainingConfig.model_validate(values)
