"""Sentences that several answers share. None of them says that a bag is harmless."""

from __future__ import annotations

import re
import unicodedata
from collections import Counter
from collections.abc import Sequence

from xray_agent_tools.report import ConfidenceBand, Detail, Detection, QualityIssue, Verdict
from xray_agent_tools.taxonomy import taxonomy

_PLURAL_FORMS = {"knife", "multi_tool_knife"}
_ALWAYS_PLURAL = {
    *("scissors", "pliers", "handcuffs", "keys", "shoes", "clothes", "textiles"),
    *("small_electronics", "auto_parts"),
}

_DANGER = r"(threats?|dangers?|risks?(?!\s+level)|weapons?|contraband|concerns?)"
_DANGEROUS = r"(dangerous|suspicious|threatening|prohibited|forbidden|illegal|harmful|hazardous)"
_HARMLESS = re.compile(
    r"\ball[ -]clear\b|\b(harmless|innocuous)\b|\b(threat|risk)[ -]free\b"
    r"|(\b(is|are|was|were|looks?|appears?|seems?|be|considered|deemed|declared)|\w'[sd])\s+"
    r"((all|to|be|being|as|completely|entirely|perfectly|totally|absolutely|now|likely|probably|thus|quite|very)\s+)*"
    r"\W*(safe|clear(?!\s+(that|whether|how|what|why)\b)|cleared|clean|benign|innocent|unproblematic)\b"
    r"|\bsafe (to|for) (board|travel|proceed|fly|pass|transport)"
    rf"|\bno (\w+ ){{0,2}}{_DANGER}\b|\bno (\w+ )?{_DANGEROUS}\b"
    rf"|\bnothing (\w+ )?({_DANGEROUS}|of concern|to worry)\b"
    rf"|(\bnot|n't) (\w+ )?({_DANGEROUS}|an? {_DANGER})\b"
    rf"|\bfree (of|from) (\w+ ){{0,2}}({_DANGER}|{_DANGEROUS})\b"
    r"|\b(bag|luggage|suitcase|passenger|travell?er|it|they|he|she) (may|can|should) (\w+ )?(pass|proceed|board|go)\b",
    re.IGNORECASE,
)


def words_of(label: str) -> str:
    """A label as a person writes it."""
    return taxonomy().item(label).words


def counted(label: str, count: int) -> str:
    """A number of items in words: "2 knives", "1 pair of scissors" as "1 scissors"."""
    words = words_of(label)
    if count == 1 or label in _ALWAYS_PLURAL:
        return f"{count} {words}"
    if label in _PLURAL_FORMS:
        return f"{count} {words[:-2]}ves"
    if words.endswith("y") and words[-2] not in "aeiou":
        return f"{count} {words[:-1]}ies"
    if words.endswith(("s", "x", "ch", "sh")):
        return f"{count} {words}es"
    return f"{count} {words}s"


def listed(parts: Sequence[str]) -> str:
    """Join parts as in a sentence: "a, b and c"."""
    return " and ".join([", ".join(parts[:-1]), parts[-1]]) if len(parts) > 1 else "".join(parts)


def band_of(confidence: float) -> ConfidenceBand:
    """The word for a confidence."""
    if confidence >= 0.8:
        return "high"
    return "moderate" if confidence >= 0.5 else "low"


def place_of(detection: Detection, views: int) -> str:
    """Where a detection is, in words."""
    return detection.region + (f" of view {detection.view + 1}" if views > 1 else "")


def inventory(detections: Sequence[Detection]) -> str:
    """What was found, counted: "1 gun and 2 knives"."""
    counts = Counter(detection.label for detection in detections)
    return listed([counted(label, count) for label, count in counts.items()])


def summarise(
    verdict: Verdict,
    detections: Sequence[Detection],
    issues: Sequence[QualityIssue],
    not_assessed: int,
    not_validated: int,
    detail: Detail,
) -> str:
    """The report in a sentence or two, or one more for each detection with full detail."""
    alarming = [detection for detection in detections if detection.alarms]
    others = [detection for detection in detections if detection.above_threshold and not detection.alarms]
    weaker = [detection for detection in detections if not detection.above_threshold]
    sentences = []
    if verdict == "ALARM":
        places = [f"{words_of(d.label)} ({d.region}, {d.confidence:.2f})" for d in alarming[:5]]
        more = f" and {len(alarming) - 5} more" if len(alarming) > 5 else ""
        sentences.append(f"Alarm: {', '.join(places)}{more}.")
    elif verdict == "NO_ALARM":
        sentences.append(
            f"No threat reached its operating point; {not_looked_for(not_assessed, not_validated)}, and items can be "
            "missed."
        )
    else:
        sentences.append("No statement can be made about this scan.")
    if issues:
        sentences.append(f"Limits: {'; '.join(issue.text for issue in issues)}.")
    if others:
        sentences.append(f"Seen besides: {inventory(others)}.")
    if weaker:
        sentences.append(f"Below the operating point: {inventory(weaker)}.")
    if detail == "full":
        sentences += [
            f"{d.id}: {words_of(d.label)}, {d.region}, confidence {d.confidence:.2f} ({band_of(d.confidence)})."
            for d in detections
        ]
    return " ".join(sentences)


def not_looked_for(not_assessed: int, not_validated: int) -> str:
    """How many kinds of item a look left out, or was not validated for on real scans."""
    unproven = f", the look for {not_validated} more was validated on simulated scans alone" if not_validated else ""
    return f"{not_assessed} kinds of item were not looked for{unproven}"


def as_read(text: str) -> str:
    """A text as the eye reads it: marks that cannot be seen left out, and one spelling of what looks the same."""
    seen = "".join(mark for mark in unicodedata.normalize("NFKC", text) if unicodedata.category(mark) != "Cf")
    return seen.replace("\u2019", "'")


def calls_harmless(text: str) -> bool:
    """Whether a text says in English that a bag or an item is harmless, or denies that it is.

    It errs on the strict side, and other languages get past it: the verdict has to stand beside the words.
    """
    return _HARMLESS.search(as_read(text)) is not None
