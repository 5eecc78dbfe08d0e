"""Making scans: simulated bags, and threats projected into real ones."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import click
from rich.progress import track

from xray_agent_tools.errors import InvalidArgument
from xray_training.datasets.record import DatasetError, ScanRecord
from xray_training.datasets.sources import source_of
from xray_training.datasets.writers.files import claim
from xray_training.simulator.objects.library import LABELS, THREATS
from xray_training.simulator.scanners import TRAINING_SCANNERS, scanner_names
from xray_training.simulator.scene import Contents, Side

if TYPE_CHECKING:
    from xray_training.projection.folder import Plan
    from xray_training.projection.threat import Threat

_PICTURES = {".png", ".jpg", ".jpeg", ".tif", ".tiff", ".bmp"}
_VIEWS: dict[str, tuple[Side, ...]] = {"top": ("top",), "side": ("side",), "both": ("top", "side")}


@click.command()
@click.option("--out", type=click.Path(path_type=Path, file_okay=False), required=True, help="Folder to write.")
@click.option("--count", type=click.IntRange(1), default=100, show_default=True, help="Number of bags.")
@click.option("--seed", type=click.IntRange(0), default=0, show_default=True, help="Seed of the first bag.")
@click.option(
    "--scanner",
    "scanners",
    multiple=True,
    type=click.Choice(scanner_names()),
    help="Virtual scanner; repeatable; those for training in turn when not given; `wild` is another one in every scan.",
)
@click.option(
    "--views", type=click.Choice(sorted(_VIEWS)), default="top", show_default=True, help="From where each bag is seen."
)
@click.option("--threat", "threats", multiple=True, type=click.Choice(THREATS), help="Pack exactly these; repeatable.")
@click.option("--among", multiple=True, type=click.Choice(THREATS), help="Draw only from these; repeatable.")
@click.option(
    "--most", type=click.IntRange(1, 12), default=3, show_default=True, help="Most threats drawn for one bag."
)
@click.option("--benign", is_flag=True, help="Pack no threat.")
@click.option("--split", default="train", show_default=True, help="Split to write the scans to.")
@click.option(
    "--processes", type=click.IntRange(1), default=os.cpu_count() or 1, show_default=True, help="Bags made at a time."
)
def simulate(
    out: Path,
    count: int,
    seed: int,
    scanners: tuple[str, ...],
    views: str,
    threats: tuple[str, ...],
    among: tuple[str, ...],
    most: int,
    benign: bool,
    split: str,
    processes: int,
) -> None:
    """Simulate scans with exact truth, as an annotated YOLO folder.

    The same seed and scanner give the same pixels on every machine. Without --threat and --benign about 40 % of the
    bags hold no threat. Every canonical item is boxed, harmless ones too; truth.jsonl adds masks, occlusion and
    materials. The same command goes on with a run that was stopped.
    """
    from xray_training.simulator.write import Order, write_scans

    if benign and (threats or among):
        raise click.UsageError("--benign and --threat or --among exclude each other")
    contents = Contents(() if benign else threats or None, among or THREATS, most)
    order = Order(count, seed, scanners or TRAINING_SCANNERS, contents, _VIEWS[views], split)
    for _ in track(
        write_scans(out, order, processes=processes), description="Simulating", total=count * len(order.views)
    ):
        pass
    click.echo(f"wrote {count * len(order.views)} scans of {count} bags to {out}")


@click.command()
@click.argument("scans", type=click.Path(path_type=Path, exists=True, file_okay=False))
@click.option("--out", type=click.Path(path_type=Path, file_okay=False), required=True, help="Folder to write.")
@click.option("--from", "source", help="What the folder holds; recognised when not given.")
@click.option("--split", help="Take only this split.")
@click.option("--label", "labels", multiple=True, type=click.Choice(LABELS), help="Threat to project; repeatable; any.")
@click.option("--per-scan", type=click.IntRange(1, 8), default=1, show_default=True, help="Threats for each scan.")
@click.option("--limit", type=click.IntRange(1), help="Use at most this many scans.")
@click.option("--seed", type=click.IntRange(0), default=0, show_default=True, help="Which threats, where.")
@click.option("--pitch", type=click.FloatRange(0.2, 10), help="Millimetres per pixel; guessed from the bag's size.")
@click.option(
    "--cut-outs",
    type=click.Path(path_type=Path, exists=True, file_okay=False),
    help="Annotated scans to cut real threats out of; simulated ones are used beside them.",
)
@click.option("--benign-only", is_flag=True, help="Skip scans that have boxes.")
@click.option(
    "--vouch",
    is_flag=True,
    help="Take your word that the scans hold no threat but those boxed, whatever their source says.",
)
def project(
    scans: Path,
    out: Path,
    source: str | None,
    split: str | None,
    labels: tuple[str, ...],
    per_scan: int,
    limit: int | None,
    seed: int,
    pitch: float | None,
    cut_outs: Path | None,
    benign_only: bool,
    vouch: bool,
) -> None:
    """Project threats into the real scans of SCANS, for augmentation and for testing screeners.

    Threats are multiplied in, in attenuation space, at the scan's scale, with the noise that a scanner would add. SCANS
    is any dataset that can be read, or a plain folder of pictures with --vouch. The result is an annotated YOLO folder.
    The same command goes on with a run that was stopped.
    """
    from xray_training.projection.folder import Plan, project_into

    wanted = labels or THREATS
    try:
        records = _records(scans, source, split, vouch=vouch)
        if vouch:
            records = [replace(record, annotated=record.annotated | set(wanted)) for record in records]
        if benign_only:
            records = [record for record in records if not record.boxes]
        if not records:
            raise DatasetError(f"{scans} holds no scan to project into")
        library = _cut_outs(cut_outs, wanted) if cut_outs else ()
        plan = Plan(wanted, per_scan, seed, library, pitch)
        claim(out, _made_of(scans, cut_outs, plan, split, benign_only=benign_only))
        chosen = records[:limit]
        written = list(track(project_into(chosen, plan, out), description="Projecting", total=len(chosen)))
    except DatasetError as error:
        raise click.ClickException(str(error)) from error
    click.echo(f"wrote {len(written)} scans to {out}; {len(chosen) - len(written)} had no room for a threat")


def _made_of(
    scans: Path, cut_outs: Path | None, plan: Plan, split: str | None, *, benign_only: bool
) -> dict[str, object]:
    """What a folder of projected scans says it was made of, so that only the same command goes on with it."""
    return {
        "projected into": str(scans),
        "split": split,
        "benign only": benign_only,
        "labels": list(plan.labels),
        "per scan": plan.per_scan,
        "seed": plan.seed,
        "pitch": plan.pitch_mm,
        "cut out of": None if cut_outs is None else str(cut_outs),
    }


def _records(scans: Path, source: str | None, split: str | None, *, vouch: bool) -> list[ScanRecord]:
    pictures = sorted(path for path in scans.iterdir() if path.suffix.lower() in _PICTURES)
    if source is None and vouch and pictures:
        return [
            ScanRecord(path, scans.name, scans.name, split or "train", path.stem, path.stem, (), frozenset())
            for path in pictures
        ]
    return list(source_of(scans, source).read(scans, split=split))


def _cut_outs(folder: Path, labels: tuple[str, ...]) -> tuple[Threat, ...]:
    """Every box of the labels whose surroundings let it be told apart."""
    from xray_training.projection import cut_out, read_scan

    threats = []
    for record in source_of(folder).read(folder):
        boxes = [box for box in record.boxes if box.label in labels]
        if not boxes:
            continue
        pixels = record.pixels()
        height, width = pixels.shape[:2]
        reading = read_scan(pixels)
        for box in boxes:
            corners = (box.x_min * width, box.y_min * height, box.x_max * width, box.y_max * height)
            try:
                threats.append(cut_out(reading, box.label, corners))
            except InvalidArgument:
                continue
    return tuple(threats)
