"""What the OpenAPI document says of every route alike: its errors, its headers and its body."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pydantic import BaseModel, ConfigDict, Field

from xray_agent_tools.errors import TABLE

_REFUSALS = {
    400: ("invalid_argument",),
    401: ("invalid_api_key",),
    403: ("insufficient_scope",),
    409: ("conflict",),
    415: ("unsupported_media_type",),
    429: ("rate_limited",),
}

CALLING = (400, 401, 403, 413, 415, 429, 500, 503)
"""Statuses of any request with a body: bad, not allowed, too large, too often, or while the server stops."""

SCREENING = (*CALLING, 404, 502, 504, 507)
"""Statuses of any request that has a scan looked at."""

BAGGED = (*SCREENING, 409)
"""Statuses of any request that may name a bag, on which there may be another decision."""


class ErrorDetail(BaseModel):
    """What went wrong, and what to do now."""

    model_config = ConfigDict(json_schema_serialization_defaults_required=False)

    code: str = Field(description="Stable, machine-readable name of the error.")
    message: str = Field(description="What went wrong.")
    hint: str = Field(description="What the caller can do next.")
    type: str | None = Field(None, description="Kind of error, as OpenAI's API names it.")
    param: str | None = Field(None, description="The field that is wrong.")
    retry_after: float | None = Field(None, description="Seconds until another try may succeed.")


class Error(BaseModel):
    """The body of every error."""

    model_config = ConfigDict(
        json_schema_extra={
            "example": {
                "error": {
                    "code": "unknown_scan",
                    "message": "no scan is kept as scan-0123456789abcdef",
                    "hint": "scans are kept for 60 minutes; give the scan itself again (a path or an upload)",
                    "type": "not_found_error",
                    "param": None,
                }
            }
        }
    )

    error: ErrorDetail


def errors(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """The errors of a route as its ``responses``, each with the codes that it may carry."""
    return {status: {"model": Error, "description": ", ".join(_codes(status))} for status in sorted(statuses)}


def decision(description: str, **more: Any) -> dict[int | str, dict[str, Any]]:
    """A decision on record as a route's ``responses``."""
    headers = {
        "x-record-id": {
            "description": "Identifier of the decision's record, for /v1/feedback.",
            "schema": {"type": "string"},
        },
        "x-repeated": {
            "description": "'true' where it is an earlier decision on the same bag, given again.",
            "schema": {"type": "string", "enum": ["true"]},
        },
    }
    return {200: {"description": description, "headers": headers, **more}}


def lines(description: str, model: type[BaseModel]) -> dict[int | str, dict[str, Any]]:
    """A stream of lines of JSON as a route's ``responses``; the schema is that of a line."""
    schema = _inlined(model.model_json_schema(mode="serialization"))
    return {200: {"description": description, "content": {"application/jsonl": {"schema": schema}}}}


def body(model: type[BaseModel], example: Mapping[str, Any], *, form: bool = False) -> dict[str, Any]:
    """A JSON body as a route's ``openapi_extra``, and the same as a form with files where a route takes one."""
    schema = _inlined(model.model_json_schema())
    content: dict[str, Any] = {"application/json": {"schema": schema, "example": dict(example)}}
    if form:
        content["multipart/form-data"] = {"schema": _as_form(schema)}
    return {"requestBody": {"required": True, "content": content}}


def views_of_form() -> dict[str, Any]:
    """The files of a form: one for each view of the bag."""
    return {
        "type": "array",
        "items": {"type": "string", "format": "binary"},
        "minItems": 1,
        "description": "The views of one bag, each as a file.",
    }


def _codes(status: int) -> list[str]:
    raised = (kind.code for kind, outcome in TABLE.items() if outcome.http_status == status)
    return list(dict.fromkeys([*_REFUSALS.get(status, ()), *raised]))


def _as_form(schema: Mapping[str, Any]) -> dict[str, Any]:
    """The schema of a form: files in place of the scan, every other argument as a field."""
    properties = {name: value for name, value in schema["properties"].items() if name not in {"scan", "view"}}
    required = [name for name in schema["required"] if name != "scan"]
    return {
        "type": "object",
        "properties": {"view": views_of_form(), **properties},
        "required": ["view", *required],
        "additionalProperties": False,
    }


def _inlined(node: Any, definitions: Mapping[str, Any] | None = None) -> Any:
    """A schema without references, which would not lead anywhere inside another document."""
    if isinstance(node, list):
        return [_inlined(part, definitions) for part in node]
    if not isinstance(node, dict):
        return node
    known = definitions if definitions is not None else node.get("$defs", {})
    if "$ref" in node:
        return _inlined(known[node["$ref"].rpartition("/")[2]], known)
    return {name: _inlined(part, known) for name, part in node.items() if name != "$defs"}
