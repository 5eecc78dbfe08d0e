"""JSON in replies: found wherever it stands, and read leniently."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterator, Sequence
from typing import Any

from pydantic import ValidationError

from xray_training.datasets.pairs import Place
from xray_training.datasets.reply_items import label_named

_FENCE = re.compile(r"```[a-z]*\s*\n?(.*?)```", re.DOTALL | re.IGNORECASE)
_OPENING = re.compile(r"[\[{]")
_MOST_TRIES = 200
_BOX = ("box", "bbox_2d", "bbox", "bounding_box", "box_2d")
_LABEL = ("label", "name", "item", "class", "object", "category", "type")
_COUNT = ("count", "number", "quantity", "amount", "n")
_LIST = ("items", "inventory", "objects", "detections", "regions", "boxes", "answer")
_CORNERS = ("x_min", "y_min", "x_max", "y_max")
_OTHER_CORNERS = ("x1", "y1", "x2", "y2")


def document_in(text: str) -> Any:
    """The JSON document of a reply, in a code fence or not; None if there is none, or if it breaks off."""
    fenced = _FENCE.search(text)
    return next(_values(fenced.group(1) if fenced else text, tries=1), None)


def values_in(text: str) -> Iterator[Any]:
    """Every JSON object or list of a reply, outermost ones alone."""
    return _values(text, tries=_MOST_TRIES)


def _values(text: str, *, tries: int) -> Iterator[Any]:
    decoder, position = json.JSONDecoder(), 0
    for _ in range(tries):
        opening = _OPENING.search(text, position)
        if opening is None:
            return
        try:
            value, position = decoder.raw_decode(text, opening.start())
        except (ValueError, RecursionError):
            position = opening.end()
        else:
            yield value


def counts_of(document: Any) -> tuple[dict[str, int], tuple[str, ...]] | None:
    """An inventory: how many of each label, and the names that are no label of the taxonomy; None if it is none.

    Read are ``{"items": [{"label": "knife", "count": 2}]}``, the list alone, a list of names, and ``{"knife": 2}``.
    """
    entries = _entries(document)
    if entries is None:
        return None
    counts: dict[str, int] = {}
    unknown: list[str] = []
    for name, count in entries:
        label = label_named(name)
        if label is None:
            unknown.append(name)
        elif count:
            counts[label] = counts.get(label, 0) + count
    return counts, tuple(unknown)


def _entries(document: Any) -> list[tuple[str, int]] | None:
    if isinstance(document, dict):
        inner = next((document[key] for key in _LIST if isinstance(document.get(key), list | dict)), None)
        if inner is not None:
            return _entries(inner)
        if _first(document, _LABEL) is not None:
            return _entries([document])
        numbers = [(str(name), count) for name, count in document.items() if _whole(count) is not None]
        return numbers if len(numbers) == len(document) else None
    if not isinstance(document, list):
        return None
    entries = [_entry(part) for part in document]
    return None if None in entries else [entry for entry in entries if entry is not None]


def _entry(part: Any) -> tuple[str, int] | None:
    if isinstance(part, str):
        return part, 1
    if not isinstance(part, dict):
        return None
    name, count = _first(part, _LABEL), _first(part, _COUNT)
    number = 1 if count is None else _whole(count)
    return (name, number) if isinstance(name, str) and number is not None else None


def names_of(document: Any) -> list[tuple[int | None, str]] | None:
    """What regions are named: pairs of a region's number, if it is given, and the name; None if it is no such list.

    Read are ``[{"region": 1, "label": "knife"}]``, a list of names, and ``{"1": "knife"}``.
    """
    if isinstance(document, dict):
        inner = next((document[key] for key in _LIST if isinstance(document.get(key), list | dict)), None)
        if inner is not None:
            return names_of(inner)
        named = [(_number(key), name) for key, name in document.items()]
        if named and all(number is not None and isinstance(name, str) for number, name in named):
            return [(number, str(name)) for number, name in named]
        return names_of([document]) if _first(document, _LABEL) is not None else None
    if not isinstance(document, list) or not document:
        return None
    found: list[tuple[int | None, str]] = []
    for part in document:
        name = _first(part, _LABEL) if isinstance(part, dict) else part
        if not isinstance(name, str):
            return None
        found.append(
            (_number(_first(part, ("region", "id", "index", "number"))) if isinstance(part, dict) else None, name)
        )
    return found


def boxes_of(value: Any, label: str, size: tuple[int, int]) -> list[Place]:
    """Every box of a JSON value: four numbers in a list, also under ``box`` or ``bbox_2d``, or four named corners.

    Args:
        value: what was decoded.
        label: what the boxes are said to hold, where they do not say so themselves.
        size: width and height that the numbers are relative to, in their own unit.
    """
    if isinstance(value, dict):
        corners = [value.get(key) for key in (_CORNERS if "x_min" in value else _OTHER_CORNERS)]
        said = _first(value, _LABEL)
        named = (label_named(said) or said[:80] or label) if isinstance(said, str) else label
        box = _first(value, _BOX)
        if all(_finite(corner) for corner in corners):
            return _place(corners, named, size)
        parts = [box] if box is not None else list(value.values())
        return [place for part in parts for place in boxes_of(part, named, size)]
    if not isinstance(value, list):
        return []
    if len(value) == 4 and all(_finite(corner) for corner in value):
        return _place(value, label, size)
    return [place for part in value for place in boxes_of(part, label, size)]


def _place(corners: Sequence[Any], label: str, size: tuple[int, int]) -> list[Place]:
    """A box in shares of the picture, cut at its edges; nothing if nothing is left of it."""
    shares = [min(1.0, max(0.0, corner / side)) for corner, side in zip(corners, (*size, *size), strict=True)]
    if shares[0] >= shares[2] or shares[1] >= shares[3]:
        return []
    try:
        return [Place(label=label, x_min=shares[0], y_min=shares[1], x_max=shares[2], y_max=shares[3])]
    except ValidationError:
        return []


def _finite(value: Any) -> bool:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return False
    return abs(value) < 1e9 if isinstance(value, int) else math.isfinite(value)


def _whole(value: Any) -> int | None:
    return value if isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 1e6 else None


def _number(value: Any) -> int | None:
    digits = re.fullmatch(r"(?:region|r|box)?\s*#?(\d{1,4})", str(value).strip(), re.IGNORECASE | re.ASCII)
    return int(digits.group(1)) if digits else None


def _first(part: dict[str, Any], keys: Sequence[str]) -> Any:
    return next((part[key] for key in keys if part.get(key) is not None), None)
