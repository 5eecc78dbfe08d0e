"""Class names that are spelt in more than one way."""

from __future__ import annotations

import re

from xray_agent_tools.taxonomy import taxonomy
from xray_training.datasets.placing import Naming

_PUNCTUATION = re.compile(r"[\W_]+")


def folded_names_of(dataset: str) -> Naming:
    """The taxonomy's translation of a dataset's class names, whatever their case, spaces, hyphens and underscores."""
    labels = {_folded(name): item.label for item in taxonomy().items for name in item.datasets.get(dataset, ())}
    return lambda name: labels.get(_folded(name))


def canonical(name: str) -> str | None:
    """The canonical label that a name spells, whatever its case, spaces and hyphens; None where it spells none."""
    spelt = re.sub(r"[\s-]+", "_", name.strip()).casefold()
    return spelt if spelt in taxonomy().labels else None


def _folded(name: str) -> str:
    return _PUNCTUATION.sub("", name).casefold()
