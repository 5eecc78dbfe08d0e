"""Whether what a model sees says what the direct answer says."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

from tests.clients.sessions import Sight
from xray_agent_tools.errors import XrayToolsError
from xray_agent_tools.report import ThreatReport

_JSON = json.JSONDecoder()
_OPENING = re.compile('[{"]')


def objects_in(seen: object) -> Iterator[dict[str, Any]]:
    """Every JSON object in what a model sees: in lists, in other objects, amid words, in texts within texts."""
    if isinstance(seen, dict):
        yield seen
        for value in seen.values():
            yield from objects_in(value)
    elif isinstance(seen, list):
        for value in seen:
            yield from objects_in(value)
    elif isinstance(seen, str):
        yield from _objects_in_text(seen)


def _objects_in_text(text: str) -> Iterator[dict[str, Any]]:
    place = 0
    while start := _OPENING.search(text, place):
        place = start.end()
        try:
            value, end = _JSON.raw_decode(text, start.start())
        except ValueError:
            continue
        found = list(objects_in(value))
        if found:
            place = end
        yield from found


def shortfalls(sight: Sight, direct: ThreatReport | XrayToolsError) -> list[str]:
    """What a model does not get to see, or sees wrong, in sentences; empty if all is there.

    Args:
        sight: what the model sees of one call.
        direct: the answer of the same call in Python, or the error that it raised.
    """
    found = _sight_shortfalls(sight, direct) if isinstance(direct, ThreatReport) else _error_shortfalls(sight, direct)
    return [f"{sight.scan}, {sight.half}: {shortfall}" for shortfall in found]


def _sight_shortfalls(sight: Sight, direct: ThreatReport) -> Iterator[str]:
    if sight.is_error:
        yield "the result is flagged as an error"
    yield from report_shortfalls(sight.value, direct)


def report_shortfalls(seen: object, direct: ThreatReport) -> Iterator[str]:
    """What is missing or wrong in a report that is seen, in sentences.

    Args:
        seen: where the report is somewhere.
        direct: the answer of the same call in Python.
    """
    reports = [item for item in objects_in(seen) if "verdict" in item]
    if not reports:
        yield "no verdict"
    for report in reports:
        if report["verdict"] != direct.verdict:
            yield f"the verdict is {report['verdict']!r}, not {direct.verdict!r}"
        wanted = [{"label": detection.label, "box": detection.box.model_dump()} for detection in direct.detections]
        shown = [{key: item.get(key) for key in ("label", "box")} for item in report.get("detections", [])]
        if shown != wanted:
            yield f"the labels and boxes are {shown}, not {wanted}"


def _error_shortfalls(sight: Sight, direct: XrayToolsError) -> Iterator[str]:
    if sight.is_error is False:
        yield "the result is not flagged as an error"
    found = list(objects_in(sight.value))
    if any("verdict" in item for item in found):
        yield "a failed call shows a verdict"
    errors = [item for item in found if item.keys() >= {"code", "message", "hint"}]
    if not errors:
        yield "no error with a code, a message and a hint"
    for error in errors:
        if error["code"] != direct.code:
            yield f"the error's code is {error['code']!r}, not {direct.code!r}"
        if sight.scan not in error["message"]:
            yield f"the error's message does not name the scan: {error['message']!r}"
        if not error["hint"]:
            yield "the error has no hint"
