"""Where a model is unsure of its own words, by the probabilities of its tokens, and what it says when asked again."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from xray_agent_tools.explainer.named import name_spans
from xray_agent_tools.explainer.prompt import SOMETHING_ELSE
from xray_agent_tools.explainer.reply import Reply, Said, Token
from xray_agent_tools.report import Detection, Disagreement, Explanation, ThreatReport
from xray_agent_tools.taxonomy import taxonomy
from xray_agent_tools.wording import listed, words_of

MOST_ASKED_AGAIN = 3
UNSURE_BELOW = 0.6
"""A region is asked about again where the model's name for it was less probable than this."""

_CLAIM = re.compile(r'"claim"\s*:\s*"((?:[^"\\]|\\.)*)"', re.DOTALL)


@dataclass(frozen=True, slots=True)
class Doubt:
    """A detection that a model is unsure of.

    Attributes:
        detection: which.
        probability: of the words by which it named it.
    """

    detection: Detection
    probability: float


def doubts(said: Said, reply: Reply, report: ThreatReport) -> list[Doubt]:
    """The detections that a model is most unsure of, at most three, the least sure first.

    What counts is the probability of the name in a claim that cites the detection, or, where it is not named, the
    geometric mean over the claim. Without the probabilities of all tokens there are none.
    """
    known = {detection.id: detection for detection in report.detections}
    least: dict[str, float] = {}
    claims = list(_CLAIM.finditer(said.text))
    starts = _starts(said)
    if not starts or len(claims) != len(reply.findings):
        return []
    for match, claim in zip(claims, reply.findings, strict=True):
        for reference in claim.detection_ids:
            if reference in known:
                probability = _probability(said, starts, match, known[reference].label)
                least[reference] = min(probability, least.get(reference, 1.0))
    found = [Doubt(known[reference], value) for reference, value in least.items() if value < UNSURE_BELOW]
    return sorted(found, key=lambda doubt: doubt.probability)[:MOST_ASKED_AGAIN]


def options_for(detection: Detection) -> list[str]:
    """What an unsure model may choose from: the detector's label among its look-alikes, in alphabetical order.

    The last option is :data:`~xray_agent_tools.explainer.prompt.SOMETHING_ELSE`.
    """
    labels = {detection.label, *taxonomy().item(detection.label).look_alikes}
    return [*sorted(map(words_of, labels)), SOMETHING_ELSE]


def settled(explanation: Explanation, doubt: Doubt, item: str | None) -> Explanation:
    """An explanation that tells what became of a doubt.

    Args:
        explanation: as it was.
        doubt: what was asked again.
        item: what the model chose of :func:`options_for`; None if it gave no usable answer.
    """
    detection, options = doubt.detection, options_for(doubt.detection)
    unsure = f"the model was unsure of it (probability {doubt.probability:.2f})"
    if item is None:
        return _with_cue(explanation, detection, f"{unsure} and gave no usable answer when it was asked again")
    if item == words_of(detection.label):
        cue = f"{unsure}; shown it enlarged and asked again, it chose {item} out of {len(options)} options"
        return _with_cue(explanation, detection, cue)
    seen = f"none of {listed(options[:-1])}" if item == SOMETHING_ELSE else item
    reason = f"the detector found {words_of(detection.label)} there, and {unsure}"
    disagreement = Disagreement(claim=f"Shown {detection.id} enlarged, the model takes it for {seen}.", reason=reason)
    return _with_cue(
        explanation.model_copy(update={"disagreements": [*explanation.disagreements, disagreement]}),
        detection,
        f"{unsure} and took it for something else when it was asked again",
    )


def _with_cue(explanation: Explanation, detection: Detection, cue: str) -> Explanation:
    findings = [
        finding.model_copy(update={"cues": [*finding.cues, cue]}) if detection.id in finding.detection_ids else finding
        for finding in explanation.findings
    ]
    return explanation.model_copy(update={"findings": findings})


def _starts(said: Said) -> list[tuple[int, Token]]:
    """Where each token begins, in bytes of the reply; nothing if the tokens are not those of the text."""
    if b"".join(token.text for token in said.tokens) != said.text.encode():
        return []
    starts, position = [], 0
    for token in said.tokens:
        starts.append((position, token))
        position += len(token.text)
    return starts


def _probability(said: Said, starts: Sequence[tuple[int, Token]], claim: re.Match[str], label: str) -> float:
    """How probable a claim's name for a label was, or how probable its tokens were on average."""
    offset = claim.start(1)
    spans = [(offset + start, offset + end) for start, end in name_spans(claim[1], label)]
    if not spans:
        values = list(_within(said.text, starts, offset, claim.end(1)))
        return math.exp(sum(values) / len(values)) if values else 1.0
    return min(math.exp(sum(_within(said.text, starts, start, end))) for start, end in spans)


def _within(text: str, starts: Sequence[tuple[int, Token]], start: int, end: int) -> Iterator[float]:
    """The log-probabilities of the tokens that touch a range of characters."""
    first, last = len(text[:start].encode()), len(text[:end].encode())
    for position, token in starts:
        if position < last and position + len(token.text) > first:
            yield token.logprob
