"""Typed answers in words. None of them says that a bag is harmless."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from pydantic import BaseModel

from xray_agent_tools.report import (
    Action,
    Assessment,
    Detection,
    Explanation,
    Finding,
    OpaqueRegion,
    ThreatReport,
)
from xray_agent_tools.wording import listed, place_of, words_of

_ACTIONS: dict[Action, str] = {
    "CLEAR": "none; no rule of the policy asks for a review",
    "REVIEW": "review",
    "PHYSICAL_INSPECTION": "physical inspection",
}
_MATCHES = {
    True: "The declaration fits what was seen.",
    False: "Something was seen that was not declared.",
    None: "Whether the declaration fits cannot be decided.",
}
_ADVICE = "This is advice to an officer; items can be missed."


def words_for(answer: BaseModel) -> str:
    """An answer of one of the tools in words, with the ids of the detections that each statement rests on."""
    if isinstance(answer, ThreatReport):
        lines = _of_report(answer)
    elif isinstance(answer, Explanation):
        lines = _of_explanation(answer)
    elif isinstance(answer, Assessment):
        lines = _of_assessment(answer)
    else:
        raise TypeError(f"no words for a {type(answer).__name__}")
    return "\n".join(lines)


def _of_report(report: ThreatReport) -> Iterator[str]:
    yield f"Verdict: {report.verdict}. {report.summary}"
    if report.detections:
        yield "Detections:"
        yield from (_detection(detection, len(report.image.views)) for detection in report.detections)
    yield from _limits(report)
    yield f"Scan: {report.scan_id}. {_ADVICE}"


def _limits(report: ThreatReport) -> Iterator[str]:
    """What could not be said, listed, or looked into."""
    if report.left_out:
        yield f"Not listed: {report.left_out} more detections."
    if report.opaque_regions:
        yield f"Could not be looked into: {'; '.join(map(_opaque, report.opaque_regions))}."
    if report.not_assessed:
        yield f"Not looked for: {_labels(report.not_assessed)}."
    if report.not_validated:
        yield f"Looked for, but validated on simulated scans alone: {_labels(report.not_validated)}."


def _of_explanation(explanation: Explanation) -> Iterator[str]:
    yield explanation.answer
    yield f"Verdict: {explanation.verdict}."
    if explanation.findings:
        yield "Findings:"
        yield from map(_finding, explanation.findings)
    if explanation.left_out:
        yield f"Not listed: {explanation.left_out} more findings."
    if explanation.disagreements:
        yield f"Left out: {len(explanation.disagreements)} claims that the detections do not support."
    if explanation.not_assessed:
        yield f"{len(explanation.not_assessed)} kinds of item were not looked for."
    yield f"Scan: {explanation.scan_id}. {_ADVICE}"


def _of_assessment(assessment: Assessment) -> Iterator[str]:
    policy = assessment.policy
    yield (
        f"Recommended action: {_ACTIONS[assessment.recommended_action]}. Risk level: {assessment.risk_level}. "
        f"{_MATCHES[assessment.declaration_match]}"
    )
    yield f"Rules of policy {policy.name} {policy.version} that fired:"
    yield from (f"- {reason.rule}: {reason.text}{_citation(reason.detection_ids)}" for reason in assessment.reasons)
    if assessment.items:
        yield "Items:"
        yield from (
            f"- {item.name!r}: {item.status.replace('_', ' ')}{_citation(item.detection_ids)}"
            for item in assessment.items
        )
    yield from _of_report(assessment.report)


def _detection(detection: Detection, views: int) -> str:
    box = detection.box
    weak = "" if detection.above_threshold else ", below its operating point"
    return (
        f"- {detection.id}: {words_of(detection.label)} ({detection.severity}), {place_of(detection, views)}, "
        f"box x {box.x_min:.0f} to {box.x_max:.0f}, y {box.y_min:.0f} to {box.y_max:.0f} pixels, "
        f"confidence {detection.confidence:.2f}{weak}"
    )


def _opaque(region: OpaqueRegion) -> str:
    box = region.box
    return (
        f"{region.share:.0%} of the content of view {region.view + 1} at x {box.x_min:.0f} to {box.x_max:.0f}, "
        f"y {box.y_min:.0f} to {box.y_max:.0f}"
    )


def _finding(finding: Finding) -> str:
    cues = f": {'; '.join(finding.cues)}" if finding.cues else ""
    others = f". Easily confused with {_labels(finding.look_alikes)}" if finding.look_alikes else ""
    band = "" if finding.confidence_band == "none" else f", confidence {finding.confidence_band}"
    return f"- {finding.claim}{_citation(finding.detection_ids)}{band}{cues}{others}"


def _citation(ids: Sequence[str]) -> str:
    return f" ({', '.join(ids)})" if ids else ""


def _labels(labels: Iterable[str]) -> str:
    return listed([words_of(label) for label in labels])
