"""Scoring a detector."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import click
from xray_training.datasets.record import DatasetError

from xray_agent_tools.detector.card import record_scores
from xray_agent_tools.detector.onnx import OnnxDetector
from xray_agent_tools.detector.package import ModelPackage, load_package
from xray_agent_tools.detector.protocol import Detector
from xray_agent_tools.detector.torch import UltralyticsDetector
from xray_agent_tools.errors import XrayToolsError, outcome_of
from xray_evals.assess import Scans, assess, look_at, read_scans
from xray_evals.commands.shown import show
from xray_evals.goals import Speed, goals_of, read_speed
from xray_evals.page import as_page
from xray_evals.peer import SIZE, UltralyticsPeer
from xray_evals.plots import write_plots
from xray_evals.results import Results, as_data, as_scores
from xray_evals.robustness import score_changes
from xray_evals.simulated import read_simulated
from xray_evals.variants import VariantScore

_BACKENDS: dict[str, Callable[[ModelPackage], Detector]] = {"onnx": OnnxDetector, "ultralytics": UltralyticsDetector}
_FOLDER = click.Path(path_type=Path, exists=True, file_okay=False)
_PLOTS = "plots"
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
    if record and limit:
        raise click.UsageError("--record needs the scores of all scans: leave --limit out")
    try:
        package = load_package(model)
        others = [(entry.name, load_package(entry.model)) for entry in compared]
        held_out = None if simulated is None else read_simulated(simulated, split=split, limit=limit)
        scans = read_scans(data, split=split, limit=limit, simulated=held_out)
        chosen = _BACKENDS[backend](package)
        looked = look_at(chosen, scans)
        found = assess(looked, scans, package.thresholds)
        changes = score_changes(chosen, looked.groups, scans=robustness_scans) if robustness else []
        without = [_score(name, make(), scans) for name, make in _ablations(package).items()] if ablations else []
        beside = [_score(name, OnnxDetector(other), scans) for name, other in others]
        rival = _score(_PEER, UltralyticsPeer(package), scans) if peer else None
    except XrayToolsError as error:
        click.echo(f"error: {error.message}. {error.hint}", err=True)
        sys.exit(outcome_of(error).exit_code)
    except DatasetError as error:
        raise click.ClickException(str(error)) from error
    results = Results(
        manifest=package.manifest,
        backend=chosen.backend,
        command=_command(context),
        found=found,
        goals=goals_of(found, peer=rival, speed=speed),
        changes=changes,
        ablations=without,
        others=[*beside, *([rival] if rival else [])],
    )
    show(results)
    if record:
        record_scores(package, as_scores(found))
        click.echo(f"recorded the scores in {package.folder}")
    if out is not None:
        _write(results, out)


def _ablations(package: ModelPackage) -> dict[str, Callable[[], Detector]]:
    """The model with one setting of its looks turned round, by what that means."""
    crops, looks_again = package.manifest.content_crop, package.manifest.second_look is not None
    return {
        f"{'without' if crops else 'with'} content crop": partial(OnnxDetector, package, content_crop=not crops),
        f"{'without' if looks_again else 'with'} second look": partial(
            OnnxDetector, package, second_look=not looks_again
        ),
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
            parts += [f"{flag} {entry.name}={_named(entry.model)}" for entry in value or ()]
        elif option.name == "model":
            parts.append(f"{flag} {_named(str(value))}")
        elif value is True:
            parts.append(flag)
        elif option.name in _TOLD or (option.name in _TOLD_IF_GIVEN and _given(context, option.name)):
            parts.append(f"{flag} {value}")
    return " ".join(parts)


def _given(context: click.Context, name: str) -> bool:
    return context.get_parameter_source(name) is click.core.ParameterSource.COMMANDLINE


def _named(model: str) -> str:
    """A model by its name, or by its folder as far as that is not of this machine alone."""
    return Path(model).name if Path(model).is_absolute() else model


def _write(results: Results, out: Path) -> None:
    found, data = results.found, as_data(results)
    plots = write_plots(found.images, found.calibration, out / _PLOTS)
    page = as_page(data, plots=[plot.relative_to(out).as_posix() for plot in plots])
    (out / "RESULTS.md").write_text(page, encoding="utf-8")
    (out / "results.json").write_text(json.dumps(data, indent=1) + "\n", encoding="utf-8")
    click.echo(f"wrote {out / 'RESULTS.md'} and {out / 'results.json'}")
