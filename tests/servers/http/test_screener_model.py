"""``xray-screener`` says what the tools say, in the form that is asked for, and nothing else."""

from __future__ import annotations

import base64
import copy
import io
import json
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any

import pytest
from anyio.from_thread import BlockingPortal, start_blocking_portal
from hypothesis import example, given
from hypothesis import strategies as st
from openai import pydantic_function_tool
from openai.lib._pydantic import to_strict_json_schema
from PIL import Image
from pydantic import BaseModel
from xray_servers.http.callers import SCOPES, Caller
from xray_servers.http.errors import Refused
from xray_servers.http.openai.conversation import AnswerFormat, Completion, Conversation, OfferedTool, ToolResult
from xray_servers.http.openai.declared import take_apart
from xray_servers.http.openai.published import tool_answering, tool_offered
from xray_servers.http.openai.usage import cut, tokens_in, tokens_of_messages
from xray_servers.http.openai.words import words_for
from xray_servers.http.service import Service

from tests.servers.http.rest_app import timeless, uri
from tests.servers.http.serving import service_at
from xray_agent_tools.adapters.calls import strict_schema
from xray_agent_tools.adapters.openai import tools as published_tools
from xray_agent_tools.errors import InvalidArgument, UnknownScan
from xray_agent_tools.report import Assessment, Explanation, ThreatReport
from xray_agent_tools.tools import TOOLS

ALARM, QUIET = "bag_1.png", "bag_2.png"
"""A scan with one gun, and one on which nothing alarms."""

ANSWERS: list[type[BaseModel]] = [ThreatReport, Explanation, Assessment]
DECLARED = "Declared: laptop, umbrella\nPolicy: cabin"


@dataclass(frozen=True, slots=True)
class Asker:
    """Asks the model from plain test functions."""

    portal: BlockingPortal
    service: Service

    def ask(self, text: str = "", *scans: str, **fields: Any) -> Completion:
        """Ask about a scan, or about :data:`ALARM`."""
        conversation = Conversation(
            scans=scans or (uri(ALARM),), text=text, messages=({"role": "user", "content": text},), **fields
        )
        return self.portal.call(self._complete, conversation)

    def refusal(self, text: str = "", *scans: str, **fields: Any) -> Refused:
        """Why the model does not answer."""
        with pytest.raises(Refused) as refusal:
            self.ask(text, *scans, **fields)
        assert refusal.value.status == 400
        assert refusal.value.hint
        return refusal.value

    def without_scan(self, text: str) -> Refused:
        """Why the model does not answer a conversation without a scan."""
        with pytest.raises(Refused) as refusal:
            self.portal.call(self._complete, Conversation(scans=(), text=text, messages=()))
        return refusal.value

    def records(self) -> int:
        """How many decisions are on record."""
        return len(list(self.service.audit.records()))

    async def _complete(self, conversation: Conversation) -> Completion:
        caller = Caller("", SCOPES, f"request-{self.records()}")
        return await self.service.models["xray-screener"].complete(conversation, caller)


@pytest.fixture(scope="module")
def asker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Asker]:
    service = service_at(tmp_path_factory.mktemp("screener"))
    with (
        service.audit,
        start_blocking_portal() as portal,
        portal.wrap_async_context_manager(service.desk.open()),
    ):
        yield Asker(portal, service)


def function(name: str, parameters: dict[str, Any]) -> OfferedTool:
    return OfferedTool(name, "", parameters)


def plain(answer: dict[str, Any] | None) -> dict[str, Any]:
    """A typed answer without what depends on the clock."""
    assert answer is not None
    without: dict[str, Any] = timeless(answer)
    return without | ({"report": timeless(without["report"])} if "report" in without else {})


# In words


def test_a_scan_alone_gets_the_report_in_words(asker: Asker) -> None:
    completion = asker.ask()
    report = ThreatReport.model_validate(completion.answer)
    assert completion.text.startswith("Verdict: ALARM. ")
    detection = report.detections[0]
    box = detection.box
    assert (
        f"d1: gun (critical), centre-left, box x {box.x_min:.0f} to {box.x_max:.0f}, y {box.y_min:.0f} to "
        f"{box.y_max:.0f} pixels, confidence {detection.confidence:.2f}" in completion.text
    )
    assert "Not looked for: " in completion.text
    assert report.scan_id in completion.text
    assert completion.finish_reason == "stop"


def test_a_scan_with_a_question_gets_an_explanation_that_cites_its_detections(asker: Asker) -> None:
    completion = asker.ask("Where is the gun?")
    explanation = Explanation.model_validate(completion.answer)
    assert explanation.question == "Where is the gun?"
    assert completion.text.startswith(explanation.answer)
    assert "gun at the centre-left (d1)" in completion.text


def test_a_scan_with_a_declaration_gets_an_assessment_by_the_policy_that_is_named(asker: Asker) -> None:
    completion = asker.ask(f"Please compare.\n\n{DECLARED}")
    assessment = Assessment.model_validate(completion.answer)
    assert assessment.policy.name == "cabin"
    assert [item.name for item in assessment.items] == ["laptop", "umbrella", "gun"]
    assert "Recommended action: physical inspection. Risk level: high." in completion.text
    cited = ", ".join(assessment.items[-1].detection_ids)
    assert cited.startswith("d1")
    assert f"- 'gun': undeclared ({cited})" in completion.text


def test_a_declaration_as_a_json_object_means_the_same(asker: Asker) -> None:
    as_object = json.dumps({"declared_items": ["laptop", "umbrella"], "policy": "cabin"})
    assert plain(asker.ask(as_object).answer) == plain(asker.ask(DECLARED).answer)


def test_without_a_named_policy_the_operators_decides(asker: Asker) -> None:
    assert Assessment.model_validate(asker.ask("Declared: nothing").answer).policy.name == "customs"


@pytest.mark.parametrize("number", [1, 2, 3, 5])
def test_no_words_call_a_bag_clear_or_safe(asker: Asker, number: int) -> None:
    scan = uri(f"bag_{number}.png")
    asked = ["", "What is in this bag?", "Is it dangerous?", *(f"Declared:\nPolicy: {p}" for p in ("cabin", "customs"))]
    for completion in [asker.ask(text, scan) for text in asked]:
        assert not re.search(r"\b(clear|safe|harmless|clean)\b", completion.text, re.IGNORECASE)


def test_a_bag_that_no_rule_holds_back_is_told_as_just_that(asker: Asker) -> None:
    held_back = Assessment.model_validate(asker.ask(DECLARED, uri(QUIET)).answer)
    words = words_for(held_back.model_copy(update={"recommended_action": "CLEAR", "risk_level": "low"}))
    assert words.startswith("Recommended action: none; no rule of the policy asks for a review. Risk level: low.")
    assert "items can be missed" in words
    assert "clear" not in words.lower()


def test_of_a_scan_that_shows_nothing_nothing_is_stated(asker: Asker) -> None:
    blank = io.BytesIO()
    Image.new("RGB", (300, 300), "white").save(blank, "PNG")
    completion = asker.ask("", "data:image/png;base64," + base64.b64encode(blank.getvalue()).decode())
    assert completion.text.startswith("Verdict: UNKNOWN. No statement can be made about this scan.")


def test_several_scans_are_the_views_of_one_bag(asker: Asker) -> None:
    completion = asker.ask("", uri(ALARM), uri(QUIET))
    assert len(ThreatReport.model_validate(completion.answer).image.views) == 2
    assert "centre-left of view 1" in completion.text


def test_the_same_conversation_gets_the_same_answer(asker: Asker) -> None:
    assert [asker.ask(DECLARED).text for _ in range(3)] == [asker.ask(DECLARED).text] * 3


def test_a_kept_scan_is_named_by_its_id(asker: Asker) -> None:
    seen = asker.ask().answer or {}
    assert plain(asker.ask("", seen["scan_id"]).answer) == plain(seen)
    with pytest.raises(UnknownScan):
        asker.ask("", "scan-0000000000000000")


def test_the_answer_is_on_record_as_it_was_given(asker: Asker) -> None:
    completion = asker.ask("How many guns?")
    record = asker.service.audit.get(completion.record_id or "")
    assert record.operation == "explain_scan"
    assert json.loads(record.answer or "") == completion.answer


@pytest.mark.parametrize("text", ["", "Is there a knife?", DECLARED])
def test_without_a_scan_the_caller_is_told_how_to_send_one(asker: Asker, text: str) -> None:
    refusal = asker.without_scan(text)
    assert (refusal.status, refusal.code) == (400, "no_scan")
    assert "image_url" in refusal.hint
    assert "scan_id" in refusal.hint


def test_a_question_that_is_too_long_is_refused_by_the_tool(asker: Asker) -> None:
    with pytest.raises(InvalidArgument, match=r"2,?000"):
        asker.ask("why? " * 500)


# As JSON


def without_names(schema: Any) -> Any:
    """A schema without titles and descriptions, its definitions renamed."""
    text = json.dumps(_bare(schema))
    for number, name in enumerate(schema.get("$defs", {})):
        text = text.replace(f'"#/$defs/{name}"', f'"#/$defs/T{number}"').replace(f'"{name}": {{', f'"T{number}": {{')
    return json.loads(text)


def _bare(node: Any) -> Any:
    if isinstance(node, list):
        return [_bare(part) for part in node]
    if not isinstance(node, dict):
        return node
    words = [name for name in ("title", "description") if isinstance(node.get(name), str)]
    return {name: _bare(value) for name, value in node.items() if name not in words}


def inlined(schema: dict[str, Any]) -> Any:
    """A schema without references."""

    def expand(node: Any) -> Any:
        if isinstance(node, list):
            return [expand(part) for part in node]
        if not isinstance(node, dict):
            return node
        if "$ref" in node:
            rest = {name: value for name, value in node.items() if name != "$ref"}
            return expand(schema["$defs"][node["$ref"].rpartition("/")[2]] | rest)
        return {name: expand(value) for name, value in node.items() if name != "$defs"}

    return expand(schema)


def without_limits(node: Any) -> Any:
    """A schema without the keywords that some clients must not send."""
    if isinstance(node, list):
        return [without_limits(part) for part in node]
    if not isinstance(node, dict):
        return node
    limits = {"minimum", "maximum", "minItems", "default", "additionalProperties"}
    return {name: without_limits(value) for name, value in node.items() if name not in limits}


def wrapped(node: Any) -> Any:
    """A schema whose references stand in unions of one, as some clients write a reference with a description."""
    if isinstance(node, list):
        return [wrapped(part) for part in node]
    if not isinstance(node, dict):
        return node
    rest = {name: wrapped(value) for name, value in node.items() if name != "$ref"}
    return rest | ({"anyOf": [{"$ref": node["$ref"]}]} if "$ref" in node else {})


def of_pydantic(model: type[BaseModel]) -> dict[str, Any]:
    return model.model_json_schema()


SPELLINGS: dict[str, Callable[[type[BaseModel]], dict[str, Any]]] = {
    "pydantic's": of_pydantic,
    "openai's strict": to_strict_json_schema,
    "our strict": strict_schema,
    "without names": lambda model: without_names(model.model_json_schema()),
    "inlined": lambda model: inlined(model.model_json_schema()),
    "wrapped": lambda model: wrapped(model.model_json_schema()),
    "without limits": lambda model: without_limits(to_strict_json_schema(model)),
}


def test_a_json_object_is_the_typed_answer(asker: Asker) -> None:
    completion = asker.ask("Where is the gun?", format=AnswerFormat("json_object"))
    assert json.loads(completion.text) == completion.answer
    assert Explanation.model_validate_json(completion.text).question == "Where is the gun?"


@pytest.mark.parametrize("spelling", SPELLINGS)
@pytest.mark.parametrize("model", ANSWERS)
def test_every_published_schema_is_known_however_it_is_spelled(model: type[BaseModel], spelling: str) -> None:
    tool = tool_answering(SPELLINGS[spelling](model))
    assert tool is not None
    assert tool.output_model is model


@pytest.mark.parametrize("model", ANSWERS)
def test_an_answer_follows_the_published_schema_that_is_asked_for(asker: Asker, model: type[BaseModel]) -> None:
    wanted = AnswerFormat("json_schema", "any_name", to_strict_json_schema(model))
    completion = asker.ask(DECLARED, format=wanted)
    answer = model.model_validate_json(completion.text, strict=True)
    assert answer.model_dump(mode="json") == completion.answer


def test_an_assessment_needs_a_declaration(asker: Asker) -> None:
    wanted = AnswerFormat("json_schema", "Assessment", to_strict_json_schema(Assessment))
    refusal = asker.refusal("Is all declared?", format=wanted)
    assert refusal.code == "no_declaration"
    assert "Declared: nothing" in refusal.hint


@pytest.mark.parametrize(
    "schema",
    [
        {},
        {"type": "object", "properties": {"answer": {"type": "string"}}, "required": ["answer"]},
        {"$ref": "#"},
        {"$ref": "#/$defs/A", "$defs": {"A": {"$ref": "#/$defs/A"}}},
        {"allOf": "x"},
        {"type": "object", "properties": 5},
    ],
)
def test_any_other_schema_is_refused_by_name(asker: Asker, schema: dict[str, Any]) -> None:
    before = asker.records()
    refusal = asker.refusal(format=AnswerFormat("json_schema", "verdict_only", schema))
    assert (refusal.code, refusal.param) == ("unsupported_schema", "response_format")
    assert "verdict_only" in refusal.message
    assert "ThreatReport, Explanation, Assessment" in refusal.hint
    assert asker.records() == before


def places_in(schema: Any, path: tuple[str | int, ...] = ()) -> Iterator[tuple[str | int, ...]]:
    """Every place in a schema that says what an answer looks like."""
    names = {"type", "properties", "items", "anyOf", "enum", "$ref"}
    for name, value in list(schema.items()) if isinstance(schema, dict) else list(enumerate(schema)):
        if name in names and not (path and path[-1] == "properties"):
            yield (*path, name)
        if isinstance(value, dict | list):
            yield from places_in(value, (*path, name))


@given(st.sampled_from(ANSWERS), st.data())
def test_a_schema_that_lacks_anything_of_the_structure_is_another(model: type[BaseModel], data: st.DataObject) -> None:
    schema = inlined(model.model_json_schema())
    *path, last = data.draw(st.sampled_from(list(places_in(schema))))
    node = schema
    for name in path:
        node = node[name]
    del node[last]
    assert tool_answering(schema) is None


@pytest.mark.parametrize("limit", [{"maximum": 0.5}, {"minItems": 1}, {"pattern": "^x"}, {"not": {}}, {"maxItems": 3}])
def test_a_limit_that_an_answer_might_break_makes_another_schema(limit: dict[str, Any]) -> None:
    schema = inlined(ThreatReport.model_json_schema())
    schema["properties"]["detections"] |= limit
    assert tool_answering(schema) is None


# As calls


def test_a_forced_call_of_a_published_tool_has_arguments_that_work(asker: Asker) -> None:
    for tool, definition in zip(TOOLS, published_tools(), strict=True):
        offered = function(tool.name, definition["function"]["parameters"])
        completion = asker.ask(DECLARED, tools=(offered,), forced=tool.name)
        [call] = completion.calls
        assert (call.name, completion.finish_reason, completion.text) == (tool.name, "tool_calls", "")
        arguments = json.loads(call.arguments)
        assert set(arguments) == set(definition["function"]["parameters"]["required"])
        caller = Caller("", SCOPES, "by hand")
        again = asker.portal.call(partial(asker.service.decisions.call, caller, tool.name, arguments))
        assert plain(json.loads(again.text)) == plain(completion.answer)


def test_a_forced_call_carries_the_question_and_the_scan_by_its_id(asker: Asker) -> None:
    offered = function("explain_scan", strict_schema(TOOLS[1].input_model))
    [call] = asker.ask("Where is the gun?", tools=(offered,), forced="explain_scan").calls
    assert json.loads(call.arguments) == {
        "scan": (asker.ask().answer or {})["scan_id"],
        "max_detections": 20,
        "detail": "concise",
        "question": "Where is the gun?",
    }


@pytest.mark.parametrize("model", ANSWERS)
def test_a_function_that_takes_a_published_answer_is_called_with_it(asker: Asker, model: type[BaseModel]) -> None:
    offered = pydantic_function_tool(model, name="final_result")["function"]
    completion = asker.ask(DECLARED, tools=(function("final_result", dict(offered["parameters"])),), forced="*")
    [call] = completion.calls
    assert call.name == "final_result"
    assert model.model_validate_json(call.arguments, strict=True).model_dump(mode="json") == completion.answer


@pytest.mark.parametrize(
    ("text", "expected"), [("", "detect_threats"), ("How many?", "explain_scan"), (DECLARED, "assess_declaration")]
)
def test_where_any_call_will_do_the_words_choose_the_tool(asker: Asker, text: str, expected: str) -> None:
    offered = tuple(function(tool.name, strict_schema(tool.input_model)) for tool in TOOLS)
    [call] = asker.ask(text, tools=offered, forced="*").calls
    assert call.name == expected


def test_where_any_call_will_do_one_that_ends_the_work_goes_first(asker: Asker) -> None:
    offered = (
        function("explain_scan", strict_schema(TOOLS[1].input_model)),
        function("final_result", strict_schema(ThreatReport)),
    )
    [call] = asker.ask("How many?", tools=offered, forced="*").calls
    assert call.name == "final_result"


def test_a_function_that_is_not_published_is_not_called(asker: Asker) -> None:
    changed = strict_schema(TOOLS[0].input_model)
    changed["properties"]["lane"] = {"type": "string"}
    strangers = [function("echo", {"type": "object"}), function("detect_threats", changed), function("empty", {})]
    for stranger in strangers:
        refusal = asker.refusal(tools=(stranger,), forced=stranger.name)
        assert (refusal.code, refusal.param) == ("unsupported_tool", "tools")
        assert stranger.name in refusal.message
        assert "detect_threats, explain_scan, assess_declaration" in refusal.hint


def test_a_tool_of_another_name_is_not_ours() -> None:
    parameters = TOOLS[0].input_model.model_json_schema()
    assert tool_offered(function("detect_threats", parameters)) is TOOLS[0]
    assert tool_offered(function("detect_threads", parameters)) is None


def test_tools_that_need_not_be_called_are_not(asker: Asker) -> None:
    offered = (function("detect_threats", strict_schema(TOOLS[0].input_model)),)
    assert asker.ask(tools=offered).text == asker.ask().text


# Results of the caller's own calls


def test_results_of_our_tools_are_worded_without_another_look(asker: Asker) -> None:
    completions = [asker.ask(text) for text in ("", "Where is the gun?", DECLARED)]
    before = asker.records()
    results = tuple(ToolResult(f"call_{n}", json.dumps(one.answer)) for n, one in enumerate(completions))
    worded = asker.ask("Screen it.", tool_results=results)
    assert worded.text == "\n\n".join(one.text for one in completions)
    assert (worded.answer, worded.record_id) == (None, None)
    assert asker.records() == before


def test_a_failed_call_is_worded_as_one_that_states_nothing(asker: Asker) -> None:
    error = UnknownScan("no scan is kept as scan-1", hint="give the scan again")
    worded = asker.ask("Screen it.", tool_results=(ToolResult("call_1", json.dumps(error.as_dict())),))
    assert worded.text == (
        "No statement can be made about the scan: no scan is kept as scan-1 (unknown_scan). give the scan again"
    )


def test_results_come_back_as_json_where_that_is_asked_for(asker: Asker) -> None:
    report, explanation = asker.ask().answer, asker.ask("Where is the gun?").answer
    results = (ToolResult("call_1", json.dumps(report)), ToolResult("call_2", json.dumps(explanation)))
    before = asker.records()
    latest = asker.ask("Screen it.", tool_results=results, format=AnswerFormat("json_object"))
    wanted = AnswerFormat("json_schema", "report", to_strict_json_schema(ThreatReport))
    chosen = asker.ask("Screen it.", tool_results=results, format=wanted)
    assert (json.loads(latest.text), json.loads(chosen.text)) == (explanation, report)
    assert asker.records() == before


@pytest.mark.parametrize("text", ["", "done", "{}", '{"verdict": "NO_ALARM"}', "[1]"])
def test_results_that_are_not_our_tools_are_no_answer_about_the_scan(asker: Asker, text: str) -> None:
    completion = asker.ask("", tool_results=(ToolResult("call_1", text),))
    assert completion.text == asker.ask().text
    assert completion.record_id


# Length


def test_words_are_cut_where_the_caller_says_and_say_so(asker: Asker) -> None:
    whole = asker.ask()
    short = asker.ask(most_tokens=10)
    assert short.finish_reason == "length"
    assert whole.text.startswith(short.text)
    assert (tokens_in(short.text), short.usage.completion) == (10, 10)
    assert asker.ask(most_tokens=whole.usage.completion).finish_reason == "stop"


def test_json_is_never_cut_and_the_refusal_says_how_much_it_takes(asker: Asker) -> None:
    offered = (function("detect_threats", strict_schema(TOOLS[0].input_model)),)
    demands: list[dict[str, Any]] = [
        {"format": AnswerFormat("json_object")},
        {"tools": offered, "forced": "*"},
    ]
    for demand in demands:
        refusal = asker.refusal(most_tokens=5, **demand)
        assert refusal.code == "max_tokens_too_small"
        needed = int(re.findall(r"\d+", refusal.message)[0])
        assert asker.ask(most_tokens=needed + 3, **demand).finish_reason in {"stop", "tool_calls"}


def test_a_picture_counts_nothing_and_every_word_counts_once(asker: Asker) -> None:
    completion = asker.ask("Where is the gun?")
    assert completion.usage.prompt == 5
    assert completion.usage.completion == tokens_in(completion.text)
    assert completion.usage.total == 5 + completion.usage.completion
    pictured = [{"type": "image_url", "image_url": {"url": uri()}}, {"type": "text", "text": "a, b"}]
    call = {"id": "1", "type": "function", "function": {"name": "f", "arguments": "{}"}}
    asked, called = {"role": "user", "content": pictured}, {"role": "assistant", "content": None, "tool_calls": [call]}
    assert tokens_of_messages([asked, called]) == 3 + 3


@given(st.text(), st.integers(1, 20))
@example("a  b.\n c ", 2)
def test_a_cut_text_is_a_beginning_with_so_many_tokens(text: str, most: int) -> None:
    short = cut(text, most)
    assert text.startswith(short)
    assert tokens_in(short) == min(most, tokens_in(text))
    assert short == text or not short[-1].isspace()


# Declarations in text

ITEMS = st.lists(
    st.text(st.characters(categories=["L", "N"], include_characters=" '"), min_size=1).map(str.strip).filter(bool)
).filter(lambda items: [item.lower() for item in items] not in (["nothing"], ["none"]))


@given(
    st.sampled_from(["Declared:", "declaration:", " DECLARED : "]),
    ITEMS,
    st.sampled_from([", ", ";", "\n- ", "\n", ",\n"]),
    st.sampled_from([None, "cabin", "customs", "hold"]),
)
def test_a_declaration_is_read_item_by_item(
    beginning: str, items: list[str], separator: str, policy: str | None
) -> None:
    text = f"{beginning} {separator.join(items)}" + (f"\nPolicy: {policy}" if policy else "")
    said = take_apart(text)
    assert said.declaration is not None
    assert (said.declaration.declared_items, said.declaration.policy) == (items, policy)
    assert said.words == ""


@given(ITEMS)
def test_words_of_strangers_stay_as_they_are_in_a_json_object(items: list[str]) -> None:
    strange = [*items, "a, b; c\nPolicy: hold\n\nDeclared: gun"]
    declaration = take_apart(json.dumps({"declared_items": strange})).declaration
    assert declaration is not None
    assert (declaration.declared_items, declaration.policy) == (strange, None)


def test_an_empty_line_ends_a_declaration_and_the_rest_are_other_words() -> None:
    said = take_apart("Check this.\nDeclared: laptop,\n  toy gun\n\nDoes it fit?")
    assert said.declaration is not None
    assert said.declaration.declared_items == ["laptop", "toy gun"]
    assert said.words.split() == ["Check", "this.", "Does", "it", "fit?"]


@pytest.mark.parametrize("text", ["Declared:", "Declared: nothing", "declaration: None.", '{"declared_items": []}'])
def test_nothing_can_be_declared(text: str) -> None:
    declaration = take_apart(text).declaration
    assert declaration is not None
    assert declaration.declared_items == []


@pytest.mark.parametrize("text", ["", "What was declared: nothing?", "Policy: cabin", '{"items": []}', "{", "[]"])
def test_other_words_are_no_declaration(text: str) -> None:
    said = take_apart(text)
    assert (said.words, said.declaration) == (text, None)


@pytest.mark.parametrize(
    "text",
    [
        "Declared: laptop\nPolicy: none of your business",
        "Declared: laptop\nPolicy: hold\nPolicy: cabin",
        "Declared: laptop\nPolicy:",
        '{"declared_items": "laptop"}',
        '{"declared_items": [1]}',
        '{"declared_items": [], "policy": "lenient"}',
    ],
)
def test_a_declaration_that_cannot_be_read_is_refused_with_the_form_it_should_have(text: str) -> None:
    with pytest.raises(Refused) as refusal:
        take_apart(text)
    assert (refusal.value.status, refusal.value.code) == (400, "invalid_declaration")
    assert "cabin, customs, hold" in refusal.value.hint


def test_published_schemas_are_left_as_they_are() -> None:
    schema = to_strict_json_schema(Assessment)
    before = copy.deepcopy(schema)
    assert tool_answering(schema)
    assert schema == before
