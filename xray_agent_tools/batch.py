"""Many scans to JSON Lines, in a form that can be stopped and gone on with."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

from rich.console import Console
from rich.progress import track

from xray_agent_tools.errors import Misconfigured, XrayToolsError
from xray_agent_tools.report import Detail
from xray_agent_tools.screener import Screener


def run_batch(
    screener: Screener,
    scans: Sequence[Path],
    out: Path,
    *,
    restart: bool = False,
    detail: Detail = "concise",
    progress: bool = True,
) -> dict[str, int]:
    """Look at scans and append a line for each: ``{"file", "report"}`` or ``{"file", "error"}``.

    A line is written whole before the next scan is looked at. A line cut off by a kill is dropped and its scan
    looked at again.

    Returns:
        How many scans had which verdict, failed ("error") or were there already ("skipped").

    Raises:
        Misconfigured: the file cannot be written.
        ModelUnavailable: the detector cannot be loaded.
    """
    _ = screener.detector
    totals = {"ALARM": 0, "NO_ALARM": 0, "UNKNOWN": 0, "error": 0, "skipped": 0}
    try:
        done = set() if restart else _drop_broken_tail(out)
        with out.open("w" if restart else "a", encoding="utf-8") as lines:
            console = Console(stderr=True)
            for scan in track(scans, description="Screening", console=console, disable=not progress):
                if str(scan) in done:
                    totals["skipped"] += 1
                    continue
                kind, line = _line(screener, scan, detail)
                totals[kind] += 1
                lines.write(line + "\n")
                lines.flush()
    except OSError as error:
        raise Misconfigured(f"cannot write {out}: {error.strerror}", hint="choose another file") from error
    return totals


def _line(screener: Screener, scan: Path, detail: Detail) -> tuple[str, str]:
    try:
        report = screener.detect_threats(scan, detail=detail)
    except XrayToolsError as error:
        return "error", json.dumps({"file": str(scan), **error.as_dict()}, separators=(",", ":"))
    except Exception as error:  # one scan must never stop the rest
        failure = {"code": "internal", "message": f"{type(error).__name__}: {error}", "hint": "report this scan"}
        return "error", json.dumps({"file": str(scan), "error": failure}, separators=(",", ":"))
    return report.verdict, f'{{"file":{json.dumps(str(scan))},"report":{report.model_dump_json()}}}'


def _drop_broken_tail(out: Path) -> set[str]:
    """Files that an earlier run finished; cuts off what follows the last whole line."""
    if not out.exists():
        return set()
    content = out.read_bytes()
    whole = content[: content.rfind(b"\n") + 1]
    if len(whole) < len(content):
        out.write_bytes(whole)
    return {name for line in whole.splitlines() if (name := _file_of(line)) is not None}


def _file_of(line: bytes) -> str | None:
    try:
        entry = json.loads(line)
    except ValueError:
        return None
    name = entry.get("file") if isinstance(entry, dict) else None
    return name if isinstance(name, str) else None
