"""``xray-vlm`` answers in the words of a vision-language model, which the detections have to support."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from anyio.from_thread import BlockingPortal, start_blocking_portal
from xray_servers.audit import AuditLog, Record
from xray_servers.desk import DeskLimits, ScreeningDesk
from xray_servers.http.callers import SCOPES, Caller
from xray_servers.http.decisions import Decisions
from xray_servers.http.errors import Refused
from xray_servers.http.metrics import Metrics
from xray_servers.http.openai.conversation import AnswerFormat, Completion, Conversation, OfferedTool, ToolResult
from xray_servers.http.openai.screener import ScreenerModel
from xray_servers.http.openai.usage import tokens_in
from xray_servers.http.openai.vlm import VlmModel
from xray_servers.screening import ScreeningSettings, VlmSettings

from tests.library.chat_server import Misbehaviour, Reply, chat_server
from tests.servers.http.rest_app import uri
from xray_agent_tools.errors import ExplainerUnavailable, outcome_of
from xray_agent_tools.report import Assessment, Explanation, ThreatReport

ALARM = "bag_1.png"
CLAIM = {"claim": "A pistol with its grip down.", "detection_ids": ["d1"], "cues": ["L-shape"]}
UNSEEN = {"claim": "A knife beside it.", "detection_ids": ["d9"], "cues": []}
GOOD: dict[str, Any] = {"answer": "There is a pistol (d1).", "answered": True, "findings": [CLAIM]}


@dataclass
class Asker:
    """Asks both models from plain test functions."""

    portal: BlockingPortal
    folder: Path
    number: int = 0

    @contextmanager
    def talking(self, *replies: Reply) -> Iterator[Talk]:
        """A desk whose vision-language model says these replies, the last one again and again."""
        self.number += 1
        with chat_server(*replies) as (url, requests):
            settings = ScreeningSettings(roots=(), shelf=self.folder / "shelf", vlm=VlmSettings(url, "words"))
            desk = ScreeningDesk(settings, DeskLimits(warm=False))
            with (
                AuditLog(f"sqlite:///{self.folder / str(self.number)}.db") as audit,
                self.portal.wrap_async_context_manager(desk.open()),
            ):
                yield Talk(self.portal, Decisions(desk, audit, Metrics(desk)), audit, requests)


@dataclass
class Talk:
    """A desk with a vision-language model.

    Attributes:
        portal: the event loop that it lives in.
        decisions: made on it.
        audit: what is on record.
        requests: what its vision-language model was sent.
    """

    portal: BlockingPortal
    decisions: Decisions
    audit: AuditLog
    requests: list[dict[str, Any]]

    def ask(self, text: str = "", scans: Sequence[str] = (uri(ALARM),), **fields: Any) -> Completion:
        return self._complete(VlmModel(self.decisions), text, scans, **fields)

    def ask_screener(self, text: str = "", scans: Sequence[str] = (uri(ALARM),)) -> Completion:
        return self._complete(ScreenerModel(self.decisions), text, scans)

    def records(self) -> list[Record]:
        return list(self.audit.records())

    def _complete(self, model: VlmModel | ScreenerModel, text: str, scans: Sequence[str], **fields: Any) -> Completion:
        conversation = Conversation(
            scans=tuple(scans), text=text, messages=({"role": "user", "content": text},), **fields
        )
        caller = Caller("", SCOPES, f"request-{len(self.records())}")
        return self.portal.call(model.complete, conversation, caller)


@pytest.fixture(scope="module")
def asker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Asker]:
    """Every desk shares the screening processes of one event loop."""
    with start_blocking_portal() as portal:
        yield Asker(portal, tmp_path_factory.mktemp("vlm"))


def test_a_question_is_answered_in_the_models_words_with_what_they_rest_on(asker: Asker) -> None:
    with asker.talking(json.dumps(GOOD)) as talk:
        completion = talk.ask("What is it?")
    explanation = Explanation.model_validate(completion.answer)
    assert explanation.backend == "vlm:words"
    assert explanation.question == "What is it?"
    assert completion.text.startswith("There is a pistol (d1).\nVerdict: ALARM.\n")
    assert (
        f"- A pistol with its grip down. (d1), confidence {explanation.findings[0].confidence_band}" in completion.text
    )
    assert completion.finish_reason == "stop"
    (request,) = talk.requests
    assert [part["type"] for part in request["messages"][1]["content"]] == ["image_url", "text"]


def test_a_scan_alone_is_explained(asker: Asker) -> None:
    with asker.talking(json.dumps(GOOD)) as talk:
        completion = talk.ask()
    assert completion.text.startswith("There is a pistol (d1).")
    assert "What does the scan show?" in json.dumps(talk.requests[0]["messages"])


def test_the_answer_is_on_record(asker: Asker) -> None:
    with asker.talking(json.dumps(GOOD)) as talk:
        completion = talk.ask("What is it?")
        (record,) = talk.records()
    assert record.record_id == completion.record_id
    assert record.operation == "explain_scan"
    assert json.loads(record.answer or "")["backend"] == "vlm:words"


def test_a_claim_without_evidence_is_reported_as_a_disagreement(asker: Asker) -> None:
    with asker.talking(json.dumps({**GOOD, "findings": [CLAIM, UNSEEN]})) as talk:
        completion = talk.ask("What is it?")
    explanation = Explanation.model_validate(completion.answer)
    assert [one.claim for one in explanation.disagreements] == ["A knife beside it."]
    assert "- A knife beside it." not in completion.text
    assert "1 claims that the detections do not support" in completion.text


def test_a_detection_that_the_model_leaves_out_is_still_told(asker: Asker) -> None:
    with asker.talking(json.dumps({**GOOD, "answer": "I see clothes.", "findings": []})) as talk:
        completion = talk.ask("What is it?")
    assert "Verdict: ALARM." in completion.text
    assert "(d1)" in completion.text


def test_an_answer_that_calls_the_bag_safe_is_replaced(asker: Asker) -> None:
    with asker.talking(json.dumps({**GOOD, "answer": "The bag is safe."})) as talk:
        completion = talk.ask("What is it?")
        grounded = talk.ask_screener("What is it?")
    assert completion.answer is not None
    assert grounded.answer is not None
    assert completion.answer["answer"] == grounded.answer["answer"]


def test_the_screener_stays_with_what_is_computed(asker: Asker) -> None:
    with asker.talking(json.dumps(GOOD)) as talk:
        completion = talk.ask_screener("What is it?")
    assert Explanation.model_validate(completion.answer).backend == "grounded"
    assert not talk.requests


def test_a_declaration_is_compared_by_rules_alone(asker: Asker) -> None:
    declared = "Is it all right?\nDeclared: laptop\nPolicy: cabin"
    with asker.talking(json.dumps(GOOD)) as talk:
        completion = talk.ask(declared)
        same = talk.ask_screener(declared)
    assert not talk.requests
    assert Assessment.model_validate(completion.answer).policy.name == "cabin"
    assert completion.text == same.text


def test_a_declaration_without_other_words_is_one_too(asker: Asker) -> None:
    with asker.talking(json.dumps(GOOD)) as talk:
        completion = talk.ask("Declared: nothing")
    assert completion.text.startswith("Recommended action: ")


def test_an_answer_in_json_is_the_models_explanation(asker: Asker) -> None:
    published = AnswerFormat("json_schema", "Explanation", Explanation.model_json_schema())
    with asker.talking(json.dumps(GOOD)) as talk:
        for wanted in (AnswerFormat("json_object"), published):
            explanation = Explanation.model_validate_json(talk.ask(format=wanted).text)
            assert explanation.answer == "There is a pistol (d1)."


def test_a_report_can_be_asked_for_and_needs_no_model(asker: Asker) -> None:
    published = AnswerFormat("json_schema", "ThreatReport", ThreatReport.model_json_schema())
    with asker.talking(500) as talk:
        assert ThreatReport.model_validate_json(talk.ask(format=published).text).verdict == "ALARM"


def test_a_forced_function_gets_the_models_explanation(asker: Asker) -> None:
    function = OfferedTool("report", "", Explanation.model_json_schema())
    with asker.talking(json.dumps(GOOD)) as talk:
        (call,) = talk.ask("What is it?", tools=(function,), forced="report").calls
    assert call.name == "report"
    assert Explanation.model_validate_json(call.arguments).backend == "vlm:words"


def test_results_of_the_callers_own_calls_are_worded_without_a_look(asker: Asker) -> None:
    with asker.talking(json.dumps(GOOD)) as talk:
        explanation = talk.ask("What is it?").answer
        before = len(talk.records())
        completion = talk.ask(tool_results=(ToolResult("c1", json.dumps(explanation)),), scans=())
        assert len(talk.records()) == before
    assert completion.text.startswith("There is a pistol (d1).")


def test_a_schema_of_the_callers_is_refused(asker: Asker) -> None:
    with asker.talking(json.dumps(GOOD)) as talk, pytest.raises(Refused) as refused:
        talk.ask(format=AnswerFormat("json_schema", "Joke", {"type": "object", "properties": {}}))
    assert refused.value.code == "unsupported_schema"
    assert not talk.requests


def test_a_conversation_without_a_scan_is_refused(asker: Asker) -> None:
    with asker.talking(json.dumps(GOOD)) as talk, pytest.raises(Refused) as refused:
        talk.ask("What is it?", scans=())
    assert refused.value.code == "no_scan"


@pytest.mark.parametrize("reply", ["not json", "{}", {"refusal": "No."}])
def test_a_model_that_talks_nonsense_gives_way_to_the_computed_words(asker: Asker, reply: Reply) -> None:
    with asker.talking(reply) as talk:
        completion = talk.ask("What is it?")
        computed = Explanation.model_validate(talk.ask_screener("What is it?").answer)
    explanation = Explanation.model_validate(completion.answer)
    assert explanation.backend == "grounded"
    assert explanation.findings == computed.findings
    assert completion.text.startswith(f"{computed.answer} The vision-language model's words are not used, because it ")


@pytest.mark.parametrize("reply", [401, 404, Misbehaviour.IS_NO_STREAM])
def test_a_model_that_fails_is_an_error_that_names_the_screener(asker: Asker, reply: Reply) -> None:
    with asker.talking(reply) as talk:
        with pytest.raises(ExplainerUnavailable) as failed:
            talk.ask("What is it?")
        (record,) = talk.records()
        assert talk.ask_screener("What is it?").text
    assert outcome_of(failed.value).http_status == 502
    assert "xray-screener" in failed.value.hint
    assert record.error_code == "explainer_unavailable"


def test_tokens_are_counted_as_the_screener_counts_them(asker: Asker) -> None:
    with asker.talking(json.dumps(GOOD)) as talk:
        completion = talk.ask("What is it?")
        short = talk.ask("What is it?", most_tokens=4)
    assert completion.usage.prompt == tokens_in("What is it?")
    assert completion.usage.completion == tokens_in(completion.text)
    assert (short.usage.completion, short.finish_reason) == (4, "length")


def test_it_has_a_name_of_its_own(asker: Asker) -> None:
    with asker.talking("") as talk:
        models = VlmModel(talk.decisions), ScreenerModel(talk.decisions)
    assert [model.model_id for model in models] == ["xray-vlm", "xray-screener"]
