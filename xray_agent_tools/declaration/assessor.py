"""Declared against seen, decided by a policy's rules alone."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from xray_agent_tools.declaration.matcher import Match, find_items
from xray_agent_tools.declaration.policy import ACTION_ORDER, RISK_ORDER, DetectedCondition, Policy, Rule, When
from xray_agent_tools.errors import InvalidDeclaration
from xray_agent_tools.report import (
    Action,
    Assessment,
    DeclaredItem,
    Detection,
    Reason,
    RiskLevel,
    ThreatReport,
)
from xray_agent_tools.taxonomy import taxonomy
from xray_agent_tools.wording import listed, words_of

MOST_ITEMS = 500
"""Items of one declaration."""

MOST_CHARACTERS = 1000
"""Characters of one item."""

_NO_RULE = "no-rule"


@dataclass(frozen=True, slots=True)
class _Declared:
    name: str
    match: Match


@dataclass(frozen=True, slots=True)
class _Case:
    """Everything a rule may ask about."""

    report: ThreatReport
    items: list[DeclaredItem]
    declared_labels: frozenset[str]
    empty: bool


def read_declaration(declared_items: Sequence[str]) -> list[_Declared]:
    """Check a declaration and match its words.

    Raises:
        InvalidDeclaration: it is no list of texts, has too many, or one is too long.
    """
    if isinstance(declared_items, str | bytes) or not isinstance(declared_items, Sequence):
        raise InvalidDeclaration("the declaration is no list", hint="give declared_items=['laptop', ...], or []")
    if len(declared_items) > MOST_ITEMS:
        raise InvalidDeclaration(f"{len(declared_items)} declared items", hint=f"give at most {MOST_ITEMS}")
    for item in declared_items:
        if not isinstance(item, str):
            raise InvalidDeclaration(f"a declared item is a {type(item).__name__}", hint="give texts only")
        if len(item) > MOST_CHARACTERS:
            raise InvalidDeclaration(
                f"a declared item has {len(item)} characters", hint=f"give at most {MOST_CHARACTERS} for each"
            )
    named = [item for item in declared_items if item.strip()]
    return [_Declared(_printable(item), find_items(item)) for item in named]


def _printable(text: str) -> str:
    """The traveller's own words, with control characters made visible."""
    return "".join(c if c.isprintable() else f"\\u{ord(c):04x}" for c in text.strip())


def assess(declared: Sequence[_Declared], policy: Policy, report: ThreatReport) -> Assessment:
    """Apply a policy to a report and a declaration."""
    seen = [detection for detection in report.detections if detection.above_threshold]
    items = _declared_items(declared, seen, report)
    covered = frozenset(label for entry in declared for label in entry.match.labels)
    items += _undeclared_items(seen, covered)
    case = _Case(report, items, covered, empty=not declared)
    reasons = [reason for rule in policy.rules if (reason := _try(rule, case)) is not None]
    if not reasons:
        text = "No rule of the policy covers this case."
        reasons = [
            Reason(rule=_NO_RULE, text=text, risk_level="undetermined", recommended_action="REVIEW", detection_ids=[])
        ]
    return Assessment(
        scan_id=report.scan_id,
        declaration_match=_declaration_match(items, report),
        items=items,
        risk_level=_highest_risk(reasons),
        recommended_action=_strictest_action(reasons, report),
        reasons=reasons,
        policy=policy.identity,
        report=report,
    )


def _declared_items(
    declared: Sequence[_Declared], detections: Sequence[Detection], report: ThreatReport
) -> list[DeclaredItem]:
    items = []
    for entry in declared:
        labels = entry.match.labels
        seen = [detection.id for detection in detections if detection.label in labels]
        assessable = [label for label in labels if label not in report.not_assessed]
        if seen:
            item = DeclaredItem(
                name=entry.name, status="declared_and_seen", detection_ids=seen, matched_by=_how(entry.match)
            )
        elif assessable and report.quality.usable:
            item = DeclaredItem(
                name=entry.name, status="declared_not_seen", detection_ids=[], matched_by=_how(entry.match)
            )
        else:
            item = DeclaredItem(
                name=entry.name, status="not_assessable", detection_ids=[], matched_by=_why_not(entry, report)
            )
        items.append(item)
    return items


def _how(match: Match) -> str:
    return "; ".join(match.phrases)


def _why_not(entry: _Declared, report: ThreatReport) -> str | None:
    if entry.match.labels:
        unseen = [words_of(label) for label in entry.match.labels if label in report.not_assessed]
        reason = f"the detector did not look for {listed(unseen)}" if unseen else "the scan allows no statement"
        return f"{_how(entry.match)}; {reason}"
    if entry.match.negated:
        return f"denied: {'; '.join(entry.match.negated)}"
    near = taxonomy().nearest(entry.name)
    return f"no known item; nearest labels: {', '.join(near)}" if near else None


def _undeclared_items(detections: Sequence[Detection], covered: frozenset[str]) -> list[DeclaredItem]:
    """Items that ought to have been declared; nobody declares keys and shoes, so everyday things are none of them."""
    by_label: dict[str, list[str]] = {}
    for detection in detections:
        if detection.label not in covered and detection.severity != "none":
            by_label.setdefault(detection.label, []).append(detection.id)
    return [
        DeclaredItem(name=label, status="undeclared", detection_ids=ids, matched_by=None)
        for label, ids in by_label.items()
    ]


def _declaration_match(items: Sequence[DeclaredItem], report: ThreatReport) -> bool | None:
    statuses = {item.status for item in items}
    if "undeclared" in statuses:
        return False
    if statuses == {"declared_and_seen"} and report.quality.usable:
        return True
    return None


def _try(rule: Rule, case: _Case) -> Reason | None:
    """The reason a rule gives if all of its conditions hold."""
    when = rule.when
    detections = _fitting(when.detected, case) if when.detected is not None else []
    if (when.detected is not None and not detections) or not _conditions_hold(when, case):
        return None
    involved = [item for item in case.items if item.status in when.item_status]
    ids = [detection.id for detection in detections] or [ref for item in involved for ref in item.detection_ids]
    values = {
        "labels": listed([words_of(label) for label in dict.fromkeys(d.label for d in detections)]),
        "names": ", ".join(f"'{item.name}'" for item in involved[:10]),
        "count": str(len(detections) or len(involved)),
        "issues": "; ".join(issue.text for issue in case.report.quality.issues),
        "share": f"{_opaque_share(case.report):.0%}",
    }
    return Reason(
        rule=rule.id,
        text=re.sub(r"\{(\w+)\}", lambda place: values[place.group(1)], rule.text),
        risk_level=rule.risk,
        recommended_action=rule.action,
        detection_ids=ids,
    )


def _conditions_hold(when: When, case: _Case) -> bool:
    report = case.report
    statuses = {item.status for item in case.items}
    unproven = {*report.not_assessed, *report.not_validated}
    checks = (
        not when.verdict or report.verdict in when.verdict,
        not when.item_status or bool(statuses.intersection(when.item_status)),
        not statuses.intersection(when.no_item_status),
        when.declaration is None or (when.declaration == "empty") == case.empty,
        when.usable is None or report.quality.usable == when.usable,
        when.opaque_share_above is None or _opaque_share(report) > when.opaque_share_above,
        not unproven.intersection(when.assessed),
        not when.not_assessed or bool(unproven.intersection(when.not_assessed)),
    )
    return all(checks)


def _fitting(condition: DetectedCondition, case: _Case) -> list[Detection]:
    return [
        detection
        for detection in case.report.detections
        if detection.above_threshold
        and (not condition.labels or detection.label in condition.labels)
        and (not condition.groups or detection.group in condition.groups)
        and (not condition.severities or detection.severity in condition.severities)
        and detection.confidence >= condition.min_confidence
        and (condition.declared is None or (detection.label in case.declared_labels) == condition.declared)
    ]


def _opaque_share(report: ThreatReport) -> float:
    """The opaque share of the view that has most of it."""
    views = range(len(report.image.views))
    return min(1.0, max(sum(r.share for r in report.opaque_regions if r.view == view) for view in views))


def _highest_risk(reasons: Sequence[Reason]) -> RiskLevel:
    return max((reason.risk_level for reason in reasons), key=RISK_ORDER.index)


def _strictest_action(reasons: Sequence[Reason], report: ThreatReport) -> Action:
    """The strictest action asked for; nothing clears a scan that was not looked at to the end."""
    action = max((reason.recommended_action for reason in reasons), key=ACTION_ORDER.index)
    return "REVIEW" if action == "CLEAR" and report.verdict != "NO_ALARM" else action
