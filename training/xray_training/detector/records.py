"""The scans of a training run."""

from __future__ import annotations

from dataclasses import replace

from xray_training.datasets import partial_yolo
from xray_training.datasets.record import ScanRecord
from xray_training.detector.config import TrainingConfig


def training_records(config: TrainingConfig) -> list[ScanRecord]:
    """The training scans of every folder, labels that are trained as another one renamed.

    A source annotates the common label if it annotates any of those that are trained as it. Where it leaves out one of
    them, such items count as background, so an alias suits labels that sources do not tell apart.

    Raises:
        DatasetError: a folder cannot be read.
    """
    return [
        _renamed(record, config.aliases)
        for folder in config.data
        for record in partial_yolo.read(folder, split="train", stretch=config.stretch)
    ]


def _renamed(record: ScanRecord, aliases: dict[str, str]) -> ScanRecord:
    if not aliases:
        return record
    boxes = tuple(replace(box, label=aliases.get(box.label, box.label)) for box in record.boxes)
    annotated = frozenset(aliases.get(label, label) for label in record.annotated)
    return replace(record, boxes=boxes, annotated=annotated)
