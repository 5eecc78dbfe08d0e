"""The ONNX Runtime backend."""

from __future__ import annotations

import ast
import os
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from xray_agent_tools.detector.look import look
from xray_agent_tools.detector.package import ModelPackage
from xray_agent_tools.detector.protocol import RawDetection
from xray_agent_tools.detector.runtime import load_runtime
from xray_agent_tools.errors import Misconfigured, ModelUnavailable

PREFERRED_PROVIDERS = ("TensorrtExecutionProvider", "CUDAExecutionProvider", "CPUExecutionProvider")
"""Execution providers, best first; the ones that this installation has are used."""


class OnnxDetector:
    """Runs a model package with ONNX Runtime. A session may be used from several threads."""

    def __init__(self, package: ModelPackage, *, providers: Sequence[str] | None = None, threads: int = 0) -> None:
        """Load the network.

        Args:
            package: a checked model package.
            providers: execution providers, best first; the preferred ones that are there when not given.
            threads: threads for one inference; 0 takes one for each core.

        Raises:
            ModelUnavailable: the network cannot be loaded or is not what its manifest says.
            Misconfigured: ONNX Runtime is missing or broken.
        """
        self._package = package
        self._session = _open_session(package, providers, threads)
        metadata = self._session.get_modelmeta().custom_metadata_map
        package.check_names(_class_names(metadata.get("names", "{}")))
        first = self._session.get_inputs()[0]
        self._input = first.name
        self._takes_batches = not isinstance(first.shape[0], int)

    @property
    def package(self) -> ModelPackage:
        """The model package it runs."""
        return self._package

    @property
    def backend(self) -> str:
        """Runtime and execution provider."""
        return f"onnxruntime/{self._session.get_providers()[0]}"

    @property
    def takes_batches(self) -> bool:
        """Whether the network was exported for any number of views."""
        return self._takes_batches

    def detect(self, pixels: NDArray[np.uint8], *, floor: float) -> list[RawDetection]:
        """Every box with at least the given confidence, most certain first.

        Raises:
            ModelUnavailable: the network failed.
        """
        return look(self._run, [pixels], self._package.manifest, floors=[floor])[0]

    def detect_many(self, views: Sequence[NDArray[np.uint8]], *, floors: Sequence[float]) -> list[list[RawDetection]]:
        """The same for several views, in one run of the network, which has to take batches.

        Raises:
            ModelUnavailable: the network failed.
        """
        return look(self._run, views, self._package.manifest, floors=floors)

    def _run(self, network_input: NDArray[np.float32]) -> NDArray[np.float32]:
        return np.asarray(self._session.run(None, {self._input: network_input})[0], dtype=np.float32)


def _open_session(package: ModelPackage, providers: Sequence[str] | None, threads: int) -> Any:
    onnxruntime = load_runtime()
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    options.intra_op_num_threads = threads or cores()
    # Threads that spin while they wait take the cores from the processes beside this one, and gain nothing alone.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    available = onnxruntime.get_available_providers()
    chosen = [name for name in providers or PREFERRED_PROVIDERS if name in available]
    if not chosen:
        raise Misconfigured(
            f"none of the execution providers {list(providers or PREFERRED_PROVIDERS)} is installed",
            hint=f"available are {available}",
        )
    try:
        return onnxruntime.InferenceSession(str(package.network), sess_options=options, providers=chosen)
    except Exception as error:
        raise ModelUnavailable(
            f"the network cannot be loaded: {type(error).__name__}", hint="run `xray-tools doctor`"
        ) from error


def cores() -> int:
    """How many cores this process may use; 0 where the system does not say."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else 0


def _class_names(text: str) -> list[str]:
    try:
        names = ast.literal_eval(text)
        return [str(names[index]) for index in range(len(names))]
    except (ValueError, SyntaxError, KeyError, TypeError):
        return []
