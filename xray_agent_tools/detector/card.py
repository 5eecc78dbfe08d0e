"""The model card: the manifest for people."""

from __future__ import annotations

from collections.abc import Sequence

from xray_agent_tools.detector.package import Manifest, ModelPackage, Score, write_manifest
from xray_agent_tools.markdown import table

CARD_FILE = "CARD.md"


def record_scores(package: ModelPackage, scores: Sequence[Score]) -> None:
    """Put measured scores into the package's manifest and card, in place of earlier ones."""
    manifest = package.manifest.model_copy(update={"scores": tuple(scores)})
    write_manifest(package.folder, manifest)
    write_card(ModelPackage(package.folder, manifest))


def write_card(package: ModelPackage) -> None:
    """Write ``CARD.md`` from the manifest."""
    (package.folder / CARD_FILE).write_text(card_text(package.manifest), encoding="utf-8")


def card_text(manifest: Manifest) -> str:
    """The card in Markdown."""
    sections = [
        f"# {manifest.id} {manifest.version}",
        manifest.statement,
        f"Licence: {manifest.licence}. Network SHA-256: `{manifest.sha256}`. Input: {manifest.input_size} x "
        f"{manifest.input_size} pixels of the scan's content. Taxonomy {manifest.taxonomy_version}.",
        "## Trained on",
        table(["source", "scans", "licence"], [[s.name, str(s.scans), s.licence] for s in manifest.sources]),
        *manifest.remarks,
        "## Operating points",
        "Found on training scans that the run held out. Recall is over annotated boxes at IoU 0.5; the "
        "false-alarm rate is over scans whose source annotates the class and that hold none of it.",
        table(
            ["label", "confidence", "recall", "boxes", "false alarms", "scans", "validated on"],
            [
                [
                    point.label,
                    f"{point.threshold:.2f}",
                    f"{point.recall:.2f}",
                    str(point.positives),
                    f"{point.false_alarm_rate:.3f}",
                    str(point.negatives),
                    point.evidence.replace("_", " "),
                ]
                for point in manifest.classes
            ],
        ),
        f"Calibration: logistic, slope {manifest.calibration.slope:.3f}, intercept "
        f"{manifest.calibration.intercept:.3f}; expected calibration error {manifest.calibration.error:.3f} on the same "
        "scans it was fitted on.",
    ]
    if manifest.scores:
        sections += [
            "## Scores on test scans",
            table(
                ["what", "scans", "support", "value"],
                [[s.name, s.scans, str(s.support), f"{s.value:.3f}"] for s in manifest.scores],
            ),
        ]
    sections += [
        "## What it cannot do",
        "It looks only for the labels above. Everything else in a bag, explosives among them, is not assessed. Scores "
        "fall on scanners that no training scan comes from: see the row of the scanner that it has never seen.",
    ]
    return "\n\n".join(sections) + "\n"
