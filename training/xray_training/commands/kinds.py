"""The option `--kinds`: some of a list of kinds."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeVar

import click

_Kind = TypeVar("_Kind", bound=str)


def some_of(kinds: Sequence[_Kind]) -> Callable[[click.Context, click.Parameter, str | None], tuple[_Kind, ...]]:
    """A callback that reads the kinds that a list with commas names, in their usual order; all of them without one."""

    def chosen(_context: click.Context, option: click.Parameter, value: str | None) -> tuple[_Kind, ...]:
        if value is None:
            return tuple(kinds)
        named = {part.strip() for part in value.split(",") if part.strip()}
        if unknown := sorted(named.difference(kinds)):
            raise click.BadParameter(f"{unknown[0]!r} is none of {', '.join(kinds)}", param=option)
        if not named:
            raise click.BadParameter(f"name some of {', '.join(kinds)}", param=option)
        return tuple(kind for kind in kinds if kind in named)

    return chosen
