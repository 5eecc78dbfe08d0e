"""The page of all results and the data beside it: a whole that one command writes, and named parts that others put in."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

PAGE, DATA = "RESULTS.md", "results.json"

_SECTION = re.compile(r"<!-- begin (?P<name>[\w-]+) -->\n(?P<text>.*?)\n<!-- end (?P=name) -->", re.DOTALL)


def write_results(folder: Path, page: str, data: Mapping[str, Any]) -> None:
    """Write page and data anew, keeping the named parts that other commands put there before.

    Data that cannot be read is written anew without them.
    """
    kept = sections_of(_text(folder / PAGE))
    for name, text in kept.items():
        page = with_section(page, name, text)
    try:
        before = _data(folder / DATA)
    except ValueError:
        before = {}
    _write(folder, page, {**data, **{name: before[name] for name in kept if name in before}})


def put_section(folder: Path, name: str, text: str, data: Mapping[str, Any]) -> None:
    """Put a named part into page and data, in the place of the one of that name; nothing else changes.

    Raises:
        ValueError: the data that is there is no JSON object; it names the file, and nothing is written.
    """
    _write(folder, with_section(_text(folder / PAGE), name, text), {**_data(folder / DATA), name: data})


def with_section(page: str, name: str, text: str) -> str:
    """A page with a part put in the place of the part of that name, or at its end."""
    part = f"<!-- begin {name} -->\n{text.strip()}\n<!-- end {name} -->"
    if name in sections_of(page):
        return _SECTION.sub(lambda found: part if found["name"] == name else found.group(), page)
    return f"{page.rstrip()}\n\n{part}\n" if page.strip() else f"{part}\n"


def sections_of(page: str) -> dict[str, str]:
    """The texts of a page's parts that have a name."""
    return {found["name"]: found["text"] for found in _SECTION.finditer(page)}


def _text(path: Path) -> str:
    return path.read_text(encoding="utf-8") if path.exists() else ""


def _data(path: Path) -> dict[str, Any]:
    if not path.exists():
        return {}
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise ValueError(f"{path} is no JSON: {error}") from error
    if not isinstance(data, dict):
        raise ValueError(f"{path} is no JSON object")
    return data


def _write(folder: Path, page: str, data: Mapping[str, Any]) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / PAGE).write_text(page, encoding="utf-8")
    (folder / DATA).write_text(json.dumps(data, indent=1) + "\n", encoding="utf-8")
