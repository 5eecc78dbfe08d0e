"""Everything that is measured of one detector on one set of scans."""

from __future__ import annotations

import statistics
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from xray_training.datasets import partial_yolo
from xray_training.datasets.record import DatasetError, ScanRecord

from xray_agent_tools.detector.protocol import Detector
from xray_evals.boxes import SourceScore, mean_of, score_source
from xray_evals.calibration import CalibrationScore, outcomes, pooled, score_calibration
from xray_evals.coco import judge
from xray_evals.confusion import Counts, confuse
from xray_evals.images import ImageScore, score_images
from xray_evals.labels import threats
from xray_evals.scanned import ScannedRecord, scan_all
from xray_evals.simulated import SimulatedScans, SimulatedScore, score_simulated

BENIGN = "benign"
"""The source whose scans hold no threat."""

UNSEARCHED = frozenset({"bottle"})
"""Labels that the benign scans are said to be annotated with though nobody searched them for these: bottles lie in many
bags. Training leaves them out as well (`unannotated` of its configuration)."""

ALL = "all"

SQUEEZED = {"opixray": 1.284}
"""Sources whose export squeezed the pictures, with the width factor that undoes it."""


@dataclass(frozen=True, slots=True)
class Scans:
    """The scans to score on: records by source, benign ones, and simulated ones where there are any."""

    groups: dict[str, list[ScanRecord]]
    benign: list[ScanRecord]
    simulated: SimulatedScans | None = None


@dataclass(frozen=True, slots=True)
class Assessment:
    """Everything that was measured.

    Attributes:
        sources: scores on boxes, one a source.
        images: alarms per image, one a source and one of all; none without benign scans.
        counted: the threat labels that the benign scans are searched for; only they count per image.
        calibration: one a source, benign scans too, and one of all.
        confusion: of all sources, benign scans too.
        simulated: scores on simulated scans.
        median_ms: median milliseconds of a look, on real scans, without reading the picture.
    """

    sources: tuple[SourceScore, ...]
    images: tuple[ImageScore, ...]
    counted: frozenset[str]
    calibration: tuple[CalibrationScore, ...]
    confusion: Counts
    simulated: SimulatedScore | None
    median_ms: float

    @property
    def mean_map50(self) -> float:
        """Mean mAP50 of the sources, each with the same weight."""
        return mean_of([source.map50 for source in self.sources])

    def source(self, name: str) -> SourceScore | None:
        """The scores of one source."""
        return next((source for source in self.sources if source.source == name), None)

    @property
    def all_images(self) -> ImageScore | None:
        """Alarms per image over all sources."""
        return next((image for image in self.images if image.source == ALL), None)

    @property
    def all_calibration(self) -> CalibrationScore | None:
        """Calibration over all sources."""
        return next((score for score in self.calibration if score.source == ALL), None)


def read_scans(data: Path, *, split: str, limit: int | None = None, simulated: SimulatedScans | None = None) -> Scans:
    """Read an annotated YOLO folder.

    Args:
        data: the folder.
        split: which scans.
        limit: keep only the first scans of each source.
        simulated: simulated scans to score on as well.

    Raises:
        DatasetError: a part is missing or malformed, or no scan has a box.
    """
    records = partial_yolo.read(data, split=split, stretch=SQUEEZED)
    names = dict.fromkeys(record.source for record in records)
    groups = {name: [record for record in records if record.source == name][:limit] for name in names}
    benign = [replace(record, annotated=record.annotated - UNSEARCHED) for record in groups.pop(BENIGN, [])]
    if not any(record.boxes for group in groups.values() for record in group):
        raise DatasetError(f"no annotated scans in the split {split!r} of {data}: name another with --split")
    return Scans(groups, benign, simulated)


@dataclass(frozen=True, slots=True)
class Looked:
    """What a detector found on the scans: by source, on the benign ones, and on simulated ones where there are any."""

    groups: dict[str, list[ScannedRecord]]
    benign: list[ScannedRecord]
    simulated: list[ScannedRecord] | None


def look_at(detector: Detector, scans: Scans, *, name: str = "model") -> Looked:
    """Run a detector over the scans, with progress bars that call it by its name.

    Raises:
        DatasetError: a picture is missing or damaged.
        ModelUnavailable: the network failed.
    """
    groups = {
        source: scan_all(detector, records, description=f"{name}: {source}") for source, records in scans.groups.items()
    }
    benign = scan_all(detector, scans.benign, description=f"{name}: {BENIGN}")
    if scans.simulated is None:
        return Looked(groups, benign, None)
    return Looked(groups, benign, scan_all(detector, scans.simulated.records, description=f"{name}: simulated"))


def assess(looked: Looked, scans: Scans, thresholds: dict[str, float]) -> Assessment:
    """Score what a detector found.

    Args:
        looked: what it found.
        scans: on what.
        thresholds: confidence from which each label alarms; the model knows these labels and no others.

    Raises:
        DatasetError: there are simulated scans, and none holds a box.
    """
    known = frozenset(thresholds)
    judgements = {source: judge(group) for source, group in looked.groups.items()}
    sources = [score_source(group, judgements[source], known) for source, group in looked.groups.items()]
    found = {source: outcomes(group, judgements[source], thresholds) for source, group in looked.groups.items()}
    found[BENIGN] = outcomes(looked.benign, judge(looked.benign), thresholds)
    found[ALL] = pooled(list(found.values()))
    everything = [entry for group in (*looked.groups.values(), looked.benign) for entry in group]
    simulated = None
    if scans.simulated is not None and looked.simulated is not None:
        simulated = score_simulated(looked.simulated, scans.simulated, thresholds)
    counted = _counted(scans)
    return Assessment(
        sources=tuple(score for score in sources if score is not None),
        images=tuple(_images(looked, thresholds, counted)),
        counted=counted,
        calibration=tuple(
            score for source, part in found.items() if (score := score_calibration(source, part)) is not None
        ),
        confusion=confuse(everything, thresholds),
        simulated=simulated,
        median_ms=1000 * statistics.median(entry.seconds for entry in everything),
    )


def _counted(scans: Scans) -> frozenset[str]:
    """The threats that every benign scan was searched for."""
    searched = [record.annotated for record in scans.benign]
    return threats().intersection(*searched) if searched else frozenset()


def _images(looked: Looked, thresholds: dict[str, float], counted: frozenset[str]) -> Iterator[ImageScore]:
    positives = {
        source: [entry for entry in group if any(box.label in counted for box in entry.record.boxes)]
        for source, group in looked.groups.items()
    }
    positives[ALL] = [entry for group in positives.values() for entry in group]
    for source, group in positives.items():
        if group and looked.benign:
            yield score_images(source, group, looked.benign, thresholds, counted=counted)
