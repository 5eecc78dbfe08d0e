"""Clients can ask what chats here, and nobody learns more than that."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from openai import AuthenticationError, NotFoundError, OpenAI
from openai.types import Model
from xray_servers.access import BearerTokens, new_token
from xray_servers.http.openai import models

from tests.servers.http.serving import app_with, service_at, serving


@pytest.fixture(scope="module")
def origin(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    service = service_at(tmp_path_factory.mktemp("models"))
    with serving(app_with(service, models.router(service))) as origin:
        yield origin


@pytest.fixture
def client(origin: str) -> Iterator[OpenAI]:
    with OpenAI(base_url=f"{origin}/v1", api_key="any", max_retries=0) as client:
        yield client


def test_every_model_is_listed_as_openai_lists_models(client: OpenAI) -> None:
    [model] = client.models.list().data
    assert Model.model_validate(model.model_dump(exclude_unset=True), strict=True) == model
    assert (model.id, model.object, model.owned_by) == ("xray-screener", "model", "xray-agent-tools")


def test_one_model_is_told_as_in_the_list(client: OpenAI) -> None:
    assert client.models.retrieve("xray-screener") == client.models.list().data[0]


@pytest.mark.parametrize("name", ["gpt-5", "xray/screener", "x" * 5000, "модель"])
def test_an_unknown_model_is_not_found_and_the_error_names_those_there_are(client: OpenAI, name: str) -> None:
    with pytest.raises(NotFoundError) as refusal:
        client.models.retrieve(name)
    error = refusal.value
    assert (error.code, error.param, error.type) == ("model_not_found", "model", "not_found_error")
    assert error.request_id
    assert isinstance(error.body, dict)
    assert error.body["hint"] == "the models are xray-screener"
    assert len(error.message) < 500


@pytest.fixture
def guarded(tmp_path: Path) -> Iterator[tuple[OpenAI, str]]:
    """A client without a good key, and a good key."""
    key, line = new_token("lane-3")
    (tmp_path / "tokens").write_text(f"{line}\n", encoding="utf-8")
    service = service_at(tmp_path)
    app = app_with(service, models.router(service), verifier=BearerTokens(tmp_path / "tokens"))
    with serving(app) as origin, OpenAI(base_url=f"{origin}/v1", api_key="wrong", max_retries=0) as client:
        yield client, key


def test_where_keys_are_needed_nobody_sees_the_models_without_one(guarded: tuple[OpenAI, str]) -> None:
    client, key = guarded
    with pytest.raises(AuthenticationError) as refusal:
        client.models.list()
    assert refusal.value.code == "invalid_api_key"
    assert client.with_options(api_key=key).models.list().data
