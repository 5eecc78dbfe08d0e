"""The ONNX Runtime backend."""

from __future__ import annotations

import ast
import os
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from xray_agent_tools.detector.look import NetworkDetector
from xray_agent_tools.detector.package import ModelPackage, SecondLook
from xray_agent_tools.detector.runtime import load_runtime
from xray_agent_tools.errors import Misconfigured, ModelUnavailable

PREFERRED_PROVIDERS = ("TensorrtExecutionProvider", "CUDAExecutionProvider", "CPUExecutionProvider")
"""Execution providers, best first; the ones that this installation has are used."""


class OnnxDetector(NetworkDetector):
    """Runs a model package with ONNX Runtime. A session may be used from several threads.

    Networks with 8-bit weights (QuantizeLinear and DequantizeLinear) and with 16-bit ones run as they are.
    """

    def __init__(
        self,
        package: ModelPackage,
        *,
        providers: Sequence[str] | None = None,
        threads: int = 0,
        content_crop: bool | None = None,
        second_look: SecondLook | bool | None = None,
    ) -> None:
        """Load the network.

        Args:
            package: a checked model package.
            providers: execution providers, best first; the preferred ones that are there when not given.
            threads: threads for one inference; 0 takes one for each core.
            content_crop: as for :class:`NetworkDetector`.
            second_look: as for :class:`NetworkDetector`.

        Raises:
            ModelUnavailable: the network cannot be loaded or is not what its manifest says.
            Misconfigured: ONNX Runtime is missing or broken.
        """
        super().__init__(package, content_crop=content_crop, second_look=second_look)
        self._session = _open_session(package, providers, threads)
        metadata = self._session.get_modelmeta().custom_metadata_map
        package.check_names(_class_names(metadata.get("names", "{}")))
        first = self._session.get_inputs()[0]
        self._input = first.name
        self._type = np.float16 if first.type == "tensor(float16)" else np.float32
        self._takes_batches = not isinstance(first.shape[0], int)

    @property
    def backend(self) -> str:
        """Runtime and execution provider."""
        return f"onnxruntime/{self._session.get_providers()[0]}"

    @property
    def takes_batches(self) -> bool:
        """Whether the network was exported for any number of views."""
        return self._takes_batches

    def _run(self, network_input: NDArray[np.float32]) -> NDArray[np.float32]:
        fed = {self._input: network_input.astype(self._type, copy=False)}
        return np.asarray(self._session.run(None, fed)[0], dtype=np.float32)


def _open_session(package: ModelPackage, providers: Sequence[str] | None, threads: int) -> Any:
    onnxruntime = load_runtime()
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    options.intra_op_num_threads = threads or cores()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_ALL
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
