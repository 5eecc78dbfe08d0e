"""What an installation has and lacks."""

from __future__ import annotations

import platform
import sys
from dataclasses import asdict, dataclass
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from typing import Any

from xray_agent_tools.declaration.policy import embedded_policies, load_policy
from xray_agent_tools.detector.onnx import PREFERRED_PROVIDERS
from xray_agent_tools.detector.package import embedded_models
from xray_agent_tools.detector.runtime import load_runtime, onnxruntime_conflict
from xray_agent_tools.errors import Misconfigured, XrayToolsError
from xray_agent_tools.screener import Screener

_EXTRAS = {"vlm": "openai", "ultralytics": "ultralytics", "mcp": "mcp", "serve": "fastapi"}


@dataclass(frozen=True, slots=True)
class Check:
    """One thing that was looked at: what was found, and what to do if it is wrong."""

    name: str
    passed: bool
    found: str
    hint: str | None = None

    def as_dict(self) -> dict[str, Any]:
        """The check as plain data."""
        return asdict(self)


def examine(model: str) -> list[Check]:
    """Look at Python, the packages, the runtime, the model package, its canary and the policies."""
    return [_python(), _packages(), _runtime(), _model(model), _canary(model), _policies()]


def _python() -> Check:
    return Check("python", sys.version_info >= (3, 11), f"{platform.python_version()} on {platform.machine()}")


def _packages() -> Check:
    found = []
    for name in ("numpy", "pillow", "pydantic", "onnxruntime"):
        try:
            found.append(f"{name} {version(name)}")
        except PackageNotFoundError:
            found.append(f"{name} missing")
    extras = [extra for extra, module in _EXTRAS.items() if find_spec(module) is not None]
    return Check("packages", True, f"{', '.join(found)}; extras: {', '.join(extras) or 'none'}")


def _runtime() -> Check:
    conflict = onnxruntime_conflict()
    try:
        available = load_runtime().get_available_providers()
    except (Misconfigured, AttributeError) as error:
        return Check("onnxruntime", False, f"cannot be used: {error}", conflict or "install onnxruntime again")
    used = [name for name in PREFERRED_PROVIDERS if name in available]
    if conflict is not None:
        return Check("onnxruntime", False, f"providers {', '.join(used)}", conflict)
    return Check(
        "onnxruntime", bool(used), f"providers {', '.join(used)}", None if used else "install onnxruntime again"
    )


def _model(model: str) -> Check:
    try:
        detector = Screener(model=model).detector
    except XrayToolsError as error:
        return Check("model", False, error.message, error.hint)
    manifest = detector.package.manifest
    found = f"{manifest.id} {manifest.version}, {len(manifest.labels)} labels, {detector.backend}"
    return Check("model", True, f"{found}; embedded: {', '.join(embedded_models())}")


def _canary(model: str) -> Check:
    try:
        screener = Screener(model=model)
        label = screener.detector.package.manifest.canary.label
        alive = screener.canary_alarms()
    except XrayToolsError as error:
        return Check("canary", False, error.message, error.hint)
    if alive:
        return Check("canary", True, f"the known {label} alarms")
    return Check("canary", False, f"the known {label} does not alarm", "install the package again")


def _policies() -> Check:
    try:
        names = [f"{name} {load_policy(name).version}" for name in embedded_policies()]
    except XrayToolsError as error:
        return Check("policies", False, error.message, error.hint)
    return Check("policies", bool(names), ", ".join(names))
