"""Decisions as responses."""

from __future__ import annotations

from starlette.responses import JSONResponse

from xray_servers.http.decisions import Decided


def answered(decided: Decided) -> JSONResponse:
    """A decision as a response that names its record."""
    return JSONResponse(decided.answer, headers=headers_of(decided))


def headers_of(decided: Decided) -> dict[str, str]:
    """What the headers of a response say of a decision."""
    repeated = {"x-repeated": "true"} if decided.repeated else {}
    return {"x-record-id": decided.record_id, **repeated}
