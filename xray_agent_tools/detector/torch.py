"""The Ultralytics backend: runs a trained checkpoint as it left training.

It exists to compare an exported network with its origin and to look at a checkpoint before it is exported.
It needs the extra ``ultralytics``, which is AGPL-3.0.
"""

from __future__ import annotations

import os
import threading
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from xray_agent_tools.detector.look import NetworkDetector
from xray_agent_tools.detector.package import ModelPackage, SecondLook
from xray_agent_tools.errors import Misconfigured, ModelUnavailable

CHECKPOINT_FILE = "model.pt"


class UltralyticsDetector(NetworkDetector):
    """Runs a checkpoint with the names, calibration and thresholds of a model package."""

    def __init__(
        self,
        package: ModelPackage,
        *,
        checkpoint: Path | None = None,
        device: str = "cpu",
        content_crop: bool | None = None,
        second_look: SecondLook | bool | None = None,
    ) -> None:
        """Load the checkpoint.

        Args:
            package: a checked model package.
            checkpoint: an Ultralytics ``.pt`` file; the package's ``model.pt`` when not given.
            device: a torch device.
            content_crop: as for :class:`NetworkDetector`.
            second_look: as for :class:`NetworkDetector`.

        Raises:
            Misconfigured: the extra is not installed.
            ModelUnavailable: the checkpoint is missing, unreadable or has other classes.
        """
        super().__init__(package, content_crop=content_crop, second_look=second_look)
        self._device = device
        self._lock = threading.Lock()
        self._network = load_network(checkpoint or package.folder / CHECKPOINT_FILE, device)
        package.check_names([str(self._network.names[index]) for index in range(len(self._network.names))])

    @property
    def backend(self) -> str:
        """Runtime and device."""
        return f"ultralytics/{self._device}"

    @property
    def takes_batches(self) -> bool:
        """A checkpoint takes any number of views."""
        return True

    def _run(self, network_input: NDArray[np.float32]) -> NDArray[np.float32]:
        import torch

        with self._lock, torch.inference_mode():
            tensor = torch.from_numpy(network_input).to(self._device)
            return np.asarray(self._network(tensor)[0].float().cpu().numpy())


def keep_ultralytics_quiet() -> None:
    """Before Ultralytics is imported: it shall reach nobody, install nothing and print nothing, unless told otherwise."""
    os.environ.setdefault("YOLO_OFFLINE", "true")
    os.environ.setdefault("YOLO_AUTOINSTALL", "false")
    os.environ.setdefault("YOLO_VERBOSE", "false")


def load_network(checkpoint: Path, device: str) -> Any:
    """The network of a checkpoint, in single precision and evaluation mode.

    Raises:
        Misconfigured: the extra is not installed.
        ModelUnavailable: the checkpoint is missing or unreadable.
    """
    keep_ultralytics_quiet()
    try:
        import torch
        from ultralytics.nn.tasks import load_checkpoint
    except ImportError as error:
        raise Misconfigured(
            "the Ultralytics backend is not installed", hint="pip install 'xray-agent-tools[ultralytics]'"
        ) from error
    if not checkpoint.is_file():
        raise ModelUnavailable(f"{checkpoint.name} is missing", hint="give checkpoint=, a trained .pt file")
    try:
        network, _ = load_checkpoint(str(checkpoint), device=torch.device(device))
        return network.float().eval()
    except Exception as error:
        raise ModelUnavailable(
            f"{checkpoint.name} is no detection checkpoint: {type(error).__name__}", hint="train it with `xray-train`"
        ) from error
