"""What the log holds: decisions, and what people said of them later."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, fields
from datetime import UTC, datetime
from typing import Literal

from xray_agent_tools.errors import InvalidArgument

Kind = Literal["decision", "feedback", "override"]
FeedbackKind = Literal["confirmed", "false_alarm", "missed"]

_LONGEST_NAME = 256
"""Most characters of a name that is looked up: PostgreSQL indexes 2704 bytes, two names of four bytes a character."""

_LONGEST_NOTE = 4000
_UNSTORABLE = re.compile("[\x00\ud800-\udfff]")
"""What PostgreSQL takes in no text."""


@dataclass(frozen=True, slots=True)
class Entry:
    """A decision to be recorded.

    Attributes:
        request_id: the server's own identifier of this request; recorded once for each owner.
        owner: who asked.
        operation: what was asked for, such as ``detect`` or ``assess``.
        request_sha256: hash of the request in a canonical form. The same bag with another request is a conflict.
        outcome: ``refused`` if there is no answer but an error.
        bag: the owner's own identifier of the bag. Only an answer takes it: a bag whose request was refused is free.
        image_sha256: hash of the pictures.
        model_sha256: hash of the network.
        policy_sha256: hash of the policy file.
        error_code: code of the error, where refused.
        answer: the answer as a JSON object.
    """

    request_id: str
    owner: str
    operation: str
    request_sha256: str
    outcome: Literal["answered", "refused"]
    bag: str | None = None
    image_sha256: str | None = None
    model_sha256: str | None = None
    policy_sha256: str | None = None
    error_code: str | None = None
    answer: str | None = None


@dataclass(frozen=True, slots=True)
class Record:
    """One line of the log, never changed again.

    Attributes:
        sequence: its place in the log: 1, 2, 3, ...
        record_id: its identifier.
        time: when it was recorded: UTC, ISO 8601 with microseconds.
        kind: ``decision``, ``feedback`` or ``override``.
        request_id: identifier of the request that it stems from.
        owner: who asked, or who gave the feedback, or who decided otherwise.
        operation: what was asked for; the kind, where it is no decision.
        bag: the owner's own identifier of the bag.
        request_sha256: hash of the request.
        image_sha256: hash of the pictures.
        model_sha256: hash of the network.
        policy_sha256: hash of the policy file.
        outcome: ``answered`` or ``refused``; None where it is no decision.
        error_code: code of the error, where refused.
        answer: the answer as a JSON object.
        about: the decision that a feedback or an override is about.
        statement: kind of the feedback, or the action that was taken.
        note: what the person wrote.
        labels: canonical labels that the feedback is about, sorted, with commas between them.
        previous: hash of the record before it.
        hash: SHA-256 over all the other fields.
    """

    sequence: int
    record_id: str
    time: str
    kind: Kind
    request_id: str
    owner: str
    operation: str
    bag: str | None
    request_sha256: str
    image_sha256: str | None
    model_sha256: str | None
    policy_sha256: str | None
    outcome: Literal["answered", "refused"] | None
    error_code: str | None
    answer: str | None
    about: str | None
    statement: str | None
    note: str | None
    labels: str
    previous: str
    hash: str


COLUMNS = tuple(field.name for field in fields(Record))
"""Every field of a record, which is every column of its table."""


def names_checked(values: Mapping[str, str | None]) -> None:
    """See that every name can be stored and looked up.

    Raises:
        InvalidArgument: one is longer than 256 characters, or holds a NUL or half a surrogate pair.
    """
    for name, value in values.items():
        _checked(name, value, _LONGEST_NAME)


def note_checked(note: str | None) -> None:
    """See that a note can be stored.

    Raises:
        InvalidArgument: it is longer than 4000 characters, or holds a NUL or half a surrogate pair.
    """
    _checked("note", note, _LONGEST_NOTE)


def storable(answer: str | None) -> str | None:
    """The same JSON, with half surrogate pairs written as escapes.

    Raises:
        InvalidArgument: it is no JSON object.
    """
    if answer is None:
        return None
    try:
        is_object = isinstance(json.loads(answer), dict)
    except ValueError:
        is_object = False
    if not is_object:
        raise InvalidArgument("the answer is no JSON object", hint="record the answer as it is sent, as JSON text")
    return answer.encode("utf-8", "backslashreplace").decode()


def labels_checked(labels: Iterable[str]) -> str:
    """Labels as a record holds them.

    Raises:
        UnknownLabel: one is not in the taxonomy.
    """
    from xray_agent_tools.taxonomy import taxonomy

    known = taxonomy()
    return ",".join(sorted({known.item(label).label for label in labels}))


def moment(time: datetime) -> str:
    """A time as records hold it: in UTC, so that later times sort later.

    Raises:
        InvalidArgument: the time names no time zone.
    """
    if time.tzinfo is None:
        raise InvalidArgument("the time names no time zone", hint="add one, such as +00:00")
    return time.astimezone(UTC).isoformat(timespec="microseconds")


def _checked(name: str, value: str | None, longest: int) -> None:
    if value is not None and (len(value) > longest or _UNSTORABLE.search(value)):
        raise InvalidArgument(
            f"{name} cannot be recorded", hint=f"give at most {longest} characters, none of them NUL or a surrogate"
        )
