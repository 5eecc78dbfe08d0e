"""Scans that are sent as they are: as the body of a request, or as the files of a form."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from starlette.datastructures import UploadFile
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request

from xray_agent_tools.errors import InvalidScan, StorageFull

_LONGEST_FIELD = 64 * 1024 * 1024
_HINT = "send one file for each view, named 'view'"


@dataclass(frozen=True, slots=True)
class Form:
    """A form with the views of one bag.

    Attributes:
        views: the encoded views, in the order sent.
        fields: the texts of the other fields, by name.
    """

    views: tuple[bytes, ...]
    fields: Mapping[str, list[str]]


def is_form(request: Request) -> bool:
    """Whether a request carries a form with files."""
    return request.headers.get("content-type", "").lower().startswith("multipart/form-data")


async def form_in(request: Request) -> Form:
    """The form in a request.

    Raises:
        InvalidScan: it cannot be read, or a file in it is no view.
        StorageFull: there is no room for its files.
    """
    views: list[bytes] = []
    fields: dict[str, list[str]] = {}
    try:
        async with request.form(max_part_size=_LONGEST_FIELD) as form:
            for name, part in form.multi_items():
                if not isinstance(part, UploadFile):
                    fields.setdefault(name, []).append(part)
                elif name == "view":
                    views.append(await part.read())
                else:
                    raise InvalidScan(f"the file {name[:80]!r} is no view", hint=_HINT)
    except ClientDisconnect as error:
        raise _broken_off() from error
    except HTTPException as error:
        raise InvalidScan("the form cannot be read", hint=_HINT) from error
    except OSError as error:
        raise StorageFull(
            "there is no room to take the form in", hint="tell the operator that the disk is full"
        ) from error
    return Form(tuple(views), fields)


async def views_in(request: Request) -> tuple[bytes, ...]:
    """The views in a request: its body, or the ``view`` files of its form.

    Raises:
        InvalidScan: there are none, or they cannot be read.
        StorageFull: there is no room for them.
    """
    if is_form(request):
        views = (await form_in(request)).views
        if not views:
            raise InvalidScan("the form holds no scan", hint=_HINT)
        return views
    return (await body_of(request),)


async def body_of(request: Request) -> bytes:
    """The whole body of a request.

    Raises:
        InvalidScan: the client broke off.
    """
    try:
        return await request.body()
    except ClientDisconnect as error:
        raise _broken_off() from error


def _broken_off() -> InvalidScan:
    return InvalidScan("the upload broke off", hint="send it again")
