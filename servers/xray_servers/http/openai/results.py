"""Results of the caller's own calls of the tools, at the end of a conversation."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from pydantic import BaseModel, ValidationError

from xray_agent_tools.tools import TOOLS, ToolSpec
from xray_servers.http.openai.conversation import ToolResult
from xray_servers.http.openai.words import words_for


class _Problem(BaseModel):
    code: str
    message: str
    hint: str


class _Failed(BaseModel):
    error: _Problem


@dataclass(frozen=True, slots=True)
class Results:
    """What the caller says that the tools answered.

    Attributes:
        all: answers and errors, in the order in which they came.
    """

    all: tuple[BaseModel, ...]

    def in_words(self) -> str:
        """All of them in words."""
        return "\n\n".join(_told(result) for result in self.all)

    def latest(self, tool: ToolSpec | None) -> dict[str, Any] | None:
        """The latest answer of a tool, or of any, as plain data."""
        wanted = [tool.output_model] if tool is not None else [one.output_model for one in TOOLS]
        fitting = [result for result in self.all if type(result) in wanted]
        return fitting[-1].model_dump(mode="json") if fitting else None


def read_results(results: Sequence[ToolResult]) -> Results | None:
    """Read results; None if there are none, or if one of them is not of our tools' making."""
    read = tuple(_read(result.text) for result in results)
    known = tuple(result for result in read if result is not None)
    return Results(known) if known and len(known) == len(read) else None


_READABLE: tuple[type[BaseModel], ...] = (*(tool.output_model for tool in TOOLS), _Failed)


def _read(text: str) -> BaseModel | None:
    for model in _READABLE:
        try:
            return model.model_validate_json(text)
        except ValidationError:
            continue
    return None


def _told(result: BaseModel) -> str:
    if isinstance(result, _Failed):
        error = result.error
        return f"No statement can be made about the scan: {error.message} ({error.code}). {error.hint}"
    return words_for(result)
