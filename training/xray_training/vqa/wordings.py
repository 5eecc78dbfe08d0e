"""The varied wordings of questions and answers."""

from __future__ import annotations

import random
from collections.abc import Mapping
from functools import cache
from importlib.resources import files

import yaml
from pydantic import TypeAdapter

from xray_training.datasets.pairs import Kind

BRIEF_SHARE = 0.5
"""How many questions that can be answered with one word ask for that."""


@cache
def wordings() -> Mapping[str, Mapping[str, tuple[str, ...]]]:
    """Every wording, by kind of question and part; a part that has one wording may be written without a list."""
    text = files("xray_training.vqa").joinpath("wordings.yaml").read_text(encoding="utf-8")
    content = {
        kind: {part: [said] if isinstance(said, str) else said for part, said in parts.items()}
        for kind, parts in yaml.safe_load(text).items()
    }
    return TypeAdapter(dict[str, dict[str, tuple[str, ...]]]).validate_python(content)


def drawn(draw: random.Random, kind: Kind, part: str, values: Mapping[str, str]) -> str:
    """A wording of a part, drawn and filled in.

    Raises:
        KeyError: there is no such part, or it wants a value that is not given.
    """
    return filled(draw.choice(wordings()[kind][part]), values)


def filled(wording: str, values: Mapping[str, str]) -> str:
    """A wording with its values; one that begins with a capital gives its value one."""
    capitals = {key[0].upper() + key[1:]: value[:1].upper() + value[1:] for key, value in values.items()}
    return wording.format_map({**capitals, **values})


def briefly(draw: random.Random) -> bool:
    """Whether a question asks for one word."""
    return draw.random() < BRIEF_SHARE
