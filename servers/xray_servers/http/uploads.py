"""Uploads: a scan is sent once, and named by its ``scan_id`` from then on."""

from typing import Annotated, Any

from fastapi import APIRouter, Depends
from starlette.requests import Request
from starlette.responses import Response

from xray_agent_tools.errors import XrayToolsError
from xray_servers.http.access import caller
from xray_servers.http.callers import SCREEN, Caller
from xray_servers.http.documented import CALLING, errors, views_of_form
from xray_servers.http.service import Service
from xray_servers.screening import Kept, Upload
from xray_servers.uploads import views_in

_Screener = Annotated[Caller, Depends(caller(SCREEN))]

_BODY: dict[str, Any] = {
    "requestBody": {
        "required": True,
        "content": {
            "application/octet-stream": {"schema": {"type": "string", "format": "binary"}},
            "multipart/form-data": {
                "schema": {"type": "object", "properties": {"view": views_of_form()}, "required": ["view"]}
            },
        },
    }
}
_STATUSES = (*(status for status in CALLING if status != 415), 504, 507)


def router(service: Service) -> APIRouter:
    """The route for uploads."""
    routes = APIRouter()

    @routes.post(
        "/v1/scans",
        operation_id="upload_scan",
        tags=["scans"],
        summary="Upload a scan",
        description="Send a picture as the body, whatever its media type, or a form with a file 'view' for each view of "
        "the bag. The scan_id in the answer stands for the scan until it has not been used for kept_for_s seconds.",
        status_code=201,
        response_model=Kept,
        response_description="The scan is kept.",
        responses=errors(*_STATUSES),
        openapi_extra=_BODY,
    )
    async def upload(who: _Screener, request: Request) -> Response:
        try:
            kept = await service.desk.ask(Upload(await views_in(request), who.name))
        except XrayToolsError as error:
            service.metrics.refused("upload", error.code)
            raise
        return Response(kept.text, status_code=201, media_type="application/json")

    return routes
