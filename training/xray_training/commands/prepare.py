"""Getting datasets into shape: convert, merge, split, agnostic."""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

import click
import yaml
from rich.console import Console
from rich.progress import track

from xray_agent_tools.taxonomy import taxonomy
from xray_training.commands.made import made
from xray_training.commands.told import told
from xray_training.datasets.fault import Fault, FaultKind, FaultReport, refuse
from xray_training.datasets.picture import size_of
from xray_training.datasets.record import DatasetError, ScanRecord
from xray_training.datasets.writers.files import claim, write_text
from xray_training.datasets.writers.yolo import write_yolo

if TYPE_CHECKING:
    from xray_training.datasets.merge import Merged
    from xray_training.datasets.sources import Reader

_T = TypeVar("_T")
_SHOWN = 5
_ROUNDING = 1e-9
_FAULTS = "faults.json"

_folder = click.Path(path_type=Path, exists=True, file_okay=False)
_into = click.option(
    "--out",
    type=click.Path(path_type=Path, file_okay=False),
    required=True,
    help="Folder to write: a new one, or one that the same command was stopped at.",
)
_as_source = click.option(
    "--from", "source", metavar="NAME", help="Dataset or format to read it as; found out when not given."
)
_on_faults = click.option(
    "--keep-going",
    is_flag=True,
    help="Leave out what cannot be trusted, say how much, and list it in faults.json; else the first fault stops.",
)
_linked = click.option(
    "--link", is_flag=True, help="Link pictures rather than copy them; then edit neither folder's pictures."
)


@click.command()
@click.argument("folder", metavar="SRC", type=_folder)
@_as_source
@click.option("--to", "form", type=click.Choice(["yolo", "coco", "parquet"]), required=True, help="Format to write.")
@_into
@click.option("--split", help="Convert this split only.")
@_on_faults
@click.option(
    "--labels",
    type=click.Path(path_type=Path, exists=True, dir_okay=False),
    help="YAML map from a plain YOLO folder's own class names to canonical labels.",
)
def convert(
    folder: Path, source: str | None, form: str, out: Path, split: str | None, keep_going: bool, labels: Path | None
) -> None:
    """Rewrite a dataset as annotated YOLO, COCO or Hugging Face Parquet.

    Pictures are copied byte for byte, and nothing that the source says of a scan is lost. The same command goes on
    where it was stopped.
    """
    faults = _Faults(folder, keep_going)
    with told():
        read = _reader(folder, source, labels)
        renamed = labels and labels.read_text(encoding="utf-8")
        _take(out, made("convert", [folder], source=source, to=form, split=split, labels=renamed))
    with told(faults.advice):
        records = read(folder, split=split, report=faults.report)
        count = _count(_shown(_writer(form)(records, out, report=faults.report), "Converting"))
    _conclude(out, faults)
    _require(count, folder, split)
    click.echo(f"wrote {count} scans to {out}")


@click.command()
@click.argument("folders", metavar="DIR...", type=_folder, nargs=-1, required=True)
@_into
@_on_faults
@_linked
def merge(folders: tuple[Path, ...], out: Path, keep_going: bool, link: bool) -> None:
    """Put several datasets into one annotated YOLO folder.

    What each source annotates stays with its scans: a class that a source leaves unlabelled is unknown there, not
    absent. Pictures with the same bytes share a group; where their boxes agree, one of them is kept. merge.json lists
    what was dropped and what disagrees.
    """
    from xray_training.datasets.merge import merge as put_together

    if len(set(map(Path.resolve, folders))) < len(folders):
        raise click.UsageError("a folder is named twice")
    with told():
        _take(out, made("merge", folders))
    collections = _collections(_named(folders), out, keep_going)
    with told():
        merged = put_together(collections)
        count = _count(_shown(write_yolo(merged.records, out, link=link), "Writing", len(merged.records)))
        write_text(out / "merge.json", _as_json(merged))
    click.echo(f"wrote {count} scans to {out}")
    _summarise(merged)


@click.command()
@click.argument("folder", metavar="DIR", type=_folder)
@_as_source
@_into
@click.option("--val", type=click.FloatRange(0, 1), default=0.1, show_default=True, help="Share to validate on.")
@click.option("--test", type=click.FloatRange(0, 1), default=0.1, show_default=True, help="Share to test on.")
@click.option("--seed", type=click.IntRange(0), default=0, show_default=True, help="Which scans go where.")
@click.option(
    "--near-duplicates/--no-near-duplicates",
    default=True,
    show_default=True,
    help="Look for pictures that show nearly the same, and keep them together too.",
)
@_on_faults
@_linked
def split(
    folder: Path,
    source: str | None,
    out: Path,
    val: float,
    test: float,
    seed: int,
    near_duplicates: bool,
    keep_going: bool,
    link: bool,
) -> None:
    """Divide a dataset into train, val and test anew, as an annotated YOLO folder.

    Views of one bag, repeats of one item, near-duplicates and runs of neighbouring ids stay on one side. Each source's
    scans and labels are shared out alike, as far as that allows. The same seed gives the same split.
    """
    from xray_training.datasets.split import divide

    if not val + test <= 1 + _ROUNDING:  # nan is no share either, and passes every comparison turned round
        raise click.UsageError("--val and --test are more than the whole, or no numbers")
    faults = _Faults(folder, keep_going)
    with told():
        _take(out, made("split", [folder], source=source, val=val, test=test, seed=seed, near=near_duplicates))
    with told(faults.advice):
        found = _shown(_reader(folder, source)(folder, report=faults.report), "Reading")
        records = list(_with_picture(found, faults.report))
        alike: list[frozenset[int]] = []
        if near_duplicates:
            records, alike = _near_duplicates(records, faults.report)
        _conclude(out, faults)
        _require(len(records), folder, None)
        shares = {"train": max(0.0, 1 - val - test), "val": val, "test": test}
        divided = divide(records, shares, seed=seed, belonging=alike)
        count = _count(_shown(write_yolo(divided, out, link=link), "Writing", len(divided)))
    _tabulate(divided, [name for name, share in shares.items() if share > 0])
    click.echo(f"wrote {count} scans to {out}")


@click.command()
@click.argument("folder", metavar="DIR", type=_folder)
@_as_source
@_into
@click.option("--label", default="item", show_default=True, help="The one class.")
@_on_faults
@_linked
def agnostic(folder: Path, source: str | None, out: Path, label: str, keep_going: bool, link: bool) -> None:
    """Make all classes one, as an annotated YOLO folder.

    A box keeps its own name beside the one class. Where a source labels some things only, the others lie unlabelled in
    what counts as background: a scan's metadata says in `covers` which labels the one class stands for on it. To train
    on these scans as if everything were labelled teaches a detector to pass the others over.
    """
    from xray_training.datasets.agnostic import agnostic as all_one

    if not label.strip():
        raise click.UsageError("--label: give the class a name")
    faults = _Faults(folder, keep_going)
    with told():
        _take(out, made("agnostic", [folder], source=source, label=label))
    with told(faults.advice):
        records = _reader(folder, source)(folder, report=faults.report)
        written = write_yolo(all_one(records, label=label), out, report=faults.report, link=link)
        count = _count(_shown(written, "Writing"))
    _conclude(out, faults)
    _require(count, folder, None)
    click.echo(f"wrote {count} scans to {out}")


class _Faults:
    """What is wrong with a folder: the first fault stops, or all are noted."""

    def __init__(self, folder: Path, keep_going: bool, *, called: str = "") -> None:
        self._folder = folder
        self._called = called
        self.keep_going = keep_going
        self.noted: list[Fault] = []
        self.report: FaultReport = self.noted.append if keep_going else refuse

    @property
    def advice(self) -> str:
        if self.keep_going:
            return ""
        return f"\n`xray-train data audit {self._folder}` lists all that is wrong; --keep-going leaves it out."

    def listed(self) -> list[dict[str, str]]:
        """The faults, each with its place in the folder, and the folder's name where it has one."""
        return [
            {
                "kind": fault.kind,
                "where": str(Path(self._called, fault.where.removeprefix(f"{self._folder}/"))),
                "message": fault.message,
            }
            for fault in self.noted
        ]


def _take(out: Path, made_of: Mapping[str, object]) -> None:
    """Take the folder to write, and drop the faults of an earlier run.

    Raises:
        DatasetError: the folder holds something else.
    """
    claim(out, made_of)
    (out / _FAULTS).unlink(missing_ok=True)


def _conclude(out: Path, *several: _Faults) -> None:
    """Say how many faults of each kind were noted, if any might be, and list them in a file."""
    if not any(faults.keep_going for faults in several):
        return
    for kind, count in sorted(Counter(fault.kind for faults in several for fault in faults.noted).items()):
        click.echo(f"{kind}: {count}", err=True)
    listed = [fault for faults in several for fault in faults.listed()]
    with told():
        write_text(out / _FAULTS, json.dumps(listed, indent=1) + "\n")


def _collections(folders: Mapping[str, Path], out: Path, keep_going: bool) -> dict[str, list[ScanRecord]]:
    """The scans of each folder; a folder without any is an error."""
    collections: dict[str, list[ScanRecord]] = {}
    heard = {name: _Faults(folder, keep_going, called=name) for name, folder in folders.items()}
    for name, folder in folders.items():
        faults = heard[name]
        with told(faults.advice):
            records = _shown(_reader(folder, None)(folder, report=faults.report), f"Reading {name}")
            collections[name] = list(_with_picture(records, faults.report))
    _conclude(out, *heard.values())
    for name, folder in folders.items():
        _require(len(collections[name]), folder, None)
    return collections


def _as_json(merged: Merged) -> str:
    pairs = [[str(one), str(other)] for one, other in merged.disagreeing]
    said = {"dropped": [str(path) for path in merged.dropped], "disagreeing": pairs, "divided": list(merged.divided)}
    return json.dumps(said, indent=1) + "\n"


def _summarise(merged: Merged) -> None:
    """Say what is worth a look after a merge."""
    if merged.dropped:
        click.echo(f"{len(merged.dropped)} pictures were there already, with boxes that agree: left out")
    for one, other in merged.disagreeing[:_SHOWN]:
        click.echo(f"the same picture with other boxes: {one} and {other}", err=True)
    if len(merged.disagreeing) > _SHOWN:
        click.echo(f"and {len(merged.disagreeing) - _SHOWN} more: see merge.json", err=True)
    if merged.divided:
        click.echo(f"{len(merged.divided)} groups reach over several splits: run `xray-train data split`", err=True)


def _shown(items: Iterable[_T], said: str, total: int | None = None) -> Iterable[_T]:
    return track(items, description=said, total=total, console=Console(stderr=True))


def _count(items: Iterable[object]) -> int:
    return sum(1 for _ in items)


def _named(folders: Iterable[Path]) -> dict[str, Path]:
    """The folders by their names, which are numbered where several have the same."""
    named: dict[str, Path] = {}
    for folder in folders:
        name, number = folder.resolve().name, 1
        while (key := name if number == 1 else f"{name}:{number}") in named:
            number += 1
        named[key] = folder
    return named


def _require(count: int, folder: Path, split: str | None) -> None:
    if not count:
        of_split = f" of the split {split!r}" if split else ""
        raise click.ClickException(
            f"{folder} gave no scan{of_split}: is it the folder that the dataset was unpacked to?"
        )


def _reader(folder: Path, source: str | None, labels: Path | None = None) -> Reader:
    """The folder's reader, with the class names that a file translates."""
    from xray_training.datasets import yolo
    from xray_training.datasets.naming import canonical
    from xray_training.datasets.sources import source_of

    if labels is None:
        return source_of(folder, source).read
    if source not in (None, "yolo") or not yolo.recognises(folder):
        raise click.UsageError("--labels names the classes of a plain YOLO folder")
    names = _label_names(labels)
    return partial(yolo.read, naming=lambda name: names.get(name) or canonical(name))


def _label_names(path: Path) -> dict[str, str]:
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise click.UsageError(f"--labels {path}: no YAML ({error})") from error
    if not isinstance(content, dict):
        raise click.UsageError(f"--labels {path}: write lines of `own name: canonical_label`")
    names = {str(own): str(label) for own, label in content.items()}
    for label in names.values():
        if label not in taxonomy().labels:
            near = taxonomy().nearest(label)
            advice = f"did you mean {', '.join(near)}?" if near else "`xray-tools taxonomy` lists the labels"
            raise click.UsageError(f"--labels {path}: {label!r} is no canonical label; {advice}")
    return names


Writing = Callable[..., Iterator[ScanRecord]]


def _writer(form: str) -> Writing:
    if form == "coco":
        from xray_training.datasets.writers.coco import write_coco

        return write_coco
    if form == "parquet":
        from xray_training.datasets.writers.parquet import write_parquet

        return write_parquet
    return write_yolo


def _with_picture(records: Iterable[ScanRecord], report: FaultReport) -> Iterator[ScanRecord]:
    return (record for record in records if size_of(record.image, report))


def _near_duplicates(
    records: Sequence[ScanRecord], report: FaultReport
) -> tuple[list[ScanRecord], list[frozenset[int]]]:
    """The records whose pictures can be decoded, and which of these show nearly the same."""
    from xray_training.datasets.duplicates import alike, fingerprint

    decoded, fingerprints = [], []
    for record in _shown(records, "Looking for near-duplicates", len(records)):
        try:
            fingerprints.append(fingerprint(record.pixels()))
        except DatasetError as error:
            report(Fault(FaultKind.UNREADABLE_IMAGE, str(record.image), str(error)))
        else:
            decoded.append(record)
    return decoded, alike(fingerprints)


def _tabulate(records: Iterable[ScanRecord], splits: Sequence[str]) -> None:
    """Scans of each source in each split; a source that one unit holds together may lack in some."""
    counts: dict[str, Counter[str]] = defaultdict(Counter)
    for record in records:
        counts[record.source][record.split] += 1
    for source, found in sorted(counts.items()):
        click.echo(f"{source}: " + ", ".join(f"{found[name]} {name}" for name in splits))
        if lacking := [name for name in splits if not found[name]]:
            click.echo(f"{source} has too few groups or blocks for {' and '.join(lacking)}", err=True)
