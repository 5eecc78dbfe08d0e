"""The same calls through real clients, each in its own environment.

Six clients of the Model Context Protocol over stdio and over HTTP, and eight of OpenAI's API. What the model behind
each client would see, or what its caller gets, is compared with the answer of the same call in Python.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path

import click
from rich.box import SIMPLE
from rich.console import Console
from rich.table import Table
from rich.text import Text

from tests.clients.chat_trials import ChatTrial, chat_servers, chat_trial_of
from tests.clients.clients import CHAT_CLIENTS, MCP_CLIENTS, Client
from tests.clients.servers import over_http, over_stdio
from tests.clients.trials import Trial, trials_of
from xray_agent_tools import Screener
from xray_agent_tools.errors import XrayToolsError
from xray_agent_tools.report import ThreatReport

ROOT = Path(__file__).parents[2]
SCANS = ROOT / "examples" / "scans"
ENVIRONMENTS = ROOT / "out" / "clients"
ASKED = ("bag_1.png", "bag_5.png", "no_such_bag.png")
"""A scan with one item, one with several of which two share a label, and one that does not exist."""

Direct = Mapping[str, ThreatReport | XrayToolsError]


@click.command(help=__doc__)
@click.option(
    "--only",
    multiple=True,
    type=click.Choice(sorted({client.name for client in (*MCP_CLIENTS, *CHAT_CLIENTS)})),
    help="Try this client alone; may be given several times.",
)
@click.option("--speaks", type=click.Choice(["mcp", "chat"]), help="Try clients of this protocol alone.")
@click.option(
    "--json", "record", type=click.Path(dir_okay=False, path_type=Path), help="Write the record to this file."
)
def main(only: tuple[str, ...], speaks: str | None, record: Path | None) -> None:
    """Try the clients, print two tables and end with 1 if any failed."""

    def chosen(clients: Sequence[Client]) -> list[Client]:
        return [one for one in clients if (one.name in only or not only) and speaks in (one.speaks, None)]

    ENVIRONMENTS.mkdir(parents=True, exist_ok=True)
    direct = direct_answers()
    mcp = list(try_mcp(chosen(MCP_CLIENTS), direct))
    chat = list(try_chat(chosen(CHAT_CLIENTS), direct))
    show(mcp, chat)
    if record is not None:
        record.parent.mkdir(parents=True, exist_ok=True)
        kept = {"mcp": [asdict(trial) for trial in mcp], "chat": [asdict(trial) for trial in chat]}
        record.write_text(json.dumps(kept, indent=2) + "\n", encoding="utf-8")
    sys.exit(any(trial.problems for trial in mcp) or any(trial.problems for trial in chat))


def direct_answers() -> dict[str, ThreatReport | XrayToolsError]:
    """What Python answers on each scan that the clients ask about."""
    screener = Screener(roots=[SCANS])
    answers: dict[str, ThreatReport | XrayToolsError] = {}
    for scan in ASKED:
        try:
            answers[scan] = screener.detect_threats(str(SCANS / scan))
        except XrayToolsError as error:
            answers[scan] = error
    return answers


def try_mcp(clients: Sequence[Client], direct: Direct) -> Iterator[Trial]:
    """Try clients of the Model Context Protocol."""
    if not clients:
        return
    with over_http(SCANS, ENVIRONMENTS / "server.log") as reached:
        servers = {"stdio": over_stdio(SCANS), "http": reached}
        for client in clients:
            click.echo(f"Trying {client.name} over MCP ...", err=True)
            yield from trials_of(client, ENVIRONMENTS, servers, direct)


def try_chat(clients: Sequence[Client], direct: Direct) -> Iterator[ChatTrial]:
    """Try clients of OpenAI's API."""
    if not clients:
        return
    reports = {scan: answer for scan, answer in direct.items() if isinstance(answer, ThreatReport)}
    with chat_servers(clients, ENVIRONMENTS / "xray-serve") as servers:
        for client in clients:
            click.echo(f"Trying {client.name} over OpenAI's API ...", err=True)
            yield chat_trial_of(client, ENVIRONMENTS, servers, SCANS, reports)


def show(mcp: Sequence[Trial], chat: Sequence[ChatTrial]) -> None:
    """Print what came of the trials as two tables, then every problem."""
    console = Console()
    if mcp:
        console.print(_mcp_table(mcp))
    if chat:
        console.print(_chat_table(chat))
    problems = [
        *((f"{trial.client} {trial.transport}".strip(), problem) for trial in mcp for problem in trial.problems),
        *((trial.client, problem) for trial in chat for problem in trial.problems),
    ]
    for where, problem in problems:
        console.print(Text(f"{where}: {problem}"), soft_wrap=True)


def _mcp_table(trials: Sequence[Trial]) -> Table:
    table = Table("client", "version", "mcp", "over", "protocol", "model gets", "result", box=SIMPLE, pad_edge=False)
    for trial in trials:
        protocol = trial.session.protocol if trial.session else ""
        table.add_row(
            trial.client, trial.version, trial.mcp, trial.transport, protocol, trial.shown, _result(trial.problems)
        )
    return table


def _chat_table(trials: Sequence[ChatTrial]) -> Table:
    table = Table("client", "version", "openai", "asks for", "refused", "result", box=SIMPLE, pad_edge=False)
    for trial in trials:
        asked, refused = ", ".join(trial.asked), str(len(trial.refused))
        table.add_row(trial.client, trial.version, trial.openai, asked, refused, _result(trial.problems))
    return table


def _result(problems: Sequence[str]) -> str:
    return "failed" if problems else "OK"


if __name__ == "__main__":
    main()
