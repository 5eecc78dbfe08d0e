"""What an operator says of a decision, as a further record beside it: what became of it, or what was done instead."""

from typing import Annotated

from anyio import to_thread
from fastapi import APIRouter, Depends
from pydantic import BaseModel, ConfigDict, Field

from xray_agent_tools.report import Action
from xray_servers.audit import FeedbackKind
from xray_servers.http.access import caller
from xray_servers.http.bodies import json_body
from xray_servers.http.callers import FEEDBACK, Caller
from xray_servers.http.documented import CALLING, body, errors
from xray_servers.http.service import Service

_Reporter = Annotated[Caller, Depends(caller(FEEDBACK))]


class FeedbackRequest(BaseModel):
    """What became of a decision."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    record_id: str = Field(
        min_length=1, max_length=128, description="The decision: x-record-id of its response, or record_id of its line."
    )
    kind: FeedbackKind = Field(
        description="confirmed: it was right. false_alarm: nothing was there. missed: something was there that "
        "it did not see."
    )
    note: str | None = Field(None, max_length=4000, description="In your own words.")
    labels: list[str] = Field([], max_length=100, description="Canonical labels of what it is about.")


class OverrideRequest(BaseModel):
    """What an operator did instead of what a decision recommends."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    record_id: str = Field(min_length=1, max_length=128, description="The decision, as for feedback.")
    action: Action = Field(description="What was done.")
    note: str | None = Field(None, max_length=4000, description="Why, in your own words.")


class FeedbackResponse(BaseModel):
    """What was said of a decision, on record."""

    record_id: str = Field(description="Its own record.")
    about: str = Field(description="The decision's record.")


def router(service: Service) -> APIRouter:
    """The routes for what is said of decisions."""
    routes = APIRouter()
    _add_override(routes, service)

    @routes.post(
        "/v1/feedback",
        operation_id="give_feedback",
        tags=["feedback"],
        summary="Say what became of a decision",
        description="Adds a record beside the decision's, which stays as it is. Whoever has the scope 'feedback' and "
        "knows the record may do so, as often as needed.",
        status_code=201,
        response_description="The feedback is on record.",
        responses=errors(*CALLING, 404, 507),
        openapi_extra=body(
            FeedbackRequest,
            {
                "record_id": "record-0123456789abcdef0123456789abcdef",
                "kind": "false_alarm",
                "note": "a shoe's steel shank",
            },
        ),
    )
    async def give(
        who: _Reporter, request: Annotated[FeedbackRequest, Depends(json_body(FeedbackRequest))]
    ) -> FeedbackResponse:
        def record() -> str:
            return service.audit.feedback(
                request.record_id,
                request.kind,
                owner=who.name,
                note=request.note,
                labels=request.labels,
                request_id=who.request_id,
            ).record_id

        return FeedbackResponse(record_id=await to_thread.run_sync(record), about=request.record_id)

    return routes


def _add_override(routes: APIRouter, service: Service) -> None:
    @routes.post(
        "/v1/override",
        operation_id="override_decision",
        tags=["feedback"],
        summary="Say what was done instead of what a decision recommends",
        description="Adds a record beside the decision's, which stays as it is: the officer decides, and the record "
        "shows who did. Whoever has the scope 'feedback' and knows the record may do so; the last one counts.",
        status_code=201,
        response_description="The override is on record.",
        responses=errors(*CALLING, 404, 507),
        openapi_extra=body(
            OverrideRequest,
            {
                "record_id": "record-0123456789abcdef0123456789abcdef",
                "action": "PHYSICAL_INSPECTION",
                "note": "the traveller asked for it",
            },
        ),
    )
    async def override(
        who: _Reporter, request: Annotated[OverrideRequest, Depends(json_body(OverrideRequest))]
    ) -> FeedbackResponse:
        def record() -> str:
            return service.audit.override(
                request.record_id, request.action, owner=who.name, note=request.note, request_id=who.request_id
            ).record_id

        return FeedbackResponse(record_id=await to_thread.run_sync(record), about=request.record_id)
