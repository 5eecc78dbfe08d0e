from __future__ import annotations

import asyncio
import copy
import json
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, cast

import anyio
import httpx2
import openai
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.library.chat_server import chat_server
from tests.library.pictures import bag, encoded, found, screener_that_finds
from tests.test_examples import example
from xray_agent_tools import XrayToolsError
from xray_agent_tools.adapters.dialects import Api
from xray_agent_tools.adapters.loop import MOST_CALLS
from xray_agent_tools.adapters.openai import (
    AnsweredCall,
    Call,
    ChatModelFailed,
    ToolRun,
    run_tools,
    run_tools_async,
    tools,
)
from xray_agent_tools.errors import InvalidArgument, Overloaded, outcome_of
from xray_agent_tools.screener import Screener

QUESTION = [{"role": "user", "content": "Is there anything dangerous in this bag?"}]
GOOD, UNKNOWN, BROKEN, MISTAKEN, ABSENT = "good", "unknown", "broken", "mistaken", "absent"
SAID: dict[str, tuple[str, str]] = {
    GOOD: ("detect_threats", '{"scan": "bag"}'),
    UNKNOWN: ("open_the_bag", '{"scan": "bag"}'),
    BROKEN: ("detect_threats", '{"scan": "ba'),
    MISTAKEN: ("assess_declaration", '{"scan": "bag"}'),
    ABSENT: ("explain_scan", '{"scan": "missing.png"}'),
}
CODES = {UNKNOWN: "unknown_tool", BROKEN: "invalid_argument", MISTAKEN: "invalid_argument", ABSENT: "invalid_scan"}


@dataclass(frozen=True, slots=True)
class Told:
    """A tool call that a scripted model makes."""

    id: str
    name: str
    arguments: str


def chat_reply(*calls: Told, text: str | None = None, finish_reason: str = "stop", **message: Any) -> dict[str, Any]:
    asked = [
        {"id": call.id, "type": "function", "function": {"name": call.name, "arguments": call.arguments}}
        for call in calls
    ]
    said = {"role": "assistant", "content": text, **({"tool_calls": asked} if asked else {}), **message}
    return {
        "id": "1",
        "object": "chat.completion",
        "created": 1,
        "model": "m",
        "choices": [{"index": 0, "finish_reason": finish_reason, "message": said}],
        "usage": {"prompt_tokens": 10, "completion_tokens": 3, "total_tokens": 13},
    }


def responses_reply(*calls: Told, text: str | None = None, status: str = "completed", **more: Any) -> dict[str, Any]:
    output: list[dict[str, Any]] = [{"type": "reasoning", "id": "rs_1", "summary": []}]
    output += [
        {"type": "function_call", "id": "fc", "call_id": call.id, "name": call.name, "arguments": call.arguments}
        for call in calls
    ]
    if text is not None:
        part = {"type": "output_text", "text": text, "annotations": []}
        output.append({"type": "message", "id": "m", "role": "assistant", "status": "completed", "content": [part]})
    return {
        "id": "1",
        "object": "response",
        "created_at": 1,
        "model": "m",
        "output": output,
        "status": status,
        "usage": {"input_tokens": 10, "output_tokens": 3, "total_tokens": 13},
        **more,
    }


REPLY: dict[Api, Callable[..., dict[str, Any]]] = {"chat": chat_reply, "responses": responses_reply}


@dataclass
class Model:
    """A chat model that follows a script, behind the real clients' own transport."""

    replies: Sequence[dict[str, Any]]
    requests: list[dict[str, Any]] = field(default_factory=list)

    def reply(self, request: httpx2.Request) -> httpx2.Response:
        self.requests.append(json.loads(request.content))
        return httpx2.Response(200, json=self.replies[min(len(self.requests), len(self.replies)) - 1])

    def client(self) -> openai.OpenAI:
        http = httpx2.Client(transport=httpx2.MockTransport(self.reply))
        return openai.OpenAI(base_url="http://model/v1", api_key="none", max_retries=0, http_client=http)

    def async_client(self) -> openai.AsyncOpenAI:
        http = httpx2.AsyncClient(transport=httpx2.MockTransport(self.reply))
        return openai.AsyncOpenAI(base_url="http://model/v1", api_key="none", max_retries=0, http_client=http)


Loop = Literal["run_tools", "run_tools_async"]
LOOPS: tuple[Loop, ...] = ("run_tools", "run_tools_async")
APIS: tuple[Api, ...] = ("chat", "responses")
both_loops = pytest.mark.parametrize("loop", LOOPS)
both_apis = pytest.mark.parametrize("api", APIS)


def scripted(name: str, arguments: dict[str, Any]) -> tuple[str, bool]:
    """Answers in the screener's place, and knows one scan."""
    if arguments["scan"] == "missing.png":
        return '{"error":{"code":"invalid_scan","message":"there is no such file","hint":"give another"}}', False
    if name == "assess_declaration" and "declared_items" not in arguments:
        raise InvalidArgument("declared_items is missing", hint="give it")
    return json.dumps({"scan_id": f"scan-{arguments['scan']}", "verdict": "ALARM"}), True


def run(loop: Loop, model: Model, *, answer: Any = None, screener: Screener | None = None, **more: Any) -> ToolRun:
    """One run of the real client, synchronous or asynchronous, against a scripted model."""
    asked: dict[str, Any] = {"model": "m", "messages": QUESTION, "screener": screener, **more}
    if loop == "run_tools":
        return run_tools(model.client(), answer=answer, **asked)

    async def awaited(name: str, arguments: dict[str, Any]) -> tuple[str, bool]:
        return cast("tuple[str, bool]", answer(name, arguments))

    async def whole() -> ToolRun:
        async with model.async_client() as client:
            return await run_tools_async(client, answer=awaited if answer else None, **asked)

    return anyio.run(whole)


def asked_and_answered(messages: Sequence[Mapping[str, Any]]) -> tuple[list[str], list[str]]:
    """Identifiers of the calls in a request, and of the answers, both in order."""
    asked = [call["id"] for message in messages for call in message.get("tool_calls", [])]
    asked += [item["call_id"] for item in messages if item.get("type") == "function_call"]
    answered = [message["tool_call_id"] for message in messages if message.get("role") == "tool"]
    answered += [item["call_id"] for item in messages if item.get("type") == "function_call_output"]
    return asked, answered


@pytest.fixture
def scan(tmp_path: Path) -> Path:
    path = tmp_path / "bag.png"
    path.write_bytes(encoded(bag()))
    return path


def run_on_network(loop: Loop, url: str, **more: Any) -> ToolRun:
    """One run against a server on loopback."""
    options: dict[str, Any] = {"base_url": url, "api_key": "none", "max_retries": 0}
    if loop == "run_tools":
        with openai.OpenAI(**options) as client:
            return run_tools(client, model="m", messages=QUESTION, **more)

    async def whole() -> ToolRun:
        async with openai.AsyncOpenAI(**options) as client:
            return await run_tools_async(client, model="m", messages=QUESTION, **more)

    return anyio.run(whole)


@both_loops
def test_a_model_on_the_network_calls_tools_until_it_answers(loop: Loop, scan: Path) -> None:
    arguments = json.dumps({"scan": str(scan), "declared_items": ["gun"]})
    asked = [
        {"id": f"c{n}", "type": "function", "function": {"name": name, "arguments": arguments}}
        for n, name in enumerate(("assess_declaration", "detect_threats"))
    ]
    screener = screener_that_finds(found("gun"))
    with chat_server({"content": None, "tool_calls": asked}, "There is a gun.") as (url, requests):
        done = run_on_network(loop, url, screener=screener, temperature=0)
    assert (done.text, done.complete) == ("There is a gun.", True)
    assert [call.verdict for call in done.calls] == ["ALARM", None]
    assert [call.ok for call in done.calls] == [True, False]  # detect_threats has no declared_items
    assert list(done.verdicts.values()) == ["ALARM"]
    assert done.calls[0].milliseconds > 0
    assert requests[0]["tools"] == tools()
    assert requests[0]["temperature"] == requests[1]["temperature"] == 0
    assert asked_and_answered(requests[1]["messages"]) == (["c0", "c1"], ["c0", "c1"])
    assert json.loads(requests[1]["messages"][2]["content"])["report"]["verdict"] == "ALARM"
    assert (done.usage.requests, done.usage.unreported, done.usage.input_tokens) == (2, 2, 0)


rounds_of_calls = st.lists(
    st.lists(st.tuples(st.sampled_from(list(SAID)), st.sampled_from(["", "a", "b", "call_1"])), min_size=1, max_size=4),
    max_size=4,
)


@given(rounds_of_calls, st.sampled_from(LOOPS), st.sampled_from(APIS))
def test_every_call_is_answered_exactly_once_whatever_the_model_asks_for(
    rounds: list[list[tuple[str, str]]], loop: Loop, api: Api
) -> None:
    kinds = [kind for calls in rounds for kind, _ in calls]
    replies = [REPLY[api](*(Told(call_id, *SAID[kind]) for kind, call_id in calls)) for calls in rounds]
    model = Model([*replies, REPLY[api](text="An officer should look.")])
    messages = copy.deepcopy(QUESTION)
    heard: list[AnsweredCall] = []
    done = run(loop, model, answer=scripted, messages=messages, api=api, on_call=heard.append)

    sent = model.requests[-1]["messages" if api == "chat" else "input"]
    asked, answered = asked_and_answered(sent)
    assert asked == answered == [call.id for call in done.calls]
    for before, request in zip(rounds, model.requests[1:], strict=True):
        latest = asked_and_answered(request["messages" if api == "chat" else "input"])[1][-len(before) :]
        assert len(set(latest)) == len(latest)
        assert "" not in latest
    assert [call.ok for call in done.calls] == [kind == GOOD for kind in kinds]
    assert [SAID[kind] for kind in kinds] == [(call.name, call.arguments) for call in done.calls]
    for kind, call in zip(kinds, done.calls, strict=True):
        if kind != GOOD:
            assert json.loads(call.text)["error"]["code"] == CODES[kind]
            assert json.loads(call.text)["error"]["hint"]
    assert sorted(heard, key=id) == sorted(done.calls, key=id)
    assert done.verdicts == ({"scan-bag": "ALARM"} if GOOD in kinds else {})
    assert (done.text, done.complete) == ("An officer should look.", True)
    assert (done.usage.input_tokens, done.usage.output_tokens) == (10 * (len(rounds) + 1), 3 * (len(rounds) + 1))
    assert messages == QUESTION
    assert done.messages[: len(QUESTION)] == QUESTION


@given(st.text(max_size=40), st.text(max_size=60), st.sampled_from(APIS))
def test_any_call_at_all_is_answered(name: str, arguments: str, api: Api) -> None:
    model = Model([REPLY[api](Told("c1", name, arguments)), REPLY[api](text="Done.")])
    done = run("run_tools", model, screener=screener_that_finds(), api=api)
    assert [call.ok for call in done.calls] == [False]
    assert "error" in json.loads(done.calls[0].text)
    assert done.text == "Done."


def test_both_loops_give_the_same_run() -> None:
    calls = [Told(f"c{n}", *SAID[kind]) for n, kind in enumerate(SAID)]
    runs = [run(loop, Model([chat_reply(*calls), chat_reply(text="Done.")]), answer=scripted) for loop in LOOPS]
    one, other = ([(c.id, c.name, c.arguments, c.text, c.ok, c.verdict) for c in done.calls] for done in runs)
    assert one == other
    assert runs[0].messages == runs[1].messages
    assert runs[0].usage == runs[1].usage


@both_apis
def test_broken_arguments_go_back_as_an_empty_object_that_every_endpoint_accepts(api: Api) -> None:
    model = Model([REPLY[api](Told("c1", *SAID[BROKEN])), REPLY[api](text="Done.")])
    done = run("run_tools", model, answer=scripted, api=api)
    assert done.calls[0].arguments == SAID[BROKEN][1]
    assert SAID[BROKEN][1] in json.loads(done.calls[0].text)["error"]["message"]
    echoed = done.messages[1]["tool_calls"][0]["function"] if api == "chat" else done.messages[2]
    assert echoed["arguments"] == "{}"


@both_apis
def test_what_the_loop_does_not_know_goes_back_to_the_model_as_it_came(api: Api) -> None:
    thought = {"reasoning_content": "A bag."} if api == "chat" else {}
    model = Model([REPLY[api](Told("c1", *SAID[GOOD]), **thought), REPLY[api](text="Done.")])
    run("run_tools", model, answer=scripted, api=api)
    if api == "chat":
        assert model.requests[1]["messages"][1]["reasoning_content"] == "A bag."
    else:
        assert model.requests[1]["input"][1] == {"type": "reasoning", "id": "rs_1", "summary": []}


@both_loops
@both_apis
def test_a_model_that_never_answers_is_stopped_and_what_it_did_is_kept(loop: Loop, api: Api) -> None:
    model = Model([REPLY[api](Told("c1", *SAID[GOOD]))])
    with pytest.raises(ChatModelFailed, match="no answer after 3 rounds") as caught:
        run(loop, model, answer=scripted, api=api, max_rounds=3)
    assert len(model.requests) == 3
    assert caught.value.run is not None
    assert len(caught.value.run.calls) == 2
    assert caught.value.run.usage.requests == 3
    assert not caught.value.run.complete
    asked, answered = asked_and_answered(caught.value.run.messages)
    assert asked == answered
    assert outcome_of(caught.value).http_status == 502
    assert caught.value.as_dict()["error"]["code"] == "chat_model_failed"


@pytest.mark.parametrize(
    ("reply", "finish_reason", "refusal"),
    [
        (chat_reply(text="There is a", finish_reason="length"), "length", None),
        (chat_reply(text="", finish_reason="content_filter"), "content_filter", None),
        (chat_reply(text=None, refusal="I cannot help."), "stop", "I cannot help."),
        (chat_reply(text="I can", refusal="I cannot."), "stop", "I cannot."),
        (chat_reply(text=None), "stop", None),
        (chat_reply(text="   "), "stop", None),
    ],
)
def test_a_refusal_silence_and_words_that_were_cut_off_are_no_complete_answer(
    reply: dict[str, Any], finish_reason: str, refusal: str | None
) -> None:
    done = run("run_tools", Model([reply]), answer=scripted)
    assert (done.complete, done.finish_reason, done.refusal) == (False, finish_reason, refusal)


def test_responses_say_in_the_same_words_how_they_ended() -> None:
    cut = responses_reply(text="There", status="incomplete", incomplete_details={"reason": "max_output_tokens"})
    assert run("run_tools", Model([cut]), answer=scripted, api="responses").finish_reason == "length"
    refused = responses_reply(text="")
    refused["output"][1]["content"] = [{"type": "refusal", "refusal": "I cannot help."}]
    done = run("run_tools", Model([refused]), answer=scripted, api="responses")
    assert (done.refusal, done.complete) == ("I cannot help.", False)


def test_a_model_whose_call_was_cut_off_is_told_so() -> None:
    cut = chat_reply(Told("c1", *SAID[GOOD]), Told("c2", *SAID[BROKEN]), finish_reason="length")
    done = run("run_tools", Model([cut, chat_reply(text="Done.")]), answer=scripted)
    assert [call.ok for call in done.calls] == [True, False]
    assert "cut off" in json.loads(done.calls[1].text)["error"]["message"]


def test_calls_beyond_the_limit_are_answered_but_not_run() -> None:
    calls = [Told(f"c{n}", *SAID[GOOD]) for n in range(MOST_CALLS + 3)]
    done = run("run_tools", Model([chat_reply(*calls), chat_reply(text="Done.")]), answer=scripted)
    assert [call.ok for call in done.calls] == [True] * MOST_CALLS + [False] * 3
    assert asked_and_answered(done.messages)[1] == [call.id for call in calls]


@both_loops
def test_no_tool_runs_that_was_not_offered(loop: Loop) -> None:
    ran: list[str] = []

    def answer(name: str, arguments: dict[str, Any]) -> tuple[str, bool]:
        ran.append(name)
        return scripted(name, arguments)

    calls = [Told("c1", "detect_threats", '{"scan": "bag"}'), Told("c2", "explain_scan", '{"scan": "bag"}')]
    model = Model([chat_reply(*calls), chat_reply(text="Done.")])
    offered = [definition for definition in tools() if definition["function"]["name"] == "explain_scan"]
    done = run(loop, model, answer=answer, tools=offered)
    assert ran == ["explain_scan"]
    assert "the tools are explain_scan" in done.calls[0].text
    assert model.requests[0]["tools"] == offered


def with_gate(api: Api) -> list[dict[str, Any]]:
    """Our definitions, and one of a function that the caller runs."""
    function = {"name": "open_gate", "parameters": {"type": "object", "properties": {}}}
    return [*tools(api=api), {"type": "function", **(function if api == "responses" else {"function": function})}]


GATE_CALLS = {
    "whole": Told("g1", "open_gate", '{"lane": 2}'),
    "whole too": Told("g2", "open_gate", "{}"),
    "broken": Told("g3", "open_gate", '{"lane": '),
    "a list": Told("g4", "open_gate", "[2]"),
}


@given(
    st.lists(st.sampled_from([*SAID, *GATE_CALLS]), min_size=1, max_size=6, unique=True),
    st.sampled_from(LOOPS),
    st.sampled_from(APIS),
)
def test_sound_calls_of_the_callers_functions_end_the_run_and_all_others_are_answered(
    kinds: list[str], loop: Loop, api: Api
) -> None:
    told = [GATE_CALLS[kind] if kind in GATE_CALLS else Told(kind, *SAID[kind]) for kind in kinds]
    model = Model([REPLY[api](*told), REPLY[api](text="Done.")])
    done = run(loop, model, answer=scripted, api=api, tools=with_gate(api), hand_back={"open_gate"})

    handed = [GATE_CALLS[kind] for kind in kinds if kind.startswith("whole")]
    assert done.pending == tuple(Call(call.id, call.name, call.arguments) for call in handed)
    assert [call.id for call in done.calls] == [call.id for call in told if call not in handed]
    assert [call.id for call in done.calls if call.ok] == [kind for kind in kinds if kind == GOOD]
    asked, answered = asked_and_answered(done.messages)
    assert asked == [call.id for call in told]
    assert answered == [call.id for call in done.calls]
    if handed:
        assert (len(model.requests), done.finish_reason, done.complete) == (1, "tool_calls", False)
    else:
        assert (len(model.requests), done.finish_reason, done.complete) == (2, "stop", True)


@both_loops
@both_apis
def test_a_run_goes_on_once_the_caller_has_answered(loop: Loop, api: Api) -> None:
    offered: dict[str, Any] = {"api": api, "answer": scripted, "tools": with_gate(api), "hand_back": ["open_gate"]}
    gate, look = GATE_CALLS["whole"], Told("c1", *SAID[GOOD])
    first = run(loop, Model([REPLY[api](gate, look)]), **offered)
    (pending,) = first.pending
    answer: dict[Api, dict[str, Any]] = {
        "chat": {"role": "tool", "tool_call_id": pending.id, "content": "open"},
        "responses": {"type": "function_call_output", "call_id": pending.id, "output": "open"},
    }
    model = Model([REPLY[api](text="It is open.")])
    done = run(loop, model, messages=[*first.messages, answer[api]], **offered)
    assert (done.text, done.pending, done.complete) == ("It is open.", (), True)
    asked, answered = asked_and_answered(model.requests[0]["messages" if api == "chat" else "input"])
    assert sorted(asked) == sorted(answered) == ["c1", "g1"]


@both_loops
def test_a_call_to_hand_back_ends_the_last_round_too_but_a_broken_one_does_not(loop: Loop) -> None:
    asked: dict[str, Any] = {
        "answer": scripted,
        "tools": with_gate("chat"),
        "hand_back": ["open_gate"],
        "max_rounds": 1,
    }
    assert len(run(loop, Model([chat_reply(GATE_CALLS["whole"])]), **asked).pending) == 1
    with pytest.raises(ChatModelFailed, match="no answer after 1 rounds") as failed:
        run(loop, Model([chat_reply(GATE_CALLS["broken"])]), **asked)
    assert failed.value.run is not None
    assert failed.value.run.pending == ()


def test_calls_to_hand_back_beyond_the_limit_are_answered_with_an_error() -> None:
    calls = [Told(f"c{n}", "open_gate", "{}") for n in range(MOST_CALLS + 2)]
    done = run("run_tools", Model([chat_reply(*calls)]), tools=with_gate("chat"), hand_back=["open_gate"])
    assert [call.id for call in done.pending] == [call.id for call in calls[:MOST_CALLS]]
    assert ["too many calls" in call.text for call in done.calls] == [True, True]


@both_loops
def test_a_function_to_hand_back_has_to_be_offered(loop: Loop) -> None:
    model = Model([chat_reply(text="Done.")])
    with pytest.raises(InvalidArgument, match="hand_back names open_gate") as wrong:
        run(loop, model, answer=scripted, hand_back=["open_gate", "explain_scan"])
    assert "into tools" in wrong.value.hint
    assert not model.requests


def test_the_gravest_verdict_on_each_scan_is_kept_whatever_the_model_says() -> None:
    given_out = iter(["NO_ALARM", "ALARM", "UNKNOWN", "UNKNOWN"])

    def answer(_: str, arguments: dict[str, Any]) -> tuple[str, bool]:
        return json.dumps({"scan_id": arguments["scan"], "verdict": next(given_out)}), True

    calls = [Told(f"c{n}", "detect_threats", json.dumps({"scan": scan})) for n, scan in enumerate("AAAB")]
    model = Model([chat_reply(*calls), chat_reply(text="Nothing was found.")])
    assert run("run_tools", model, answer=answer).verdicts == {"A": "ALARM", "B": "UNKNOWN"}


@pytest.mark.parametrize("text", ['{"scan_id": "A", "verdict": "SAFE"}', "no JSON", '{"verdict": "ALARM"}', "[]"])
def test_an_answer_without_a_verdict_gives_none(text: str) -> None:
    model = Model([chat_reply(Told("c1", *SAID[GOOD])), chat_reply(text="Done.")])
    assert run("run_tools", model, answer=lambda *_: (text, True)).verdicts == {}


@both_loops
def test_an_error_that_the_answerer_raises_is_what_the_model_is_told(loop: Loop) -> None:
    def busy(_: str, __: dict[str, Any]) -> tuple[str, bool]:
        raise Overloaded("the queue is full", hint="call again later", retry_after=2)

    done = run(loop, Model([chat_reply(Told("c1", *SAID[GOOD])), chat_reply(text="Later.")]), answer=busy)
    assert json.loads(done.calls[0].text)["error"]["retry_after"] == 2
    assert not done.calls[0].ok


@both_loops
def test_any_other_exception_ends_the_run_as_it_is(loop: Loop) -> None:
    def bad(_: str, __: dict[str, Any]) -> tuple[str, bool]:
        raise KeyError("a mistake in the caller's code")

    calls = [Told("c1", *SAID[GOOD]), Told("c2", *SAID[GOOD])]
    with pytest.raises(KeyError, match="a mistake"):
        run(loop, Model([chat_reply(*calls)]), answer=bad)


@both_loops
def test_a_listener_can_end_the_run(loop: Loop) -> None:
    def enough(_: AnsweredCall) -> None:
        raise InterruptedError

    model = Model([chat_reply(Told("c1", *SAID[GOOD]))])
    with pytest.raises(InterruptedError):
        run(loop, model, answer=scripted, on_call=enough)
    assert len(model.requests) == 1


def test_the_calls_of_one_reply_are_answered_at_the_same_time_and_told_in_order() -> None:
    async def whole() -> ToolRun:
        waiting = asyncio.Barrier(3)

        async def answer(_: str, arguments: dict[str, Any]) -> tuple[str, bool]:
            await waiting.wait()
            return json.dumps({"scan_id": arguments["scan"]}), True

        calls = [Told(scan, "detect_threats", json.dumps({"scan": scan})) for scan in "ABC"]
        async with Model([chat_reply(*calls), chat_reply(text="Done.")]).async_client() as client:
            return await run_tools_async(client, model="m", messages=QUESTION, answer=answer)

    done = anyio.run(whole)
    assert [call.scan_id for call in done.calls] == ["A", "B", "C"]
    assert asked_and_answered(done.messages) == (["A", "B", "C"], ["A", "B", "C"])


def test_a_cancelled_run_cancels_its_calls() -> None:
    cancelled: list[str] = []

    async def whole() -> None:
        begun = asyncio.Event()

        async def answer(name: str, _: dict[str, Any]) -> tuple[str, bool]:
            begun.set()
            try:
                await asyncio.Event().wait()
            except asyncio.CancelledError:
                cancelled.append(name)
                raise
            return "{}", True

        async with Model([chat_reply(Told("c1", *SAID[GOOD]))]).async_client() as client:
            running = asyncio.create_task(run_tools_async(client, model="m", messages=QUESTION, answer=answer))
            await begun.wait()
            running.cancel()
            with pytest.raises(asyncio.CancelledError):
                await running

    anyio.run(whole)
    assert cancelled == ["detect_threats"]


@pytest.mark.parametrize(
    ("choice", "after"),
    [
        ("required", "auto"),
        ({"type": "function", "function": {"name": "detect_threats"}}, "auto"),
        ("auto", "auto"),
        ("none", "none"),
    ],
)
def test_a_forced_call_is_forced_once(choice: Any, after: str) -> None:
    model = Model([chat_reply(Told("c1", *SAID[GOOD])), chat_reply(text="Done.")])
    run("run_tools", model, answer=scripted, tool_choice=choice)
    assert [request["tool_choice"] for request in model.requests] == [choice, after]


@both_loops
@pytest.mark.parametrize(
    ("api", "reply", "reason"),
    [
        ("chat", {"choices": []}, "no reply of this API"),
        ("chat", {"choices": None}, "no reply of this API"),
        ("chat", responses_reply(text="Done."), "no reply of this API"),
        ("chat", chat_reply(text="Done.", tool_calls=[{"id": "c1", "type": "function"}]), "no reply of this API"),
        ("responses", chat_reply(text="Done."), "no reply of this API"),
        ("responses", responses_reply(status="failed", error={"message": "out of memory"}), "out of memory"),
        ("responses", responses_reply(status="queued"), "queued"),
    ],
)
def test_a_reply_that_is_none_is_a_typed_error(loop: Loop, api: Api, reply: dict[str, Any], reason: str) -> None:
    with pytest.raises(ChatModelFailed, match=reason) as caught:
        run(loop, Model([reply]), answer=scripted, api=api)
    assert caught.value.hint
    assert caught.value.run is not None
    assert caught.value.run.messages == QUESTION


def test_an_endpoint_that_answers_with_a_web_page_is_a_typed_error() -> None:
    def page(_: httpx2.Request) -> httpx2.Response:
        return httpx2.Response(200, html="<title>Welcome</title>")

    http = httpx2.Client(transport=httpx2.MockTransport(page))
    client = openai.OpenAI(base_url="http://model", api_key="none", max_retries=0, http_client=http)
    with pytest.raises(ChatModelFailed, match="no reply of this API"):
        run_tools(client, model="m", messages=QUESTION)


@both_loops
def test_an_error_of_the_endpoint_is_the_clients_own(loop: Loop) -> None:
    with chat_server(401) as (url, _), pytest.raises(openai.AuthenticationError):
        run_on_network(loop, url)


@pytest.mark.parametrize("usage", [None, {}, {"prompt_tokens": "many", "completion_tokens": 3}, 7])
def test_a_reply_without_a_readable_count_of_tokens_is_a_reply_and_is_counted_as_such(usage: object) -> None:
    done = run("run_tools", Model([{**chat_reply(text="Done."), "usage": usage}]), answer=scripted)
    assert done.text == "Done."
    assert (done.usage.requests, done.usage.unreported, done.usage.output_tokens) == (1, 1, 0)


@pytest.mark.parametrize("message", [{"role": "model"}, {"role": None}, {"tool_calls": []}, {"annotations": None}])
def test_a_sloppy_message_goes_back_as_a_proper_one(message: dict[str, Any]) -> None:
    done = run("run_tools", Model([chat_reply(text="Done.", **message)]), answer=scripted)
    assert done.messages[-1] == {"role": "assistant", "content": "Done."}


@both_apis
def test_arguments_that_come_as_an_object_are_read_as_such(api: Api) -> None:
    call = Told("c1", "detect_threats", cast("str", {"scan": "bag"}))
    done = run("run_tools", Model([REPLY[api](call), REPLY[api](text="Done.")]), answer=scripted, api=api)
    assert (done.calls[0].ok, done.calls[0].arguments) == (True, '{"scan": "bag"}')


@both_loops
@pytest.mark.parametrize(
    "wrong",
    [
        {"max_rounds": 0},
        {"max_rounds": True},
        {"max_rounds": "3"},
        {"messages": "Is it safe?"},
        {"api": "assistants"},
        {"stream": True},
        {"background": True},
        {"n": 2},
        {"screener": screener_that_finds()},
    ],
    ids=lambda wrong: next(iter(wrong)),
)
def test_a_wrong_argument_is_refused_before_anything_is_sent(loop: Loop, wrong: dict[str, Any]) -> None:
    model = Model([chat_reply(text="Done.")])
    with pytest.raises(InvalidArgument) as caught:
        run(loop, model, answer=scripted, **wrong)
    assert caught.value.hint
    assert model.requests == []


def test_a_client_of_the_wrong_kind_is_refused_with_the_right_function() -> None:
    model = Model([chat_reply(text="Done.")])
    with pytest.raises(InvalidArgument, match="use run_tools_async"):
        run_tools(cast("openai.OpenAI", model.async_client()), model="m", messages=QUESTION)

    async def mixed() -> ToolRun:
        return await run_tools_async(cast("openai.AsyncOpenAI", model.client()), model="m", messages=QUESTION)

    with pytest.raises(InvalidArgument, match=r"use run_tools\b"):
        anyio.run(mixed)


def test_a_run_goes_on_where_the_last_one_ended() -> None:
    first = run("run_tools", Model([chat_reply(Told("c1", *SAID[GOOD])), chat_reply(text="A gun.")]), answer=scripted)
    model = Model([chat_reply(text="In the middle.")])
    more = [*first.messages, {"role": "user", "content": "Where?"}]
    second = run("run_tools", model, answer=scripted, messages=more)
    assert second.text == "In the middle."
    assert [message["role"] for message in model.requests[0]["messages"]] == [
        "user",
        "assistant",
        "tool",
        "assistant",
        "user",
    ]


def call_of(name: str, number: int, scan: Path, **more: object) -> dict[str, Any]:
    function = {"name": name, "arguments": json.dumps({"scan": str(scan), **more})}
    return {"content": None, "tool_calls": [{"id": f"c{number}", "type": "function", "function": function}]}


def ask_with_agents_sdk(url: str, scan: Path) -> str:
    async def whole() -> str:
        async with openai.AsyncOpenAI(base_url=url, api_key="none", max_retries=0) as client:
            ask: Callable[..., Awaitable[str]] = example("openai_agents_agent").ask
            return await ask(client, "m", scan, "Anything dangerous?")

    return anyio.run(whole)


def ask_with_pydantic_ai(url: str, scan: Path) -> str:
    client = openai.AsyncOpenAI(base_url=url, api_key="none", max_retries=0)
    return cast("str", example("pydantic_ai_agent").ask(client, "m", scan, "Anything dangerous?"))


@pytest.mark.parametrize("ask", [ask_with_agents_sdk, ask_with_pydantic_ai])
def test_agents_of_other_frameworks_use_the_tools_in_their_own_process(
    ask: Callable[[str, Path], str], demo_scans: list[Path]
) -> None:
    scan = demo_scans[0]
    outside = call_of("detect_threats", 1, Path("/etc/hostname"))
    good = call_of("assess_declaration", 2, scan, declared_items=[], max_detections=5, detail="concise", policy=None)
    with chat_server(outside, good, "The verdict is ALARM.") as (url, requests):
        assert ask(url, scan) == "The verdict is ALARM."
    for sent, ours in zip(requests[0]["tools"], tools(), strict=True):
        for part in ("name", "description"):
            assert sent["function"][part] == ours["function"][part]
        for part in ("required", "additionalProperties"):
            assert sent["function"]["parameters"][part] == ours["function"]["parameters"][part]
    denied, assessed = (json.loads(request["messages"][-1]["content"]) for request in requests[1:])
    assert denied["error"]["code"] == "access_denied"
    assert assessed["report"]["verdict"] == "ALARM"


def test_the_function_calling_example_shows_each_call(
    demo_scans: list[Path], capsys: pytest.CaptureFixture[str]
) -> None:
    with chat_server(call_of("detect_threats", 1, demo_scans[0]), "There is a gun.") as (url, _):
        client = openai.OpenAI(base_url=url, api_key="none", max_retries=0)
        done: ToolRun = example("openai_function_calling").ask(client, "m", str(demo_scans[0]), "Anything dangerous?")
    assert done.text == "There is a gun."
    assert list(done.verdicts.values()) == ["ALARM"]
    assert "detect_threats: ALARM (" in capsys.readouterr().out


def test_an_error_of_a_run_is_one_of_the_tools_errors() -> None:
    model = Model([chat_reply(Told("c1", *SAID[GOOD]))])
    with pytest.raises(XrayToolsError, match="raise max_rounds"):
        run("run_tools", model, answer=scripted, max_rounds=1)
