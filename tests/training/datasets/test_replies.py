from __future__ import annotations

import json
from typing import Literal

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from xray_training.datasets.pairs import (
    REGIONS,
    Boxes,
    Choice,
    Count,
    Items,
    Kind,
    Named,
    Pair,
    Place,
    Refused,
    Truth,
    YesNo,
    in_pixels,
)
from xray_training.datasets.replies import NOTHING, iou, matched, read_reply, verdict_of
from xray_training.datasets.reply_items import label_named, named_in

from xray_agent_tools.taxonomy import taxonomy
from xray_agent_tools.wording import counted, listed

MATERIALS = ("organic", "mixed", "metal", "opaque")
KNIFE = Place(label="knife", x_min=0.1, y_min=0.2, x_max=0.3, y_max=0.6)
OTHER_KNIFE = Place(label="knife", x_min=0.5, y_min=0.5, x_max=0.9, y_max=0.7)
GUN = Place(label="gun", x_min=0.5, y_min=0.1, x_max=0.9, y_max=0.4)
SIZE = (560, 280)

labels = st.sampled_from(taxonomy().labels)
numbers = st.integers(0, 20)


def pair_of(
    truth: Truth,
    *,
    kind: Kind = "presence",
    asked: tuple[str, ...] = (),
    places: tuple[Place, ...] = (),
    question: str = "?",
    answer: str = "",
) -> Pair:
    return Pair(
        id="1",
        kind=kind,
        image="1.png",
        bag="1",
        source="simulated",
        scanner="one",
        split="test",
        question=question,
        answer=answer,
        asked=asked,
        truth=truth,
        places=places,
    )


def presence(*, yes: bool, label: str = "knife") -> Pair:
    return pair_of(YesNo(yes=yes), asked=(label,))


def where(word: str) -> Pair:
    return pair_of(Choice(word=word, options=REGIONS), kind="location", asked=("knife",))


def material(word: str) -> Pair:
    return pair_of(Choice(word=word, options=MATERIALS), kind="material", asked=("knife",))


def number_of_knives(number: int) -> Pair:
    return pair_of(Count(number=number), kind="count", asked=("knife",))


def inventory(counts: dict[str, int], kind: Kind = "inventory") -> Pair:
    return pair_of(Items(counts=counts), kind=kind)


def grounding(*places: Place) -> Pair:
    return pair_of(Boxes(label="knife"), kind="grounding", asked=("knife",), places=places)


BRAND = pair_of(Refused(), kind="unanswerable", question="What brand is the laptop?", asked=("laptop",))

every_kind = st.one_of(
    st.builds(lambda yes, label: presence(yes=yes, label=label), st.booleans(), labels),
    st.builds(
        lambda yes: pair_of(YesNo(yes=yes), kind="occlusion", asked=("knife",), question="Is it hidden?"), st.booleans()
    ),
    st.sampled_from(REGIONS).map(where),
    st.sampled_from(MATERIALS).map(material),
    st.lists(labels, min_size=2, max_size=4, unique=True).map(
        lambda options: pair_of(Choice(word=options[0], options=tuple(options)), kind="crop")
    ),
    numbers.map(number_of_knives),
    st.dictionaries(labels, st.integers(1, 5), max_size=4).map(inventory),
    st.dictionaries(labels, st.integers(1, 5), max_size=4).map(lambda counts: inventory(counts, "overview")),
    st.sampled_from([grounding(), grounding(KNIFE), grounding(KNIFE, OTHER_KNIFE, GUN)]),
    st.lists(labels, min_size=1, max_size=3).map(
        lambda named: pair_of(Named(labels=tuple(named)), kind="regions", places=(KNIFE,) * len(named))
    ),
    st.just(BRAND),
)
Side = Literal["right", "wrong", "unparsed"]


@given(every_kind, st.text() | st.text(alphabet='{}[]",:0123456789 yesno<box>knifgu%.-', max_size=60))
@example(grounding(KNIFE), "[" * 5000)
@example(inventory({"knife": 1}), '{"knife": ' + "9" * 5000 + "}")
@example(grounding(KNIFE), '{"bbox_2d": [0, NaN, 1e999, Infinity]}')
@example(grounding(KNIFE), "<box:7>")
@example(number_of_knives(2), "²" * 30)
def test_any_text_gives_a_verdict(pair: Pair, reply: str) -> None:
    assert verdict_of(pair, reply, size=SIZE) in ("right", "wrong", "unparsed")
    assert verdict_of(pair, reply) in ("right", "wrong", "unparsed")


@given(every_kind, st.sampled_from(["", "  ", "The.", "...", "Lorem ipsum dolor", "🙂", "```json\n```"]))
def test_a_reply_without_an_answer_is_never_right(pair: Pair, reply: str) -> None:
    assert verdict_of(pair, reply) != "right"


@given(
    labels, st.booleans(), st.sampled_from(["{}", "{}.", "{}, {}", "**{}**", '{{"answer": "{}"}}', "The answer is {}."])
)
def test_yes_and_no_are_right_or_wrong(label: str, yes: bool, form: str) -> None:
    word = "Yes" if yes else "No"
    rest = f"there is {'' if yes else 'no '}{counted(label, 1)[2:]}."
    reply = form.format(word, rest)
    assert verdict_of(presence(yes=yes, label=label), reply) == "right"
    assert verdict_of(presence(yes=not yes, label=label), reply) == "wrong"


@pytest.mark.parametrize(
    ("reply", "yes"),
    [
        ("no doubt yes", True),
        ("Without doubt, yes.", True),
        ("Yes, there is no doubt about it.", True),
        ("Yes, a knife lies at the left, but I cannot say which kind.", True),
        ("I would say yes", True),
        ("A knife is visible at the upper-left.", True),
        ("There are two knives in the bag.", True),
        ("I saw a dagger.", None),
        ("I can see a dagger.", True),
        ("There is a gun, not a knife.", False),
        ("No knife was detected; one can still be missed.", False),
        ("I don't see any knives.", False),
        ("I do not see any sign of a knife.", False),
        ("The knife is not present.", False),
        ("Knives are absent.", False),
        ("No, it is a spray can.", False),
        ("nope", False),
        ("No, I cannot make out a knife; one can still be missed.", False),
        ("I cannot make out a knife.", False),
        ("No gun, hammer or knife was detected.", False),
        ("There are no guns and 2 knives.", True),
        ("This look did not cover gun, scissors and knife.", None),
        ("No knife was detected. The look for knife was validated on simulated scans alone.", False),
        ("No, I cannot see a knife.", False),
        ("I cannot say", None),
        ("I can't tell whether there is a knife.", None),
        ("No, I cannot tell.", None),
        ("Yes and no.", None),
        ("Yes or no?", None),
        ("yes/no", None),
        ("No. Yes.", None),
        ("Yes, there is no knife.", None),
        ("No, there is a knife.", None),
        ("Possibly: 1 knife, below the operating point.", None),
        ("There might be a knife.", None),
        ("There is a gun.", None),
        ("I know nothing of yesterday", None),
        ("No statement can be made about this scan: it is a drawing.", None),
        ("No gun is there.", None),
        ("No it is a pen", False),
    ],
)
def test_a_statement_about_presence_is_read_as_a_person_reads_it(reply: str, yes: bool | None) -> None:
    assert read_reply(presence(yes=True), reply).yes is yes


@pytest.mark.parametrize(
    ("question", "reply", "yes"),
    [
        ("Is the knife hidden by other things?", "It is partly hidden by a laptop.", True),
        ("Is the knife hidden by other things?", "It is not hidden.", False),
        ("Is the knife hidden by other things?", "The knife is clearly visible.", False),
        ("Is the knife fully visible?", "It is partly covered.", False),
        ("Is the knife fully visible?", "Yes, it is not covered by anything.", True),
        ("Is the knife hidden by other things?", "No, the knife is in plain view.", False),
        ("Is the knife hidden by other things?", "It is a knife.", None),
        ("Is the knife hidden by other things?", "No detection is occluded by the measure used.", False),
        ("Is the knife hidden by other things?", "Hardly any of it is covered.", False),
    ],
)
def test_a_statement_about_what_is_hidden_answers_that_question(question: str, reply: str, yes: bool | None) -> None:
    pair = pair_of(YesNo(yes=True), kind="occlusion", asked=("knife",), question=question)
    assert read_reply(pair, reply).yes is yes


@pytest.mark.parametrize(
    ("reply", "word"),
    [
        ("upper-left", "upper-left"),
        ("In the upper left.", "upper-left"),
        ("top left corner", "upper-left"),
        ("Top-left-hand corner of the bag", "upper-left"),
        ("on the left, in the upper part", "upper-left"),
        ("bottom right", "lower-right"),
        ("bottom centre", "lower-centre"),
        ("lower middle", "lower-centre"),
        ("It lies at the center.", "centre"),
        ("centre of the bag", "centre"),
        ("in the middle of the left side", "centre-left"),
        ("left center", "centre-left"),
        ("CENTRE-RIGHT", "centre-right"),
        ("knife (d1): lower-left, x 10 to 20, y 30 to 40.", "lower-left"),
        ("upper-left or lower-right", None),
        ("on the left", None),
        ("I cannot say, perhaps the upper left", None),
        ("somewhere", None),
    ],
)
def test_a_place_is_read_in_any_of_its_spellings(reply: str, word: str | None) -> None:
    assert read_reply(where("centre"), reply).word == word


@given(
    st.sampled_from(REGIONS), st.sampled_from(REGIONS), st.sampled_from(["{}", "It is in the {} of the bag.", "**{}**"])
)
def test_the_right_place_is_right_and_any_other_is_wrong(word: str, said: str, form: str) -> None:
    assert verdict_of(where(word), form.format(said)) == ("right" if word == said else "wrong")


@pytest.mark.parametrize(
    ("reply", "word"),
    [
        ("metal", "metal"),
        ("It looks metallic.", "metal"),
        ("mostly metal with some organic parts", "metal"),
        ("metal, not organic", "metal"),
        ("It is made of inorganic material", "mixed"),
        ("knife (d1): 70% metallic (blue) and 30% organic (orange).", "metal"),
        ("50% metal, 50% organic", None),
        ("metal or organic", None),
        ("metalworking", None),
    ],
)
def test_a_material_is_one_word_of_several(reply: str, word: str | None) -> None:
    assert read_reply(material("metal"), reply).word == word


def test_a_choice_of_labels_takes_aliases_and_leaves_denied_ones_out() -> None:
    crop = pair_of(Choice(word="gun", options=("gun", "toy", "wrench")), kind="crop")
    assert verdict_of(crop, "It is a pistol, not a toy.") == "right"
    assert verdict_of(crop, "A spanner.") == "wrong"
    assert verdict_of(crop, "A gun or a wrench.") == "unparsed"
    assert verdict_of(crop, "A pineapple.") == "unparsed"


def test_a_comparison_names_what_stands_before_than() -> None:
    pair = pair_of(Choice(word="laptop", options=("laptop", "phone")), kind="comparison")
    assert verdict_of(pair, "The laptop is larger than the phone.") == "right"
    assert verdict_of(pair, "The phone is larger than the laptop.") == "wrong"


@given(
    numbers,
    numbers,
    st.sampled_from(["{}", "{}.", "There are {} knives.", "I count {} daggers in the bag", "{} items"]),
)
def test_the_right_number_is_right_and_any_other_is_wrong(number: int, said: int, form: str) -> None:
    assert verdict_of(number_of_knives(number), form.format(said)) == ("right" if number == said else "wrong")


@pytest.mark.parametrize(
    ("reply", "number"),
    [
        ("two", 2),
        ("Two knives.", 2),
        ("a knife", 1),
        ("There is a single knife.", 1),
        ("a pair of knives", 2),
        ("There are 2 knives and 1 gun.", 2),
        ("1 gun and 2 knives", 2),
        ("2 knives detected (d1, d2); hidden ones can be missed.", 2),
        ("none", 0),
        ("There are no knives.", 0),
        ("No knife was detected; one can still be missed.", 0),
        ("Three: [10, 20, 30, 40], [1, 2, 3, 4], [5, 6, 7, 8]", 3),
        ('{"count": 4}', 4),
        ("1. a knife\n2. a knife", None),
        ("2 or 3", None),
        ("1 knife at the left and 1 knife at the right", None),
        ("about 2.5", None),
        ("-2", None),
        ("several", None),
        ("No statement can be made about this scan.", None),
        ("I cannot tell how many, but not 3", None),
    ],
)
def test_a_number_is_read_in_digits_and_words(reply: str, number: int | None) -> None:
    assert read_reply(number_of_knives(1), reply).number == number


def test_scissors_come_in_pairs() -> None:
    pair = pair_of(Count(number=2), kind="count", asked=("scissors",))
    assert verdict_of(pair, "Two pairs of scissors") == "right"
    assert verdict_of(pair, "A pair of scissors") == "wrong"


@given(labels, st.integers(1, 5))
def test_every_label_is_read_by_its_name_and_in_the_plural(label: str, count: int) -> None:
    assert label_named(label) == label
    assert label_named(label.replace("_", " ")) == label
    assert named_in(f"There are {counted(label, count)}.").claimed == (label,)


def test_what_only_sounds_like_an_item_is_none() -> None:
    assert named_in("I can see that the bag can be searched; I saw nothing inside a bag of this kind.").claimed == ()


def as_json(counts: dict[str, int]) -> str:
    return json.dumps({"items": [{"label": label, "count": count} for label, count in counts.items()]})


@given(st.dictionaries(labels, st.integers(1, 5), max_size=4), labels)
def test_an_inventory_is_right_as_json_in_several_shapes_and_wrong_with_an_item_more(
    counts: dict[str, int], further: str
) -> None:
    pair = inventory(counts)
    listing = json.dumps([{"name": label.replace("_", " "), "count": count} for label, count in counts.items()])
    for reply in (as_json(counts), f"```json\n{as_json(counts)}\n```", listing, json.dumps(counts)):
        assert verdict_of(pair, reply) == "right"
    more = counts | {further: counts.get(further, 0) + 1}
    assert verdict_of(pair, as_json(more)) == "wrong"
    assert verdict_of(inventory(more), as_json(counts)) == "wrong"


@pytest.mark.parametrize("reply", ["one knife", '{"items": [{"label": "knife", "count": 1}, {"la', "[[1]]", '"knife"'])
def test_an_inventory_that_is_no_json_document_is_no_inventory(reply: str) -> None:
    assert verdict_of(inventory({"knife": 1}), reply) == "unparsed"


def test_an_item_that_no_taxonomy_knows_makes_an_inventory_wrong() -> None:
    reply = '["knife", "pineapple"]'
    assert read_reply(inventory({"knife": 1}), reply).unknown == ("pineapple",)
    assert verdict_of(inventory({"knife": 1}), reply) == "wrong"


@given(st.dictionaries(labels, st.integers(1, 5), min_size=1, max_size=4), st.data())
def test_an_overview_is_right_when_it_names_what_is_there_and_wrong_without_a_part(
    counts: dict[str, int], data: st.DataObject
) -> None:
    pair = inventory(counts, "overview")
    assert verdict_of(pair, f"The scan shows {listed([counted(k, n) for k, n in counts.items()])}.") == "right"
    left_out = data.draw(st.sampled_from(sorted(counts)))
    fewer = {label: count for label, count in counts.items() if label != left_out}
    said = f"The scan shows {listed([counted(k, n) for k, n in fewer.items()])}." if fewer else "Nothing."
    assert verdict_of(pair, said) == "wrong"


@pytest.mark.parametrize(
    ("reply", "verdict"),
    [
        ("A knife at the upper-left and a knife at the lower-right, and a laptop.", "right"),
        ("Knives and a laptop", "right"),
        ("A laptop and 3 knives", "wrong"),
        ("A laptop and two knives. There is no gun.", "right"),
        ("A laptop, two knives and a gun", "wrong"),
        ("Nothing of interest", "wrong"),
        ("A bag.", "wrong"),
        ("Hello", "unparsed"),
        ("I cannot say what is in it", "unparsed"),
        ("No statement can be made about this scan.", "unparsed"),
        ("No gun, hammer or bat was detected.", "wrong"),
    ],
)
def test_an_overview_is_read_from_free_words(reply: str, verdict: Side) -> None:
    assert verdict_of(inventory({"knife": 2, "laptop": 1}, "overview"), reply) == verdict


def test_only_what_was_asked_about_counts() -> None:
    asked = pair_of(Items(counts={"knife": 1}), kind="overview", asked=("knife", "gun"))
    assert verdict_of(asked, "A knife and a laptop") == "right"
    assert verdict_of(asked, "A knife and a gun") == "wrong"
    assert verdict_of(asked, "Yes: 1 knife (d1). No gun, hammer and wrench was detected; one can be missed.") == "right"


@pytest.mark.parametrize(
    "reply",
    [
        "Nothing.",
        "There are no items.",
        "[]",
        '{"items": []}',
        "The bag is empty.",
        "None of them can be made out; one can still be missed.",
        "I see none of them, which does not prove that there is none.",
    ],
)
def test_an_empty_scan_is_said_to_be_empty(reply: str) -> None:
    assert verdict_of(inventory({}, "overview"), reply) == "right"
    assert verdict_of(inventory({"gun": 1}, "overview"), reply) == "wrong"


def test_boxes_are_read_in_every_usual_notation() -> None:
    pair = grounding(KNIFE)
    for reply in (
        "[56, 56, 168, 168]",
        '{"box": [56, 56, 168, 168]}',
        '```json\n[{"bbox_2d": [56, 56, 168, 168], "label": "knife"}]\n```',
        "The knife is at [56, 56, 168, 168].",
        '{"x_min": 56, "y_min": 56, "x_max": 168, "y_max": 168}',
        '{"knives": [[56.0, 56.0, 168.0, 168.0]]}',
    ):
        assert verdict_of(pair, reply, size=SIZE) == "right", reply


@pytest.mark.parametrize(
    ("reply", "verdict"),
    [
        ("[300, 56, 400, 168]", "wrong"),
        ("[56, 56, 168, 168] [300, 200, 400, 250]", "wrong"),
        ("[]", "wrong"),
        ("There is no knife.", "wrong"),
        ("[168, 168, 56, 56]", "unparsed"),
        ("at the left", "unparsed"),
        ("I cannot tell, no idea", "unparsed"),
        ("No statement can be made about this scan.", "unparsed"),
        ("No knife was detected.", "wrong"),
    ],
)
def test_a_box_elsewhere_or_too_many_is_wrong_and_words_are_no_box(reply: str, verdict: Side) -> None:
    assert verdict_of(grounding(KNIFE), reply, size=SIZE) == verdict


@given(st.integers(28, 2000), st.integers(28, 2000))
def test_the_wanted_answer_is_right_in_the_pixels_of_any_picture(width: int, height: int) -> None:
    pair = grounding(KNIFE, OTHER_KNIFE, GUN)
    answer = in_pixels("<box:0> and <box:1>", pair.places, width, height)
    reading = read_reply(pair, answer, size=(width, height))
    assert reading.boxes is not None
    for wanted, found in zip((KNIFE, OTHER_KNIFE), reading.boxes, strict=True):
        assert found.x_min == pytest.approx(wanted.x_min, abs=0.5 / width + 1e-9)
        assert found.y_max == pytest.approx(wanted.y_max, abs=0.5 / height + 1e-9)
    assert verdict_of(pair, "<box:1> <box:0>") == "right"
    assert verdict_of(pair, "<box:0> <box:2>") == "wrong"


def test_where_an_item_is_not_no_box_is_right() -> None:
    assert verdict_of(grounding(), "[]") == "right"
    assert verdict_of(grounding(), "There is none.") == "right"
    assert verdict_of(grounding(), "[1, 2, 30, 40]", size=SIZE) == "wrong"


def test_each_box_is_matched_once() -> None:
    assert matched([KNIFE, KNIFE], [KNIFE]) in ([1.0, 0.0], [0.0, 1.0])
    assert matched([KNIFE], []) == [0.0]
    assert iou(KNIFE, GUN) == 0.0
    assert iou(KNIFE, KNIFE.model_copy(update={"x_max": 0.2})) == pytest.approx(0.5)


REGIONS_ASKED = pair_of(Named(labels=("knife", "gun")), kind="regions", places=(KNIFE, GUN))


@pytest.mark.parametrize(
    "reply",
    [
        "Region 1: knife; region 2: gun",
        "1. a knife\n2. a pistol",
        "1: knife, 2: gun",
        "Region 1 is a knife and region 2 is a gun.",
        "**Region 1:** knife\n**Region 2:** gun",
        "0: knife, 1: gun",
        '{"1": "knife", "2": "gun"}',
        '[{"region": 2, "label": "gun"}, {"region": 1, "label": "knife"}]',
        '["knife", "gun"]',
        "knife, gun",
        "knife and gun",
        "1: knife; 2: gun.",
        "<box:0>: knife; <box:1>: gun",
        "[56, 56, 168, 168]: a knife; [280, 28, 504, 112]: a gun",
        "a knife at [56, 56, 168, 168] and a gun at [280, 28, 504, 112]",
        "Region 1 [56, 56, 168, 168]: knife\nRegion 2 [280, 28, 504, 112]: gun",
    ],
)
def test_every_region_is_named_in_turn(reply: str) -> None:
    assert verdict_of(REGIONS_ASKED, reply, size=SIZE) == "right"


def test_a_region_taken_for_another_or_left_out_is_wrong() -> None:
    assert verdict_of(REGIONS_ASKED, "Region 1: gun; region 2: knife") == "wrong"
    assert read_reply(REGIONS_ASKED, "Region 2: gun").labels == (None, "gun")
    assert verdict_of(REGIONS_ASKED, "Region 2: gun") == "wrong"
    assert verdict_of(REGIONS_ASKED, "They are things.") == "unparsed"


def test_a_region_may_hold_nothing() -> None:
    pair = pair_of(Named(labels=("knife", NOTHING)), kind="regions", places=(KNIFE, GUN))
    assert verdict_of(pair, "Region 1: knife; region 2: nothing") == "right"
    assert verdict_of(pair, "1: knife; 2: nothing of these.") == "right"
    assert verdict_of(pair, "Region 1: knife; region 2: gun") == "wrong"


@pytest.mark.parametrize(
    "reply",
    [
        "The picture does not tell.",
        "An X-ray scan does not show the brand.",
        "I cannot determine the brand from this scan.",
        "That can't be told from an X-ray.",
        "It is impossible to say.",
        "Unknown.",
        "The scan does not reveal this; ask the traveller.",
        "An X-ray scan does not show that; I cannot tell.",
        "I cannot tell that from the picture.",
        "There is not enough information in the scan.",
        "The brand is not shown, but it is a laptop.",
    ],
)
def test_saying_that_the_picture_does_not_tell_is_right_where_it_does_not(reply: str) -> None:
    assert verdict_of(BRAND, reply) == "right"


@pytest.mark.parametrize(
    "reply",
    [
        "Dell",
        "It is a Lenovo laptop.",
        "I cannot say for sure, but it is probably a Dell.",
        "Yes.",
        "I cannot say; it costs about $500.",
    ],
)
def test_an_invented_answer_is_wrong(reply: str) -> None:
    assert verdict_of(BRAND, reply) == "wrong"


def test_a_refusal_of_what_can_be_answered_is_no_answer() -> None:
    for pair in (presence(yes=True), presence(yes=False), where("centre"), number_of_knives(0), grounding(KNIFE)):
        assert read_reply(pair, "I cannot tell.").refused
        assert verdict_of(pair, "I cannot tell.") == "unparsed"
