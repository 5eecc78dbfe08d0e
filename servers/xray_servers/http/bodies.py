"""Bodies of requests, read only after the caller is known, and checked before anything is done with them."""

from __future__ import annotations

import base64
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError
from starlette.requests import Request

from xray_agent_tools.errors import InvalidArgument
from xray_servers.http.errors import Refused
from xray_servers.uploads import Form, body_of, form_in, is_form

_Model = TypeVar("_Model", bound=BaseModel)

_LISTS = frozenset({"declared_items", "labels"})
_ALTERNATIVES = frozenset({"str", "list[str]"})
_LONGEST = 200


def json_body(model: type[_Model]) -> Callable[[Request], Awaitable[_Model]]:
    """A dependency that reads a JSON body. Put it after the caller, so that strangers' bodies are not read.

    The dependency raises ``Refused`` for a body of another kind or with another content than the model's.
    """

    async def read(request: Request) -> _Model:
        return await _from_json(request, model, "send application/json")

    return read


def json_or_form(model: type[_Model]) -> Callable[[Request], Awaitable[_Model]]:
    """As :func:`json_body`, for a tool's arguments, which may come as a form with a ``view`` file for each view."""

    async def read(request: Request) -> _Model:
        if not is_form(request):
            return await _from_json(request, model, "send application/json or multipart/form-data")
        arguments = _arguments_in(await form_in(request))
        return _checked(lambda: model.model_validate(arguments))

    return read


def data_uri(content: bytes) -> str:
    """Bytes as a scan that a tool takes."""
    return "data:application/octet-stream;base64," + base64.b64encode(content).decode("ascii")


async def _from_json(request: Request, model: type[_Model], hint: str) -> _Model:
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind != "application/json" and not (kind.startswith("application/") and kind.endswith("+json")):
        raise Refused(415, "unsupported_media_type", f"the body is {kind[:80] or 'of no stated type'}", hint=hint)
    body = await body_of(request)
    return _checked(lambda: model.model_validate_json(body))


def _arguments_in(form: Form) -> dict[str, Any]:
    arguments = {name: _value_of(name, texts) for name, texts in form.fields.items()}
    if form.views:
        if "scan" in arguments:
            raise InvalidArgument("the form names a scan and holds one", hint="send 'view' files or 'scan', not both")
        uris = [data_uri(view) for view in form.views]
        arguments["scan"] = uris if len(uris) > 1 else uris[0]
    return arguments


def _value_of(name: str, texts: list[str]) -> str | list[str]:
    """One text, or a list that is repeated in the form; a list's JSON text is left for the model to read."""
    if len(texts) == 1 and (name not in _LISTS or texts[0].lstrip().startswith("[")):
        return texts[0]
    return texts


def _checked(read: Callable[[], _Model]) -> _Model:
    try:
        return read()
    except ValidationError as error:
        problem = error.errors(include_url=False, include_context=False, include_input=False)[0]
        raise _refusal(problem) from None


def _refusal(problem: Mapping[str, Any]) -> Refused:
    param = ".".join(str(part) for part in problem["loc"] if part not in _ALTERNATIVES)[:_LONGEST] or None
    what = str(problem["msg"])[:_LONGEST]
    message = f"{param}: {what}" if param else what
    return Refused(400, "invalid_argument", message, hint="correct the request; /docs describes it", param=param)
