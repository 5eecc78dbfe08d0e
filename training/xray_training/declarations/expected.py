"""The right assessment of a declaration, by rules, from what is annotated and what is meant.

The rules are those of ``assess_declaration``, applied to what a traveller means rather than to what a matcher makes of
the words: so a misspelt item that is there counts as declared and seen, and a matcher that does not understand it is
wrong.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence

from xray_agent_tools.report import ItemStatus
from xray_agent_tools.taxonomy import taxonomy
from xray_training.declarations.record import DeclaredText, Expected, ExpectedItem


def expected_of(declared: Sequence[DeclaredText], seen: Collection[str], annotated: Collection[str]) -> Expected:
    """Assess a declaration.

    - An item is ``declared_and_seen`` if anything that it may mean was seen; else ``declared_not_seen`` if anything that
      it may mean is annotated; else ``not_assessable``.
    - What was seen and is covered by no item is ``undeclared``, but for everyday things, which nobody declares.
    - The declaration does not match if something is undeclared. It matches if there are items and all were seen.
      Otherwise it cannot be decided.

    Args:
        declared: what was written, and what is meant by it.
        seen: labels that are annotated on the scan at least once.
        annotated: labels that the scan's source annotates.
    """
    items = [ExpectedItem(name=one.text, status=_status(one.meant, seen, annotated)) for one in declared]
    covered = {label for one in declared for label in one.meant}
    items += [ExpectedItem(name=label, status="undeclared") for label in to_be_declared(seen) if label not in covered]
    statuses = {item.status for item in items}
    match = None
    if "undeclared" in statuses:
        match = False
    elif statuses == {"declared_and_seen"}:
        match = True
    return Expected(declaration_match=match, items=tuple(items))


def to_be_declared(seen: Collection[str]) -> list[str]:
    """Those of the labels that have to be declared, in the taxonomy's order."""
    return [item.label for item in taxonomy().items if item.label in seen and item.severity != "none"]


def _status(meant: Sequence[str], seen: Collection[str], annotated: Collection[str]) -> ItemStatus:
    if not set(meant).isdisjoint(seen):
        return "declared_and_seen"
    return "declared_not_seen" if not set(meant).isdisjoint(annotated) else "not_assessable"
