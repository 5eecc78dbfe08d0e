"""Explanations from computed evidence alone: no model words them, so nothing can be made up."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from xray_agent_tools.explainer.question import Question, Topic, read_question
from xray_agent_tools.report import Detail, Detection, Explanation, Finding, Severity, ThreatReport, is_threat
from xray_agent_tools.scan import Scan
from xray_agent_tools.taxonomy import taxonomy
from xray_agent_tools.wording import band_of, inventory, listed, not_looked_for, place_of, words_of

_ADVICE: dict[Severity, str] = {
    "critical": "stop the bag, keep it isolated and call a supervisor",
    "high": "search the bag by hand",
    "medium": "look again and check the item against the rules for this journey",
    "low": "check the item against the rules for this journey",
    "none": "no action follows from this item",
}
_UNANSWERED = (
    "The computed evidence does not answer this question. It can answer what was found, whether and where an item was "
    "found, how many, what they look made of, what is hidden, what an item may be mistaken for, how certain it is, and "
    "what to do next."
)
_MATERIAL_WORDS = {
    "organic": "organic (orange)",
    "mixed": "mixed or inorganic (green)",
    "metal": "metallic (blue)",
    "opaque": "too dark to tell",
}


@dataclass(frozen=True, slots=True)
class _Reply:
    answer: str
    findings: list[Finding]
    answered: bool = True


class GroundedExplainer:
    """Answers the usual questions from a report, each claim with the detections it rests on."""

    def explain(self, report: ThreatReport, scan: Scan | None, *, question: str | None, detail: Detail) -> Explanation:
        """Answer a question about a report, or give an overview; the pixels are not needed."""
        asked = Question("overview", (), threats_only=False) if question is None else read_question(question)
        reply = _REPLIES[asked.topic](report, asked, detail)
        return Explanation(
            scan_id=report.scan_id,
            question=question,
            answer=reply.answer,
            verdict=report.verdict,
            answered=reply.answered,
            findings=reply.findings,
            left_out=0,
            disagreements=[],
            not_assessed=report.not_assessed,
            backend="grounded",
            model=report.model,
        )


def _asked_about(report: ThreatReport, question: Question) -> list[Detection]:
    """The detections that a question is about: those it names, those that are threats, or all."""
    if not question.labels:
        return [d for d in report.detections if not question.threats_only or is_threat(d.severity)]
    return [detection for detection in report.detections if detection.label in question.labels]


def _views(report: ThreatReport) -> int:
    return len(report.image.views)


def _cues(detection: Detection, detail: Detail) -> list[str]:
    width = round(detection.box.x_max - detection.box.x_min)
    height = round(detection.box.y_max - detection.box.y_min)
    cues = [f"the detector's score for its shape is {detection.confidence:.2f}"]
    if detection.material is not None:
        shares = detection.material.model_dump()
        strongest = max(shares, key=lambda name: float(shares[name]))
        cues.append(f"{shares[strongest]:.0%} of it looks {_MATERIAL_WORDS[strongest]}")
        if detail == "full":
            cues += [f"{_MATERIAL_WORDS[n]}: {s:.0%}" for n, s in shares.items() if n != strongest and s >= 0.05]
    if detection.occlusion is not None and (detail == "full" or detection.occlusion.occluded):
        state = "much" if detection.occlusion.occluded else "little"
        cues.append(f"{state} of it is likely to be hidden by other things (score {detection.occlusion.score:.2f})")
    if detail == "full":
        cues.append(f"it measures {width} by {height} pixels")
        if detection.evidence == "simulated_scans":
            cues.append("this kind of item was learned from simulated scans and is not validated on real ones")
    return cues


def _finding(detection: Detection, report: ThreatReport, detail: Detail) -> Finding:
    item = taxonomy().item(detection.label)
    strength = "" if detection.above_threshold else "possible, below its operating point: "
    return Finding(
        claim=f"{strength}{item.words} at the {place_of(detection, _views(report))}",
        detection_ids=[detection.id],
        cues=_cues(detection, detail),
        look_alikes=list(item.look_alikes),
        confidence_band=band_of(detection.confidence),
    )


def _findings(detections: Sequence[Detection], report: ThreatReport, detail: Detail) -> list[Finding]:
    return [_finding(detection, report, detail) for detection in detections]


def _cited(detections: Sequence[Detection]) -> str:
    return ", ".join(detection.id for detection in detections)


def _absence(report: ThreatReport, labels: Sequence[str]) -> _Reply:
    """What can honestly be said of items that were not found."""
    if not report.quality.usable:
        reasons = "; ".join(issue.text for issue in report.quality.issues)
        subject = "what was not found on this scan" if report.detections else "this scan"
        return _Reply(f"No statement can be made about {subject}: {reasons}.", [], answered=False)
    unseen = [label for label in labels if label in report.not_assessed]
    searched = [label for label in labels if label not in report.not_assessed]
    sentences = []
    if searched:
        sentences.append(f"No {listed([words_of(label) for label in searched])} was detected; one can still be missed.")
    if unproven := [label for label in searched if label in report.not_validated]:
        sentences.append(
            f"The look for {listed([words_of(x) for x in unproven])} was validated on simulated scans alone."
        )
    if unseen:
        sentences.append(f"This look did not cover {listed([words_of(label) for label in unseen])}.")
    if not labels:
        subject = "No threat" if report.detections else "No item"
        sentences.append(f"{subject} reached its operating point. {_not_looked_for(report)} Items can be missed.")
    findings = [
        Finding(
            claim=f"no {words_of(label)} was detected",
            detection_ids=[],
            cues=["no box of this label reached the listing threshold"],
            look_alikes=list(taxonomy().item(label).look_alikes),
            confidence_band="none",
        )
        for label in searched
    ]
    return _Reply(" ".join(sentences), findings, answered=bool(searched) or not labels)


def _overview(report: ThreatReport, question: Question, detail: Detail) -> _Reply:
    detections = _asked_about(report, question)
    if not detections:
        return _absence(report, question.labels)
    places = [f"{words_of(d.label)} at the {place_of(d, _views(report))} ({d.id})" for d in detections]
    sentences = [f"The scan shows {listed(places)}.{_of_the_rest(report, question, detections)}"]
    if report.opaque_regions:
        sentences.append(f"{_regions(len(report.opaque_regions))} could not be looked into.")
    sentences.append(_not_looked_for(report))
    return _Reply(" ".join(sentences), _findings(detections, report, detail))


def _not_looked_for(report: ThreatReport) -> str:
    text = not_looked_for(len(report.not_assessed), len(report.not_validated))
    return f"{text[:1].upper()}{text[1:]}."


def _presence(report: ThreatReport, question: Question, detail: Detail) -> _Reply:
    detections = _asked_about(report, question)
    if not detections:
        return _absence(report, question.labels)
    seen = [d for d in detections if d.above_threshold]
    opening = f"Yes: {inventory(seen)}" if seen else f"Possibly: {inventory(detections)}, below the operating point"
    rest = _of_the_rest(report, question, detections)
    return _Reply(f"{opening} ({_cited(seen or detections)}).{rest}", _findings(detections, report, detail))


def _of_the_rest(report: ThreatReport, question: Question, detections: Sequence[Detection]) -> str:
    """What to say of the labels that were asked about and not found."""
    missing = [label for label in question.labels if label not in {d.label for d in detections}]
    return f" {_absence(report, missing).answer}" if missing else ""


def _place(report: ThreatReport, question: Question, detail: Detail) -> _Reply:
    detections = _asked_about(report, question)
    if not detections:
        return _absence(report, question.labels)
    places = [
        f"{words_of(d.label)} ({d.id}): {place_of(d, _views(report))}, x {d.box.x_min:.0f} to {d.box.x_max:.0f}, "
        f"y {d.box.y_min:.0f} to {d.box.y_max:.0f}"
        for d in detections
    ]
    rest = _of_the_rest(report, question, detections)
    return _Reply("; ".join(places) + f".{rest}", _findings(detections, report, detail))


def _count(report: ThreatReport, question: Question, detail: Detail) -> _Reply:
    detections = _asked_about(report, question)
    if not detections:
        return _absence(report, question.labels)
    seen = [d for d in detections if d.above_threshold] or detections
    rest = _of_the_rest(report, question, detections)
    note = " A bag seen in several views may count an item more than once." if _views(report) > 1 else ""
    return _Reply(
        f"{inventory(seen)} detected ({_cited(seen)}); hidden ones can be missed.{note}{rest}",
        _findings(seen, report, detail),
    )


def _material(report: ThreatReport, question: Question, detail: Detail) -> _Reply:
    detections = _asked_about(report, question)
    if not detections:
        return _absence(report, question.labels)
    coloured = [d for d in detections if d.material is not None]
    if not coloured:
        answer = "The scan carries no pseudo-colour at these items, so their material cannot be told."
        return _Reply(answer, _findings(detections, report, detail), answered=False)
    parts = []
    for detection in coloured:
        shares = detection.material.model_dump() if detection.material else {}
        mix = listed([f"{share:.0%} {_MATERIAL_WORDS[name]}" for name, share in shares.items() if share >= 0.05])
        parts.append(f"{words_of(detection.label)} ({detection.id}): {mix}")
    rest = _of_the_rest(report, question, detections)
    answer = "; ".join(parts) + f". The surroundings are taken off, but what lies right above or below is not.{rest}"
    return _Reply(answer, _findings(coloured, report, "full"))


def _hidden(report: ThreatReport, question: Question, detail: Detail) -> _Reply:
    if report.verdict == "UNKNOWN" and not report.detections:
        return _absence(report, question.labels)
    occluded = [d for d in report.detections if d.occlusion is not None and d.occlusion.occluded]
    sentences = []
    if occluded:
        sentences.append(f"Partly hidden by what lies around: {inventory(occluded)} ({_cited(occluded)}).")
    if report.opaque_regions:
        share = sum(region.share for region in report.opaque_regions)
        verb = "was" if len(report.opaque_regions) == 1 else "were"
        sentences.append(
            f"{_regions(len(report.opaque_regions))}, {share:.0%} of the content, {verb} not penetrated: "
            "anything may lie there."
        )
    if not sentences:
        sentences.append("No detection is occluded by the measure used and no region is opaque.")
    sentences.append("What the detector missed because it is hidden, it cannot report.")
    return _Reply(" ".join(sentences), _findings(occluded, report, "full"))


def _regions(count: int) -> str:
    return "1 region" if count == 1 else f"{count} regions"


def _look_alikes(report: ThreatReport, question: Question, detail: Detail) -> _Reply:
    detections = _asked_about(report, question)
    if detections:
        pairs = {d.label: taxonomy().item(d.label).look_alikes for d in detections}
        parts = [
            f"{words_of(label)} is easily confused with {listed([words_of(other) for other in others])}"
            if others
            else f"{words_of(label)} has no common look-alike"
            for label, others in pairs.items()
        ]
        return _Reply("; ".join(parts) + f" ({_cited(detections)}).", _findings(detections, report, detail))
    return _absence(report, question.labels)


def _action(report: ThreatReport, question: Question, detail: Detail) -> _Reply:
    if report.verdict == "UNKNOWN" and not report.detections:
        return _Reply("Scan the bag again or search it by hand: no statement can be made about this scan.", [])
    if report.verdict != "ALARM":
        lead = "No item alarms. " if report.verdict == "NO_ALARM" else "The scan does not support a verdict. "
        weaker = f"Look again at {_cited(report.detections)}. " if report.detections else ""
        answer = f"{lead}{weaker}Decide by your own look and your procedures; assess_declaration applies a policy."
        return _Reply(answer, _findings(report.detections, report, detail))
    alarming = [d for d in report.detections if d.alarms]
    advice = dict.fromkeys(_ADVICE[d.severity] for d in alarming)
    steps = "; ".join(advice)
    answer = (
        f"For {inventory(alarming)} ({_cited(alarming)}): {steps}. Search the rest of the bag too: one alarm often "
        "draws the eye from another item. This is advice; your procedures decide."
    )
    return _Reply(answer, _findings(alarming, report, detail))


def _certainty(report: ThreatReport, question: Question, detail: Detail) -> _Reply:
    detections = _asked_about(report, question)
    if not detections:
        return _absence(report, question.labels)
    parts = [f"{words_of(d.label)} ({d.id}): {d.confidence:.2f}, {band_of(d.confidence)}" for d in detections]
    rest = _of_the_rest(report, question, detections)
    answer = "; ".join(parts) + f". These are calibrated on scans like those the model was validated on.{rest}"
    return _Reply(answer, _findings(detections, report, "full"))


def _unknown(report: ThreatReport, question: Question, detail: Detail) -> _Reply:
    return _Reply(_UNANSWERED, [], answered=False)


_REPLIES: dict[Topic, Callable[[ThreatReport, Question, Detail], _Reply]] = {
    "overview": _overview,
    "presence": _presence,
    "place": _place,
    "count": _count,
    "material": _material,
    "hidden": _hidden,
    "look_alikes": _look_alikes,
    "action": _action,
    "certainty": _certainty,
    "unknown": _unknown,
}
