"""A client tried over every transport, and what came of it."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.clients.clients import Client, ClientFailed
from tests.clients.environments import Environment, environment_of
from tests.clients.judgement import objects_in, shortfalls
from tests.clients.servers import showing_halves
from tests.clients.sessions import Session, converse
from xray_agent_tools.errors import XrayToolsError
from xray_agent_tools.report import ThreatReport

CLIENT_S = 120


@dataclass(frozen=True, slots=True)
class Trial:
    """One client over one transport.

    Attributes:
        client: the client's name.
        transport: ``stdio`` or ``http``; empty if the client could not be tried at all.
        version: the client's own version.
        mcp: the version of the ``mcp`` package below it.
        shown: which half of a successful answer its model gets: ``content``, ``structured``, ``both`` or ``neither``.
        session: what reached the model; None if the talk was not finished.
        problems: what was wrong; empty if the trial passed.
    """

    client: str
    transport: str = ""
    version: str = ""
    mcp: str = ""
    shown: str = ""
    session: Session | None = None
    problems: tuple[str, ...] = ()


def trials_of(
    client: Client,
    folder: Path,
    servers: Mapping[str, dict[str, Any]],
    direct: Mapping[str, ThreatReport | XrayToolsError],
) -> Iterator[Trial]:
    """Install a client and try it over every transport, all within ``CLIENT_S`` seconds once it is installed.

    Args:
        client: which client.
        folder: keeps the environments.
        servers: the server under test by transport.
        direct: what Python answers on each scan that the client is to ask about.
    """
    try:
        environment = environment_of(client, folder)
        deadline = time.monotonic() + CLIENT_S
        shown = _half_shown(client, environment, deadline)
    except ClientFailed as error:
        yield Trial(client.name, problems=(str(error),))
        return
    for transport, server in servers.items():
        session, problems = _judged(client, environment, server, direct, deadline)
        version, mcp = environment.versions[client.distribution], environment.versions["mcp"]
        yield Trial(client.name, transport, version, mcp, shown, session, problems)


def _judged(
    client: Client,
    environment: Environment,
    server: dict[str, Any],
    direct: Mapping[str, ThreatReport | XrayToolsError],
    deadline: float,
) -> tuple[Session | None, tuple[str, ...]]:
    try:
        session = converse(client, environment.python, server, list(direct), deadline - time.monotonic())
    except ClientFailed as error:
        return None, (str(error),)
    return session, tuple(problem for sight in session.sights for problem in shortfalls(sight, direct[sight.scan]))


def _half_shown(client: Client, environment: Environment, deadline: float) -> str:
    session = converse(client, environment.python, showing_halves(), ["any"], deadline - time.monotonic())
    halves = {item["half"] for sight in session.sights for item in objects_in(sight.value) if "half" in item}
    return "both" if len(halves) > 1 else "".join(halves) or "neither"
