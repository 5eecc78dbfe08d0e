"""Who answers, and the replies that were given."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, ValidationError
from xray_training.datasets.record import DatasetError

Role = Literal["model", "baseline", "explainer"]
"""``baseline`` never sees a picture, ``explainer`` is the library without a language model."""


class Answer(BaseModel):
    """A reply to one question.

    Attributes:
        id: of the pair.
        reply: the words, none if there was no reply.
        size: width and height that boxes in it are relative to, in the unit that they are given in; None for shares.
        failed: why there was no reply; None if there was one.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    id: str
    reply: str = ""
    size: tuple[int, int] | None = None
    failed: str | None = None


@dataclass(frozen=True, slots=True)
class Answerer:
    """Somebody who answered.

    Attributes:
        name: as the tables have it.
        role: what it is.
        about: model, version or file, in words.
        answers: by the id of the pair.
    """

    name: str
    role: Role
    about: str
    answers: Mapping[str, Answer]


def write_answers(answers: Iterable[Answer], path: Path) -> None:
    """Write replies as JSON lines, to be scored again later."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(answer.model_dump_json() + "\n" for answer in answers), encoding="utf-8")


def read_answers(path: Path) -> dict[str, Answer]:
    """Read replies that ``write_answers`` wrote, by the id of their pair.

    Raises:
        DatasetError: the file cannot be read, a line is no reply, or a pair has two; it names the line.
    """
    try:
        # A reply may hold what splitlines takes for the end of a line, such as U+2028.
        lines = path.read_text(encoding="utf-8").rstrip("\n").split("\n")
    except (OSError, UnicodeDecodeError) as error:
        raise DatasetError(f"{path} cannot be read as text: {type(error).__name__}") from error
    answers: dict[str, Answer] = {}
    for number, line in enumerate(lines if lines != [""] else [], 1):
        try:
            answer = Answer.model_validate_json(line)
        except ValidationError as error:
            raise DatasetError(
                f'{path}, line {number} is no reply: a line is like {{"id": "...", "reply": "Yes."}}'
            ) from error
        if answer.id in answers:
            raise DatasetError(f"{path}, line {number}: the pair {answer.id!r} has a reply already")
        answers[answer.id] = answer
    return answers
