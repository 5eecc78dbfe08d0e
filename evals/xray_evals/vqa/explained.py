"""The library's own answers, without a language model: what the detector found, worded by the grounded explainer."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from rich.progress import track
from xray_training.datasets.pairs import Pair, Place, in_pixels
from xray_training.datasets.replies import NOTHING, iou

from xray_agent_tools.errors import XrayToolsError
from xray_agent_tools.report import Detection, ThreatReport
from xray_agent_tools.screener import Screener
from xray_agent_tools.taxonomy import taxonomy
from xray_evals.vqa.answering import Answer

OVERLAPS_FROM = 0.25
"""Intersection over union from which a detection is what a question's box points at."""

NOTHING_THERE = "The detector found nothing in this box; no statement can be made about it."


@dataclass(frozen=True, slots=True)
class Look:
    """What the detector says of a picture.

    Attributes:
        found: labels that reached their operating point.
        listed: labels that were listed at all.
        assessed: labels that it looked for.
    """

    found: frozenset[str]
    listed: frozenset[str]
    assessed: frozenset[str]


@dataclass(frozen=True, slots=True)
class Explained:
    """The explainer's answers, and the looks that they rest on, by picture; a look that failed is missing."""

    answers: list[Answer]
    looks: Mapping[str, Look]


def explain_all(pairs: Sequence[Pair], folder: Path, screener: Screener) -> Explained:
    """Answer every question from one look at each picture.

    Words are ``explain_scan``'s answer to the question as it is asked. Where a question points at a box, the explainer
    hears of the detection there alone, and is not asked if there is none. Where JSON or a name for each region is
    wanted, the detections at their operating points are put in that form, since the explainer speaks in sentences.
    """
    by_picture: dict[str, list[Pair]] = {}
    for pair in pairs:
        by_picture.setdefault(pair.image, []).append(pair)
    answers: dict[str, Answer] = {}
    looks: dict[str, Look] = {}
    for image, asked in track(by_picture.items(), "explaining", total=len(by_picture)):
        try:
            report = screener.detect_threats(folder / image)
        except XrayToolsError as error:
            answers |= {pair.id: Answer(id=pair.id, failed=f"{error.code}: {error.message}") for pair in asked}
            continue
        looks[image] = _look(report)
        answers |= {pair.id: _answer(pair, report, screener) for pair in asked}
    return Explained([answers[pair.id] for pair in pairs], looks)


def _look(report: ThreatReport) -> Look:
    return Look(
        found=frozenset(d.label for d in report.detections if d.above_threshold),
        listed=frozenset(d.label for d in report.detections),
        assessed=frozenset(taxonomy().labels).difference(report.not_assessed),
    )


def _answer(pair: Pair, report: ThreatReport, screener: Screener) -> Answer:
    size = report.image.width, report.image.height
    try:
        reply = _formed(pair, report, size) or _worded(pair, report, size, screener)
    except XrayToolsError as error:
        return Answer(id=pair.id, size=size, failed=f"{error.code}: {error.message}")
    return Answer(id=pair.id, reply=reply, size=size)


def _formed(pair: Pair, report: ThreatReport, size: tuple[int, int]) -> str | None:
    """The detections in the form that is wanted; None where words are, or where no statement can be made."""
    if report.verdict == "UNKNOWN" and not report.detections:
        return None
    found = [detection for detection in report.detections if detection.above_threshold]
    if pair.kind == "inventory":
        counts = Counter(d.label for d in found if not pair.asked or d.label in pair.asked)
        return json.dumps({"items": [{"label": label, "count": count} for label, count in counts.items()]})
    if pair.kind == "grounding":
        return json.dumps([{"label": d.label, "box": _corners(d)} for d in found if d.label in pair.asked])
    if pair.kind == "regions":
        names = [_name(place, report.detections, size) for place in pair.places]
        return "; ".join(f"{number}: {name}" for number, name in enumerate(names, 1))
    if pair.kind == "occlusion" and pair.places:
        there = _at(pair.places[0], report.detections, size)
        if there is not None and there.occlusion is not None:
            return "Yes." if there.occlusion.occluded else "No."
    return None


def _corners(detection: Detection) -> list[float]:
    box = detection.box
    return [box.x_min, box.y_min, box.x_max, box.y_max]


def _worded(pair: Pair, report: ThreatReport, size: tuple[int, int], screener: Screener) -> str:
    if pair.places and "<box:" in pair.question:
        there = _at(pair.places[0], report.detections, size)
        if there is None:
            return NOTHING_THERE
        report = report.model_copy(update={"detections": [there]})
    question = in_pixels(pair.question, pair.places, *size)
    return screener.explain_scan(report, question=question).answer


def _name(place: Place, detections: Sequence[Detection], size: tuple[int, int]) -> str:
    there = _at(place, [d for d in detections if d.above_threshold], size)
    return NOTHING if there is None else there.label.replace("_", " ")


def _at(place: Place, detections: Sequence[Detection], size: tuple[int, int]) -> Detection | None:
    """The detection that overlaps a place most, if enough."""
    overlaps = [(iou(place, shares_of(detection, size)), -number) for number, detection in enumerate(detections)]
    best = max(overlaps, default=(0.0, 0))
    return detections[-best[1]] if best[0] >= OVERLAPS_FROM else None


def shares_of(detection: Detection, size: tuple[int, int]) -> Place:
    """A detection's box in shares of a picture of that size, in pixels."""
    (width, height), box = size, detection.box
    sides = {
        "x_min": box.x_min / width,
        "y_min": box.y_min / height,
        "x_max": box.x_max / width,
        "y_max": box.y_max / height,
    }
    return Place(label=detection.label, **{name: min(1.0, max(0.0, side)) for name, side in sides.items()})
