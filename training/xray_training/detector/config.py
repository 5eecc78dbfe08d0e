"""What a detector training run is made of."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field

from xray_training.detector.augment import Augmentation


class TrainingConfig(BaseModel):
    """Every setting of one run; the resolved values are saved beside its weights."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    data: tuple[Path, ...] = Field(min_length=1, description="Folders of scans in the annotated YOLO layout.")
    names: tuple[str, ...] = Field(min_length=1, description="Canonical labels to train, in the network's order.")
    aliases: dict[str, str] = Field(default_factory=dict, description="Labels to train as another one, by label.")
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
    validation_share: float = Field(0.1, gt=0, lt=1, description="Share of each source's training scans held out.")
    validation_shares: dict[str, float] = Field(default_factory=dict, description="The same, by source.")
    seed: int = 0
    precision: Literal["fp32", "bf16"] = "bf16"
    threads: int = Field(0, ge=0, description="CPU threads; 0 takes every core.")
    workers: int = Field(2, ge=0, description="Data loading processes.")
    device: str = "cpu"
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
