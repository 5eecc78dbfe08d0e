"""Scans as batches for the trainer: cropped to their content, balanced by source, augmented."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from rich.progress import track
from torch.utils.data import Dataset

from xray_agent_tools.detector.preprocess import content_box, flatten_field, place
from xray_training.datasets.record import ScanRecord
from xray_training.detector.augment import Augmentation, Sample, fit, mosaic, overlay, rescan
from xray_training.detector.projecting import Projector

_STORED_PER_INPUT = 1.4


def annotation_mask(annotated: frozenset[str], names: Sequence[str]) -> NDArray[np.bool_]:
    """Which of the classes a scan's source annotates, shape (classes,)."""
    return np.array([name in annotated for name in names], dtype=np.bool_)


def pack_sample(pixels: NDArray[np.uint8], sample: Sample, mask: NDArray[np.bool_], file: str) -> dict[str, Any]:
    """One item as the trainer's loss reads it; boxes become centre and size as shares of the input."""
    size = pixels.shape[0]
    centres = (sample.boxes[:, :2] + sample.boxes[:, 2:]) / 2
    sides = sample.boxes[:, 2:] - sample.boxes[:, :2]
    return {
        "img": torch.from_numpy(np.ascontiguousarray(pixels.transpose(2, 0, 1))),
        "cls": torch.from_numpy(sample.labels.astype(np.float32)).view(-1, 1),
        "bboxes": torch.from_numpy(np.concatenate([centres, sides], axis=1).astype(np.float32) / size).view(-1, 4),
        "annotated": torch.from_numpy(mask),
        "im_file": file,
    }


def collate(items: list[dict[str, Any]]) -> dict[str, Any]:
    """Stack items; ``batch_idx`` tells which picture each box belongs to."""
    counts = [len(item["cls"]) for item in items]
    return {
        "img": torch.stack([item["img"] for item in items]),
        "cls": torch.cat([item["cls"] for item in items]),
        "bboxes": torch.cat([item["bboxes"] for item in items]),
        "annotated": torch.stack([item["annotated"] for item in items]),
        "batch_idx": torch.repeat_interleave(torch.arange(len(items)), torch.tensor(counts)).float(),
        "im_file": [item["im_file"] for item in items],
    }


class _Store:
    """Content crops of the records, held in memory at a little more than the input's size."""

    def __init__(self, records: Sequence[ScanRecord], names: Sequence[str], size: int) -> None:
        self.samples: list[Sample] = []
        self.masks = np.stack([annotation_mask(record.annotated, names) for record in records])
        index = {name: number for number, name in enumerate(names)}
        for record in track(records, description="Reading scans", transient=True):
            self.samples.append(_content_sample(record, index, round(size * _STORED_PER_INPUT)))


def _content_sample(record: ScanRecord, index: Mapping[str, int], longest: int) -> Sample:
    pixels = record.pixels()
    left, top, right, bottom = content_box(pixels)
    crop = np.ascontiguousarray(flatten_field(pixels)[top:bottom, left:right])
    scale = min(1.0, longest / max(crop.shape[:2]))
    if scale < 1.0:
        size = (max(1, round(crop.shape[1] * scale)), max(1, round(crop.shape[0] * scale)))
        crop = np.asarray(Image.fromarray(crop).resize(size, Image.Resampling.BILINEAR))
    known = np.array([box.label in index for box in record.boxes], dtype=np.bool_)
    corners = record.corners(pixels.shape[1], pixels.shape[0])[known]
    labels = np.array([index[box.label] for box in record.boxes if box.label in index], dtype=np.int64)
    offset = np.array([left, top, left, top], dtype=np.float32)
    return Sample(crop, ((corners - offset) * np.float32(scale)).reshape(-1, 4), labels)


class TrainingScans(Dataset[dict[str, Any]]):
    """Augmented training scans, drawn so that no source drowns the others.

    An item is drawn at random whatever its index: a source with n scans is drawn in proportion to
    ``n ** balance``. Partners of a mosaic come from the same source; a mixed-in second bag may come from
    any, and then only classes that both sources annotate count.
    """

    def __init__(
        self,
        records: Sequence[ScanRecord],
        names: Sequence[str],
        *,
        size: int,
        length: int,
        balance: float,
        augmentation: Augmentation,
    ) -> None:
        self._store = _Store(records, names, size)
        self._files = [str(record.image) for record in records]
        self._size, self._length, self._augmentation = size, length, augmentation
        sources = np.array([record.source for record in records])
        totals = Counter(sources.tolist())
        weights = np.array([totals[source] ** (balance - 1) for source in sources])
        self._weights = weights / weights.sum()
        self._members = {source: np.flatnonzero(sources == source) for source in totals}
        self._sources = sources
        self._projector = Projector(names)
        self.mosaic = True
        self.labels = [{"cls": s.labels, "bboxes": s.boxes} for s in self._store.samples]

    def __len__(self) -> int:
        return self._length

    def __getitem__(self, index: int) -> dict[str, Any]:
        rng = np.random.default_rng(int(torch.randint(2**62, ()).item()))
        chosen = int(rng.choice(len(self._files), p=self._weights))
        sample, mask = self._one(chosen, rng)
        if rng.random() < self._augmentation.mix:
            other, known = self._one(int(rng.choice(len(self._files), p=self._weights)), rng)
            if (mask & known).any():
                sample, mask = overlay(sample, other), mask & known
        pixels = rescan(sample.pixels, self._augmentation, rng)
        visible = mask[sample.labels]
        kept = Sample(sample.pixels, sample.boxes[visible], sample.labels[visible])
        return pack_sample(pixels, kept, mask, self._files[chosen])

    def _one(self, chosen: int, rng: np.random.Generator) -> tuple[Sample, NDArray[np.bool_]]:
        """A scan, or four beside each other, and the classes annotated on all of it."""
        if self.mosaic and rng.random() < self._augmentation.mosaic:
            partners = [chosen, *rng.choice(self._members[self._sources[chosen]], 3)]
            four = [self._scan(int(partner), rng) for partner in partners]
            return mosaic(four, self._size, self._augmentation, rng), np.asarray(
                self._store.masks[partners].all(axis=0)
            )
        return fit(self._scan(chosen, rng), self._size, self._augmentation, rng), self._store.masks[chosen]

    def _scan(self, number: int, rng: np.random.Generator) -> Sample:
        sample = self._store.samples[number]
        if rng.random() < self._augmentation.project:
            return self._projector.add(number, sample, self._store.masks[number], rng)
        return sample


class ValidationScans(Dataset[dict[str, Any]]):
    """Held-out scans as the detector will see them: no augmentation, the inference placement."""

    def __init__(self, records: Sequence[ScanRecord], names: Sequence[str], *, size: int) -> None:
        self._records, self._names, self._size = records, names, size
        self._index = {name: number for number, name in enumerate(names)}

    def __len__(self) -> int:
        return len(self._records)

    def __getitem__(self, index: int) -> dict[str, Any]:
        record = self._records[index]
        pixels = record.pixels()
        network_input, placement = place(pixels, self._size)
        known = np.array([box.label in self._index for box in record.boxes], dtype=np.bool_)
        boxes = placement.to_input(record.corners(pixels.shape[1], pixels.shape[0])[known])
        labels = np.array([self._index[b.label] for b in record.boxes if b.label in self._index], dtype=np.int64)
        shown = (network_input.transpose(1, 2, 0) * 255).round().astype(np.uint8)
        mask = annotation_mask(record.annotated, self._names)
        return pack_sample(shown, Sample(shown, boxes, labels), mask, str(record.image))
