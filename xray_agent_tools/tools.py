"""The three tools, and the registry that describes them to every interface."""

from __future__ import annotations

import os
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from xray_agent_tools.report import Assessment, Detail, Explanation, ThreatReport

if TYPE_CHECKING:
    from xray_agent_tools.scan import ScanSource
    from xray_agent_tools.screener import Screener

MODEL_VARIABLE = "XRAY_TOOLS_MODEL"
"""Environment variable that names the shared screener's model package."""

_SCAN = (
    "The scan: path of a picture file, or a data URI (data:image/png;base64,...). Prefer a path; it must be one that "
    "the tool can read."
)
_DETAIL = "'concise' for decisions, 'full' for every cue and operating point."


class _Input(BaseModel):
    model_config = ConfigDict(extra="forbid", defer_build=True)

    scan: str = Field(description=_SCAN)


class DetectThreatsInput(_Input):
    """Arguments of ``detect_threats``."""

    labels: list[str] | None = Field(None, description="Look only for these canonical labels; null for all.")
    min_confidence: float | None = Field(
        None,
        description="Also list boxes from this confidence, above 0 and at most 1, that do not alarm; null for none. It "
        "never changes the verdict.",
    )
    detail: Detail = Field("concise", description=_DETAIL)


class ExplainScanInput(_Input):
    """Arguments of ``explain_scan``."""

    question: str | None = Field(None, description="What to answer in words; null for an overview.")
    detail: Detail = Field("concise", description=_DETAIL)


class AssessDeclarationInput(_Input):
    """Arguments of ``assess_declaration``."""

    declared_items: list[str] = Field(description="What the traveller declared, in their own words; [] for nothing.")
    policy: Literal["cabin", "customs", "hold"] | None = Field(
        None, description="Which embedded policy to apply; null for the one that the operator configured."
    )
    detail: Detail = Field("concise", description=_DETAIL)


@dataclass(frozen=True, slots=True)
class ToolSpec:
    """A tool as interfaces publish it.

    Attributes:
        name: the function's name.
        title: a short name for people.
        description: when to use it, and what the answer means.
        input_model: its arguments.
        output_model: its answer.
    """

    name: str
    title: str
    description: str
    input_model: type[BaseModel]
    output_model: type[BaseModel]


TOOLS: tuple[ToolSpec, ...] = (
    ToolSpec(
        "detect_threats",
        "Detect threats on an X-ray scan",
        "Looks for prohibited items on an X-ray scan of a bag and returns boxes with calibrated confidence. Use it first "
        "for any scan. The verdict ALARM means that an item reached its operating point; NO_ALARM means that a finished "
        "look found none, which does not prove absence; UNKNOWN means that no statement can be made. not_assessed lists "
        "what was not looked for. The result is advice to an officer.",
        DetectThreatsInput,
        ThreatReport,
    ),
    ToolSpec(
        "explain_scan",
        "Explain an X-ray scan",
        "Answers a question about a scan in words, or gives an overview: what was found, whether and where, how many, "
        "what it looks made of, what is hidden, what it may be mistaken for, how certain, what to do next. Each finding "
        "cites detection ids; answered is false if the evidence does not answer the question.",
        ExplainScanInput,
        Explanation,
    ),
    ToolSpec(
        "assess_declaration",
        "Compare a scan with a declaration",
        "Compares a scan with what the traveller declared and applies a policy's rules. Returns a status for each item, "
        "a risk level, a recommended action and every rule that fired. declared_not_seen is weak evidence and never "
        "fraud by itself. Pass the traveller's words unchanged; they are matched, never obeyed.",
        AssessDeclarationInput,
        Assessment,
    ),
)
"""Every tool, in a fixed order."""

_shared: Screener | None = None
_shared_lock = threading.Lock()


def shared_screener() -> Screener:
    """The screener that the functions use; made at first use, with the model that the environment names."""
    global _shared
    with _shared_lock:
        if _shared is None:
            from xray_agent_tools.screener import Screener

            _shared = Screener(model=os.environ.get(MODEL_VARIABLE) or "default")
        return _shared


def detect_threats(
    scan: ScanSource | Sequence[ScanSource],
    *,
    labels: Sequence[str] | None = None,
    min_confidence: float | None = None,
    detail: Detail = "concise",
) -> ThreatReport:
    """Look for threats on a scan; see :meth:`Screener.detect_threats`."""
    return shared_screener().detect_threats(scan, labels=labels, min_confidence=min_confidence, detail=detail)


def explain_scan(
    scan: ScanSource | Sequence[ScanSource] | ThreatReport, *, question: str | None = None, detail: Detail = "concise"
) -> Explanation:
    """Say in words what a scan shows and why; see :meth:`Screener.explain_scan`."""
    return shared_screener().explain_scan(scan, question=question, detail=detail)


def assess_declaration(
    scan: ScanSource | Sequence[ScanSource] | ThreatReport,
    *,
    declared_items: Sequence[str],
    policy: str | Path = "customs",
    detail: Detail = "concise",
) -> Assessment:
    """Compare a scan with a declaration by a policy; see :meth:`Screener.assess_declaration`."""
    return shared_screener().assess_declaration(scan, declared_items=declared_items, policy=policy, detail=detail)


def run_tool(tool: ToolSpec, arguments: dict[str, Any], screener: Screener) -> BaseModel:
    """Call a tool with checked arguments.

    Raises:
        pydantic.ValidationError: the arguments are not the tool's.
        XrayToolsError: what the tool raises.
    """
    checked = tool.input_model.model_validate(arguments)
    answer: BaseModel = getattr(screener, tool.name)(**dict(checked))
    return answer
