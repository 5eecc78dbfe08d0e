"""The OpenAPI document says what the server does, and a machine that only knows the document cannot break it."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx2
import jsonschema
import pytest
from starlette.testclient import TestClient

from tests.servers.http.rest_app import RestApp, picture, rest_app, talking_to, uri
from tests.servers.running import SERVE, serving

SCHEMATHESIS = Path(sys.executable).with_name("schemathesis")
CHECKS = (
    "not_a_server_error",
    "status_code_conformance",
    "content_type_conformance",
    "response_headers_conformance",
    "response_schema_conformance",
    "unsupported_method",
    "allow_header_conformance",
)
PATHS = (
    "/v1/detect",
    "/v1/explain",
    "/v1/assess",
    "/v1/view",
    "/v1/scans",
    "/v1/batch",
    "/v1/feedback",
    "/v1/override",
    "/api/v1/inspect",
)


@pytest.fixture(scope="module")
def app(tmp_path_factory: pytest.TempPathFactory) -> RestApp:
    return rest_app(tmp_path_factory.mktemp("openapi"))


@pytest.fixture(scope="module")
def document(app: RestApp) -> dict[str, Any]:
    return app.routes.openapi()


@pytest.fixture(scope="module")
def client(app: RestApp) -> Iterator[TestClient]:
    with talking_to(app) as client:
        yield client


@pytest.fixture
def origin(tmp_path: Path) -> Iterator[str]:
    """The whole server, as it is started by anybody."""
    with serving("--audit", str(tmp_path / "audit.db"), "--mcp", command=[SERVE]) as server:
        yield server.origin


@pytest.mark.skipif(not SCHEMATHESIS.exists(), reason="schemathesis is not installed: pip install schemathesis")
@pytest.mark.slow
def test_what_the_document_allows_or_forbids_breaks_nothing_and_gives_no_undocumented_answer(
    origin: str, tmp_path: Path
) -> None:
    options = ["--phases", "examples,coverage,fuzzing", "--max-examples", "6", "--seed", "1", "--no-shrink"]
    run = subprocess.run(
        [SCHEMATHESIS, "run", f"{origin}/openapi.json", "--checks", ",".join(CHECKS), *options],
        capture_output=True,
        cwd=tmp_path,
        timeout=120,
        check=False,
    )
    output = run.stdout.decode(errors="replace")
    assert run.returncode == 0, output[-6000:]
    paths = httpx2.get(f"{origin}/openapi.json").json()["paths"]
    assert {"/v1/chat/completions", "/v1/responses", "/metrics", *PATHS} <= set(paths)
    assert f"Tested: {sum(len(operations) for operations in paths.values())}" in output


def test_every_route_is_described_with_its_body_and_its_errors(document: dict[str, Any]) -> None:
    assert set(document["paths"]) == set(PATHS)
    for methods in document["paths"].values():
        (operation,) = methods.values()
        assert operation["summary"]
        assert operation["description"]
        assert operation["tags"]
        assert operation["requestBody"]["content"]
        assert {"400", "401", "403", "413", "429", "500", "503"} <= set(operation["responses"])
        assert "422" not in operation["responses"]
        for status, response in operation["responses"].items():
            assert response["description"], status
            if status >= "400":
                assert response["content"] == {"application/json": {"schema": {"$ref": "#/components/schemas/Error"}}}


def test_every_reference_in_the_document_leads_somewhere(document: dict[str, Any]) -> None:
    references = set(_references_in(document))
    assert references
    assert references <= {f"#/components/schemas/{name}" for name in document["components"]["schemas"]}


@pytest.mark.parametrize("path", [path for path in PATHS if path != "/v1/scans"])
def test_the_example_of_every_body_is_one_that_the_schema_allows(document: dict[str, Any], path: str) -> None:
    content = document["paths"][path]["post"]["requestBody"]["content"]["application/json"]
    jsonschema.Draft202012Validator(content["schema"]).validate(content["example"])


@pytest.mark.parametrize(
    ("path", "status", "sent"),
    [
        ("/v1/detect", 200, {"scan": uri()}),
        ("/v1/explain", 200, {"scan": uri()}),
        ("/v1/assess", 200, {"scan": uri(), "declared_items": ["laptop"]}),
        ("/api/v1/inspect", 200, {"scan_id": "1", "image_base64": uri(), "declared_items": [], "mode": "both"}),
        ("/v1/batch", 200, {"items": [{"id": "1", "scan": uri()}]}),
        ("/v1/detect", 404, {"scan": "scan-0123456789abcdef"}),
        ("/v1/detect", 400, {}),
    ],
)
def test_an_answer_has_the_shape_that_is_documented(
    client: TestClient, document: dict[str, Any], path: str, status: int, sent: dict[str, Any]
) -> None:
    response = client.post(path, json=sent)
    assert response.status_code == status
    content = document["paths"][path]["post"]["responses"][str(status)]["content"]
    schema = {**content[response.headers["content-type"]]["schema"], "components": document["components"]}
    jsonschema.Draft202012Validator(schema).validate(response.json())


def test_an_upload_has_the_shape_that_is_documented(client: TestClient, document: dict[str, Any]) -> None:
    response = client.post("/v1/scans", content=picture())
    assert response.status_code == 201
    schema = document["paths"]["/v1/scans"]["post"]["responses"]["201"]["content"]["application/json"]["schema"]
    jsonschema.Draft202012Validator({**schema, "components": document["components"]}).validate(response.json())


def _references_in(node: Any) -> Iterator[str]:
    if isinstance(node, dict):
        if isinstance(node.get("$ref"), str):
            yield node["$ref"]
        for part in node.values():
            yield from _references_in(part)
    elif isinstance(node, list):
        for part in node:
            yield from _references_in(part)
