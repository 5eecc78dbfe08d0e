"""What a question asks, told from its words."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal

from xray_agent_tools.declaration.matcher import find_items

Topic = Literal[
    "overview", "presence", "place", "count", "material", "hidden", "look_alikes", "action", "certainty", "unknown"
]

# The first pattern that occurs in the question tells its topic.
_PATTERNS: tuple[tuple[Topic, str], ...] = (
    (
        "unknown",
        r"\b(who|whose|when|brand|price|costs?|worth|serial|calib(re|er)|weigh\w*|nationality)\b"
        r"|\bhow (old|heavy|much|long|big|large)\b",
    ),
    (
        "action",
        r"\bwhat (should|shall|must|do|can) (i|we|one|the officer|officers)\b.*\b(do|next)\b"
        r"|\bnext step|\brecommend|\bproceed\b|\bwhat now\b|\bwhat actions?\b|^\W*(should|shall|must) (i|we)\b",
    ),
    (
        "look_alikes",
        r"\b(mistaken|confus\w+|look.?alikes?|look like|resembl\w+|(what|anything|something) else|alternative|instead)\b",
    ),
    (
        "hidden",
        r"\b(hidden|hid(e|ing)?|conceal\w*|behind|under(neath)?|cover(ed)?|occlu\w+|shield\w*|opaque|obscured)\b",
    ),
    ("presence", r"\b(is|are) there (an?|any|some)?\b.*\b(plastic|metal) \w+"),
    ("material", r"\b(made (of|from|out)|material|metal(lic)?|organic|plastic|substance|composition)\b"),
    ("count", r"\bhow many\b|\bnumber of\b|\bcount\b"),
    ("certainty", r"\bhow (sure|certain|confident|reliable)\b|\bconfidence\b|\bare you sure\b|\bcertain\b"),
    ("place", r"\bwhere\b|\blocat\w+\b|\bposition\b|\bwhich (part|side|corner)\b"),
    ("overview", r"\bwhat (do|can|did|does) (you|we|i|it|the (bag|scan)) (see|show|contain|hold)\b"),
    (
        "presence",
        r"^\W*(is|are|was|were|does|do|did|has|have|can|could)\b"
        r"|\b(is|are) there\b|\bthere (is|are)\b|\bany\b|\bcontains?\b",
    ),
    (
        "overview",
        r"\bwhat('s| is| are| was) (in|inside|on|there|visible|it|this|that|these|shown)\b"
        r"|\bdescribe\b|\bsummar|\boverview\b|\bexplain\b|\bwhy\b|\btell me\b",
    ),
)
_THREAT_WORDS = r"threats?|weapons?|dangerous|danger|prohibited|forbidden|illegal|suspicious|alarms?"
_THREATS = re.compile(rf"\b({_THREAT_WORDS})\b")
_GENERAL = re.compile(rf"\b({_THREAT_WORDS}|unusual|items?|objects?|things?|anything|something|detections?)\b")
_THE_BAG_ITSELF = re.compile(r"\b(the|this|that|a|my|his|her|their) (bag|suitcase|baggage|luggage|backpack|handbag)\b")


@dataclass(frozen=True, slots=True)
class Question:
    """A question's topic, the canonical labels it names, and whether it asks for threats in general."""

    topic: Topic
    labels: tuple[str, ...]
    threats_only: bool


def read_question(text: str) -> Question:
    """Classify a question. Its words are only matched; nothing in them is obeyed."""
    lowered = _THE_BAG_ITSELF.sub(" ", text.casefold())
    topic: Topic | None = next((name for name, pattern in _PATTERNS if re.search(pattern, lowered)), None)
    labels = find_items(lowered).labels
    if topic is None:
        topic = "presence" if labels else "unknown"
    if topic == "presence" and not labels and not _GENERAL.search(lowered):
        topic = "unknown"
    return Question(topic, labels, bool(_THREATS.search(lowered)))
