"""The canonical item names, and what datasets and travellers call the same things."""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from functools import cache
from importlib.resources import files

import yaml
from pydantic import BaseModel, ConfigDict, Field, model_validator

from xray_agent_tools.errors import UnknownLabel
from xray_agent_tools.report import Severity

_SHORTEST_WORD = 4


class _Entry(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Item(_Entry):
    """A canonical label and what is known of it.

    ``not_meant`` are phrases that contain an alias but mean something else ("glue gun").
    ``customs_heading`` is the Harmonized System heading the item usually falls under.
    """

    label: str = Field(pattern=r"^[a-z0-9_]+$")
    group: str
    severity: Severity
    description: str
    look_alikes: tuple[str, ...]
    aliases: tuple[str, ...] = Field(min_length=1)
    not_meant: tuple[str, ...] = ()
    customs_heading: str = Field(pattern=r"^\d{4}$")
    datasets: dict[str, tuple[str, ...]]

    @property
    def words(self) -> str:
        """The label as a person writes it."""
        return self.label.replace("_", " ")


class Category(_Entry):
    """A word that covers several items: those of its groups and its labels."""

    aliases: tuple[str, ...]
    groups: tuple[str, ...]
    labels: tuple[str, ...]


class Taxonomy(_Entry):
    """All items, groups and categories of one version."""

    version: str
    groups: dict[str, str]
    categories: dict[str, Category]
    items: tuple[Item, ...]

    @model_validator(mode="after")
    def _names_exist(self) -> Taxonomy:
        labels = [item.label for item in self.items]
        if len(set(labels)) != len(labels):
            raise ValueError("a label occurs twice")
        mentioned = {other for item in self.items for other in item.look_alikes}
        mentioned |= {label for category in self.categories.values() for label in category.labels}
        groups = {item.group for item in self.items}
        groups |= {group for category in self.categories.values() for group in category.groups}
        if unknown := mentioned - set(labels) | groups - set(self.groups):
            raise ValueError(f"unknown names: {sorted(unknown)}")
        return self

    @property
    def labels(self) -> tuple[str, ...]:
        """Every canonical label, in the order of the file."""
        return tuple(item.label for item in self.items)

    def item(self, label: str) -> Item:
        """Look a label up.

        Raises:
            UnknownLabel: there is no such label; the hint names the nearest ones.
        """
        for item in self.items:
            if item.label == label:
                return item
        near = self.nearest(label)
        hint = f"did you mean {', '.join(near)}?" if near else "`xray-tools taxonomy` lists the labels"
        raise UnknownLabel(f"{label[:80]!r} is not a label of the taxonomy", hint=hint)

    def nearest(self, words: str, *, most: int = 3) -> list[str]:
        """Labels whose name or alias is spelt like the words, nearest first."""
        names = {name: item.label for item in self.items for name in (*item.aliases, item.words)}
        spelt = words[:80].casefold().replace("_", " ")
        attempts = (spelt, *(word for word in spelt.split()[:8] if len(word) >= _SHORTEST_WORD))
        near = [name for text in attempts for name in difflib.get_close_matches(text, names, n=most * 2, cutoff=0.6)]
        return list(dict.fromkeys(names[name] for name in near))[:most]

    def members(self, category: str) -> frozenset[str]:
        """The labels that a category covers."""
        covered = self.categories[category]
        in_groups = (item.label for item in self.items if item.group in covered.groups)
        return frozenset((*covered.labels, *in_groups))

    def label_for(self, dataset: str, name: str) -> str | None:
        """The canonical label of a dataset's own class name, or None."""
        for item in self.items:
            if name in item.datasets.get(dataset, ()):
                return item.label
        return None

    def outside(self, labels: Iterable[str]) -> list[str]:
        """Labels that are not among the given ones, in the order of the file."""
        known = set(labels)
        return [label for label in self.labels if label not in known]


@cache
def taxonomy() -> Taxonomy:
    """The taxonomy that ships with the package."""
    text = files("xray_agent_tools").joinpath("taxonomy.yaml").read_text(encoding="utf-8")
    return Taxonomy.model_validate(yaml.safe_load(text))
