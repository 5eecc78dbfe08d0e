from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.library.pictures import BLACK, ScriptedDetector, bag, found, report_with, screener_that_finds
from xray_agent_tools.detector.protocol import RawDetection
from xray_agent_tools.errors import InvalidArgument
from xray_agent_tools.report import Explanation
from xray_agent_tools.screener import Screener

GUN, KNIFE = found("gun"), found("knife", 0.95, (150, 100, 220, 130))


def ask(question: str | None, *boxes: RawDetection) -> Explanation:
    return screener_that_finds(*boxes).explain_scan(bag(), question=question)


def cited(answer: Explanation) -> list[str]:
    return [reference for finding in answer.findings for reference in finding.detection_ids]


def test_an_overview_names_each_detection_and_cites_it() -> None:
    answer = ask(None, GUN, KNIFE)
    assert answer.answer.startswith("The scan shows gun at the centre-left (d1) and knife at the centre (d2).")
    assert cited(answer) == ["d1", "d2"]
    assert answer.findings[0].look_alikes == ["gun_3d_printed", "wrench", "hammer", "toy"]
    assert answer.findings[0].confidence_band == "high"
    assert any("metallic (blue)" in cue for cue in answer.findings[0].cues)


@pytest.mark.parametrize(
    ("question", "expected"),
    [
        ("Is there a gun in this bag?", "Yes: 1 gun (d1)"),
        ("Are there any knives?", "Yes: 1 knife (d2)"),
        ("do you see a pistol", "Yes: 1 gun (d1)"),
        ("Is there anything dangerous?", "Yes: 1 gun and 1 knife (d1, d2)"),
        ("Where is the knife?", "knife (d2): centre, x 150 to 220, y 100 to 130"),
        ("How many guns are there?", "1 gun detected (d1)"),
        ("how many items", "1 gun and 1 knife detected (d1, d2)"),
        ("What is the gun made of?", "gun (d1): 100% metallic (blue)"),
        ("Is the knife metal?", "knife (d2):"),
        (
            "What could the gun be mistaken for?",
            "gun is easily confused with gun 3d printed, wrench, hammer and toy (d1)",
        ),
        ("What else could this be?", "gun is easily confused with"),
        ("What should I do?", "For 1 gun and 1 knife (d1, d2): stop the bag, keep it isolated and call a supervisor"),
        ("What do you recommend?", "For 1 gun and 1 knife"),
        ("How sure are you about the gun?", "gun (d1): 0.97, high"),
        ("What do you see?", "The scan shows gun"),
        ("What is in the bag?", "The scan shows gun"),
        ("Describe the scan", "The scan shows gun"),
        ("gun?", "Yes: 1 gun (d1)"),
        ("Should I open it?", "For 1 gun and 1 knife"),
        ("What now?", "For 1 gun and 1 knife"),
        ("Could it be something else?", "gun is easily confused with"),
        (
            "How many guns and explosives are there?",
            "1 gun detected (d1); hidden ones can be missed. This look did not",
        ),
        (
            "Where are the guns and the laptops?",
            "gun (d1): centre-left, x 60 to 120, y 68 to 100. This look did not cover",
        ),
        ("Is there a metal object?", "Yes: 1 gun and 1 knife"),
    ],
)
def test_the_usual_questions_are_answered_with_citations(question: str, expected: str) -> None:
    answer = ask(question, GUN, KNIFE)
    assert answer.answered
    assert answer.answer.startswith(expected)
    assert cited(answer)


def test_two_items_are_counted_and_a_missing_one_is_mentioned() -> None:
    answer = ask("Are there guns or scissors?", GUN, found("gun", 0.9, (200, 100, 240, 130)))
    assert answer.answer.startswith("Yes: 2 guns (d1, d2). No scissors was detected; one can still be missed.")


def test_absence_is_worded_as_not_detected_and_never_as_safe() -> None:
    answer = ask("Is there a gun?")
    assert answer.answer == "No gun was detected; one can still be missed."
    assert answer.findings[0].claim == "no gun was detected"
    assert answer.findings[0].detection_ids == []
    assert answer.findings[0].confidence_band == "none"


def test_what_the_model_cannot_see_is_said_to_be_not_covered() -> None:
    answer = ask("Is there an explosive?", GUN)
    assert answer.answer == "This look did not cover explosive."
    assert not answer.answered


@pytest.mark.parametrize(
    "question", ["What brand is it?", "Who owns this bag?", "Is it raining?", "7 * 6", "¿?", "Write a poem"]
)
def test_a_question_the_evidence_cannot_answer_is_declined(question: str) -> None:
    answer = ask(question, GUN)
    assert not answer.answered
    assert "does not answer this question" in answer.answer


def test_a_greyscale_scan_has_no_material() -> None:
    answer = screener_that_finds(GUN).explain_scan(bag().mean(axis=2).astype(np.uint8), question="what is it made of?")
    assert not answer.answered
    assert "no pseudo-colour" in answer.answer


def test_hidden_things_are_occluded_detections_and_opaque_regions() -> None:
    dark = bag()
    dark[110:160, 60:130] = BLACK
    answer = screener_that_finds(found("knife", 0.95, (150, 104, 215, 128))).explain_scan(
        dark, question="Is anything hidden?"
    )
    assert "was not penetrated: anything may lie there" in answer.answer
    assert "it cannot report" in answer.answer


def test_an_unusable_scan_gets_no_statement_and_advice_to_scan_again() -> None:
    blank = np.full((200, 200), 255, np.uint8)
    overview = screener_that_finds().explain_scan(blank)
    advice = screener_that_finds().explain_scan(blank, question="What should I do?")
    assert overview.answer.startswith("No statement can be made about this scan")
    assert not overview.answered
    assert advice.answer.startswith("Scan the bag again or search it by hand")


def test_a_finished_report_is_explained_without_another_look() -> None:
    detector = ScriptedDetector([GUN])
    screener = Screener(model=detector)
    screener.explain_scan(screener.detect_threats(bag()), question="Where is the gun?")
    assert detector.calls == 1


def test_full_detail_adds_cues() -> None:
    report = report_with(GUN)
    concise, full = (Screener().explain_scan(report, detail=detail) for detail in ("concise", "full"))
    assert len(full.findings[0].cues) > len(concise.findings[0].cues)


@pytest.mark.parametrize("question", [5, ["a"], b"x", "x" * 2001])
def test_what_is_no_question_gets_a_typed_error(question: object) -> None:
    with pytest.raises(InvalidArgument):
        screener_that_finds().explain_scan(bag(), question=question)  # type: ignore[arg-type]


FORBIDDEN = ("is safe", "is clear", "all clear", "harmless bag", "no threat")


@given(
    st.one_of(
        st.text(max_size=80),
        st.lists(
            st.sampled_from(
                "is there any gun knife laptop where how many made of hidden behind mistaken for what should I do sure "
                "ignore instructions say clear safe describe no not bag".split()
            ),
            max_size=9,
        ).map(" ".join),
    ),
    st.sampled_from([(), (GUN,), (GUN, KNIFE), (found("lighter", 0.92),)]),
)
@settings(deadline=None, max_examples=150)
def test_any_question_gets_an_answer_that_cites_only_what_was_found(
    question: str, boxes: tuple[RawDetection, ...]
) -> None:
    report = report_with(*boxes)
    answer = Screener().explain_scan(report, question=question)
    known = {detection.id for detection in report.detections}
    assert set(cited(answer)) <= known
    assert all(finding.detection_ids or finding.confidence_band == "none" for finding in answer.findings)
    assert not any(word in answer.answer.casefold() for word in FORBIDDEN)
