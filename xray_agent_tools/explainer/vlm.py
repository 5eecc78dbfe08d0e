"""Explanations worded by a vision-language model behind any OpenAI-compatible endpoint.

The detector stays the witness: the model sees the numbered boxes and the detections, and every claim it makes has to
cite detections that exist. What they do not support is reported as a disagreement and never merged into the findings.
"""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import Callable, Coroutine, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing, contextmanager
from dataclasses import dataclass, field, replace
from functools import partial
from queue import SimpleQueue
from typing import TYPE_CHECKING, Any

from xray_agent_tools import progress
from xray_agent_tools.errors import ExplainerUnavailable, Misconfigured
from xray_agent_tools.explainer.claims import in_computed_words, in_the_models_words
from xray_agent_tools.explainer.doubt import Doubt, doubts, options_for, settled
from xray_agent_tools.explainer.grounded import GroundedExplainer
from xray_agent_tools.explainer.picture import QWEN2_5_VL, Frame
from xray_agent_tools.explainer.prompt import Messages, again_messages, first_messages, repair_messages
from xray_agent_tools.explainer.reply import (
    MENDABLE,
    Choice,
    Reply,
    Said,
    Token,
    UnusableReply,
    read,
    schema_of_choice,
    schema_of_reply,
)
from xray_agent_tools.report import Detail, Explanation, ThreatReport
from xray_agent_tools.scan import Scan

if TYPE_CHECKING:
    from openai import AsyncOpenAI, AsyncStream
    from openai.types.chat import ChatCompletionChunk

_CHUNKS_PER_STEP = 20
_MOST_CHARACTERS_PER_TOKEN = 16
_TOKENS_OF_A_CHOICE = 64
_OTHERWISE = "or use the grounded explainer"


@dataclass(frozen=True, slots=True)
class _Clock:
    """The one clock of an explanation.

    Attributes:
        limit: seconds that it may take altogether.
        until: monotonic time of its end.
    """

    limit: float
    until: float

    @classmethod
    def of(cls, limit: float) -> _Clock:
        return cls(limit, time.monotonic() + limit)

    @property
    def left(self) -> float:
        return max(0.0, self.until - time.monotonic())


@dataclass(frozen=True, slots=True)
class _Request:
    """One question to the model.

    Attributes:
        messages: the conversation.
        form: the ``response_format`` asked for.
        asking: the step that is reported when it is sent.
        max_tokens: longest reply.
        wording: whether the length of the reply is reported as it grows.
        probabilities: whether the probabilities of the tokens are asked for.
    """

    messages: Messages
    form: Mapping[str, Any]
    asking: str
    max_tokens: int
    wording: bool = False
    probabilities: bool = False


@dataclass(slots=True)
class _Heard:
    """What has come of a reply so far."""

    text: str = ""
    refusal: str = ""
    tokens: list[Token] = field(default_factory=list)


class VlmExplainer:
    """Words reports with a vision-language model, and checks its words against the detections."""

    def __init__(
        self,
        *,
        base_url: str,
        model: str,
        api_key: str = "none",
        timeout: float = 60.0,
        max_tokens: int = 800,
        frame: Frame = QWEN2_5_VL,
    ) -> None:
        """Name the endpoint; nothing is sent yet.

        Args:
            base_url: an OpenAI-compatible endpoint, such as ``http://127.0.0.1:8000/v1``.
            model: name of the model there.
            api_key: its key, if it wants one.
            timeout: seconds that an explanation may take, from the first request to the last word of the last reply. A
                reply that cannot be used is asked for once more, and regions that the model is unsure of are asked about
                again, as long as there is time.
            max_tokens: longest reply. An endpoint that does not keep to it is cut off after 16 characters a token.
            frame: the sizes of the pictures that are sent, and the units of the boxes: those that the model was trained
                with, which :func:`~xray_agent_tools.explainer.picture.read_frame` reads.

        Raises:
            Misconfigured: the extra ``vlm`` is not installed.
        """
        try:
            import openai
        except ImportError as error:
            raise Misconfigured(
                "the vision-language explainer is not installed", hint="pip install 'xray-agent-tools[vlm]'"
            ) from error
        # One clock bounds the whole explanation, so the client's own, which start anew at every read, are off.
        self._connect: Callable[[], AsyncOpenAI] = partial(
            openai.AsyncOpenAI, base_url=base_url, api_key=api_key, timeout=None, max_retries=1
        )
        self._not_understood = (openai.BadRequestError, openai.UnprocessableEntityError)
        self._gives_probabilities = True
        self._timeout = timeout
        self._model = model
        self._max_tokens = max_tokens
        self._frame = frame
        self._grounded = GroundedExplainer()

    def explain(self, report: ThreatReport, scan: Scan | None, *, question: str | None, detail: Detail) -> Explanation:
        """Answer a question about a scan.

        Without pixels, or where no verdict can be given, the computed evidence answers alone. It answers, too, where the
        model replies and its reply cannot be used: it refuses, says nothing, does not stop or does not finish in time, or
        twice replies with something else than the schema. The answer says so then, and a disagreement quotes the reply.

        Raises:
            ExplainerUnavailable: the endpoint cannot be reached, fails, breaks off or does not stream.
        """
        grounded = self._grounded.explain(report, scan, question=question, detail=detail)
        if scan is None or (report.verdict == "UNKNOWN" and not report.detections):
            return grounded
        clock = _Clock.of(self._timeout)
        try:
            said, reply = self._ask(report, scan, question, clock)
        except UnusableReply as unusable:
            return in_computed_words(grounded, self._model, unusable)
        explanation = in_the_models_words(grounded, report, reply, backend=f"vlm:{self._model}")
        for doubt in doubts(said, reply, report):
            explanation = settled(explanation, doubt, self._ask_again(doubt, scan, clock))
        return explanation

    def _ask(self, report: ThreatReport, scan: Scan, question: str | None, clock: _Clock) -> tuple[Said, Reply]:
        """The model's reply; if it is not the JSON asked for, the one it gives when it is told so."""
        request = _Request(
            messages=first_messages(report, scan, question, self._frame),
            form=schema_of_reply([detection.id for detection in report.detections]),
            asking="asking the vision-language model",
            max_tokens=self._max_tokens,
            wording=True,
            probabilities=True,
        )
        said = self._complete(request, clock)
        try:
            return said, read(said, Reply)
        except UnusableReply as unusable:
            if unusable.fault not in MENDABLE:
                raise
            mended = replace(request, messages=repair_messages(request.messages, said.text, unusable.why))
        said = self._complete(mended, clock)
        return said, read(said, Reply)

    def _ask_again(self, doubt: Doubt, scan: Scan, clock: _Clock) -> str | None:
        """Which of the options the model sees in a region that it is unsure of; None if it gives no usable answer."""
        options = options_for(doubt.detection)
        request = _Request(
            messages=again_messages(scan, doubt.detection, options, self._frame),
            form=schema_of_choice(options),
            asking=f"asking again about {doubt.detection.id}",
            max_tokens=_TOKENS_OF_A_CHOICE,
        )
        if not clock.left:
            return None
        try:
            item = read(self._complete(request, clock), Choice).item
        except (UnusableReply, ExplainerUnavailable):
            return None
        return item if item in options else None

    def _complete(self, request: _Request, clock: _Clock) -> Said:
        """Ask for one reply, reporting progress in this thread; what a listener raises closes the connection."""
        progress.report(request.asking)
        heard: SimpleQueue[int | None] = SimpleQueue()
        with _at_work(self._read(request, clock, heard)) as reply:
            for characters in iter(heard.get, None):
                if request.wording:
                    progress.report(f"wording the explanation: {characters} characters")
            return reply.result()

    async def _read(self, request: _Request, clock: _Clock, heard: SimpleQueue[int | None]) -> Said:
        """Read one reply in the time left, putting its length so far on ``heard``, and None when it is over."""
        so_far = _Heard()
        try:
            async with (
                asyncio.timeout(clock.left),
                self._connect() as client,
                await self._request(client, request) as stream,
            ):
                return await _joined(stream, so_far, request.max_tokens * _MOST_CHARACTERS_PER_TOKEN, heard)
        except (ExplainerUnavailable, UnusableReply):
            raise
        except TimeoutError as error:
            why = f"did not finish its reply in the {clock.limit:g} seconds allowed"
            raise UnusableReply("late", why, so_far.text) from error
        except Exception as error:  # the client checks no chunk, so what is wrong with one may show as any error
            raise ExplainerUnavailable(
                f"the explainer's endpoint failed: {type(error).__name__}",
                hint=f"check that it runs and knows the model, {_OTHERWISE}",
            ) from error
        finally:
            heard.put(None)

    async def _request(self, client: AsyncOpenAI, request: _Request) -> AsyncStream[ChatCompletionChunk]:
        """Send a request, without asking for probabilities where the endpoint has once refused to give them."""
        if not (request.probabilities and self._gives_probabilities):
            return await self._send(client, request, {})
        try:
            return await self._send(client, request, {"logprobs": True, "top_logprobs": 1})
        except self._not_understood:
            stream = await self._send(client, request, {})
            self._gives_probabilities = False
            return stream

    async def _send(
        self, client: AsyncOpenAI, request: _Request, more: Mapping[str, Any]
    ) -> AsyncStream[ChatCompletionChunk]:
        create: Any = client.chat.completions.create
        stream: AsyncStream[ChatCompletionChunk] = await create(
            model=self._model,
            messages=request.messages,
            response_format=request.form,
            max_tokens=request.max_tokens,
            temperature=0,
            stream=True,
            **more,
        )
        return stream


@contextmanager
def _at_work(work: Coroutine[Any, Any, Said]) -> Iterator[Future[Said]]:
    """Let a coroutine work in a thread and loop of its own; an error in the block cancels it at once.

    The caller's thread may run a loop already, and a read in a coroutine can be broken off at any moment.
    """
    with closing(asyncio.new_event_loop()) as loop, ThreadPoolExecutor(1) as thread:
        task = loop.create_task(work)
        result = thread.submit(_finish, loop, task)
        try:
            yield result
        except BaseException:
            loop.call_soon_threadsafe(task.cancel)
            raise


def _finish(loop: asyncio.AbstractEventLoop, task: asyncio.Task[Said]) -> Said:
    try:
        return loop.run_until_complete(task)
    finally:
        loop.run_until_complete(loop.shutdown_asyncgens())


async def _joined(
    stream: AsyncStream[ChatCompletionChunk], so_far: _Heard, most: int, heard: SimpleQueue[int | None]
) -> Said:
    """A streamed reply of at most so many characters, gathered in ``so_far``."""
    if not stream.response.headers.get("content-type", "").startswith("text/event-stream"):
        raise ExplainerUnavailable(
            "the explainer's endpoint does not stream its reply", hint=f"name one that streams chat, {_OTHERWISE}"
        )
    chunks = 0
    async for chunk in stream:
        for choice in chunk.choices:
            so_far.text += choice.delta.content or ""
            so_far.refusal += choice.delta.refusal or ""
            so_far.tokens += _tokens(choice.logprobs)
            if choice.finish_reason:
                return Said(so_far.text, so_far.refusal, str(choice.finish_reason), so_far.tokens)
        if len(so_far.text) + len(so_far.refusal) > most:
            why = f"does not stop: {len(so_far.text)} characters so far"
            raise UnusableReply("endless", why, so_far.text)
        chunks += 1
        if chunks % _CHUNKS_PER_STEP == 0:
            heard.put(len(so_far.text))
    raise ExplainerUnavailable(
        f"the explainer's endpoint broke off after {len(so_far.text)} characters", hint=f"try again, {_OTHERWISE}"
    )


def _tokens(logprobs: Any) -> Iterator[Token]:
    """The tokens of a chunk, where the endpoint gives their probabilities; what is malformed is left out."""
    for entry in getattr(logprobs, "content", None) or ():
        text, value = getattr(entry, "token", None), getattr(entry, "logprob", None)
        if isinstance(text, str) and isinstance(value, int | float) and math.isfinite(value):
            yield Token(_bytes(getattr(entry, "bytes", None)) or text.encode(), float(min(value, 0.0)))


def _bytes(given: Any) -> bytes | None:
    """The bytes of a token, which is often no whole character; None where the endpoint gives none."""
    try:
        return bytes(given) if isinstance(given, list) else None
    except (TypeError, ValueError):
        return None
