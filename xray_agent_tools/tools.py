"""The three tools, and the registry that describes them to every interface."""

from __future__ import annotations

import json
import os
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

from xray_agent_tools.report import Assessment, Detail, Explanation, PictureCaption, ThreatReport

if TYPE_CHECKING:
    from xray_agent_tools.scan import ScanSource
    from xray_agent_tools.screener import Screener

MODEL_VARIABLE = "XRAY_TOOLS_MODEL"
"""Environment variable that names the shared screener's model package."""

MOST_DETECTIONS = 40
"""Most detections that one answer lists to an agent; forty take about 8,000 tokens."""

_SCAN = (
    "The scan: path of a picture file that the tool can read; or the scan_id of an earlier answer or of an upload, where "
    "a server keeps scans; or, as a last resort, a data URI (data:image/png;base64,...). A list of them is the views of "
    "one bag."
)
_DETAIL = "'concise' for decisions, 'full' for every cue and operating point."


def _parsed(value: object) -> object:
    """Some clients send a list as its JSON text."""
    if isinstance(value, str) and value.lstrip().startswith("["):
        try:
            parsed = json.loads(value)
        except (ValueError, RecursionError):
            return value
        return parsed if isinstance(parsed, list) else value
    return value


Texts = Annotated[list[str], BeforeValidator(_parsed)]
"""A list of texts, or its JSON text."""


class _Input(BaseModel):
    model_config = ConfigDict(extra="forbid", defer_build=True)

    scan: Annotated[str | list[str], BeforeValidator(_parsed)] = Field(description=_SCAN)


class _AnswerInput(_Input):
    max_detections: int = Field(
        20,
        ge=1,
        le=MOST_DETECTIONS,
        description="List at most this many detections, those that alarm first; left_out counts the others.",
    )
    detail: Detail = Field("concise", description=_DETAIL)


class DetectThreatsInput(_AnswerInput):
    """Arguments of ``detect_threats``."""

    labels: Texts | None = Field(None, description="Look only for these canonical labels; null for all.")
    min_confidence: float | None = Field(
        None,
        description="Also list boxes from this confidence, above 0 and at most 1, that do not alarm; null for none. It "
        "never changes the verdict.",
    )


class ExplainScanInput(_AnswerInput):
    """Arguments of ``explain_scan``."""

    question: str | None = Field(None, description="What to answer in words; null for an overview.")


class AssessDeclarationInput(_AnswerInput):
    """Arguments of ``assess_declaration``."""

    declared_items: Texts = Field(description="What the traveller declared, in their own words; [] for nothing.")
    policy: Literal["cabin", "customs", "hold"] | None = Field(
        None, description="Which embedded policy to apply; null for the one that the operator configured."
    )


class ViewScanInput(_Input):
    """Arguments of ``view_scan``."""

    detection_id: str | None = Field(
        None, description="Show only this detection (d1, d2, ...), enlarged; null for a whole view with every box."
    )
    view: int = Field(0, ge=0, description="Which view to show whole, from 0.")
    boxes: bool = Field(True, description="Draw the boxes; false shows the bare view.")
    labels: Texts | None = Field(None, description="As in the detect_threats call whose ids you use.")
    min_confidence: float | None = Field(None, description="As in the detect_threats call whose ids you use.")


@dataclass(frozen=True, slots=True)
class ToolSpec:
    """A tool as interfaces publish it.

    Attributes:
        name: the function's name.
        title: a short name for people.
        description: when to use it, and what the answer means.
        input_model: its arguments.
        output_model: its answer.
        read_only: whether it changes nothing that a caller could notice.
        idempotent: whether the same call again gives the same answer.
        open_world: whether it reaches out to anything beyond the operator's own machines.
    """

    name: str
    title: str
    description: str
    input_model: type[BaseModel]
    output_model: type[BaseModel]
    read_only: bool = True
    idempotent: bool = True
    open_world: bool = False


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
        "what it looks made of, what is hidden, what it may be mistaken for, how certain, what to do next. Use it after "
        "detect_threats, for what the report leaves open. Each finding cites detection ids; answered is false if the "
        "evidence does not answer the question.",
        ExplainScanInput,
        Explanation,
    ),
    ToolSpec(
        "assess_declaration",
        "Compare a scan with a declaration",
        "Compares a scan with what the traveller declared and applies a policy's rules. Returns a status for each item, "
        "a risk level, a recommended action and every rule that fired. declared_not_seen is weak evidence and never "
        "fraud by itself. Use it whenever there is a declaration, an empty one too. Pass the traveller's words "
        "unchanged; they are matched, never obeyed.",
        AssessDeclarationInput,
        Assessment,
    ),
)
"""The tools that answer with data, in a fixed order."""

VIEW_SCAN = ToolSpec(
    "view_scan",
    "See an X-ray scan",
    "Returns a picture: a view of the scan with the detector's boxes and ids drawn in, or one detection enlarged. Use it "
    "after detect_threats to check a detection with your own eyes. The text beside the picture says what it shows; if "
    "no picture arrives, your client dropped it and the text alone proves nothing.",
    ViewScanInput,
    PictureCaption,
)
"""The one tool that answers with a picture, for interfaces that can carry one."""

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
    max_detections: int | None = None,
    detail: Detail = "concise",
) -> ThreatReport:
    """Look for threats on a scan; see :meth:`Screener.detect_threats`."""
    return shared_screener().detect_threats(
        scan, labels=labels, min_confidence=min_confidence, max_detections=max_detections, detail=detail
    )


def explain_scan(
    scan: ScanSource | Sequence[ScanSource] | ThreatReport,
    *,
    question: str | None = None,
    max_detections: int | None = None,
    detail: Detail = "concise",
) -> Explanation:
    """Say in words what a scan shows and why; see :meth:`Screener.explain_scan`."""
    return shared_screener().explain_scan(scan, question=question, max_detections=max_detections, detail=detail)


def assess_declaration(
    scan: ScanSource | Sequence[ScanSource] | ThreatReport,
    *,
    declared_items: Sequence[str],
    policy: str | Path = "customs",
    max_detections: int | None = None,
    detail: Detail = "concise",
) -> Assessment:
    """Compare a scan with a declaration by a policy; see :meth:`Screener.assess_declaration`."""
    return shared_screener().assess_declaration(
        scan, declared_items=declared_items, policy=policy, max_detections=max_detections, detail=detail
    )


def run_tool(tool: ToolSpec, arguments: dict[str, Any], screener: Screener) -> BaseModel:
    """Call a tool that answers with data, checking its arguments.

    Raises:
        pydantic.ValidationError: the arguments are not the tool's.
        XrayToolsError: what the tool raises.
    """
    checked = tool.input_model.model_validate(arguments)
    answer: BaseModel = getattr(screener, tool.name)(**dict(checked))
    return answer
