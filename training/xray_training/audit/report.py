"""The audit's report: as a model, as Markdown and as tables at a terminal."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Sequence
from itertools import chain

from pydantic import BaseModel, ConfigDict
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from xray_agent_tools import markdown
from xray_training.audit.axes import Axes, axes_of
from xray_training.audit.checks import Scans
from xray_training.audit.findings import MEANINGS, Finding, Severity, severity_of

SCHEMA = "xray-audit/1"

_EXAMPLES = 5
_LISTED = 1000
_STYLES = {Severity.ERROR: "bold red", Severity.WARNING: "yellow", Severity.NOTE: "dim"}


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class KindFound(_Part):
    """All findings of one kind.

    Attributes:
        kind: its name.
        severity: how bad it is.
        accepted: whether the caller said that it may be.
        meaning: what it is, in words.
        count: how many there are.
        findings: the first 1,000 of them.
    """

    kind: str
    severity: Severity
    accepted: bool
    meaning: str
    count: int
    findings: tuple[Finding, ...]


class ClassCount(_Part):
    """How many boxes of a class a source holds, and on how many scans."""

    boxes: int
    scans: int


class SourceSummary(_Part):
    """One source.

    Attributes:
        source: its name.
        splits: how many scans each split holds.
        without_box: how many scans have no box.
        classes: every class that it annotates or holds.
        axes: how often its boxes fit better as they are than with x and y swapped.
    """

    source: str
    splits: dict[str, int]
    without_box: int
    classes: dict[str, ClassCount]
    axes: Axes


class AuditReport(_Part):
    """What an audit found.

    Attributes:
        format: name and version of this layout.
        folder: the audited folder, as given.
        read_as: the dataset or format that it was read as.
        scans: how many scans were read.
        stops: the kinds that must stop a training run.
        kinds: what was found, the worst first.
        sources: the sources, in order of first occurrence.
    """

    format: str = SCHEMA
    folder: str
    read_as: str
    scans: int
    stops: tuple[str, ...]
    kinds: tuple[KindFound, ...]
    sources: tuple[SourceSummary, ...]


def report_on(
    scans: Scans, findings: Iterable[Finding], *, folder: str, read_as: str, accepted: Collection[str], strict: bool
) -> AuditReport:
    """Put findings together.

    Args:
        scans: what was looked at.
        findings: what was found.
        folder: the audited folder.
        read_as: name of the source or format.
        accepted: kinds that do not stop.
        strict: whether warnings stop as errors do.
    """
    by_kind: dict[str, list[Finding]] = defaultdict(list)
    for finding in findings:
        by_kind[finding.kind].append(finding)
    order = list(Severity)
    kinds = sorted(
        (
            KindFound(
                kind=kind,
                severity=severity_of(kind),
                accepted=kind in accepted,
                meaning=MEANINGS[kind][1] if kind in MEANINGS else kind.replace("_", " "),
                count=len(found),
                findings=tuple(found[:_LISTED]),
            )
            for kind, found in by_kind.items()
        ),
        key=lambda found: (order.index(found.severity), found.kind),
    )
    stopping = {Severity.ERROR, Severity.WARNING} if strict else {Severity.ERROR}
    return AuditReport(
        folder=folder,
        read_as=read_as,
        scans=len(scans.records),
        stops=tuple(found.kind for found in kinds if found.severity in stopping and not found.accepted),
        kinds=tuple(kinds),
        sources=tuple(_summary(scans, source, members) for source, members in scans.by_source().items()),
    )


def _summary(scans: Scans, source: str, members: Sequence[int]) -> SourceSummary:
    records = [scans.records[i] for i in members]
    boxes = Counter(box.label for record in records for box in record.boxes)
    holding = Counter(label for record in records for label in {box.label for box in record.boxes})
    labels = sorted({*boxes, *(label for record in records for label in record.annotated)})
    return SourceSummary(
        source=source,
        splits=dict(Counter(record.split for record in records)),
        without_box=sum(not record.boxes for record in records),
        classes={label: ClassCount(boxes=boxes[label], scans=holding[label]) for label in labels},
        axes=axes_of(chain.from_iterable(scans.examined[i].fits for i in members)),
    )


def verdict_of(report: AuditReport) -> str:
    """The outcome in one sentence."""
    if report.stops:
        return f"Stop: {', '.join(report.stops)}. Mend them, or accept each with --accept KIND."
    found = sum(kind.count for kind in report.kinds if kind.severity is Severity.WARNING)
    return f"Nothing stops a training run; {found} {'warning' if found == 1 else 'warnings'}."


def as_markdown(report: AuditReport) -> str:
    """The report for people, with up to five examples of each kind."""
    lines = [f"# Audit of {report.folder}", "", verdict_of(report), ""]
    lines += [f"{report.scans} scans, read as {report.read_as}. Boxes are drawn in overlays.png.", ""]
    rows = [[k.kind, _word(k), k.count, k.meaning] for k in report.kinds]
    lines += [
        "## Found",
        "",
        markdown.table(["kind", "severity", "count", "meaning"], rows) if rows else "Nothing.",
        "",
    ]
    for kind in report.kinds:
        lines += [f"### {kind.kind}", ""]
        lines += [f"- {_example(finding)}" for finding in kind.findings[:_EXAMPLES]]
        lines += [f"- and {kind.count - _EXAMPLES} more"] * (kind.count > _EXAMPLES) + [""]
    lines += ["## Sources", "", markdown.table(_SOURCE_HEAD, [_source_row(source) for source in report.sources]), ""]
    sources = [source.source for source in report.sources]
    labels = sorted({label for source in report.sources for label in source.classes})
    rows = [[label, *(_boxes_of(source, label) for source in report.sources)] for label in labels]
    lines += ["## Boxes by class", "", "A dash: the source does not annotate the class.", ""]
    lines += [markdown.table(["class", *sources], rows), ""]
    return "\n".join(lines)


_SOURCE_HEAD = ["source", "scans by split", "without a box", "boxes", "fit better as they are"]


def _source_row(source: SourceSummary) -> list[object]:
    splits = ", ".join(f"{split} {scans}" for split, scans in source.splits.items())
    axes = f"{source.axes.share:.0%} of {source.axes.boxes}" if source.axes.boxes else "not to be told"
    return [source.source, splits, source.without_box, sum(count.boxes for count in source.classes.values()), axes]


def _boxes_of(source: SourceSummary, label: str) -> str:
    return str(source.classes[label].boxes) if label in source.classes else "-"


def _word(kind: KindFound) -> str:
    return f"{kind.severity} (accepted)" if kind.accepted else str(kind.severity)


def _example(finding: Finding) -> str:
    return f"{finding.where}: {finding.message}" if finding.where else finding.message


def show(report: AuditReport, console: Console) -> None:
    """Print the report: sources, then each kind with up to five examples, then the verdict."""
    sources = Table(*_SOURCE_HEAD, title=f"{report.scans} scans of {report.folder}, read as {report.read_as}")
    for source in report.sources:
        sources.add_row(*(escape(str(cell)) for cell in _source_row(source)))
    console.print(sources)
    if report.kinds:
        found = Table("kind", "severity", "count", "examples", show_lines=True)
        for kind in report.kinds:
            examples = [_example(finding) for finding in kind.findings[:_EXAMPLES]]
            style = "dim" if kind.accepted else _STYLES[kind.severity]
            found.add_row(kind.kind, f"[{style}]{_word(kind)}[/]", str(kind.count), escape("\n".join(examples)))
        console.print(found)
    console.print(f"[{'bold red' if report.stops else 'bold'}]{escape(verdict_of(report))}[/]")
