"""The scans of a training run."""

from __future__ import annotations

from dataclasses import replace

from xray_training.datasets import partial_yolo
from xray_training.datasets.record import ScanRecord
from xray_training.datasets.split import hold_out
from xray_training.detector.config import TrainingConfig


def training_records(config: TrainingConfig) -> list[ScanRecord]:
    """The training scans of every folder, labels that are trained as another one renamed.

    A source annotates the common label if it annotates any of those that are trained as it. Where it leaves out one of
    them, such items count as background, so an alias suits labels that sources do not tell apart.

    Raises:
        DatasetError: a folder cannot be read.
    """
    return [
        as_trained(record, config)
        for folder in config.data
        for record in partial_yolo.read(folder, split="train", stretch=config.stretch)
    ]


def divided_records(config: TrainingConfig) -> tuple[list[ScanRecord], list[ScanRecord]]:
    """The scans that a run trains on, and those that it holds out.

    Raises:
        DatasetError: a folder cannot be read.
    """
    return hold_out(
        training_records(config), config.validation_shares, default=config.validation_share, seed=config.seed
    )


def as_trained(record: ScanRecord, config: TrainingConfig) -> ScanRecord:
    """A record with the labels it is trained under, and without those it cannot be said to annotate."""
    return _with_unknowns(_renamed(record, config.aliases), config)


def _renamed(record: ScanRecord, aliases: dict[str, str]) -> ScanRecord:
    if not aliases:
        return record
    boxes = tuple(replace(box, label=aliases.get(box.label, box.label)) for box in record.boxes)
    annotated = frozenset(aliases.get(label, label) for label in record.annotated)
    return replace(record, boxes=boxes, annotated=annotated)


def _with_unknowns(record: ScanRecord, config: TrainingConfig) -> ScanRecord:
    """The record without the labels that it cannot be said to annotate."""
    unknown = set(config.unannotated.get(record.source, ()))
    shown = {box.label for box in record.boxes}
    unknown |= {label for label, kindred in config.broad.items() if shown.intersection(kindred)}
    if not unknown:
        return record
    kept = tuple(box for box in record.boxes if box.label not in unknown)
    return replace(record, boxes=kept, annotated=record.annotated - unknown)
