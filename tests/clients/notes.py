"""What a client of OpenAI's API brought back, and whether it says what the direct answer says."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from tests.clients.judgement import report_shortfalls
from xray_agent_tools.report import Detection, ThreatReport
from xray_agent_tools.wording import words_of

REFUSALS = {
    "unknown model": ("NotFoundError", "there is no model 'no-such-model'"),
    "no scan": ("BadRequestError", "holds no scan"),
    "wrong key": ("AuthenticationError", "no valid key"),
    "too often": ("RateLimitError", "more than 1 per 1 hour"),
    "another schema": ("BadRequestError", "none that this model answers in"),
    "another tool": ("BadRequestError", "none of these functions can be called"),
}
"""What is refused: the class of ``openai`` that is raised, or that what is raised comes from, and what it says."""

_VERDICT = re.compile(r"^Verdict: (\w+)\.", re.MULTILINE)
_DETECTION = re.compile(
    r"^- d\d+: (?P<words>.+?) \(\w+\), .*?box x (?P<x_min>\d+) to (?P<x_max>\d+), y (?P<y_min>\d+) to (?P<y_max>\d+) ",
    re.MULTILINE,
)


@dataclass(frozen=True, slots=True)
class Note:
    """What came of one call.

    Attributes:
        asked: the way of asking, or what is refused.
        scan: the scan that was asked about; empty where the call has to fail.
        value: words as a text, or a typed answer as plain data; None if it failed.
        raised: names of the classes of what was raised, and of what that came from.
        text: what was raised says.
    """

    asked: str
    scan: str
    value: Any = None
    raised: tuple[str, ...] = ()
    text: str = ""


def problems_of(note: Note, direct: Mapping[str, ThreatReport]) -> list[str]:
    """What is wrong with what a client brought back, in sentences; empty if nothing is.

    Args:
        note: what it brought back.
        direct: the answers of the same calls in Python, by scan.
    """
    found = _answer_problems(note, direct[note.scan]) if note.scan else _refusal_problems(note)
    return [f"{note.asked}{f' on {note.scan}' if note.scan else ''}: {problem}" for problem in found]


def _answer_problems(note: Note, report: ThreatReport) -> Iterator[str]:
    if note.raised:
        yield f"raised {note.raised[0]}: {note.text}"
    elif isinstance(note.value, str):
        yield from _word_problems(note.value, report)
    else:
        yield from report_shortfalls(note.value, report)


def _word_problems(words: str, report: ThreatReport) -> Iterator[str]:
    verdicts = _VERDICT.findall(words)
    if verdicts != [report.verdict]:
        yield f"the verdicts are {verdicts}, not {report.verdict!r}"
    wanted = [_in_words(detection) for detection in report.detections]
    shown = [found.groupdict() for found in _DETECTION.finditer(words)]
    if shown != wanted:
        yield f"the labels and boxes are {shown}, not {wanted}"


def _in_words(detection: Detection) -> dict[str, str]:
    return {
        "words": words_of(detection.label),
        **{side: f"{value:.0f}" for side, value in detection.box.model_dump().items()},
    }


def _refusal_problems(note: Note) -> Iterator[str]:
    kind, reason = REFUSALS[note.asked]
    if not note.raised:
        yield f"was answered: {str(note.value)[:200]}"
        return
    if kind not in note.raised:
        yield f"raised {note.raised[0]}, not {kind}: {note.text}"
    if reason not in note.text:
        yield f"does not say why: {note.text}"
