from __future__ import annotations

import base64
from collections.abc import Callable, Iterator
from io import BytesIO
from urllib.parse import quote

import numpy as np
import pytest
from anyio.from_thread import BlockingPortal, start_blocking_portal
from mcp.types import INVALID_PARAMS, BlobResourceContents, TextResourceContents
from PIL import Image
from xray_servers.mcp.install import skill_text

from tests.library.pictures import bag, encoded
from tests.servers.memory import ERAS, SCANS, Conversation, answer_of, conversation, without_timing
from xray_agent_tools.declaration.policy import embedded_policies, load_policy
from xray_agent_tools.detector.package import load_package
from xray_agent_tools.render import LONGEST_SIDE_PX, as_jpeg
from xray_agent_tools.report import ThreatReport
from xray_agent_tools.scan import scan_id_of
from xray_agent_tools.screener import Screener
from xray_agent_tools.taxonomy import taxonomy
from xray_agent_tools.tools import MOST_DETECTIONS

SKILL = "skill://xray-agent-tools/screen-xray-bags/SKILL.md"
JSON, MARKDOWN, JPEG = "application/json", "text/markdown", "image/jpeg"

LISTED = {SKILL: MARKDOWN, "xray://taxonomy": JSON, "xray://model-card": MARKDOWN}
TEMPLATES = {
    "xray://taxonomy/{label}": JSON,
    "xray://policies/{name}": JSON,
    "xray://scans/{scan_id}": JPEG,
    "xray://scans/{scan_id}/report": JSON,
}

SCAN = SCANS / "bag_1.png"
SCAN_ID = scan_id_of([SCAN.read_bytes()])


@pytest.fixture(scope="module")
def portal() -> Iterator[BlockingPortal]:
    with start_blocking_portal() as portal:
        yield portal


@pytest.fixture(scope="module", params=ERAS)
def agent(
    request: pytest.FixtureRequest, portal: BlockingPortal, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Conversation]:
    with conversation(portal, request.param, tmp_path_factory.mktemp("shelf")) as agent:
        assert answer_of(agent.call("detect_threats", scan=SCAN.name))["scan_id"] == SCAN_ID
        yield agent


@pytest.fixture(scope="module")
def screener() -> Screener:
    return Screener()


def text_at(agent: Conversation, uri: str) -> str:
    content = agent.read(uri)
    assert isinstance(content, TextResourceContents)
    return content.text


def picture_at(agent: Conversation, uri: str) -> bytes:
    content = agent.read(uri)
    assert isinstance(content, BlobResourceContents)
    return base64.b64decode(content.blob, validate=True)


# What is published


def test_the_resources_are_listed_with_what_they_hold(agent: Conversation) -> None:
    resources = agent.portal.call(agent.client.list_resources).resources
    assert {str(resource.uri): resource.mime_type for resource in resources} == LISTED
    for resource in resources:
        assert resource.title, resource.uri
        assert len((resource.description or "").split()) >= 5, resource.uri


def test_the_templates_are_listed_with_what_they_hold(agent: Conversation) -> None:
    templates = agent.portal.call(agent.client.list_resource_templates).resource_templates
    assert {template.uri_template: template.mime_type for template in templates} == TEMPLATES
    for template in templates:
        assert template.title, template.uri_template
        assert len((template.description or "").split()) >= 5, template.uri_template


@pytest.mark.parametrize(
    ("uri", "mime_type"),
    [
        *LISTED.items(),
        ("xray://taxonomy/gun", JSON),
        ("xray://policies/customs", JSON),
        (f"xray://scans/{SCAN_ID}", JPEG),
        (f"xray://scans/{SCAN_ID}/report", JSON),
    ],
)
def test_a_resource_comes_as_the_kind_that_was_promised(agent: Conversation, uri: str, mime_type: str) -> None:
    content = agent.read(uri)
    assert (str(content.uri), content.mime_type) == (uri, mime_type)


# What they hold


def model_card() -> str:
    return (load_package("default").folder / "CARD.md").read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("uri", "expected"),
    [
        (SKILL, skill_text),
        ("xray://taxonomy", lambda: taxonomy().model_dump_json()),
        ("xray://model-card", model_card),
    ],
)
def test_a_reference_is_the_librarys_own(agent: Conversation, uri: str, expected: Callable[[], str]) -> None:
    assert text_at(agent, uri) == expected()


def test_every_label_can_be_read(agent: Conversation) -> None:
    for item in taxonomy().items:
        assert text_at(agent, f"xray://taxonomy/{item.label}") == item.model_dump_json()


def test_every_policy_can_be_read(agent: Conversation) -> None:
    assert embedded_policies()
    for name in embedded_policies():
        assert text_at(agent, f"xray://policies/{name}") == load_policy(name).model_dump_json()


def test_a_scan_that_was_given_can_be_seen_without_boxes(agent: Conversation, screener: Screener) -> None:
    assert picture_at(agent, f"xray://scans/{SCAN_ID}") == as_jpeg(screener.view_scan(SCAN, boxes=False).picture)


def test_a_large_scan_is_seen_as_large_as_models_see(agent: Conversation) -> None:
    content = encoded(bag(2400, 1200))
    uri = "data:image/png;base64," + base64.b64encode(content).decode()
    scan_id = answer_of(agent.call("detect_threats", scan=uri))["scan_id"]
    with Image.open(BytesIO(picture_at(agent, f"xray://scans/{scan_id}")), formats=["JPEG"]) as picture:
        assert picture.size == (LONGEST_SIDE_PX, LONGEST_SIDE_PX // 2)
        assert np.asarray(picture).std() > 0


def test_the_report_of_a_scan_is_the_full_one(agent: Conversation, screener: Screener) -> None:
    report = ThreatReport.model_validate_json(text_at(agent, f"xray://scans/{SCAN_ID}/report"))
    direct = screener.detect_threats(SCAN, max_detections=MOST_DETECTIONS, detail="full")
    assert report.detections
    assert without_timing(report.model_dump()) == without_timing(direct.model_dump())


# What cannot be read


def test_an_unknown_label_is_answered_with_those_like_it(agent: Conversation) -> None:
    refusal = agent.refusal_of("xray://taxonomy/scisors")
    assert "scissors" in refusal.message


def test_an_unknown_policy_is_answered_with_those_that_there_are(agent: Conversation) -> None:
    refusal = agent.refusal_of("xray://policies/nowhere")
    assert all(name in refusal.message for name in embedded_policies())


def test_an_unknown_scan_is_answered_with_what_to_give_instead(agent: Conversation) -> None:
    for uri in ("xray://scans/scan-0000000000000001", "xray://scans/scan-0000000000000001/report"):
        refusal = agent.refusal_of(uri)
        assert "unknown_scan" in refusal.message
        assert "60 minutes" in refusal.message


@pytest.mark.parametrize(
    "name",
    [
        SCAN.name,
        quote(str(SCAN), safe=""),
        str(SCAN),
        quote("../../../../etc/passwd", safe=""),
        "..",
        quote("data:image/png;base64," + base64.b64encode(encoded(bag())).decode(), safe=""),
        SCAN_ID.upper(),
        SCAN_ID + "%0A",
        quote(f'["{SCAN.name}"]', safe=""),
    ],
)
@pytest.mark.parametrize("part", ["", "/report"], ids=["picture", "report"])
def test_only_a_scan_id_names_a_scan_here(agent: Conversation, name: str, part: str) -> None:
    known = agent.desk.shelf.listed("")
    refusal = agent.refusal_of(f"xray://scans/{name}{part}")
    assert len(refusal.message) < 1000 + len(name)
    assert agent.desk.shelf.listed("") == known


@pytest.mark.parametrize(
    "uri",
    [
        "xray://policies/../taxonomy",
        "xray://policies/..%2f..%2fmodels",
        "xray://taxonomy/",
        "xray://nothing",
        "xray://model-card/CARD.md",
        "file:///etc/passwd",
        "skill://xray-agent-tools/other/SKILL.md",
    ],
)
def test_what_is_not_offered_is_refused(agent: Conversation, uri: str) -> None:
    assert agent.refusal_of(uri).code == INVALID_PARAMS


def test_the_scan_of_another_owner_cannot_be_read(agent: Conversation) -> None:
    content = (SCANS / "bag_3.png").read_bytes()
    name = scan_id_of([content])
    agent.desk.shelf.keep("officer-7", name, [content])
    for uri in (f"xray://scans/{name}", f"xray://scans/{name}/report"):
        assert "unknown_scan" in agent.refusal_of(uri).message
    agent.desk.shelf.keep("", name, [content])
    assert picture_at(agent, f"xray://scans/{name}")
