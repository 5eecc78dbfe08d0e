from __future__ import annotations

from collections import Counter
from itertools import product

import pytest
from hypothesis import given, settings
from xray_training.datasets.pairs import Choice, Count, Items, Pair, YesNo
from xray_training.datasets.replies import NOTHING, verdict_of
from xray_training.vqa.balance import balanced
from xray_training.vqa.draft import Draft
from xray_training.vqa.generate import Generated, Plan, generate
from xray_training.vqa.matter import band_of, only_band
from xray_training.vqa.negatives import presence_questions, resemble
from xray_training.vqa.scene import Scene
from xray_training.vqa.wordings import filled, wordings
from xray_training.vqa.words import UNSAID, grammar, many, name_of, number_of

from tests.training.vqa.scenes import LABELS, scene, scenes, thing
from xray_agent_tools.declaration.matcher import find_items
from xray_agent_tools.taxonomy import taxonomy
from xray_agent_tools.wording import calls_harmless


def pairs_of(generated: Generated, kind: str | None = None) -> list[Pair]:
    return [one.pair for one in generated.made if kind in (None, one.pair.kind)]


def mixed_scenes(count: int = 40) -> list[Scene]:
    """Scans with a knife at the left or the right; some with a gun, scissors, and a bottle or two, hidden or not."""
    found = []
    for number in range(count):
        left = 0.05 if number % 3 else 0.7
        items = [thing("knife", (left, 0.1, left + 0.2, 0.2), hidden=0.8 * (number % 2), band="metal")]
        if number % 2:
            items.append(thing("gun", (0.4, 0.4, 0.6, 0.62), hidden=0.05, band="mixed"))
        if number % 5 == 0:
            items.append(thing("scissors", (0.3, 0.3, 0.38, 0.38)))
        items += [
            thing("bottle", (0.1 + 0.3 * n, 0.7, 0.3 + 0.3 * n, 0.9), hidden=0.0, band="organic")
            for n in range(number % 3)
        ]
        split = "train" if number < count * 0.6 else "test"
        annotated = ("knife", "gun", "bottle", "scissors", "pliers")
        found.append(scene(*items, annotated=annotated, name=f"s{number:03d}", split=split))
    return found


@settings(max_examples=25)
@given(scenes())
def test_whatever_is_annotated_every_pair_is_true_and_read_as_right(found: list[Scene]) -> None:
    generated = generate(found, Plan(per_scan=12))
    assert set(generated.dropped) <= {"answers out of balance"}
    by_name = {one.name: one for one in found}
    for one in generated.made:
        assert by_name[one.scene.name] is one.scene
        assert not calls_harmless(one.pair.question + " " + one.pair.answer)
    assert len({pair.id for pair in pairs_of(generated)}) == len(generated.made)


@settings(max_examples=25)
@given(scenes())
def test_nothing_is_denied_or_counted_but_what_the_source_annotates_everywhere(found: list[Scene]) -> None:
    for one in generate(found, Plan(per_scan=12)).made:
        pair = one.pair
        if pair.kind in ("count", "overview", "inventory", "grounding", "regions") or pair.negative:
            assert one.scene.complete.issuperset(pair.asked), pair
        elif pair.kind == "crop":
            assert one.scene.record.annotated.issuperset(pair.asked)


@settings(max_examples=25)
@given(scenes())
def test_every_label_is_affirmed_as_often_as_denied_in_every_split(found: list[Scene]) -> None:
    counts: Counter[tuple[str, str, bool]] = Counter()
    for pair in pairs_of(generate(found, Plan(kinds=("presence",), per_scan=4))):
        assert isinstance(pair.truth, YesNo)
        counts[pair.split, pair.asked[0], pair.truth.yes] += 1
    for (split, label, yes), count in counts.items():
        assert counts[split, label, not yes] == count


def test_the_same_seed_gives_the_same_pairs_and_another_seed_others() -> None:
    found = mixed_scenes()
    first, second = generate(found, Plan(seed=1)), generate(found, Plan(seed=1))
    assert pairs_of(first) == pairs_of(second)
    assert pairs_of(generate(found, Plan(seed=2))) != pairs_of(first)


def test_every_kind_of_question_is_asked_of_scans_that_allow_it() -> None:
    kinds = {pair.kind for pair in pairs_of(generate(mixed_scenes(), Plan(per_scan=14)))}
    assert kinds == {
        *("overview", "presence", "location", "count", "material", "occlusion", "comparison"),
        *("inventory", "grounding", "unanswerable", "regions", "crop"),
    }


@pytest.mark.parametrize("per_scan", [1, 3, 8])
def test_a_scan_gets_no_more_questions_than_asked_for(per_scan: int) -> None:
    made = generate(mixed_scenes(), Plan(per_scan=per_scan)).made
    counts = Counter(one.scene.name for one in made)
    assert max(counts.values()) <= per_scan


def test_denied_labels_are_look_alikes_of_what_is_there_and_frequent_ones_and_any() -> None:
    found = mixed_scenes(60)
    asked = presence_questions([one for one in found if one.split == "train"], most=4, seed=0)
    hows = Counter(one.negative for one in asked if one.negative)
    assert set(hows) >= {"look_alike", "popular"}
    for one in asked:
        assert (one.negative is None) == bool(one.scene.counts[one.label])
        if one.negative == "look_alike":
            assert resemble(one.label) & one.scene.counts.keys()


def test_a_label_is_asked_about_within_one_source_before_it_is_across_sources() -> None:
    found = [
        scene(*([thing("gun")] if number % 2 else []), annotated=["gun"], name=f"{source}{number}", source=source)
        for source, number in product(("north", "south"), range(6))
    ]
    answers = Counter(
        (one.scene.record.source, one.negative is None) for one in presence_questions(found, most=1, seed=3)
    )
    assert answers == {("north", True): 3, ("north", False): 3, ("south", True): 3, ("south", False): 3}


def test_a_label_that_nothing_is_known_to_lack_is_not_asked_about() -> None:
    found = [scene(thing("gun"), name=f"s{number}") for number in range(5)]
    assert pairs_of(generate(found, Plan(kinds=("presence", "count")))) == []


def test_where_something_is_is_asked_only_if_it_is_the_only_one() -> None:
    two = scene(thing("gun", (0, 0, 0.2, 0.2)), thing("gun", (0.7, 0.7, 0.9, 0.9)))
    one = scene(thing("gun", (0.7, 0.7, 0.9, 0.9)), name="b")
    (pair,) = pairs_of(generate([two, one], Plan(kinds=("location",))))
    assert pair.image == one.name
    assert isinstance(pair.truth, Choice)
    assert pair.truth.word == "lower-right"


def test_comparisons_follow_from_the_boxes() -> None:
    gun, knife = thing("gun", (0.0, 0.0, 0.1, 0.1)), thing("knife", (0.6, 0.6, 0.95, 0.95))
    found = [scene(gun, knife, name=f"s{number}") for number in range(40)]
    answers = {}
    for pair in pairs_of(generate(found, Plan(kinds=("comparison",), per_scan=2))):
        words = set(pair.question.replace("?", " ").replace(",", " ").split())
        for word in {"left", "right", "higher", "lower"} & words:
            answers[word] = pair.truth.word if isinstance(pair.truth, Choice) else None
    assert answers == {"left": "gun", "right": "knife", "higher": "gun", "lower": "knife"}


def test_sizes_that_a_pair_of_labels_gives_away_are_not_asked() -> None:
    small, large = thing("coin", (0.1, 0.1, 0.12, 0.12)), thing("laptop", (0.1, 0.1, 0.6, 0.6))
    found = [scene(small, large, name=f"s{number}") for number in range(60)]
    pairs = pairs_of(generate(found, Plan(kinds=("comparison",), per_scan=3)))
    assert pairs
    for pair in pairs:
        assert not {"larger", "smaller", "more", "less"} & set(pair.question.split())


def test_as_many_scans_show_none_of_a_label_as_show_one_when_they_are_counted() -> None:
    counts: Counter[tuple[str, int]] = Counter()
    for pair in pairs_of(generate(mixed_scenes(), Plan(kinds=("count",), per_scan=2))):
        assert isinstance(pair.truth, Count)
        counts[pair.asked[0], pair.truth.number] += 1
    knives = {number: count for (label, number), count in counts.items() if label == "knife"}
    assert knives == {}  # every scan has one, so that the words would tell
    bottles = sorted((count for (label, _), count in counts.items() if label == "bottle"), reverse=True)
    assert bottles[0] == bottles[1]


def test_material_and_what_is_hidden_are_asked_by_place_and_only_where_they_are_known() -> None:
    pairs = pairs_of(generate(mixed_scenes(), Plan(kinds=("material", "occlusion"))))
    assert pairs
    for pair in pairs:
        assert pair.asked == ()
        assert len(pair.places) == 1
        assert not find_items(pair.question).labels
    unknown = [scene(thing("gun"), thing("knife", (0.5, 0.5, 0.6, 0.6)), name=f"s{n}") for n in range(9)]
    assert pairs_of(generate(unknown, Plan(kinds=("material", "occlusion")))) == []


def test_a_region_that_holds_nothing_touches_no_box() -> None:
    empties = 0
    for one in generate(mixed_scenes(), Plan(kinds=("regions",))).made:
        for place in one.pair.places:
            if place.label == NOTHING:
                empties += 1
                for other in one.scene.things:
                    apart = place.x_min >= other.place.x_max or place.x_max <= other.place.x_min
                    assert apart or place.y_min >= other.place.y_max or place.y_max <= other.place.y_min
    assert empties


def test_the_same_look_alikes_are_offered_for_different_items() -> None:
    found = [
        scene(thing(label, (0.3, 0.3, 0.6, 0.6)), annotated=["knife", "scissors", "pliers"], name=f"{label}{number}")
        for label, number in product(("knife", "scissors", "pliers"), range(12))
    ]
    answers: dict[tuple[str, ...], set[str]] = {}
    for one in generate(found, Plan(kinds=("crop",))).made:
        assert isinstance(one.pair.truth, Choice)
        assert one.window == pytest.approx((0.225, 0.225, 0.675, 0.675))
        answers.setdefault(tuple(sorted(one.pair.truth.options)), set()).add(one.pair.truth.word)
    assert answers
    assert all(len(words) > 1 for words in answers.values())


def test_inventories_are_json_of_the_labels_asked_for() -> None:
    for one in generate(mixed_scenes(), Plan(kinds=("inventory", "overview"))).made:
        assert isinstance(one.pair.truth, Items)
        assert one.pair.truth.counts == {
            label: count for label, count in one.scene.counts.items() if label in one.pair.asked
        }


def test_answers_are_thinned_to_the_second_commonest() -> None:
    def draft(number: int, told: str | None) -> Draft:
        return Draft("count", scene(name=f"{number}"), "How many?", f"{number}.", Count(number=number), told=told)

    drafts = [draft(number, "gun") for number in [1] * 9 + [2] * 4 + [3]]
    kept = Counter(one.answer for one in balanced(drafts, seed=0))
    assert kept == {"1.": 4, "2.": 4, "3.": 1}
    assert balanced([draft(1, "gun")] * 5, seed=0) == []
    assert len(balanced([draft(1, None)] * 5, seed=0)) == 5


def test_every_label_is_called_by_a_name_that_is_read_as_it() -> None:
    for label in LABELS:
        assert find_items(name_of(label)).labels == (label,)
        assert find_items(many(label)).labels == (label,)
    assert set(LABELS) == set(taxonomy().labels) - UNSAID


@pytest.mark.parametrize(("part", "yes"), [("affirmed", True), ("denied", False)])
def test_every_wording_of_yes_and_no_is_read_as_such_for_every_label(part: str, yes: bool) -> None:
    for label, wording in product(LABELS, wordings()["presence"][part]):
        answer = filled(wording, grammar(label) | {"found": f"{number_of(label, 1)} (centre)"})
        pair = Pair(
            id="1", kind="presence", image="a.png", bag="b", source="s", scanner="s", split="train",
            question="Is it there?", answer=answer, asked=(label,), truth=YesNo(yes=yes),
        )  # fmt: skip
        assert verdict_of(pair, answer) == "right", answer


def test_no_wording_calls_anything_harmless() -> None:
    for kind, parts in wordings().items():
        for wording in (one for part in parts.values() for one in part):
            assert not calls_harmless(wording), (kind, wording)


@pytest.mark.parametrize(
    ("material", "band"),
    [("water", "organic"), ("ceramic", "mixed"), ("pvc", "mixed"), ("steel", "metal"), ("lead", "metal")],
)
def test_materials_are_of_the_band_of_their_atomic_number(material: str, band: str) -> None:
    assert band_of(material) == band


def test_a_thing_of_several_bands_has_none() -> None:
    assert only_band(["cloth", "wood"]) == "organic"
    assert only_band(["cloth", "steel"]) is None
