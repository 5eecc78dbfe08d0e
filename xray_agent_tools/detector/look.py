"""How every network looks at views: place their content, run, read the boxes, and look again where that pays."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from xray_agent_tools.detector.package import ModelPackage, SecondLook
from xray_agent_tools.detector.postprocess import decode
from xray_agent_tools.detector.preprocess import Content, Region, place_region
from xray_agent_tools.detector.protocol import RawDetection
from xray_agent_tools.detector.second_look import doubted, merge, whole, windows
from xray_agent_tools.errors import ModelUnavailable


@dataclass(frozen=True, slots=True)
class _Target:
    """One region of a view to run the network on."""

    content: Content
    region: Region
    within: Region
    floor: float


class NetworkDetector(ABC):
    """A detector around a network; what runs the network is its subclass' business."""

    def __init__(
        self, package: ModelPackage, *, content_crop: bool | None = None, second_look: SecondLook | bool | None = None
    ) -> None:
        """Choose how it looks.

        Args:
            package: a checked model package.
            content_crop: look at the content (True) or at the whole frame (False); None for what the manifest says.
            second_look: look again as described, or True or False: as the manifest says, or with default values where
                it says nothing, or not at all; None for what the manifest says.
        """
        manifest = package.manifest
        self._package = package
        self._crop = manifest.content_crop if content_crop is None else content_crop
        if second_look is None or second_look is True:
            again = manifest.second_look
            self._second = SecondLook() if again is None and second_look else again
        else:
            self._second = second_look or None

    @property
    def package(self) -> ModelPackage:
        """The model package it runs."""
        return self._package

    @property
    def content_crop(self) -> bool:
        """Whether it looks at the content, and not at the whole frame."""
        return self._crop

    @property
    def second_look(self) -> SecondLook | None:
        """How it looks again at what it doubts; None if it does not."""
        return self._second

    @property
    @abstractmethod
    def backend(self) -> str:
        """What runs the network, for people."""

    @property
    @abstractmethod
    def takes_batches(self) -> bool:
        """Whether the network takes any number of inputs at once."""

    def detect(self, pixels: NDArray[np.uint8], *, floor: float) -> list[RawDetection]:
        """Every box with at least the given confidence, most certain first.

        Raises:
            ModelUnavailable: the network failed.
        """
        return self.look([Content(pixels)], floors=[floor])[0]

    def detect_many(self, views: Sequence[NDArray[np.uint8]], *, floors: Sequence[float]) -> list[list[RawDetection]]:
        """The same for several views, in one run of the network if it takes batches.

        Raises:
            ModelUnavailable: the network failed.
        """
        return self.look([Content(view) for view in views], floors=floors)

    def look(self, contents: Sequence[Content], *, floors: Sequence[float]) -> list[list[RawDetection]]:
        """The same for views of which parts may be computed already.

        Raises:
            ModelUnavailable: the network failed.
        """
        second, thresholds = self._second, self._package.thresholds
        regions = [content.box if self._crop else content.frame for content in contents]
        depth = min(thresholds.values()) * second.lowest if second else 1.0
        found = self._find(
            [
                _Target(content, region, content.frame, min(floor, depth))
                for content, region, floor in zip(contents, regions, floors, strict=True)
            ]
        )
        if second is None:
            return found
        again = [
            (index, _Target(contents[index], window, window, floors[index]))
            for index, boxes in enumerate(found)
            for window in windows(doubted(boxes, thresholds, second), regions[index], second)
        ]
        looks: list[list[list[RawDetection]]] = [[] for _ in contents]
        for (index, target), boxes in zip(again, self._find([target for _, target in again]), strict=True):
            looks[index].append(whole(boxes, target.region, regions[index]))
        return [
            merge([box for box in boxes if box.confidence >= floor], further, thresholds)
            for boxes, further, floor in zip(found, looks, floors, strict=True)
        ]

    def _find(self, targets: Sequence[_Target]) -> list[list[RawDetection]]:
        manifest = self._package.manifest
        placed = [place_region(target.content, target.region, manifest.input_size) for target in targets]
        inputs = [network_input for network_input, _ in placed]
        try:
            outputs = [output for batch in self._batches(inputs) for output in self._run(batch)]
            return [
                decode(output, manifest, placement, within=target.within, floor=target.floor)
                for output, target, (_, placement) in zip(outputs, targets, placed, strict=True)
            ]
        except Exception as error:  # runtimes raise classes of their own for every device
            raise ModelUnavailable(
                f"the network failed: {type(error).__name__}", hint="run `xray-tools doctor`"
            ) from error

    def _batches(self, inputs: Sequence[NDArray[np.float32]]) -> list[NDArray[np.float32]]:
        if self.takes_batches and len(inputs) > 1:
            return [np.stack(inputs)]
        return [network_input[None] for network_input in inputs]

    @abstractmethod
    def _run(self, network_input: NDArray[np.float32]) -> NDArray[np.float32]:
        """From an input of shape (views, 3, size, size) to an output of shape (views, 4 + classes, anchors)."""
