"""The model card: the manifest for people."""

from __future__ import annotations

from collections.abc import Sequence

from xray_agent_tools.detector.package import EvidenceFigure, Manifest, ModelPackage, Score, write_manifest
from xray_agent_tools.markdown import table

CARD_FILE = "CARD.md"


def record_scores(package: ModelPackage, scores: Sequence[Score]) -> None:
    """Put measured scores into the package's manifest and card, in place of earlier ones."""
    manifest = package.manifest.model_copy(update={"scores": tuple(scores)})
    write_manifest(package.folder, manifest)
    write_card(ModelPackage(package.folder, manifest))


def record_evidence(package: ModelPackage, figures: Sequence[EvidenceFigure]) -> None:
    """Put what the evidence was found to be worth into the package's manifest and card, in place of earlier figures."""
    manifest = package.manifest.model_copy(update={"evidence_worth": tuple(figures)})
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
        *_comparison(manifest),
        "## Operating points",
        "Found on training scans that the run held out. Recall is over annotated boxes at IoU 0.5; the "
        "false-alarm rate is over scans whose source annotates the class and that hold none of it. Labels validated on "
        "simulated scans are counted on simulated bags and on simulated items projected into real scans; as threats they "
        "keep quiet on every real scan held out.",
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
    if manifest.evidence_worth:
        sections += [
            "## What the evidence is worth",
            "Occlusion and material are computed from pixels, not by the network, and were held against the truth of "
            "simulated scans. Intervals are bootstrap 95 %; beside each figure stands the best of the trivial answers.",
            table(
                ["what", "scans", "objects", "value", "interval", "trivial answer"],
                [
                    [
                        f.name,
                        f.scans,
                        str(f.support),
                        f"{f.value:.3f}",
                        f"{f.low:.3f} to {f.high:.3f}",
                        f"{f.baseline:.3f} ({f.against})",
                    ]
                    for f in manifest.evidence_worth
                ],
            ),
        ]
    sections += [
        "## What it cannot do",
        "It looks only for the labels above; everything else in a bag is not assessed. Of labels validated on simulated "
        "scans nobody knows how often they are missed on real ones, and policies do not clear a bag on their silence. "
        "Scores fall on scanners that no training scan comes from: see the row of the scanner that it has never seen.",
    ]
    return "\n\n".join(sections) + "\n"


def _comparison(manifest: Manifest) -> list[str]:
    """The forms of the network that were compared when it was exported."""
    if not manifest.variants:
        return []
    rows = [
        [
            variant.precision + (" with a second look" if variant.second_look else ""),
            f"{variant.recall:.3f}",
            f"{variant.relative_time:.2f}",
            f"{variant.megabytes:.1f}",
        ]
        for variant in manifest.variants
    ]
    return [
        f"## Form of the network: {manifest.precision}",
        "Recall is the mean over classes and over false-alarm rates of 0.5, 1, 2, 5 and 10 % on the scans that the run "
        "held out. Time is a run's, beside the first form's; with a second look that of all looks, beside first looks "
        "alone.",
        table(["form", "mean recall", "time", "MB"], rows),
    ]
