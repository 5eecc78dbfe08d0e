"""Typed tools that let an agent screen X-ray scans of baggage.

Three questions, three functions: :func:`detect_threats`, :func:`explain_scan`, :func:`assess_declaration`.
Make a :class:`Screener` for another model, explainer or policy.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from xray_agent_tools.errors import XrayToolsError
from xray_agent_tools.report import (
    Assessment,
    Box,
    DeclaredItem,
    Detection,
    Explanation,
    Finding,
    Material,
    ModelIdentity,
    Occlusion,
    OpaqueRegion,
    PolicyIdentity,
    Quality,
    Reason,
    ThreatReport,
)
from xray_agent_tools.tools import assess_declaration, detect_threats, explain_scan

if TYPE_CHECKING:
    from xray_agent_tools.screener import Screener

__version__ = "0.1.0"

__all__ = [
    "Assessment",
    "Box",
    "DeclaredItem",
    "Detection",
    "Explanation",
    "Finding",
    "Material",
    "ModelIdentity",
    "Occlusion",
    "OpaqueRegion",
    "PolicyIdentity",
    "Quality",
    "Reason",
    "Screener",
    "ThreatReport",
    "XrayToolsError",
    "assess_declaration",
    "detect_threats",
    "explain_scan",
]


def __getattr__(name: str) -> Any:
    """Load the screener, and NumPy and Pillow with it, only when it is asked for."""
    if name == "Screener":
        from xray_agent_tools.screener import Screener

        return Screener
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
