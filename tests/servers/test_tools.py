from __future__ import annotations

import base64
import json
import re
from collections.abc import Iterator
from functools import cache
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from anyio.from_thread import BlockingPortal, start_blocking_portal
from hypothesis import given
from hypothesis import strategies as st
from jsonschema import Draft202012Validator
from mcp.types import CallToolResult, ImageContent, Tool
from PIL import Image
from xray_servers.mcp.rendering import answered
from xray_servers.screening import Answer

from tests.library.pictures import ScriptedDetector, bag, encoded, found, screener_that_finds
from tests.servers.memory import (
    ERAS,
    SCANS,
    Conversation,
    answer_of,
    conversation,
    error_of,
    text_of,
    without_timing,
)
from xray_agent_tools.detector.package import load_package
from xray_agent_tools.detector.protocol import RawDetection
from xray_agent_tools.render import LONGEST_SIDE_PX, as_jpeg
from xray_agent_tools.screener import Screener
from xray_agent_tools.tools import MOST_DETECTIONS, TOOLS, ToolSpec, run_tool

NAMES = ["detect_threats", "explain_scan", "assess_declaration", "view_scan"]

SCAN = "bag_1.png"
CALLS: dict[str, dict[str, Any]] = {
    "detect_threats": {"scan": SCAN, "min_confidence": 0.2},
    "explain_scan": {"scan": SCAN, "question": "what may it be mistaken for?"},
    "assess_declaration": {"scan": SCAN, "declared_items": ["laptop", "Schere"], "policy": "cabin"},
    "view_scan": {"scan": SCAN},
}
WITH_DATA = [name for name in NAMES if name != "view_scan"]

MOST_CHARACTERS_IN_BASE64 = 1_048_576
"""A desktop client has refused results that were longer."""

MOST_TOKENS = 10_000
"""A coding agent warns of results above this, and puts longer ones into a file."""

CHARACTERS_PER_TOKEN = 2.36
"""Fewer than any answer has, so that a count made with it is an upper bound.

The lowest figure measured is 2.63, less 10 % for vocabularies that were not at hand. It was measured on 200 answers with
60 detections (three tools, both details, one and eight views, five mixtures of labels) with the four vocabularies that
the litellm 1.109.1 wheel carries: cl100k_base (from 2.78), o200k_base (2.77), Anthropic's (2.63) and DeepSeek's (2.65).
"""


@pytest.fixture(scope="module")
def portal() -> Iterator[BlockingPortal]:
    with start_blocking_portal() as portal:
        yield portal


@pytest.fixture(scope="module")
def incoming(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The server's first root; the demo scans lie in its second."""
    return tmp_path_factory.mktemp("incoming")


@pytest.fixture(scope="module", params=ERAS)
def agent(
    request: pytest.FixtureRequest, portal: BlockingPortal, incoming: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Conversation]:
    with conversation(portal, request.param, tmp_path_factory.mktemp("shelf"), incoming, SCANS) as agent:
        yield agent


@pytest.fixture(scope="module")
def tools(agent: Conversation) -> list[Tool]:
    return agent.portal.call(agent.client.list_tools).tools


@pytest.fixture(scope="module")
def screener() -> Screener:
    return Screener()


def picture_in(result: CallToolResult) -> ImageContent:
    (picture,) = [block for block in result.content if isinstance(block, ImageContent)]
    return picture


def pixels_in(result: CallToolResult) -> Image.Image:
    return Image.open(BytesIO(base64.b64decode(picture_in(result).data, validate=True)), formats=["JPEG"])


def data_uri(path: Path) -> str:
    return "data:image/png;base64," + base64.b64encode(path.read_bytes()).decode()


DATA_URI = data_uri(SCANS / SCAN)


# What is published


def test_the_tools_come_in_a_fixed_order(tools: list[Tool]) -> None:
    assert [tool.name for tool in tools] == NAMES


def test_every_tool_says_what_it_is_called_and_when_to_use_it(tools: list[Tool]) -> None:
    for tool in tools:
        assert tool.title, tool.name
        assert tool.description, tool.name
        assert re.search(r"\bUse it\b[^.]{8,}\.", tool.description), tool.name


def test_every_tool_has_every_annotation(tools: list[Tool]) -> None:
    for tool in tools:
        assert tool.annotations is not None, tool.name
        assert tool.annotations.model_dump() == {
            "title": tool.title,
            "read_only_hint": True,
            "destructive_hint": False,
            "idempotent_hint": True,
            "open_world_hint": False,
        }, tool.name


def test_every_argument_is_described(tools: list[Tool]) -> None:
    for tool in tools:
        properties = tool.input_schema["properties"]
        assert [name for name, schema in properties.items() if not schema.get("description")] == [], tool.name
        assert tool.input_schema["additionalProperties"] is False, tool.name


def test_every_schema_is_valid(tools: list[Tool]) -> None:
    for tool in tools:
        Draft202012Validator.check_schema(tool.input_schema)
        if tool.output_schema is not None:
            Draft202012Validator.check_schema(tool.output_schema)


def test_only_the_tool_that_answers_with_a_picture_has_no_output_schema(tools: list[Tool]) -> None:
    assert [tool.name for tool in tools if tool.output_schema is None] == ["view_scan"]


# Answers


@pytest.mark.parametrize("name", WITH_DATA)
def test_an_answer_keeps_to_the_published_schema(agent: Conversation, tools: list[Tool], name: str) -> None:
    published = next(tool.output_schema for tool in tools if tool.name == name)
    assert published is not None
    Draft202012Validator(published).validate(agent.call(name, **CALLS[name]).structured_content)


@pytest.mark.parametrize("name", WITH_DATA)
def test_text_and_structured_content_say_the_same(agent: Conversation, name: str) -> None:
    result = agent.call(name, **CALLS[name])
    assert [block.type for block in result.content] == ["text"]
    assert json.loads(text_of(result)) == result.structured_content


@pytest.mark.parametrize("spec", TOOLS, ids=lambda spec: spec.name)
def test_an_answer_is_the_one_that_python_gives(agent: Conversation, screener: Screener, spec: ToolSpec) -> None:
    arguments = CALLS[spec.name]
    direct = run_tool(spec, arguments | {"scan": str(SCANS / SCAN)}, screener)
    assert answer_of(agent.call(spec.name, **arguments)) == without_timing(direct.model_dump(mode="json"))


@pytest.mark.parametrize("name", NAMES)
def test_an_answer_wastes_no_characters(agent: Conversation, name: str) -> None:
    text = text_of(agent.call(name, **CALLS[name]))
    assert text == json.dumps(json.loads(text), separators=(",", ":"), ensure_ascii=False)


def test_an_error_wastes_no_characters(agent: Conversation) -> None:
    text = text_of(agent.call("detect_threats", scan="nowhere.png"))
    assert text == json.dumps(json.loads(text), separators=(",", ":"))


# Pictures


def test_a_picture_comes_with_its_caption_and_without_structured_content(
    agent: Conversation, screener: Screener
) -> None:
    result = agent.call("view_scan", scan=SCAN)
    direct = screener.view_scan(SCANS / SCAN)
    assert [block.type for block in result.content] == ["image", "text"]
    assert result.structured_content is None
    assert picture_in(result).mime_type == "image/jpeg"
    assert base64.b64decode(picture_in(result).data) == as_jpeg(direct.picture)
    assert answer_of(result) == direct.caption.model_dump(mode="json")


def test_one_detection_is_shown_enlarged(agent: Conversation) -> None:
    detection = answer_of(agent.call("detect_threats", scan=SCAN))["detections"][0]
    result = agent.call("view_scan", scan=SCAN, detection_id=detection["id"])
    caption, box = answer_of(result), detection["box"]
    assert caption["detection_ids"] == [detection["id"]]
    assert caption["part"]["x_min"] <= box["x_min"] < box["x_max"] <= caption["part"]["x_max"]
    assert caption["part"]["y_min"] <= box["y_min"] < box["y_max"] <= caption["part"]["y_max"]
    assert pixels_in(result).size == (caption["width"], caption["height"])


def test_a_bare_view_has_no_box_drawn_in(agent: Conversation) -> None:
    bare, boxed = agent.call("view_scan", scan=SCAN, boxes=False), agent.call("view_scan", scan=SCAN)
    assert answer_of(bare)["detection_ids"] == []
    with Image.open(SCANS / SCAN) as original:
        assert pixels_in(bare).size == original.size
        far = np.abs(np.asarray(pixels_in(bare), int) - np.asarray(original.convert("RGB"), int))
        drawn = np.abs(np.asarray(pixels_in(boxed), int) - np.asarray(original.convert("RGB"), int))
    assert far.mean() < 3 < drawn.max()
    assert far.max() < drawn.max()


def test_even_a_large_and_noisy_scan_gives_a_picture_that_clients_take(agent: Conversation, incoming: Path) -> None:
    path = incoming / "noise.jpg"
    if not path.exists():
        noise = np.random.default_rng(0).integers(0, 256, (3000, 4000, 3), dtype=np.uint8)
        Image.fromarray(noise).save(path, quality=90)
    result = agent.call("view_scan", scan="noise.jpg", boxes=False)
    assert max(pixels_in(result).size) == LONGEST_SIDE_PX
    pixels_in(result).load()
    assert len(picture_in(result).data) < MOST_CHARACTERS_IN_BASE64


# Ways to give a scan


@pytest.mark.parametrize("name", NAMES)
def test_the_scan_id_of_an_answer_stands_for_the_scan(agent: Conversation, name: str) -> None:
    first = agent.call(name, **CALLS[name])
    again = agent.call(name, **CALLS[name] | {"scan": answer_of(first)["scan_id"]})
    assert answer_of(again) == answer_of(first)
    assert [block for block in again.content if block.type == "image"] == [
        block for block in first.content if block.type == "image"
    ]


@pytest.mark.parametrize("name", NAMES)
def test_a_data_uri_is_the_same_scan(agent: Conversation, name: str) -> None:
    assert answer_of(agent.call(name, **CALLS[name] | {"scan": DATA_URI})) == answer_of(agent.call(name, **CALLS[name]))


def test_a_relative_path_is_looked_for_in_every_root(agent: Conversation, incoming: Path) -> None:
    (incoming / "first").mkdir(exist_ok=True)
    (incoming / "first" / "new.png").write_bytes(encoded(bag(640, 480)))
    assert answer_of(agent.call("detect_threats", scan="first/new.png"))["image"]["width"] == 640
    in_the_second = answer_of(agent.call("detect_threats", scan="bag_2.png"))
    assert in_the_second == answer_of(agent.call("detect_threats", scan=str(SCANS / "bag_2.png")))


def test_views_of_one_bag_are_one_scan(agent: Conversation) -> None:
    both = answer_of(agent.call("detect_threats", scan=["bag_1.png", "bag_2.png"]))
    alone = [answer_of(agent.call("detect_threats", scan=name)) for name in ("bag_1.png", "bag_2.png")]
    assert both["image"]["views"] == [view for report in alone for view in report["image"]["views"]]
    assert len(both["detections"]) == sum(len(report["detections"]) for report in alone)
    assert answer_of(agent.call("detect_threats", scan=both["scan_id"])) == both
    second = agent.call("view_scan", scan=both["scan_id"], view=1, boxes=False)
    first_of_the_other = agent.call("view_scan", scan="bag_2.png", boxes=False)
    assert picture_in(second).data == picture_in(first_of_the_other).data


@pytest.mark.parametrize(
    ("name", "argument", "value"),
    [
        ("detect_threats", "scan", ["bag_1.png", "bag_2.png"]),
        ("detect_threats", "labels", ["gun", "knife"]),
        ("assess_declaration", "declared_items", ["laptop", 'a "toy" gun', "[nothing else]"]),
        ("view_scan", "labels", ["knife"]),
    ],
)
def test_a_list_that_a_client_sends_as_text_is_read(
    agent: Conversation, name: str, argument: str, value: list[str]
) -> None:
    as_list = agent.call(name, **CALLS[name] | {argument: value})
    as_text = agent.call(name, **CALLS[name] | {argument: json.dumps(value)})
    assert answer_of(as_text) == answer_of(as_list)


# Arguments that are wrong


@pytest.mark.parametrize(
    ("name", "arguments", "field"),
    [
        ("detect_threats", {"scan": None}, "scan"),
        ("detect_threats", {"scan": 5}, "scan"),
        ("detect_threats", {"scan": {"path": SCAN}}, "scan"),
        ("detect_threats", {"max_detections": 0}, "max_detections"),
        ("detect_threats", {"max_detections": MOST_DETECTIONS + 1}, "max_detections"),
        ("detect_threats", {"max_detections": "many"}, "max_detections"),
        ("detect_threats", {"labels": "gun"}, "labels"),
        ("detect_threats", {"labels": [1]}, "labels"),
        ("detect_threats", {"min_confidence": "low"}, "min_confidence"),
        ("detect_threats", {"detail": "verbose"}, "detail"),
        ("detect_threats", {"colour": "red"}, "colour"),
        ("explain_scan", {"question": ["why?"]}, "question"),
        ("explain_scan", {"labels": ["gun"]}, "labels"),
        ("assess_declaration", {"declared_items": None}, "declared_items"),
        ("assess_declaration", {"declared_items": "laptop"}, "declared_items"),
        ("assess_declaration", {"policy": "../customs"}, "policy"),
        ("view_scan", {"view": -1}, "view"),
        ("view_scan", {"boxes": "perhaps"}, "boxes"),
        ("view_scan", {"detection_id": 1}, "detection_id"),
        ("view_scan", {"detail": "full"}, "detail"),
    ],
)
def test_a_wrong_argument_is_named_and_the_scan_is_not_sent_back(
    agent: Conversation, name: str, arguments: dict[str, Any], field: str
) -> None:
    result = agent.call(name, **CALLS[name] | {"scan": DATA_URI} | arguments)
    error = error_of(result)
    assert error["code"] == "invalid_argument"
    assert re.search(rf"\b{field}\b", error["message"])
    assert error["hint"]
    assert "data:image" not in text_of(result)


@pytest.mark.parametrize("name", NAMES)
def test_a_call_without_a_scan_names_what_is_missing(agent: Conversation, name: str) -> None:
    arguments = {argument: value for argument, value in CALLS[name].items() if argument != "scan"}
    error = error_of(agent.call(name, **arguments))
    assert (error["code"], "scan" in error["message"]) == ("invalid_argument", True)


@pytest.mark.parametrize(
    ("name", "argument"),
    [
        ("detect_threats", "labels"),
        ("detect_threats", "min_confidence"),
        ("detect_threats", "max_detections"),
        ("detect_threats", "detail"),
        ("explain_scan", "question"),
        ("assess_declaration", "declared_items"),
        ("assess_declaration", "policy"),
        ("view_scan", "detection_id"),
    ],
)
@pytest.mark.parametrize("wrapped", [False, True], ids=["itself", "in a list"])
def test_a_scan_in_the_wrong_argument_is_not_sent_back(
    agent: Conversation, name: str, argument: str, wrapped: bool
) -> None:
    result = agent.call(name, **CALLS[name] | {argument: [DATA_URI] if wrapped else DATA_URI})
    assert error_of(result)["code"].startswith(("invalid_", "unknown_"))
    assert len(text_of(result)) < 500
    assert DATA_URI[-8:] not in text_of(result)


def test_a_damaged_data_uri_is_refused_without_being_sent_back(agent: Conversation) -> None:
    for damaged in (DATA_URI[: len(DATA_URI) // 2], DATA_URI.replace("A", "!"), "data:image/png," + DATA_URI[22:]):
        result = agent.call("detect_threats", scan=damaged)
        assert error_of(result)["code"] == "invalid_scan"
        assert len(text_of(result)) < 1000


def test_a_path_that_is_not_there_is_answered_with_what_to_give_instead(agent: Conversation, incoming: Path) -> None:
    error = error_of(agent.call("detect_threats", scan="nowhere.png"))
    assert error["code"] == "invalid_scan"
    for way in (str(incoming), str(SCANS), "scan_id", "data URI"):
        assert way in error["hint"]


def test_a_path_outside_the_roots_is_refused_with_the_roots(agent: Conversation, incoming: Path) -> None:
    for outside in ("/etc/hostname", "../../README.md", "file:///etc/hostname", "https://example.org/bag.png"):
        error = error_of(agent.call("detect_threats", scan=outside))
        assert error["code"] == "access_denied"
    assert str(SCANS) in error_of(agent.call("detect_threats", scan="/etc/hostname"))["hint"]


# Progress


def test_the_steps_of_a_first_call_are_told_in_order(era: str, portal: BlockingPortal, tmp_path: Path) -> None:
    with conversation(portal, era, tmp_path) as newcomer:
        result, steps = newcomer.call_with_steps("explain_scan", scan=["bag_1.png", "bag_2.png"])
    assert not result.is_error
    assert [message for _, _, message in steps] == [
        "reading the scan",
        "loading the detector",
        "looking at view 1 of 2",
        "looking at view 2 of 2",
        "wording the explanation",
    ]
    numbers = [number for number, _, _ in steps]
    assert numbers == sorted(set(numbers))


def test_nothing_is_told_to_a_client_that_did_not_ask(agent: Conversation) -> None:
    _, steps = agent.call_with_steps("detect_threats", scan=SCAN)
    assert steps
    told = len(agent.messages)
    assert not agent.call("detect_threats", scan=SCAN).is_error
    assert len(agent.messages) == told


@pytest.fixture(params=ERAS)
def era(request: pytest.FixtureRequest) -> str:
    assert isinstance(request.param, str)
    return request.param


# Tokens


def sixty_boxes(labels: list[str], views: int) -> list[RawDetection]:
    """Boxes with the digits that real ones have, so many on each view that sixty are found on all together."""
    random = np.random.default_rng(1)
    boxes = []
    for index in range(-(-60 // views)):
        x, y, width, height = random.uniform((100, 100, 40, 40), (500, 400, 130, 120))
        boxes.append(
            found(labels[index % len(labels)], float(random.uniform(0.8, 0.99)), (x, y, x + width, y + height))
        )
    return boxes


@cache
def views_of_a_bag(number: int) -> list[str]:
    return ["data:image/png;base64," + base64.b64encode(encoded(bag(800 + i, 600))).decode() for i in range(number)]


@pytest.mark.parametrize("labels", [sorted(load_package("default").thresholds), ["spray_can"]], ids=["mixed", "alike"])
@pytest.mark.parametrize(
    ("views", "chosen"),
    [
        (1, {}),
        (1, {"detail": "full"}),
        (1, {"max_detections": MOST_DETECTIONS}),
        (8, {"max_detections": MOST_DETECTIONS, "detail": "full"}),
    ],
    ids=["as usual", "full", "most", "most in full on eight views"],
)
def test_no_answer_with_sixty_detections_takes_more_tokens_than_agents_take(
    views: int, chosen: dict[str, Any], labels: list[str]
) -> None:
    screener = Screener(model=ScriptedDetector(sixty_boxes(labels, views), package=load_package("default")))
    for spec in TOOLS:
        declared = {"declared_items": ["laptop", "wrench", "two bottles of water"]}
        arguments = {"scan": views_of_a_bag(views), **chosen, **(declared if spec.name.startswith("assess") else {})}
        answer = run_tool(spec, arguments, screener)
        text = text_of(answered(Answer(answer.model_dump_json())))
        assert '"left_out":0' not in text
        assert len(text) / CHARACTERS_PER_TOKEN <= MOST_TOKENS, f"{spec.name}: {len(text)} characters"


def test_the_caption_of_a_picture_with_sixty_boxes_is_short() -> None:
    shown = screener_that_finds(*sixty_boxes(["gun"], 1)).view_scan(bag(1200, 900))
    assert len(shown.caption.detection_ids) == 60
    assert len(shown.caption.model_dump_json()) / CHARACTERS_PER_TOKEN <= MOST_TOKENS / 10


@given(text=st.text(min_size=1, max_size=30))
def test_whatever_a_scan_is_called_the_answer_is_a_scan_or_an_error(agent: Conversation, text: str) -> None:
    error = error_of(agent.call("detect_threats", scan=text))
    assert error["code"] in {"invalid_scan", "access_denied", "invalid_argument"}
