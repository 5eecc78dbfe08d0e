from __future__ import annotations

import json
import time
from threading import Event, Thread, current_thread

import anyio
import numpy as np
import pytest

from tests.library.chat_server import Misbehaviour, chat_server
from tests.library.pictures import ScriptedDetector, bag, found
from xray_agent_tools.errors import ExplainerUnavailable
from xray_agent_tools.explainer.vlm import VlmExplainer
from xray_agent_tools.progress import heard_by
from xray_agent_tools.report import Explanation
from xray_agent_tools.screener import Screener

CLAIM = {"claim": "A pistol with its grip down.", "detection_ids": ["d1"], "cues": ["L-shape"]}
GOOD = {"answer": "There is a pistol (d1).", "answered": True, "findings": [CLAIM]}
NEVER_HARMLESS = "no answer may say that a bag is harmless"


class NotWantedAnyMore(Exception):
    pass


def explain(
    url: str, question: str | None = "What is it?", *, timeout: float = 10, max_tokens: int = 800
) -> Explanation:
    explainer = VlmExplainer(base_url=url, model="m", timeout=timeout, max_tokens=max_tokens)
    detector = ScriptedDetector([found("gun"), found("knife", 0.95, (150, 100, 220, 130))])
    return Screener(model=detector, explainer=explainer).explain_scan(bag(), question=question)


def test_the_models_words_are_kept_where_they_cite_detections() -> None:
    with chat_server(json.dumps(GOOD)) as (url, requests):
        answer = explain(url)
    assert answer.answer == "There is a pistol (d1)."
    assert answer.backend == "vlm:m"
    assert answer.findings[0].claim == CLAIM["claim"]
    assert answer.findings[0].look_alikes
    kinds = [part["type"] for part in requests[0]["messages"][1]["content"]]
    assert kinds == ["image_url", "text"]
    assert requests[0]["response_format"]["type"] == "json_schema"


def test_a_detection_the_model_leaves_out_is_still_reported() -> None:
    with chat_server(json.dumps(GOOD)) as (url, _):
        answer = explain(url)
    assert [finding.detection_ids for finding in answer.findings] == [["d1"], ["d2"]]


@pytest.mark.parametrize(
    ("ids", "reason"), [([], "cites no detection"), (["d9"], "does not exist"), (["d1", "d9"], "exist")]
)
def test_a_claim_without_evidence_is_a_disagreement(ids: list[str], reason: str) -> None:
    reply = {**GOOD, "findings": [{**CLAIM, "claim": "A bomb.", "detection_ids": ids}]}
    with chat_server(json.dumps(reply)) as (url, _):
        answer = explain(url)
    assert [disagreement.claim for disagreement in answer.disagreements] == ["A bomb."]
    assert reason in answer.disagreements[0].reason
    assert "A bomb." not in [finding.claim for finding in answer.findings]


def test_an_answer_that_calls_the_bag_safe_is_replaced() -> None:
    with chat_server(json.dumps({**GOOD, "answer": "The bag is safe."})) as (url, _):
        answer = explain(url)
    assert "safe" not in answer.answer
    assert answer.disagreements[0].claim == "The bag is safe."


@pytest.mark.parametrize(
    "words", ["No prohibited items.", "The bag looks completely harmless.", "It\u2019s s\u200bafe."]
)
def test_however_an_answer_calls_the_bag_harmless_it_is_replaced(words: str) -> None:
    with chat_server(json.dumps({**GOOD, "answer": words})) as (url, _):
        answer = explain(url)
    assert words not in answer.answer
    assert [(one.claim, one.reason) for one in answer.disagreements] == [(words, NEVER_HARMLESS)]


@pytest.mark.parametrize(
    "harmless", [{"claim": "The gun is not dangerous."}, {"cues": ["L-shape", "it looks harmless"]}]
)
def test_a_finding_that_calls_something_harmless_is_a_disagreement(harmless: dict[str, object]) -> None:
    claim = {**CLAIM, **harmless}
    with chat_server(json.dumps({**GOOD, "findings": [claim]})) as (url, _):
        answer = explain(url)
    assert [(one.claim, one.reason) for one in answer.disagreements] == [(claim["claim"], NEVER_HARMLESS)]
    assert [finding.detection_ids for finding in answer.findings] == [["d1"], ["d2"]]
    assert not any("harmless" in cue for finding in answer.findings for cue in finding.cues)


def test_a_reply_outside_the_schema_gets_one_chance_to_be_repaired() -> None:
    with chat_server("not json", json.dumps(GOOD)) as (url, requests):
        answer = explain(url)
    assert answer.answered
    assert len(requests) == 2
    assert "not the JSON asked for" in requests[1]["messages"][-1]["content"]


@pytest.mark.parametrize("reply", ["not json", "{}", "", 400, 404])
def test_an_endpoint_that_fails_or_answers_nonsense_is_unavailable(reply: str | int) -> None:
    with chat_server(reply) as (url, _), pytest.raises(ExplainerUnavailable) as caught:
        explain(url)
    assert "grounded explainer" in caught.value.hint


def test_nothing_is_sent_for_a_scan_without_a_verdict() -> None:
    with chat_server(json.dumps(GOOD)) as (url, requests):
        explainer = VlmExplainer(base_url=url, model="m", timeout=10)
        screener = Screener(model=ScriptedDetector(), explainer=explainer)
        answer = screener.explain_scan(np.full((200, 200), 255, np.uint8))
    assert requests == []
    assert answer.backend == "grounded"


def test_a_reply_cut_at_its_longest_gets_one_chance_to_be_repaired() -> None:
    cut = json.dumps(GOOD)[:60]
    with chat_server(cut, finish_reason="length") as (url, requests), pytest.raises(ExplainerUnavailable) as caught:
        explain(url)
    assert len(requests) == 2
    assert requests[1]["messages"][-2] == {"role": "assistant", "content": cut}
    assert "schema" in caught.value.message


def test_whoever_listens_hears_how_far_the_wording_is() -> None:
    steps: list[str] = []
    reply = json.dumps(GOOD)
    with chat_server(reply) as (url, _), heard_by(steps.append):
        explain(url)
    after = steps[steps.index("asking the vision-language model") + 1 :]
    assert len(reply) > 80
    assert after == [f"wording the explanation: {76 + 80 * n} characters" for n in range((len(reply) + 4) // 80)]


def test_a_listener_that_raises_before_the_request_sends_nothing() -> None:
    def stop(step: str) -> None:
        if step.startswith("asking"):
            raise NotWantedAnyMore

    with chat_server(json.dumps(GOOD)) as (url, requests), heard_by(stop), pytest.raises(NotWantedAnyMore):
        explain(url)
    assert requests == []


def test_a_listener_that_raises_during_the_reply_hangs_up() -> None:
    def stop(step: str) -> None:
        if step.endswith("characters"):
            raise NotWantedAnyMore

    hung_up = Event()
    with chat_server(Misbehaviour.NEVER_ENDS, hung_up=hung_up) as (url, requests):
        with heard_by(stop), pytest.raises(NotWantedAnyMore):
            explain(url, timeout=60, max_tokens=1_000_000)
        assert hung_up.wait(5)
    assert len(requests) == 1


@pytest.mark.parametrize(
    ("reply", "reason"),
    [
        (Misbehaviour.DROPS, "failed"),
        (Misbehaviour.BREAKS_OFF, "broke off after 4 characters"),
        (Misbehaviour.FAILS, "failed"),
        (Misbehaviour.BABBLES, "failed"),
        (Misbehaviour.IS_NO_STREAM, "does not stream"),
    ],
)
def test_a_stream_that_breaks_is_unavailable_and_not_repaired(reply: Misbehaviour, reason: str) -> None:
    with chat_server(reply) as (url, requests), pytest.raises(ExplainerUnavailable, match=reason) as caught:
        explain(url)
    assert len(requests) == 1
    assert "grounded explainer" in caught.value.hint


def test_a_reply_that_never_ends_is_cut_off_at_16_characters_a_token() -> None:
    hung_up = Event()
    with chat_server(Misbehaviour.NEVER_ENDS, hung_up=hung_up) as (url, _):
        with pytest.raises(ExplainerUnavailable, match="does not stop: 1604 characters"):
            explain(url, max_tokens=100)
        assert hung_up.wait(5)


@pytest.mark.parametrize("reply", [Misbehaviour.FALLS_SILENT, Misbehaviour.ONLY_KEEPS_ALIVE, Misbehaviour.NEVER_ENDS])
def test_the_time_limit_bounds_the_whole_reply(reply: Misbehaviour) -> None:
    with chat_server(reply) as (url, _):
        started = time.monotonic()
        with pytest.raises(ExplainerUnavailable, match=r"did not finish its reply in 0\.5 seconds") as caught:
            explain(url, timeout=0.5, max_tokens=1_000_000)
        assert time.monotonic() - started < 5
    assert "timeout" in caught.value.hint


def test_a_scan_can_be_explained_where_an_event_loop_runs() -> None:
    async def ask(url: str) -> Explanation:
        return explain(url)

    with chat_server(json.dumps(GOOD)) as (url, _):
        assert anyio.run(ask, url).answered


def test_the_listener_is_called_in_the_thread_that_asked() -> None:
    threads: list[Thread] = []
    with chat_server(json.dumps(GOOD)) as (url, _), heard_by(lambda _: threads.append(current_thread())):
        explain(url)
    assert set(threads) == {current_thread()}


def test_an_endpoint_that_nobody_serves_is_unavailable() -> None:
    with chat_server("") as (url, _):
        pass
    with pytest.raises(ExplainerUnavailable, match="failed"):
        explain(url)
