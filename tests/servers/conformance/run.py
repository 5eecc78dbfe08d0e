"""Run the conformance suite and the Inspector against our servers, and show what each scenario and call came to."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import click
from rich.console import Console
from rich.table import Table

from tests.servers.conformance.inspector import Inspector
from tests.servers.conformance.node import missing
from tests.servers.conformance.outcome import Outcome
from tests.servers.conformance.processes import SCANS, fixture_server, real_server, stdio_command
from tests.servers.conformance.suite import WIRES, Wire, run_suite

STYLES = {"passed": "green", "expected": "yellow", "failed": "red"}
SCAN = SCANS / "bag_1.png"


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
        yield f"Conformance of the real server at {wire}", conform_real(node, wire, out)
        yield f"Conformance of the fixture server at {wire}", conform_fixtures(node, wire, out)
    yield "Inspector over HTTP", inspect_http(node, out)
    yield "Inspector over stdio", inspect_stdio(node)


def conform_real(node: Path, wire: Wire, out: Path) -> list[Outcome]:
    """Run the scenarios that need no fixtures against the server that users start."""
    with real_server(out / f"real-{wire}.log") as url:
        return run_suite(node, url, wire, "real", out / f"real-{wire}")


def conform_fixtures(node: Path, wire: Wire, out: Path) -> list[Outcome]:
    """Run every scenario against the application with fixtures, in sessions where the protocol needs them to ask."""
    with fixture_server(out / f"fixture-{wire}.log", sessions=wire == "2025-11-25") as url:
        return run_suite(node, url, wire, "fixture", out / f"fixture-{wire}")


def inspect_http(node: Path, out: Path) -> list[Outcome]:
    """Point the Inspector at the real server over HTTP, in both eras."""
    with real_server(out / "inspector.log") as url:
        return [*Inspector(node, url, "legacy", SCAN).inspect(), *Inspector(node, url, "modern", SCAN).inspect()]


def inspect_stdio(node: Path) -> list[Outcome]:
    """Have the Inspector start the real server on stdio, in both eras."""
    command = stdio_command()
    return [*Inspector(node, command, "legacy", SCAN).inspect(), *Inspector(node, command, "modern", SCAN).inspect()]


def _table(title: str, outcomes: list[Outcome]) -> Table:
    table = Table("Scenario or call", "Wire", "Checks", "Verdict", "Why", title=title, title_justify="left")
    for outcome in outcomes:
        verdict = f"[{STYLES[outcome.verdict]}]{outcome.verdict}[/]"
        table.add_row(outcome.subject, outcome.wire, f"{outcome.passed}/{outcome.total}", verdict, outcome.why)
    return table


if __name__ == "__main__":
    main()
