"""Looking at datasets: audit, stats, preview, compare."""

from __future__ import annotations

import os
import random
import sys
from collections.abc import Iterable, Sequence
from itertools import zip_longest
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

import click
from rich.console import Console
from rich.progress import track

from xray_training.commands.told import told
from xray_training.datasets.fault import Fault
from xray_training.datasets.record import ScanRecord

if TYPE_CHECKING:
    from xray_training.datasets.overlay import Tile

_T = TypeVar("_T")
_WIDTH_OF_A_FILE = 160


class _CannotAudit(click.ClickException):
    exit_code = 3


_folder = click.Path(path_type=Path, exists=True, file_okay=False)
_as_source = click.option("--from", "source", help="Dataset or format to read it as; found out when not given.")
_of_kind = click.option(
    "--only",
    multiple=True,
    metavar="NAME",
    help="Only scans of this source or scanner in the first folder; repeatable.",
)
_of_split = click.option("--split", help="Look at this split only.")
_in_parallel = click.option(
    "--processes",
    type=click.IntRange(1),
    default=os.cpu_count() or 1,
    show_default=True,
    help="How many decode pictures at once.",
)


def _console() -> Console:
    console = Console(highlight=False)
    return console if console.is_terminal else Console(highlight=False, width=_WIDTH_OF_A_FILE)


def _tracked(items: Iterable[_T], total: int, said: str) -> Iterable[_T]:
    return track(items, description=said, total=total, console=Console(stderr=True))


@click.command()
@click.argument("folder", metavar="DIR", type=_folder)
@_as_source
@click.option(
    "--out",
    type=click.Path(path_type=Path, file_okay=False),
    help="Folder for REPORT.md, audit.json and overlays.png; DIR-audit in the current folder when not given.",
)
@_of_split
@click.option("--strict", is_flag=True, help="Warnings stop, as errors do.")
@click.option("--accept", "accepted", multiple=True, metavar="KIND", help="Let this kind of finding pass; repeatable.")
@click.option(
    "--benign",
    multiple=True,
    default=("benign",),
    show_default=True,
    metavar="SOURCE",
    help="Source whose scans hold nothing that it annotates, so that no box is missed; repeatable.",
)
@_in_parallel
def audit(
    folder: Path,
    source: str | None,
    out: Path | None,
    split: str | None,
    strict: bool,
    accepted: tuple[str, ...],
    benign: tuple[str, ...],
    processes: int,
) -> None:
    """Look for what would mislead a training run: every picture is decoded, every box checked.

    Exit status: 0 when nothing stops a training run, 1 when something does, 3 when DIR cannot be audited at all. The
    same command goes on where it was stopped.
    """
    from xray_training.audit.findings import MEANINGS
    from xray_training.audit.report import show
    from xray_training.audit.run import Audit
    from xray_training.audit.run import audit as run
    from xray_training.datasets.sources import SOURCES

    if source is not None and source not in SOURCES:
        raise click.UsageError(f"--from {source}: the datasets and formats are {', '.join(sorted(SOURCES))}")
    if unknown := set(accepted) - set(MEANINGS):
        raise click.UsageError(f"--accept {sorted(unknown)[0]}: the kinds are {', '.join(sorted(map(str, MEANINGS)))}")
    where = out or Path(f"{_name(folder)}-audit")
    plan = Audit(folder, where, source, split, frozenset(benign), frozenset(accepted), strict, processes)
    try:
        with told():
            report = run(plan, progress=lambda results, total: _tracked(results, total, "Examining"))
    except click.ClickException as error:
        raise _CannotAudit(error.message) from error
    show(report, _console())
    click.echo(f"wrote REPORT.md, audit.json and overlays.png to {where}")
    sys.exit(1 if report.stops else 0)


@click.command()
@click.argument("folder", metavar="DIR", type=_folder)
@_as_source
@click.option(
    "--out",
    type=click.Path(path_type=Path, file_okay=False),
    required=True,
    help="Folder for stats.json, STATS.md and the plots.",
)
@_of_split
@_in_parallel
@told()
def stats(folder: Path, source: str | None, out: Path, split: str | None, processes: int) -> None:
    """Count and measure scans and boxes by source, split and scanner, with plots."""
    from xray_training.datasets.examine import examine_all
    from xray_training.datasets.plots import write_plots
    from xray_training.datasets.stats import as_markdown, statistics_of

    records = _read(folder, source, split)
    fresh = examine_all(records, kept=out / "examined.jsonl", processes=processes)
    examined = list(_tracked(fresh, len(records), "Examining"))
    found = statistics_of(records, examined, folder=_name(folder))
    out.mkdir(parents=True, exist_ok=True)
    (out / "stats.json").write_text(found.model_dump_json(indent=1) + "\n", encoding="utf-8")
    (out / "STATS.md").write_text(as_markdown(found), encoding="utf-8")
    write_plots(records, examined, out)
    for group in found.groups:
        click.echo(f"{group.source} {group.split} {group.scanner}: {group.scans} scans, {group.boxes} boxes")
    click.echo(f"wrote stats.json, STATS.md and the plots to {out}")


@click.command()
@click.argument("folder", metavar="DIR", type=_folder)
@_as_source
@click.option("--out", type=click.Path(path_type=Path, dir_okay=False), required=True, help="PNG file to write.")
@click.option("--count", type=click.IntRange(1, 400), default=24, show_default=True, help="How many scans of DIR.")
@click.option("--seed", type=click.IntRange(0), default=0, show_default=True, help="Which scans are drawn.")
@click.option("--label", help="Only scans with a box of this label.")
@_of_kind
@_of_split
@click.option("--beside", type=_folder, help="Show scans of this folder, with labels or without, beside them.")
@click.option("--whole", is_flag=True, help="Show the whole frame, not only what lies on the belt.")
@click.option(
    "--columns", type=click.IntRange(1, 20), default=6, show_default=True, help="Scans in a row, of both folders."
)
@told()
def preview(
    folder: Path,
    source: str | None,
    out: Path,
    count: int,
    seed: int,
    label: str | None,
    only: tuple[str, ...],
    split: str | None,
    beside: Path | None,
    whole: bool,
    columns: int,
) -> None:
    """Draw a sheet of scans with their boxes, from every source and scanner in turn."""
    from xray_training.datasets.overlay import Block, sheet

    chosen = _drawn(_labelled(_only(_read(folder, source, split), folder, only), folder, label), count, seed)
    title = f"{_name(folder)}" + (f": {label.replace('_', ' ')}" if label else "")
    if beside is None:
        blocks = [Block(_tiles(folder, chosen, whole), min(columns, len(chosen)))]
    else:
        others = _read(beside, None, None)
        if any(record.boxes for record in others):
            others = _labelled(others, beside, label)
        half = max(1, columns // 2)
        blocks = [
            Block(_tiles(folder, chosen, whole), half, _name(folder)),
            Block(_tiles(beside, _drawn(others, count, seed), whole), half, _name(beside)),
        ]
        title += f" beside {_name(beside)}"
    page = sheet(blocks, title=title)
    out.parent.mkdir(parents=True, exist_ok=True)
    page.save(out, format="PNG")
    click.echo(f"wrote {out} ({page.width}x{page.height})")


@click.command()
@click.argument("first", metavar="DIR1", type=_folder)
@click.argument("second", metavar="DIR2", type=_folder)
@click.option("--out", type=click.Path(path_type=Path, file_okay=False), required=True, help="Folder to write.")
@click.option("--count", type=click.IntRange(2), default=300, show_default=True, help="How many scans of each.")
@click.option("--seed", type=click.IntRange(0), default=0, show_default=True, help="Which scans are drawn.")
@_of_kind
@_of_split
@told()
def compare(
    first: Path, second: Path, out: Path, count: int, seed: int, only: tuple[str, ...], split: str | None
) -> None:
    """Measure how alike the pictures of two folders look; DIR1 is the real one, labels are not needed.

    Brightness, colours, edges, noise and how the bag fills the frame are compared inside the box around the content. A
    distance of 1 is a shift by one standard deviation of DIR1.
    """
    from xray_training.datasets.likeness import likeness_of, look_at, write_likeness

    looks = []
    for folder, records in (
        (first, _only(_read(first, None, split), first, only)),
        (second, _read(second, None, None)),
    ):
        records = _drawn(records, count, seed)
        looks.append([look_at(record) for record in _tracked(records, len(records), _name(folder))])
        if len(looks[-1]) < 2:
            raise click.ClickException(f"{folder} holds one scan: two or more can be compared")
    found = likeness_of(*looks, first_name=_name(first), second_name=_name(second))
    write_likeness(found, out)
    for row in found.statistics:
        click.echo(f"{row.name:<24} {row.first.mean:8.3f} {row.second.mean:8.3f}   distance {row.distance:.2f}")
    click.echo(f"mean distance {found.distance:.2f}; wrote likeness.json and LIKENESS.md to {out}")


def _read(folder: Path, source: str | None, split: str | None) -> list[ScanRecord]:
    """The folder's scans; on standard error how many faults were passed over."""
    from xray_training.datasets.plain import scans_in

    faults: list[Fault] = []
    records = scans_in(folder, source, split=split, report=faults.append)
    if faults:
        click.echo(f"{len(faults)} faults were passed over; `xray-train data audit {folder}` lists them", err=True)
    return records


def _only(records: list[ScanRecord], folder: Path, names: tuple[str, ...]) -> list[ScanRecord]:
    if not names:
        return records
    kept = [record for record in records if {record.source, record.scanner} & set(names)]
    if not kept:
        there = ", ".join(sorted({name for record in records for name in (record.source, record.scanner)}))
        raise click.ClickException(f"no scan of {folder} is of {' or '.join(names)}; there is {there}")
    return kept


def _labelled(records: list[ScanRecord], folder: Path, label: str | None) -> list[ScanRecord]:
    if label is None:
        return records
    kept = [record for record in records if any(box.label == label for box in record.boxes)]
    if not kept:
        there = ", ".join(sorted({box.label for record in records for box in record.boxes})) or "no box at all"
        raise click.ClickException(f"no scan of {folder} has a box labelled {label!r}; there is {there}")
    return kept


def _drawn(records: Sequence[ScanRecord], count: int, seed: int) -> list[ScanRecord]:
    """So many scans drawn at random, from each source and scanner in turn."""
    piles: dict[tuple[str, str], list[ScanRecord]] = {}
    for record in records:
        piles.setdefault((record.source, record.scanner), []).append(record)
    draw = random.Random(seed)
    shuffled = [draw.sample(pile, min(count, len(pile))) for _, pile in sorted(piles.items())]
    return [record for turn in zip_longest(*shuffled) for record in turn if record is not None][:count]


def _tiles(folder: Path, records: Sequence[ScanRecord], whole: bool) -> list[Tile]:
    from xray_training.datasets.overlay import tile_of

    return [
        tile_of(
            record,
            " · ".join(dict.fromkeys((_name(folder), record.source, record.scanner))),
            record.image.name,
            cropped=not whole,
        )
        for record in records
    ]


def _name(folder: Path) -> str:
    return folder.resolve().name
