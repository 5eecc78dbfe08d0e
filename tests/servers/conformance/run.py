"""Run the conformance suite and the Inspector against our servers, and show what each scenario and call came to."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import click
from rich.console import Console
from rich.table import Table

from tests.servers.conformance.inspector import ERAS, Inspector
from tests.servers.conformance.node import missing
from tests.servers.conformance.outcome import Outcome
from tests.servers.conformance.processes import SCANS, command, fixture_server, real_server
from tests.servers.conformance.suite import WIRES, Wire, run_suite

STYLES = {"passed": "green", "expected": "yellow", "failed": "red"}


@click.command()
@click.option("--node", type=click.Path(path_type=Path), default=Path("out/node"), help="Folder with node_modules.")
@click.option("--out", type=click.Path(path_type=Path), default=Path("out/conformance"), help="Folder for records.")
def main(node: Path, out: Path) -> None:
    """Run everything; exit with 1 if something failed that the baselines do not give a reason for."""
    if absent := missing(node):
        raise click.UsageError(f"{node} has no {', '.join(absent)}: run 'make conformance', or give --node.")
    console = Console(width=160 if not sys.stdout.isatty() else None)
    outcomes = []
    for title, part in everything(node, out):
        console.print(_table(title, part))
        outcomes += part
    failed = sum(outcome.verdict == "failed" for outcome in outcomes)
    console.print(f"{len(outcomes)} judged, {failed} failed.")
    sys.exit(1 if failed else 0)


def everything(node: Path, out: Path) -> Iterator[tuple[str, list[Outcome]]]:
    """Run part by part; yields a title with the outcomes."""
    for wire in WIRES:
        yield f"Conformance of the real server at {wire}", conform_real(node, wire, out / f"real-{wire}")
        yield f"Conformance of the fixture server at {wire}", conform_fixtures(node, wire, out / f"fixture-{wire}")
    yield "Inspector over HTTP", inspect_http(node, out / "inspector-http")
    yield "Inspector over stdio", inspect(node, command(out / "inspector-stdio"))


def conform_real(node: Path, wire: Wire, folder: Path) -> list[Outcome]:
    """Run the scenarios that need no fixtures against the server that users start."""
    with real_server(folder) as url:
        return run_suite(node, url, wire, "real", folder / "results")


def conform_fixtures(node: Path, wire: Wire, folder: Path) -> list[Outcome]:
    """Run every scenario against the application with fixtures, in sessions where the protocol needs them to ask."""
    with fixture_server(folder, sessions=wire == "2025-11-25") as url:
        return run_suite(node, url, wire, "fixture", folder / "results")


def inspect_http(node: Path, folder: Path) -> list[Outcome]:
    """Point the Inspector at the real server over HTTP."""
    with real_server(folder) as url:
        return inspect(node, url)


def inspect(node: Path, target: str | Sequence[str]) -> list[Outcome]:
    """Point the Inspector at a server, in both eras at once."""
    inspectors = [Inspector(node, target, era, SCANS / "bag_1.png") for era in ERAS]
    with ThreadPoolExecutor() as pool:
        return [outcome for part in pool.map(Inspector.inspect, inspectors) for outcome in part]


def _table(title: str, outcomes: list[Outcome]) -> Table:
    table = Table("Scenario or call", "Wire", "Checks", "Verdict", "Why", title=title, title_justify="left")
    for outcome in outcomes:
        verdict = f"[{STYLES[outcome.verdict]}]{outcome.verdict}[/]"
        table.add_row(outcome.subject, outcome.wire, f"{outcome.passed}/{outcome.total}", verdict, outcome.why)
    return table


if __name__ == "__main__":
    main()
