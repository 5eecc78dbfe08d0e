"""What a vision-language model is to reply, and what is wrong with a reply that cannot be used."""

from __future__ import annotations

import copy
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, Literal, TypeVar, get_args

from pydantic import BaseModel, ConfigDict, Field, ValidationError

Fault = Literal["outside_schema", "empty", "cut_off", "refused", "endless", "late"]
"""What is wrong with a reply: it is not the JSON asked for, holds nothing, ends at its longest, is a refusal, does not
stop, or does not come in time."""

FAULTS: tuple[Fault, ...] = get_args(Fault)
MENDABLE: frozenset[Fault] = frozenset({"outside_schema", "empty", "cut_off"})
"""Faults that asking once more may mend."""

_FENCED = re.compile(r"\s*```(?:json)?\s*\n(.*?)\n?\s*```\s*", re.DOTALL)
_MOST_SAID = 2000


class Claim(BaseModel):
    """One thing that a model says it sees."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    claim: str = Field(max_length=500)
    detection_ids: list[str]
    cues: list[Annotated[str, Field(max_length=500)]]


class Reply(BaseModel):
    """What a model replies to a question about a scan."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    answer: str = Field(max_length=2000)
    answered: bool
    findings: list[Claim]


class Choice(BaseModel):
    """What a model replies when it is asked which of several things a crop shows."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    item: str


Wanted = TypeVar("Wanted", Reply, Choice)


class UnusableReply(Exception):
    """A model replied, or should have, and nothing can be done with it.

    Attributes:
        fault: what is wrong.
        why: the same in words, as the end of a sentence that begins with "it".
        said: what the model said, cut at 2,000 characters.
    """

    def __init__(self, fault: Fault, why: str, said: str = "") -> None:
        super().__init__(why)
        self.fault = fault
        self.why = why
        self.said = said[:_MOST_SAID]


@dataclass(frozen=True, slots=True)
class Token:
    """One token of a reply.

    Attributes:
        text: its bytes.
        logprob: the logarithm of the probability that the model gave it.
    """

    text: bytes
    logprob: float


@dataclass(frozen=True, slots=True)
class Said:
    """A reply as it came.

    Attributes:
        text: its words.
        refusal: why the model refuses, where it says so apart.
        finish_reason: why it ended, as the endpoint put it.
        tokens: its tokens, none where the endpoint gives none.
    """

    text: str
    refusal: str = ""
    finish_reason: str = "stop"
    tokens: Sequence[Token] = ()


def read(said: Said, wanted: type[Wanted]) -> Wanted:
    """Read a reply; one in a fence of Markdown counts as its content.

    Raises:
        UnusableReply: it is a refusal, empty, cut off, or not the JSON asked for.
    """
    if said.refusal or said.finish_reason == "content_filter":
        raise UnusableReply("refused", "refused to answer", said.refusal or said.text)
    if not said.text.strip():
        raise UnusableReply("empty", "said nothing")
    fenced = _FENCED.fullmatch(said.text)
    try:
        return wanted.model_validate_json(fenced[1] if fenced else said.text)
    except ValidationError as error:
        if said.finish_reason == "length":
            raise UnusableReply(
                "cut_off", "was cut off at its longest before the JSON was complete", said.text
            ) from error
        why = f"did not reply in the schema asked for: {error.error_count()} fields are wrong"
        raise UnusableReply("outside_schema", why, said.text) from error


def schema_of_reply(detection_ids: Sequence[str]) -> Mapping[str, Any]:
    """The ``response_format`` of a reply about a report with these detections: no others can be cited."""
    schema = copy.deepcopy(Reply.model_json_schema())
    if detection_ids:
        schema["$defs"]["Claim"]["properties"]["detection_ids"]["items"]["enum"] = list(detection_ids)
    return _response_format("explanation", schema)


def schema_of_choice(options: Sequence[str]) -> Mapping[str, Any]:
    """The ``response_format`` of a choice among these options."""
    schema = copy.deepcopy(Choice.model_json_schema())
    schema["properties"]["item"]["enum"] = list(options)
    return _response_format("choice", schema)


def _response_format(name: str, schema: Mapping[str, Any]) -> Mapping[str, Any]:
    return {"type": "json_schema", "json_schema": {"name": name, "schema": schema, "strict": True}}
