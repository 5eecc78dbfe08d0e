"""Every tool can be asked by plain HTTP, whatever the scan comes as, and each decision is on record once."""

from __future__ import annotations

import io
import json
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from httpx2 import Response
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image
from starlette.testclient import TestClient
from xray_servers.access import BearerTokens, new_token
from xray_servers.desk import DeskLimits

from tests.servers.http.rest_app import SCANS, RestApp, picture, rest_app, talking_to, text_of, timeless, uri
from xray_agent_tools.report import Assessment, Explanation, PictureCaption, ThreatReport

TOOL_ROUTES = {"/v1/detect": {}, "/v1/explain": {}, "/v1/assess": {"declared_items": ["laptop"]}}


@pytest.fixture(scope="module")
def app(tmp_path_factory: pytest.TempPathFactory) -> RestApp:
    """A server that reads no paths and asks for no keys."""
    return rest_app(tmp_path_factory.mktemp("rest"))


@pytest.fixture(scope="module")
def client(app: RestApp) -> Iterator[TestClient]:
    with talking_to(app) as client:
        yield client


def error_of(response: Response, status: int) -> dict[str, Any]:
    """The error in a response, which says what went wrong and what to do."""
    assert response.status_code == status, response.text
    ((name, error),) = response.json().items()
    assert name == "error"
    assert error["message"]
    assert error["hint"]
    assert isinstance(error, dict)
    return error


def files(*names: str) -> list[tuple[str, tuple[str | None, str | bytes, str | None]]]:
    """Views as the files of a form."""
    return [("view", (name, picture(name), "image/png")) for name in names]


def test_a_detection_is_the_tools_typed_answer_and_is_on_record(app: RestApp, client: TestClient) -> None:
    response = client.post("/v1/detect", json={"scan": uri()})
    assert response.status_code == 200
    report = ThreatReport.model_validate(response.json())
    record = app.service.audit.get(response.headers["x-record-id"])
    assert json.loads(record.answer or "") == response.json()
    assert (record.operation, record.outcome, record.bag) == ("detect_threats", "answered", None)
    assert (record.image_sha256, record.model_sha256) == (report.image.sha256, report.model.sha256)
    assert "x-repeated" not in response.headers


def test_an_explanation_and_an_assessment_are_the_tools_typed_answers(client: TestClient) -> None:
    explained = client.post("/v1/explain", json={"scan": uri(), "question": "Is there a knife?"})
    assert Explanation.model_validate(explained.json()).question == "Is there a knife?"
    assessed = client.post("/v1/assess", json={"scan": uri(), "declared_items": ["laptop"], "policy": "cabin"})
    assert Assessment.model_validate(assessed.json()).policy.name == "cabin"


def test_a_scan_may_come_as_a_data_uri_as_base64_as_a_file_or_by_its_id(client: TestClient) -> None:
    uploaded = client.post("/v1/scans", content=picture())
    assert uploaded.status_code == 201
    scan_id = uploaded.json()["scan_id"]
    answers = [client.post("/v1/detect", json={"scan": scan}) for scan in (uri(), [uri()], text_of(picture()), scan_id)]
    answers.append(client.post("/v1/detect", files=files("bag_1.png")))
    assert [answer.status_code for answer in answers] == [200] * 5
    first, *others = [timeless(answer.json()) for answer in answers]
    assert all(other == first for other in others)


def test_files_of_a_form_are_the_views_of_one_bag_in_order(client: TestClient) -> None:
    by_form = client.post("/v1/detect", files=files("bag_1.png", "bag_2.png"))
    by_json = client.post("/v1/detect", json={"scan": [uri("bag_1.png"), uri("bag_2.png")]})
    assert timeless(by_form.json()) == timeless(by_json.json())
    assert len(by_form.json()["image"]["views"]) == 2


@pytest.mark.parametrize("declared", [["laptop", "umbrella"], '["laptop", "umbrella"]'])
def test_a_list_in_a_form_is_repeated_or_written_as_json(client: TestClient, declared: list[str] | str) -> None:
    form = {"declared_items": declared, "max_detections": "1", "detail": "full"}
    response = client.post("/v1/assess", data=form, files=files("bag_1.png"))
    assert [item["name"] for item in response.json()["items"]][:2] == ["laptop", "umbrella"]
    assert len(response.json()["report"]["detections"]) == 1


def test_one_word_in_a_form_is_a_list_of_one(client: TestClient) -> None:
    response = client.post("/v1/assess", data={"declared_items": "laptop"}, files=files("bag_1.png"))
    assert response.json()["items"][0]["name"] == "laptop"


def test_a_form_may_name_an_uploaded_scan_but_not_beside_files(client: TestClient) -> None:
    scan_id = client.post("/v1/scans", files=files("bag_2.png")).json()["scan_id"]
    named: list[tuple[str, tuple[str | None, str | bytes, str | None]]] = [("scan", (None, scan_id, None))]
    assert client.post("/v1/detect", files=named).json()["scan_id"] == scan_id
    assert "not both" in error_of(client.post("/v1/detect", files=[*named, *files("bag_1.png")]), 400)["hint"]


def test_a_file_that_is_no_view_is_refused_and_not_passed_over(app: RestApp, client: TestClient) -> None:
    before = len(app.records())
    sent = [*files("bag_1.png"), *((f"{name}2", file) for name, file in files("bag_2.png"))]
    for path in ("/v1/detect", "/v1/scans"):
        assert "'view2'" in error_of(client.post(path, files=sent), 400)["message"]
    assert len(app.records()) == before


@pytest.mark.parametrize("path", ["/etc/passwd", "bag_1.png", str(SCANS / "bag_1.png"), "../../x.png"])
def test_no_path_is_read_where_the_operator_gave_no_folder(client: TestClient, path: str) -> None:
    error = error_of(client.post("/v1/detect", json={"scan": path}), 403)
    assert error["code"] == "access_denied"


def test_a_path_in_the_operators_folder_is_read(tmp_path: Path) -> None:
    with talking_to(rest_app(tmp_path, roots=(SCANS,))) as client:
        report = client.post("/v1/detect", json={"scan": "bag_1.png"})
        assert report.status_code == 200
        assert timeless(report.json()) == timeless(client.post("/v1/detect", json={"scan": uri()}).json())
        error_of(client.post("/v1/detect", json={"scan": "/etc/passwd"}), 403)


@pytest.mark.parametrize("path", TOOL_ROUTES)
def test_the_same_bag_has_one_decision_and_another_request_about_it_is_a_conflict(
    app: RestApp, client: TestClient, path: str
) -> None:
    request = {"scan": uri(), "bag": f"bag of {path}"} | TOOL_ROUTES[path]
    first = client.post(path, json=request)
    before = len(app.records())
    again = client.post(path, json=request)
    assert again.json() == first.json()
    assert again.headers["x-record-id"] == first.headers["x-record-id"]
    assert (first.headers.get("x-repeated"), again.headers["x-repeated"]) == (None, "true")
    error = error_of(client.post(path, json=request | {"max_detections": 3}), 409)
    assert error["code"] == "conflict"
    assert len(app.records()) == before


def test_a_refusal_is_on_record_and_leaves_the_bag_free(app: RestApp, client: TestClient) -> None:
    request = {"bag": "refused once"}
    error = error_of(client.post("/v1/detect", json=request | {"scan": text_of(b"no picture" * 20)}), 400)
    record = app.records()[-1]
    assert (record.outcome, record.error_code) == ("refused", error["code"])
    answered = client.post("/v1/detect", json=request | {"scan": uri()})
    assert (answered.status_code, answered.headers.get("x-repeated")) == (200, None)


def test_a_busy_server_says_when_to_come_back(
    app: RestApp, client: TestClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    limits: DeskLimits = app.service.desk.limits
    before = len(app.records())
    monkeypatch.setattr(app.service.desk, "admitted", limits.workers + limits.waiting)
    response = client.post("/v1/detect", json={"scan": uri()})
    error = error_of(response, 429)
    assert error["code"] == "overloaded"
    assert int(response.headers["Retry-After"]) >= 1
    assert len(app.records()) == before


def test_a_picture_shows_what_its_caption_says(app: RestApp, client: TestClient) -> None:
    response = client.post("/v1/view", json={"scan": uri(), "boxes": True})
    assert response.headers["content-type"] == "image/jpeg"
    caption = PictureCaption.model_validate_json(response.headers["x-caption"])
    assert Image.open(io.BytesIO(response.content)).size == (caption.width, caption.height)
    record = app.service.audit.get(response.headers["x-record-id"])
    assert (record.operation, json.loads(record.answer or "")) == ("view_scan", caption.model_dump())


def test_a_form_has_the_views_as_files_and_the_index_of_one_as_text(client: TestClient) -> None:
    response = client.post("/v1/view", data={"view": "1", "boxes": "false"}, files=files("bag_1.png", "bag_2.png"))
    assert json.loads(response.headers["x-caption"])["view"] == 1


@pytest.mark.parametrize("sent", [{"content": picture()}, {"files": files("bag_1.png")}])
def test_an_upload_is_kept_under_an_id_for_a_stated_time(client: TestClient, sent: dict[str, Any]) -> None:
    response = client.post("/v1/scans", **sent)
    assert response.status_code == 201
    kept = response.json()
    report = client.post("/v1/detect", json={"scan": kept["scan_id"]}).json()
    assert (report["image"]["width"], report["image"]["height"]) == (kept["width"], kept["height"])
    assert kept["kept_for_s"] > 0


@pytest.mark.parametrize(
    "sent",
    [
        {"content": b""},
        {"content": b"no picture"},
        {"data": {"note": "no file"}, "files": {}},
        {"files": [("other", (None, "text"))]},
        {"content": b"no form", "headers": {"content-type": "multipart/form-data; boundary=x"}},
        {"content": b"no form", "headers": {"content-type": "Multipart/Form-Data"}},
    ],
)
def test_an_upload_without_a_scan_is_refused_with_the_next_step(client: TestClient, sent: dict[str, Any]) -> None:
    assert error_of(client.post("/v1/scans", **sent), 400)["code"] == "invalid_scan"


def test_a_form_that_finds_no_room_is_an_honest_error(
    client: TestClient, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "gone"))
    large = [("view", ("large.png", b"x" * 3_000_000, "image/png"))]
    assert error_of(client.post("/v1/scans", files=large), 507)["code"] == "storage_full"


@pytest.mark.parametrize(
    ("body", "param"),
    [
        ({}, "scan"),
        ({"scan": 5}, "scan"),
        ({"scan": "x", "unknown": 1}, "unknown"),
        ({"scan": "x", "max_detections": 0}, "max_detections"),
        ({"scan": "x", "bag": ""}, "bag"),
        ({"scan": "x", "bag": "two\nlines"}, "bag"),
        ({"scan": "x", "bag": "x" * 129}, "bag"),
        ([], None),
    ],
)
def test_a_wrong_argument_is_named(client: TestClient, body: object, param: str | None) -> None:
    error = error_of(client.post("/v1/detect", json=body), 400)
    assert (error["code"], error["param"]) == ("invalid_argument", param)


@pytest.mark.parametrize("body", [b"", b"{", b"\xff", b'{"scan": "\\ud800"}', b"[" * 100_000, b"NaN"])
def test_what_is_no_json_is_refused(client: TestClient, body: bytes) -> None:
    response = client.post("/v1/detect", content=body, headers={"content-type": "application/json; charset=utf-8"})
    assert error_of(response, 400)["code"] == "invalid_argument"


@pytest.mark.parametrize("kind", ["text/plain", "application/x-www-form-urlencoded", "image/png", ""])
def test_a_body_of_another_kind_is_refused(client: TestClient, kind: str) -> None:
    for path in (*TOOL_ROUTES, "/v1/view", "/v1/batch", "/v1/feedback", "/v1/override", "/api/v1/inspect"):
        response = client.post(path, content=b"{}", headers={"content-type": kind})
        assert error_of(response, 415)["code"] == "unsupported_media_type"


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=12), inner, max_size=4),
    max_leaves=8,
)
NAMES = "scan labels min_confidence max_detections detail bag question declared_items policy".split()
ARGUMENTS = st.fixed_dictionaries({}, optional=dict.fromkeys(NAMES, JSON))


@given(path=st.sampled_from([*TOOL_ROUTES, "/v1/view"]), body=JSON | ARGUMENTS)
@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_whatever_json_is_sent_the_answer_is_a_refusal_with_a_next_step(
    client: TestClient, path: str, body: object
) -> None:
    headers = {"content-type": "application/json"}
    response = client.post(path, content=json.dumps(body).encode(), headers=headers)
    assert error_of(response, response.status_code)
    assert response.status_code in {400, 403, 404, 413}


@given(
    path=st.sampled_from([*TOOL_ROUTES, "/v1/view", "/v1/scans"]),
    parts=st.lists(
        st.tuples(
            st.sampled_from(["view", "scan", "labels", "declared_items", "max_detections", "bag", "other"]),
            st.tuples(st.none() | st.just("file.png"), st.binary(max_size=30)),
        ),
        max_size=5,
    ),
)
@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_whatever_form_is_sent_the_answer_is_a_refusal_with_a_next_step(
    client: TestClient, path: str, parts: list[tuple[str, tuple[str | None, bytes]]]
) -> None:
    response = client.post(path, files=[*parts, ("end", (None, b""))])
    assert error_of(response, response.status_code)
    assert response.status_code in {400, 403, 404, 413}


def test_a_key_is_asked_for_before_a_body_is_read(tmp_path: Path) -> None:
    token, line = new_token("lane-3")
    (tmp_path / "tokens").write_text(line + " feedback\n")
    with talking_to(rest_app(tmp_path, verifier=BearerTokens(tmp_path / "tokens"))) as client:
        for path in (
            *TOOL_ROUTES,
            "/v1/view",
            "/v1/scans",
            "/v1/batch",
            "/v1/feedback",
            "/v1/override",
            "/api/v1/inspect",
        ):
            assert error_of(client.post(path, content=b"{"), 401)["code"] == "invalid_api_key"
        known = {"authorization": f"Bearer {token}"}
        assert error_of(client.post("/v1/detect", content=b"{", headers=known), 403)["code"] == "insufficient_scope"


def test_feedback_is_a_further_record_beside_the_decision(app: RestApp, client: TestClient) -> None:
    decided = client.post("/v1/detect", json={"scan": uri()}).headers["x-record-id"]
    before = app.service.audit.get(decided)
    said = {"record_id": decided, "kind": "missed", "note": "a knife in the lining", "labels": ["knife"]}
    response = client.post("/v1/feedback", json=said)
    assert response.status_code == 201
    assert response.json()["about"] == decided
    record = app.service.audit.get(response.json()["record_id"])
    assert (record.kind, record.about, record.statement) == ("feedback", decided, "missed")
    assert (record.note, record.labels) == ("a knife in the lining", "knife")
    assert app.service.audit.get(decided) == before


@pytest.mark.parametrize(
    ("change", "status", "code"),
    [
        ({"record_id": "never-given"}, 404, "unknown_record"),
        ({"labels": ["no such thing"]}, 400, "unknown_label"),
        ({"kind": "wrong"}, 400, "invalid_argument"),
        ({"note": "x" * 4001}, 400, "invalid_argument"),
        ({"note": "nul \x00"}, 400, "invalid_argument"),
        ({"record_id": "\x00"}, 400, "invalid_argument"),
    ],
)
def test_feedback_that_says_nothing_about_a_decision_is_refused(
    app: RestApp, client: TestClient, change: dict[str, Any], status: int, code: str
) -> None:
    said = {"record_id": client.post("/v1/detect", json={"scan": uri()}).headers["x-record-id"], "kind": "confirmed"}
    before = len(app.records())
    assert error_of(client.post("/v1/feedback", json=said | change), status)["code"] == code
    assert len(app.records()) == before


def test_an_override_is_a_further_record_that_says_who_did_what(app: RestApp, client: TestClient) -> None:
    decided = client.post("/v1/detect", json={"scan": uri()}).headers["x-record-id"]
    said = {"record_id": decided, "action": "PHYSICAL_INSPECTION", "note": "the dog sat down"}
    response = client.post("/v1/override", json=said)
    assert response.status_code == 201
    record = app.service.audit.get(response.json()["record_id"])
    assert (record.kind, record.about, record.statement) == ("override", decided, "PHYSICAL_INSPECTION")
    error_of(client.post("/v1/override", json=said | {"action": "WAVE_THROUGH"}), 400)
    error_of(client.post("/v1/override", json=said | {"record_id": "record-none"}), 404)


def test_feedback_about_feedback_is_refused(client: TestClient) -> None:
    decided = client.post("/v1/detect", json={"scan": uri()}).headers["x-record-id"]
    said = client.post("/v1/feedback", json={"record_id": decided, "kind": "confirmed"}).json()["record_id"]
    error_of(client.post("/v1/feedback", json={"record_id": said, "kind": "confirmed"}), 404)
