"""Over HTTP only those come in who may, only what fits is taken in, and every refusal says what to do now."""

from __future__ import annotations

import json
import logging
import socket
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import quote

import anyio
import httpx2
import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from hypothesis import example, given
from hypothesis import strategies as st
from mcp import Client, MCPError
from mcp.client.streamable_http import streamable_http_client
from mcp.types import BlobResourceContents, CallToolResult, ImageContent, TextContent
from PIL import Image
from starlette.testclient import TestClient
from starlette.types import ASGIApp, Message
from xray_servers.access import BearerTokens, FirstOf, JwtTokens, new_token, signing_keys
from xray_servers.desk import DeskLimits, ScreeningDesk
from xray_servers.mcp.application import build_server
from xray_servers.mcp.http import Authorization, HttpSettings, http_app
from xray_servers.screening import ScreeningSettings

from tests.conftest import ROOT
from tests.servers.running import PATIENCE_S, Running, serving

SCANS = ROOT / "examples" / "scans"
SCAN = SCANS / "bag_1.png"
ERAS = ["auto", "legacy"]
AT_HOME = "http://127.0.0.1:8710"
UNHURRIED = DeskLimits(warm=False)

ISSUER = "https://id.example"
RESOURCE = "https://xray.example/mcp"
METADATA = "/.well-known/oauth-protected-resource/mcp"
OPEN = ("/healthz", "/readyz", METADATA)
KEY = ec.generate_private_key(ec.SECP256R1())
FORGED = ec.generate_private_key(ec.SECP256R1())


def app_for(
    folder: Path,
    *,
    authorization: Authorization | None = None,
    limits: DeskLimits = UNHURRIED,
    model: str = "default",
    **options: Any,
) -> ASGIApp:
    desk = ScreeningDesk(ScreeningSettings(roots=(SCANS,), shelf=folder / "shelf", model=model), limits)
    return http_app(
        build_server(desk, uploads="/scans", log_level="WARNING"),
        desk,
        HttpSettings(authorization=authorization, **options),
    )


@contextmanager
def open_server(folder: Path, **options: Any) -> Iterator[TestClient]:
    with TestClient(app_for(folder, **options), base_url=AT_HOME, follow_redirects=False) as client:
        yield client


@pytest.fixture(scope="module")
def narrow(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TestClient]:
    """A server for everybody on this machine, which takes little at once."""
    with open_server(tmp_path_factory.mktemp("narrow"), max_body=600_000) as client:
        yield client


def chunks(size: int) -> Iterator[bytes]:
    """A body that does not say in advance how large it is."""
    for _ in range(size // 10_000):
        yield b"x" * 10_000


def error_in(response: httpx2.Response) -> dict[str, Any]:
    """The error in an answer, which is what every other interface would send."""
    assert response.headers["content-type"] == "application/json"
    body = response.json()
    assert set(body) == {"error"}
    error: dict[str, Any] = body["error"]
    assert error["code"]
    assert error["message"]
    assert error["hint"]
    return error


def files(*views: bytes, name: str = "view") -> list[tuple[str, tuple[str, bytes]]]:
    return [(name, (f"{number}.png", view)) for number, view in enumerate(views)]


# Health


def test_a_living_server_says_so(narrow: TestClient) -> None:
    answer = narrow.get("/healthz")
    assert (answer.status_code, answer.json()) == (200, {"status": "alive"})


def test_a_server_whose_detector_sees_its_canary_is_ready(narrow: TestClient) -> None:
    answer = narrow.get("/readyz")
    assert (answer.status_code, answer.json()) == (200, {"status": "ready"})


def test_a_server_without_its_model_lives_and_is_not_ready_and_asking_often_costs_nothing(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with open_server(tmp_path, model=str(tmp_path / "gone")) as client, caplog.at_level(logging.WARNING):
        with ThreadPoolExecutor(16) as askers:
            answers = list(askers.map(lambda _: client.get("/readyz"), range(64)))
        assert {answer.status_code for answer in answers} == {503}
        assert answers[0].json()["status"] == "not ready"
        assert "xray-tools doctor" in answers[0].json()["hint"]
        assert client.get("/healthz").status_code == 200
    looks = [record for record in caplog.records if record.getMessage().startswith("not ready")]
    assert 1 <= len(looks) <= 4


def test_questions_about_readiness_take_nobodys_place_in_the_queue(tmp_path: Path) -> None:
    limits = DeskLimits(workers=1, waiting=1, warm=False)
    with open_server(tmp_path, limits=limits) as client, ThreadPoolExecutor(16) as askers:
        questions = [askers.submit(client.get, "/readyz") for _ in range(15)]
        assert client.post("/scans", content=SCAN.read_bytes()).status_code == 201
        assert {question.result().status_code for question in questions} == {200}


# Uploads


def test_an_upload_is_kept_and_says_for_how_long(narrow: TestClient) -> None:
    answer = narrow.post("/scans", content=SCAN.read_bytes(), headers={"Content-Type": "image/png"})
    assert answer.status_code == 201
    kept = answer.json()
    with Image.open(SCAN) as picture:
        width, height = picture.size
    assert kept.pop("scan_id").startswith("scan-")
    assert kept == {"kept_for_s": 3600.0, "views": 1, "width": width, "height": height}


def test_a_form_and_a_bare_body_give_the_same_scan(narrow: TestClient) -> None:
    content = SCAN.read_bytes()
    bare = narrow.post("/scans", content=content)
    form = narrow.post("/scans", files=files(content))
    assert form.status_code == 201
    assert form.json() == bare.json()


def test_a_form_is_a_form_however_its_type_is_spelt(narrow: TestClient) -> None:
    request = narrow.build_request("POST", "/scans", files=files(SCAN.read_bytes()))
    request.headers["Content-Type"] = request.headers["Content-Type"].replace(
        "multipart/form-data", "Multipart/Form-Data"
    )
    assert narrow.send(request).status_code == 201


def test_several_files_are_the_views_of_one_bag(narrow: TestClient) -> None:
    first, second = (SCANS / "bag_6.png").read_bytes(), (SCANS / "bag_7.png").read_bytes()
    both = narrow.post("/scans", files=files(first, second))
    assert both.status_code == 201
    assert both.json()["views"] == 2
    assert both.json()["scan_id"] != narrow.post("/scans", content=first).json()["scan_id"]


@pytest.mark.parametrize(
    ("sent", "says"),
    [
        ({"content": b""}, "empty"),
        ({"content": b"what a lovely bag"}, "supported format"),
        ({"content": SCAN.read_bytes()[:20_000]}, "damaged"),
        ({"files": files(SCAN.read_bytes()[:20_000])}, "damaged"),
        ({"files": files(SCAN.read_bytes(), b"no picture")}, "supported format"),
        ({"files": files(SCAN.read_bytes(), name="scan")}, "is no view"),
        ({"data": {"view": "bag_1.png"}, "files": files(b"x", name="other")}, "is no view"),
        ({"content": b"junk", "headers": {"Content-Type": "multipart/form-data"}}, "cannot be read"),
        ({"content": b"junk", "headers": {"Content-Type": "multipart/form-data; boundary=a"}}, "cannot be read"),
    ],
    ids=[
        "nothing", "no picture", "cut off", "cut off in a form", "one of two is none", "wrong field", "text for a file",
        "no boundary", "no form",
    ],
)  # fmt: skip
def test_what_is_no_scan_is_refused_with_the_cause(narrow: TestClient, sent: dict[str, Any], says: str) -> None:
    answer = narrow.post("/scans", **sent)
    assert answer.status_code == 400
    error = error_in(answer)
    assert error["code"] == "invalid_scan"
    assert says in error["message"]


def test_a_full_queue_says_when_to_come_again(tmp_path: Path) -> None:
    content = SCAN.read_bytes()
    limits = DeskLimits(workers=1, waiting=1, warm=False)
    with open_server(tmp_path, limits=limits) as client, ThreadPoolExecutor(8) as senders:
        answers = list(senders.map(lambda _: client.post("/scans", content=content), range(8)))
    refused = [answer for answer in answers if answer.status_code != 201]
    assert 0 < len(refused) < 8
    for answer in refused:
        assert answer.status_code == 429
        error = error_in(answer)
        assert error["code"] == "overloaded"
        assert int(answer.headers["Retry-After"]) == error["retry_after"] >= 1


# Size


BODIES = pytest.mark.parametrize("body", [b"x" * 700_000, None], ids=["announced", "in chunks"])


def assert_too_large(error: dict[str, Any]) -> None:
    assert error["code"] == "scan_too_large"
    assert "600000 bytes" in error["message"]
    assert "path" in error["hint"]
    assert "/scans" in error["hint"]


@BODIES
@pytest.mark.parametrize("content_type", ["application/json", "image/png", "multipart/form-data; boundary=a"])
def test_an_upload_that_is_too_large_is_refused_and_told_the_other_way(
    narrow: TestClient, content_type: str, body: bytes | None
) -> None:
    answer = narrow.post("/scans", content=body or chunks(700_000), headers={"Content-Type": content_type})
    assert answer.status_code == 413
    assert_too_large(error_in(answer))


@BODIES
def test_a_message_that_is_too_large_is_refused_in_the_words_of_the_protocol(
    narrow: TestClient, body: bytes | None
) -> None:
    headers = {"Content-Type": "application/json", "Accept": "application/json, text/event-stream"}
    answer = narrow.post("/mcp", content=body or chunks(700_000), headers=headers)
    assert answer.status_code == 413
    message = answer.json()
    assert (message["jsonrpc"], message["id"]) == ("2.0", None)
    assert_too_large(message["error"]["data"])
    assert json.loads(message["error"]["message"]) == {"error": message["error"]["data"]}


def test_what_just_fits_is_taken_in_chunks_too(narrow: TestClient) -> None:
    content = SCAN.read_bytes()
    pieces = (content[start : start + 10_000] for start in range(0, len(content), 10_000))
    assert narrow.post("/scans", content=pieces).status_code == 201


# Host and Origin

PATHS = ["/healthz", "/readyz", "/scans", "/mcp", "/nothing"]


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize(
    "host", ["evil.example", "127.0.0.1.evil.example:80", "localhost.evil.example", "xray.example", "", "10.0.0.1:8710"]
)
def test_a_page_that_renamed_itself_to_this_machine_reads_nothing(narrow: TestClient, path: str, host: str) -> None:
    for method in ("GET", "POST", "OPTIONS"):
        assert narrow.request(method, path, headers={"Host": host}).status_code == 421


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("origin", ["http://evil.example", "null", "https://127.0.0.1.evil.example", "file://"])
def test_a_page_from_elsewhere_reads_nothing(narrow: TestClient, path: str, origin: str) -> None:
    answer = narrow.post(path, content=SCAN.read_bytes(), headers={"Origin": origin})
    assert answer.status_code == 403
    assert "access-control-allow-origin" not in answer.headers


@pytest.mark.parametrize("host", ["127.0.0.1", "127.0.0.1:80", "localhost", "localhost:8710", "[::1]", "[::1]:9"])
def test_this_machine_is_answered_under_each_of_its_names(narrow: TestClient, host: str) -> None:
    assert narrow.get("/healthz", headers={"Host": host}).status_code == 200
    assert narrow.get("/healthz", headers={"Host": host, "Origin": f"http://{host}"}).status_code == 200


def test_a_named_host_and_a_named_origin_are_answered_and_no_others(tmp_path: Path) -> None:
    named = {"allowed_hosts": ("xray.example",), "allowed_origins": ("https://console.example",)}
    with open_server(tmp_path, **named) as client:
        known = {"Host": "xray.example", "Origin": "https://console.example"}
        assert client.get("/healthz", headers=known).status_code == 200
        assert client.get("/healthz", headers=known | {"Origin": "http://console.example"}).status_code == 403
        assert client.get("/healthz", headers=known | {"Host": "a.xray.example"}).status_code == 421


# Who comes in


@pytest.fixture(scope="module")
def keys(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("keys") / "jwks.json"
    public = jwt.get_algorithm_by_name("ES256").to_jwk(KEY.public_key(), as_dict=True)
    path.write_text(json.dumps({"keys": [{**public, "kid": "one", "alg": "ES256", "use": "sig"}]}))
    return path


def signed(key: ec.EllipticCurvePrivateKey = KEY, **changes: Any) -> str:
    claims = {"iss": ISSUER, "aud": RESOURCE, "sub": "officer-7", "exp": int(time.time()) + 600, "scope": "screen"}
    return jwt.encode(claims | changes, key, algorithm="ES256", headers={"kid": "one"})


def bearer(token: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}"}


def granted_by(keys: Path, *more: BearerTokens) -> Authorization:
    signed_tokens = JwtTokens(issuer=ISSUER, audience=RESOURCE, keys=signing_keys(str(keys)))
    return Authorization(FirstOf([*more, signed_tokens]), ("screen",), RESOURCE, ISSUER)


@pytest.fixture(scope="module")
def gate(tmp_path_factory: pytest.TempPathFactory, keys: Path) -> ASGIApp:
    """A server that lets only holders of signed tokens in."""
    return app_for(tmp_path_factory.mktemp("gate"), authorization=granted_by(keys))


@pytest.fixture(scope="module")
def guarded(gate: ASGIApp) -> Iterator[TestClient]:
    with TestClient(gate, base_url=AT_HOME, follow_redirects=False) as client:
        yield client


def is_let_in(client: TestClient, token: str) -> bool:
    """Whether a token leads to the uploads, which know no GET."""
    status = client.get("/scans", headers=bearer(token)).status_code
    assert status in {405, 401}
    return status == 405


def first_message(gate: ASGIApp, scope: dict[str, Any]) -> Message:
    """The first thing that the server answers to a request as it comes off the wire, without a body."""
    answered: list[Message] = []

    async def receive() -> Message:
        return {"type": "websocket.connect"} if scope["type"] == "websocket" else {"type": "http.request", "body": b""}

    async def send(message: Message) -> None:
        answered.append(message)

    async def ask() -> None:
        with anyio.fail_after(PATIENCE_S):
            await gate(scope, receive, send)

    anyio.run(ask)
    return answered[0]


def asking(method: str, path: str, headers: dict[str, str] | None = None) -> dict[str, Any]:
    sent = {"host": "127.0.0.1:8710"} | (headers or {})
    return {
        "type": "http",
        "method": method,
        "path": path,
        "raw_path": quote(path).encode(),
        "query_string": b"access_token=x",
        "root_path": "",
        "scheme": "http",
        "http_version": "1.1",
        "headers": [(name.encode(), value.encode("latin-1")) for name, value in sent.items()],
        "server": ("127.0.0.1", 8710),
        "client": ("127.0.0.1", 1),
    }


BESIDE_OPEN = st.builds(
    lambda before, known, after: before + known + after,
    st.sampled_from(["", "/", "/mcp/..", "/.", "//"]),
    st.sampled_from(OPEN),
    st.sampled_from(["", "/", "/mcp", "/../mcp", "/../scans", "foo", ";/mcp", "\x00", "?", "#", "/.", " "]) | st.text(),
)
ANYWHERE = st.text().map(lambda path: "/" + path) | st.sampled_from(["/mcp", "//mcp", "/mcp/", "/scans", "/docs", "/"])
METHODS = st.sampled_from(["GET", "POST", "PUT", "DELETE", "OPTIONS", "HEAD", "PATCH", "TRACE", "CONNECT", "FOO"])


@given(method=METHODS, path=(BESIDE_OPEN | ANYWHERE).filter(lambda path: path not in OPEN))
@example(method="POST", path="//mcp")
@example(method="POST", path="/healthz/../mcp")
@example(method="GET", path="/readyzfoo")
@example(method="GET", path="/healthz/")
@example(method="GET", path="/.well-known/oauth-protected-resource")
@example(method="GET", path="/HEALTHZ")
@example(method="OPTIONS", path="/mcp")
def test_without_a_token_nothing_is_answered_but_the_open_pages(gate: ASGIApp, method: str, path: str) -> None:
    answer = first_message(gate, asking(method, path))
    assert answer["status"] == 401
    assert dict(answer["headers"])[b"www-authenticate"].startswith(b"Bearer ")


@given(
    header=st.sampled_from(["Bearer", "Bearer ", "bearer  ", "Basic eDp5", "Bearer null", "Bearer undefined", "Token"])
    | st.text(st.characters(min_codepoint=32, max_codepoint=255)).map(lambda text: "Bearer " + text)
)
def test_no_made_up_token_opens_the_door(gate: ASGIApp, header: str) -> None:
    assert first_message(gate, asking("POST", "/mcp", {"authorization": header}))["status"] == 401


def test_a_web_socket_is_not_let_in_beside_the_gate(gate: ASGIApp) -> None:
    scope = asking("GET", "/mcp") | {"type": "websocket", "scheme": "ws", "subprotocols": []}
    assert first_message(gate, scope)["type"] == "websocket.close"


def test_whether_the_server_lives_is_for_everybody_to_know(guarded: TestClient) -> None:
    assert guarded.get("/healthz").status_code == 200
    assert guarded.get("/readyz").status_code == 200


def test_a_stranger_is_told_where_to_get_a_token(guarded: TestClient) -> None:
    answer = guarded.post("/mcp", json={})
    assert answer.status_code == 401
    assert answer.json()["error"] == "invalid_token"
    challenge = answer.headers["WWW-Authenticate"]
    assert f'resource_metadata="https://xray.example{METADATA}"' in challenge
    about = guarded.get(METADATA)
    assert about.status_code == 200
    assert about.json() == {
        "resource": RESOURCE,
        "authorization_servers": [ISSUER],
        "scopes_supported": ["screen"],
        "bearer_methods_supported": ["header"],
    }


@pytest.mark.parametrize(
    "token",
    [
        signed(FORGED),
        signed(exp=int(time.time()) - 600),
        signed(aud="https://other.example/mcp"),
        signed(iss="https://other.example"),
    ],
    ids=["forged", "expired", "for another server", "by another issuer"],
)
def test_a_signed_token_that_is_not_for_here_opens_nothing(guarded: TestClient, token: str) -> None:
    assert is_let_in(guarded, signed())
    assert not is_let_in(guarded, token)


@pytest.mark.parametrize("path", ["/mcp", "/scans", "/nothing"])
def test_a_token_without_the_scope_is_told_which_one_is_missing(guarded: TestClient, path: str) -> None:
    answer = guarded.post(path, headers=bearer(signed(scope="read write")))
    assert answer.status_code == 403
    challenge = answer.headers["WWW-Authenticate"]
    assert 'error="insufficient_scope"' in challenge
    assert "screen" in challenge
    assert "resource_metadata=" in challenge


def test_a_token_in_the_address_does_not_count(guarded: TestClient) -> None:
    assert guarded.get("/scans", params={"access_token": signed()}).status_code == 401


def test_without_an_authorization_server_there_is_no_page_about_one(tmp_path: Path) -> None:
    token, line = new_token("lane-3")
    (tmp_path / "tokens").write_text(line)
    with open_server(tmp_path, authorization=Authorization(BearerTokens(tmp_path / "tokens"))) as client:
        assert "resource_metadata" not in client.post("/mcp").headers["WWW-Authenticate"]
        assert client.get(METADATA).status_code == 401
        assert client.get(METADATA, headers=bearer(token)).status_code == 404


def test_a_token_is_revoked_and_granted_by_editing_the_file(tmp_path: Path) -> None:
    (first, first_line), (second, second_line) = new_token("lane-3"), new_token("lane-4")
    file = tmp_path / "tokens"
    file.write_text(first_line)
    with open_server(tmp_path, authorization=Authorization(BearerTokens(file))) as client:
        assert [is_let_in(client, first), is_let_in(client, second)] == [True, False]
        file.write_text(f"{first_line}\n{second_line}\n")
        assert [is_let_in(client, first), is_let_in(client, second)] == [True, True]
        file.write_text(second_line)
        assert [is_let_in(client, first), is_let_in(client, second)] == [False, True]
        file.unlink()
        assert [is_let_in(client, first), is_let_in(client, second)] == [False, False]


# Real servers and the real client


@pytest.fixture(scope="module")
def tokens() -> dict[str, tuple[str, str]]:
    """Callers with their tokens and lines."""
    return {name: new_token(name) for name in ("ann", "bob")}


@pytest.fixture(scope="module")
def locked(
    tmp_path_factory: pytest.TempPathFactory, keys: Path, tokens: dict[str, tuple[str, str]]
) -> Iterator[Running]:
    """A real server that takes tokens of both kinds."""
    file = tmp_path_factory.mktemp("tokens") / "tokens"
    file.write_text("\n".join(line for _, line in tokens.values()))
    with serving(
        *("--root", str(SCANS), "--scope", "screen", "--token-file", str(file), "--max-body-mib", "1"),
        *("--jwt-issuer", ISSUER, "--jwt-keys", str(keys), "--resource-url", RESOURCE),
    ) as running:
        yield running


@pytest.fixture(scope="module")
def replicas(tmp_path_factory: pytest.TempPathFactory) -> Iterator[list[Running]]:
    """Two real servers with one shelf."""
    options = ("--root", str(SCANS), "--shelf", str(tmp_path_factory.mktemp("shelf")))
    with serving(*options) as first, serving(*options) as second:
        yield [first, second]


def call(
    url: str, era: str, tool: str, token: str | None = None, statuses: set[int] | None = None, **arguments: Any
) -> CallToolResult:
    """Call a tool as a client of an era does, and note with which statuses it was answered."""

    async def note(response: httpx2.Response) -> None:
        if statuses is not None:
            statuses.add(response.status_code)

    async def talk() -> CallToolResult:
        headers = bearer(token) if token is not None else {}
        with anyio.fail_after(2 * PATIENCE_S):
            async with (
                httpx2.AsyncClient(headers=headers, timeout=PATIENCE_S, event_hooks={"response": [note]}) as http,
                Client(streamable_http_client(url, http_client=http), mode=era) as client,
            ):
                return await client.call_tool(tool, arguments)

    return anyio.run(talk)


def answer_of(result: CallToolResult) -> dict[str, Any]:
    """A tool's answer without its timing."""
    assert not result.is_error, result.content
    assert result.structured_content is not None
    return {name: value for name, value in result.structured_content.items() if name != "timing_ms"}


def code_of(result: CallToolResult) -> str:
    assert result.is_error
    [block] = result.content
    assert isinstance(block, TextContent)
    return str(json.loads(block.text)["error"]["code"])


def uploaded(server: Running, *views: bytes, token: str | None = None) -> str:
    headers = bearer(token) if token is not None else {}
    answer = httpx2.post(f"{server.origin}/scans", files=files(*views), headers=headers, timeout=PATIENCE_S)
    assert answer.status_code == 201, answer.text
    return str(answer.json()["scan_id"])


@pytest.mark.parametrize("era", ERAS)
def test_an_uploaded_scan_is_the_same_to_a_tool_as_the_file_itself(replicas: list[Running], era: str) -> None:
    server = replicas[0]
    scan_id = uploaded(server, SCAN.read_bytes())
    by_id = answer_of(call(server.url, era, "detect_threats", scan=scan_id))
    assert by_id == answer_of(call(server.url, era, "detect_threats", scan=SCAN.name))
    assert by_id["scan_id"] == scan_id
    assert by_id["verdict"] == "ALARM"


def test_every_tool_takes_an_uploaded_bag_of_several_views(replicas: list[Running]) -> None:
    scan_id = uploaded(replicas[0], SCAN.read_bytes(), (SCANS / "bag_2.png").read_bytes())

    async def talk() -> None:
        with anyio.fail_after(2 * PATIENCE_S):
            async with Client(replicas[0].url) as client:
                for tool, more in (
                    ("detect_threats", {}),
                    ("explain_scan", {"question": "Is there a gun?"}),
                    ("assess_declaration", {"declared_items": ["belt"]}),
                ):
                    answer = answer_of(await client.call_tool(tool, {"scan": scan_id, **more}))
                    assert answer["scan_id"] == scan_id
                picture = await client.call_tool("view_scan", {"scan": scan_id})
                assert not picture.is_error
                assert any(isinstance(block, ImageContent) for block in picture.content)
                [kept] = (await client.read_resource(f"xray://scans/{scan_id}")).contents
                assert isinstance(kept, BlobResourceContents)

    anyio.run(talk)


@pytest.mark.parametrize("era", ERAS)
def test_a_replica_answers_for_a_scan_that_another_one_took_in(replicas: list[Running], era: str) -> None:
    first, second = replicas
    scan_id = uploaded(first, SCAN.read_bytes())
    by_second = answer_of(call(second.url, era, "detect_threats", scan=scan_id))
    assert by_second == answer_of(call(first.url, era, "detect_threats", scan=scan_id))
    seen = answer_of(call(second.url, era, "detect_threats", scan="bag_3.png"))["scan_id"]
    assert answer_of(call(first.url, era, "explain_scan", scan=seen))["scan_id"] == seen


@pytest.mark.parametrize("era", ERAS)
@pytest.mark.parametrize("kind", ["in a file", "signed"])
def test_a_holder_of_a_token_screens_a_bag(
    locked: Running, tokens: dict[str, tuple[str, str]], kind: str, era: str
) -> None:
    token = tokens["ann"][0] if kind == "in a file" else signed()
    assert answer_of(call(locked.url, era, "detect_threats", token, scan=SCAN.name))["verdict"] == "ALARM"


@pytest.mark.parametrize("era", ERAS)
@pytest.mark.parametrize("token", [None, "xray_made-up", signed(FORGED)], ids=["none", "made up", "forged"])
def test_a_client_without_a_good_token_gets_nowhere(locked: Running, token: str | None, era: str) -> None:
    statuses: set[int] = set()
    with pytest.RaisesGroup(MCPError, flatten_subgroups=True):
        call(locked.url, era, "detect_threats", token, statuses, scan=SCAN.name)
    assert statuses == {401}


@pytest.mark.parametrize("era", ERAS)
def test_an_agent_that_sends_too_much_reads_what_to_do_instead(
    locked: Running, tokens: dict[str, tuple[str, str]], era: str
) -> None:
    picture = "data:image/png;base64," + "A" * 2_000_000
    with pytest.RaisesGroup(pytest.RaisesExc(MCPError, match="scan_too_large.*/scans"), flatten_subgroups=True):
        call(locked.url, era, "detect_threats", tokens["ann"][0], scan=picture)


@pytest.mark.parametrize("era", ERAS)
def test_a_callers_scans_are_nobody_elses(locked: Running, tokens: dict[str, tuple[str, str]], era: str) -> None:
    ann, bob = tokens["ann"][0], tokens["bob"][0]
    own = uploaded(
        locked, (SCANS / "bag_4.png").read_bytes(), (SCANS / f"bag_{5 + ERAS.index(era)}.png").read_bytes(), token=ann
    )
    assert answer_of(call(locked.url, era, "detect_threats", ann, scan=own))["scan_id"] == own
    for stranger in (bob, signed(), signed(sub="ann", client_id="ann")):
        assert code_of(call(locked.url, era, "detect_threats", stranger, scan=own)) == "unknown_scan"


@pytest.mark.parametrize(
    "target",
    [
        "//mcp",
        "/healthz/../mcp",
        "/healthz%2f..%2fmcp",
        "/%6dcp",
        "/healthz/anything",
        "/readyzfoo",
        "/healthz%00",
        "*",
    ],
)
@pytest.mark.parametrize("method", ["GET", "POST"])
def test_no_spelling_of_an_address_leads_past_the_gate(locked: Running, method: str, target: str) -> None:
    address = httpx2.URL(locked.origin)
    with socket.create_connection((address.host, address.port), timeout=PATIENCE_S) as connection:
        request = f"{method} {target} HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
        connection.sendall(request.encode())
        status = connection.makefile("rb").readline()
    assert status.startswith(b"HTTP/1.1 401 ")
