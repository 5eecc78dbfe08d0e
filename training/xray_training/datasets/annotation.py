"""Annotation files, read as text, JSON, tables or XML; what cannot be read is a fault."""

from __future__ import annotations

import csv
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TypeVar
from xml.etree.ElementTree import Element, ParseError

from defusedxml.ElementTree import fromstring
from pydantic import BaseModel, ValidationError

from xray_training.datasets.fault import Fault, FaultKind, FaultReport
from xray_training.datasets.folders import PICTURES
from xray_training.datasets.picture import LFS

Model = TypeVar("Model", bound=BaseModel)


def bad(where: Path | str, message: str) -> Fault:
    """The fault of an annotation that cannot be parsed."""
    return Fault(FaultKind.BAD_ANNOTATION, str(where), message)


def missing(where: Path | str, message: str) -> Fault:
    """The fault of an annotation that is not there."""
    return Fault(FaultKind.MISSING_ANNOTATION, str(where), message)


def text_of(path: Path, report: FaultReport) -> str | None:
    """The text of a file; None, and a fault, where there is none."""
    content = _bytes_of(path, report)
    if content is None:
        return None
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError:
        report(bad(path, "not UTF-8 text"))
        return None


def json_of(path: Path, model: type[Model], report: FaultReport) -> Model | None:
    """A JSON file as a model; None, and a fault, where it is none."""
    text = text_of(path, report)
    return None if text is None else parsed(text, model, path, report)


def parsed(text: str, model: type[Model], where: Path | str, report: FaultReport) -> Model | None:
    """JSON text as a model; None, and a fault, where it is none."""
    try:
        return model.model_validate_json(text)
    except ValidationError as error:
        report(bad(where, first_problem(error)))
        return None


def first_problem(error: ValidationError) -> str:
    """The first thing that is wrong, and where in the document."""
    problem = error.errors(include_url=False, include_input=False, include_context=False)[0]
    place = ".".join(str(part) for part in problem["loc"])
    return f"{place}: {problem['msg']}" if place else problem["msg"]


def listed(path: Path, report: FaultReport) -> list[str]:
    """The scans that a list names, one a line, without a picture's suffix; none where there is no list."""
    text = text_of(path, report) if path.is_file() else None
    names = [line.strip() for line in (text or "").splitlines() if line.strip()]
    return [name.rpartition(".")[0] if Path(name).suffix.lower() in PICTURES else name for name in names]


def rows_of(
    path: Path, columns: Iterable[str], report: FaultReport, *, delimiter: str = ","
) -> Iterator[dict[str, str]]:
    """The rows of a table whose first row names its columns; a row that lacks one of those asked for is a fault."""
    text = text_of(path, report)
    if text is None:
        return
    wanted = tuple(columns)
    table = csv.reader(text.splitlines(), delimiter=delimiter)
    try:
        header = [name.strip() for name in next(table, [])]
        if absent := [name for name in wanted if name not in header]:
            report(bad(path, f"the first row names no {', '.join(absent)}"))
            return
        for cells in table:
            if not any(cell.strip() for cell in cells):
                continue
            row = dict(zip(header, (cell.strip() for cell in cells), strict=False))
            if all(row.get(name) for name in wanted):
                yield row
            else:
                report(bad(path, f"line {table.line_num} has an empty cell"))
    except csv.Error as error:
        report(bad(path, f"line {table.line_num}: {error}"))


def xml_of(path: Path, report: FaultReport) -> Element | None:
    """The root of an XML file, parsed without entities; None, and a fault, where it is none."""
    content = _bytes_of(path, report)
    if content is None:
        return None
    try:
        root: Element = fromstring(content)
    except (ParseError, ValueError, LookupError) as error:  # forbidden entities and unknown encodings are ValueErrors
        report(bad(path, f"no readable XML ({error})"))
        return None
    return root


def _bytes_of(path: Path, report: FaultReport) -> bytes | None:
    try:
        content = path.read_bytes()
    except FileNotFoundError:
        report(missing(path, "the annotation is not there"))
        return None
    except OSError as error:
        report(bad(path, f"cannot be read ({type(error).__name__})"))
        return None
    if content.startswith(LFS):
        message = "a Git LFS pointer, not an annotation: run `git lfs pull` where it came from"
        report(Fault(FaultKind.LFS_POINTER, str(path), message))
        return None
    return content
