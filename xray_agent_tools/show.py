"""Answers as tables for people at a terminal."""

from __future__ import annotations

from collections.abc import Sequence

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from xray_agent_tools.declaration.policy import Policy
from xray_agent_tools.detector.package import Manifest
from xray_agent_tools.doctor import Check
from xray_agent_tools.report import Assessment, Explanation, Finding, Material, Severity, ThreatReport, Verdict
from xray_agent_tools.taxonomy import Item, Taxonomy
from xray_agent_tools.wording import words_of

_VERDICT_STYLES: dict[Verdict, str] = {"ALARM": "bold red", "NO_ALARM": "bold blue", "UNKNOWN": "bold yellow"}
_SEVERITY_STYLES: dict[Severity, str] = {
    "critical": "red",
    "high": "dark_orange",
    "medium": "magenta",
    "low": "blue",
    "none": "dim",
}


_WIDTH_OF_A_FILE = 160


def _console() -> Console:
    console = Console(highlight=False)
    return console if console.is_terminal else Console(highlight=False, width=_WIDTH_OF_A_FILE)


def _material(material: Material | None) -> str:
    if material is None:
        return "-"
    return " ".join(f"{name} {share:.0%}" for name, share in material.model_dump().items() if share >= 0.05)


def show_report(report: ThreatReport) -> None:
    """Verdict, summary and a row for each detection."""
    console = _console()
    console.print(f"[{_VERDICT_STYLES[report.verdict]}]{report.verdict}[/]  {escape(report.summary)}")
    if report.detections:
        table = Table("id", "label", "severity", "confidence", "region", "box", "occlusion", "material")
        for d in report.detections:
            box = f"{d.box.x_min:.0f},{d.box.y_min:.0f} {d.box.x_max:.0f},{d.box.y_max:.0f}"
            table.add_row(
                d.id,
                words_of(d.label),
                f"[{_SEVERITY_STYLES[d.severity]}]{d.severity}[/]",
                f"{d.confidence:.2f}" + ("" if d.above_threshold else " (weak)"),
                d.region + (f", view {d.view + 1}" if len(report.image.views) > 1 else ""),
                box,
                f"{d.occlusion.score:.2f}" if d.occlusion else "-",
                _material(d.material),
            )
        console.print(table)
    for region in report.opaque_regions:
        console.print(f"opaque: {region.share:.0%} of the content at {region.box.x_min:.0f},{region.box.y_min:.0f}")
    console.print(
        f"[dim]{report.scan_id}  {report.image.width}x{report.image.height}  {report.model.id} {report.model.version}  "
        f"{report.timing_ms:.0f} ms  {len(report.not_assessed)} labels not assessed[/]"
    )


def show_explanation(explanation: Explanation) -> None:
    """The answer, then each finding with its cues."""
    console = _console()
    console.print(escape(explanation.answer))
    for finding in explanation.findings:
        console.print(f"  [bold]{escape(finding.claim)}[/] {_citation(finding)} confidence {finding.confidence_band}")
        for cue in finding.cues:
            console.print(f"    - {escape(cue)}")
        if finding.look_alikes:
            console.print(f"    - look-alikes: {', '.join(words_of(label) for label in finding.look_alikes)}")
    for disagreement in explanation.disagreements:
        console.print(f"  [yellow]not supported[/]: {escape(disagreement.claim)} ({escape(disagreement.reason)})")
    console.print(f"[dim]{explanation.backend}  {len(explanation.not_assessed)} labels not assessed[/]")


def _citation(finding: Finding) -> str:
    return f"({', '.join(finding.detection_ids)})" if finding.detection_ids else ""


def show_assessment(assessment: Assessment) -> None:
    """Decision, items and the rules that fired."""
    console = _console()
    match = {True: "matches", False: "does not match", None: "cannot be decided"}[assessment.declaration_match]
    console.print(
        f"[bold]{assessment.recommended_action}[/]  risk {assessment.risk_level}; the declaration {match}; "
        f"[{_VERDICT_STYLES[assessment.report.verdict]}]{assessment.report.verdict}[/]"
    )
    if assessment.items:
        table = Table("item", "status", "detections", "matched by")
        for item in assessment.items:
            refs = ", ".join(item.detection_ids) or "-"
            table.add_row(escape(item.name[:80]), item.status, refs, escape(item.matched_by or "-"))
        console.print(table)
    for reason in assessment.reasons:
        console.print(f"  [bold]{reason.rule}[/]: {escape(reason.text)}")
    policy = assessment.policy
    console.print(f"[dim]policy {policy.name} {policy.version} {policy.sha256[:12]}  {assessment.scan_id}[/]")


def show_taxonomy(taxonomy: Taxonomy) -> None:
    """A row for each label."""
    table = Table("label", "group", "severity", "customs heading", "description", title=f"Taxonomy {taxonomy.version}")
    for item in taxonomy.items:
        style = _SEVERITY_STYLES[item.severity]
        table.add_row(item.label, item.group, f"[{style}]{item.severity}[/]", item.customs_heading, item.description)
    _console().print(table)


def show_item(item: Item) -> None:
    """Everything known of one label."""
    console = _console()
    console.print(f"[bold]{item.label}[/]  {item.description}")
    console.print(
        f"  group {item.group}, severity {item.severity}, customs heading {item.customs_heading} (indicative)"
    )
    console.print(f"  look-alikes: {', '.join(item.look_alikes) or 'none'}")
    console.print(f"  also called: {', '.join(item.aliases)}")
    for dataset, names in item.datasets.items():
        console.print(f"  in {dataset}: {', '.join(names)}")


def show_policy(policy: Policy) -> None:
    """A row for each rule."""
    table = Table("rule", "risk", "action", "text", title=f"{policy.title} ({policy.name} {policy.version})")
    for rule in policy.rules:
        table.add_row(rule.id, rule.risk, rule.action, escape(rule.text))
    _console().print(table)


def show_manifest(manifest: Manifest) -> None:
    """Identity, operating points and sources."""
    console = _console()
    console.print(f"[bold]{manifest.id} {manifest.version}[/]  {manifest.sha256[:16]}  input {manifest.input_size}")
    console.print(manifest.statement)
    table = Table("label", "threshold", "recall", "false alarms", "validated on")
    for point in manifest.classes:
        table.add_row(
            point.label,
            f"{point.threshold:.2f}",
            f"{point.recall:.2f} of {point.positives}",
            f"{point.false_alarm_rate:.3f} of {point.negatives}",
            point.evidence.replace("_", " "),
        )
    console.print(table)
    for source in manifest.sources:
        console.print(f"  trained on {source.scans} scans of {source.name}: {source.licence}")
    for score in manifest.scores:
        console.print(f"  {score.name} on {score.scans}: {score.value:.3f} ({score.support} boxes or scans)")


def show_checks(checks: Sequence[Check]) -> None:
    """A line for each check, with a hint where it failed."""
    console = _console()
    for check in checks:
        mark = "[blue]ok[/]    " if check.passed else "[red]failed[/]"
        console.print(f"{mark} {check.name}: {escape(check.found)}")
        if check.hint is not None and not check.passed:
            console.print(f"       hint: {escape(check.hint)}")
