"""Declarations of travellers."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path

import click
from rich.console import Console
from rich.progress import track

from xray_training.commands.kinds import some_of
from xray_training.commands.told import told
from xray_training.datasets.fault import Fault
from xray_training.datasets.record import DatasetError
from xray_training.declarations.record import (
    DECLARATION_KINDS,
    DECLARATIONS_FILE,
    Declaration,
    DeclarationKind,
)


@click.command()
@click.option(
    "--data",
    "folders",
    multiple=True,
    required=True,
    type=click.Path(path_type=Path, exists=True, file_okay=False),
    help="Annotated dataset of any kind that can be read, or simulated scans; repeatable.",
)
@click.option("--out", type=click.Path(path_type=Path, file_okay=False), required=True, help="Folder to write.")
@click.option("--split", help="Only scans of this split.")
@click.option(
    "--per-scan", type=click.IntRange(1, 7), default=2, show_default=True, help="Most declarations for a scan."
)
@click.option(
    "--kinds",
    callback=some_of(DECLARATION_KINDS),
    metavar="KIND,...",
    help=f"Only these of {', '.join(DECLARATION_KINDS)}.",
)
@click.option("--seed", type=click.IntRange(0), default=0, show_default=True, help="Everything random follows from it.")
@click.option("--limit", type=click.IntRange(1), help="Use at most the first so many scans of each folder.")
def declarations(
    folders: tuple[Path, ...],
    out: Path,
    split: str | None,
    per_scan: int,
    kinds: tuple[DeclarationKind, ...],
    seed: int,
    limit: int | None,
) -> None:
    """Make declarations of travellers for annotated scans, with the assessment that each calls for.

    Writes declarations.jsonl and statistics.json. What is expected follows by rules from the annotations and from what is
    meant, not from what a matcher understands. The same seed and folders give the same bytes.
    """
    from xray_training.datasets.plain import scans_in
    from xray_training.datasets.writers.files import write_text
    from xray_training.declarations.make import declarations_for

    if len({folder.resolve().name for folder in folders}) < len(folders):
        raise click.UsageError("two of the folders have the same name: declarations tell them apart by it")
    found: list[Declaration] = []
    faults: list[Fault] = []
    with told():
        for folder in folders:
            records = scans_in(folder, split=split, report=faults.append)[:limit]
            shown = track(records, description=f"Declaring {folder.resolve().name}", console=Console(stderr=True))
            found += declarations_for(folder, list(shown), kinds=kinds, per_scan=per_scan, seed=seed)
        if faults:
            click.echo(f"{len(faults)} faults were passed over; `xray-train data audit` lists them", err=True)
        if not found:
            raise DatasetError(
                "no declaration of these kinds fits the scans: give scans whose source annotates items, or other --kinds"
            )
        out.mkdir(parents=True, exist_ok=True)
        write_text(out / DECLARATIONS_FILE, "".join(one.model_dump_json() + "\n" for one in found))
        write_text(out / "statistics.json", json.dumps(_statistics(found), indent=1) + "\n")
    counts = Counter(one.kind for one in found)
    click.echo(", ".join(f"{counts[kind]} {kind}" for kind in kinds))
    click.echo(f"wrote {len(found)} declarations to {out}")


def _statistics(found: list[Declaration]) -> dict[str, object]:
    statuses = Counter((one.kind, item.status) for one in found for item in one.expected.items)
    matches = Counter((one.kind, json.dumps(one.expected.declaration_match)) for one in found)
    kinds = [kind for kind in DECLARATION_KINDS if any(one.kind == kind for one in found)]
    return {
        "declarations": len(found),
        "scans": len({(one.folder, one.image) for one in found}),
        "splits": dict(sorted(Counter(one.split for one in found).items())),
        "kinds": {
            kind: {
                "declarations": sum(one.kind == kind for one in found),
                "declaration_match": {said: count for (of, said), count in sorted(matches.items()) if of == kind},
                "items": {status: count for (of, status), count in sorted(statuses.items()) if of == kind},
            }
            for kind in kinds
        },
    }
