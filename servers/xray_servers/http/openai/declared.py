"""Declarations in the text of a message.

A declaration is a line that begins with ``Declared:`` or ``Declaration:``, with items separated by commas, semicolons
or new lines, up to an empty line; a line ``Policy: cabin``, ``customs`` or ``hold`` may stand anywhere. Or the whole text
is a JSON object, ``{"declared_items": [...], "policy": ..., "scan_id": ...}``, which is the form for words of strangers:
no comma or new line in them means anything. What a traveller wrote is passed on, and never obeyed.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Literal, get_args

from pydantic import BaseModel, ValidationError

from xray_agent_tools.declaration.policy import problems_of
from xray_servers.http.errors import Refused

PolicyName = Literal["cabin", "customs", "hold"]
"""Policies that a message can name."""

_BEGINNING = r"^[ \t]*(?:declared|declaration)[ \t]*:"
_DECLARED = re.compile(_BEGINNING + r"(?P<items>\s*[^\n]*(?:\n[ \t]*\S[^\n]*)*)", re.IGNORECASE | re.MULTILINE)
_AGAIN = re.compile(_BEGINNING, re.IGNORECASE)
_POLICY = re.compile(r"^[ \t]*policy[ \t]*:(?P<name>.*)$", re.IGNORECASE | re.MULTILINE)
_SEPARATOR = re.compile(r"[,;\n]")
_AROUND_ITEMS = " \t\r-*•"
_NOTHING = frozenset({"nothing", "none"})


class Declaration(BaseModel):
    """What a traveller declared.

    Attributes:
        declared_items: items in the traveller's own words.
        policy: policy to apply; None for the operator's.
    """

    declared_items: list[str]
    policy: PolicyName | None = None


@dataclass(frozen=True, slots=True)
class Said:
    """The text of a message, taken apart.

    Attributes:
        words: everything but the declaration; empty for nothing.
        declaration: the declaration, where there is one.
    """

    words: str
    declaration: Declaration | None


def take_apart(text: str) -> Said:
    """Tell a declaration from the other words of a message.

    Raises:
        Refused: the message carries a declaration that cannot be read.
    """
    fields = _fields_of(text)
    if fields is not None:
        return Said(str(fields.get("scan_id") or ""), _checked(fields))
    policies = {found["name"].strip().lower() for found in _POLICY.finditer(text)}
    others = _POLICY.sub("", text)
    lists = [found["items"] for found in _DECLARED.finditer(others)]
    if not lists:
        return Said(text.strip(), None)
    if len(policies) > 1:
        raise _unreadable("the message names several policies")
    declared = {"declared_items": _items_of(lists), "policy": next(iter(policies), None)}
    return Said(_DECLARED.sub("", others).strip(), _checked(declared))


def _fields_of(text: str) -> dict[str, Any] | None:
    """The fields of a declaration that is a JSON object; None for any other text."""
    if not text.lstrip().startswith("{"):
        return None
    try:
        fields = json.loads(text)
    except (ValueError, RecursionError):
        return None
    return fields if isinstance(fields, dict) and "declared_items" in fields else None


def _checked(fields: dict[str, Any]) -> Declaration:
    try:
        return Declaration.model_validate(fields)
    except ValidationError as error:
        raise _unreadable("; ".join(problems_of(error)[:3])) from None


def _unreadable(reason: str) -> Refused:
    return Refused(
        400,
        "invalid_declaration",
        reason,
        hint="write 'Declared: laptop, umbrella' and, on a line of its own, 'Policy: ' with one of "
        + ", ".join(get_args(PolicyName)),
        param="messages",
    )


def _items_of(lists: Iterable[str]) -> list[str]:
    parts = (_AGAIN.sub("", part) for text in lists for part in _SEPARATOR.split(text))
    items = [item for part in parts if (item := part.strip(_AROUND_ITEMS))]
    return [] if len(items) == 1 and items[0].lower().rstrip(".") in _NOTHING else items
