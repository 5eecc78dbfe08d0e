"""What the commands share."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import click
from xray_training.datasets.record import DatasetError

from xray_agent_tools.errors import XrayToolsError, outcome_of

RECORDED_SPLIT = "test"
"""The split whose figures may go into a package: nothing was trained or tuned on it."""


@contextmanager
def reported() -> Iterator[None]:
    """Failures as messages and exit codes."""
    try:
        yield
    except XrayToolsError as error:
        click.echo(f"error: {error.message}. {error.hint}", err=True)
        sys.exit(outcome_of(error).exit_code)
    except DatasetError as error:
        raise click.ClickException(str(error)) from error


def refuse_to_record(*, limit: int | None, split: str) -> None:
    """Refuse to put figures on record that do not stand for the model.

    Raises:
        click.UsageError: they are of a part of the scans or of another split.
    """
    if limit:
        raise click.UsageError("--record needs the figures of all scans: leave --limit out")
    if split != RECORDED_SPLIT:
        raise click.UsageError(f"--record needs the split {RECORDED_SPLIT!r}: leave --split {split} out")


def named(model: str) -> str:
    """A model by its name, or by its folder as far as that is not of this machine alone."""
    return Path(model).name if Path(model).is_absolute() else model
