"""The screener: one loaded detector, one explainer, one policy. Every server holds one of these."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import TypeVar

from xray_agent_tools import progress
from xray_agent_tools.declaration.assessor import assess, read_declaration
from xray_agent_tools.declaration.policy import Policy, load_policy
from xray_agent_tools.detector.onnx import OnnxDetector
from xray_agent_tools.detector.package import ModelPackage, load_package
from xray_agent_tools.detector.preprocess import Content
from xray_agent_tools.detector.protocol import Detector, RawDetection, detect_all
from xray_agent_tools.errors import InvalidArgument, XrayToolsError
from xray_agent_tools.evidence.material import material_in
from xray_agent_tools.evidence.occlusion import occlusion_in
from xray_agent_tools.evidence.opacity import opaque_regions
from xray_agent_tools.evidence.quality import FATAL, view_issues
from xray_agent_tools.evidence.region import region_of
from xray_agent_tools.explainer.grounded import GroundedExplainer
from xray_agent_tools.explainer.protocol import Explainer
from xray_agent_tools.render import ScanPicture, picture_of
from xray_agent_tools.report import (
    Assessment,
    Box,
    Detail,
    Detection,
    Explanation,
    ImageIdentity,
    ModelIdentity,
    Quality,
    QualityIssue,
    Severity,
    ThreatReport,
    Threshold,
    Verdict,
    View,
    is_threat,
)
from xray_agent_tools.scan import DEFAULT_LIMITS, Scan, ScanLimits, ScanSource, ScanView, load_scan
from xray_agent_tools.taxonomy import taxonomy
from xray_agent_tools.wording import summarise

_SEVERITY_ORDER: dict[Severity, int] = {"critical": 0, "high": 1, "medium": 2, "low": 3, "none": 4}
_MOST_QUESTION_CHARACTERS = 2000
_Thing = TypeVar("_Thing")


@dataclass(frozen=True, slots=True)
class DetectRequest:
    """The arguments of one :meth:`Screener.detect_threats`."""

    scan: ScanSource | Sequence[ScanSource]
    labels: Sequence[str] | None = None
    min_confidence: float | None = None
    max_detections: int | None = None
    detail: Detail = "concise"


@dataclass(frozen=True, slots=True)
class _Look:
    """A request whose scan is read and examined: what is left is to run the network."""

    bag: Scan
    contents: list[Content]
    wanted: frozenset[str] | None
    floor: float | None
    most: int | None
    detail: Detail
    issues: list[QualityIssue]
    visible: list[int]
    started: float


class Screener:
    """Answers the three questions about scans. Safe to use from several threads.

    The detector is loaded at the first question. From then on a canary scan with a known threat is looked at
    every ``canary_interval`` seconds; while it does not alarm, every verdict is ``UNKNOWN``.
    """

    def __init__(
        self,
        *,
        model: str | Path | Detector = "default",
        explainer: Explainer | None = None,
        policy: str | Path | Policy = "customs",
        roots: Sequence[Path] | None = None,
        limits: ScanLimits = DEFAULT_LIMITS,
        canary_interval: float = 300.0,
        threads: int = 0,
    ) -> None:
        """Choose the parts; nothing is loaded yet.

        Args:
            model: name of an embedded model package, folder of another one, or a detector.
            explainer: words answers; computed evidence alone when not given.
            policy: default policy of :meth:`assess_declaration`: a name, a YAML file or a policy.
            roots: folders that scan paths must lie in; None allows any.
            limits: bounds on what a scan may cost.
            canary_interval: seconds between two looks at the canary scan.
            threads: threads of one look; 0 takes one for each core.
        """
        self._model = model
        self._explainer = explainer or GroundedExplainer()
        self._policy = policy
        self._roots = roots
        self._limits = limits
        self._canary_interval = canary_interval
        self._threads = threads
        self._detector: Detector | None = None
        self._canary_due = 0.0
        self._canary_alive = False
        self._lock = threading.Lock()

    @property
    def detector(self) -> Detector:
        """The detector, loaded now if it was not.

        Raises:
            ModelUnavailable: the model package is missing or wrong.
            Misconfigured: the runtime is missing or broken.
        """
        with self._lock:
            if self._detector is None:
                progress.report("loading the detector")
                chosen = self._model
                if isinstance(chosen, str | Path):
                    chosen = OnnxDetector(load_package(chosen), threads=self._threads)
                self._detector = chosen
            return self._detector

    def load(self, source: ScanSource | Sequence[ScanSource]) -> Scan:
        """Read a scan within this screener's roots and limits; see :func:`xray_agent_tools.scan.load_scan`."""
        if not isinstance(source, Scan):
            progress.report("reading the scan")
        return load_scan(source, roots=self._roots, limits=self._limits)

    def canary_alarms(self, *, now: float | None = None) -> bool:
        """Whether the canary scan alarms, looking again if the last look is too old.

        Args:
            now: monotonic time in seconds; the clock's when not given.
        """
        detector = self.detector
        moment = time.monotonic() if now is None else now
        with self._lock:
            if moment >= self._canary_due:
                self._canary_alive = _canary_alarms(detector)
                self._canary_due = moment + self._canary_interval
            return self._canary_alive

    def detect_threats(
        self,
        scan: ScanSource | Sequence[ScanSource],
        *,
        labels: Sequence[str] | None = None,
        min_confidence: float | None = None,
        max_detections: int | None = None,
        detail: Detail = "concise",
    ) -> ThreatReport:
        """Look for threats on a scan.

        The verdict is always decided at the model's operating points. ``min_confidence`` only decides which
        weaker boxes are listed with them.

        Args:
            scan: a path, bytes, base64 text, data URI, array or picture; a list of them are views of one bag.
            labels: look only for these canonical labels.
            min_confidence: also list boxes from this confidence (0..1) that do not alarm.
            max_detections: list at most this many (1 or more), those that alarm first; the verdict and the summary
                rest on all.
            detail: ``full`` lists every operating point.

        Raises:
            InvalidScan, ScanTooLarge, AccessDenied: the scan cannot be read.
            UnknownLabel: a label is not in the taxonomy.
            InvalidArgument: ``min_confidence``, ``max_detections`` or ``detail`` is out of range.
            ModelUnavailable: the detector cannot be loaded or failed.
        """
        request = DetectRequest(scan, labels, min_confidence, max_detections, detail)
        return self._finish([self._begin(request)])[0]

    def detect_together(self, requests: Sequence[DetectRequest]) -> list[ThreatReport | XrayToolsError]:
        """Look at several bags at once, where the detector can; a request that fails gives its error.

        Every report is the one that :meth:`detect_threats` gives, but for ``timing_ms``, which is that of all together.
        """
        begun = [self._try_to_begin(request) for request in requests]
        looks = [look for look in begun if isinstance(look, _Look)]
        try:
            reports: Iterator[ThreatReport | XrayToolsError] = iter(self._finish(looks))
        except XrayToolsError as error:
            reports = iter([error] * len(looks))
        return [next(reports) if isinstance(look, _Look) else look for look in begun]

    def detect_batch(
        self,
        scans: Iterable[ScanSource | Sequence[ScanSource]],
        *,
        labels: Sequence[str] | None = None,
        min_confidence: float | None = None,
        max_detections: int | None = None,
        detail: Detail = "concise",
        batch: int = 1,
    ) -> Iterator[ThreatReport | XrayToolsError]:
        """Look at many bags, so many at a time; a scan that fails yields its error and the rest go on.

        Args:
            scans: one source, or a list of views, for each bag.
            labels: as for :meth:`detect_threats`.
            min_confidence: as for :meth:`detect_threats`.
            max_detections: as for :meth:`detect_threats`.
            detail: as for :meth:`detect_threats`.
            batch: bags that are looked at together.
        """
        waiting = iter(scans)
        while chunk := list(islice(waiting, max(1, batch))):
            yield from self.detect_together(
                [DetectRequest(scan, labels, min_confidence, max_detections, detail) for scan in chunk]
            )

    def _try_to_begin(self, request: DetectRequest) -> _Look | XrayToolsError:
        try:
            return self._begin(request)
        except XrayToolsError as error:
            return error

    def _begin(self, request: DetectRequest) -> _Look:
        """Everything before the network runs."""
        started = time.perf_counter()
        _check_detail(request.detail)
        most = _check_most(request.max_detections)
        wanted = _check_labels(request.labels)
        floor = _check_confidence(request.min_confidence)
        bag = self.load(request.scan)
        contents = [Content(view.pixels) for view in bag.views]
        issues, visible = self._examine(contents, wanted, self.detector)
        return _Look(bag, contents, wanted, floor, most, request.detail, issues, visible, started)

    def _finish(self, looks: Sequence[_Look]) -> list[ThreatReport]:
        """Run the network on every view of every look, and report each."""
        detector = self.detector
        lowest = min(detector.package.thresholds.values())
        views, floors, steps = [], [], []
        for look in looks:
            for index in look.visible:
                views.append(look.contents[index])
                floors.append(lowest if look.floor is None else min(lowest, look.floor))
                steps.append(f"looking at view {index + 1} of {len(look.bag.views)}")
        found = iter(detect_all(detector, views, floors, lambda number: progress.report(steps[number])))
        return [_report(look, [(index, next(found)) for index in look.visible], detector) for look in looks]

    def explain_scan(
        self,
        scan: ScanSource | Sequence[ScanSource] | ThreatReport,
        *,
        question: str | None = None,
        max_detections: int | None = None,
        detail: Detail = "concise",
    ) -> Explanation:
        """Say in words what a scan shows and why.

        Args:
            scan: as for :meth:`detect_threats`, or a finished report.
            question: what to answer; an overview when not given.
            max_detections: give at most this many findings (1 or more); the answer rests on all.
            detail: ``full`` gives every cue.

        Raises:
            InvalidArgument: the question is no text or longer than 2,000 characters, ``max_detections`` is out of
                range, or the report leaves detections out.
            ExplainerUnavailable: the configured explainer failed.
            The errors of :meth:`detect_threats`.
        """
        _check_detail(detail)
        most = _check_most(max_detections)
        asked = _check_question(question)
        if isinstance(scan, ThreatReport):
            report, bag = _complete(scan), None
        else:
            bag = self.load(scan)
            report = self.detect_threats(bag)
        progress.report("wording the explanation")
        answer = self._explainer.explain(report, bag, question=asked, detail=detail)
        alarming = {detection.id for detection in report.detections if detection.alarms}
        findings = _first(answer.findings, most, lambda finding: not alarming.isdisjoint(finding.detection_ids))
        return answer.model_copy(update={"findings": findings, "left_out": len(answer.findings) - len(findings)})

    def assess_declaration(
        self,
        scan: ScanSource | Sequence[ScanSource] | ThreatReport,
        *,
        declared_items: Sequence[str],
        policy: str | Path | Policy | None = None,
        max_detections: int | None = None,
        detail: Detail = "concise",
    ) -> Assessment:
        """Compare a scan with what the traveller declared, by a policy.

        Args:
            scan: as for :meth:`detect_threats`, or a finished report.
            declared_items: what was declared, in the traveller's own words.
            policy: name, YAML file or policy; this screener's when not given.
            max_detections: list at most this many in the report (1 or more); items and reasons rest on all.
            detail: passed to the report.

        Raises:
            InvalidArgument: ``max_detections`` is out of range, or the report leaves detections out.
            InvalidDeclaration: the declaration is no list of short texts.
            InvalidPolicy: the policy is missing or breaks the rules for policies.
            The errors of :meth:`detect_threats`.
        """
        _check_detail(detail)
        most = _check_most(max_detections)
        chosen = self._policy if policy is None else policy
        rules = chosen if isinstance(chosen, Policy) else load_policy(chosen)
        declared = read_declaration(declared_items)
        report = _complete(scan) if isinstance(scan, ThreatReport) else self.detect_threats(scan, detail=detail)
        answer = assess(declared, rules, report)
        return answer.model_copy(update={"report": _shortened(report, most, detail)})

    def view_scan(
        self,
        scan: ScanSource | Sequence[ScanSource],
        *,
        detection_id: str | None = None,
        view: int = 0,
        boxes: bool = True,
        labels: Sequence[str] | None = None,
        min_confidence: float | None = None,
    ) -> ScanPicture:
        """Draw a view with the boxes found on it, or enlarge one detection.

        Args:
            scan: as for :meth:`detect_threats`.
            detection_id: the detection to enlarge; the whole view when not given.
            view: index of the view to show whole.
            boxes: draw the boxes; otherwise the view is bare.
            labels: as for :meth:`detect_threats`.
            min_confidence: as for :meth:`detect_threats`; ids are those of a report made with the same values.

        Raises:
            InvalidArgument: there is no such detection or view.
            The errors of :meth:`detect_threats`.
        """
        bag = self.load(scan)
        report = self.detect_threats(bag, labels=labels, min_confidence=min_confidence)
        return picture_of(bag, report, detection_id=detection_id, view=view, boxes=boxes)

    def _examine(
        self, contents: Sequence[Content], wanted: frozenset[str] | None, detector: Detector
    ) -> tuple[list[QualityIssue], list[int]]:
        """What is wrong with a bag's views, and the indices of those that are worth looking at."""
        size = detector.package.manifest.input_size
        issues: list[QualityIssue] = []
        visible = []
        for index, content in enumerate(contents):
            found = view_issues(content, size)
            where = f"view {index + 1}: " if len(contents) > 1 else ""
            issues += [issue.model_copy(update={"text": where + issue.text}) for issue in found]
            if not any(issue.code in FATAL for issue in found):
                visible.append(index)
        if not self.canary_alarms():
            text = "the detector no longer finds the known threat of its canary scan"
            issues.append(QualityIssue(code="canary_failed", text=text))
            visible = []
        if wanted is not None and (unseen := sorted(wanted - detector.package.assessed)):
            text = f"this model cannot look for {', '.join(unseen)}"
            issues.append(QualityIssue(code="labels_not_assessed", text=text))
        return issues, visible


def _canary_alarms(detector: Detector) -> bool:
    package = detector.package
    known = package.manifest.canary.label
    try:
        pixels = load_scan(package.canary_bytes()).views[0].pixels
        found = detector.detect(pixels, floor=package.thresholds[known])
    except XrayToolsError:
        return False
    return any(box.label == known for box in found)


def _report(look: _Look, found: Sequence[tuple[int, list[RawDetection]]], detector: Detector) -> ThreatReport:
    bag, wanted, issues = look.bag, look.wanted, look.issues
    detections = _detections(look, found, detector)
    verdict = _verdict(detections, usable=not issues)
    unseen = taxonomy().outside(sorted(detector.package.assessed) if look.visible else ())
    not_assessed = unseen if wanted is None else [x for x in taxonomy().labels if x in unseen or x not in wanted]
    not_validated = [label for label in _unproven(detector.package) if label not in not_assessed]
    listed = _first(detections, look.most, _alarms)
    return ThreatReport(
        scan_id=bag.scan_id,
        verdict=verdict,
        summary=summarise(verdict, detections, issues, len(not_assessed), len(not_validated), look.detail),
        detections=listed,
        left_out=len(detections) - len(listed),
        quality=Quality(usable=not issues, issues=issues),
        opaque_regions=[region for index in look.visible for region in opaque_regions(look.contents[index], index)],
        not_assessed=not_assessed,
        not_validated=not_validated,
        model=_identity(detector, listed, look.detail),
        image=_image(bag),
        timing_ms=round((time.perf_counter() - look.started) * 1000, 1),
    )


def _unproven(package: ModelPackage) -> list[str]:
    """Threats that only simulated scans validated, in the taxonomy's order."""
    unproven = {label for label, evidence in package.evidence.items() if evidence == "simulated_scans"}
    return [label for label in taxonomy().labels if label in unproven and is_threat(taxonomy().item(label).severity)]


def _detections(look: _Look, looked: Sequence[tuple[int, list[RawDetection]]], detector: Detector) -> list[Detection]:
    """What a look lists, in the order of the report."""
    package = detector.package
    bag, wanted, floor = look.bag, look.wanted, look.floor
    found = [
        (index, box)
        for index, boxes in looked
        for box in boxes
        if (wanted is None or box.label in wanted)
        and (box.confidence >= package.thresholds[box.label] or (floor is not None and box.confidence >= floor))
    ]
    found.sort(key=lambda entry: (_SEVERITY_ORDER[taxonomy().item(entry[1].label).severity], -entry[1].confidence))
    detections = []
    for number, (index, raw) in enumerate(found, start=1):
        view = bag.views[index]
        x_min, y_min, x_max, y_max = (round(value, 1) for value in raw.box)
        box = Box(x_min=x_min, y_min=y_min, x_max=x_max, y_max=y_max)
        item = taxonomy().item(raw.label)
        centre = ((box.x_min + box.x_max) / 2, (box.y_min + box.y_max) / 2)
        detections.append(
            Detection(
                id=f"d{number}",
                label=raw.label,
                group=item.group,
                severity=item.severity,
                confidence=round(raw.confidence, 4),
                above_threshold=raw.confidence >= package.thresholds[raw.label],
                view=index,
                box=box,
                region=region_of(*centre, view.width, view.height),
                occlusion=occlusion_in(look.contents[index].grey, box),
                material=None if view.greyscale else material_in(view.pixels, box),
                evidence=package.evidence[raw.label],
            )
        )
    return detections


def _first(things: Sequence[_Thing], most: int | None, urgent: Callable[[_Thing], bool]) -> list[_Thing]:
    """At most so many things in their order, the urgent ones before the others."""
    if most is None or len(things) <= most:
        return list(things)
    order = sorted(range(len(things)), key=lambda index: not urgent(things[index]))
    return [things[index] for index in sorted(order[:most])]


def _alarms(detection: Detection) -> bool:
    return detection.alarms


def _shortened(report: ThreatReport, most: int | None, detail: Detail) -> ThreatReport:
    listed = _first(report.detections, most, _alarms)
    labels = {detection.label for detection in listed}
    points = [point for point in report.model.thresholds if detail == "full" or point.label in labels]
    return report.model_copy(
        update={
            "detections": listed,
            "left_out": len(report.detections) - len(listed),
            "model": report.model.model_copy(update={"thresholds": points}),
        }
    )


def _complete(report: ThreatReport) -> ThreatReport:
    if report.left_out:
        raise InvalidArgument(
            f"the report leaves out {report.left_out} detections",
            hint="give the scan, or make it without max_detections",
        )
    return report


def _verdict(detections: Sequence[Detection], *, usable: bool) -> Verdict:
    if any(detection.alarms for detection in detections):
        return "ALARM"
    return "NO_ALARM" if usable else "UNKNOWN"


def _identity(detector: Detector, detections: Sequence[Detection], detail: Detail) -> ModelIdentity:
    manifest = detector.package.manifest
    listed = {detection.label for detection in detections}
    return ModelIdentity(
        id=manifest.id,
        version=manifest.version,
        sha256=manifest.sha256,
        taxonomy_version=manifest.taxonomy_version,
        thresholds=[
            Threshold(label=point.label, confidence=round(point.threshold, 4))
            for point in manifest.classes
            if detail == "full" or point.label in listed
        ],
    )


def _image(bag: Scan) -> ImageIdentity:
    first: ScanView = bag.views[0]
    return ImageIdentity(
        width=first.width,
        height=first.height,
        sha256=bag.sha256,
        views=[View(width=view.width, height=view.height, sha256=view.sha256) for view in bag.views],
    )


def _check_labels(labels: Sequence[str] | None) -> frozenset[str] | None:
    if labels is None:
        return None
    if not isinstance(labels, list | tuple | set | frozenset) or not labels:
        raise InvalidArgument("labels must be a list of texts", hint="give labels=['gun', ...] or leave it out")
    for label in labels:
        if not isinstance(label, str):
            raise InvalidArgument("labels must be texts", hint="give labels=['gun', ...] or leave it out")
        taxonomy().item(label)
    return frozenset(labels)


def _check_confidence(value: float | None) -> float | None:
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value <= 1:
        raise InvalidArgument(f"min_confidence is {str(value)[:40]}", hint="give a number above 0 and at most 1")
    return max(float(value), 0.001)


def _check_most(value: int | None) -> int | None:
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int) or value < 1:
        raise InvalidArgument(f"max_detections is {str(value)[:40]}", hint="give a whole number from 1")
    return value


def _check_detail(detail: object) -> None:
    if not isinstance(detail, str) or detail not in ("concise", "full"):
        raise InvalidArgument(f"detail is {str(detail)[:40]!r}", hint="give 'concise' or 'full'")


def _check_question(question: object) -> str | None:
    if question is None:
        return None
    if not isinstance(question, str):
        raise InvalidArgument("the question is no text", hint="give a sentence, or leave it out for an overview")
    if any("\ud800" <= character <= "\udfff" for character in question):
        raise InvalidArgument("the question is no valid Unicode text", hint="decode it again")
    if len(question) > _MOST_QUESTION_CHARACTERS:
        raise InvalidArgument(
            f"the question has {len(question)} characters", hint=f"ask in at most {_MOST_QUESTION_CHARACTERS}"
        )
    return question.strip() or None
