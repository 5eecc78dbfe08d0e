"""ONNX Runtime, loaded so that it keeps to itself."""

from __future__ import annotations

import os
from importlib.metadata import PackageNotFoundError, version
from types import ModuleType

from xray_agent_tools.errors import Misconfigured


def load_runtime() -> ModuleType:
    """Import ONNX Runtime with its telemetry off.

    Its wheels for Linux (seen in 1.32) report to their maker: importing them writes a device identifier below the home
    folder and starts a thread that uploads events. ``ORT_DISABLE_TELEMETRY`` has to be set before the import.

    Raises:
        Misconfigured: it is missing or broken.
    """
    os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")
    try:
        import onnxruntime
    except ImportError as error:
        raise Misconfigured("ONNX Runtime cannot be imported", hint=onnxruntime_conflict() or str(error)) from error
    module: ModuleType = onnxruntime
    return module


def onnxruntime_conflict() -> str | None:
    """Explain a clash of the CPU and the GPU build of ONNX Runtime, or None.

    Both install the same package folder, so the one installed last overwrites parts of the other.
    """
    installed = {}
    for name in ("onnxruntime", "onnxruntime-gpu"):
        try:
            installed[name] = version(name)
        except PackageNotFoundError:
            continue
    if len(installed) == 2:
        return (
            f"onnxruntime {installed['onnxruntime']} and onnxruntime-gpu {installed['onnxruntime-gpu']} overwrite each "
            "other: uninstall both, then install only onnxruntime-gpu"
        )
    return None if installed else "install onnxruntime"
