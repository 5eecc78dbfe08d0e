"""Names that belong together."""

from __future__ import annotations


class Units:
    """Sets of names that grow together, by union and find; a set is named by its least name."""

    def __init__(self) -> None:
        self._parent: dict[str, str] = {}

    def of(self, name: str) -> str:
        """The name of the set that the name is in."""
        while (parent := self._parent.get(name, name)) != name:
            self._parent[name] = self._parent.get(parent, parent)  # halves the path for the next time
            name = parent
        return name

    def join(self, one: str, other: str) -> None:
        """Make one set of the two that hold the names."""
        first, second = sorted((self.of(one), self.of(other)))
        self._parent[second] = first
