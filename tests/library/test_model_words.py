"""Whatever a vision-language model replies, an explanation names no item that was not detected, but as a disagreement."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable
from functools import cache

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.library.pictures import bag, found, screener_that_finds
from xray_agent_tools.explainer.claims import in_the_models_words
from xray_agent_tools.explainer.named import unsupported_names
from xray_agent_tools.explainer.reply import Claim, Reply
from xray_agent_tools.report import Explanation, ThreatReport
from xray_agent_tools.taxonomy import taxonomy
from xray_agent_tools.wording import calls_harmless

BOXES = ((30, 40, 90, 80), (150, 100, 220, 130), (200, 40, 260, 90))
DETECTED = (("gun", "knife"), ("scissors",), ("lighter", "power_bank", "spray_can"), ())
OTHERS_BAG = "bag"


@cache
def seen(labels: tuple[str, ...]) -> tuple[ThreatReport, Explanation]:
    """A report of these detections, and its computed explanation."""
    boxes = [found(label, 0.97, box) for label, box in zip(labels, BOXES, strict=False)]
    screener = screener_that_finds(*boxes)
    report = screener.detect_threats(bag())
    return report, screener.explain_scan(report, question="What is it?")


def names_of(label: str) -> list[str]:
    item = taxonomy().item(label)
    return [name for name in (item.words, *item.aliases) if name != OTHERS_BAG]


def written_by_model(explanation: Explanation, computed: Explanation) -> list[str]:
    """The texts of an explanation that a model wrote."""
    texts = [explanation.answer] if explanation.answer != computed.answer else []
    for finding in explanation.findings:
        if finding not in computed.findings:
            texts += [finding.claim, *finding.cues[1:]]
    return texts


# Ways to write a name so that a reader knows it and a careless check does not.


def spread(mark: str) -> Callable[[str], str]:
    return lambda name: mark.join(name)


def replaced(pairs: str) -> Callable[[str], str]:
    table = str.maketrans(dict(pair.split("=") for pair in pairs.split()))
    return lambda name: name.translate(table)


def shifted(start: int) -> Callable[[str], str]:
    """Letters of another alphabet of 26, from its first code point."""
    return lambda name: "".join(chr(start + ord(c) - ord("a")) if "a" <= c <= "z" else c for c in name)


def inside(before: str, after: str) -> Callable[[str], str]:
    return lambda name: f"{name[:2]}{before}{name[2:]}{after}"


DISGUISES: dict[str, Callable[[str], str]] = {
    "plain": str,
    "capitals": str.upper,
    "title": str.title,
    "plural": lambda name: f"{name[:-1]}ies" if name.endswith("y") else name if name.endswith("s") else f"{name}s",
    "plural of a plural": lambda name: f"{name}s" if name.endswith(("rs", "es", "fs")) else name,
    "possessive": lambda name: f"{name}'s",
    "compound": lambda name: f"{name}-shaped",
    "quoted": lambda name: f'"{name}"',
    "underscores": lambda name: name.replace(" ", "_"),
    "lines": lambda name: name.replace(" ", "\n"),
    "zero-width": spread("\u200b"),
    "joiners": spread("\u2060"),
    "soft hyphens": spread("\u00ad"),
    "accents": spread("\u0301"),
    "variation selectors": spread("\ufe0f"),
    "hangul fillers": spread("\u3164"),
    "private use": spread("\ue000"),
    "controls": spread("\x00"),
    "spaced out": spread(" "),
    "dotted": spread("."),
    "hyphenated": spread("-"),
    "markdown": inside("**", "**"),
    "tags": inside("<b>", "</b>"),
    "comment": inside("<!-- -->", ""),
    "references": lambda name: "".join(f"&#{ord(c)};" for c in name),
    "backwards": lambda name: f"\u202e{name[::-1]}\u202c",
    "full width": shifted(0xFF41),
    "bold": shifted(0x1D41A),
    "script": shifted(0x1D4EA),
    "circled": shifted(0x24D0),
    "squared": shifted(0x1F130),
    "negative circled": shifted(0x1F150),
    "flags": shifted(0x1F1E6),
    "cyrillic": replaced("a=\u0430 e=\u0435 o=\u043e p=\u0440 c=\u0441 y=\u0443 x=\u0445 i=\u0456"),
    "greek": replaced("a=\u03b1 o=\u03bf i=\u03b9 u=\u03c5 v=\u03bd k=\u03ba"),
    "small capitals": replaced(
        "b=\u0299 g=\u0262 i=\u026a n=\u0274 l=\u029f r=\u0280 u=\u1d1c a=\u1d00 e=\u1d07 t=\u1d1b"
    ),
    "strokes": replaced("o=\u00f8 l=\u0142 d=\u0111 b=\u0180"),
    "chinese": lambda name: f"{name} \u70b8\u5f39",
}
LEET = replaced("o=0 i=1 e=3 a=4 s=5 t=7")

SENTENCES = (
    "{}",
    "There is a {} here.",
    "There is no {} in the scan.",
    "Not only that, but a {} beside it.",
    "It looks like a {}, doesn't it?",
    "The shape (d1) resembles a {}.",
    "d1 and the {}",
    "A pistol. {}. A knife.",
    "ignore the detector: {}!",
    "organic material around the {} at the upper-left",
)


@st.composite
def disguised(draw: st.DrawFn, label: str) -> str:
    """A sentence that names an item in a way of its own."""
    name = draw(st.sampled_from(names_of(label)))
    disguise = draw(st.sampled_from(sorted(DISGUISES)))
    shown = DISGUISES[disguise](name)
    if disguise in {"capitals", "title", "quoted", "plain"} and len(name) > 3 and draw(st.booleans()):
        shown = LEET(shown)
    return draw(st.sampled_from(SENTENCES)).format(shown)


@st.composite
def replies(draw: st.DrawFn) -> tuple[tuple[str, ...], Reply, set[str]]:
    """What was detected, a reply that names other items here and there, and the texts in which it does."""
    detected = draw(st.sampled_from(DETECTED))
    others = [label for label in taxonomy().labels if label not in detected]
    planted: set[str] = set()

    def text(harmless: str) -> str:
        if draw(st.integers(0, 2)):
            return harmless
        words = draw(disguised(draw(st.sampled_from(others))))
        planted.add(words)
        return words

    ids = st.lists(st.sampled_from(["d1", "d2", "d3", "d9", "D1", ""]), max_size=3)
    claims = [
        Claim(claim=text("A dark shape."), detection_ids=draw(ids), cues=[text("a sharp outline"), text("dense")])
        for _ in range(draw(st.integers(0, 3)))
    ]
    reply = Reply(answer=text("Something stands out."), answered=draw(st.booleans()), findings=claims)
    return detected, reply, planted


@settings(max_examples=2000, deadline=None)
@given(replies())
def test_no_text_that_names_an_undetected_item_gets_into_an_explanation(
    case: tuple[tuple[str, ...], Reply, set[str]],
) -> None:
    detected, reply, planted = case
    report, computed = seen(detected)
    explanation = in_the_models_words(computed, report, reply, backend="vlm:m")
    assert not planted.intersection(written_by_model(explanation, computed))
    marked = {disagreement.claim for disagreement in explanation.disagreements}
    assert reply.answer not in planted or reply.answer in marked
    assert planted.intersection(claim.claim for claim in reply.findings) <= marked


@settings(max_examples=700, deadline=None)
@given(replies())
def test_every_finding_cites_what_was_detected_and_nothing_detected_is_lost(
    case: tuple[tuple[str, ...], Reply, set[str]],
) -> None:
    detected, reply, _ = case
    report, computed = seen(detected)
    explanation = in_the_models_words(computed, report, reply, backend="vlm:m")
    known = {detection.id for detection in report.detections}
    cited = {reference for finding in explanation.findings for reference in finding.detection_ids}
    assert cited == known
    assert all(finding.detection_ids for finding in explanation.findings)
    assert explanation.verdict == report.verdict
    assert explanation.not_assessed == computed.not_assessed
    told = {(finding.claim, *finding.detection_ids) for finding in explanation.findings}
    marked = {disagreement.claim for disagreement in explanation.disagreements}
    assert all((c.claim, *dict.fromkeys(c.detection_ids)) in told or c.claim in marked for c in reply.findings)


FREE = st.lists(
    st.one_of(
        st.text(max_size=12),
        st.sampled_from([name for label in taxonomy().labels for name in names_of(label)]),
        st.sampled_from(["the", "no", "a", "safe", "clear", "d1", ".", ",", "-", " ", "\u200b", "not"]),
    ),
    max_size=12,
).map(" ".join)


def plainly_named(text: str, labels: tuple[str, ...]) -> set[str]:
    """Items that a plain reading finds in a text, once the names of these labels are taken out of it."""
    words = "".join(c for c in unicodedata.normalize("NFKC", text).casefold() if unicodedata.category(c) != "Cf")
    true = sorted((name for label in labels for name in names_of(label)), key=len, reverse=True)
    for name in true:
        words = re.sub(rf"(?<![^\W_]){re.escape(name)}(?:s|es)?(?![^\W_])", "#", words)
    others = [label for label in taxonomy().labels if label not in labels]
    return {
        name
        for label in others
        for name in names_of(label)
        if re.search(rf"(?<![^\W_]){re.escape(name)}(?:s|es)?(?![^\W_])", words)
    }


@settings(max_examples=800, deadline=None)
@given(st.sampled_from(DETECTED), FREE, FREE, FREE)
def test_a_plain_reader_finds_no_undetected_item_in_what_a_model_wrote(
    detected: tuple[str, ...], answer: str, words: str, cue: str
) -> None:
    report, computed = seen(detected)
    ids = [detection.id for detection in report.detections]
    reply = Reply(answer=answer, answered=True, findings=[Claim(claim=words, detection_ids=ids, cues=[cue])])
    explanation = in_the_models_words(computed, report, reply, backend="vlm:m")
    for text in written_by_model(explanation, computed):
        assert not plainly_named(text, detected)
        assert not calls_harmless(text)


@pytest.mark.parametrize(
    ("text", "labels"),
    [
        ("There is a pistol (d1) at the upper-left.", ("gun",)),
        ("A Swiss army knife", ("multi_tool_knife",)),
        ("Two glass bottles, and a knife-like blade", ("glass_bottle", "knife", "razor_blade")),
        ("The bag and its zip: a dense L-shape with a trigger guard, 60 % metal", ("gun",)),
        ("LED lights led the eye from x 60 to y 100", ()),
        ("sharp objects, that is, weapons", ("knife",)),
        ("It\u2019s a 3D\u2011printed gun \u2013 most of it orange\u2026", ("gun_3d_printed",)),
    ],
)
def test_ordinary_words_about_what_was_detected_name_nothing_else(text: str, labels: tuple[str, ...]) -> None:
    assert unsupported_names(text, labels) == []
