"""A batch gives each of its scans one line and one record, as soon as it is looked at."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import anyio
import pytest
from starlette.testclient import TestClient
from starlette.types import Message
from xray_servers.desk import DeskLimits, ScreeningDesk
from xray_servers.http.batches import MOST_ITEMS, BatchLine
from xray_servers.screening import Answer, ToolCall, Upload

from tests.servers.http.rest_app import RestApp, rest_app, talking_to, text_of, timeless, uri

ROUTE = "/v1/batch"
NAMES = [f"bag_{number}.png" for number in range(1, 5)]


@pytest.fixture(scope="module")
def app(tmp_path_factory: pytest.TempPathFactory) -> RestApp:
    return rest_app(tmp_path_factory.mktemp("batch"), limits=DeskLimits(workers=2, warm=False))


@pytest.fixture(scope="module")
def client(app: RestApp) -> Iterator[TestClient]:
    with talking_to(app) as client:
        yield client


def lines_of(client: TestClient, *items: dict[str, Any]) -> list[BatchLine]:
    """The lines of a batch, each of them checked against the model that is published."""
    response = client.post(ROUTE, json={"items": items})
    assert response.status_code == 200, response.text
    assert response.headers["content-type"] == "application/jsonl"
    return [BatchLine.model_validate_json(line) for line in response.text.splitlines()]


def test_each_scan_has_the_answer_that_it_has_alone(client: TestClient) -> None:
    lines = lines_of(client, *({"id": name, "scan": uri(name)} for name in NAMES))
    assert sorted((line.index, line.id) for line in lines) == list(enumerate(NAMES))
    for line in lines:
        alone = client.post("/v1/detect", json={"scan": uri(line.id)}).json()
        assert line.report is not None
        assert timeless(line.report.model_dump(mode="json")) == timeless(alone)
        assert (line.status, line.error) == (200, None)


def test_a_scan_that_fails_has_an_error_and_the_others_go_on(app: RestApp, client: TestClient) -> None:
    before = len(app.records())
    lines = lines_of(
        client,
        {"id": "path", "scan": "/etc/passwd"},
        {"id": "good", "scan": uri()},
        {"id": "unknown", "scan": "scan-0123456789abcdef"},
        {"id": "damaged", "scan": text_of(b"no picture" * 20)},
    )
    outcomes = {line.id: (line.status, line.error and line.error.code, line.report is not None) for line in lines}
    assert outcomes == {
        "path": (403, "access_denied", False),
        "good": (200, None, True),
        "unknown": (404, "unknown_scan", False),
        "damaged": (400, "invalid_scan", False),
    }
    assert len(app.records()) == before + 4


def test_each_line_names_its_own_record(app: RestApp, client: TestClient) -> None:
    lines = lines_of(client, *({"id": name, "scan": uri(name)} for name in NAMES))
    for line in lines:
        record = app.service.audit.get(line.record_id or "")
        assert line.report is not None
        assert record.image_sha256 == line.report.image.sha256
    assert len({line.record_id for line in lines}) == len(NAMES)


def test_a_bag_in_a_batch_has_one_decision(client: TestClient) -> None:
    item = {"id": "1", "scan": uri(), "bag": "batched"}
    (first,) = lines_of(client, item)
    again, other = sorted(
        lines_of(client, item, item | {"id": "2", "scan": uri("bag_2.png")}), key=lambda line: line.index
    )
    assert (again.repeated, again.record_id, again.report) == (True, first.record_id, first.report)
    assert (other.status, other.report) == (409, None)


@pytest.mark.parametrize(
    ("items", "param"),
    [
        ([], "items"),
        ([{"id": "1", "scan": "x"}] * 2, "items"),
        ([{"id": str(number), "scan": "x"} for number in range(MOST_ITEMS + 1)], "items"),
        ([{"scan": "x"}], "items.0.id"),
        ([{"id": "1", "scan": "x"}, {"id": "2", "scan": "x", "max_detections": 0}], "items.1.max_detections"),
        ([{"id": "1", "scan": "x", "declared_items": []}], "items.0.declared_items"),
    ],
)
def test_a_batch_that_breaks_a_bound_is_refused_as_a_whole(
    app: RestApp, client: TestClient, items: list[dict[str, Any]], param: str
) -> None:
    before = len(app.records())
    response = client.post(ROUTE, json={"items": items})
    assert (response.status_code, response.json()["error"]["param"]) == (400, param)
    assert len(app.records()) == before


def test_a_failure_that_nobody_foresaw_is_one_items_error(
    app: RestApp, client: TestClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    ask = app.service.desk.ask

    async def fails_once(request: ToolCall | Upload) -> Answer:
        if isinstance(request, ToolCall) and request.arguments["max_detections"] == 7:
            raise RuntimeError("nobody foresaw this")
        return await ask(request)

    monkeypatch.setattr(app.service.desk, "ask", fails_once)
    lines = lines_of(client, {"id": "bad", "scan": uri(), "max_detections": 7}, {"id": "good", "scan": uri()})
    assert {line.id: line.error and line.error.code for line in lines} == {"bad": "internal_error", "good": None}


class _Gate:
    """Lets looks at scans end one by one, and knows how many run."""

    def __init__(self, desk: ScreeningDesk) -> None:
        self._ask = desk.ask
        self.begun: list[str] = []
        self.most_at_once = 0
        self._running = 0
        self.opened = anyio.Event()

    async def ask(self, request: ToolCall | Upload) -> Answer:
        assert isinstance(request, ToolCall)
        self._running += 1
        self.most_at_once = max(self.most_at_once, self._running)
        self.begun.append(str(request.arguments["scan"]))
        # The first scan is finished at once; the others wait until the client has gone.
        if len(self.begun) > 1:
            await self.opened.wait()
        answer = await self._ask(request)
        self._running -= 1
        return answer


async def _hang_up_after_the_first_line(app: RestApp, gate: _Gate, body: bytes) -> list[bytes]:
    """Send a batch, read one line, and hang up while the second scan is looked at."""
    received: list[bytes] = []
    read = anyio.Event()
    requests = iter([{"type": "http.request", "body": body, "more_body": False}])

    async def receive() -> Message:
        if (request := next(requests, None)) is not None:
            return request
        await read.wait()
        gate.opened.set()
        return {"type": "http.disconnect"}

    async def send(message: Message) -> None:
        if message.get("body"):
            received.append(message["body"])
            read.set()

    scope = {
        "type": "http",
        "asgi": {"version": "3.0", "spec_version": "2.3"},
        "http_version": "1.1",
        "method": "POST",
        "scheme": "http",
        "path": ROUTE,
        "raw_path": ROUTE.encode(),
        "query_string": b"",
        "headers": [(b"content-type", b"application/json")],
        "client": ("127.0.0.1", 1),
        "server": ("127.0.0.1", 80),
    }
    with anyio.fail_after(60):
        await app.asgi(scope, receive, send)
    return received


def test_a_client_that_hangs_up_stops_what_has_not_begun_and_loses_no_record(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    app = rest_app(tmp_path)
    items = [{"id": str(number), "scan": uri()} for number in range(8)]

    async def talk() -> tuple[_Gate, list[bytes]]:
        async with app.service.desk.open():
            gate = _Gate(app.service.desk)
            monkeypatch.setattr(app.service.desk, "ask", gate.ask)
            return gate, await _hang_up_after_the_first_line(app, gate, json.dumps({"items": items}).encode())

    gate, received = anyio.run(talk)
    assert [json.loads(line)["id"] for line in received] == ["0"]
    assert len(gate.begun) == 2
    assert [record.outcome for record in app.records()] == ["answered"] * 2
    app.service.audit.close()


def test_no_more_scans_are_looked_at_at_once_than_there_are_processes(
    app: RestApp, client: TestClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    gate = _Gate(app.service.desk)
    gate.opened.set()
    monkeypatch.setattr(app.service.desk, "ask", gate.ask)
    assert len(lines_of(client, *({"id": str(number), "scan": uri()} for number in range(8)))) == 8
    assert gate.most_at_once == 2
