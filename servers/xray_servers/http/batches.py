"""Batches: many scans in one request, each with a decision of its own that is told as soon as it is made."""

import json
import logging
from dataclasses import replace
from typing import Annotated, Any

import anyio
from anyio.abc import ObjectSendStream
from fastapi import APIRouter, Depends
from pydantic import BaseModel, ConfigDict, Field, field_validator
from starlette.responses import Response, StreamingResponse
from starlette.types import Send

from xray_agent_tools.errors import InternalError, XrayToolsError
from xray_agent_tools.report import ThreatReport
from xray_agent_tools.tools import DetectThreatsInput
from xray_servers.http.access import caller
from xray_servers.http.bags import Bagged
from xray_servers.http.bodies import json_body
from xray_servers.http.callers import SCREEN, Caller
from xray_servers.http.documented import CALLING, ErrorDetail, body, errors, lines
from xray_servers.http.errors import response_of
from xray_servers.http.service import Service

logger = logging.getLogger(__name__)

MOST_ITEMS = 100
"""Most items of a batch."""

_Screener = Annotated[Caller, Depends(caller(SCREEN))]


class BatchItem(Bagged, DetectThreatsInput):
    """One scan of a batch: the arguments of ``detect_threats``, and a name."""

    id: str = Field(min_length=1, max_length=128, description="Your own name of the item; its line carries it.")


class BatchRequest(BaseModel):
    """Scans to look at."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    items: list[BatchItem] = Field(min_length=1, max_length=MOST_ITEMS, description="The scans, each with its own id.")

    @field_validator("items")
    @classmethod
    def _ids_differ(cls, items: list[BatchItem]) -> list[BatchItem]:
        if len({item.id for item in items}) < len(items):
            raise ValueError("two items have the same id")
        return items


class BatchLine(BaseModel):
    """What came of one item: a report on record, or an error."""

    index: int = Field(ge=0, description="Its place in the request.")
    id: str = Field(description="Its id.")
    status: int = Field(description="The status that it would have had as a request of its own.")
    record_id: str | None = Field(description="The decision's record, for /v1/feedback.")
    repeated: bool = Field(description="Whether it is an earlier decision on the same bag, given again.")
    report: ThreatReport | None = Field(description="The answer of detect_threats.")
    error: ErrorDetail | None = Field(description="Why there is no report.")


class _Lines(StreamingResponse):
    """Makes the decisions of a batch while it is sent; as many at once as there are screening processes."""

    media_type = "application/jsonl"

    def __init__(self, service: Service, who: Caller, items: list[BatchItem]) -> None:
        super().__init__(())
        self._service = service
        self._who = who
        self._left = enumerate(items)

    async def stream_response(self, send: Send) -> None:
        await send({"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers})
        sender, receiver = anyio.create_memory_object_stream[bytes]()
        async with anyio.create_task_group() as tasks:
            with sender:
                for _ in range(self._service.desk.limits.workers):
                    tasks.start_soon(self._work, sender.clone())
            with receiver:
                async for line in receiver:
                    await send({"type": "http.response.body", "body": line, "more_body": True})
        await send({"type": "http.response.body", "body": b"", "more_body": False})

    async def _work(self, lines: ObjectSendStream[bytes]) -> None:
        async with lines:
            for index, item in self._left:
                with anyio.CancelScope(shield=True):
                    line = await self._line(index, item)
                await lines.send(line)

    async def _line(self, index: int, item: BatchItem) -> bytes:
        """Decide on an item. What was taken in is finished, so that its record says what came of it."""
        who = replace(self._who, request_id=f"{self._who.request_id}.{index}")
        arguments = item.model_dump(exclude={"bag", "id"})
        line: dict[str, Any] = {"index": index, "id": item.id, "status": 200, "record_id": None, "repeated": False}
        line |= {"report": None, "error": None}
        try:
            decided = await self._service.decisions.ask(who, "detect_threats", arguments, bag=item.bag)
            line |= {"report": decided.answer, "record_id": decided.record_id, "repeated": decided.repeated}
        except XrayToolsError as error:
            line |= _failed(error)
        except Exception:
            logger.exception("an item of a batch failed")
            line |= _failed(InternalError("the item failed unexpectedly", hint="send it again, then tell the operator"))
        return json.dumps(line, separators=(",", ":"), ensure_ascii=False).encode() + b"\n"


def router(service: Service) -> APIRouter:
    """The route for batches."""
    routes = APIRouter()

    @routes.post(
        "/v1/batch",
        operation_id="detect_batch",
        tags=["tools"],
        summary="Detect threats on many scans",
        description="Answers with one line of JSON for each item, in the order in which they are finished. A scan that "
        "fails has an error in its line, and the others go on. When the client hangs up, what was begun is finished and "
        "recorded, and nothing further is begun.",
        response_class=Response,
        responses=lines("A line for each item.", BatchLine) | errors(*CALLING),
        openapi_extra=body(
            BatchRequest,
            {"items": [{"id": "1", "scan": "scan-0123456789abcdef"}, {"id": "2", "scan": "scan-fedcba9876543210"}]},
        ),
    )
    async def batch(who: _Screener, request: Annotated[BatchRequest, Depends(json_body(BatchRequest))]) -> Response:
        return _Lines(service, who, request.items)

    return routes


def _failed(error: XrayToolsError) -> dict[str, Any]:
    response = response_of(error)
    return {"status": response.status_code, **json.loads(bytes(response.body))}
