"""xray-eval: measure."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from pathlib import Path

import click
from rich.console import Console
from rich.table import Table
from xray_training.datasets import partial_yolo
from xray_training.datasets.record import DatasetError

from xray_agent_tools.detector.card import record_scores
from xray_agent_tools.detector.onnx import OnnxDetector
from xray_agent_tools.detector.package import load_package
from xray_agent_tools.detector.protocol import Detector
from xray_agent_tools.detector.torch import UltralyticsDetector
from xray_agent_tools.errors import XrayToolsError, outcome_of
from xray_evals.detector import (
    ImageScore,
    ScannedRecord,
    SourceScore,
    scan_all,
    score_images,
    score_source,
)
from xray_evals.results import as_data, as_page, as_scores

BENIGN = "benign"
SQUEEZED = {"opixray": 1.284}
"""Sources whose export squeezed the pictures, with the width factor that undoes it."""


@click.group()
@click.version_option(package_name="xray-agent-tools")
def main() -> None:
    """Say honestly how good the tools are."""


@main.command()
@click.option(
    "--data",
    type=click.Path(path_type=Path, exists=True, file_okay=False),
    required=True,
    help="Annotated YOLO folder.",
)
@click.option("--split", default="test", show_default=True, help="Split to score.")
@click.option("--model", default="default", show_default=True, help="Embedded model package, or a folder.")
@click.option("--backend", type=click.Choice(["onnx", "ultralytics"]), default="onnx", show_default=True)
@click.option("--out", type=click.Path(path_type=Path, file_okay=False), help="Folder for RESULTS.md and results.json.")
@click.option("--record", is_flag=True, help="Write the scores into the model package's manifest and card.")
@click.option("--limit", type=click.IntRange(1), help="Score only the first scans of each source.")
def detector(
    data: Path, split: str, model: str, backend: str, out: Path | None, record: bool, limit: int | None
) -> None:
    """Score a detector per source with pycocotools, and per image against benign scans."""
    if record and limit:
        raise click.UsageError("--record needs the scores of all scans: leave --limit out")
    try:
        package = load_package(model)
        chosen: Detector = OnnxDetector(package) if backend == "onnx" else UltralyticsDetector(package)
        groups: dict[str, list[ScannedRecord]] = {}
        records = partial_yolo.read(data, split=split, stretch=SQUEEZED)
        for source in dict.fromkeys(scan.source for scan in records):
            groups[source] = scan_all(chosen, [scan for scan in records if scan.source == source][:limit])
    except XrayToolsError as error:
        click.echo(f"error: {error.message}. {error.hint}", err=True)
        sys.exit(outcome_of(error).exit_code)
    except DatasetError as error:
        raise click.ClickException(str(error)) from error
    known = frozenset(package.manifest.labels)
    benign = groups.pop(BENIGN, [])
    sources = [score for group in groups.values() if (score := score_source(group, known)) is not None]
    if not sources:
        raise click.ClickException(f"no annotated scans in the split {split!r} of {data}")
    positives = {name: [e for e in group if e.record.boxes] for name, group in groups.items()}
    everything = [entry for group in positives.values() for entry in group]
    images = [
        score_images(name, group, benign, package.thresholds)
        for name, group in [*positives.items(), ("all", everything)]
        if group and benign
    ]
    command = f"xray-eval detector --data DATA --split {split} --model {model} --backend {backend}"
    command += f" --limit {limit}" if limit else ""
    result = as_data(package.manifest, chosen.backend, command, sources, images)
    _print(sources, images, result["mean_map50"])
    if record:
        record_scores(package, as_scores(sources, images))
        click.echo(f"recorded the scores in {package.folder}")
    if out is not None:
        out.mkdir(parents=True, exist_ok=True)
        (out / "RESULTS.md").write_text(as_page(result), encoding="utf-8")
        (out / "results.json").write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")
        click.echo(f"wrote {out / 'RESULTS.md'} and {out / 'results.json'}")


def _print(sources: Sequence[SourceScore], images: Sequence[ImageScore], mean: float) -> None:
    table = Table("source", "scans", "mAP50", "mAP50-95", "known classes")
    for score in sources:
        figures = (score.map50, score.map50_95, score.map50_known)
        table.add_row(score.source, str(score.scans), *[f"{figure:.3f}" for figure in figures])
    table.add_row("mean", "", f"{mean:.3f}", "", "")
    console = Console()
    console.print(table)
    rates = Table("source", "threat scans", "TPR at FPR 10 %", "TPR, operating", "FPR, operating")
    for image in images:
        figures = (image.at_rate[0.1][0], *image.operating)
        rates.add_row(image.source, str(image.positives), *[f"{figure:.3f}" for figure in figures])
    console.print(rates)


if __name__ == "__main__":
    main()
