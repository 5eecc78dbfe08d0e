"""Whether two JSON schemas ask for the same thing, whatever they call it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import permutations
from typing import Any

Schema = Mapping[str, Any]

_ANNOTATIONS = frozenset(
    {"title", "description", "default", "examples", "deprecated", "$schema", "$id", "$comment", "$defs", "definitions"}
)
_COMPARED = frozenset({"type", "properties", "items", "anyOf", "enum", "required", "additionalProperties"})
_WRAPPERS = ("allOf", "anyOf", "oneOf")
_MOST_REFERENCES = 8
_MOST_VARIANTS = 4


def accepts_all_of(given: Schema, ours: Schema) -> bool:
    """Whether a schema has the structure of ours, so that whatever follows ours follows it too.

    Titles, descriptions, defaults and names of definitions do not matter, nor does which properties it requires. It may
    leave limits on values out, but not change or add any.

    Args:
        given: a stranger's schema; references that lead nowhere or in circles make it another structure.
        ours: a schema of pydantic's making, in which every property is always sent.
    """
    return _fits(given, given, ours, ours)


def _fits(given: Any, given_root: Schema, ours: Any, our_root: Schema) -> bool:
    theirs, mine = _plain(given, given_root), _plain(ours, our_root)
    if theirs is None or mine is None:
        return False
    if any(theirs[name] != mine.get(name) for name in theirs.keys() - _COMPARED):
        return False

    def fit(one: Any, other: Any) -> bool:
        return _fits(one, given_root, other, our_root)

    return (
        theirs.get("type") == mine.get("type")
        and _same_values(theirs.get("enum"), mine.get("enum"))
        and _properties_fit(theirs, mine, fit)
        and _items_fit(theirs, mine, fit)
        and _variants_fit(theirs.get("anyOf"), mine.get("anyOf"), fit)
    )


def _plain(node: Any, root: Schema) -> dict[str, Any] | None:
    """A schema without annotations and with one spelling for each thing; None if it is no schema."""
    for _ in range(_MOST_REFERENCES):
        if not isinstance(node, Mapping):
            return None
        if "$ref" in node:
            target = _target(node["$ref"], root)
            if target is None:
                return None
            node = {**target, **{name: value for name, value in node.items() if name != "$ref"}}
        elif wrapper := next((name for name in _WRAPPERS if _is_single(node.get(name))), None):
            node = {**node[wrapper][0], **{name: value for name, value in node.items() if name != wrapper}}
        else:
            return _spelled(node)
    return None


def _spelled(node: Schema) -> dict[str, Any]:
    plain = {name: value for name, value in node.items() if name not in _ANNOTATIONS}
    if "const" in plain:
        plain["enum"] = [plain.pop("const")]
    if "oneOf" in plain and "anyOf" not in plain:
        plain["anyOf"] = plain.pop("oneOf")
    if isinstance(kinds := plain.get("type"), list) and "anyOf" not in plain:
        return {"anyOf": [{**plain, "type": kind} if kind != "null" else {"type": "null"} for kind in kinds]}
    return plain


def _target(reference: Any, root: Schema) -> Schema | None:
    if not isinstance(reference, str) or not reference.startswith("#/"):
        return None
    node: Any = root
    for name in reference[2:].split("/"):
        node = node.get(name) if isinstance(node, Mapping) else None
    return node if isinstance(node, Mapping) else None


def _is_single(schemas: Any) -> bool:
    return isinstance(schemas, list) and len(schemas) == 1 and isinstance(schemas[0], Mapping)


def _same_values(theirs: Any, mine: Any) -> bool:
    if theirs is None or mine is None:
        return theirs is mine
    return isinstance(theirs, list) and len(theirs) == len(mine) and all(value in theirs for value in mine)


def _properties_fit(theirs: Schema, mine: Schema, fit: Any) -> bool:
    given, ours = theirs.get("properties", {}), mine.get("properties", {})
    required = theirs.get("required", [])
    return (
        isinstance(given, Mapping)
        and given.keys() == ours.keys()
        and isinstance(required, list)
        and all(name in ours for name in required if isinstance(name, str))
        and isinstance(theirs.get("additionalProperties", False), bool)
        and all(fit(given[name], ours[name]) for name in ours)
    )


def _items_fit(theirs: Schema, mine: Schema, fit: Any) -> bool:
    if "items" not in theirs or "items" not in mine:
        return ("items" in theirs) == ("items" in mine)
    return bool(fit(theirs["items"], mine["items"]))


def _variants_fit(theirs: Any, mine: Sequence[Any] | None, fit: Any) -> bool:
    if theirs is None or mine is None:
        return theirs is mine
    if not isinstance(theirs, list) or len(theirs) != len(mine) or len(mine) > _MOST_VARIANTS:
        return False
    return any(all(map(fit, theirs, order)) for order in permutations(mine))
