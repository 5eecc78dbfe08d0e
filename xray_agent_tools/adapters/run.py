"""What a chat model's run with the tools leaves behind: its words, every call, what the tools found, what it cost."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from pydantic import BaseModel, ValidationError

from xray_agent_tools.errors import ExplainerUnavailable
from xray_agent_tools.report import Verdict

_GRAVITY: dict[Verdict, int] = {"NO_ALARM": 0, "UNKNOWN": 1, "ALARM": 2}


@dataclass(frozen=True, slots=True)
class Call:
    """A tool call as the model wrote it.

    Attributes:
        id: identifier, distinct within one reply.
        name: name of the tool.
        arguments: its arguments, JSON text if the model did well.
    """

    id: str
    name: str
    arguments: str


@dataclass(frozen=True, slots=True)
class AnsweredCall:
    """A tool call and what became of it.

    Attributes:
        id: identifier of the call.
        name: name of the tool, as the model wrote it.
        arguments: its arguments, as the model wrote them.
        text: what the model was told: the answer, or the error, as JSON.
        ok: whether it is an answer.
        milliseconds: wall-clock time that the answer took; 0 for a call that reached no tool.
        scan_id: the scan that the answer is about, or None.
        verdict: the verdict in the answer, or None.
    """

    id: str
    name: str
    arguments: str
    text: str
    ok: bool
    milliseconds: float
    scan_id: str | None
    verdict: Verdict | None


@dataclass(frozen=True, slots=True)
class Usage:
    """What the model's endpoint counted, over all requests.

    Attributes:
        requests: requests that were answered.
        input_tokens: tokens read.
        output_tokens: tokens written.
        unreported: replies that came without a count, and are missing from both.
    """

    requests: int = 0
    input_tokens: int = 0
    output_tokens: int = 0
    unreported: int = 0

    def plus(self, tokens: tuple[int, int] | None) -> Usage:
        """With one more reply."""
        if tokens is None:
            return Usage(self.requests + 1, self.input_tokens, self.output_tokens, self.unreported + 1)
        return Usage(self.requests + 1, self.input_tokens + tokens[0], self.output_tokens + tokens[1], self.unreported)


@dataclass(frozen=True, slots=True)
class ToolRun:
    """A conversation in which a chat model called the tools.

    Attributes:
        text: the model's final words; empty if it has none.
        finish_reason: why it stopped: ``stop``, ``length`` (cut off), ``content_filter``, ``tool_calls`` (it waits for
            the pending calls) or what else the endpoint gave.
        refusal: why it refuses to answer, or None.
        calls: every tool call that was answered, in the order in which the model asked.
        messages: the caller's messages and all that was added, so that the conversation can go on.
        usage: tokens over all requests.
        pending: calls that ended the run, because the caller answers them; their arguments are a JSON object.
    """

    text: str
    finish_reason: str | None
    refusal: str | None
    calls: tuple[AnsweredCall, ...]
    messages: list[Any]
    usage: Usage
    pending: tuple[Call, ...] = ()

    @property
    def complete(self) -> bool:
        """Whether the model came to the end of an answer, neither refused, nor cut off, nor silent."""
        return self.finish_reason == "stop" and self.refusal is None and bool(self.text.strip())

    @property
    def verdicts(self) -> dict[str, Verdict]:
        """The gravest verdict that the tools gave on each scan, by ``scan_id``; the model's words change none of it."""
        gravest: dict[str, Verdict] = {}
        for call in self.calls:
            if call.scan_id is not None and call.verdict is not None:
                seen = gravest.get(call.scan_id, call.verdict)
                gravest[call.scan_id] = max(seen, call.verdict, key=_GRAVITY.__getitem__)
        return gravest


class ChatModelFailed(ExplainerUnavailable):
    """The chat model answers nonsense, or comes to no answer in the rounds that it was given."""

    code = "chat_model_failed"

    def __init__(self, message: str, *, hint: str, run: ToolRun | None = None) -> None:
        super().__init__(message, hint=hint)
        self._run = run

    @property
    def run(self) -> ToolRun | None:
        """What was done until then, or None in another process than its own."""
        return self._run


class _Judged(BaseModel):
    verdict: Verdict


class _Answer(BaseModel):
    scan_id: str
    verdict: Verdict | None = None
    report: _Judged | None = None


def verdict_in(text: str) -> tuple[str | None, Verdict | None]:
    """The scan and the verdict that an answer speaks of; an assessment carries it in its report."""
    try:
        answer = _Answer.model_validate_json(text)
    except ValidationError:
        return None, None
    return answer.scan_id, answer.verdict or (answer.report.verdict if answer.report else None)
