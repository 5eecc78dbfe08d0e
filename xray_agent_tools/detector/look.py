"""One look at views: place their content, run the network, read the boxes. Every backend looks like this."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from xray_agent_tools.detector.package import Manifest
from xray_agent_tools.detector.postprocess import decode
from xray_agent_tools.detector.preprocess import place
from xray_agent_tools.detector.protocol import RawDetection
from xray_agent_tools.errors import ModelUnavailable

Network = Callable[[NDArray[np.float32]], NDArray[np.float32]]
"""From an input of shape (views, 3, size, size) to an output of shape (views, 4 + classes, anchors)."""


def look(
    network: Network, views: Sequence[NDArray[np.uint8]], manifest: Manifest, *, floors: Sequence[float]
) -> list[list[RawDetection]]:
    """Find items on views, on each the most certain first.

    Args:
        network: runs the network on all views at once.
        views: RGB, shape (height, width, 3), 0..255; at least one.
        manifest: input size, names, calibration and overlap.
        floors: for each view the lowest calibrated confidence to return, 0..1.

    Raises:
        ModelUnavailable: the network failed or gave something else than its manifest says.
    """
    placed = [place(view, manifest.input_size) for view in views]
    try:
        outputs = network(np.stack([network_input for network_input, _ in placed]))
        return [
            decode(output, manifest, placement, width=view.shape[1], height=view.shape[0], floor=floor)
            for output, view, (_, placement), floor in zip(outputs, views, placed, floors, strict=True)
        ]
    except Exception as error:  # runtimes raise classes of their own for every device
        raise ModelUnavailable(f"the network failed: {type(error).__name__}", hint="run `xray-tools doctor`") from error
