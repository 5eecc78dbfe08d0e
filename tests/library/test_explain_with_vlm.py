from __future__ import annotations

import json

import numpy as np
import pytest

from tests.library.chat_server import chat_server
from tests.library.pictures import ScriptedDetector, bag, found
from xray_agent_tools.errors import ExplainerUnavailable
from xray_agent_tools.explainer.vlm import VlmExplainer
from xray_agent_tools.report import Explanation
from xray_agent_tools.screener import Screener

CLAIM = {"claim": "A pistol with its grip down.", "detection_ids": ["d1"], "cues": ["L-shape"]}
GOOD = {"answer": "There is a pistol (d1).", "answered": True, "findings": [CLAIM]}


def explain(url: str, question: str | None = "What is it?") -> Explanation:
    explainer = VlmExplainer(base_url=url, model="m", timeout=10)
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
