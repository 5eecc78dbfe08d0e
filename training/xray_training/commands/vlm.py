"""Fine-tuning a vision-language model: vlm, merge."""

from __future__ import annotations

from pathlib import Path
from typing import Any, get_args

import click
import yaml
from pydantic import ValidationError

from xray_agent_tools.declaration.policy import problems_of
from xray_training.commands.told import told

_CONFIGS = Path(__file__).parent.parent / "vlm" / "configs"
_DEFAULT = "qwen2.5-vl-7b-lora"


def _settings(pairs: tuple[str, ...]) -> dict[str, Any]:
    settings = {}
    for pair in pairs:
        key, equals, value = pair.partition("=")
        if not equals:
            raise click.UsageError(f"--set {pair}: write KEY=VALUE")
        settings[key] = yaml.safe_load(value)
    return settings


def _config_file(name: str) -> Path:
    """A configuration of the package by name, or a file.

    Raises:
        click.BadParameter: there is neither.
    """
    packaged = _CONFIGS / f"{name}.yaml"
    path = packaged if packaged.is_file() else Path(name)
    if not path.is_file():
        known = ", ".join(sorted(file.stem for file in _CONFIGS.glob("*.yaml")))
        raise click.BadParameter(f"{name} is no file and no configuration of the package; there are {known}")
    return path


@click.command()
@click.option(
    "--config",
    "name",
    default=_DEFAULT,
    show_default=True,
    help="Configuration: a name of one that comes with the package, or a YAML file.",
)
@click.option(
    "--pairs",
    "sources",
    multiple=True,
    type=click.Path(path_type=Path),
    help="Question-answer pairs: a file, or a folder that `xray-train vqa` wrote; repeatable.",
)
@click.option("--base", help="Model to start from: a folder, or a name on the hub.")
@click.option("--out", type=click.Path(path_type=Path, file_okay=False), required=True, help="Folder of the run.")
@click.option("--resume", is_flag=True, help="Go on from the run's last checkpoint.")
@click.option(
    "--set", "settings", multiple=True, metavar="KEY=VALUE", help="Override a setting; dots reach into sections."
)
def vlm(
    name: str, sources: tuple[Path, ...], base: str | None, out: Path, resume: bool, settings: tuple[str, ...]
) -> None:
    """Fine-tune a vision-language model on questions about scans, and prove that it looks at them.

    A gate before training proves that the pictures reach the model, one after it that the answers come from them; either
    failing fails the run. The figures are saved as gates.json, the resolved configuration as config.yaml, in the run's
    folder. For several GPUs: accelerate launch -m xray_training.cli vlm ...
    """
    from xray_training.vlm.config import load_config

    overrides = _settings(settings)
    if sources:
        overrides["pairs"] = [str(source) for source in sources]
    if base:
        overrides["base"] = base
    try:
        config = load_config(_config_file(name), overrides)
    except ValidationError as error:
        raise click.ClickException("; ".join(problems_of(error))) from error
    from xray_training.vlm.faults import VlmError
    from xray_training.vlm.trainer import train

    with told("", VlmError):
        folder = train(config, out, resume=resume, echo=click.echo)
    click.echo(str(folder))


@click.command()
@click.argument("adapter", type=click.Path(path_type=Path, exists=True, file_okay=False))
@click.option("--out", type=click.Path(path_type=Path, file_okay=False), required=True, help="Folder to write.")
@click.option("--base", help="The model that the adapter was trained on, if it is not where the adapter says.")
@click.option(
    "--pairs",
    "sources",
    multiple=True,
    type=click.Path(path_type=Path, exists=True),
    help="Question-answer pairs to compare by; made pictures when not given.",
)
@click.option("--precision", type=click.Choice(["fp32", "bf16"]), default="fp32", show_default=True)
@click.option(
    "--tolerance",
    type=click.FloatRange(0, min_open=True),
    help="Largest difference of a log-probability in nats; 0.001 in fp32 and 0.1 in bf16 when not given.",
)
@click.option("--device", default="cpu", show_default=True, help="Where to compute: cpu or cuda.")
def merge(
    adapter: Path,
    out: Path,
    base: str | None,
    sources: tuple[Path, ...],
    precision: str,
    tolerance: float | None,
    device: str,
) -> None:
    """Write the changes of ADAPTER into its base, and check that the result answers alike.

    The merged model is read back from the disk and compared with the base that wears its adapter. If they differ, no
    model is left behind.
    """
    from xray_training.vlm.faults import VlmError
    from xray_training.vlm.merge import Precision
    from xray_training.vlm.merge import merge as write_merged

    (chosen,) = (known for known in get_args(Precision) if known == precision)
    with told("", VlmError):
        merged = write_merged(
            adapter, out, base=base, pairs=sources, precision=chosen, tolerance=tolerance, device=device
        )
    click.echo(
        f"wrote {merged.folder}: over {merged.compared} examples it differs from the base with its adapter by "
        f"{merged.apart:.2g} nats at most, where the adapter makes {merged.acts:.2g}"
    )
