"""The official conformance suite: what it demands, what of that needs fixtures, and how a run is judged.

The suite's ``--requirements`` gives the scenarios of a protocol version. Those that it marks as extensions (tasks) are
optional by definition, and we do not offer them: they are not judged. All others are judged, those that the suite itself
does not score too.
"""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import yaml

from tests.servers.conformance.node import environment
from tests.servers.conformance.outcome import Outcome, Verdict

Wire = Literal["2025-11-25", "2026-07-28"]
Server = Literal["real", "fixture"]

WIRES: tuple[Wire, ...] = ("2025-11-25", "2026-07-28")
HERE = Path(__file__).parent
PACKAGE = Path("node_modules") / "@modelcontextprotocol" / "conformance"

FIXTURES: dict[str, str] = {
    "tools-call-simple-text": "test_simple_text",
    "tools-call-image": "test_image_content",
    "tools-call-audio": "test_audio_content",
    "tools-call-embedded-resource": "test_embedded_resource",
    "tools-call-mixed-content": "test_multiple_content_types",
    "tools-call-with-logging": "test_tool_with_logging",
    "tools-call-error": "test_error_handling",
    "tools-call-with-progress": "test_tool_with_progress",
    "tools-call-sampling": "test_sampling",
    "tools-call-elicitation": "test_elicitation",
    "elicitation-sep1034-defaults": "test_elicitation_sep1034_defaults",
    "elicitation-sep1330-enums": "test_elicitation_sep1330_enums",
    "json-schema-2020-12": "json_schema_2020_12_tool",
    "http-custom-header-server-validation": "test_custom_header",
    "server-sse-polling": "test_reconnection",
    "resources-read-text": "test://static-text",
    "resources-read-binary": "test://static-binary",
    "resources-templates-read": "test://template/{id}/data",
    "resources-subscribe": "test://watched-resource",
    "resources-unsubscribe": "test://watched-resource",
    "prompts-get-simple": "test_simple_prompt",
    "prompts-get-with-args": "test_prompt_with_arguments",
    "prompts-get-embedded-resource": "test_prompt_with_embedded_resource",
    "prompts-get-with-image": "test_prompt_with_image",
    "input-required-result-basic-elicitation": "test_input_required_result_elicitation",
    "input-required-result-basic-sampling": "test_input_required_result_sampling",
    "input-required-result-basic-list-roots": "test_input_required_result_list_roots",
    "input-required-result-request-state": "test_input_required_result_request_state",
    "input-required-result-multiple-input-requests": "test_input_required_result_multiple_inputs",
    "input-required-result-multi-round": "test_input_required_result_multi_round",
    "input-required-result-missing-input-response": "test_input_required_result_elicitation",
    "input-required-result-non-tool-request": "test_input_required_result_prompt",
    "input-required-result-result-type": "test_input_required_result_elicitation",
    "input-required-result-tampered-state": "test_input_required_result_tampered_state",
    "input-required-result-capability-check": "test_input_required_result_capabilities",
    "input-required-result-ignore-extra-params": "test_input_required_result_elicitation",
    "input-required-result-validate-input": "test_input_required_result_elicitation",
    "server-stateless:sep-2575-server-rejects-undeclared-capability": "test_missing_capability",
    "server-stateless:sep-2575-missing-capability-http-400": "test_missing_capability",
    "server-stateless:sep-2575-http-server-no-independent-requests-on-stream": "test_streaming_elicitation",
    "server-stateless:sep-2575-server-no-log-without-loglevel": "test_logging_tool",
    "server-stateless:sep-2575-server-sends-tools-list-changed-on-subscription": "test_trigger_tool_change",
    "server-stateless:sep-2575-server-sends-prompts-list-changed-on-subscription": "test_trigger_prompt_change",
}
"""Which fixture a scenario, or one check of it, calls by name. The real server shall pass all that is not here.

Some of these pass without their fixture too, because an error is all that they look at (``tools-call-simple-text``,
``tools-call-error``, three of ``input-required-result``, two checks of ``server-stateless``). That proves nothing, so
none of them counts for the real server. It has no subscriptions either, as nothing that it lists changes.
"""


@dataclass(frozen=True, slots=True)
class Check:
    """One check of a scenario, as the suite reports it."""

    id: str
    status: str
    message: str

    @property
    def judged(self) -> bool:
        """Whether the check says anything: skipped ones and remarks do not."""
        return self.status in ("SUCCESS", "FAILURE", "WARNING")


def scenarios(node: Path, wire: Wire, server: Server) -> list[str]:
    """The scenarios that a server is judged by, in the suite's order."""
    demands = yaml.safe_load((node / PACKAGE / "requirements" / f"{wire}.yaml").read_text(encoding="utf-8"))
    extra = [
        entry["scenario"]
        for entry in demands["not_scored"]
        if entry["leg"] == "server" and entry["reason"] != "extension"
    ]
    every: list[str] = [*demands["server"], *extra]
    return every if server == "fixture" else [name for name in every if name not in FIXTURES]


def known_failures(server: Server, wire: Wire) -> dict[str, str]:
    """What a server is known not to pass at a protocol version, and why: scenarios, or ``scenario:check``."""
    listed = yaml.safe_load((HERE / f"{server}.yml").read_text(encoding="utf-8"))
    return dict(listed.get(wire) or {})


def run_suite(node: Path, url: str, wire: Wire, server: Server, folder: Path) -> list[Outcome]:
    """Run the suite against a server and judge it; what the suite recorded stays in ``folder``."""
    shutil.rmtree(folder, ignore_errors=True)
    command = ["conformance", "server", "--url", url, "--requirements", wire, "--output-dir", str(folder)]
    subprocess.run(command, env=environment(node), capture_output=True, check=False, timeout=300)
    recorded = _recorded(folder)
    expected = known_failures(server, wire)
    return [
        judge(name, wire, _counted(name, recorded.get(name, ()), server), expected)
        for name in scenarios(node, wire, server)
    ]


def judge(scenario: str, wire: Wire, checks: Iterable[Check], expected: Mapping[str, str]) -> Outcome:
    """Judge one scenario: it passes if some check passed and none failed or warned.

    What the baseline lists has to fail: an entry that passes is stale and fails the scenario.
    """
    judged = [check for check in checks if check.judged]
    broken = {f"{scenario}:{check.id}": check.message for check in judged if check.status != "SUCCESS"}
    passed = sum(check.status == "SUCCESS" for check in judged)
    if scenario in expected and (broken or not judged):
        return Outcome(scenario, wire, passed, len(judged), "expected", expected[scenario])
    listed = {entry: why for entry, why in expected.items() if entry.partition(":")[0] == scenario}
    problems = [f"{entry}: {message}" for entry, message in broken.items() if entry not in listed]
    problems += [f"{entry} passes, but is listed as failing" for entry in listed if entry not in broken]
    if not judged:
        problems.append("the suite judged nothing")
    verdict: Verdict = "failed" if problems else "expected" if broken else "passed"
    return Outcome(scenario, wire, passed, len(judged), verdict, "; ".join(problems or dict.fromkeys(listed.values())))


def _counted(scenario: str, checks: Iterable[Check], server: Server) -> list[Check]:
    return [check for check in checks if server == "fixture" or f"{scenario}:{check.id}" not in FIXTURES]


def _recorded(folder: Path) -> dict[str, list[Check]]:
    """Read ``server-NAME-TIMESTAMP/checks.json`` of each scenario."""
    recorded = {}
    for file in folder.glob("server-*/checks.json"):
        name = re.sub(r"-\d{4}-\d\d-\d\dT[\dZ-]+$", "", file.parent.name).removeprefix("server-")
        checks = json.loads(file.read_text(encoding="utf-8"))
        recorded[name] = [Check(check["id"], check["status"], check.get("errorMessage") or "") for check in checks]
    return recorded
