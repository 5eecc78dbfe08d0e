"""Our servers speak the protocol: the official conformance suite and the MCP Inspector say so."""

from __future__ import annotations

import os
from pathlib import Path

import anyio
import pytest
from mcp import Client
from xray_servers.desk import DeskLimits, ScreeningDesk
from xray_servers.mcp.application import build_server
from xray_servers.screening import ScreeningSettings

from tests.servers.conformance.fixtures import add_fixtures
from tests.servers.conformance.node import missing
from tests.servers.conformance.outcome import Outcome
from tests.servers.conformance.processes import command
from tests.servers.conformance.run import conform_fixtures, conform_real, inspect, inspect_http
from tests.servers.conformance.suite import FIXTURES, WIRES, Check, Wire, judge

ROOT = Path(__file__).parents[2]
PASSES = Check("works", "SUCCESS", "")
FAILS = Check("breaks", "FAILURE", "broken")
WARNS = Check("lags", "WARNING", "late")


@pytest.fixture(scope="module")
def node() -> Path:
    """Folder with the suite and the Inspector; without it the test is skipped."""
    folder = Path(os.environ.get("XRAY_NODE") or ROOT / "out" / "node")
    if absent := missing(folder):
        pytest.skip(f"no {', '.join(absent)} in {folder}: run 'make conformance' once, or set XRAY_NODE")
    return folder


def failures(outcomes: list[Outcome]) -> list[Outcome]:
    assert outcomes
    return [outcome for outcome in outcomes if outcome.verdict == "failed"]


@pytest.mark.slow
@pytest.mark.parametrize("wire", WIRES)
def test_the_real_server_passes_what_needs_no_fixtures(node: Path, wire: Wire, tmp_path: Path) -> None:
    assert failures(conform_real(node, wire, tmp_path)) == []


@pytest.mark.slow
@pytest.mark.parametrize("wire", WIRES)
def test_the_application_with_fixtures_passes_the_whole_suite(node: Path, wire: Wire, tmp_path: Path) -> None:
    assert failures(conform_fixtures(node, wire, tmp_path)) == []


@pytest.mark.slow
def test_the_inspector_accepts_every_method_over_http(node: Path, tmp_path: Path) -> None:
    assert failures(inspect_http(node, tmp_path)) == []


@pytest.mark.slow
def test_the_inspector_accepts_every_method_over_stdio(node: Path, tmp_path: Path) -> None:
    assert failures(inspect(node, command(tmp_path))) == []


def test_each_fixture_is_on_the_fixture_server_and_none_on_the_real_one(tmp_path: Path) -> None:
    asked_for = set(FIXTURES.values())
    assert asked_for <= anyio.run(names_on_server, tmp_path, True)
    assert not asked_for & anyio.run(names_on_server, tmp_path, False)


async def names_on_server(shelf: Path, with_fixtures: bool) -> set[str]:
    server = build_server(ScreeningDesk(ScreeningSettings(roots=(), shelf=shelf), DeskLimits(warm=False)))
    if with_fixtures:
        add_fixtures(server)
    async with Client(server) as client:
        return {
            *(tool.name for tool in (await client.list_tools()).tools),
            *(prompt.name for prompt in (await client.list_prompts()).prompts),
            *(str(resource.uri) for resource in (await client.list_resources()).resources),
            *(template.uri_template for template in (await client.list_resource_templates()).resource_templates),
        }


def test_a_scenario_passes_when_each_of_its_checks_does() -> None:
    assert judge("ping", "2025-11-25", [PASSES, Check("note", "INFO", "")], {}) == Outcome(
        "ping", "2025-11-25", 1, 1, "passed"
    )


@pytest.mark.parametrize("checks", [[PASSES, FAILS], [PASSES, WARNS], [Check("apart", "SKIPPED", "")], []])
def test_a_failure_a_warning_and_silence_are_no_pass(checks: list[Check]) -> None:
    assert judge("ping", "2025-11-25", checks, {}).verdict == "failed"


@pytest.mark.parametrize("entry", ["ping", "ping:breaks"])
def test_a_failure_that_is_listed_is_expected_and_says_why(entry: str) -> None:
    outcome = judge("ping", "2025-11-25", [PASSES, FAILS], {entry: "the reason"})
    assert (outcome.verdict, outcome.why) == ("expected", "the reason")


def test_a_failure_beside_a_listed_one_is_still_a_failure() -> None:
    outcome = judge("ping", "2025-11-25", [FAILS, WARNS], {"ping:breaks": "the reason"})
    assert (outcome.verdict, outcome.why) == ("failed", "ping:lags: late")


@pytest.mark.parametrize("entry", ["ping", "ping:works"])
def test_a_listed_entry_that_passes_is_stale_and_fails(entry: str) -> None:
    outcome = judge("ping", "2025-11-25", [PASSES], {entry: "the reason"})
    assert (outcome.verdict, outcome.why) == ("failed", f"{entry} passes, but is listed as failing")
