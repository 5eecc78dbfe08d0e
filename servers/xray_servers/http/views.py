"""Pictures of scans, with what was found drawn in."""

import json
from typing import Annotated

from fastapi import APIRouter, Depends
from starlette.responses import Response

from xray_agent_tools.errors import InternalError
from xray_agent_tools.tools import VIEW_SCAN, ViewScanInput
from xray_servers.http.access import caller
from xray_servers.http.answers import headers_of
from xray_servers.http.bodies import json_or_form
from xray_servers.http.callers import SCREEN, Caller
from xray_servers.http.decisions import Work, work_of
from xray_servers.http.documented import SCREENING, body, decision, errors
from xray_servers.http.service import Service

_Screener = Annotated[Caller, Depends(caller(SCREEN))]

_SHOWN = decision("The picture.", content={"image/jpeg": {"schema": {"type": "string", "format": "binary"}}})
_SHOWN[200]["headers"]["x-caption"] = {
    "description": "What the picture shows: the caption as JSON in ASCII.",
    "schema": {"type": "string"},
}


def router(service: Service) -> APIRouter:
    """The route for pictures."""
    routes = APIRouter()

    @routes.post(
        "/v1/view",
        operation_id=VIEW_SCAN.name,
        tags=["tools"],
        summary=VIEW_SCAN.title,
        description=VIEW_SCAN.description,
        response_class=Response,
        responses=_SHOWN | errors(*SCREENING),
        openapi_extra=body(ViewScanInput, {"scan": "scan-0123456789abcdef", "detection_id": "d1"}, form=True),
    )
    async def view(who: _Screener, request: Annotated[ViewScanInput, Depends(json_or_form(ViewScanInput))]) -> Response:
        arguments = request.model_dump()
        pictures: list[bytes] = []

        async def work() -> Work:
            answer = await service.decisions.call(who, VIEW_SCAN.name, arguments)
            if answer.picture is None:
                raise InternalError("there is no picture", hint="try again")
            pictures.append(answer.picture)
            return work_of(answer)

        shown = await service.decisions.decide(who, VIEW_SCAN.name, arguments, work)
        caption = json.dumps(shown.answer, separators=(",", ":"))
        return Response(pictures[0], media_type="image/jpeg", headers=headers_of(shown) | {"x-caption": caption})

    return routes
