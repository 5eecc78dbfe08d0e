"""Judging and fitting the computed evidence."""

from __future__ import annotations

import json
from pathlib import Path

import click

from xray_agent_tools.detector.card import record_evidence
from xray_agent_tools.detector.onnx import OnnxDetector
from xray_agent_tools.detector.package import load_package
from xray_evals.checkout import commit
from xray_evals.commands.common import RECORDED_SPLIT, named, refuse_to_record, reported
from xray_evals.evidence import figures_of
from xray_evals.evidence_fit import fit_occlusion
from xray_evals.evidence_page import EvidenceResults, as_data, as_page, judged
from xray_evals.evidence_seen import look_at
from xray_evals.evidence_truth import read_truth

_SIMULATED = click.option(
    "--simulated",
    type=click.Path(path_type=Path, exists=True, file_okay=False),
    required=True,
    help="Folder that `xray-train data simulate` wrote.",
)


@click.command()
@_SIMULATED
@click.option("--model", default="default", show_default=True, help="Embedded model package, or a folder.")
@click.option("--split", default=RECORDED_SPLIT, show_default=True, help="Split to look at.")
@click.option(
    "--out", type=click.Path(path_type=Path, file_okay=False), help="Folder for EVIDENCE.md and evidence.json."
)
@click.option("--record", is_flag=True, help="Write the figures into the model package's manifest and card.")
@click.option("--limit", type=click.IntRange(1), help="Look at the first scans only.")
def evidence(simulated: Path, model: str, split: str, out: Path | None, record: bool, limit: int | None) -> None:
    """Hold the occlusion and material of items against the truth of simulated scans."""
    if record:
        refuse_to_record(limit=limit, split=split)
    stamp = commit()
    with reported():
        package = load_package(model)
        scans = read_truth(simulated, split=split, limit=limit)
        true, found = look_at(scans, OnnxDetector(package))
    command = f"xray-eval evidence --simulated SIMULATED --split {split} --model {named(model)}"
    command += f" --limit {limit}" if limit else ""
    scanners = ", ".join(sorted({scan.scanner for scan in scans}))
    results = EvidenceResults(
        package.manifest, command, stamp, f"{len(scans)} simulated scans ({scanners})", *judged(true, found)
    )
    if not results.occlusion:
        raise click.ClickException("the scans hold no hidden and open items, so nothing can be judged")
    figures = figures_of(*results.quoted, results.scans)
    for f in figures:
        click.echo(f"{f.name}: {f.value:.3f} ({f.low:.3f} to {f.high:.3f}), {f.against} {f.baseline:.3f}; {f.scans}")
    if out is not None:
        _write(results, out)
    if record:
        record_evidence(package, figures)
        click.echo(f"recorded the figures in {package.folder}")


def _write(results: EvidenceResults, out: Path) -> None:
    out.mkdir(parents=True, exist_ok=True)
    data = as_data(results)
    (out / "EVIDENCE.md").write_text(as_page(data), encoding="utf-8")
    (out / "evidence.json").write_text(json.dumps(data, indent=1) + "\n", encoding="utf-8")
    click.echo(f"wrote {out / 'EVIDENCE.md'} and {out / 'evidence.json'}")


@click.command("evidence-weights")
@_SIMULATED
@click.option("--limit", type=click.IntRange(1), help="Fit to the first scans only.")
def evidence_weights(simulated: Path, limit: int | None) -> None:
    """Fit the weights of the occlusion score and print them. Not for scans that the score is to be judged on."""
    with reported():
        fit = fit_occlusion(read_truth(simulated, limit=limit))
    click.echo(
        f"{fit.support} boxes; AUC {fit.auc:.3f} on a fifth of the scans with weights from the others; "
        f"right most often from {fit.threshold:.2f}"
    )
    for name, value in fit.weights._asdict().items():
        click.echo(f"{name}: {value}")
