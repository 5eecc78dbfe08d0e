"""What is counted, in the form that Prometheus reads."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, Counter, Gauge, Histogram, Info, generate_latest

from xray_servers.desk import ScreeningDesk

_SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0)


def decisive_part(answer: Mapping[str, Any]) -> Mapping[str, Any]:
    """The typed answer that decides: an inspection holds an assessment, every other answer is one itself."""
    inner = answer.get("assessment")
    return inner if isinstance(inner, Mapping) else answer


class Metrics:
    """Counters of one server. Labels come from fixed sets, so that no caller can make them grow."""

    def __init__(self, desk: ScreeningDesk) -> None:
        """Count for a server whose scans go through a desk."""
        self.registry = CollectorRegistry()
        self._requests = Histogram(
            "xray_request_seconds",
            "Time from a request to the end of its response.",
            ["route", "status"],
            buckets=_SECONDS,
            registry=self.registry,
        )
        self._stages = Histogram(
            "xray_stage_seconds",
            "Time that a stage of a decision takes.",
            ["stage"],
            buckets=_SECONDS,
            registry=self.registry,
        )
        self._decisions = Histogram(
            "xray_decision_seconds",
            "Time from a request for a decision to the decision on record.",
            ["operation"],
            buckets=_SECONDS,
            registry=self.registry,
        )
        self._verdicts = Counter("xray_verdicts", "Verdicts given.", ["verdict"], registry=self.registry)
        self._risks = Counter("xray_risk_levels", "Risk levels given.", ["risk_level"], registry=self.registry)
        self._actions = Counter("xray_actions", "Actions recommended.", ["action"], registry=self.registry)
        self._detections = Counter("xray_detections", "Detections that alarm.", ["label"], registry=self.registry)
        self._errors = Counter(
            "xray_errors", "Requests that got no decision.", ["operation", "code"], registry=self.registry
        )
        self._model = Info("xray_model", "The detector that looks.", registry=self.registry)
        self._known_model = ""
        batches = Histogram(
            "xray_batch_size",
            "Scans that a process looks at together.",
            buckets=(1, 2, 4, 8, 16, 32, 64),
            registry=self.registry,
        )
        desk.noted_batch = batches.observe
        waiting = Gauge("xray_queue_depth", "Requests that wait or are looked at.", registry=self.registry)
        waiting.set_function(lambda: desk.admitted)
        room = Gauge("xray_queue_limit", "Requests that may wait or be looked at.", registry=self.registry)
        room.set(desk.limits.workers + desk.limits.waiting)

    def requested(self, route: str, status: int, seconds: float) -> None:
        """Count a request by its route's template and its status."""
        self._requests.labels(route, str(status)).observe(seconds)

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        """Time a stage of a decision."""
        with self._stages.labels(name).time():
            yield

    def decided(self, operation: str, answer: Mapping[str, Any], seconds: float) -> None:
        """Count a decision and what it says."""
        self._decisions.labels(operation).observe(seconds)
        decisive = decisive_part(answer)
        if isinstance(decisive.get("risk_level"), str):
            self._risks.labels(decisive["risk_level"]).inc()
            self._actions.labels(str(decisive.get("recommended_action"))).inc()
        report = decisive.get("report", decisive)
        if isinstance(report.get("verdict"), str):
            self._verdicts.labels(report["verdict"]).inc()
        for detection in report.get("detections", ()):
            if detection["above_threshold"]:
                self._detections.labels(detection["label"]).inc()
        self._identify(report.get("model", {}))

    def refused(self, operation: str, code: str) -> None:
        """Count a request that got no decision."""
        self._errors.labels(operation, code).inc()

    def render(self) -> tuple[bytes, str]:
        """Everything counted, and its media type."""
        return generate_latest(self.registry), CONTENT_TYPE_LATEST

    def _identify(self, model: Mapping[str, Any]) -> None:
        sha256 = model.get("sha256")
        if isinstance(sha256, str) and sha256 != self._known_model:
            self._known_model = sha256
            self._model.info({"id": str(model["id"]), "version": str(model["version"]), "sha256": sha256})
