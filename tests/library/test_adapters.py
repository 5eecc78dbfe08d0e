from __future__ import annotations

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
from pydantic import TypeAdapter

from tests.library.pictures import ScriptedDetector, bag, encoded, found, screener_that_finds
from xray_agent_tools.adapters import anthropic, openai
from xray_agent_tools.screener import Screener
from xray_agent_tools.tools import TOOLS, ToolSpec

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


@pytest.mark.parametrize("tool", TOOLS, ids=lambda tool: tool.name)
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


@pytest.mark.parametrize("tool", TOOLS, ids=lambda tool: tool.name)
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
