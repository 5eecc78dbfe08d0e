"""What the default model has to reach, and how far it is from that."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from xray_evals.assess import Assessment
from xray_evals.boxes import mean_of
from xray_evals.variants import VariantScore

FAMILIAR_SOURCES = ("opixray", "pidray", "sixray")
"""Sources that have training scans of their own."""

UNSEEN_SOURCE = "ifly"
"""The source whose test scans are of a scanner without a training scan."""

_MAP50_FAMILIAR, _MAP50_UNSEEN, _MAP50_SIMULATED = 0.85, 0.60, 0.80
_TPR = {0.1: 0.95, 0.01: 0.80}
_FIELD_TPR = {0.1: "the field's own target is 0.90 at 10 %"}
_ECE = 0.05
_TIME_SHARE, _OTHER_SHARE = 1 / 3, 0.15


class Speed(BaseModel):
    """What ``bench/speed.py`` measured: ours beside Ultralytics' ``predict``, end to end, in one run.

    ``ratio_to_peer`` is our median time over theirs, ``non_network_share`` the share (0..1) of ours that
    is not the network. ``sha256`` is of the network that was measured, on which ``scans``, with how many ``threads``, at
    which ``commit``.
    """

    model_config = ConfigDict(frozen=True, allow_inf_nan=False)

    ratio_to_peer: float = Field(gt=0)
    non_network_share: float = Field(ge=0, le=1)
    ours_ms: float = Field(gt=0)
    peer_ms: float = Field(gt=0)
    sha256: str
    scans: str
    threads: int = Field(ge=1)
    commit: str

    @property
    def conditions(self) -> str:
        """With what it was measured, in words."""
        return f"{self.scans}, {self.threads} {'thread' if self.threads == 1 else 'threads'}, commit {self.commit}"


@dataclass(frozen=True, slots=True)
class Goal:
    """A goal and the figure measured for it.

    Attributes:
        what: the figure.
        sense: whether it is to be at least or at most the goal.
        goal: where it should be.
        measured: where it is; None if it was not measured.
        remark: what belongs beside it.
    """

    what: str
    sense: Literal["at least", "at most"]
    goal: float
    measured: float | None
    remark: str = ""

    @property
    def met(self) -> bool | None:
        """Whether the goal is reached; None if there is no figure."""
        if self.measured is None:
            return None
        return self.measured >= self.goal if self.sense == "at least" else self.measured <= self.goal

    @property
    def distance(self) -> float | None:
        """How much is missing; zero where the goal is met, None if there is no figure."""
        return None if self.measured is None else 0.0 if self.met else abs(self.goal - self.measured)


def read_speed(path: Path) -> Speed:
    """Read what ``bench/speed.py`` wrote.

    Raises:
        ValueError: it is no such file; the message says what to do.
    """
    try:
        return Speed.model_validate(json.loads(path.read_text(encoding="utf-8")))
    except (OSError, ValueError) as error:
        what = error.errors()[0]["loc"] if isinstance(error, ValidationError) else type(error).__name__
        raise ValueError(f"{path} holds no speeds ({what}): write it with `make bench`") from error


def goals_of(found: Assessment, *, peer: VariantScore | None, speed: Speed | None) -> list[Goal]:
    """Every goal with its figure.

    Args:
        found: what was measured of the model.
        peer: the same of Ultralytics' own ``predict``, where it ran.
        speed: what the benchmark measured, where it ran.
    """
    return [*_boxes(found), *_images(found), *_others(found), *_speeds(found, peer, speed)]


def _boxes(found: Assessment) -> Sequence[Goal]:
    familiar = [score.map50 for name in FAMILIAR_SOURCES if (score := found.source(name)) is not None]
    unseen = found.source(UNSEEN_SOURCE)
    return (
        Goal(
            "mean mAP50 of OPIXray, PIDray and SIXray",
            "at least",
            _MAP50_FAMILIAR,
            mean_of(familiar) if len(familiar) == len(FAMILIAR_SOURCES) else None,
            "published YOLOv8, pretrained and with all the data: 0.868, 0.897, 0.901",
        ),
        Goal(
            "mAP50 on a scanner never trained on (ifly d4)",
            "at least",
            _MAP50_UNSEEN,
            unseen.map50 if unseen else None,
            "published YOLOv8 across scanners: 0.547",
        ),
    )


def _images(found: Assessment) -> Sequence[Goal]:
    images = found.all_images
    goals = []
    for rate, goal in _TPR.items():
        remarks = [_FIELD_TPR[rate]] if rate in _FIELD_TPR else []
        if images is not None:
            _, low, high = images.at_rate[rate]
            each = [image.at_rate[rate][0] for image in found.images if image is not images]
            remarks += [f"95 % interval {low:.3f} to {high:.3f}", f"by source {min(each):.3f} to {max(each):.3f}"]
        measured = images.at_rate[rate][0] if images else None
        goals.append(
            Goal(f"image-level TPR at FPR {rate:.0%}, all sources", "at least", goal, measured, "; ".join(remarks))
        )
    return goals


def _others(found: Assessment) -> Sequence[Goal]:
    calibration, simulated = found.all_calibration, found.simulated
    known = sum(score.known for score in simulated.threats) if simulated else 0
    return (
        Goal(
            "ECE of the confidences, all sources",
            "at most",
            _ECE,
            calibration.ece if calibration else None,
            f"{calibration.alarms_ece:.3f} over the detections that alarm" if calibration else "",
        ),
        Goal(
            "mAP50 of the threat categories on held-out simulated scanners",
            "at least",
            _MAP50_SIMULATED,
            simulated.threats_map50 if simulated else None,
            f"{len(simulated.threats)} categories, {known} known to the model, the others count zero"
            if simulated
            else "",
        ),
    )


def _speeds(found: Assessment, peer: VariantScore | None, speed: Speed | None) -> Sequence[Goal]:
    times = f"{speed.ours_ms:.1f} ms against {speed.peer_ms:.1f} ms; {speed.conditions}" if speed else ""
    return (
        Goal(
            "mean mAP50, not below that of Ultralytics `predict` at 640 on the same weights",
            "at least",
            peer.mean_map50 if peer else 0.0,
            found.mean_map50 if peer else None,
        ),
        Goal(
            "end-to-end time as a share of that `predict`'s",
            "at most",
            _TIME_SHARE,
            speed.ratio_to_peer if speed else None,
            times,
        ),
        Goal(
            "share of the end-to-end time that is not the network",
            "at most",
            _OTHER_SHARE,
            speed.non_network_share if speed else None,
            speed.conditions if speed else "",
        ),
    )
