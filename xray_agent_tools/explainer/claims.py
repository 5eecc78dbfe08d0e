"""From a model's reply to an explanation: what the detections support becomes a finding, the rest a disagreement."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping

from xray_agent_tools.explainer.lettering import readings, unreadable
from xray_agent_tools.explainer.named import denied_labels, unsupported_names
from xray_agent_tools.explainer.reply import Claim, Reply, UnusableReply
from xray_agent_tools.report import Detection, Disagreement, Explanation, Finding, ThreatReport
from xray_agent_tools.taxonomy import taxonomy
from xray_agent_tools.wording import band_of, calls_harmless, listed, words_of

_NEVER_HARMLESS = "no answer may say that a bag is harmless"
_NO_DETECTION = "it cites a detection that does not exist"
_ID = re.compile(r"\bd\d+\b")
_MOST_NAMES = 5


def in_the_models_words(grounded: Explanation, report: ThreatReport, reply: Reply, *, backend: str) -> Explanation:
    """An explanation in a model's words, as far as the detections support them.

    A claim becomes a finding if it cites detections, names no other item than those, denies none of them and calls
    nothing harmless. The answer stays if it names detected items alone; otherwise the computed answer takes its place.
    What is left out is a disagreement, and what the model left out is told as computed. So an item that was not detected
    is named by a disagreement, or by the computed words, and by nothing else.

    Args:
        grounded: the computed explanation.
        report: what the detector saw.
        reply: what the model says.
        backend: who worded it.
    """
    known = {detection.id: detection for detection in report.detections}
    findings, disagreements = [], []
    for claim in reply.findings:
        objection = _objection_to_claim(claim, known)
        if objection is not None:
            disagreements.append(Disagreement(claim=claim.claim, reason=objection))
            continue
        cited = [known[reference] for reference in dict.fromkeys(claim.detection_ids)]
        finding, doubtful = _finding(claim, cited, known)
        findings.append(finding)
        disagreements += doubtful
    objection = _objection(reply.answer, known.values(), known)
    if objection is not None:
        disagreements.append(Disagreement(claim=reply.answer, reason=objection))
    mentioned = {reference for finding in findings for reference in finding.detection_ids}
    left_out = [f for f in grounded.findings if f.detection_ids and not mentioned.issuperset(f.detection_ids)]
    return grounded.model_copy(
        update={
            "answer": reply.answer if objection is None else grounded.answer,
            "answered": reply.answered if objection is None else grounded.answered,
            "findings": findings + left_out,
            "disagreements": disagreements,
            "backend": backend,
        }
    )


def in_computed_words(grounded: Explanation, model: str, unusable: UnusableReply) -> Explanation:
    """The computed explanation in place of a reply that cannot be used, which it says in its answer.

    Args:
        grounded: the computed explanation.
        model: name of the model.
        unusable: what is wrong with its reply; what it said is listed as a disagreement.
    """
    notice = f"The vision-language model's words are not used, because it {unusable.why}; this answer is computed."
    said = Disagreement(claim=unusable.said, reason=f"the vision-language model {model!r} {unusable.why}")
    return grounded.model_copy(update={"answer": f"{grounded.answer} {notice}", "disagreements": [said]})


def _finding(
    claim: Claim, cited: list[Detection], known: Mapping[str, Detection]
) -> tuple[Finding, list[Disagreement]]:
    """A claim as a finding, and those of its cues that its detections do not support."""
    labels = dict.fromkeys(detection.label for detection in cited)
    look_alikes = dict.fromkeys(other for label in labels for other in taxonomy().item(label).look_alikes)
    objections = {cue: _objection(cue, cited, known) for cue in claim.cues}
    finding = Finding(
        claim=claim.claim,
        detection_ids=[detection.id for detection in cited],
        cues=[
            f"the detector found: {', '.join(words_of(label) for label in labels)}",
            *(cue for cue in claim.cues if objections[cue] is None),
        ],
        look_alikes=list(look_alikes),
        confidence_band=band_of(min(detection.confidence for detection in cited)),
    )
    return finding, [Disagreement(claim=cue, reason=reason) for cue, reason in objections.items() if reason is not None]


def _objection_to_claim(claim: Claim, known: Mapping[str, Detection]) -> str | None:
    """Why a claim is no finding; None if it is one."""
    if not claim.detection_ids:
        return "it cites no detection"
    if not all(reference in known for reference in claim.detection_ids):
        return _NO_DETECTION
    if any(map(calls_harmless, claim.cues)):
        return _NEVER_HARMLESS
    return _objection(claim.claim, [known[reference] for reference in claim.detection_ids], known)


def _objection(text: str, cited: Collection[Detection], known: Collection[str]) -> str | None:
    """Why a text may not stand for these detections; None if it may."""
    shown = readings(text)
    labels = list(dict.fromkeys(detection.label for detection in cited))
    if not shown[0].strip():
        return "it says nothing"
    if any(map(calls_harmless, [text, *shown])):
        return _NEVER_HARMLESS
    if any(map(unreadable, shown)):
        return "it is written in letters that cannot be checked"
    if names := unsupported_names(text, labels):
        return f"it names what the detections it rests on are not: {listed(names[:_MOST_NAMES])}"
    if denied := denied_labels(text, labels):
        return f"it denies what was detected: {listed([words_of(label) for label in denied])}"
    return None if set(_ID.findall(shown[0].lower())) <= set(known) else _NO_DETECTION
