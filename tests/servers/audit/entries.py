"""Decisions to put on record."""

from __future__ import annotations

import hashlib
import itertools
import json
from typing import Any

from xray_servers.audit import Entry

from tests.library.pictures import ScriptedDetector, bag, found
from xray_agent_tools.screener import Screener

_numbers = itertools.count()


def entry(**changes: Any) -> Entry:
    """A decision; a new request unless told otherwise."""
    fields: dict[str, Any] = {
        "request_id": f"request-{next(_numbers)}",
        "owner": "gate 7",
        "operation": "detect",
        "request_sha256": sha256("a request"),
        "outcome": "answered",
        "image_sha256": sha256("a picture"),
        "model_sha256": sha256("a network"),
        "answer": '{"verdict":"NO_ALARM"}',
    }
    return Entry(**{**fields, **changes})


def sha256(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def assessment(*labels: str) -> str:
    """The answer of a real screener whose detector sees these things."""
    screener = Screener(model=ScriptedDetector([found(label) for label in labels]))
    answer = screener.assess_declaration(bag(), declared_items=["laptop"], detail="full")
    return json.dumps(answer.model_dump(mode="json"))
