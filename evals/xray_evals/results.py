"""Results as data, and as the figures that a model card quotes."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import Any

from xray_agent_tools.detector.package import Manifest, Score
from xray_evals.assess import Assessment
from xray_evals.goals import Goal
from xray_evals.robustness import ChangeScore
from xray_evals.variants import VariantScore

_CARD_RATE = 0.1
_DECIMALS = 6


@dataclass(frozen=True, slots=True)
class Results:
    """Everything that a run of ``xray-eval detector`` measured.

    Attributes:
        manifest: the model.
        backend: what ran it.
        command: how to measure it again.
        commit: of the code that measured it.
        split: of the scans.
        found: the model's figures.
        goals: what it has to reach.
        changes: figures on changed scans, the unchanged ones first; empty if not measured.
        ablations: the model with one setting of its looks turned round each; empty if not measured.
        others: other models; empty if not measured.
        peer: Ultralytics' own ``predict``; None if not measured.
    """

    manifest: Manifest
    backend: str
    command: str
    commit: str
    split: str
    found: Assessment
    goals: Sequence[Goal]
    changes: Sequence[ChangeScore] = ()
    ablations: Sequence[VariantScore] = ()
    others: Sequence[VariantScore] = ()
    peer: VariantScore | None = None

    @property
    def whole(self) -> VariantScore:
        """The model's own row beside its variants."""
        return VariantScore.of(f"{self.manifest.id} {self.manifest.version}", self.found)

    @property
    def beside(self) -> list[VariantScore]:
        """The other models, and the peer last."""
        return [*self.others, *([self.peer] if self.peer else [])]


def as_data(results: Results) -> dict[str, Any]:
    """Everything that was measured, and with what, ready for JSON; floats have six decimals."""
    manifest, found = results.manifest, results.found
    simulated = found.simulated
    data = {
        "model": {
            "id": manifest.id,
            "version": manifest.version,
            "sha256": manifest.sha256,
            "backend": results.backend,
        },
        "command": results.command,
        "commit": results.commit,
        "date": datetime.now(UTC).date().isoformat(),
        "split": results.split,
        "goals": [{**asdict(goal), "met": goal.met, "distance": goal.distance} for goal in results.goals],
        "sources": [
            {**asdict(s), "map50": s.map50, "map50_95": s.map50_95, "map50_known": s.map50_known} for s in found.sources
        ],
        "mean_map50": found.mean_map50,
        "images": [asdict(image) for image in found.images],
        "counted_per_image": sorted(found.counted),
        "calibration": [asdict(score) for score in found.calibration],
        "confusion": found.confusion,
        "simulated": None
        if simulated is None
        else {
            **asdict(simulated),
            "threats": [score.label for score in simulated.threats],
            "threats_map50": simulated.threats_map50,
            "everyday_map50": simulated.everyday_map50,
        },
        "robustness": [{**asdict(score), "mean_map50": score.mean_map50} for score in results.changes],
        "ablations": [asdict(score) for score in (results.whole, *results.ablations)] if results.ablations else [],
        "others": [asdict(score) for score in (results.whole, *results.beside)] if results.beside else [],
        "compared": [score.name for score in results.others],
    }
    rounded: dict[str, Any] = json.loads(json.dumps(data), parse_float=lambda text: round(float(text), _DECIMALS))
    return rounded


def as_scores(found: Assessment) -> list[Score]:
    """The figures that a model card quotes."""
    scores = []
    for source in found.sources:
        scans = f"{source.source}, {source.scans} scans"
        boxes = sum(score.support for score in source.classes)
        scores.append(Score(name="mAP50", value=round(source.map50, 4), scans=scans, support=boxes))
        scores += [
            Score(name=f"AP50 {score.label}", value=round(score.ap50, 4), scans=scans, support=score.support)
            for score in source.classes
            if score.known
        ]
    scores += [
        Score(
            name="TPR per image at FPR 10 % on benign scans",
            value=round(image.at_rate[_CARD_RATE][0], 4),
            scans=image.source,
            support=image.positives,
        )
        for image in found.images
    ]
    if found.all_calibration is not None:
        calibration = found.all_calibration
        scores.append(
            Score(
                name="expected calibration error",
                value=round(calibration.ece, 4),
                scans=calibration.source,
                support=calibration.detections,
            )
        )
    if found.simulated is not None:
        boxes = sum(score.support for score in found.simulated.threats)
        scans = f"{found.simulated.boxes.source}, {found.simulated.boxes.scans} scans"
        value = round(found.simulated.threats_map50, 4)
        scores.append(Score(name="mAP50 of the threat categories", value=value, scans=scans, support=boxes))
    return scores
