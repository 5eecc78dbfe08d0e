"""Making scans: simulated bags, and threats projected into real ones."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import click
from rich.progress import track

from xray_agent_tools.errors import InvalidArgument
from xray_training.commands.made import made
from xray_training.commands.told import told
from xray_training.datasets.folders import PICTURES
from xray_training.datasets.record import DatasetError, ScanRecord
from xray_training.datasets.sources import source_of
from xray_training.datasets.writers.files import claim
from xray_training.simulator.objects.library import LABELS, THREATS
from xray_training.simulator.scanners import TRAINING_SCANNERS, scanner_names
from xray_training.simulator.scene import Contents, Side

if TYPE_CHECKING:
    from xray_training.projection.threat import Threat

_VIEWS: dict[str, tuple[Side, ...]] = {"top": ("top",), "side": ("side",), "both": ("top", "side")}


def _plain_name(context: click.Context, option: click.Parameter, value: str | None) -> str | None:
    """A split that can be the name of a folder."""
    if value is not None and not re.fullmatch(r"[A-Za-z0-9_-]+", value):
        raise click.BadParameter("letters, digits, - and _ only", ctx=context, param=option)
    return value


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
@click.option("--split", default="train", show_default=True, callback=_plain_name, help="Split to write the scans to.")
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

    if sum((benign, bool(threats), bool(among))) > 1:
        raise click.UsageError("--benign, --threat and --among exclude each other")
    contents = Contents(() if benign else threats or None, among or THREATS, most)
    order = Order(count, seed, scanners or TRAINING_SCANNERS, contents, _VIEWS[views], split)
    total = count * len(order.views)
    with told():
        for _ in track(write_scans(out, order, processes=processes), description="Simulating", total=total):
            pass
    click.echo(f"wrote {count * len(order.views)} scans of {count} bags to {out}")


@click.command()
@click.argument("scans", type=click.Path(path_type=Path, exists=True, file_okay=False))
@click.option("--out", type=click.Path(path_type=Path, file_okay=False), required=True, help="Folder to write.")
@click.option("--from", "source", help="What the folder holds; recognised when not given.")
@click.option(
    "--split", callback=_plain_name, help="Take only this split; with --vouch, the split of plain pictures [train]."
)
@click.option("--label", "labels", multiple=True, type=click.Choice(LABELS), help="Threat to project; repeatable; any.")
@click.option("--per-scan", type=click.IntRange(1, 8), default=1, show_default=True, help="Threats for each scan.")
@click.option("--limit", type=click.IntRange(1), help="Use at most this many scans.")
@click.option("--seed", type=click.IntRange(0), default=0, show_default=True, help="Which threats, where.")
@click.option("--pitch", type=click.FloatRange(0.2, 10), help="Millimetres per pixel; guessed from the bag's size.")
@click.option(
    "--cut-outs",
    type=click.Path(path_type=Path, exists=True, file_okay=False),
    help="Annotated scans to cut real threats out of, of --split or else of train; simulated ones are used beside them.",
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
    from xray_training.projection.folder import Plan, project_into, takes

    wanted = labels or THREATS
    with told():
        records = _records(scans, source, split, vouch=vouch)
        if vouch:
            records = [replace(record, annotated=record.annotated | set(wanted)) for record in records]
        chosen = [record for record in records if not (benign_only and record.boxes)][:limit]
        if not chosen:
            raise DatasetError(f"{scans} holds no scan to project into")
        library = _cut_outs(cut_outs, wanted, split or "train", pitch) if cut_outs else ()
        plan = Plan(wanted, per_scan, seed, library, pitch)
        folders = (scans, cut_outs) if cut_outs else (scans,)
        settings = {"labels": list(wanted), "per_scan": per_scan, "seed": seed, "pitch": pitch, "split": split}
        claim(out, made("project", folders, source=source, vouch=vouch, benign_only=benign_only, **settings))
        written = list(track(project_into(chosen, plan, out), description="Projecting", total=len(chosen)))
    taken = sum(takes(record, plan) for record in chosen)
    click.echo(f"wrote {len(written)} scans to {out}; {taken - len(written)} had no room for a threat")
    if taken < len(chosen):
        click.echo(f"{len(chosen) - taken} scans were left out: their source annotates none of the labels", err=True)


def _records(scans: Path, source: str | None, split: str | None, *, vouch: bool) -> list[ScanRecord]:
    pictures = sorted(path for path in scans.iterdir() if path.suffix.lower() in PICTURES)
    if source is None and vouch and pictures:
        return [
            ScanRecord(path, scans.name, scans.name, split or "train", path.stem, path.stem, (), frozenset())
            for path in pictures
        ]
    return list(source_of(scans, source).read(scans, split=split))


def _cut_outs(folder: Path, labels: tuple[str, ...], split: str, pitch: float | None) -> tuple[Threat, ...]:
    """Every box of the labels whose surroundings let it be told apart.

    Raises:
        DatasetError: there is none.
    """
    threats = [
        threat
        for record in source_of(folder).read(folder, split=split)
        for threat in _cut_out_of(record, labels, pitch)
    ]
    if not threats:
        raise DatasetError(f"nothing can be cut out of {folder}: no box of {', '.join(labels)} in its split {split!r}")
    return tuple(threats)


def _cut_out_of(record: ScanRecord, labels: tuple[str, ...], pitch: float | None) -> Iterator[Threat]:
    from xray_training.projection import cut_out, read_scan

    boxes = [box for box in record.boxes if box.label in labels]
    if not boxes:
        return
    pixels = record.pixels()
    height, width = pixels.shape[:2]
    reading = read_scan(pixels, pitch_mm=pitch)
    for box in boxes:
        corners = (box.x_min * width, box.y_min * height, box.x_max * width, box.y_max * height)
        try:
            yield cut_out(reading, box.label, corners, origin=record.image.name)
        except InvalidArgument:
            continue
