"""The answer types: frozen, typed, every field described.

One JSON schema serves the Model Context Protocol, OpenAI's strict mode and Anthropic alike, so there are
no tuples and no free-form objects. Coordinates are pixels of the original image after EXIF orientation,
origin upper left.
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

Verdict = Literal["ALARM", "NO_ALARM", "UNKNOWN"]
Severity = Literal["critical", "high", "medium", "low", "none"]
Evidence = Literal["real_scans", "simulated_scans"]
Detail = Literal["concise", "full"]
Region = Literal[
    "upper-left",
    "upper-centre",
    "upper-right",
    "centre-left",
    "centre",
    "centre-right",
    "lower-left",
    "lower-centre",
    "lower-right",
]
ItemStatus = Literal["declared_and_seen", "undeclared", "declared_not_seen", "not_assessable"]
RiskLevel = Literal["low", "medium", "high", "undetermined"]
Action = Literal["CLEAR", "REVIEW", "PHYSICAL_INSPECTION"]
ConfidenceBand = Literal["high", "moderate", "low", "none"]
IssueCode = Literal[
    "too_small",
    "blank",
    "not_an_xray",
    "incomplete",
    "too_coarse",
    "low_contrast",
    "mostly_opaque",
    "canary_failed",
    "labels_not_assessed",
]

Share = Annotated[float, Field(ge=0, le=1)]


class _Answer(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", defer_build=True)


class Box(_Answer):
    """An axis-aligned box in pixels."""

    x_min: float = Field(description="Left edge in pixels.")
    y_min: float = Field(description="Upper edge in pixels.")
    x_max: float = Field(description="Right edge in pixels.")
    y_max: float = Field(description="Lower edge in pixels.")


def is_threat(severity: Severity) -> bool:
    """Whether an item of this severity alarms; what is below it is listed, and policies see it."""
    return severity not in ("low", "none")


class Occlusion(_Answer):
    """How much the surroundings of a detection hide it."""

    occluded: bool = Field(description="Whether the score is at least 0.7.")
    score: Share = Field(description="Estimated probability that other things hide more than 30 % of the item, 0..1.")


class Material(_Answer):
    """Material shares read from the colour of what stands out in a box; they sum to 1."""

    organic: Share = Field(description="Share of orange pixels (low effective atomic number).")
    mixed: Share = Field(description="Share of green pixels (medium effective atomic number).")
    metal: Share = Field(description="Share of blue pixels (high effective atomic number).")
    opaque: Share = Field(description="Share of pixels too dark to tell.")


class Detection(_Answer):
    """One item that the detector found."""

    id: str = Field(description="Identifier within this report: d1, d2, ...")
    label: str = Field(description="Canonical label from the taxonomy.")
    group: str = Field(description="Group of the label in the taxonomy.")
    severity: Severity = Field(description="Default severity of the label.")
    confidence: Share = Field(description="Calibrated probability that the label and the box are right.")
    above_threshold: bool = Field(description="Whether the confidence reaches the label's operating point.")
    view: int = Field(ge=0, description="Index of the view it was found on.")
    box: Box = Field(description="Where it is on that view.")
    region: Region = Field(description="Where the centre of the box lies, in words.")
    occlusion: Occlusion | None = Field(description="Measured occlusion, or null if it could not be measured.")
    material: Material | None = Field(description="Material shares, or null for a greyscale scan.")
    evidence: Evidence = Field(description="What this label's detection was validated on.")

    @property
    def alarms(self) -> bool:
        """Whether it makes the verdict ALARM: a threat, of medium severity or more, at its operating point."""
        return self.above_threshold and is_threat(self.severity)


class QualityIssue(_Answer):
    """Something about a scan that limits what can be said of it."""

    code: IssueCode = Field(description="Machine-readable name.")
    text: str = Field(description="What was found.")


class Quality(_Answer):
    """Whether a scan supports a verdict."""

    usable: bool = Field(description="False if an absence of detections would mean nothing.")
    issues: list[QualityIssue] = Field(description="What was found wrong.")


class OpaqueRegion(_Answer):
    """A part of a scan that the radiation did not penetrate."""

    view: int = Field(ge=0, description="Index of the view.")
    box: Box = Field(description="Where it is.")
    share: Share = Field(description="Its share of the content's area.")


class Threshold(_Answer):
    """An operating point."""

    label: str = Field(description="Canonical label.")
    confidence: Share = Field(description="Confidence from which this label alarms.")


class ModelIdentity(_Answer):
    """The detector that looked."""

    id: str = Field(description="Model identifier.")
    version: str = Field(description="Model version.")
    sha256: str = Field(description="Hash of the network file.")
    taxonomy_version: str = Field(description="Version of the taxonomy its labels follow.")
    thresholds: list[Threshold] = Field(
        description="Operating points: all with detail 'full', those of the labels listed with 'concise'."
    )


class View(_Answer):
    """One projection of the bag."""

    width: int = Field(ge=1, description="Width in pixels.")
    height: int = Field(ge=1, description="Height in pixels.")
    sha256: str = Field(description="Hash of the bytes or pixels as received.")


class ImageIdentity(_Answer):
    """The picture that was looked at; width and height are those of the first view."""

    width: int = Field(ge=1, description="Width of the first view in pixels.")
    height: int = Field(ge=1, description="Height of the first view in pixels.")
    sha256: str = Field(description="Hash over all views.")
    views: list[View] = Field(min_length=1, description="Every view, in the order received.")


class ThreatReport(_Answer):
    """What the detector saw on a scan."""

    scan_id: str = Field(description="Identifier derived from the scan's content.")
    verdict: Verdict = Field(
        description="ALARM: at least one threat at its operating point. NO_ALARM: a finished look at a usable scan found "
        "none, which does not mean the bag holds none. UNKNOWN: no statement can be made."
    )
    summary: str = Field(description="The report in a sentence or two.")
    detections: list[Detection] = Field(description="Items found, most severe and most certain first.")
    left_out: int = Field(
        ge=0, description="Items found but not listed because of max_detections, those that alarm last of all."
    )
    quality: Quality = Field(description="Whether the scan supports a verdict.")
    opaque_regions: list[OpaqueRegion] = Field(description="Parts that could not be looked into.")
    not_assessed: list[str] = Field(description="Labels that were not looked for; their absence means nothing.")
    not_validated: list[str] = Field(
        description="Threats that were looked for, but validated on simulated scans alone: their absence says little."
    )
    model: ModelIdentity = Field(description="The detector that looked.")
    image: ImageIdentity = Field(description="What it looked at.")
    timing_ms: float = Field(ge=0, description="Wall-clock time in milliseconds.")

    @model_validator(mode="after")
    def _verdict_follows_from_the_evidence(self) -> ThreatReport:
        alarmed = any(detection.alarms for detection in self.detections)
        if alarmed != (self.verdict == "ALARM"):
            raise ValueError("the verdict is ALARM if and only if a detection alarms")
        if self.verdict == "NO_ALARM" and not self.quality.usable:
            raise ValueError("NO_ALARM needs a usable scan")
        return self


class PictureCaption(_Answer):
    """What a picture of a scan shows, for those who get it without the pixels."""

    scan_id: str = Field(description="Identifier of the scan.")
    verdict: Verdict = Field(description="The verdict of the report whose boxes are drawn.")
    shows: str = Field(description="What the picture shows, in words.")
    detection_ids: list[str] = Field(description="Detections that are drawn in it, or the one that is enlarged.")
    view: int = Field(ge=0, description="Index of the view.")
    part: Box = Field(description="The part of the view that it shows.")
    width: int = Field(ge=1, description="Width of the picture in pixels.")
    height: int = Field(ge=1, description="Height of the picture in pixels.")


class Finding(_Answer):
    """One claim about a scan, with what it rests on."""

    claim: str = Field(description="The claim in one sentence.")
    detection_ids: list[str] = Field(description="Detections it rests on; empty for a claim about what was not seen.")
    cues: list[str] = Field(description="Computed observations that support it.")
    look_alikes: list[str] = Field(description="Labels it is easily confused with.")
    confidence_band: ConfidenceBand = Field(description="high from 0.8, moderate from 0.5, low below, none: no claim.")


class Disagreement(_Answer):
    """Something an explainer said that the detections do not support."""

    claim: str = Field(description="What was said.")
    reason: str = Field(description="Why it is not among the findings.")


class Explanation(_Answer):
    """Words about a scan, each claim tied to evidence."""

    scan_id: str = Field(description="Identifier of the scan.")
    question: str | None = Field(description="The question as asked, or null for an overview.")
    answer: str = Field(description="The answer in a few sentences.")
    verdict: Verdict = Field(description="The verdict of the report that the answer rests on.")
    answered: bool = Field(description="False if the evidence does not answer the question.")
    findings: list[Finding] = Field(description="The claims behind the answer.")
    left_out: int = Field(ge=0, description="Findings not listed because of max_detections; the answer counts them.")
    disagreements: list[Disagreement] = Field(description="Claims of a language model that the detections contradict.")
    not_assessed: list[str] = Field(description="Labels that were not looked for.")
    backend: str = Field(description="What worded the answer: 'grounded', or 'vlm:' and the model's name.")
    model: ModelIdentity = Field(description="The detector that looked.")


class DeclaredItem(_Answer):
    """One item of the declaration, or one that was seen without being declared."""

    name: str = Field(description="As declared, or the canonical label of what was seen.")
    status: ItemStatus = Field(
        description="declared_not_seen is weak evidence: the detector misses items. not_assessable: not a thing the "
        "detector knows."
    )
    detection_ids: list[str] = Field(description="Detections it was matched with.")
    matched_by: str | None = Field(description="How the words were matched, or the nearest known labels as a hint.")


class Reason(_Answer):
    """A rule that fired."""

    rule: str = Field(description="Name of the rule in the policy.")
    text: str = Field(description="Why it fired.")
    risk_level: RiskLevel = Field(description="The risk level it asks for.")
    recommended_action: Action = Field(description="The action it asks for.")
    detection_ids: list[str] = Field(description="Detections it rests on.")


class PolicyIdentity(_Answer):
    """The policy that decided."""

    name: str = Field(description="Name of the policy.")
    version: str = Field(description="Version of the policy.")
    sha256: str = Field(description="Hash of the policy file.")


class Assessment(_Answer):
    """Whether the content fits the declaration, and what to do."""

    scan_id: str = Field(description="Identifier of the scan.")
    declaration_match: bool | None = Field(
        description="True: every declared item was seen, and nothing else that has to be declared. False: something "
        "undeclared was seen. Null: it cannot be decided."
    )
    items: list[DeclaredItem] = Field(description="Declared items in order, then undeclared ones.")
    risk_level: RiskLevel = Field(description="The highest level that a rule asks for.")
    recommended_action: Action = Field(description="The strictest action that a rule asks for.")
    reasons: list[Reason] = Field(description="Every rule that fired, in the order of the policy.")
    policy: PolicyIdentity = Field(description="The policy that decided.")
    report: ThreatReport = Field(description="The report it rests on.")

    @model_validator(mode="after")
    def _clear_needs_a_finished_look(self) -> Assessment:
        if self.recommended_action == "CLEAR" and self.report.verdict != "NO_ALARM":
            raise ValueError("CLEAR needs a NO_ALARM report")
        return self
