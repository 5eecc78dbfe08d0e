"""An audit from end to end: read, examine, check, write."""

from __future__ import annotations

import os
from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass, field
from itertools import chain
from pathlib import Path

from xray_training.audit.checks import CHECKS, Scans
from xray_training.audit.findings import Finding, Flaw
from xray_training.audit.report import AuditReport, as_markdown, report_on
from xray_training.audit.sheet import overlays
from xray_training.datasets.examine import Examined, examine_all
from xray_training.datasets.fault import Fault
from xray_training.datasets.sources import source_of

SHEET = "overlays.png"
KEPT = "examined.jsonl"
"""File in the output folder that keeps what each picture said, for the next run."""

Progress = Callable[[Iterable[Examined], int], Iterable[Examined]]
"""Passes the results of a known number of scans on, and may show how far it is."""


@dataclass(frozen=True, slots=True)
class Audit:
    """What to audit and how.

    Attributes:
        root: the dataset's folder.
        out: folder for the report and for what was measured.
        source: what to read it as; found out when None.
        split: look at this split only; all when None.
        benign: sources whose scans hold nothing that they annotate, so that no box is expected.
        accepted: kinds of finding that do not stop.
        strict: whether warnings stop as errors do.
        processes: how many decode pictures at once.
    """

    root: Path
    out: Path
    source: str | None = None
    split: str | None = None
    benign: frozenset[str] = frozenset({"benign"})
    accepted: Collection[str] = field(default=frozenset())
    strict: bool = False
    processes: int = 1


def audit(plan: Audit, *, progress: Progress = lambda results, _: results) -> AuditReport:
    """Audit a dataset and write ``REPORT.md``, ``audit.json`` and ``overlays.png``.

    A run that was stopped goes on where it was: what each picture said is kept in the output folder.

    Raises:
        DatasetError: the folder is no known dataset, or its index cannot be read at all.
    """
    source = source_of(plan.root, plan.source)
    faults: list[Fault] = []
    records = list(source.read(plan.root, split=plan.split, report=faults.append))
    fresh = examine_all(records, kept=plan.out / KEPT, processes=plan.processes)
    scans = Scans(
        records=records,
        examined=list(progress(fresh, len(records))),
        benign=plan.benign,
        name=lambda record: _relative(str(record.image), plan.root),
    )
    told = [
        Finding(kind=fault.kind, where=_relative(fault.where, plan.root), message=_relative(fault.message, plan.root))
        for fault in faults
    ]
    findings = _once([*told, *_nothing(scans), *chain.from_iterable(check(scans) for check in CHECKS)])
    report = report_on(
        scans,
        findings,
        folder=plan.root.resolve().name,
        read_as=source.name,
        accepted=plan.accepted,
        strict=plan.strict,
    )
    plan.out.mkdir(parents=True, exist_ok=True)
    (plan.out / "audit.json").write_text(report.model_dump_json(indent=1) + "\n", encoding="utf-8")
    (plan.out / "REPORT.md").write_text(as_markdown(report), encoding="utf-8")
    sheet = overlays(scans, findings)
    if sheet is None:
        (plan.out / SHEET).unlink(missing_ok=True)
    else:
        sheet.save(plan.out / SHEET, compress_level=1)
    return report


def _nothing(scans: Scans) -> list[Finding]:
    return [] if scans.records else [Finding(kind=Flaw.NO_SCANS, message="no scan could be read")]


def _once(findings: Sequence[Finding]) -> list[Finding]:
    """The findings, each once, in their order."""
    return list(dict.fromkeys(findings))


def _relative(words: str, root: Path) -> str:
    """Words without the path of the folder that is audited."""
    return words if root == Path() else words.replace(f"{root}{os.sep}", "")
