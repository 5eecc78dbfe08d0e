"""What goes wrong with data and disks, as a message in place of a traceback."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import click

from xray_training.datasets.record import DatasetError


@contextmanager
def told(advice: str = "", *errors: type[Exception]) -> Iterator[None]:
    """Turn what is wrong with data, or with a disk, into a message; serves as a decorator too.

    Args:
        advice: what to add to a message about data.
        errors: further kinds of exception whose text is for the user.

    Raises:
        click.ClickException: in place of a DatasetError, one of ``errors`` or an OSError.
    """
    for_the_user: tuple[type[Exception], ...] = (DatasetError, *errors)
    try:
        yield
    except for_the_user as error:
        raise click.ClickException(f"{error}{advice}") from error
    except OSError as error:
        said = f"{error.filename or 'the disk'}: {error.strerror or error}"
        raise click.ClickException(f"{said}; mend that and run this again to go on") from error
