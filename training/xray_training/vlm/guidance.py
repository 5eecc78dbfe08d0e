"""What trained detectors make of a picture, cell by cell, as a lesson for a vision tower that starts from nothing.

A transformer has to find out from data that neighbouring pixels belong together; a convolutional network is built that
way. Imitating the features of one, besides learning the labels, saves a small transformer much of that (Li et al.,
"Locality guidance for improving vision transformers on tiny datasets", arXiv 2207.10026). The detectors see the picture
as its own scanner showed it, whatever variation the tower is shown. They are not needed after training.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import batch_norm, max_pool2d, mse_loss

from xray_agent_tools.detector.package import load_package
from xray_agent_tools.detector.torch import CHECKPOINT_FILE, load_network
from xray_agent_tools.errors import XrayToolsError
from xray_training.vlm.faults import GuideUnavailable

CELL = 32
"""Side in pixels of a cell as the detectors see it: the stride of their coarsest level."""
_STRIDES = (8, 16, 32)
_BYTE = 255.0


class Guide:
    """Frozen detectors: the last hidden features of their classification branches, of all three levels.

    Args:
        detectors: names of embedded detector models, or folders of model packages with a ``model.pt``.
        device: where to compute.

    Raises:
        GuideUnavailable: a model or its checkpoint is missing or damaged.
    """

    def __init__(self, detectors: Sequence[str], device: str) -> None:
        self._networks = [_network(detector, device) for detector in detectors]
        self._seen: list[Tensor] = []
        for network in self._networks:
            network.requires_grad_(False)
            for branch in network.model[-1].cv3:
                branch[-2].register_forward_hook(self._keep)

    def _keep(self, module: nn.Module, inputs: Any, features: Tensor) -> None:
        self._seen.append(features)

    def features(self, pictures: Tensor, grids: Tensor) -> Tensor:
        """What is seen in the cells of all pictures: (cells, channels), each channel with mean 0 and variance 1.

        Args:
            pictures: (b, 3, height, width) uint8, RGB, ``CELL`` pixels a cell from the upper left corner.
            grids: (b, 3) frames, rows and columns of cells.
        """
        self._seen.clear()
        scaled = pictures.to(memory_format=torch.channels_last).float() / _BYTE
        with torch.no_grad():
            for network in self._networks:
                network(scaled)
        levels = [
            max_pool2d(seen, CELL // stride)
            for seen, stride in zip(self._seen, _STRIDES * len(self._networks), strict=True)
        ]
        self._seen.clear()
        maps = torch.cat(levels, dim=1).float()
        cells = [
            picture[:, :rows, :columns].flatten(1).T
            for picture, (_, rows, columns) in zip(maps, grids.tolist(), strict=True)
        ]
        return batch_norm(torch.cat(cells), None, None, training=True)

    @property
    def channels(self) -> int:
        """How many features a cell has."""
        return sum(branch[-1].in_channels for network in self._networks for branch in network.model[-1].cv3)


def _network(detector: str, device: str) -> Any:
    try:
        network = load_network(load_package(detector).folder / CHECKPOINT_FILE, device)
    except XrayToolsError as error:
        raise GuideUnavailable(f"no detector to be imitated: {error.message}; {error.hint}") from error
    return network.fuse(verbose=False).to(memory_format=torch.channels_last)


def guidance_loss(told: Tensor, features: Tensor) -> Tensor:
    """Mean squared error, a scalar: 1 for a tower that knows nothing."""
    return mse_loss(told.float(), features)
