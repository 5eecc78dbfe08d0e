from __future__ import annotations

import base64
import json
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from anthropic.types import ToolParam, ToolResultBlockParam
from hypothesis import given
from hypothesis import strategies as st
from openai.lib._pydantic import to_strict_json_schema
from openai.types.chat import ChatCompletionFunctionToolParam
from pydantic import TypeAdapter, ValidationError

from tests.library.pictures import ScriptedDetector, bag, encoded, found, screener_that_finds
from xray_agent_tools.adapters import anthropic, openai
from xray_agent_tools.errors import Overloaded
from xray_agent_tools.screener import Screener
from xray_agent_tools.tools import MOST_DETECTIONS, TOOLS, VIEW_SCAN, ToolSpec

FORBIDDEN_KEYWORDS = {"prefixItems", "allOf", "not", "if", "patternProperties", "dependentRequired"}


def nodes(schema: Any) -> list[dict[str, Any]]:
    if isinstance(schema, dict):
        return [schema, *(node for value in schema.values() for node in nodes(value))]
    if isinstance(schema, list):
        return [node for value in schema for node in nodes(value)]
    return []


@pytest.mark.parametrize("tool", TOOLS, ids=lambda tool: tool.name)
def test_our_strict_schema_is_the_one_that_openais_own_converter_makes(tool: ToolSpec) -> None:
    ours = next(d["function"] for d in openai.tools() if d["function"]["name"] == tool.name)
    assert ours["parameters"] == to_strict_json_schema(tool.input_model)
    assert ours["strict"] is True


@pytest.mark.parametrize("tool", [*TOOLS, VIEW_SCAN], ids=lambda tool: tool.name)
def test_answers_survive_the_strict_converter_too(tool: ToolSpec) -> None:
    schema = to_strict_json_schema(tool.output_model)
    for node in nodes(schema):
        assert not FORBIDDEN_KEYWORDS & set(node)
        if node.get("type") == "object":
            assert node["additionalProperties"] is False
            assert node["required"] == list(node["properties"])


@pytest.mark.parametrize("definitions", [openai.tools(), openai.tools(api="responses"), anthropic.tools()])
def test_definitions_are_valid_and_in_a_fixed_order(definitions: list[dict[str, Any]]) -> None:
    assert [d.get("name") or d["function"]["name"] for d in definitions] == [tool.name for tool in TOOLS]
    for definition in definitions:
        schema = definition.get("input_schema") or definition.get("parameters") or definition["function"]["parameters"]
        jsonschema.Draft202012Validator.check_schema(schema)


def test_definitions_have_the_shape_that_the_client_libraries_type() -> None:
    for definition in openai.tools():
        TypeAdapter(ChatCompletionFunctionToolParam).validate_python(definition)
    for definition in anthropic.tools():
        TypeAdapter(ToolParam).validate_python(definition)


@pytest.mark.parametrize("tool", [*TOOLS, VIEW_SCAN], ids=lambda tool: tool.name)
def test_every_tool_and_argument_is_described(tool: ToolSpec) -> None:
    assert tool.title
    assert len(tool.description) > 100
    schemas = (tool.input_model.model_json_schema(), tool.output_model.model_json_schema())
    for node in (node for schema in schemas for node in nodes(schema)):
        for name, value in node.get("properties", {}).items():
            if isinstance(value, dict) and name != "properties":
                assert "description" in value or "$ref" in value, name


def test_a_call_is_answered_with_the_tools_json(tmp_path: Path) -> None:
    path = tmp_path / "bag.png"
    path.write_bytes(encoded(bag()))
    screener = screener_that_finds(found("gun"))
    arguments = json.dumps({"scan": str(path), "labels": None, "min_confidence": None, "detail": "concise"})
    answer = json.loads(openai.call_tool("detect_threats", arguments, screener=screener))
    schema = next(tool.output_model for tool in TOOLS if tool.name == "detect_threats").model_json_schema()
    jsonschema.validate(answer, schema)
    assert answer["verdict"] == "ALARM"


def test_anthropic_gets_a_result_block_and_errors_are_marked(tmp_path: Path) -> None:
    path = tmp_path / "bag.png"
    path.write_bytes(encoded(bag()))
    screener = screener_that_finds()
    good = anthropic.call_tool("t1", "assess_declaration", {"scan": str(path), "declared_items": []}, screener=screener)
    bad = anthropic.call_tool("t2", "detect_threats", {"scan": "missing.png"}, screener=screener)
    for block in (good, bad):
        TypeAdapter(ToolResultBlockParam).validate_python(block)
    assert (good["is_error"], bad["is_error"]) == (False, True)
    assert json.loads(bad["content"])["error"]["code"] == "invalid_scan"


@pytest.mark.parametrize(
    ("name", "arguments", "code"),
    [
        ("detect", "{}", "unknown_tool"),
        ("detect_threats", "{", "invalid_argument"),
        ("detect_threats", "[]", "invalid_argument"),
        ("detect_threats", "{}", "invalid_argument"),
        ("detect_threats", '{"scan": 5}', "invalid_argument"),
        ("detect_threats", '{"scan": "a.png", "threshold": 1}', "invalid_argument"),
        ("detect_threats", '{"scan": "a.png"}', "invalid_scan"),
        ("detect_threats", '{"scan": "http://a/b.png"}', "access_denied"),
        ("detect_threats", "[" * 100_000, "invalid_argument"),
        ("explain_scan", '{"scan": "a.png", "detail": "long"}', "invalid_argument"),
        ("assess_declaration", '{"scan": "a.png"}', "invalid_argument"),
        ("assess_declaration", '{"scan": "a.png", "declared_items": "x"}', "invalid_argument"),
        (
            "assess_declaration",
            '{"scan": "a.png", "declared_items": [], "policy": "/etc/policy.yaml"}',
            "invalid_argument",
        ),
        ("explain_scan", '{"scan": "BAG", "question": "\\ud800"}', "invalid_argument"),
    ],
)
def test_a_wrong_call_comes_back_as_an_error_the_model_can_act_on(
    name: str, arguments: str, code: str, tmp_path: Path
) -> None:
    (tmp_path / "bag.png").write_bytes(encoded(bag()))
    arguments = arguments.replace("BAG", str(tmp_path / "bag.png"))
    answer = json.loads(openai.call_tool(name, arguments, screener=screener_that_finds()))
    assert answer["error"]["code"] == code
    assert answer["error"]["hint"]


def test_a_call_without_a_policy_uses_the_one_that_the_operator_chose(tmp_path: Path) -> None:
    (tmp_path / "bag.png").write_bytes(encoded(bag()))
    screener = Screener(model=ScriptedDetector(), policy="cabin")
    arguments: dict[str, Any] = {"scan": str(tmp_path / "bag.png"), "declared_items": [], "policy": None}
    answer = json.loads(openai.call_tool("assess_declaration", arguments, screener=screener))
    assert answer["policy"]["name"] == "cabin"


@given(st.text(max_size=60), st.text(max_size=200))
def test_any_call_comes_back_as_json(name: str, arguments: str) -> None:
    assert "error" in json.loads(openai.call_tool(name, arguments, screener=screener_that_finds()))


def scan_files(folder: Path) -> list[str]:
    """Two views of a bag, as files."""
    views = {"top.png": bag(), "side.png": bag(240, 180)}
    for name, pixels in views.items():
        (folder / name).write_bytes(encoded(pixels))
    return [str(folder / name) for name in views]


@pytest.mark.parametrize("tool", [*TOOLS, VIEW_SCAN], ids=lambda tool: tool.name)
def test_a_scan_is_one_text_or_a_list_of_views_to_every_interface(tool: ToolSpec) -> None:
    schemas = [tool.input_model.model_json_schema(), to_strict_json_schema(tool.input_model)]
    schemas += [d["function"]["parameters"] for d in openai.tools() if d["function"]["name"] == tool.name]
    schemas += [d["input_schema"] for d in anthropic.tools() if d["name"] == tool.name]
    for schema in schemas:
        kinds = schema["properties"]["scan"]["anyOf"]
        assert kinds == [{"type": "string"}, {"type": "array", "items": {"type": "string"}}]


@pytest.mark.parametrize("definitions", [openai.tools(), openai.tools(api="responses"), anthropic.tools()])
def test_a_call_with_a_list_of_views_fits_the_schemas_and_nothing_else_does(definitions: list[dict[str, Any]]) -> None:
    for definition in definitions:
        function = definition.get("function", definition)
        schema = function.get("input_schema") or function["parameters"]
        values: dict[str, Any] = dict.fromkeys(schema["required"])
        values |= {"max_detections": 20, "detail": "concise"}
        values |= {"declared_items": ["laptop"]} if function["name"] == "assess_declaration" else {}
        for scan in ("a.png", ["a.png"], ["a.png", "b.png"]):
            jsonschema.validate({**values, "scan": scan}, schema)
        for wrong in (None, 5, [5], [["a.png"]], {"path": "a.png"}):
            with pytest.raises(jsonschema.ValidationError):
                jsonschema.validate({**values, "scan": wrong}, schema)


@pytest.mark.parametrize("tool", TOOLS, ids=lambda tool: tool.name)
def test_views_of_one_bag_go_through_the_adapters(tool: ToolSpec, tmp_path: Path) -> None:
    arguments: dict[str, Any] = {"scan": scan_files(tmp_path)}
    arguments |= {"declared_items": ["gun"]} if tool.name == "assess_declaration" else {}
    screener = screener_that_finds(found("gun"))
    text = openai.call_tool(tool.name, json.dumps(arguments), screener=screener)
    block = anthropic.call_tool("t1", tool.name, arguments, screener=screener)
    answer = tool.output_model.model_validate_json(text)
    assert not block["is_error"]
    assert (
        tool.output_model.model_validate_json(block["content"]).model_dump()["scan_id"]
        == answer.model_dump()["scan_id"]
    )
    assert {"d1", "d2"} <= set(text.replace('"', " ").split())
    if tool.name == "detect_threats":
        assert [d["view"] for d in json.loads(text)["detections"]] == [0, 1]


def test_views_may_be_given_in_different_ways_and_a_list_of_one_is_that_view(tmp_path: Path) -> None:
    top, side = scan_files(tmp_path)
    uri = "data:image/png;base64," + base64.b64encode(Path(side).read_bytes()).decode()
    screener = screener_that_finds(found("gun"))

    def scan_id(scan: object) -> str:
        return str(json.loads(openai.call_tool("detect_threats", {"scan": scan}, screener=screener))["scan_id"])

    assert scan_id([top, uri]) == scan_id([top, side])
    assert scan_id([top]) == scan_id(top)
    assert scan_id([side, top]) != scan_id([top, side])


def test_views_may_be_the_json_text_of_a_list_and_a_name_in_brackets_is_still_a_name(tmp_path: Path) -> None:
    views = scan_files(tmp_path)
    odd = tmp_path / "[top].png"
    odd.write_bytes(Path(views[0]).read_bytes())
    screener = screener_that_finds(found("gun"))
    text, plain = (asked("detect_threats", screener, scan=scan)["scan_id"] for scan in (json.dumps(views), views))
    assert text == plain
    for name in ("[top].png", '["top.png"'):
        values = TOOLS[0].input_model.model_validate({"scan": name})
        assert values.model_dump()["scan"] == name
    assert asked("detect_threats", screener, scan=str(odd))["verdict"] == "ALARM"


@pytest.mark.parametrize(
    ("scan", "code"),
    [([], "invalid_scan"), (["GOOD", "missing.png"], "invalid_scan"), (["GOOD"] * 9, "scan_too_large")],
    ids=["no view", "one view missing", "too many views"],
)
def test_a_bag_with_a_wrong_view_is_refused_as_a_whole(scan: list[str], code: str, tmp_path: Path) -> None:
    good = scan_files(tmp_path)[0]
    views = [good if view == "GOOD" else view for view in scan]
    answer = json.loads(openai.call_tool("detect_threats", {"scan": views}, screener=screener_that_finds()))
    assert answer["error"]["code"] == code


def asked(tool: str, screener: Screener, **arguments: Any) -> Any:
    return json.loads(openai.call_tool(tool, arguments, screener=screener))


@pytest.mark.parametrize("labels", [["knife"], '["knife"]', ' [ "knife" ]\n', '["\\u006bnife"]'])
def test_labels_may_be_a_list_or_its_json_text(labels: object, tmp_path: Path) -> None:
    screener = screener_that_finds(found("gun"), found("knife"))
    answer = asked("detect_threats", screener, scan=scan_files(tmp_path)[0], labels=labels)
    assert [detection["label"] for detection in answer["detections"]] == ["knife"]


@given(st.lists(st.text(max_size=30), max_size=6), st.booleans())
def test_a_declaration_as_json_text_is_the_declaration(declared: list[str], plain: bool) -> None:
    model = next(tool.input_model for tool in TOOLS if tool.name == "assess_declaration")
    text = json.dumps(declared, ensure_ascii=plain)
    from_text, from_list = (
        model.model_validate({"scan": "a.png", "declared_items": given}) for given in (text, declared)
    )
    assert from_text == from_list


def test_a_declaration_as_json_text_is_matched_like_a_list(tmp_path: Path) -> None:
    screener, scan = screener_that_finds(found("knife")), scan_files(tmp_path)[0]
    answers = [
        asked("assess_declaration", screener, scan=scan, declared_items=declared)
        for declared in (["my knife", "a [red] thing"], '["my knife", "a [red] thing"]')
    ]
    assert answers[0]["items"] == answers[1]["items"]
    assert answers[0]["items"][0]["status"] == "declared_and_seen"


@pytest.mark.parametrize(
    "text",
    ["knife", "[knife]", '["knife"', "[1]", "[null]", '[["knife"]]', "null", '{"a": 1}', '"knife"', "[" * 100_000, ""],
    ids=lambda text: text[:10] or "nothing",
)
@pytest.mark.parametrize(("tool", "name"), [("detect_threats", "labels"), ("assess_declaration", "declared_items")])
def test_text_that_is_no_list_of_texts_is_refused_and_never_guessed_at(
    tool: str, name: str, text: str, tmp_path: Path
) -> None:
    answer = asked(tool, screener_that_finds(), scan=scan_files(tmp_path)[0], **{name: text})
    assert answer["error"]["code"] == "invalid_argument"
    assert name in answer["error"]["message"]


def test_an_empty_declaration_may_be_json_text_and_empty_labels_may_not(tmp_path: Path) -> None:
    screener, scan = screener_that_finds(), scan_files(tmp_path)[0]
    assert asked("assess_declaration", screener, scan=scan, declared_items="[]")["items"] == []
    assert asked("detect_threats", screener, scan=scan, labels="[]")["error"]["code"] == "invalid_argument"


def test_an_agent_gets_twenty_detections_unless_it_asks_for_others(tmp_path: Path) -> None:
    screener, scan = screener_that_finds(*[found("gun")] * 60), scan_files(tmp_path)[0]
    listed = {
        most: asked("detect_threats", screener, scan=scan, **({} if most is None else {"max_detections": most}))
        for most in (None, 1, MOST_DETECTIONS)
    }
    assert [len(answer["detections"]) for answer in listed.values()] == [20, 1, MOST_DETECTIONS]
    assert [answer["left_out"] for answer in listed.values()] == [40, 59, 60 - MOST_DETECTIONS]
    assert {answer["verdict"] for answer in listed.values()} == {"ALARM"}


@pytest.mark.parametrize("most", [0, -1, MOST_DETECTIONS + 1, 1.5, "many", None, [1]])
@pytest.mark.parametrize("tool", TOOLS, ids=lambda tool: tool.name)
def test_a_limit_out_of_range_is_an_error_the_model_can_act_on(tool: ToolSpec, most: object, tmp_path: Path) -> None:
    arguments: dict[str, Any] = {"scan": scan_files(tmp_path)[0], "max_detections": most}
    arguments |= {"declared_items": []} if tool.name == "assess_declaration" else {}
    answer = asked(tool.name, screener_that_finds(), **arguments)
    assert answer["error"]["code"] == "invalid_argument"
    assert "max_detections" in answer["error"]["message"]


def test_the_tool_that_shows_pictures_is_not_offered_where_only_text_comes_back() -> None:
    assert VIEW_SCAN not in TOOLS
    answer = asked("view_scan", screener_that_finds(), scan="a.png")
    assert answer["error"]["code"] == "unknown_tool"


def test_the_arguments_of_view_scan_are_those_of_the_screener() -> None:
    values = VIEW_SCAN.input_model.model_validate({"scan": ["a.png", "b.png"], "labels": '["gun"]'}).model_dump()
    assert values == {
        "scan": ["a.png", "b.png"],
        "detection_id": None,
        "view": 0,
        "boxes": True,
        "labels": ["gun"],
        "min_confidence": None,
    }


@pytest.mark.parametrize(
    "arguments", [{}, {"scan": "a.png", "view": -1}, {"scan": "a.png", "detail": "full"}, {"scan": "a.png", "boxes": 5}]
)
def test_wrong_arguments_of_view_scan_are_refused(arguments: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        VIEW_SCAN.input_model.model_validate(arguments)


def test_how_long_to_wait_reaches_the_model(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    screener = screener_that_finds()

    def busy(*_: Any, **__: Any) -> Any:
        raise Overloaded("the queue is full", hint="call again later", retry_after=2.0)

    monkeypatch.setattr(screener, "detect_threats", busy)
    answer = asked("detect_threats", screener, scan=scan_files(tmp_path)[0])
    assert (answer["error"]["code"], answer["error"]["retry_after"]) == ("overloaded", 2.0)
