"""What an explainer is."""

from __future__ import annotations

from typing import Protocol

from xray_agent_tools.report import Detail, Explanation, ThreatReport
from xray_agent_tools.scan import Scan


class Explainer(Protocol):
    """Words a report. Implementations are safe to call from several threads."""

    def explain(self, report: ThreatReport, scan: Scan | None, *, question: str | None, detail: Detail) -> Explanation:
        """Answer a question about a report, or give an overview.

        Args:
            report: what the detector saw.
            scan: the pixels, when they are at hand.
            question: what was asked; None for an overview.
            detail: how much to say.

        Raises:
            ExplainerUnavailable: it needs something that is not there.
        """
