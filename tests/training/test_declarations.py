from __future__ import annotations

import json
from collections import Counter
from collections.abc import Collection
from dataclasses import replace
from pathlib import Path
from typing import get_args

import pytest
from click.testing import CliRunner
from hypothesis import given, settings
from hypothesis import strategies as st
from xray_training.commands.declarations import declarations
from xray_training.datasets.record import LabelledBox, ScanRecord
from xray_training.declarations.expected import expected_of
from xray_training.declarations.make import declarations_for
from xray_training.declarations.record import DECLARATION_KINDS, Declaration, DeclarationKind, DeclaredText
from xray_training.declarations.writing import categories_of, names_of

from tests.training.folders import Drawn, write_folder
from xray_agent_tools.declaration.assessor import assess, read_declaration
from xray_agent_tools.declaration.matcher import find_items
from xray_agent_tools.declaration.policy import load_policy
from xray_agent_tools.report import (
    Box,
    Detection,
    ImageIdentity,
    ModelIdentity,
    Quality,
    ThreatReport,
    View,
    is_threat,
)
from xray_agent_tools.taxonomy import taxonomy

ALL = taxonomy().labels


def record(labels: Collection[str], annotated: Collection[str] = ALL, name: str = "a") -> ScanRecord:
    boxes = tuple(LabelledBox(label, 0.1, 0.1, 0.3, 0.3) for label in labels)
    return ScanRecord(Path(f"scans/images/{name}.png"), "north", "n1", "test", name, name, boxes, frozenset(annotated))


def make(
    *records: ScanRecord, seed: int = 0, kinds: tuple[DeclarationKind, ...] = DECLARATION_KINDS
) -> list[Declaration]:
    return list(declarations_for(Path("scans"), records, kinds=kinds, per_scan=len(kinds), seed=seed))


def seen_by_a_perfect_detector(declaration: Declaration) -> ThreatReport:
    """A report that lists just what is annotated."""
    labels = [label for label, count in declaration.seen.items() for _ in range(count)]
    detections = [
        Detection(
            id=f"d{number}", label=label, group=taxonomy().item(label).group, severity=taxonomy().item(label).severity,
            confidence=0.9, above_threshold=True, view=0, box=Box(x_min=0, y_min=0, x_max=9, y_max=9), region="centre",
            occlusion=None, material=None, evidence="real_scans",
        )
        for number, label in enumerate(labels, 1)
    ]  # fmt: skip
    alarm = any(is_threat(taxonomy().item(label).severity) for label in labels)
    return ThreatReport(
        scan_id="s", verdict="ALARM" if alarm else "NO_ALARM", summary="", detections=detections, left_out=0,
        quality=Quality(usable=True, issues=[]), opaque_regions=[],
        not_assessed=taxonomy().outside(declaration.annotated), not_validated=[],
        model=ModelIdentity(id="m", version="1", sha256="", taxonomy_version="1", thresholds=[]),
        image=ImageIdentity(width=9, height=9, sha256="", views=[View(width=9, height=9, sha256="")]), timing_ms=0,
    )  # fmt: skip


def assessed(declaration: Declaration) -> tuple[bool | None, list[tuple[str, str]]]:
    report = seen_by_a_perfect_detector(declaration)
    found = assess(read_declaration([one.text for one in declaration.declared]), load_policy("customs"), report)
    return found.declaration_match, in_order([(item.name, str(item.status)) for item in found.items])


def expected(declaration: Declaration) -> tuple[bool | None, list[tuple[str, str]]]:
    items = [(item.name, str(item.status)) for item in declaration.expected.items]
    return declaration.expected.declaration_match, in_order(items)


def in_order(items: list[tuple[str, str]]) -> list[tuple[str, str]]:
    """Items as they were declared, then undeclared ones by name."""
    return [one for one in items if one[1] != "undeclared"] + sorted(one for one in items if one[1] == "undeclared")


bags = st.builds(
    record, st.lists(st.sampled_from(ALL), max_size=8), st.one_of(st.just(ALL), st.frozensets(st.sampled_from(ALL)))
).map(lambda one: replace(one, boxes=tuple(box for box in one.boxes if box.label in one.annotated)))


@settings(max_examples=60)
@given(bags, st.integers(0, 1000))
def test_what_is_expected_is_what_the_tool_says_of_what_a_perfect_detector_sees(bag: ScanRecord, seed: int) -> None:
    for declaration in make(bag, seed=seed):
        if declaration.kind != "misspelt":
            assert assessed(declaration) == expected(declaration), declaration


@settings(max_examples=40)
@given(bags, st.integers(0, 1000))
def test_a_misspelt_item_is_expected_to_be_understood_and_is_read_as_nothing_else(bag: ScanRecord, seed: int) -> None:
    for declaration in make(bag, seed=seed, kinds=("misspelt",)):
        assert declaration.expected.declaration_match is True
        read = [find_items(one.text).labels for one in declaration.declared]
        assert () in read
        for one, labels in zip(declaration.declared, read, strict=True):
            assert labels in ((), one.meant)


def match_of(declaration: Declaration) -> bool | None:
    return declaration.expected.declaration_match


def test_each_way_to_declare_has_the_outcome_it_calls_for() -> None:
    found = {one.kind: one for one in make(record(["gun", "knife", "laptop", "bottle"]))}
    assert set(found) == set(DECLARATION_KINDS)
    assert {kind: match_of(one) for kind, one in found.items()} == {
        "honest": True,
        "partial": False,
        "vague": True,
        "misspelt": True,
        "over_declared": None,
        "empty": False,
        "adversarial": False,
    }
    statuses = {kind: {item.status for item in one.expected.items} for kind, one in found.items()}
    assert statuses["honest"] == {"declared_and_seen"}
    assert "undeclared" in statuses["partial"]
    assert statuses["over_declared"] & {"declared_not_seen", "not_assessable"}
    assert statuses["empty"] == {"undeclared"}
    assert statuses["adversarial"] == {"not_assessable", "undeclared"}


def test_nothing_is_expected_of_a_bag_with_everyday_things_and_no_declaration() -> None:
    (empty,) = make(record(["laptop", "keys"]), kinds=("empty",))
    assert empty.expected.declaration_match is None
    assert empty.expected.items == ()


def test_what_a_source_does_not_annotate_cannot_be_assessed() -> None:
    found = expected_of([DeclaredText(text="laptop", meant=("laptop",))], {"gun"}, {"gun", "knife"})
    assert [(item.name, item.status) for item in found.items] == [("laptop", "not_assessable"), ("gun", "undeclared")]


def test_kinds_that_a_bag_does_not_allow_are_left_out() -> None:
    kinds = {one.kind for one in make(record([]))}
    assert kinds == {"over_declared", "empty", "adversarial"}


def test_no_adversarial_text_names_an_item() -> None:
    texts = [one.text for seed in range(60) for d in make(record(["gun", "knife"]), seed=seed, kinds=("adversarial",))
             for one in d.declared]  # fmt: skip
    assert len(set(texts)) > 10
    assert not any(find_items(text).labels for text in texts)


def test_every_label_has_a_name_and_threats_have_words_that_cover_them() -> None:
    for label in ALL:
        assert all(find_items(name).labels == (label,) for name in names_of(label))
        assert names_of(label)
    assert "weapons" in categories_of("gun")


def test_kinds_are_shared_out_evenly() -> None:
    records = [record(["gun", "laptop", "bottle"], name=f"s{number}") for number in range(70)]
    counts = Counter(one.kind for one in declarations_for(Path("scans"), records, per_scan=2, seed=1))
    assert set(counts) == set(get_args(DeclarationKind))
    assert max(counts.values()) - min(counts.values()) <= 2


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    scans = [
        Drawn("north", (("gun", (10, 10, 60, 50)), ("bottle", (5, 5, 9, 9)))[: number % 3], split="test")
        for number in range(12)
    ]
    return write_folder(tmp_path / "scans", {"north": ["gun", "bottle", "laptop"]}, scans)


def test_the_same_seed_and_folder_give_the_same_bytes(folder: Path, tmp_path: Path) -> None:
    written = []
    for name, seed in (("one", "3"), ("other", "3"), ("third", "4")):
        command = ["--data", str(folder), "--out", str(tmp_path / name), "--seed", seed]
        result = CliRunner().invoke(declarations, command)
        assert result.exit_code == 0, result.output
        written.append((tmp_path / name / "declarations.jsonl").read_bytes())
    assert written[0] == written[1] != written[2]
    lines = [Declaration.model_validate_json(line) for line in written[0].splitlines()]
    assert len({one.id for one in lines}) == len(lines)
    assert all((folder / one.image).is_file() for one in lines)
    statistics = json.loads((tmp_path / "one" / "statistics.json").read_text(encoding="utf-8"))
    assert statistics["declarations"] == len(lines)
    assert sum(kind["declarations"] for kind in statistics["kinds"].values()) == len(lines)


@pytest.mark.parametrize(
    ("options", "status", "said"),
    [
        (("--kinds", "honset"), 2, "is none of honest"),
        (("--kinds", ""), 2, "name some of"),
        (("--split", "val"), 1, "holds no scan of the split 'val'"),
    ],
)
def test_what_cannot_be_done_is_told(
    options: tuple[str, ...], status: int, said: str, folder: Path, tmp_path: Path
) -> None:
    result = CliRunner().invoke(declarations, ["--data", str(folder), "--out", str(tmp_path / "out"), *options])
    assert result.exit_code == status
    assert said in result.output


def test_scans_that_nobody_annotated_are_refused(tmp_path: Path) -> None:
    root = write_folder(tmp_path / "scans", {"north": ["thing"]}, [Drawn("north", (("thing", (1, 1, 9, 9)),))])
    result = CliRunner().invoke(declarations, ["--data", str(root), "--out", str(tmp_path / "out")])
    assert result.exit_code == 1
    assert "annotates items" in result.output
