"""The peer to beat: Ultralytics' own ``predict`` at 640 pixels, on its own ONNX export of the same weights."""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from xray_agent_tools.detector.package import ModelPackage
from xray_agent_tools.detector.protocol import RawDetection
from xray_agent_tools.detector.torch import CHECKPOINT_FILE, keep_ultralytics_quiet
from xray_agent_tools.errors import Misconfigured, ModelUnavailable

SIZE = 640
"""Side of the peer's input in pixels."""


class UltralyticsPeer:
    """A detector that gives frames as they are to ``predict``, with its own letterbox and suppression.

    Confidences go through the package's calibration, which keeps their order and so every average precision.
    """

    def __init__(self, package: ModelPackage) -> None:
        """Export the package's checkpoint with Ultralytics' own settings and load what comes out.

        Raises:
            Misconfigured: Ultralytics is not installed.
            ModelUnavailable: the package has no checkpoint, or it cannot be exported or has other classes.
        """
        self._package = package
        checkpoint = package.folder / CHECKPOINT_FILE
        if not checkpoint.is_file():
            raise ModelUnavailable(
                f"{CHECKPOINT_FILE} is missing beside the network", hint="leave --peer out, or export the model again"
            )
        with tempfile.TemporaryDirectory() as folder:
            self._model = _exported(checkpoint, Path(folder))
            self._predict(np.full((SIZE, SIZE, 3), 255, dtype=np.uint8), least=0.5)
        names = self._model.names
        package.check_names([str(names[index]) for index in range(len(names))])

    @property
    def package(self) -> ModelPackage:
        """The model package whose weights it runs."""
        return self._package

    @property
    def backend(self) -> str:
        """Runtime and input size."""
        return f"ultralytics predict, ONNX at {SIZE}"

    def detect(self, pixels: NDArray[np.uint8], *, floor: float) -> list[RawDetection]:
        """Every box with at least the given confidence, most certain first.

        Raises:
            ModelUnavailable: the network failed.
        """
        manifest = self._package.manifest
        try:
            boxes = self._predict(pixels, least=manifest.calibration.score(floor))
        except Exception as error:
            raise ModelUnavailable(f"predict failed: {type(error).__name__}", hint="leave --peer out") from error
        found = [
            RawDetection(manifest.labels[int(place)], manifest.calibration.confidence(score), tuple(corners))
            for corners, score, place in zip(boxes.xyxy.tolist(), boxes.conf.tolist(), boxes.cls.tolist(), strict=True)
        ]
        return sorted(found, key=lambda box: -box.confidence)

    def _predict(self, pixels: NDArray[np.uint8], *, least: float) -> Any:
        bgr = np.ascontiguousarray(pixels[:, :, ::-1])
        return self._model.predict(bgr, imgsz=SIZE, conf=least, device="cpu", verbose=False)[0].boxes


def _exported(checkpoint: Path, folder: Path) -> Any:
    keep_ultralytics_quiet()
    try:
        from ultralytics import YOLO
    except ImportError as error:
        raise Misconfigured(
            "Ultralytics is not installed", hint="pip install 'xray-agent-tools[ultralytics]'"
        ) from error
    copy = folder / checkpoint.name
    shutil.copyfile(checkpoint, copy)
    try:
        return YOLO(YOLO(str(copy)).export(format="onnx", imgsz=SIZE, verbose=False), task="detect")
    except Exception as error:
        raise ModelUnavailable(
            f"{checkpoint.name} cannot be exported: {type(error).__name__}", hint="leave --peer out"
        ) from error
