"""xray-train: build the models."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Any, get_args

import click
import yaml
from pydantic import ValidationError

from xray_agent_tools.declaration.policy import problems_of
from xray_agent_tools.detector.package import Precision, SecondLook
from xray_agent_tools.errors import XrayToolsError, outcome_of
from xray_training.commands import declarations, download, inspect, prepare, simulate, vqa
from xray_training.commands import vlm as vlm_commands
from xray_training.datasets.record import DatasetError

DEFAULT_CONFIG = Path(__file__).parent / "detector" / "configs" / "default.yaml"


@click.group()
@click.version_option(package_name="xray-agent-tools")
def main() -> None:
    """Build the models from annotated and simulated scans."""
    os.environ.setdefault("YOLO_OFFLINE", "true")
    os.environ.setdefault("YOLO_AUTOINSTALL", "false")


@main.group()
def data() -> None:
    """Make and prepare scans."""


data.add_command(inspect.audit)
data.add_command(inspect.stats)
data.add_command(inspect.preview)
data.add_command(inspect.compare)
data.add_command(prepare.convert)
data.add_command(prepare.merge)
data.add_command(prepare.split)
data.add_command(prepare.agnostic)
data.add_command(download.download)
data.add_command(simulate.simulate)
data.add_command(simulate.project)
main.add_command(vqa.vqa)
main.add_command(declarations.declarations)

main.add_command(vlm_commands.vlm)
main.add_command(vlm_commands.merge)


def _settings(pairs: tuple[str, ...]) -> dict[str, Any]:
    settings = {}
    for pair in pairs:
        key, equals, value = pair.partition("=")
        if not equals:
            raise click.UsageError(f"--set {pair}: write KEY=VALUE")
        settings[key] = yaml.safe_load(value)
    return settings


@main.command()
@click.option(
    "--config",
    "config_file",
    type=click.Path(path_type=Path, exists=True, dir_okay=False),
    default=DEFAULT_CONFIG,
    help="YAML configuration; the default detector's when not given.",
)
@click.option(
    "--data",
    "folders",
    multiple=True,
    type=click.Path(path_type=Path, exists=True, file_okay=False),
    help="Annotated YOLO folder; repeatable.",
)
@click.option("--out", type=click.Path(path_type=Path, file_okay=False), required=True, help="Folder of the run.")
@click.option("--resume", is_flag=True, help="Go on from the run's last checkpoint.")
@click.option(
    "--set", "settings", multiple=True, metavar="KEY=VALUE", help="Override a setting; dots reach into sections."
)
def detector(config_file: Path, folders: tuple[Path, ...], out: Path, resume: bool, settings: tuple[str, ...]) -> None:
    """Train a YOLO on scans of several sources, the loss masked to what each source annotates.

    The resolved configuration is saved as config.yaml in the run's folder. After a kill, the same command with --resume
    goes on.
    """
    from xray_training.detector.config import load_config

    overrides = _settings(settings)
    if folders:
        overrides["data"] = [str(folder) for folder in folders]
    if resume and not (out / "weights" / "last.pt").is_file():
        raise click.ClickException(f"{out} holds no checkpoint: leave --resume out to start")
    try:
        config = load_config(config_file, overrides)
    except ValidationError as error:
        raise click.ClickException("; ".join(problems_of(error))) from error
    from xray_training.detector.trainer import RunChanged, RunFinished, train

    try:
        click.echo(train(config, out, resume=resume))
    except (DatasetError, RunChanged, RunFinished) as error:
        raise click.ClickException(str(error)) from error


@main.command()
@click.argument("first", type=click.Path(path_type=Path, exists=True, dir_okay=False))
@click.argument("second", type=click.Path(path_type=Path, exists=True, dir_okay=False))
@click.option("--share", type=click.FloatRange(0, 1), default=0.5, show_default=True, help="How much of SECOND.")
@click.option("--out", type=click.Path(path_type=Path, dir_okay=False), required=True, help="Checkpoint to write.")
def average(first: Path, second: Path, share: float, out: Path) -> None:
    """Mix the weights of FIRST, a checkpoint, and SECOND, what it was fine-tuned to.

    The mean is often better than both, on what was known before and on what was learned. Classes are SECOND's, matched by
    name. Choose the share on held-out scans.
    """
    from xray_training.detector.averaging import UnlikeNetworks
    from xray_training.detector.averaging import average as write_average

    try:
        write_average(first, second, out, share=share)
    except UnlikeNetworks as error:
        raise click.ClickException(str(error)) from error
    click.echo(f"wrote {out}")


@main.command()
@click.option(
    "--run",
    "run_folder",
    type=click.Path(path_type=Path, exists=True, file_okay=False),
    required=True,
    help="Folder of a finished or interrupted run.",
)
@click.option(
    "--out", type=click.Path(path_type=Path, file_okay=False), required=True, help="Folder of the model package."
)
@click.option("--id", "identifier", default="xray-detector", show_default=True)
@click.option("--model-version", default="0.1.0", show_default=True)
@click.option("--size", type=click.IntRange(64), help="Side of the network input; the training's when not given.")
@click.option(
    "--canary",
    type=click.Path(path_type=Path, exists=True, dir_okay=False),
    required=True,
    help="Picture of a scan with a known threat.",
)
@click.option("--canary-label", default="gun", show_default=True, help="That threat's label.")
@click.option(
    "--false-alarms",
    type=click.FloatRange(0, 0.5),
    default=0.01,
    show_default=True,
    help="Share of held-out scans that each class may alarm on falsely.",
)
@click.option(
    "--precision",
    type=click.Choice(get_args(Precision)),
    help="Form of the network; when not given, 8 bits if that is as accurate and faster, else full.",
)
@click.option("--second-look", is_flag=True, help="Look again at what the first look doubts, if that finds more.")
@click.option("--remark", "remarks", multiple=True, help="Something to say in the card; repeatable.")
def export(
    run_folder: Path,
    out: Path,
    identifier: str,
    model_version: str,
    size: int | None,
    canary: Path,
    canary_label: str,
    false_alarms: float,
    precision: Precision | None,
    second_look: bool,
    remarks: tuple[str, ...],
) -> None:
    """Export a run as a model package: its last checkpoint, or its best one where it could stop early.

    Calibration and operating points are fitted on the scans that the run held out. The export fails if the ONNX network
    does not give the checkpoint's boxes, or if the canary does not alarm.
    """
    from xray_training.detector.config import load_config
    from xray_training.detector.export import ExportError, ExportPlan
    from xray_training.detector.export import export as write_package
    from xray_training.detector.records import divided_records

    for part in (run_folder / "config.yaml", run_folder / "weights" / "last.pt"):
        if not part.is_file():
            raise click.ClickException(f"{part} is missing: is {run_folder} the folder of a run?")
    config = load_config(run_folder / "config.yaml", {})
    try:
        training, validation = divided_records(config)
        plan = ExportPlan(
            checkpoint=run_folder / "weights" / ("best.pt" if config.patience else "last.pt"),
            out=out,
            identifier=identifier,
            version=model_version,
            size=size or config.size,
            training=training,
            validation=validation,
            canary=canary,
            canary_label=canary_label,
            false_alarm_rate=false_alarms,
            precision=precision,
            second_look=SecondLook() if second_look else None,
            from_scratch=config.weights is None,
            remarks=remarks,
        )
        package = write_package(plan)
    except (DatasetError, ExportError) as error:
        raise click.ClickException(str(error)) from error
    except XrayToolsError as error:
        click.echo(f"error: {error}", err=True)
        sys.exit(outcome_of(error).exit_code)
    click.echo(f"wrote {package.folder} ({package.network.stat().st_size / 1e6:.1f} MB)")


if __name__ == "__main__":
    main()
