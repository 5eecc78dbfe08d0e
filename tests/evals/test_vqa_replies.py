"""Who answers: models at endpoints, the library itself, and files of replies."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from PIL import Image
from xray_evals.vqa.answering import Answer, read_answers, write_answers
from xray_evals.vqa.endpoint import Endpoint
from xray_evals.vqa.explained import explain_all
from xray_training.datasets.pairs import Boxes, Choice, Pair, YesNo, in_pixels
from xray_training.datasets.record import DatasetError
from xray_training.datasets.replies import read_reply, verdict_of

from tests.evals.asked import GUN, SCAN, FindsAGun, folder_of, one_of_each, pair, presence
from tests.evals.talker import Question, Reply, talking
from xray_agent_tools.explainer.picture import Frame
from xray_agent_tools.screener import Screener


@pytest.fixture(scope="module")
def pairs() -> list[Pair]:
    return one_of_each("test", "one.png")


@pytest.fixture(scope="module")
def folder(pairs: list[Pair], tmp_path_factory: pytest.TempPathFactory) -> Path:
    return folder_of(tmp_path_factory.mktemp("pairs"), pairs)


def verdicts(pairs: list[Pair], answers: list[Answer]) -> list[str]:
    return [verdict_of(one, answer.reply, size=answer.size) for one, answer in zip(pairs, answers, strict=True)]


def test_a_model_that_gives_the_wanted_answers_is_right_about_every_kind(pairs: list[Pair], folder: Path) -> None:
    def wanted(question: Question) -> Reply:
        return next(
            in_pixels(one.answer, one.places, *question.size)
            for one in pairs
            if in_pixels(one.question, one.places, *question.size) == question.text
        )

    with talking(wanted) as talker:
        answers = Endpoint(talker.url, "nano").answers(pairs, folder)
    assert verdicts(pairs, answers) == ["right"] * len(pairs)
    assert [answer.id for answer in answers] == [one.id for one in pairs]


def test_the_picture_is_sent_on_the_grid_and_boxes_are_pixels_of_it(folder: Path) -> None:
    asked = pair(1, Boxes(label="gun"), kind="grounding", question="Is it <box:0>?", image="one.png", places=(GUN,))
    frame = Frame(cell=32, min_pixels=4096, max_pixels=100_000)
    with talking(lambda question: "[[0, 0, 32, 32]]") as talker:
        (answer,) = Endpoint(talker.url, "nano", frame=frame).answers([asked], folder)
    (heard,) = talker.heard
    width, height = heard.size
    with Image.open(SCAN) as scan:
        assert width / height == pytest.approx(scan.width / scan.height, rel=0.1)
    assert width % 32 == height % 32 == 0
    assert width * height <= 100_000
    assert heard.text == in_pixels("Is it <box:0>?", [GUN], width, height)
    assert heard.request["temperature"] == 0
    assert answer.size == heard.size
    (box,) = read_reply(asked, answer.reply, size=answer.size).boxes or ()
    assert box.x_max == pytest.approx(32 / width)


def test_a_model_of_thousandths_hears_and_gives_thousandths(folder: Path) -> None:
    asked = pair(1, Boxes(label="gun"), kind="grounding", question="<box:0>?", image="one.png", places=(GUN,))
    with talking(lambda question: "[[100, 200, 300, 400]]") as talker:
        (answer,) = Endpoint(talker.url, "q", frame=Frame(boxes="thousandths")).answers([asked], folder)
    assert talker.heard[0].text == "[100, 200, 300, 400]?"
    assert verdicts([asked], [answer]) == ["right"]


@pytest.mark.parametrize(
    ("reply", "reason"),
    [
        (400, "BadRequestError"),
        (503, "InternalServerError"),
        (b"no json", "JSONDecodeError"),
        (b"{}", "TypeError"),
        (b'{"choices": []}', "IndexError"),
    ],
)
def test_a_failure_is_an_answer_that_failed(folder: Path, reply: Reply, reason: str) -> None:
    with talking(lambda question: reply) as talker:
        (answer,) = Endpoint(talker.url, "nano", retries=0).answers([presence(1, yes=True, image="one.png")], folder)
    assert answer.reply == ""
    assert answer.failed is not None
    assert answer.failed.startswith(reason)


def test_a_model_that_keeps_silent_fails_after_its_time(folder: Path) -> None:
    with talking(lambda question: None) as talker:
        endpoint = Endpoint(talker.url, "nano", timeout=0.3, retries=0)
        (answer,) = endpoint.answers([presence(1, yes=True, image="one.png")], folder)
    assert answer.failed is not None
    assert answer.failed.startswith("APITimeoutError")


def test_a_missing_picture_fails_and_the_other_questions_are_asked(folder: Path) -> None:
    asked = [presence(1, yes=True, image="none.png"), presence(2, yes=True, image="one.png")]
    with talking(lambda question: "Yes.") as talker:
        first, second = Endpoint(talker.url, "nano").answers(asked, folder)
    assert first.failed is not None
    assert "FileNotFoundError" in first.failed
    assert (second.reply, second.failed) == ("Yes.", None)


def test_no_more_questions_are_asked_at_a_time_than_is_said(folder: Path) -> None:
    asked = [presence(number, yes=True, image="one.png") for number in range(12)]
    with talking(lambda question: "Yes.") as talker:
        Endpoint(talker.url, "nano", concurrency=3).answers(asked, folder)
    assert len(talker.heard) == 12
    assert talker.at_once <= 3


def test_the_explainer_answers_from_one_look_at_each_picture(pairs: list[Pair], folder: Path) -> None:
    detector = FindsAGun()
    explained = explain_all(pairs, folder, Screener(model=detector))
    by_kind = dict(zip([one.kind for one in pairs], verdicts(pairs, explained.answers), strict=True))
    assert by_kind["location"] == by_kind["count"] == by_kind["grounding"] == by_kind["unanswerable"] == "right"
    assert by_kind["overview"] == by_kind["inventory"] == by_kind["regions"] == "wrong"  # it never finds the knife
    replies = {one.kind: answer.reply for one, answer in zip(pairs, explained.answers, strict=True)}
    assert replies["regions"] == "1: gun; 2: nothing"
    assert json.loads(replies["inventory"]) == {"items": [{"label": "gun", "count": 1}]}
    look = explained.looks["one.png"]
    assert look.found == look.listed == {"gun"}
    assert "knife" in look.assessed
    assert detector.looks <= 3  # the canary's, the picture's, and perhaps a second look


def test_a_question_that_points_at_nothing_found_gets_no_answer_made_up(folder: Path) -> None:
    nowhere = GUN.model_copy(update={"x_min": 0.7, "x_max": 0.9})
    question = "What is the item at <box:0> made of: organic, mixed or metal?"
    truth = Choice(word="metal", options=("organic", "mixed", "metal"))
    asked = pair(1, truth, kind="material", question=question, image="one.png", asked=(), places=(nowhere,))
    (answer,) = explain_all([asked], folder, Screener(model=FindsAGun())).answers
    hidden = pair(
        2, YesNo(yes=False), kind="occlusion", question="Is <box:0> hidden?", image="one.png", places=(nowhere,)
    )
    (other,) = explain_all([hidden], folder, Screener(model=FindsAGun())).answers
    assert verdict_of(asked, answer.reply, size=answer.size) == "unparsed"
    assert verdict_of(hidden, other.reply, size=other.size) == "unparsed"


def test_a_picture_that_cannot_be_read_fails_with_its_reason(folder: Path) -> None:
    explained = explain_all([presence(1, yes=True, image="none.png")], folder, Screener(model=FindsAGun()))
    (answer,) = explained.answers
    assert answer.failed is not None
    assert explained.looks == {}


def test_replies_are_the_same_after_writing_and_reading(tmp_path: Path) -> None:
    answers = [Answer(id="1", reply="Yes\n\u2028 — “no”", size=(28, 56)), Answer(id="2", failed="timeout")]
    write_answers(answers, tmp_path / "deep" / "replies.jsonl")
    assert read_answers(tmp_path / "deep" / "replies.jsonl") == {"1": answers[0], "2": answers[1]}


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ('{"id": "1", "reply": "Yes"}\nno json\n', "line 2 is no reply"),
        ('{"reply": "Yes"}\n', "line 1 is no reply"),
        ('{"id": "1", "reply": "Yes"}\n{"id": "1", "reply": "No"}\n', "has a reply already"),
    ],
)
def test_a_file_of_something_else_is_refused_by_line(tmp_path: Path, text: str, problem: str) -> None:
    path = tmp_path / "replies.jsonl"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(DatasetError, match=problem):
        read_answers(path)
