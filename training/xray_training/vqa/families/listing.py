"""What is in the bag: in words, or as JSON."""

from __future__ import annotations

import json
import random
from collections.abc import Iterator, Sequence

from xray_agent_tools.report import is_threat
from xray_agent_tools.taxonomy import taxonomy
from xray_training.datasets.pairs import Items
from xray_training.vqa.draft import Draft
from xray_training.vqa.scene import Scene
from xray_training.vqa.wordings import drawn
from xray_training.vqa.words import UNCOUNTED, choices, found_in_words, name_of

MOST_KINDS = 12
"""So many kinds of item a question lists at most."""

OPEN_FROM = 20
"""Threat labels that a source has to annotate for a question about threats in general."""

SCHEMA = '{"items": [{"label": "...", "count": 1}]}'

_OPEN_SHARE = 0.5


def overviews(scene: Scene, draw: random.Random) -> Iterator[Draft]:
    """What the scan shows of the threats that its source annotates, all or some."""
    threats = sorted(label for label in scene.complete if is_threat(taxonomy().item(label).severity))
    if not threats:
        return
    is_open = len(threats) >= OPEN_FROM and draw.random() < _OPEN_SHARE
    asked = draw.sample(threats, len(threats)) if is_open else _some(threats, scene, draw)
    things = [thing for thing in scene.things if thing.label in asked]
    values = {"kinds": choices([name_of(label) for label in asked]), "found": found_in_words(things)}
    yield Draft(
        kind="overview",
        scene=scene,
        question=drawn(draw, "overview", "open" if is_open else "ask", values),
        answer=drawn(draw, "overview", "say" if things else "none", values),
        truth=_counted(scene, asked),
        asked=tuple(asked),
        told=_told(threats),
    )


def inventories(scene: Scene, draw: random.Random) -> Iterator[Draft]:
    """How many there are of some labels, as JSON."""
    labels = sorted(scene.complete - UNCOUNTED)
    if not labels:
        return
    asked = _some(labels, scene, draw)
    truth = _counted(scene, asked)
    entries = [{"label": label, "count": count} for label, count in truth.counts.items()]
    values = {"labels": ", ".join(asked), "schema": SCHEMA}
    yield Draft(
        kind="inventory",
        scene=scene,
        question=drawn(draw, "inventory", "ask", values),
        answer=json.dumps({"items": entries}),
        truth=truth,
        asked=tuple(asked),
        told=_told(labels),
    )


def _some(labels: Sequence[str], scene: Scene, draw: random.Random) -> list[str]:
    """At most a dozen of the labels, shuffled: as many as can be that are there, and others."""
    shown = [label for label in labels if scene.counts[label]]
    kept = draw.sample(shown, min(len(shown), MOST_KINDS // 2))
    others = [label for label in labels if not scene.counts[label]]
    kept += draw.sample(others, min(len(others), MOST_KINDS - len(kept)))
    return draw.sample(kept, len(kept))


def _told(labels: Sequence[str]) -> str | None:
    """What a question gives away: where every label fits in, which source the scan is from."""
    return " ".join(labels) if len(labels) <= MOST_KINDS else None


def _counted(scene: Scene, asked: Sequence[str]) -> Items:
    return Items(counts={label: scene.counts[label] for label in sorted(asked) if scene.counts[label]})
