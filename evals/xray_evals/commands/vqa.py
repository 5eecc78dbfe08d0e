"""Scoring answers to questions about scans."""

from __future__ import annotations

import hashlib
import json
import os
import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import click
from rich.console import Console
from rich.table import Column, Table
from xray_training.datasets.pairs import PAIRS_FILE, Pair, read_pairs
from xray_training.datasets.record import DatasetError

from xray_agent_tools.errors import XrayToolsError
from xray_agent_tools.explainer.picture import QWEN2_5_VL, Frame, read_frame
from xray_agent_tools.screener import Screener
from xray_evals.checkout import commit
from xray_evals.commands.common import RECORDED_SPLIT, named, refuse_to_record, reported
from xray_evals.sections import DATA, PAGE, put_section
from xray_evals.vqa.answering import Answer, Answerer, read_answers, write_answers
from xray_evals.vqa.blind import majority_answers, text_only_answers
from xray_evals.vqa.claims import annotated_on
from xray_evals.vqa.endpoint import Endpoint
from xray_evals.vqa.explained import Explained, explain_all
from xray_evals.vqa.page import VqaResults, as_data, as_page, as_section
from xray_evals.vqa.scoring import Scores, score

SECTION = "vqa"
"""The name of this command's part of ``RESULTS.md`` and ``results.json``."""

MAJORITY, TEXT_ONLY, EXPLAINER = "majority", "text-only", "grounded explainer"

_KEY = "XRAY_VLM_KEY"
_TRAINING_SPLIT = "train"
_LIMIT_SEED = 0
_FILE = click.Path(path_type=Path, exists=True, dir_okay=False)
_FOLDER = click.Path(path_type=Path, file_okay=False)


@dataclass(frozen=True, slots=True)
class _Asked:
    """A model at an endpoint by the name that the tables give it."""

    name: str
    model: str
    url: str


@dataclass(frozen=True, slots=True)
class _Recorded:
    """A file of replies by the name that the tables give it."""

    name: str
    path: Path


def _endpoints(context: click.Context, option: click.Parameter, values: tuple[str, ...]) -> tuple[_Asked, ...]:
    found = []
    for value in values:
        name, _, rest = value.partition("=")
        model, _, url = rest.rpartition("@")
        if not name or not model or not url.startswith(("http://", "https://")):
            raise click.BadParameter(
                "give NAME=MODEL@URL, such as nano=xray-vlm-nano@http://127.0.0.1:8000/v1", ctx=context, param=option
            )
        found.append(_Asked(name, model, url))
    return tuple(found)


def _replies(context: click.Context, option: click.Parameter, values: tuple[str, ...]) -> tuple[_Recorded, ...]:
    found = []
    for value in values:
        name, _, path = value.partition("=")
        if not name or not Path(path).is_file():
            raise click.BadParameter("give NAME=FILE, a file that --keep-replies wrote", ctx=context, param=option)
        found.append(_Recorded(name, Path(path)))
    return tuple(found)


def _frames(context: click.Context, option: click.Parameter, values: tuple[str, ...]) -> dict[str, Frame]:
    found = {}
    for value in values:
        name, _, path = value.partition("=")
        if not name or not path:
            raise click.BadParameter("give NAME=FILE, the frame.json of a model", ctx=context, param=option)
        try:
            found[name] = read_frame(Path(path))
        except XrayToolsError as error:
            raise click.BadParameter(f"{error.message}: {error.hint}", ctx=context, param=option) from error
    return found


@click.command()
@click.option(
    "--pairs",
    type=click.Path(path_type=Path, exists=True, file_okay=False),
    required=True,
    help="Folder that `xray-train vqa` wrote.",
)
@click.option("--split", default=RECORDED_SPLIT, show_default=True, help="Split to ask about.")
@click.option(
    "--endpoint",
    "endpoints",
    multiple=True,
    metavar="NAME=MODEL@URL",
    callback=_endpoints,
    help=f"A model at an OpenAI-compatible endpoint; repeatable. Its key is in {_KEY}.",
)
@click.option(
    "--replies",
    "recorded",
    multiple=True,
    metavar="NAME=FILE",
    callback=_replies,
    help="Replies that were recorded, to be scored again; repeatable.",
)
@click.option("--model", default="default", show_default=True, help="Detector of the grounded explainer.")
@click.option(
    "--frame",
    "frames",
    multiple=True,
    metavar="NAME=FILE",
    callback=_frames,
    help="The frame.json of an endpoint's model: the sizes in which it sees pictures; Qwen2.5-VL's if not given.",
)
@click.option("--concurrency", type=click.IntRange(1), default=8, show_default=True, help="Questions asked at a time.")
@click.option("--timeout", type=click.FloatRange(min=1), default=120.0, show_default=True, help="Seconds for a reply.")
@click.option("--max-tokens", type=click.IntRange(1), default=512, show_default=True, help="Longest reply.")
@click.option("--keep-replies", type=_FOLDER, help="Folder to write every answerer's replies to, for --replies.")
@click.option("--out", type=_FOLDER, help="Folder for VQA.md and vqa.json.")
@click.option("--record", is_flag=True, help="Put the table into RESULTS.md and results.json of --out, too.")
@click.option("--limit", type=click.IntRange(1), help="Ask only so many questions, drawn with a fixed seed.")
@click.pass_context
def vqa(
    context: click.Context,
    pairs: Path,
    split: str,
    endpoints: tuple[_Asked, ...],
    recorded: tuple[_Recorded, ...],
    model: str,
    frames: dict[str, Frame],
    concurrency: int,
    timeout: float,
    max_tokens: int,
    keep_replies: Path | None,
    out: Path | None,
    record: bool,
    limit: int | None,
) -> None:
    """Score answers to questions about scans, beside those of who sees no picture and of the grounded explainer.

    The majority and the text-only baseline learn from the pairs of the split `train`. A reply that cannot be read, and a
    question that gets none, count as wrong and are shown apart.
    """
    if record:
        refuse_to_record(limit=limit, split=split)
        if out is None:
            raise click.UsageError("--record needs --out, the folder of RESULTS.md")
    _refuse_same_names([*(one.name for one in endpoints), *(one.name for one in recorded)])
    stamp = commit()
    if unknown := frames.keys() - {one.name for one in endpoints}:
        raise click.UsageError(f"--frame is for an --endpoint, and there is none called {sorted(unknown)[0]!r}")
    key = os.environ.get(_KEY, "none")
    asking = Endpoint("", "", key, timeout, max_tokens, concurrency)
    with reported():
        everything, digest = _read(pairs)
        train = [pair for pair in everything if pair.split == _TRAINING_SPLIT]
        asked = _chosen(everything, split, limit)
        if not train:
            raise DatasetError(f"{pairs / PAIRS_FILE} has no pair of the split 'train', from which the baselines learn")
        screener = Screener(model=model)
        detector = _identity(screener)
        given = [_from_file(one, asked) for one in recorded]
        models = [_from_endpoint(asking, one, frames.get(one.name, QWEN2_5_VL), asked, pairs) for one in endpoints]
        explained = explain_all(asked, pairs, screener)
        answerers = [*models, *given, _explainer(explained, detector), *_baselines(train, asked)]
        scores = _score(answerers, asked, explained, everything)
    if keep_replies is not None:
        for answerer in answerers:
            write_answers(answerer.answers.values(), keep_replies / f"{answerer.name.replace(' ', '-')}.jsonl")
    results = VqaResults(_command(context), stamp, split, asked, digest, len(train), detector, scores)
    data = as_data(results)
    _show(scores)
    if out is not None:
        _write(data, out, record=record)


def _refuse_same_names(names: Sequence[str]) -> None:
    taken = [*names, MAJORITY, TEXT_ONLY, EXPLAINER]
    if len(set(taken)) < len(taken):
        raise click.UsageError(f"give each answerer a name of its own, none of {MAJORITY}, {TEXT_ONLY} and {EXPLAINER}")
    if odd := [name for name in names if not name.replace("-", "").replace(".", "").replace("_", "").isalnum()]:
        raise click.UsageError(f"names are of letters, digits, '.', '_' and '-': {odd[0]!r} is not")


def _read(folder: Path) -> tuple[list[Pair], str]:
    path = folder / PAIRS_FILE
    pairs = list(read_pairs(path))
    if len({pair.id for pair in pairs}) < len(pairs):
        raise DatasetError(f"{path} holds an id twice: write it again with `xray-train vqa`")
    return pairs, hashlib.sha256(path.read_bytes()).hexdigest()


def _chosen(pairs: Sequence[Pair], split: str, limit: int | None) -> list[Pair]:
    chosen = [pair for pair in pairs if pair.split == split]
    if not chosen:
        raise DatasetError(f"no pair is of the split {split!r}: there are {sorted({pair.split for pair in pairs})}")
    if limit is not None and limit < len(chosen):
        drawn = set(random.Random(_LIMIT_SEED).sample(range(len(chosen)), limit))
        chosen = [pair for number, pair in enumerate(chosen) if number in drawn]
    return chosen


def _identity(screener: Screener) -> str:
    manifest = screener.detector.package.manifest
    return f"`{manifest.id} {manifest.version}` (network `{manifest.sha256[:16]}`)"


def _by_id(answers: Sequence[Answer]) -> dict[str, Answer]:
    return {answer.id: answer for answer in answers}


def _from_endpoint(asking: Endpoint, one: _Asked, frame: Frame, pairs: Sequence[Pair], folder: Path) -> Answerer:
    answers = replace(asking, url=one.url, model=one.model, frame=frame).answers(pairs, folder)
    failed = [answer.failed for answer in answers if answer.failed is not None]
    if failed:
        click.echo(
            f"{one.name}: {len(failed)} of {len(answers)} questions got no reply, the first: {failed[0]}", err=True
        )
    about = (
        f"model `{named(one.model)}` at an endpoint; pictures of {frame.min_pixels:,} to {frame.max_pixels:,} pixels in "
        f"cells of {frame.cell}, boxes in {frame.boxes}"
    )
    return Answerer(one.name, "model", about, _by_id(answers))


def _from_file(recorded: _Recorded, pairs: Sequence[Pair]) -> Answerer:
    answers = read_answers(recorded.path)
    if not any(pair.id in answers for pair in pairs):
        raise DatasetError(f"{recorded.path} has a reply to none of the questions: it is of other pairs")
    digest = hashlib.sha256(recorded.path.read_bytes()).hexdigest()[:16]
    return Answerer(recorded.name, "model", f"recorded replies `{digest}`", answers)


def _explainer(explained: Explained, detector: str) -> Answerer:
    about = (
        f"`explain_scan` without a language model, detector {detector}; boxes and JSON are its detections in that form"
    )
    return Answerer(EXPLAINER, "explainer", about, _by_id(explained.answers))


def _baselines(train: Sequence[Pair], asked: Sequence[Pair]) -> list[Answerer]:
    made: list[tuple[str, str, Callable[[Sequence[Pair], Sequence[Pair]], list[Answer]]]] = [
        (TEXT_ONLY, "logistic regression over the words of the question and the boxes in it", text_only_answers),
        (MAJORITY, "the commonest answer of the kind of question", majority_answers),
    ]
    return [Answerer(name, "baseline", about, _by_id(answers(train, asked))) for name, about, answers in made]


def _score(
    answerers: Sequence[Answerer], asked: Sequence[Pair], explained: Explained, everything: Sequence[Pair]
) -> list[Scores]:
    text_only = next(answerer for answerer in answerers if answerer.name == TEXT_ONLY)
    annotated = annotated_on(everything)
    return [
        score(one, asked, explained.looks, annotated, beside=None if one is text_only else text_only)
        for one in answerers
    ]


def _command(context: click.Context) -> str:
    """The command as anybody can give it: what was given, without folders and addresses of the machine."""
    parts = ["xray-eval vqa --pairs PAIRS"]
    for option in context.command.params:
        value, flag = context.params.get(option.name or ""), option.opts[0]
        given = context.get_parameter_source(option.name or "") is click.core.ParameterSource.COMMANDLINE
        if option.name == "endpoints":
            parts += [f"{flag} {one.name}={named(one.model)}@URL" for one in value or ()]
        elif option.name == "frames":
            parts += [f"{flag} {name}=FRAME" for name in value or ()]
        elif option.name == "recorded":
            parts += [f"{flag} {one.name}=FILE" for one in value or ()]
        elif option.name in ("pairs", "out", "keep_replies") or not given:
            continue
        elif value is True:
            parts.append(flag)
        else:
            parts.append(f"{flag} {named(str(value)) if option.name == 'model' else value}")
    return " ".join(parts)


def _show(scores: Sequence[Scores]) -> None:
    shown = Table(Column(no_wrap=True), "mean over the kinds", "presence", "above text-only", "unparsed", "no reply")
    for one in scores:
        presence, lead = one.kinds.get("presence"), (one.lead or {}).get("presence")
        unparsed = sum(kind.unparsed for kind in one.kinds.values())
        shown.add_row(
            one.name,
            f"{one.macro.value:.3f}",
            "" if presence is None else f"{presence.value:.3f}",
            "" if lead is None else f"{lead.value:+.3f}",
            str(unparsed),
            str(sum(one.failed.values())),
        )
    Console().print(shown)


def _write(data: dict[str, Any], out: Path, *, record: bool) -> None:
    out.mkdir(parents=True, exist_ok=True)
    (out / "VQA.md").write_text(as_page(data), encoding="utf-8")
    (out / "vqa.json").write_text(json.dumps(data, indent=1) + "\n", encoding="utf-8")
    click.echo(f"wrote {out / 'VQA.md'} and {out / 'vqa.json'}")
    if record:
        section = f"{as_section(data)}\n\n[VQA.md](VQA.md) has every other figure."
        try:
            put_section(out, SECTION, section, data)
        except ValueError as error:
            raise click.ClickException(str(error)) from error
        click.echo(f"recorded the table in {out / PAGE} and {out / DATA}")
