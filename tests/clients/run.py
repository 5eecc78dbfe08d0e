"""The same calls through six real clients, each in its own environment, over stdio and over HTTP.

What the model behind each client would see is compared with the answer of the same call in Python.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

import click
from rich.box import SIMPLE
from rich.console import Console
from rich.table import Table
from rich.text import Text

from tests.clients.clients import CLIENTS
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


@click.command(help=__doc__)
@click.option(
    "--only",
    multiple=True,
    type=click.Choice([client.name for client in CLIENTS]),
    help="Try this client alone; may be given several times.",
)
@click.option(
    "--json", "record", type=click.Path(dir_okay=False, path_type=Path), help="Write the record to this file."
)
def main(only: tuple[str, ...], record: Path | None) -> None:
    """Try the clients, print a table and end with 1 if any failed."""
    chosen = [client for client in CLIENTS if client.name in only or not only]
    ENVIRONMENTS.mkdir(parents=True, exist_ok=True)
    direct = direct_answers()
    trials: list[Trial] = []
    with over_http(SCANS, ENVIRONMENTS / "server.log") as reached:
        servers = {"stdio": over_stdio(SCANS), "http": reached}
        for client in chosen:
            click.echo(f"Trying {client.name} ...", err=True)
            trials.extend(trials_of(client, ENVIRONMENTS, servers, direct))
    show(trials)
    if record is not None:
        record.parent.mkdir(parents=True, exist_ok=True)
        record.write_text(json.dumps([asdict(trial) for trial in trials], indent=2) + "\n", encoding="utf-8")
    sys.exit(any(trial.problems for trial in trials))


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


def show(trials: Sequence[Trial]) -> None:
    """Print what came of the trials as a table, then every problem."""
    table = Table("client", "version", "mcp", "over", "protocol", "model gets", "result", box=SIMPLE, pad_edge=False)
    for trial in trials:
        protocol = trial.session.protocol if trial.session else ""
        result = "failed" if trial.problems else "OK"
        table.add_row(trial.client, trial.version, trial.mcp, trial.transport, protocol, trial.shown, result)
    console = Console()
    console.print(table)
    for trial in trials:
        for problem in trial.problems:
            console.print(Text(f"{trial.client} {trial.transport}".strip() + f": {problem}"), soft_wrap=True)


if __name__ == "__main__":
    main()
