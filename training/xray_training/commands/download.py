"""Fetching datasets."""

from __future__ import annotations

import os
import shutil
from contextlib import AbstractContextManager
from pathlib import Path
from typing import TYPE_CHECKING

import click
from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn, track

from xray_training.commands.told import told
from xray_training.datasets.record import DatasetError

if TYPE_CHECKING:
    from xray_training.datasets.download import Patience
    from xray_training.datasets.sources import Source

_LUGGAGE = "luggage_xray"
_ON_THE_HUB = {"stcray": "Naoufel555/STCray-Dataset"}
_ARCHIVES = (".rar", ".zip", ".7z")
_SHOWN = 5


@click.command()
@click.argument("what", metavar="NAME_OR_URL")
@click.option(
    "--out", type=click.Path(path_type=Path, file_okay=False), required=True, help="Folder to write; made if need be."
)
@click.option("--sha256", metavar="HEX", help="What the SHA-256 of the file at the URL must be.")
@click.option(
    "--annotations",
    multiple=True,
    type=click.Path(path_type=Path, exists=True, dir_okay=False),
    help="For luggage_xray: a file of JSON lines whose pictures to fetch; repeatable.",
)
@click.option("--unpack/--no-unpack", default=True, show_default=True, help="Unpack a ZIP or tar file from a URL.")
@click.option(
    "--attempts", type=click.IntRange(1), default=5, show_default=True, help="How often to try without getting further."
)
def download(
    what: str, out: Path, sha256: str | None, annotations: tuple[Path, ...], unpack: bool, attempts: int
) -> None:
    """Fetch a dataset: a known one by its name, OWNER/DATASET from the Hugging Face Hub, or a file by its URL.

    A download that was interrupted goes on where it was. For a dataset that its authors do not let a program fetch,
    the steps to take are shown.
    """
    from xray_training.datasets.download import Patience
    from xray_training.datasets.hub import dataset_called, fetch_dataset
    from xray_training.datasets.sources import SOURCES

    patience = Patience(attempts=attempts)
    is_url = what.startswith(("http://", "https://"))
    on_the_hub = dataset_called(what)
    if sha256 and (not is_url or on_the_hub):
        raise click.UsageError("--sha256 is for the file at a URL")
    if annotations and what != _LUGGAGE:
        raise click.UsageError(f"--annotations is for {_LUGGAGE}")
    if what in SOURCES:
        _known(SOURCES[what], out, annotations, patience)
    elif on_the_hub:
        with _told():
            fetch_dataset(on_the_hub, out, endpoint=os.environ.get("HF_ENDPOINT"))
        click.echo(f"{on_the_hub} is in {out}")
    elif is_url:
        _file(what, out, sha256, unpack, patience)
    else:
        known = ", ".join(sorted(name for name, source in SOURCES.items() if source.home))
        raise click.UsageError(f"{what!r} is no URL, no OWNER/DATASET and no known dataset; these are known: {known}")


def _known(source: Source, out: Path, annotations: tuple[Path, ...], patience: Patience) -> None:
    from xray_training.datasets.hub import fetch_dataset
    from xray_training.datasets.luggage_xray import recognises

    if not source.home:
        raise click.UsageError(f"{source.name} is a format, not a dataset")
    click.echo(f"{source.title}: {source.home}\nLicence: {source.licence}")
    if source.name in _ON_THE_HUB:
        with _told(f"\nBy hand: {source.steps}"):
            fetch_dataset(_ON_THE_HUB[source.name], out, endpoint=os.environ.get("HF_ENDPOINT"))
        click.echo(f"{source.title} is in {out}")
        for archive in sorted(path for path in out.iterdir() if path.suffix in _ARCHIVES):
            click.echo(f"unpack {archive} by hand, for instance with `unar`")
    elif source.name == _LUGGAGE and (annotations or recognises(out)):
        with _told():
            _pictures(annotations, out, patience)
    else:
        hint = f"\nThen `xray-train data download {_LUGGAGE} --annotations FILE` fetches the pictures."
        raise click.ClickException(
            f"{source.title} is not for a program to fetch. {source.steps}{hint if source.name == _LUGGAGE else ''}"
        )


def _pictures(annotations: tuple[Path, ...], out: Path, patience: Patience) -> None:
    """Fetch the pictures that annotations name, under the names that their reader looks for."""
    from xray_training.datasets.download import DownloadError, fetch_all, new_client
    from xray_training.datasets.luggage_xray import picture_names, recognises, urls_of

    out.mkdir(parents=True, exist_ok=True)
    for path in annotations:
        if not (out / path.name).exists():
            shutil.copy2(path, out)
    if not recognises(out):
        raise DatasetError(
            f"{annotations[0]}: name it _annotations.train.jsonl or _annotations.valid.jsonl, as it came"
        )
    urls = [url for path in sorted(out.glob("_annotations.*.jsonl")) for url in urls_of(path)]
    wanted = {out / "images" / name: url for url, name in picture_names(urls).items()}
    with new_client() as client:
        results = fetch_all(wanted, client=client, patience=patience)
        failures = [error for error in track(results, "Fetching", len(wanted), console=_console()) if error]
    for error in failures[:_SHOWN]:
        click.echo(str(error), err=True)
    here = sum(path.exists() for path in wanted)
    click.echo(f"{here} of {len(wanted)} pictures are in {out / 'images'}")
    if here < len(wanted):
        raise DownloadError("not every picture could be fetched: run this again to go on")


def _file(url: str, out: Path, sha256: str | None, unpack: bool, patience: Patience) -> None:
    from xray_training.datasets.download import file_name
    from xray_training.datasets.unpack import unpack as unpack_archive

    with _told():
        target = out / file_name(url)
        found = _fetched(url, target, sha256, patience)
        click.echo(f"{target}, SHA-256 {found}")
        if unpack and (folder := unpack_archive(target, out)):
            click.echo(f"unpacked to {folder}")


def _fetched(url: str, target: Path, sha256: str | None, patience: Patience) -> str:
    """Fetch a file, show how far it is, and return its SHA-256."""
    from xray_training.datasets.download import fetch, new_client
    from xray_training.datasets.duplicates import digest_of

    bar = Progress(
        TextColumn("{task.description}"), BarColumn(), DownloadColumn(), TimeRemainingColumn(), console=_console()
    )
    with new_client() as client, bar:
        task = bar.add_task(target.name, total=None)

        def progress(done: int, total: int | None) -> None:
            bar.update(task, completed=done, total=total)

        fetch(url, target, client=client, sha256=sha256, patience=patience, progress=progress)
    return digest_of(target)


def _told(advice: str = "") -> AbstractContextManager[None]:
    from xray_training.datasets.download import DownloadError

    return told(advice, DownloadError)


def _console() -> Console:
    return Console(stderr=True)
