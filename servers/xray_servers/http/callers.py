"""Who calls."""

from __future__ import annotations

from dataclasses import dataclass

SCREEN = "screen"
"""Scope that allows asking about scans."""

FEEDBACK = "feedback"
"""Scope that allows saying what became of a decision."""

METRICS = "metrics"
"""Scope that allows reading the metrics."""

SCOPES = frozenset({SCREEN, FEEDBACK, METRICS})
"""Every scope."""


@dataclass(frozen=True, slots=True)
class Caller:
    """Who sent a request.

    Attributes:
        name: a stable name of the principal; empty where nobody needs a key.
        scopes: what it may do.
        request_id: identifier of this request, as the response's ``x-request-id`` gives it.
    """

    name: str
    scopes: frozenset[str]
    request_id: str
