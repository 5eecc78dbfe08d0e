from __future__ import annotations

import pytest

from tests.clients.clients import CHAT_CLIENTS, MCP_CLIENTS, Client

EVERY = (*MCP_CLIENTS, *CHAT_CLIENTS)


@pytest.mark.parametrize("client", EVERY, ids=lambda client: f"{client.speaks}-{client.name}")
def test_every_client_has_a_program(client: Client) -> None:
    assert client.program.is_file()


@pytest.mark.parametrize("client", EVERY, ids=lambda client: f"{client.speaks}-{client.name}")
def test_requirements_name_exact_versions_only(client: Client) -> None:
    lines = client.requirements.read_text(encoding="utf-8").splitlines()
    assert any(line.partition("==")[0].partition("[")[0] == client.distribution for line in lines)
    for line in lines:
        name, _, version = line.partition("==")
        assert name
        assert version
        assert not set(line) & set("/@:; ")
