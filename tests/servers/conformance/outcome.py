"""What one scenario or one call came to."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Verdict = Literal["passed", "expected", "failed"]


@dataclass(frozen=True, slots=True)
class Outcome:
    """What one scenario or one call came to.

    Attributes:
        subject: the scenario, or the method and what it was called for.
        wire: protocol version, or transport and era.
        passed: how many checks passed.
        total: how many checks were judged.
        verdict: ``expected`` is a failure that the baseline gives a reason for.
        why: the reason, or what failed.
    """

    subject: str
    wire: str
    passed: int
    total: int
    verdict: Verdict
    why: str = ""
