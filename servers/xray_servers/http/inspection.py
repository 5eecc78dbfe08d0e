"""The inspection of a bag: what is in it, does it fit the declaration, and what now, in one flat answer."""

import time
from typing import Annotated, Literal

from fastapi import APIRouter, Depends
from pydantic import BaseModel, ConfigDict, Field
from starlette.responses import Response

from xray_agent_tools.report import Action, Assessment, Box, Detection, Explanation, Region, RiskLevel, Share, Verdict
from xray_agent_tools.tools import MOST_DETECTIONS
from xray_servers.http.access import caller
from xray_servers.http.answers import answered
from xray_servers.http.bags import BagId
from xray_servers.http.bodies import json_body
from xray_servers.http.callers import SCREEN, Caller
from xray_servers.http.decisions import Decisions, Work
from xray_servers.http.documented import BAGGED, body, decision, errors
from xray_servers.http.service import Service

_Screener = Annotated[Caller, Depends(caller(SCREEN))]


class InspectRequest(BaseModel):
    """A bag to inspect."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    scan_id: BagId = Field(
        description="Your own identifier of the bag. Each has one decision: the same request gives it again, and another "
        "request about the same bag is refused."
    )
    image_base64: str | list[str] = Field(
        description="The scan: base64 text or a data URI. A list of them is the views of one bag."
    )
    declared_items: list[str] = Field(
        description="What the traveller declared, in their own words, which are matched and never obeyed; [] for nothing."
    )
    mode: Literal["detect", "vqa", "both"] = Field(
        "detect",
        description="Where the reasoning comes from. detect: the rules of the policy that fired. vqa: the explanation of "
        "the scan. both: first the one, then the other. The risk and the action are the policy's in every mode.",
    )
    policy: Literal["cabin", "customs", "hold"] | None = Field(
        None, description="Which embedded policy to apply; null for the one that the operator configured."
    )


class Location(BaseModel):
    """Where an item is."""

    view: int = Field(ge=0, description="Index of the view.")
    region: Region = Field(description="Where its centre lies, in words.")
    box: Box = Field(description="Its box in pixels of that view.")


class DetectedItem(BaseModel):
    """An item that was detected."""

    item: str = Field(description="Canonical label.")
    confidence: Share = Field(description="Calibrated probability that the label and the box are right.")
    location: Location = Field(description="Where it is.")
    occluded: bool | None = Field(description="Whether its surroundings hide it; null if that could not be measured.")


class InspectResponse(BaseModel):
    """What came of an inspection. It is advice to an officer."""

    scan_id: str = Field(description="As in the request.")
    verdict: Verdict = Field(
        description="UNKNOWN means that no statement can be made: then an empty list of items says nothing about the bag."
    )
    risk_level: RiskLevel = Field(description="The highest level that a rule of the policy asks for.")
    detected_items: list[DetectedItem] = Field(
        description=f"Items that were detected, most severe first, at most {MOST_DETECTIONS}."
    )
    declaration_match: bool | None = Field(
        description="False: something undeclared was seen. Null: it cannot be decided."
    )
    reasoning: str = Field(description="Why, in words.")
    recommended_action: Action = Field(description="The strictest action that a rule of the policy asks for.")
    processing_time_ms: float = Field(ge=0, description="Milliseconds from the request to the decision.")
    assessment: Assessment = Field(description="The full answer of assess_declaration, which decided.")
    explanation: Explanation | None = Field(description="The full answer of explain_scan; null in mode detect.")


_EXAMPLE = {
    "scan_id": "lane-3/000123",
    "image_base64": "data:image/png;base64,iVBORw0KGgo...",
    "declared_items": ["laptop", "umbrella"],
    "mode": "both",
    "policy": "customs",
}


def router(service: Service) -> APIRouter:
    """The route for inspections."""
    routes = APIRouter()

    @routes.post(
        "/api/v1/inspect",
        operation_id="inspect_bag",
        tags=["inspection"],
        summary="Inspect a bag",
        description="Looks at a scan, compares it with the declaration, and decides by a policy; one decision for each "
        "scan_id of yours.",
        response_model=InspectResponse,
        responses=decision("The decision.") | errors(*BAGGED),
        openapi_extra=body(InspectRequest, _EXAMPLE),
    )
    async def inspect(
        who: _Screener, request: Annotated[InspectRequest, Depends(json_body(InspectRequest))]
    ) -> Response:
        decisions = service.decisions

        async def work() -> Work:
            return await _inspected(decisions, who, request)

        asked = {"operation": "inspect", "arguments": request.model_dump(exclude={"scan_id"})}
        return answered(await decisions.decide(who, "inspect", asked, work, bag=request.scan_id))

    return routes


async def _inspected(decisions: Decisions, who: Caller, request: InspectRequest) -> Work:
    started = time.perf_counter()
    sources = [request.image_base64] if isinstance(request.image_base64, str) else request.image_base64
    look = {"scan": [_as_uri(source) for source in sources], "max_detections": MOST_DETECTIONS}
    declared = {"declared_items": request.declared_items, "policy": request.policy}
    assessed = await decisions.call(who, "assess_declaration", look | declared)
    explained = await decisions.call(who, "explain_scan", look) if request.mode != "detect" else None
    assessment = Assessment.model_validate_json(assessed.text)
    explanation = Explanation.model_validate_json(explained.text) if explained is not None else None
    answer = InspectResponse(
        scan_id=request.scan_id,
        verdict=assessment.report.verdict,
        risk_level=assessment.risk_level,
        detected_items=[_item(detection) for detection in assessment.report.detections],
        declaration_match=assessment.declaration_match,
        reasoning=_reasoning(request, assessment, explanation),
        recommended_action=assessment.recommended_action,
        processing_time_ms=round((time.perf_counter() - started) * 1000, 1),
        assessment=assessment,
        explanation=explanation,
    )
    return Work(answer.model_dump(mode="json"), assessed.image_sha256)


def _as_uri(text: str) -> str:
    """A scan that is never taken for a path or a scan_id, whatever the text."""
    return text if text.lstrip()[:5].lower() == "data:" else "data:application/octet-stream;base64," + text


def _item(detection: Detection) -> DetectedItem:
    return DetectedItem(
        item=detection.label,
        confidence=detection.confidence,
        location=Location(view=detection.view, region=detection.region, box=detection.box),
        occluded=None if detection.occlusion is None else detection.occlusion.occluded,
    )


def _reasoning(request: InspectRequest, assessment: Assessment, explanation: Explanation | None) -> str:
    said = [] if request.mode == "vqa" else [reason.text for reason in assessment.reasons]
    return " ".join([*said, *([] if explanation is None else [explanation.answer])])
