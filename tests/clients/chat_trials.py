"""A client of OpenAI's API tried on a running server, and what came of it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.clients.clients import Client, ClientFailed
from tests.clients.environments import environment_of
from tests.clients.notes import REFUSALS, Note, problems_of
from tests.clients.running import run_program
from tests.clients.servers import new_key, over_openai
from xray_agent_tools.report import ThreatReport

CLIENT_S = 180
EVERY_CLIENT = ("unknown model", "no scan", "wrong key", "too often")
"""What every client is refused."""


@dataclass(frozen=True, slots=True)
class ChatServers:
    """Where the server is reached.

    Attributes:
        url: base URL of one that is open to all.
        keyed_url: base URL of one that wants a key, and takes one call an hour with each.
        keys: a key for each client.
    """

    url: str
    keyed_url: str
    keys: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class ChatTrial:
    """One client.

    Attributes:
        client: the client's name.
        version: its own version; empty if it could not be installed.
        openai: the version of the ``openai`` package below it; empty if there is none.
        notes: what it brought back.
        problems: what was wrong; empty if the trial passed.
    """

    client: str
    version: str = ""
    openai: str = ""
    notes: tuple[Note, ...] = ()
    problems: tuple[str, ...] = ()

    @property
    def asked(self) -> list[str]:
        """Every way of asking about a scan."""
        return list(dict.fromkeys(note.asked for note in self.notes if note.scan))

    @property
    def refused(self) -> list[str]:
        """Everything that had to be refused."""
        return [note.asked for note in self.notes if not note.scan]


@contextmanager
def chat_servers(clients: Sequence[Client], folder: Path) -> Iterator[ChatServers]:
    """Run the server twice: open to all, and with keys.

    Raises:
        click.ClickException: it does not run.
    """
    folder.mkdir(parents=True, exist_ok=True)
    tokens = folder / "tokens.txt"
    tokens.unlink(missing_ok=True)
    keys = {client.name: new_key(client.name, tokens) for client in clients}
    keyed = ("--token-file", str(tokens), "--rate", "1/hour")
    with over_openai(folder / "open") as url, over_openai(folder / "keyed", *keyed) as keyed_url:
        yield ChatServers(url, keyed_url, keys)


def chat_trial_of(
    client: Client, folder: Path, servers: ChatServers, scans: Path, direct: Mapping[str, ThreatReport]
) -> ChatTrial:
    """Install a client and try it.

    Args:
        client: which client.
        folder: keeps the environments.
        servers: the server under test.
        scans: the folder of the scans.
        direct: what Python answers on each scan that the client is to ask about.
    """
    job = {
        "url": servers.url,
        "keyed_url": servers.keyed_url,
        "key": servers.keys[client.name],
        "scans": {name: str(scans / name) for name in direct},
    }
    try:
        environment = environment_of(client, folder)
        versions = environment.versions
        answer = run_program(client, environment.python, job, CLIENT_S)
    except ClientFailed as error:
        return ChatTrial(client.name, problems=(str(error),))
    notes = tuple(Note(**note) for note in answer["notes"])
    problems = (*_missing(notes, direct), *(problem for note in notes for problem in problems_of(note, direct)))
    return ChatTrial(client.name, versions[client.distribution], versions.get("openai", ""), notes, problems)


def _missing(notes: Sequence[Note], direct: Mapping[str, ThreatReport]) -> Iterator[str]:
    """What was not even tried."""
    tried = {(note.asked, note.scan) for note in notes}
    ways = {asked for asked, _ in tried} - REFUSALS.keys() - {"right key"}
    if not ways:
        yield "no way of asking was tried"
    yield from (f"{way} on {scan}: not tried" for way in ways for scan in direct if (way, scan) not in tried)
    yield from (f"{refused}: not tried" for refused in EVERY_CLIENT if (refused, "") not in tried)
    if not any(asked == "right key" for asked, _ in tried):
        yield "right key: not tried"
