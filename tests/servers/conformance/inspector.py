"""The MCP Inspector's command line, for every method that it knows and every subject that the server lists.

``--strict`` (schemas that some client could not read) is an option of ``tools/list`` alone. The Inspector 2.12 has no
method for argument completion. Any answer with ``isError`` fails the call.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from subprocess import run
from typing import Any, Literal

from tests.servers.conformance.node import environment
from tests.servers.conformance.outcome import Outcome, Verdict

Era = Literal["legacy", "modern"]

ERAS: tuple[Era, ...] = ("legacy", "modern")

TOOL_ARGUMENTS: dict[str, dict[str, Any]] = {
    "explain_scan": {"question": "Is there a knife?"},
    "assess_declaration": {"declared_items": ["clothes", "laptop"]},
}
"""What tools are given beside the scan."""

PROMPT_ARGUMENTS: dict[str, dict[str, str]] = {
    "second_look": {"detection_id": "d1"},
    "declaration_check": {"declared_items": "clothes, laptop"},
}
"""What prompts are given beside the scan."""

TEMPLATE_VALUES = {"{label}": "knife", "{name}": "customs"}
"""What stands in for the variables of resource addresses, beside the id of the scan."""

TIMEOUT_S = 60.0
"""Longest that one call may take, with the start of the server on stdio, in seconds."""


@dataclass(frozen=True, slots=True)
class Inspector:
    """The Inspector, pointed at a server.

    Attributes:
        node: folder with ``node_modules``.
        target: URL of the server, or the command that starts it on stdio.
        era: which protocol generation the Inspector speaks.
        scan: path of a scan that the server may read.
        outcomes: what the calls came to.
    """

    node: Path
    target: str | Sequence[str]
    era: Era
    scan: Path
    outcomes: list[Outcome] = field(default_factory=list)

    @property
    def wire(self) -> str:
        """Transport and era."""
        return f"{'http' if isinstance(self.target, str) else 'stdio'}, {self.era}"

    def inspect(self) -> list[Outcome]:
        """Call every method for every subject; the Inspector's exit code judges."""
        self._call("initialize")
        scan_id = self._call_tools()
        self._read_resources(scan_id)
        self._get_prompts()
        return self.outcomes

    def _call_tools(self) -> str:
        scan_id = ""
        for tool in self._call("tools/list", "--strict").get("tools", []):
            name = tool["name"]
            arguments = json.dumps({"scan": str(self.scan), **TOOL_ARGUMENTS.get(name, {})})
            answer = self._call("tools/call", "--tool-name", name, "--tool-args-json", arguments, subject=name)
            scan_id = answer.get("structuredContent", {}).get("scan_id", scan_id)
        return scan_id

    def _read_resources(self, scan_id: str) -> None:
        values = {**TEMPLATE_VALUES, "{scan_id}": scan_id}
        addresses = [resource["uri"] for resource in self._call("resources/list").get("resources", [])]
        for template in self._call("resources/templates/list").get("resourceTemplates", []):
            address = template["uriTemplate"]
            for variable, value in values.items():
                address = address.replace(variable, value)
            addresses.append(address)
        for address in addresses:
            self._call("resources/read", "--uri", address, subject=address)

    def _get_prompts(self) -> None:
        for prompt in self._call("prompts/list").get("prompts", []):
            name = prompt["name"]
            given = {"scan": str(self.scan), **PROMPT_ARGUMENTS.get(name, {})}
            pairs = [f"{key}={value}" for key, value in given.items()]
            self._call("prompts/get", "--prompt-name", name, "--prompt-args", *pairs, subject=name)

    def _where(self) -> list[str]:
        return ["--server-url", self.target] if isinstance(self.target, str) else ["--", *self.target]

    def _call(self, method: str, *options: str, subject: str = "") -> dict[str, Any]:
        """Call a method, note what it came to, and give its result; nothing if it failed."""
        command = ["mcp-inspector", "--cli", "--format", "json", "--quiet", "--protocol-era", self.era]
        command += ["--method", method, *options, *self._where()]
        done = run(command, env=environment(self.node), capture_output=True, text=True, check=False, timeout=TIMEOUT_S)
        failed = done.returncode != 0
        verdict: Verdict = "failed" if failed else "passed"
        why = f"exit {done.returncode}: {done.stderr.strip()}" if failed else ""
        subject = f"{method} {subject}".strip()
        self.outcomes.append(Outcome(subject, self.wire, int(not failed), 1, verdict, why))
        result: dict[str, Any] = {} if failed else json.loads(done.stdout)["result"]
        return result
