"""Scoring a detector."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import click

from xray_agent_tools.detector.card import record_scores
from xray_agent_tools.detector.onnx import OnnxDetector
from xray_agent_tools.detector.package import ModelPackage, load_package
from xray_agent_tools.detector.protocol import Detector
from xray_agent_tools.detector.torch import UltralyticsDetector
from xray_evals.assess import Scans, assess, look_at, read_scans
from xray_evals.checkout import commit
from xray_evals.commands.common import named, refuse_to_record, reported
from xray_evals.commands.shown import show
from xray_evals.goals import Speed, goals_of, read_speed
from xray_evals.page import as_page
from xray_evals.peer import SIZE, UltralyticsPeer
from xray_evals.plots import write_plots
from xray_evals.results import Results, as_data, as_scores
from xray_evals.robustness import score_changes
from xray_evals.sections import DATA, PAGE, write_results
from xray_evals.simulated import read_simulated
from xray_evals.variants import VariantScore

_BACKENDS: dict[str, Callable[[ModelPackage], Detector]] = {"onnx": OnnxDetector, "ultralytics": UltralyticsDetector}
_FOLDER = click.Path(path_type=Path, exists=True, file_okay=False)
_PLOTS = "plots"
_ROOT = Path(__file__).parents[3]
_RECORDED_BACKEND = "onnx"
_PEER = f"Ultralytics predict at {SIZE}"
_ROLES = {"simulated": "SIMULATED", "speed": "SPEED"}
_TOLD = {"split", "backend"}
_TOLD_IF_GIVEN = {"limit", "robustness_scans"}


@dataclass(frozen=True, slots=True)
class _Compared:
    """Another model by the name that the tables give it."""

    name: str
    model: str


def _compared(context: click.Context, option: click.Parameter, values: tuple[str, ...]) -> tuple[_Compared, ...]:
    pairs = [value.partition("=") for value in values]
    for name, _, model in pairs:
        if not name or not model:
            raise click.BadParameter("give NAME=MODEL, such as plain=out/plain-package", ctx=context, param=option)
    names = [name for name, _, _ in pairs]
    if len(set(names)) < len(names):
        raise click.BadParameter("each name has to be another", ctx=context, param=option)
    return tuple(_Compared(name, model) for name, _, model in pairs)


def _speed(context: click.Context, option: click.Parameter, value: Path | None) -> Speed | None:
    try:
        return None if value is None else read_speed(value)
    except ValueError as error:
        raise click.BadParameter(str(error), ctx=context, param=option) from error


@click.command()
@click.option("--data", type=_FOLDER, required=True, help="Annotated YOLO folder of real scans.")
@click.option("--split", default="test", show_default=True, help="Split to score, of simulated scans too.")
@click.option("--simulated", type=_FOLDER, help="Folder that `xray-train data simulate` wrote, scored by itself.")
@click.option("--model", default="default", show_default=True, help="Embedded model package, or a folder.")
@click.option("--backend", type=click.Choice(sorted(_BACKENDS)), default="onnx", show_default=True)
@click.option("--robustness", is_flag=True, help="Score on changed scans too: grey, other palettes, scaled, rotated.")
@click.option(
    "--robustness-scans",
    type=click.IntRange(1),
    default=60,
    show_default=True,
    help="How many scans of each source to change.",
)
@click.option("--ablations", is_flag=True, help="Score the model with content crop and second look turned round, too.")
@click.option("--peer", is_flag=True, help="Score Ultralytics' own predict at 640 on the same weights too.")
@click.option(
    "--compare",
    "compared",
    multiple=True,
    metavar="NAME=MODEL",
    callback=_compared,
    help="Another model package to put beside this one; repeatable.",
)
@click.option(
    "--speed",
    type=click.Path(path_type=Path, exists=True, dir_okay=False),
    callback=_speed,
    help="What `make bench` wrote of speed, for the goals table.",
)
@click.option(
    "--out", type=click.Path(path_type=Path, file_okay=False), help="Folder for RESULTS.md, results.json and plots."
)
@click.option("--record", is_flag=True, help="Write the scores into the model package's manifest and card.")
@click.option("--limit", type=click.IntRange(1), help="Score only the first scans of each source.")
@click.pass_context
def detector(
    context: click.Context,
    data: Path,
    split: str,
    simulated: Path | None,
    model: str,
    backend: str,
    robustness: bool,
    robustness_scans: int,
    ablations: bool,
    peer: bool,
    compared: tuple[_Compared, ...],
    speed: Speed | None,
    out: Path | None,
    record: bool,
    limit: int | None,
) -> None:
    """Score a detector: boxes, alarms per image, calibration, confusion, and how far all that is from the goals.

    pycocotools computes every average precision, per source and only on the classes that the source annotates. Alarms
    per image are set against the scans of the source `benign`. The model looks at each scan once for all tables.
    """
    if record:
        refuse_to_record(limit=limit, split=split)
        if backend != _RECORDED_BACKEND:
            raise click.UsageError(f"--record needs the network that ships: leave --backend {backend} out")
    stamp = commit()
    with reported():
        package = load_package(model)
        _check_speed(speed, package)
        chosen = _BACKENDS[backend](package)
        turned = _ablations(package) if ablations else {}
        others = {entry.name: OnnxDetector(load_package(entry.model)) for entry in compared}
        rival = UltralyticsPeer(package) if peer else None
        held_out = None if simulated is None else read_simulated(simulated, split=split, limit=limit)
        scans = read_scans(data, split=split, limit=limit, simulated=held_out)
        looked = look_at(chosen, scans)
        found = assess(looked, scans, package.thresholds)
        changes = score_changes(chosen, looked.groups, scans=robustness_scans) if robustness else []
        without = [_score(name, other, scans) for name, other in turned.items()]
        beside = [_score(name, other, scans) for name, other in others.items()]
        theirs = _score(_PEER, rival, scans) if rival else None
    results = Results(
        manifest=package.manifest,
        backend=chosen.backend,
        command=_command(context),
        commit=stamp,
        split=split,
        found=found,
        goals=goals_of(found, peer=theirs, speed=speed),
        changes=changes,
        ablations=without,
        others=beside,
        peer=theirs,
    )
    show(results)
    if record:
        record_scores(package, as_scores(found))
        click.echo(f"recorded the scores in {package.folder}")
    if out is not None:
        _write(results, out)


def _check_speed(speed: Speed | None, package: ModelPackage) -> None:
    if speed is not None and speed.sha256 != package.manifest.sha256:
        raise click.UsageError(
            f"--speed is of the network {speed.sha256[:16]}, the model's is {package.manifest.sha256[:16]}: "
            "run `make bench` again"
        )


def _ablations(package: ModelPackage) -> dict[str, Detector]:
    """The model with one setting of its looks turned round, by what that means."""
    crops, looks_again = package.manifest.content_crop, package.manifest.second_look is not None
    return {
        f"{'without' if crops else 'with'} content crop": OnnxDetector(package, content_crop=not crops),
        f"{'without' if looks_again else 'with'} second look": OnnxDetector(package, second_look=not looks_again),
    }


def _score(name: str, detector: Detector, scans: Scans) -> VariantScore:
    looked = look_at(detector, scans, name=name)
    return VariantScore.of(name, assess(looked, scans, detector.package.thresholds))


def _command(context: click.Context) -> str:
    """The command as anybody can give it: options as they were given, folders of the machine by their role."""
    parts = ["xray-eval detector --data DATA"]
    for option in context.command.params:
        value = context.params.get(option.name or "")
        flag = option.opts[0]
        if option.name in _ROLES:
            parts += [f"{flag} {_ROLES[option.name]}"] if value is not None else []
        elif option.name == "compared":
            parts += [f"{flag} {entry.name}={named(entry.model)}" for entry in value or ()]
        elif option.name == "model":
            parts.append(f"{flag} {named(str(value))}")
        elif value is True:
            parts.append(flag)
        elif option.name in _TOLD or (option.name in _TOLD_IF_GIVEN and _given(context, option.name)):
            parts.append(f"{flag} {value}")
    return " ".join(parts)


def _given(context: click.Context, name: str) -> bool:
    return context.get_parameter_source(name) is click.core.ParameterSource.COMMANDLINE


def _docs(out: Path) -> str | None:
    """The documentation's folder as seen from another folder of this checkout; None from elsewhere."""
    inside = out.resolve().is_relative_to(_ROOT) and (_ROOT / "docs").is_dir()
    return Path(os.path.relpath(_ROOT / "docs", out.resolve())).as_posix() if inside else None


def _write(results: Results, out: Path) -> None:
    found, data = results.found, as_data(results)
    plots = write_plots(found.images, found.calibration, out / _PLOTS)
    page = as_page(data, plots=[plot.relative_to(out).as_posix() for plot in plots], docs=_docs(out))
    write_results(out, page, data)
    click.echo(f"wrote {out / PAGE} and {out / DATA}")
