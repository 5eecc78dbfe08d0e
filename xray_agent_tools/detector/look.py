"""One look at a view: place its content, run the network, read the boxes. Every backend looks like this."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from xray_agent_tools.detector.package import Manifest
from xray_agent_tools.detector.postprocess import decode
from xray_agent_tools.detector.preprocess import place
from xray_agent_tools.detector.protocol import RawDetection
from xray_agent_tools.errors import ModelUnavailable

Network = Callable[[NDArray[np.float32]], NDArray[np.float32]]
"""From an input of shape (1, 3, size, size) to an output of shape (4 + classes, anchors)."""


def look(network: Network, pixels: NDArray[np.uint8], manifest: Manifest, *, floor: float) -> list[RawDetection]:
    """Find items on a view, most certain first.

    Args:
        network: runs the network.
        pixels: RGB, shape (height, width, 3), 0..255.
        manifest: input size, names, calibration and overlap.
        floor: lowest calibrated confidence to return, 0..1.

    Raises:
        ModelUnavailable: the network failed or gave something else than its manifest says.
    """
    network_input, placement = place(pixels, manifest.input_size)
    height, width = pixels.shape[:2]
    try:
        output = network(network_input[None])
        return decode(output, manifest, placement, width=width, height=height, floor=floor)
    except Exception as error:  # runtimes raise classes of their own for every device
        raise ModelUnavailable(f"the network failed: {type(error).__name__}", hint="run `xray-tools doctor`") from error
