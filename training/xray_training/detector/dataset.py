"""Scans as batches for the trainer: cropped to their content, balanced by source, augmented."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from rich.progress import track
from torch.utils.data import Dataset

from xray_agent_tools.detector.preprocess import Content, place
from xray_training.datasets.record import ScanRecord
from xray_training.detector.augment import Augmentation, Sample, fit, mosaic, overlay, rescan
from xray_training.detector.projecting import Projector
from xray_training.detector.sampler import FRESH
from xray_training.detector.simulated import Simulated

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

    def __init__(self, records: Sequence[ScanRecord], names: Sequence[str], size: int, *, masked: bool) -> None:
        self.samples: list[Sample] = []
        self.masks = np.stack([annotation_mask(record.annotated, names) for record in records]) | (not masked)
        index = {name: number for number, name in enumerate(names)}
        longest = round(size * _STORED_PER_INPUT)
        with ThreadPoolExecutor(os.cpu_count()) as pool:
            read = pool.map(lambda record: _content_sample(record, index, longest), records)
            self.samples.extend(track(read, description="Reading scans", total=len(records), transient=True))


def _content_sample(record: ScanRecord, index: Mapping[str, int], longest: int) -> Sample:
    return crop_to_content(_sample(record.pixels(), record, index), longest)


def _sample(pixels: NDArray[np.uint8], record: ScanRecord, index: Mapping[str, int]) -> Sample:
    """Pixels with the boxes of the classes that are trained."""
    known = np.array([box.label in index for box in record.boxes], dtype=np.bool_)
    labels = np.array([index[box.label] for box in record.boxes if box.label in index], dtype=np.int64)
    return Sample(pixels, record.corners(pixels.shape[1], pixels.shape[0])[known], labels)


def crop_to_content(sample: Sample, longest: int) -> Sample:
    """The part of a scan that holds something, its belt white, its longer side at most ``longest`` pixels."""
    content = Content(sample.pixels)
    left, top, _, _ = content.box
    crop = content.flat(content.box)
    scale = min(1.0, longest / max(crop.size))
    if scale < 1.0:
        size = (max(1, round(crop.width * scale)), max(1, round(crop.height * scale)))
        crop = crop.resize(size, Image.Resampling.BILINEAR)
    offset = np.array([left, top, left, top], dtype=np.float32)
    return Sample(np.array(crop), ((sample.boxes - offset) * np.float32(scale)).reshape(-1, 4), sample.labels)


class TrainingScans(Dataset[dict[str, Any]]):
    """Augmented training scans.

    Partners of a mosaic come from the same source; a mixed-in second bag may come from any, and then only classes that
    both sources annotate count.
    """

    def __init__(
        self,
        records: Sequence[ScanRecord],
        names: Sequence[str],
        *,
        size: int,
        augmentation: Augmentation,
        masked: bool = True,
        simulated: Simulated | None = None,
    ) -> None:
        """Read the scans.

        Args:
            records: the scans.
            names: the classes, in the network's order.
            size: side of the network input in pixels.
            augmentation: how strongly to augment.
            masked: False takes what a source does not annotate for absent.
            simulated: makes scans for draws of :data:`FRESH`.
        """
        self._store = _Store(records, names, size, masked=masked)
        self._files = [str(record.image) for record in records]
        self._size, self._augmentation = size, augmentation
        self._sources = np.array([record.source for record in records])
        self._members = {
            source: np.flatnonzero(self._sources == source) for source in sorted(set(self._sources.tolist()))
        }
        self._names_of_sources = tuple(self._members)
        self._projector = Projector(names)
        self._index = {name: number for number, name in enumerate(names)}
        self._simulated = simulated
        self.mosaic = True
        self.labels = [{"cls": s.labels, "bboxes": s.boxes} for s in self._store.samples]

    def __len__(self) -> int:
        return len(self._files)

    def __getitem__(self, index: int) -> dict[str, Any]:
        rng = np.random.default_rng(int(torch.randint(2**62, ()).item()))
        if index == FRESH:
            sample, mask, file = self._fresh(rng)
        else:
            (sample, mask), file = self._one(index, rng), self._files[index]
        if rng.random() < self._augmentation.mix:
            other, known = self._one(self._partner(rng), rng)
            if (mask & known).any():
                sample, mask = overlay(sample, other), mask & known
        pixels = rescan(sample.pixels, self._augmentation, rng)
        visible = mask[sample.labels]
        kept = Sample(sample.pixels, sample.boxes[visible], sample.labels[visible])
        return pack_sample(pixels, kept, mask, file)

    def _fresh(self, rng: np.random.Generator) -> tuple[Sample, NDArray[np.bool_], str]:
        """A simulated scan made now, the classes annotated on it, and its name."""
        if self._simulated is None:
            raise IndexError("nothing makes simulated scans here")
        pixels, record = self._simulated.make(rng)
        whole = crop_to_content(_sample(pixels, record, self._index), round(self._size * _STORED_PER_INPUT))
        mask = annotation_mask(record.annotated, tuple(self._index))
        return fit(whole, self._size, self._augmentation, rng), mask, str(record.image)

    def _partner(self, rng: np.random.Generator) -> int:
        """A scan of any source, every source alike."""
        source = self._names_of_sources[int(rng.integers(len(self._names_of_sources)))]
        return int(rng.choice(self._members[source]))

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
    """Held-out scans as the detector will see them: no augmentation, the inference placement, kept in memory."""

    def __init__(self, records: Sequence[ScanRecord], names: Sequence[str], *, size: int) -> None:
        index = {name: number for number, name in enumerate(names)}
        with ThreadPoolExecutor(os.cpu_count()) as pool:
            placed = pool.map(lambda record: _placed_sample(record, index, size), records)
            samples = list(track(placed, description="Reading held-out scans", total=len(records), transient=True))
        self._items = [
            pack_sample(sample.pixels, sample, annotation_mask(record.annotated, names), str(record.image))
            for sample, record in zip(samples, records, strict=True)
        ]

    def __len__(self) -> int:
        return len(self._items)

    def __getitem__(self, index: int) -> dict[str, Any]:
        return self._items[index]


def _placed_sample(record: ScanRecord, index: Mapping[str, int], size: int) -> Sample:
    whole = _sample(record.pixels(), record, index)
    network_input, placement = place(whole.pixels, size)
    shown = (network_input.transpose(1, 2, 0) * 255).round().astype(np.uint8)
    return Sample(shown, placement.to_input(whole.boxes), whole.labels)
