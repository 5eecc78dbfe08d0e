"""Errors as the OpenAI clients turn them into their typed exceptions, and as everybody else can read them."""

from __future__ import annotations

from typing import Any

from starlette.responses import JSONResponse

from xray_agent_tools.errors import Overloaded, XrayToolsError, outcome_of

_TYPES = {
    401: "authentication_error",
    403: "permission_error",
    404: "not_found_error",
    409: "conflict_error",
    429: "rate_limit_error",
}


_CHALLENGES = {
    401: {"WWW-Authenticate": "Bearer"},
    403: {"WWW-Authenticate": 'Bearer error="insufficient_scope"'},
}


class Refused(Exception):
    """A request that is refused before any tool is asked.

    Attributes:
        status: HTTP status.
        code: stable, machine-readable name.
        message: what is wrong.
        hint: what the caller can do next.
        param: the field that is wrong.
        retry_after: seconds until another try may succeed.
    """

    def __init__(
        self,
        status: int,
        code: str,
        message: str,
        *,
        hint: str,
        param: str | None = None,
        retry_after: float | None = None,
    ) -> None:
        super().__init__(message)
        self.status = status
        self.code = code
        self.message = message
        self.hint = hint
        self.param = param
        self.retry_after = retry_after


def error_body(
    status: int, code: str, message: str, hint: str, param: str | None = None, **more: Any
) -> dict[str, Any]:
    """An error as every route gives it: ``message``, ``type``, ``param``, ``code`` as OpenAI's API, and ``hint``."""
    kind = _TYPES.get(status, "invalid_request_error" if status < 500 else "server_error")
    return {"error": {"message": message, "type": kind, "param": param, "code": code, "hint": hint, **more}}


def response_of(error: XrayToolsError | Refused) -> JSONResponse:
    """An error as a response."""
    if isinstance(error, Refused):
        body = error_body(error.status, error.code, error.message, error.hint, error.param)
        headers = {**(_retry(error.retry_after) or {}), **_CHALLENGES.get(error.status, {})}
        return JSONResponse(body, status_code=error.status, headers=headers)
    status = outcome_of(error).http_status
    wait = error.retry_after if isinstance(error, Overloaded) else None
    more: dict[str, Any] = {} if wait is None else {"retry_after": wait}
    return JSONResponse(
        error_body(status, error.code, error.message, error.hint, **more), status_code=status, headers=_retry(wait)
    )


def _retry(wait: float | None) -> dict[str, str] | None:
    return None if wait is None else {"Retry-After": str(max(1, round(wait)))}
