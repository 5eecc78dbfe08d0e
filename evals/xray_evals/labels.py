"""Which labels count as threats, and which alarm."""

from __future__ import annotations

from functools import cache

from xray_agent_tools.report import is_threat
from xray_agent_tools.taxonomy import taxonomy

_THREAT_CATALOGUE = "stcray"


@cache
def alarming() -> frozenset[str]:
    """Labels that make a verdict ALARM: those of severity medium or higher."""
    return frozenset(item.label for item in taxonomy().items if is_threat(item.severity))


@cache
def threats() -> frozenset[str]:
    """The threat categories: the alarming labels, and whatever else STCray, a catalogue of threats, names."""
    return alarming() | {item.label for item in taxonomy().items if _THREAT_CATALOGUE in item.datasets}
