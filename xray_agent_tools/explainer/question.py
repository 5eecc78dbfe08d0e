"""What a question asks, told from its words."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal

from xray_agent_tools.declaration.matcher import find_items

Topic = Literal[
    "overview", "presence", "place", "count", "material", "hidden", "look_alikes", "action", "certainty", "unknown"
]

_PATTERNS: tuple[tuple[Topic, str], ...] = (
    (
        "action",
        r"\bwhat (should|shall|must|do|can) (i|we|one|the officer|officers)\b.*\b(do|next)\b"
        r"|\bnext step|\brecommend|\bhow to proceed",
    ),
    ("look_alikes", r"\b(mistaken|confus\w+|look.?alikes?|look like|resembl\w+|what else|alternative|instead)\b"),
    (
        "hidden",
        r"\b(hidden|hid(e|ing)?|conceal\w*|behind|under(neath)?|cover(ed)?|occlu\w+|shield\w*|opaque|obscured)\b",
    ),
    ("material", r"\b(made (of|from|out)|material|metal(lic)?|organic|plastic|substance|composition)\b"),
    ("count", r"\bhow many\b|\bnumber of\b|\bcount\b"),
    ("certainty", r"\bhow (sure|certain|confident|reliable)\b|\bconfidence\b|\bare you sure\b|\bcertain\b"),
    ("place", r"\bwhere\b|\blocat\w+\b|\bposition\b|\bwhich (part|side|corner)\b"),
    (
        "presence",
        r"\b(is|are|was|were|does|do|did|has|have|can|could) (there|it|this|you|the bag|the scan|we|i)\b"
        r"|\bany\b|\bcontains?\b",
    ),
    (
        "overview",
        r"\bwhat (is|are|do you see|can you see|does|was)\b|\bdescribe\b|\bsummar|\boverview\b"
        r"|\bexplain\b|\bwhy\b|\btell me\b",
    ),
)


@dataclass(frozen=True, slots=True)
class Question:
    """A question's topic and the canonical labels and group words it names."""

    topic: Topic
    labels: tuple[str, ...]
    threats_in_general: bool


def read_question(text: str) -> Question:
    """Classify a question. Its words are only matched; nothing in them is obeyed."""
    lowered = text.casefold()
    topic: Topic = next((name for name, pattern in _PATTERNS if re.search(pattern, lowered)), "unknown")
    labels = find_items(text).labels
    general = bool(
        re.search(r"\b(threats?|dangerous|prohibited|forbidden|suspicious|items?|objects?|things?)\b", lowered)
    )
    if topic == "unknown" and labels:
        topic = "presence"
    return Question(topic, labels, general)
