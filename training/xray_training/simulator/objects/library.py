"""Every family of objects, and which of them are threats."""

from __future__ import annotations

from xray_agent_tools.report import is_threat
from xray_agent_tools.taxonomy import taxonomy
from xray_training.simulator.objects import (
    apparel,
    blades,
    electronics,
    explosives,
    firearms,
    household,
    tools,
    vessels,
)
from xray_training.simulator.objects.family import Family

_MODULES = (firearms, explosives, blades, tools, vessels, electronics, apparel, household)

FAMILIES: dict[str, Family] = {family.label: family for module in _MODULES for family in module.FAMILIES}
"""Every family by its label."""

LABELS: tuple[str, ...] = tuple(label for label in taxonomy().labels if label in FAMILIES)
"""The canonical labels that can be simulated, in the taxonomy's order; a simulated scan annotates all of them."""

THREATS: tuple[str, ...] = tuple(label for label in LABELS if is_threat(taxonomy().item(label).severity))
"""Those of them whose severity is medium or higher."""

EVERYDAY: tuple[str, ...] = tuple(label for label in FAMILIES if label not in THREATS)
"""Everything else that a bag may hold."""
