"""The model package: a folder with a network, its manifest and its card.

``manifest.json`` says what the network is, where it alarms and how good that was found to be. A network
whose hash or class names differ from its manifest is refused.
"""

from __future__ import annotations

import hashlib
import json
import math
from dataclasses import dataclass
from functools import cached_property
from importlib.resources import files
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from xray_agent_tools.errors import ModelUnavailable
from xray_agent_tools.report import Evidence, Share
from xray_agent_tools.taxonomy import taxonomy

Precision = Literal["fp32", "fp16", "int8"]
"""Form of a network: as trained, stored in half precision, or computed in 8 bits."""

NETWORK_FILE = "model.onnx"
MANIFEST_FILE = "manifest.json"


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class OperatingPoint(_Part):
    """Where a class alarms, and what that costs and brings on the validation scans.

    ``recall`` is over annotated boxes, ``false_alarm_rate`` over scans whose source annotates the class and
    that hold none; ``positives`` and ``negatives`` are their counts.
    """

    label: str
    threshold: Share
    recall: Share
    false_alarm_rate: Share
    positives: int = Field(ge=0)
    negatives: int = Field(ge=0)
    evidence: Evidence


class Calibration(_Part):
    """Logistic calibration: ``confidence = sigmoid(slope * logit(score) + intercept)``.

    ``error`` is the expected calibration error on the validation scans, 15 bins of equal width.
    """

    slope: float = Field(gt=0, le=100)
    intercept: float = Field(ge=-100, le=100)
    error: Share

    def confidence(self, score: float) -> float:
        """Calibrated probability of a raw score, both 0..1."""
        clipped = min(max(score, 1e-6), 1 - 1e-6)
        logit = self.slope * math.log(clipped / (1 - clipped)) + self.intercept
        return 1 / (1 + math.exp(-min(max(logit, -30.0), 30.0)))

    def score(self, confidence: float) -> float:
        """The raw score that calibrates to a confidence."""
        clipped = min(max(confidence, 1e-6), 1 - 1e-6)
        logit = (math.log(clipped / (1 - clipped)) - self.intercept) / self.slope
        return 1 / (1 + math.exp(-min(max(logit, -30.0), 30.0)))


class Source(_Part):
    """Scans that a network was trained on."""

    name: str
    scans: int = Field(ge=0)
    licence: str


class Score(_Part):
    """A measured figure: what, on which scans, with which command."""

    name: str
    value: float
    scans: str
    support: int = Field(ge=0)


class EvidenceFigure(_Part):
    """What a piece of computed evidence was found to be worth.

    ``low`` and ``high`` bound the 95 % interval; ``baseline`` is what a trivial answer gets on the same objects, and
    ``against`` says which; ``support`` counts the objects.
    """

    name: str
    value: float
    low: float
    high: float
    baseline: float
    against: str
    scans: str
    support: int = Field(ge=0)


class Canary(_Part):
    """A scan with a known threat that must alarm."""

    file: str
    sha256: str
    label: str


class SecondLook(_Part):
    """When and how a view is looked at again, enlarged.

    ``lowest`` is the share of its class' operating point from which a box that does not alarm counts as doubted;
    ``most`` bounds the windows looked at on one view; ``zoom`` is how many times smaller than the first look's region
    the longer side of a window is; ``margin`` is the room that a doubted box needs inside a window on every side, as a
    share of the box's own side.
    """

    lowest: float = Field(0.5, gt=0, lt=1)
    most: int = Field(2, ge=1, le=8)
    zoom: float = Field(2.0, gt=1, le=8)
    margin: float = Field(0.25, ge=0, le=2)


class Variant(_Part):
    """A form of the network, measured when it was exported.

    ``recall`` is the mean over classes and over false-alarm rates of 0.5, 1, 2, 5 and 10 % on held-out scans;
    ``relative_time`` is a run's median time beside the first variant's, or for a second look the time of looks with it
    beside that of first looks alone.
    """

    precision: Precision
    second_look: bool = False
    recall: Share
    relative_time: float = Field(gt=0)
    megabytes: float = Field(gt=0)


class Manifest(_Part):
    """What ``manifest.json`` holds."""

    id: str
    version: str
    sha256: str = Field(pattern=r"^[0-9a-f]{64}$")
    taxonomy_version: str
    input_size: int = Field(ge=64, multiple_of=32)
    overlap: Share = Field(description="Intersection over union from which two boxes of one class are the same.")
    content_crop: bool = Field(
        True, description="Whether the first look is at the content only, or at the whole frame."
    )
    second_look: SecondLook | None = Field(
        None, description="How doubted regions are looked at again; null: not at all."
    )
    precision: Precision = Field("fp32", description="How weights are stored and convolutions computed.")
    variants: tuple[Variant, ...] = Field((), description="Forms of the network that were compared.")
    head: Literal["raw"] = Field(description="Output layout: (views, 4 + classes, anchors), centre boxes and scores.")
    classes: tuple[OperatingPoint, ...] = Field(min_length=1)
    calibration: Calibration
    sources: tuple[Source, ...]
    scores: tuple[Score, ...]
    canary: Canary
    licence: str
    statement: str
    evidence_worth: tuple[EvidenceFigure, ...] = Field(
        (), description="What occlusion and material were found to be worth on simulated scans."
    )
    remarks: tuple[str, ...] = Field((), description="What a reader of the figures has to know about how it was made.")

    @model_validator(mode="after")
    def _labels_are_canonical(self) -> Manifest:
        if unknown := set(self.labels) - set(taxonomy().labels):
            raise ValueError(f"labels that are not in the taxonomy: {sorted(unknown)}")
        if len(set(self.labels)) != len(self.labels):
            raise ValueError("a label occurs twice")
        if self.canary.label not in self.labels:
            raise ValueError("the canary's label is not one of the classes")
        return self

    @property
    def labels(self) -> tuple[str, ...]:
        """Class labels in the network's order."""
        return tuple(point.label for point in self.classes)


@dataclass(frozen=True)
class ModelPackage:
    """A checked model package."""

    folder: Path
    manifest: Manifest

    @property
    def network(self) -> Path:
        """The ONNX file."""
        return self.folder / NETWORK_FILE

    @cached_property
    def thresholds(self) -> dict[str, float]:
        """Calibrated confidence from which each label alarms."""
        return {point.label: point.threshold for point in self.manifest.classes}

    @cached_property
    def assessed(self) -> frozenset[str]:
        """Labels that the network can raise: at their operating points it found some of those held out from training."""
        return frozenset(point.label for point in self.manifest.classes if point.recall > 0)

    @cached_property
    def evidence(self) -> dict[str, Evidence]:
        """What each label was validated on."""
        return {point.label: point.evidence for point in self.manifest.classes}

    def canary_bytes(self) -> bytes:
        """The canary scan.

        Raises:
            ModelUnavailable: it is missing or has been changed.
        """
        return _verified(self.folder / self.manifest.canary.file, self.manifest.canary.sha256)

    def check_names(self, names: list[str]) -> None:
        """Compare the class names that a network file carries with the manifest's.

        Raises:
            ModelUnavailable: they differ.
        """
        if tuple(names) != self.manifest.labels:
            raise ModelUnavailable(
                f"the network's classes {names} are not the manifest's {list(self.manifest.labels)}",
                hint="export the model again with `xray-train export`",
            )


def embedded_models() -> list[str]:
    """Names of the model packages that ship with the library."""
    folder = Path(str(files("xray_agent_tools") / "models"))
    return sorted(path.parent.name for path in folder.glob(f"*/{MANIFEST_FILE}"))


def load_package(model: str | Path) -> ModelPackage:
    """Open a model package by the name of an embedded one or by its folder, and check its hash.

    Raises:
        ModelUnavailable: there is none, or a part of it is missing, malformed or changed.
    """
    embedded = Path(str(files("xray_agent_tools") / "models")) / str(model)
    folder = embedded if str(model) in embedded_models() else Path(model)
    try:
        content: Any = json.loads((folder / MANIFEST_FILE).read_text(encoding="utf-8"))
        manifest = Manifest.model_validate(content)
    except (OSError, ValueError) as error:
        if isinstance(error, ValidationError):
            detail = f"{error.error_count()} fields are wrong: {error.errors()[0]['loc']}"
        else:
            detail = type(error).__name__
        raise ModelUnavailable(
            f"{str(model)!r} is no model package ({detail})",
            hint=f"give a folder with {MANIFEST_FILE}, or one of: {', '.join(embedded_models())}",
        ) from error
    _verified(folder / NETWORK_FILE, manifest.sha256)
    return ModelPackage(folder, manifest)


def write_manifest(folder: Path, manifest: Manifest) -> None:
    """Write a package's ``manifest.json``."""
    (folder / MANIFEST_FILE).write_text(manifest.model_dump_json(indent=1) + "\n", encoding="utf-8")


def _verified(path: Path, sha256: str) -> bytes:
    try:
        content = path.read_bytes()
    except OSError as error:
        raise ModelUnavailable(f"{path.name} is missing", hint="install the package again") from error
    if hashlib.sha256(content).hexdigest() != sha256:
        raise ModelUnavailable(f"{path.name} is not the file its manifest names", hint="install the package again")
    return content
