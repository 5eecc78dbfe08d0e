"""xray-eval: measure."""

from __future__ import annotations

import click

from xray_evals.commands.detector import detector
from xray_evals.commands.evidence import evidence, evidence_weights
from xray_evals.commands.vqa import vqa


@click.group()
@click.version_option(package_name="xray-agent-tools")
def main() -> None:
    """Say honestly how good the tools are."""


main.add_command(detector)
main.add_command(evidence)
main.add_command(evidence_weights)
main.add_command(vqa)


if __name__ == "__main__":
    main()
