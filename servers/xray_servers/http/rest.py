"""The tools as plain HTTP: one route for each, with the tool's own arguments and its own answer."""

from typing import Annotated, Any

from fastapi import APIRouter, Depends
from starlette.responses import Response

from xray_agent_tools.tools import TOOLS, AssessDeclarationInput, DetectThreatsInput, ExplainScanInput, ToolSpec
from xray_servers.http import batches, feedback, inspection, uploads, views
from xray_servers.http.access import caller
from xray_servers.http.answers import answered
from xray_servers.http.bags import Bagged
from xray_servers.http.bodies import json_or_form
from xray_servers.http.callers import SCREEN, Caller
from xray_servers.http.documented import BAGGED, body, decision, errors
from xray_servers.http.service import Service

_Screener = Annotated[Caller, Depends(caller(SCREEN))]


class DetectRequest(Bagged, DetectThreatsInput):
    """Arguments of ``detect_threats``, and the bag."""


class ExplainRequest(Bagged, ExplainScanInput):
    """Arguments of ``explain_scan``, and the bag."""


class AssessRequest(Bagged, AssessDeclarationInput):
    """Arguments of ``assess_declaration``, and the bag."""


_EXAMPLE = {"scan": "scan-0123456789abcdef", "bag": "lane-3/000123"}
_ROUTES: dict[str, tuple[str, type[Bagged], dict[str, Any]]] = {
    "detect_threats": ("/v1/detect", DetectRequest, {}),
    "explain_scan": ("/v1/explain", ExplainRequest, {"question": "Is there a blade?"}),
    "assess_declaration": ("/v1/assess", AssessRequest, {"declared_items": ["laptop", "umbrella"]}),
}


def router(service: Service) -> APIRouter:
    """Every route that is not a chat."""
    routes = APIRouter()
    for tool in TOOLS:
        _add_tool(routes, service, tool)
    for part in (inspection, batches, views, uploads, feedback):
        routes.include_router(part.router(service))
    return routes


def _add_tool(routes: APIRouter, service: Service, tool: ToolSpec) -> None:
    path, model, example = _ROUTES[tool.name]

    @routes.post(
        path,
        name=tool.name,
        operation_id=tool.name,
        tags=["tools"],
        summary=tool.title,
        description=tool.description,
        response_model=tool.output_model,
        responses=decision("The answer.") | errors(*BAGGED),
        openapi_extra=body(model, _EXAMPLE | example, form=True),
    )
    async def ask(who: _Screener, request: Annotated[Bagged, Depends(json_or_form(model))]) -> Response:
        arguments = request.model_dump(exclude={"bag"})
        return answered(await service.decisions.ask(who, tool.name, arguments, bag=request.bag))
