"""Simulated scans for training, made as they are needed."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import count

import numpy as np
import torch
from torch.utils.data import IterableDataset, get_worker_info

from xray_training.simulator.objects.library import LABELS
from xray_training.simulator.scanners import TRAINING_SCANNERS
from xray_training.simulator.scene import ANYTHING, Carry, Contents, simulate_views
from xray_training.simulator.write import labelled


@dataclass(frozen=True, slots=True)
class Sample:
    """One simulated scan.

    Attributes:
        image: RGB, shape (3, height, width), uint8.
        boxes: x_min, y_min, x_max, y_max in pixels, shape (n, 4), float32.
        labels: places in ``LABELS``, shape (n,), int64.
        seed: the seed that makes it again.
    """

    image: torch.Tensor
    boxes: torch.Tensor
    labels: torch.Tensor
    seed: int


class SimulatedScans(IterableDataset[Sample]):
    """An endless or bounded stream of scans, divided among a loader's workers without repeats.

    Every pass over it gives the same scans: for new ones make a stream with another seed.
    """

    def __init__(
        self,
        *,
        seed: int = 0,
        size: int | None = None,
        scanners: Sequence[str] = TRAINING_SCANNERS,
        contents: Contents = ANYTHING,
        device: str | torch.device = "cpu",
    ) -> None:
        """Describe the stream.

        Args:
            seed: seed of the first scan; the following scans have the following seeds.
            size: number of scans; endless when None.
            scanners: scan ``i`` goes through ``scanners[i % len(scanners)]``.
            contents: which threats are packed into each bag.
            device: where rays are added up and colours are made; ``cpu`` uses NumPy.

        Raises:
            ValueError: no scanner is named.
        """
        if not scanners:
            raise ValueError("a stream needs at least one scanner")
        self._seed, self._size = seed, size
        self._scanners, self._contents = tuple(scanners), contents
        self._carry = _carry_to(torch.device(device))

    def __iter__(self) -> Iterator[Sample]:
        worker = get_worker_info()
        first, step = (worker.id, worker.num_workers) if worker else (0, 1)
        numbers = count(first, step) if self._size is None else iter(range(first, self._size, step))
        return (self._sample(number) for number in numbers)

    def _sample(self, number: int) -> Sample:
        seed, scanner = self._seed + number, self._scanners[number % len(self._scanners)]
        scan = simulate_views(seed, scanner=scanner, contents=self._contents, carry=self._carry)[0]
        shown = labelled(scan)
        return Sample(
            torch.from_numpy(np.ascontiguousarray(scan.pixels.transpose(2, 0, 1))),
            torch.tensor([item.box for item in shown], dtype=torch.float32).reshape(-1, 4),
            torch.tensor([LABELS.index(item.label) for item in shown], dtype=torch.int64),
            seed,
        )


def _carry_to(device: torch.device) -> Carry:
    if device.type == "cpu":
        return np.asarray
    return lambda array: torch.from_numpy(np.ascontiguousarray(array)).to(device)
