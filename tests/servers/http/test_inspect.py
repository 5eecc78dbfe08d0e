"""An inspection is one decision by the policy about one bag, whoever words its reasons."""

from __future__ import annotations

import io
import json
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from PIL import Image
from starlette.testclient import TestClient
from xray_servers.http.inspection import InspectResponse

from tests.servers.http.rest_app import RestApp, picture, rest_app, talking_to, text_of, timeless, uri
from xray_agent_tools import Screener

ROUTE = "/api/v1/inspect"


@pytest.fixture(scope="module")
def app(tmp_path_factory: pytest.TempPathFactory) -> RestApp:
    return rest_app(tmp_path_factory.mktemp("inspect"))


@pytest.fixture(scope="module")
def client(app: RestApp) -> Iterator[TestClient]:
    with talking_to(app) as client:
        yield client


def bag(name: str, **arguments: Any) -> dict[str, Any]:
    """A request about a bag, with a simulated scan unless another is given."""
    return {"scan_id": name, "image_base64": text_of(picture()), "declared_items": []} | arguments


def blank() -> str:
    """A picture on which nothing can be said about any bag."""
    file = io.BytesIO()
    Image.fromarray(np.full((300, 400, 3), 255, np.uint8)).save(file, "PNG")
    return text_of(file.getvalue())


def test_the_flat_answer_says_what_the_full_ones_say(client: TestClient) -> None:
    request = bag("flat", declared_items=["laptop", "umbrella"], mode="both", policy="cabin")
    response = client.post(ROUTE, json=request)
    assert response.status_code == 200
    flat = InspectResponse.model_validate(response.json())
    expected = Screener().assess_declaration(
        picture(), declared_items=["laptop", "umbrella"], policy="cabin", max_detections=40
    )
    assert timeless(flat.assessment.model_dump()) == timeless(expected.model_dump())
    assert flat.scan_id == "flat"
    assert (flat.verdict, flat.risk_level) == (expected.report.verdict, expected.risk_level)
    assert flat.declaration_match == expected.declaration_match
    assert flat.recommended_action == expected.recommended_action
    found = expected.report.detections
    assert found
    assert [(item.item, item.confidence, item.location.box, item.location.region) for item in flat.detected_items] == [
        (detection.label, detection.confidence, detection.box, detection.region) for detection in found
    ]
    assert [item.occluded for item in flat.detected_items] == [
        detection.occlusion.occluded if detection.occlusion else None for detection in found
    ]


def test_the_mode_chooses_who_words_the_reasons_and_never_who_decides(client: TestClient) -> None:
    answers = {
        mode: client.post(ROUTE, json=bag(f"mode {mode}", mode=mode)).json() for mode in ("detect", "vqa", "both")
    }
    rules = " ".join(reason["text"] for reason in answers["detect"]["assessment"]["reasons"])
    words = Screener().explain_scan(picture(), max_detections=40).answer
    assert [answers[mode]["reasoning"] for mode in ("detect", "vqa", "both")] == [rules, words, f"{rules} {words}"]
    assert [answer["explanation"] is None for answer in answers.values()] == [True, False, False]
    assert len({(answer["risk_level"], answer["recommended_action"]) for answer in answers.values()}) == 1


@pytest.mark.parametrize("mode", ["detect", "vqa", "both"])
def test_a_scan_that_shows_nothing_of_a_bag_is_undetermined_and_never_nothing_found(
    client: TestClient, mode: str
) -> None:
    answer = client.post(ROUTE, json=bag(f"blank {mode}", image_base64=blank(), mode=mode)).json()
    assert (answer["verdict"], answer["risk_level"]) == ("UNKNOWN", "undetermined")
    assert answer["recommended_action"] != "CLEAR"
    assert answer["declaration_match"] is None
    assert answer["reasoning"]


def test_a_bag_has_one_decision_and_one_record(app: RestApp, client: TestClient) -> None:
    before = len(app.records())
    first = client.post(ROUTE, json=bag("once", mode="both"))
    again = client.post(ROUTE, json=bag("once", mode="both"))
    assert len(app.records()) == before + 1
    assert again.json() == first.json()
    assert again.headers["x-record-id"] == first.headers["x-record-id"]
    assert again.headers["x-repeated"] == "true"
    conflict = client.post(ROUTE, json=bag("once", mode="both", declared_items=["laptop"]))
    assert (conflict.status_code, conflict.json()["error"]["code"]) == (409, "conflict")
    assert len(app.records()) == before + 1


def test_the_record_holds_the_answer_and_what_made_it(app: RestApp, client: TestClient) -> None:
    response = client.post(ROUTE, json=bag("on record", policy="hold"))
    record = app.service.audit.get(response.headers["x-record-id"])
    answer = response.json()
    assert json.loads(record.answer or "") == answer
    assert (record.operation, record.bag) == ("inspect", "on record")
    assert record.image_sha256 == answer["assessment"]["report"]["image"]["sha256"]
    assert record.model_sha256 == answer["assessment"]["report"]["model"]["sha256"]
    assert record.policy_sha256 == answer["assessment"]["policy"]["sha256"]


def test_an_inspection_is_counted_with_what_it_says(app: RestApp, client: TestClient) -> None:
    answer = client.post(ROUTE, json=bag("counted")).json()
    assert answer["verdict"] == "ALARM"
    counted = app.service.metrics.render()[0].decode()
    for label in {item["label"] for item in answer["assessment"]["report"]["detections"] if item["severity"] != "none"}:
        assert f'xray_detections_total{{label="{label}"}}' in counted
    assert f'sha256="{answer["assessment"]["report"]["model"]["sha256"]}"' in counted


def test_several_pictures_are_the_views_of_one_bag(client: TestClient) -> None:
    answer = client.post(ROUTE, json=bag("views", image_base64=[uri("bag_1.png"), text_of(picture("bag_2.png"))]))
    assert len(answer.json()["assessment"]["report"]["image"]["views"]) == 2


@pytest.mark.parametrize("image", ["/etc/passwd", "scan-0123456789abcdef", "http://127.0.0.1/x.png", "", "data:,x"])
def test_a_picture_is_never_taken_for_a_path_an_id_or_an_address(client: TestClient, image: str) -> None:
    response = client.post(ROUTE, json=bag("no picture", image_base64=image))
    assert (response.status_code, response.json()["error"]["code"]) == (400, "invalid_scan")


@pytest.mark.parametrize(
    "change",
    [
        {"scan_id": None},
        {"scan_id": ""},
        {"declared_items": "laptop"},
        {"mode": "all"},
        {"policy": "/etc/passwd"},
        {"image": "x"},
    ],
)
def test_a_wrong_request_names_the_field(client: TestClient, change: dict[str, Any]) -> None:
    response = client.post(ROUTE, json=bag("wrong") | change)
    assert response.status_code == 400
    assert response.json()["error"]["param"] == next(iter(change))
