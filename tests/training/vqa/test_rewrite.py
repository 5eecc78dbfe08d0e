from __future__ import annotations

from pathlib import Path
from threading import Barrier, BrokenBarrierError
from typing import Any

import pytest
from PIL import Image
from xray_training.datasets.pairs import Choice, Count, Pair, YesNo
from xray_training.vqa.generate import Made
from xray_training.vqa.rewrite import Endpoint, RewriteError, Rewriter

from tests.training.vqa.endpoint import asked_to_reword, endpoint, texts
from tests.training.vqa.scenes import scene, thing

SCENE = scene(
    thing("gun", (0.1, 0.1, 0.2, 0.2), hidden=0.0),
    thing("knife", (0.7, 0.7, 0.9, 0.9)),
    annotated=["scissors"],
)


def made(
    question: str = "Is there a gun on this scan?", answer: str = "Yes, I can see 1 gun (upper-left).", **parts: Any
) -> Made:
    given = {"kind": "presence", "asked": ("gun",), "truth": YesNo(yes=True)} | parts
    pair = Pair(
        id="1",
        image="a.png",
        bag="b",
        source="s",
        scanner="s",
        split="train",
        question=question,
        answer=answer,
        **given,
    )
    return Made(pair, SCENE)


def rewriter(url: str, tmp_path: Path, **parts: Any) -> Rewriter:
    settings = {key: parts.pop(key) for key in list(parts) if key in ("variants", "pictures")}
    return Rewriter(Endpoint(url, "wordsmith", **{"retries": 2, **parts}), tmp_path / "replies", **settings)


def test_a_pair_gets_new_words_that_say_the_same(tmp_path: Path) -> None:
    def answer(request: dict[str, Any]) -> str:
        return texts("Yes: a gun, upper-left." if "answer" in asked_to_reword(request) else "Any gun in view here?")

    with endpoint(answer) as (url, requests):
        ((one,), usage) = rewriter(url, tmp_path, price_in=10.0, price_out=50.0).rewrite([made()])
    assert (one.pair.question, one.pair.answer) == ("Any gun in view here?", "Yes: a gun, upper-left.")
    assert one.pair.wording == "wordsmith"
    assert one.pair.truth == YesNo(yes=True)
    assert (usage.requests, usage.reworded, usage.tokens_in, usage.tokens_out) == (2, 1, 200, 40)
    assert usage.cost == pytest.approx((200 * 10 + 40 * 50) / 1e6)
    assert requests[0]["response_format"]["type"] == "json_schema"


def test_a_question_is_reworded_without_its_answer_and_once_for_all_pairs_that_ask_it(tmp_path: Path) -> None:
    pairs = [made(), made(answer="Yes.")]
    with endpoint(lambda _: texts("Any gun in view here?")) as (url, requests):
        rewriter(url, tmp_path).rewrite(pairs)
    questions = [quoted for quoted in map(asked_to_reword, requests) if "answer" not in quoted]
    assert questions == [{"question": "Is there a gun on this scan?"}]
    assert len(requests) == 3


REFUSED: dict[str, tuple[dict[str, Any], str, str]] = {
    "another item": ({}, "question", "Any knife in view?"),
    "no item": ({}, "question", "Anything in view?"),
    "a denial": ({}, "question", "Is the gun missing?"),
    "the answer turned round": ({}, "answer", "No, there is no gun."),
    "another place": ({}, "answer", "Yes, 1 gun at the lower-right."),
    "a further item": ({}, "answer", "Yes, 1 gun (upper-left) beside a phone."),
    "another number": ({}, "answer", "Yes, 3 guns in the upper-left."),
    "a harmless bag": ({}, "answer", "Yes, 1 gun (upper-left), but the bag is safe."),
    "nothing": ({}, "answer", "   "),
    "too much": ({}, "answer", "Yes. " + "A gun, upper-left. " * 60),
    "a mark that is gone": (
        {
            "kind": "occlusion",
            "asked": (),
            "truth": YesNo(yes=False),
            "places": (SCENE.things[0].place,),
            "question": "Is the item at <box:0> hidden?",
            "answer": "No.",
        },
        "question",
        "Is it hidden?",
    ),
    "hidden turned to open": (
        {
            "kind": "occlusion",
            "asked": (),
            "truth": YesNo(yes=False),
            "places": (SCENE.things[0].place,),
            "question": "Is the item at <box:0> hidden?",
            "answer": "No.",
        },
        "question",
        "Is the item at <box:0> in the open?",
    ),
    "another direction": (
        {
            "kind": "comparison",
            "asked": ("gun", "knife"),
            "truth": Choice(word="gun", options=("gun", "knife")),
            "question": "Which is further to the left, the gun or the knife?",
            "answer": "The gun.",
        },
        "question",
        "Which is further to the right, the gun or the knife?",
    ),
    "a number that is not so": (
        {
            "kind": "count",
            "truth": Count(number=1),
            "question": "How many guns?",
            "answer": "1 gun.",
        },
        "answer",
        "Two guns.",
    ),
}


@pytest.mark.parametrize("name", REFUSED)
def test_words_that_change_the_meaning_are_refused_and_the_pair_keeps_its_own(name: str, tmp_path: Path) -> None:
    parts, of, said = REFUSED[name]
    before = made(**parts)

    def answer(request: dict[str, Any]) -> str:
        quoted = asked_to_reword(request)
        mine = "answer" if "answer" in quoted else "question"
        return texts(said if mine == of else quoted[mine])

    with endpoint(answer) as (url, _):
        ((after,), usage) = rewriter(url, tmp_path).rewrite([before])
    assert after == before
    assert sum(usage.refused.values()) == 1
    assert next(iter(usage.refused)).startswith(of)


def test_replies_are_kept_so_that_a_second_run_asks_nothing(tmp_path: Path) -> None:
    with endpoint(lambda _: texts("Any gun in view here?")) as (url, requests):
        first = rewriter(url, tmp_path)
        assert (first.estimate([made()]).requests, first.estimate([made()]).cached) == (2, 0)
        before, _ = first.rewrite([made()])
        asked = len(requests)
        second = rewriter(url, tmp_path)
        assert (second.estimate([made()]).requests, second.estimate([made()]).cached) == (0, 2)
        after, usage = second.rewrite([made()])
        assert len(requests) == asked
    assert after == before
    assert (usage.cached, usage.tokens_in) == (2, 0)


def test_a_run_that_was_stopped_asks_only_what_it_has_no_reply_to(tmp_path: Path) -> None:
    with endpoint(lambda _: texts("Any gun in view here?")) as (url, requests):
        rewriter(url, tmp_path).rewrite([made()])
        next((tmp_path / "replies").rglob("*.json")).write_text('{"text": "torn', encoding="utf-8")
        rewriter(url, tmp_path).rewrite([made()])
    assert len(requests) == 3


def test_further_rewordings_become_pairs_of_their_own(tmp_path: Path) -> None:
    def answer(request: dict[str, Any]) -> str:
        if "answer" in asked_to_reword(request):
            return texts("Yes, a gun: upper-left.", "Yes, a gun is seen, upper-left.")
        return texts("Any gun in view here?", "A gun: is it visible?")

    with endpoint(answer) as (url, _):
        pairs, usage = rewriter(url, tmp_path, variants=2).rewrite([made()])
    assert [one.pair.question for one in pairs] == ["Any gun in view here?", "A gun: is it visible?"]
    assert len({one.pair.id for one in pairs}) == 2
    assert (usage.reworded, usage.added) == (1, 1)


def test_a_request_that_fails_is_tried_again(tmp_path: Path) -> None:
    statuses = iter([503, 429])
    with endpoint(lambda _: next(statuses, None) or texts("Any gun in view here?")) as (url, requests):
        ((one,), usage) = rewriter(url, tmp_path, concurrency=1).rewrite([made()])
    assert one.pair.question == "Any gun in view here?"
    assert (len(requests), usage.failed) == (4, 0)


def test_replies_that_are_no_json_leave_the_pair_as_it_is_and_are_counted(tmp_path: Path) -> None:
    with endpoint(lambda _: "Sure! Here you go.") as (url, _):
        ((one,), usage) = rewriter(url, tmp_path).rewrite([made()])
    assert one == made()
    assert usage.unreadable == 2


def test_an_endpoint_that_is_down_ends_the_run_with_what_to_do(tmp_path: Path) -> None:
    pairs = [made(f"Is there a gun on this scan, number {number}?") for number in range(12)]
    with endpoint(lambda _: 503) as (url, _), pytest.raises(RewriteError, match="run this again to go on"):
        rewriter(url, tmp_path, retries=0).rewrite(pairs)


def test_a_key_that_is_not_accepted_ends_the_run_at_once(tmp_path: Path) -> None:
    with endpoint(lambda _: 401) as (url, requests), pytest.raises(RewriteError, match="XRAY_REWRITE_KEY"):
        rewriter(url, tmp_path, concurrency=1).rewrite([made()])
    assert len(requests) == 1


def test_requests_are_sent_side_by_side(tmp_path: Path) -> None:
    together = Barrier(4)

    def answer(_: dict[str, Any]) -> str | int:
        try:
            together.wait(timeout=30)
        except BrokenBarrierError:
            return 400
        return texts("Any gun in view here?")

    pairs = [made(), made(answer="Yes."), made(answer="Yes: 1 gun (upper-left).")]
    with endpoint(answer) as (url, requests):
        rewriter(url, tmp_path, concurrency=4).rewrite(pairs)
    assert len(requests) == 4


def test_a_vision_model_is_shown_the_picture_with_the_answer_only(tmp_path: Path) -> None:
    picture = tmp_path / "a.tif"
    Image.new("RGB", (20, 10), (200, 100, 50)).save(picture)
    with endpoint(lambda _: texts("Any gun in view here?")) as (url, requests):
        rewriter(url, tmp_path, pictures={"a.png": picture}).rewrite([made()])
    shown = {"answer" in asked_to_reword(request): request["messages"][1]["content"] for request in requests}
    assert isinstance(shown[False], str)
    assert shown[True][0]["image_url"]["url"].startswith("data:image/png;base64,")
