"""Question-answer pairs."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

import click
from rich.console import Console
from rich.progress import Progress, track

from xray_training.commands.kinds import some_of
from xray_training.commands.made import made
from xray_training.commands.told import told
from xray_training.datasets.fault import Fault
from xray_training.datasets.pairs import KINDS, Kind
from xray_training.datasets.record import DatasetError

if TYPE_CHECKING:
    from xray_training.vqa.generate import Made
    from xray_training.vqa.report import Report
    from xray_training.vqa.rewrite import Endpoint, Usage

_T = TypeVar("_T")
_REPLIES = "replies"


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
@click.option("--per-scan", type=click.IntRange(1, 50), default=8, show_default=True, help="Most pairs about a scan.")
@click.option("--kinds", callback=some_of(KINDS), metavar="KIND,...", help=f"Only these of {', '.join(KINDS)}.")
@click.option("--seed", type=click.IntRange(0), default=0, show_default=True, help="Everything random follows from it.")
@click.option("--limit", type=click.IntRange(1), help="Use at most this many scans.")
@click.option(
    "--val",
    type=click.FloatRange(0, 0.9),
    default=0.1,
    show_default=True,
    help="Share of the training bags to hold out, where no scan is of the split val.",
)
@click.option(
    "--blind-limit",
    type=click.FloatRange(0, 1),
    default=0.6,
    show_default=True,
    help="Stop if a baseline that sees no picture answers a kind of question more accurately than that.",
)
@click.option("--rewrite-url", metavar="URL", help="Reword by the model at this OpenAI-compatible URL.")
@click.option("--rewrite-model", metavar="NAME", help="Name of the model there; its key is in XRAY_REWRITE_KEY.")
@click.option("--rewrite-pictures", is_flag=True, help="Show the model the pictures when it rewords answers.")
@click.option(
    "--variants", type=click.IntRange(1, 8), default=1, show_default=True, help="Rewordings; further ones add pairs."
)
@click.option("--concurrency", type=click.IntRange(1, 256), default=8, show_default=True, help="Requests at a time.")
@click.option("--price-in", type=click.FloatRange(0), help="Price of a million tokens sent.")
@click.option("--price-out", type=click.FloatRange(0), help="Price of a million tokens received.")
@click.option("--yes", is_flag=True, help="Do not ask before spending.")
@click.option("--no-hf", is_flag=True, help="Write no Hugging Face dataset.")
@click.option("--link", is_flag=True, help="Link pictures rather than copy them; then edit neither folder's pictures.")
def vqa(
    folders: tuple[Path, ...],
    out: Path,
    per_scan: int,
    kinds: tuple[Kind, ...],
    seed: int,
    limit: int | None,
    val: float,
    blind_limit: float,
    rewrite_url: str | None,
    rewrite_model: str | None,
    rewrite_pictures: bool,
    variants: int,
    concurrency: int,
    price_in: float | None,
    price_out: float | None,
    yes: bool,
    no_hf: bool,
    link: bool,
) -> None:
    """Make question-answer pairs about annotated scans, each checked against the annotations.

    Writes pairs.jsonl, the pictures, report.json, REPORT.md, and hf/, a Hugging Face dataset in the chat format. The same
    seed and folders give the same bytes. Nothing but the report is written if the questions can be answered without the
    pictures, or if a bag is in two splits. The same command goes on where it was stopped, and pays for no reply twice.
    """
    from xray_training.datasets.writers.files import claim
    from xray_training.vqa.generate import Plan, generate
    from xray_training.vqa.reading import Reading, read_scenes
    from xray_training.vqa.report import report_on
    from xray_training.vqa.writing import write_chat_dataset, write_jsonl, write_pictures

    if bool(rewrite_url) != bool(rewrite_model):
        raise click.UsageError("--rewrite-url and --rewrite-model belong together")
    settings = {"per_scan": per_scan, "kinds": list(kinds), "seed": seed, "limit": limit, "val": val}
    if rewrite_model:
        settings |= {"rewrite_model": rewrite_model, "rewrite_pictures": rewrite_pictures, "variants": variants}
    faults: list[Fault] = []
    with told():
        claim(out, {**made("vqa", folders, **settings), "by": "xray-train vqa"})
        reading = Reading(folders, seed=seed, limit=limit, val=val, colours="material" in kinds)
        scenes = read_scenes(reading, report=faults.append, shown=lambda records: _shown(records, "Reading"))
        if faults:
            click.echo(f"{len(faults)} faults were passed over; `xray-train data audit` lists them", err=True)
        generated = generate(scenes.scenes, Plan(kinds, per_scan, seed))
        pairs, usage = list(generated.made), None
        if not pairs:
            raise DatasetError(
                "no question of these kinds can be asked about these scans: name other --kinds, or give more"
            )
        if rewrite_url and rewrite_model:
            endpoint = _endpoint(rewrite_url, rewrite_model, concurrency, price_in, price_out)
            if rewrite_pictures:
                _count(_shown(write_pictures(pairs, out, link=link), "Writing pictures"))
            pairs, usage = _reworded(pairs, endpoint, out, variants=variants, pictures=rewrite_pictures, yes=yes)
        report = report_on(
            [one.pair for one in pairs],
            blind_limit=blind_limit,
            omitted=scenes.omitted,
            dropped=generated.dropped,
            rewriting=usage,
            seed=seed,
        )
        _write_report(report, out)
        _stop_if_unsound(report, out)
        _count(_shown(write_pictures(pairs, out, link=link), "Writing pictures"))
        write_jsonl(pairs, out)
        if not no_hf:
            write_chat_dataset(pairs, out)
    for split, counts in report.counts.items():
        click.echo(f"{split}: " + ", ".join(f"{count} {kind}" for kind, count in counts.items()))
    click.echo(f"wrote {len(pairs)} pairs about {report.scans} scans to {out}; REPORT.md says how good they are")


def _endpoint(url: str, model: str, concurrency: int, price_in: float | None, price_out: float | None) -> Endpoint:
    from xray_training.vqa.rewrite import Endpoint

    key = os.environ.get("XRAY_REWRITE_KEY", "none")
    return Endpoint(url, model, key, concurrency=concurrency, price_in=price_in, price_out=price_out)


def _reworded(
    pairs: Sequence[Made], endpoint: Endpoint, out: Path, *, variants: int, pictures: bool, yes: bool
) -> tuple[list[Made], Usage]:
    """The pairs in the words of a model, after its price was agreed to."""
    from xray_training.vqa.rewrite import Rewriter

    places = {one.pair.image: out / one.pair.image for one in pairs} if pictures else None
    rewriter = Rewriter(endpoint, out / _REPLIES, variants=variants, pictures=places)
    estimate = rewriter.estimate(pairs)
    cost = "unknown: give --price-in and --price-out" if estimate.cost is None else f"{estimate.cost:.2f}"
    click.echo(
        f"{estimate.requests} requests to {endpoint.model} ({estimate.cached} are answered already), about "
        f"{estimate.tokens_in} tokens to send and {estimate.tokens_out} to receive; estimated cost {cost}"
    )
    if estimate.requests and not yes:
        click.confirm("Send them?", abort=True)
    with Progress(console=_console()) as progress:
        task = progress.add_task("Rewording", total=estimate.requests + estimate.cached)
        found, usage = rewriter.rewrite(pairs, progress=lambda done: progress.advance(task, done))
    spent = "unknown" if usage.cost is None else f"{usage.cost:.2f}"
    click.echo(
        f"{usage.reworded} pairs have new words, {usage.added} were added, {sum(usage.refused.values())} rewordings were "
        f"refused; {usage.tokens_in} tokens sent, {usage.tokens_out} received, cost {spent}"
    )
    return found, usage


def _write_report(report: Report, out: Path) -> None:
    from xray_training.datasets.writers.files import write_text
    from xray_training.vqa.report import as_markdown

    write_text(out / "report.json", report.model_dump_json(indent=1) + "\n")
    write_text(out / "REPORT.md", as_markdown(report))


def _stop_if_unsound(report: Report, out: Path) -> None:
    """Refuse pairs that teach nothing about pictures.

    Raises:
        DatasetError: a blind baseline is too good, or something is in two splits.
    """
    if report.leakage.any:
        raise DatasetError(f"something is in two splits: {out / 'REPORT.md'} says how much")
    if report.too_blind:
        worst = "; ".join(
            f"{score.kind}: {score.baseline.replace('_', ' ')} {score.accuracy:.2f}" for score in report.too_blind
        )
        raise DatasetError(
            f"questions can be answered without the picture ({worst}; the limit is {report.blind_limit:.2f}): add scans "
            f"with other answers, leave these kinds out with --kinds, or raise --blind-limit; see {out / 'REPORT.md'}"
        )


def _console() -> Console:
    return Console(stderr=True)


def _shown(items: Iterable[_T], said: str) -> Iterable[_T]:
    total = len(items) if isinstance(items, Sequence) else None
    return track(items, description=said, total=total, console=_console())


def _count(items: Iterable[object]) -> int:
    return sum(1 for _ in items)
