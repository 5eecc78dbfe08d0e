"""What an operator relies on: who comes in, what is counted, what is logged, and how the server starts and stops."""

from __future__ import annotations

import base64
import json
import os
import re
import signal
import socket
import subprocess
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import anyio
import click
import httpx2
import pytest
from click.testing import CliRunner
from hypothesis import given
from hypothesis import strategies as st
from mcp import Client
from mcp.client.streamable_http import streamable_http_client
from prometheus_client.parser import text_string_to_metric_families
from starlette.testclient import TestClient
from xray_servers.access import BearerTokens, new_token
from xray_servers.audit import AuditLog
from xray_servers.desk import DeskLimits, ScreeningDesk
from xray_servers.http.application import ServeSettings, create_app, surrounded
from xray_servers.http.cli import main
from xray_servers.http.observed import Observed
from xray_servers.http.serving import service_of
from xray_servers.screening import ScreeningSettings

from tests.conftest import ROOT
from tests.servers.running import PATIENCE_S, SERVE, Running, is_alive, serving, wait_until
from xray_agent_tools import __version__

SCANS = ROOT / "examples" / "scans"
URI = "data:image/png;base64," + base64.b64encode((SCANS / "bag_1.png").read_bytes()).decode()
AT_HOME = "http://127.0.0.1:8000"
PAGE = "https://console.example"
MISCONFIGURED = 23
INVALID_POLICY = 8
OPEN = {"/healthz", "/readyz"}
SMALL_BODY = 1024 * 1024


@contextmanager
def app_at(folder: Path, *, model: str = "default", **settings: Any) -> Iterator[TestClient]:
    """A client of the whole application; its screening process starts at the first scan."""
    desk = ScreeningDesk(ScreeningSettings(roots=(), shelf=folder / "shelf", model=model), DeskLimits(warm=False))
    chosen = ServeSettings(**settings)
    with AuditLog(str(folder / "audit.db")) as audit:
        service = service_of(desk, audit, chosen)
        app = surrounded(create_app(service, chosen), service, chosen)
        with TestClient(app, base_url=AT_HOME, follow_redirects=False) as client:
            yield client


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TestClient]:
    """A server for everybody on this machine, which takes little at once."""
    with app_at(tmp_path_factory.mktemp("open"), max_body=SMALL_BODY) as opened:
        yield opened


@dataclass(frozen=True, slots=True)
class Keys:
    """A file of keys, and the keys by name: one for each scope, and another one that may screen."""

    file: Path
    of: dict[str, str]

    def header(self, name: str) -> dict[str, str]:
        return {"authorization": f"Bearer {self.of[name]}"}


def keys_at(folder: Path) -> Keys:
    scopes = {name: (name,) for name in ("screen", "feedback", "metrics")} | {"other": ("screen",)}
    made = {name: new_token(f"of-{name}", allowed) for name, allowed in scopes.items()}
    file = folder / "tokens"
    file.write_text("\n".join(line for _, line in made.values()), encoding="utf-8")
    return Keys(file, {name: token for name, (token, _) in made.items()})


@pytest.fixture(scope="module")
def keys(tmp_path_factory: pytest.TempPathFactory) -> Keys:
    return keys_at(tmp_path_factory.mktemp("keys"))


@pytest.fixture(scope="module")
def guarded(tmp_path_factory: pytest.TempPathFactory, keys: Keys) -> Iterator[TestClient]:
    """A server that wants a key."""
    with app_at(tmp_path_factory.mktemp("guarded"), verifier=BearerTokens(keys.file), mcp=True) as opened:
        yield opened


def error_in(response: httpx2.Response, status: int, code: str) -> dict[str, Any]:
    """The error in a response, in the one form that every route has."""
    assert (response.status_code, response.json()["error"]["code"]) == (status, code), response.text
    error: dict[str, Any] = response.json()["error"]
    assert {"message", "type", "param", "code", "hint"} <= set(error)
    assert error["message"]
    assert error["hint"]
    return error


def numbers(client: TestClient, **headers: str) -> dict[tuple[str, ...], float]:
    """Every metric's value, by its name and the values of its labels in the order of their names."""
    text = client.get("/metrics", headers=headers).text
    samples = [sample for family in text_string_to_metric_families(text) for sample in family.samples]
    return {(one.name, *(one.labels[label] for label in sorted(one.labels))): one.value for one in samples}


# Health


def test_a_living_server_says_so_and_is_ready_while_its_detector_sees_the_canary(client: TestClient) -> None:
    assert client.get("/healthz").json() == {"status": "alive"}
    assert client.get("/readyz").json() == {"status": "ready"}


def test_a_server_without_its_model_lives_and_is_not_ready(tmp_path: Path) -> None:
    with app_at(tmp_path, model=str(tmp_path / "gone")) as client:
        assert client.get("/healthz").status_code == 200
        answer = client.get("/readyz")
    assert answer.status_code == 503
    assert "xray-tools doctor" in answer.json()["hint"]


# Metrics


def test_metrics_say_what_was_asked_and_what_was_answered(tmp_path: Path) -> None:
    with app_at(tmp_path) as client:
        report = client.post("/v1/detect", json={"scan": URI, "bag": "bag-1"}).json()
        client.post("/v1/detect", json={"scan": URI, "bag": "bag-1"})
        assessed = client.post("/v1/assess", json={"scan": URI, "declared_items": []}).json()
        client.post("/v1/detect", json={"scan": "data:image/png;base64,AAAA"})
        counted = numbers(client)
    assert counted["xray_request_seconds_count", "/v1/detect", "200"] == 2
    assert counted["xray_request_seconds_count", "/v1/detect", "400"] == 1
    assert counted["xray_decision_seconds_count", "detect_threats"] == 1
    assert counted["xray_decision_seconds_count", "assess_declaration"] == 1
    assert counted["xray_errors_total", "invalid_scan", "detect_threats"] == 1
    assert counted["xray_verdicts_total", report["verdict"]] == 2
    assert counted["xray_risk_levels_total", assessed["risk_level"]] == 1
    assert counted["xray_actions_total", assessed["recommended_action"]] == 1
    alarming = [one["label"] for one in report["detections"] if one["above_threshold"]]
    assert counted["xray_detections_total", alarming[0]] == 2 * alarming.count(alarming[0])
    assert counted["xray_stage_seconds_count", "audit"] == 3
    assert (counted[("xray_queue_depth",)], counted[("xray_queue_limit",)]) == (0, 17)
    model = report["model"]
    assert counted["xray_model_info", model["id"], model["sha256"], model["version"]] == 1


def test_strangers_cannot_make_the_metrics_grow(client: TestClient) -> None:
    client.get("/nowhere")
    before = set(numbers(client))
    for number in range(50):
        client.get(f"/nowhere/{number}")
        client.get(f"/v1/models/model-{number}")
        client.request("PURGE", f"/v1/detect?{number}")
    grown = {name for name in set(numbers(client)) - before if name[0] == "xray_request_seconds_count"}
    assert len(grown) <= 3


# Every response


RESPONSES = [
    ("GET", "/healthz", {}, 200),
    ("GET", "/nowhere", {}, 404),
    ("GET", "/v1/detect", {}, 405),
    ("POST", "/v1/detect", {"content": b"{"}, 415),
    ("POST", "/v1/detect", {"json": {}}, 400),
    ("POST", "/v1/scans", {"content": bytes(SMALL_BODY + 1)}, 413),
    ("GET", "/healthz", {"headers": {"host": "evil.example"}}, 421),
    ("GET", "/healthz", {"headers": {"origin": "https://evil.example"}}, 403),
]


@pytest.mark.parametrize(("method", "path", "request_", "status"), RESPONSES, ids=lambda value: str(value)[:30])
def test_every_response_has_an_identifier_and_its_security_headers(
    client: TestClient, method: str, path: str, request_: dict[str, Any], status: int
) -> None:
    response = client.request(method, path, **request_)
    assert response.status_code == status
    assert re.fullmatch(r"[0-9a-f]{32}", response.headers["x-request-id"])
    assert response.headers["x-content-type-options"] == "nosniff"
    assert response.headers["x-frame-options"] == "DENY"
    assert response.headers["referrer-policy"] == "no-referrer"
    assert response.headers["cache-control"] == "no-store"
    assert response.headers["content-security-policy"].startswith("default-src 'none'")
    assert "server" not in response.headers
    assert "access-control-allow-origin" not in response.headers


@pytest.mark.parametrize(
    ("method", "path", "code"), [("GET", "/nowhere", "not_found"), ("GET", "/v1/detect", "method_not_allowed")]
)
def test_a_route_that_is_not_there_is_an_error_like_every_other(
    client: TestClient, method: str, path: str, code: str
) -> None:
    assert "/docs" in error_in(client.request(method, path), {"not_found": 404}.get(code, 405), code)["hint"]


@given(given_id=st.from_regex(r"\A[A-Za-z0-9._-]{8,64}\Z"))
def test_a_clients_own_identifier_is_kept_and_never_shared(client: TestClient, given_id: str) -> None:
    served = [client.get("/healthz", headers={"x-request-id": given_id}).headers["x-request-id"] for _ in range(2)]
    assert all(re.fullmatch(re.escape(given_id) + r"\.[0-9a-f]{12}", one) for one in served)
    assert served[0] != served[1]


@given(given_id=st.text(st.characters(min_codepoint=33, max_codepoint=126), max_size=80))
def test_no_identifier_holds_what_could_break_a_log(client: TestClient, given_id: str) -> None:
    served = client.get("/healthz", headers={"x-request-id": given_id}).headers["x-request-id"]
    assert re.fullmatch(r"[A-Za-z0-9._-]{8,77}", served)


# Pages of other sites


def test_a_page_that_is_allowed_may_ask_and_read_and_no_other_may(tmp_path: Path) -> None:
    preflight = {"access-control-request-method": "POST", "access-control-request-headers": "authorization"}
    with app_at(tmp_path, cors_origins=(PAGE,)) as client:
        allowed = client.options("/v1/detect", headers={"origin": PAGE, **preflight})
        assert (allowed.status_code, allowed.headers["access-control-allow-origin"]) == (200, PAGE)
        assert "authorization" in allowed.headers["access-control-allow-headers"].lower()
        asked = client.get("/v1/models", headers={"origin": PAGE})
        assert (asked.status_code, asked.headers["access-control-allow-origin"]) == (200, PAGE)
        for method in ("OPTIONS", "GET"):
            other = client.request(method, "/v1/models", headers={"origin": "https://evil.example", **preflight})
            assert other.status_code == 403
            assert "access-control-allow-origin" not in other.headers


def test_a_page_that_is_allowed_can_read_which_record_its_answer_has(tmp_path: Path) -> None:
    with app_at(tmp_path, cors_origins=(PAGE,)) as client:
        shown = client.get("/v1/models", headers={"origin": PAGE}).headers.get("access-control-expose-headers", "")
    assert {"x-request-id", "x-record-id", "x-repeated", "retry-after"} <= set(
        shown.lower().replace(" ", "").split(",")
    )


# Bodies


def test_a_body_over_the_limit_is_refused_whether_or_not_it_says_its_size(client: TestClient) -> None:
    def endless() -> Iterator[bytes]:
        for _ in range(SMALL_BODY // 10_000 + 2):
            yield b" " * 10_000

    json_type = {"content-type": "application/json"}
    for content in (bytes(SMALL_BODY + 1), endless()):
        response = client.post("/v1/detect", content=content, headers=json_type)
        assert str(SMALL_BODY) in error_in(response, 413, "scan_too_large")["message"]


def test_a_body_of_just_the_limit_is_read(client: TestClient) -> None:
    body = json.dumps({"scan": "scan-0123456789abcdef"}).encode().ljust(SMALL_BODY)
    response = client.post("/v1/detect", content=body, headers={"content-type": "application/json"})
    error_in(response, 404, "unknown_scan")


# Keys


def test_every_route_but_those_of_health_wants_a_key(guarded: TestClient) -> None:
    paths = guarded.get("/openapi.json").json()["paths"]
    assert {"/v1/detect", "/v1/chat/completions", "/v1/responses", "/v1/models", "/v1/scans", "/metrics"} <= set(paths)
    for path in set(paths) - OPEN:
        for method in paths[path]:
            for header in ({}, {"authorization": "Bearer xray_wrong"}, {"authorization": "Basic eDp5"}):
                response = guarded.request(method, path, headers=header)
                error = error_in(response, 401, "invalid_api_key")
                assert error["type"] == "authentication_error"
    for path in OPEN:
        assert guarded.get(path).status_code == 200


def test_a_stranger_is_told_how_to_come_in(guarded: TestClient) -> None:
    assert guarded.get("/v1/models").headers["www-authenticate"].startswith("Bearer")


def test_a_strangers_body_is_not_looked_at(guarded: TestClient) -> None:
    error_in(guarded.post("/v1/detect", content=b"no json"), 401, "invalid_api_key")


@pytest.mark.parametrize(
    ("method", "path", "scope"),
    [("GET", "/metrics", "metrics"), ("POST", "/v1/feedback", "feedback"), ("POST", "/v1/detect", "screen")],
)
def test_a_key_opens_only_what_its_scopes_allow(
    guarded: TestClient, keys: Keys, method: str, path: str, scope: str
) -> None:
    for name in ("screen", "feedback", "metrics"):
        response = guarded.request(method, path, headers=keys.header(name))
        if name == scope:
            assert response.status_code in {200, 415}
        else:
            assert scope in error_in(response, 403, "insufficient_scope")["message"]


def test_a_scan_is_kept_for_the_key_that_sent_it_alone(guarded: TestClient, keys: Keys) -> None:
    sent = guarded.post("/v1/scans", content=(SCANS / "bag_1.png").read_bytes(), headers=keys.header("screen"))
    named = {"scan": sent.json()["scan_id"]}
    assert guarded.post("/v1/detect", json=named, headers=keys.header("screen")).status_code == 200
    error_in(guarded.post("/v1/detect", json=named, headers=keys.header("other")), 404, "unknown_scan")


def test_a_key_that_calls_too_often_is_told_when_to_come_back_and_others_are_not_held_up(
    tmp_path: Path, keys: Keys
) -> None:
    with app_at(tmp_path, verifier=BearerTokens(keys.file), rate="3/minute") as client:
        statuses = [client.get("/v1/models", headers=keys.header("screen")).status_code for _ in range(3)]
        assert statuses == [200, 200, 200]
        refused = client.get("/v1/models", headers=keys.header("screen"))
        error = error_in(refused, 429, "rate_limited")
        assert error["type"] == "rate_limit_error"
        assert 1 <= int(refused.headers["retry-after"]) <= 60
        assert client.get("/v1/models", headers=keys.header("other")).status_code == 200
        assert client.get("/healthz").status_code == 200
        error_in(client.get("/v1/models"), 401, "invalid_api_key")


# The Model Context Protocol beside it


def test_the_protocol_is_served_where_it_is_asked_for_and_wants_the_same_keys(
    client: TestClient, guarded: TestClient, keys: Keys
) -> None:
    assert client.post("/mcp", json={}).status_code == 404
    assert guarded.post("/mcp", json={}).status_code == 401
    assert guarded.post("/mcp", json={}, headers=keys.header("metrics")).status_code == 403


def test_a_call_over_the_protocol_is_on_record_under_the_keys_name(tmp_path: Path) -> None:
    keys, database = keys_at(tmp_path), tmp_path / "audit.db"

    async def call(url: str) -> dict[str, Any]:
        async with (
            httpx2.AsyncClient(headers=keys.header("screen"), timeout=PATIENCE_S) as http,
            Client(streamable_http_client(url, http_client=http)) as talking,
        ):
            result = await talking.call_tool("detect_threats", {"scan": URI})
            assert not result.is_error
            assert result.structured_content is not None
            answer: dict[str, Any] = result.structured_content
            return answer

    options = ("--mcp", "--token-file", str(keys.file), "--audit", str(database))
    with serving(*options, command=[SERVE]) as server:
        answer = anyio.run(call, server.url)
        with AuditLog(str(database), create=False) as log:
            [record] = log.records()
    assert json.loads(record.answer or "") == answer
    assert "of-screen" in record.owner
    assert record.operation == "detect_threats"


# What is logged


SECRETS = {
    "declared": "three jars of grandmothers quince jam",
    "question": "is that grandmothers quince jam",
    "path": "/somewhere/private/passenger-4711.png",
    "note": "the passenger wept",
    "bag": "passenger-0815",
}


@pytest.mark.parametrize("level", ["INFO", "DEBUG"])
def test_the_log_has_a_line_for_each_request_and_holds_no_scan_no_path_and_nothing_declared(
    tmp_path: Path, level: str
) -> None:
    keys = keys_at(tmp_path)
    requests: list[tuple[str, dict[str, Any]]] = [
        ("/v1/assess", {"scan": URI, "declared_items": [SECRETS["declared"]], "bag": SECRETS["bag"]}),
        ("/v1/explain", {"scan": URI, "question": SECRETS["question"]}),
        ("/v1/detect", {"scan": SECRETS["path"]}),
        ("/v1/detect", {"scan": "data:image/png;base64,Z3JhbmRtb3RoZXI="}),
        ("/v1/detect", {"scan": URI, "min_confidence": SECRETS["question"]}),
        (
            "/v1/chat/completions",
            {"model": "xray-screener", "messages": [{"role": "user", "content": SECRETS["note"]}]},
        ),
        (f"/{SECRETS['bag']}", {}),
    ]
    options = ("--audit", str(tmp_path / "audit.db"), "--token-file", str(keys.file), "--log-level", level)
    with serving(*options, command=[SERVE]) as server:
        with httpx2.Client(base_url=server.origin, headers=keys.header("screen"), timeout=PATIENCE_S) as client:
            answers = [client.post(path, json=body) for path, body in requests]
        ids = [answer.headers["x-request-id"] for answer in answers]
        wait_until(lambda: ids[-1] in server.log.read_text(), "the last request's line")
        log = server.log.read_text()
    for secret in (*SECRETS.values(), URI[60:120], "Z3JhbmRtb3Ro", *keys.of.values()):
        assert secret not in log
    lines = [json.loads(text) for text in re.findall(rf"{re.escape(Observed.__module__)}: (.+)", log)]
    by_id = {line["request_id"]: line for line in lines}
    for (path, _), answer in zip(requests, answers, strict=True):
        line = by_id[answer.headers["x-request-id"]]
        assert set(line) == {"request_id", "method", "route", "status", "milliseconds"}
        assert (line["method"], line["status"]) == ("POST", answer.status_code)
        assert line["route"] == (path if path.startswith("/v1/") else "other")


# Starting


def tried(*options: str) -> subprocess.CompletedProcess[str]:
    """Start the command, which comes to an end by itself."""
    plain = {name: value for name, value in os.environ.items() if not name.startswith("XRAY_")}
    return subprocess.run(
        [SERVE, *options],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=PATIENCE_S,
        env=plain,
        check=False,
    )


@pytest.mark.parametrize("command", [main, *main.commands.values()], ids=lambda command: str(command.name))
def test_every_option_and_every_command_is_explained(command: click.Command) -> None:
    context = click.Context(command, info_name="xray-serve")
    assert command.help
    shown = command.get_help(context)
    for parameter in command.get_params(context):
        if isinstance(parameter, click.Option):
            assert parameter.help, parameter.name
            assert max(parameter.opts, key=len) in shown


def test_the_version_is_that_of_the_tools() -> None:
    assert __version__ in CliRunner().invoke(main, ["--version"]).stdout


@pytest.mark.parametrize(
    ("options", "says", "hint"),
    [
        (["--host", "0.0.0.0"], "0.0.0.0 can be reached from other machines", "--token-file"),
        (["--host", "::"], ":: can be reached from other machines", "127.0.0.1"),
        (["--rate", "often"], "'often' is no rate", "600/minute"),
        (["--agent-url", "http://127.0.0.1:1/v1"], "--agent-url and --agent-model go together", "give both"),
        (["--agent-model", "some-model"], "--agent-url and --agent-model go together", "give both"),
        (["--vlm-url", "http://127.0.0.1:1/v1"], "--vlm-url and --vlm-model go together", "give both"),
        (["--jwt-issuer", "https://id.example"], "--jwt-issuer needs --jwt-keys", "all three"),
        (["--token-file", "/nowhere/tokens"], "/nowhere/tokens cannot be read", "UTF-8 text file"),
        (["--audit", "/nowhere/audit.db"], "the audit log cannot be opened at /nowhere/audit.db", "folder that exists"),
        (["--audit", "mysql://xray@db/audit"], "URL cannot be used", "sqlite:///PATH or postgresql://"),
        (["--shelf", "/proc/nowhere"], "scans cannot be kept in /proc/nowhere", "--shelf"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_options_that_cannot_work_end_the_start_with_what_to_do(
    tmp_path: Path, options: list[str], says: str, hint: str
) -> None:
    defaults = [] if "--audit" in options else ["--audit", str(tmp_path / "audit.db")]
    ended = tried("--port", "0", *defaults, *options)
    assert ended.returncode == MISCONFIGURED, ended.stderr
    message, advice = ended.stderr.strip().splitlines()
    assert message.startswith("error: ")
    assert says in message
    assert hint in advice


def test_a_policy_that_is_not_there_ends_the_start(tmp_path: Path) -> None:
    ended = tried("--audit", str(tmp_path / "audit.db"), "--policy", "none-of-ours")
    assert ended.returncode == INVALID_POLICY
    assert "Traceback" not in ended.stderr


def test_a_port_that_is_taken_ends_the_start(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        ended = tried("--audit", str(tmp_path / "audit.db"), "--port", port)
    assert ended.returncode == MISCONFIGURED
    assert f"cannot listen at 127.0.0.1:{port}" in ended.stderr


def test_a_key_that_the_command_makes_opens_a_server_to_the_network(tmp_path: Path) -> None:
    file = tmp_path / "tokens"
    made = CliRunner().invoke(main, ["token", "gate-7", "--file", str(file)])
    token = re.findall(r"^token: (\S+)$", made.stdout, re.MULTILINE)[0]
    network = ("--host", "0.0.0.0", "--allowed-host", "0.0.0.0:*")
    options = (*network, "--token-file", str(file), "--audit", str(tmp_path / "audit.db"))
    with serving(*options, command=[SERVE]) as server:
        url = f"http://127.0.0.1:{server.origin.rpartition(':')[2]}/v1/models"
        assert httpx2.get(url, headers={"authorization": f"Bearer {token}"}).status_code == 200
        assert httpx2.get(url).status_code == 401
        assert "a key is required" in server.log.read_text()
        assert token not in server.log.read_text()


# Stopping


def waiting(server: Running) -> float:
    """Requests that wait or are looked at."""
    text = httpx2.get(f"{server.origin}/metrics", timeout=PATIENCE_S).text
    return float(re.findall(r"^xray_queue_depth (\S+)$", text, re.MULTILINE)[0])


def test_a_server_that_is_stopped_finishes_what_it_took_in_records_it_and_takes_nothing_more(tmp_path: Path) -> None:
    database, count = tmp_path / "audit.db", 3

    def ask(server: Running) -> httpx2.Response:
        return httpx2.post(f"{server.origin}/v1/detect", json={"scan": URI}, timeout=PATIENCE_S)

    def is_refused() -> bool:
        """Whether a request that no process need look at is refused because of the stop."""
        return httpx2.post(f"{server.origin}/v1/detect", timeout=PATIENCE_S).status_code == 429

    with (
        serving("--audit", str(database), "--workers", "1", command=[SERVE]) as server,
        ThreadPoolExecutor(count) as askers,
    ):
        assert ask(server).status_code == 200
        [pid] = server.screening_pids()
        os.kill(pid, signal.SIGSTOP)
        accepted = [askers.submit(ask, server) for _ in range(count)]
        wait_until(lambda: waiting(server) == count, "the requests' arrival")
        server.stop()
        wait_until(is_refused, "the stop")
        late = ask(server)
        os.kill(pid, signal.SIGCONT)
        answers = [one.result() for one in accepted]
        wait_until(lambda: not is_alive(server.pid), "the end")
    assert "stopping" in error_in(late, 429, "overloaded")["message"]
    assert [answer.status_code for answer in answers] == [200] * count
    with AuditLog(str(database), create=False) as log:
        kept = {record.record_id for record in log.records()}
        assert log.verify().intact
    assert {answer.headers["x-record-id"] for answer in answers} < kept
    assert len(kept) == count + 1
