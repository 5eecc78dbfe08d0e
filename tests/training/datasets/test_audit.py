from __future__ import annotations

import json
import os
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner, Result
from PIL import Image
from xray_training.audit.axes import axes_of
from xray_training.audit.findings import MEANINGS, Severity, severity_of
from xray_training.audit.report import AuditReport
from xray_training.commands.inspect import audit, stats
from xray_training.datasets.examine import BoxFit
from xray_training.datasets.fault import FaultKind

from tests.training.datasets.bags import (
    NAMES,
    TESTING,
    TRAINING,
    change_manifest,
    change_rows,
    label_file,
    picture,
    write_bags,
    write_manifest,
    write_rows,
)

ROOT = Path(__file__).parents[3]
ALL = range(TRAINING + TESTING)


def run(root: Path, *options: str) -> Result:
    command = [str(root), "--out", str(root.parent / "out"), "--processes", "1", *options]
    return CliRunner().invoke(audit, command, catch_exceptions=False)


def report_of(root: Path) -> AuditReport:
    return AuditReport.model_validate_json((root.parent / "out" / "audit.json").read_text(encoding="utf-8"))


def found_in(root: Path, *options: str) -> dict[str, list[str]]:
    """What an audit finds: for each kind, the files that it names."""
    run(root, *options)
    return {kind.kind: [finding.where for finding in kind.findings] for kind in report_of(root).kinds}


@pytest.fixture
def bags(tmp_path: Path) -> Path:
    return write_bags(tmp_path / "bags")


# --- one fault at a time


def keep_half(path: Path) -> None:
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def name_classes(root: Path, names: tuple[str, ...]) -> None:
    (root / "classes.txt").write_text("\n".join(names) + "\n", encoding="utf-8")
    (root / "annotated.json").write_text(json.dumps({"north": names}), encoding="utf-8")


def swap_axes(root: Path, numbers: range) -> None:
    for number in numbers:
        change_rows(root, number, lambda rows: [[label, y, x, height, width] for label, x, y, width, height in rows])


def swap_pixels(root: Path) -> None:
    """Corners written as rows and columns of pixels, and read as columns and rows."""
    aspect = 160 / 120
    for number in ALL:
        change_rows(
            root,
            number,
            lambda rows: [
                [n, min(y / aspect, 0.9), min(x * aspect, 0.8), h / aspect, w * aspect] for n, x, y, w, h in rows
            ],
        )


def scatter_boxes(root: Path) -> None:
    draw = random.Random(4)
    for number in ALL:
        rows = [[draw.randrange(2), draw.uniform(0.1, 0.9), draw.uniform(0.1, 0.9), 0.1, 0.12] for _ in range(8)]
        write_rows(label_file(root, number), rows)


def brighten(source: Path, target: Path) -> None:
    pixels = np.asarray(Image.open(source)).astype(int)
    Image.fromarray(np.clip(pixels + 3, 0, 255).astype(np.uint8)).save(target)


def point_to_lfs(path: Path) -> None:
    path.write_text(
        f"version https://git-lfs.github.com/spec/v1\noid sha256:{'0' * 64}\nsize 12345\n", encoding="utf-8"
    )


def one_hammer(root: Path, number: int) -> None:
    name_classes(root, (*NAMES, "hammer"))
    change_rows(root, number, lambda rows: [*rows, [2, 0.5, 0.5, 0.2, 0.2]])


def one_block(root: Path) -> None:
    for number in ALL:
        change_manifest(root, number, {"block": "all"})


def squared(root: Path) -> None:
    for number in ALL:
        Image.open(picture(root, number)).resize((120, 120)).save(picture(root, number))


PLANTED: dict[str, tuple[str, Callable[[Path], object]]] = {
    "a picture is not there": (FaultKind.MISSING_IMAGE, lambda root: picture(root, 3).unlink()),
    "a picture is cut off": (FaultKind.UNREADABLE_IMAGE, lambda root: keep_half(picture(root, 3))),
    "a text lies in a picture's place": (FaultKind.UNREADABLE_IMAGE, lambda root: picture(root, 3).write_text("x")),
    "an LFS pointer lies in a picture's place": (FaultKind.LFS_POINTER, lambda root: point_to_lfs(picture(root, 3))),
    "a label file is not there": (FaultKind.MISSING_ANNOTATION, lambda root: label_file(root, 3).unlink()),
    "a label row is cut off": (
        FaultKind.BAD_ANNOTATION,
        lambda root: label_file(root, 3).write_text(label_file(root, 3).read_text() + "0 0.5 0.5\n"),
    ),
    "a box reaches out of the picture": (
        FaultKind.BOX_OUTSIDE,
        lambda root: change_rows(root, 3, lambda rows: [*rows, [0, 0.95, 0.5, 0.4, 0.2]]),
    ),
    "a box has no area": (
        FaultKind.BOX_EMPTY,
        lambda root: label_file(root, 3).write_text(label_file(root, 3).read_text() + "0 0.5 0.5 1e-20 0.2\n"),
    ),
    "a label is not in the taxonomy": (FaultKind.UNKNOWN_LABEL, lambda root: name_classes(root, ("knife", "widget"))),
    "all boxes are transposed": ("transposed_axes", lambda root: swap_axes(root, ALL)),
    "the boxes of one split are transposed": ("transposed_axes", lambda root: swap_axes(root, range(TRAINING))),
    "boxes are transposed in pixels": ("transposed_axes", swap_pixels),
    "boxes lie anywhere": ("boxes_off_items", scatter_boxes),
    "no scan has a box": ("no_boxes", lambda root: [label_file(root, n).write_text("") for n in ALL]),
    "many scans have no box": ("empty_labels", lambda root: [label_file(root, n).write_text("") for n in range(7, 14)]),
    "a box has a label that is not annotated": (
        "label_not_annotated",
        lambda root: (root / "annotated.json").write_text('{"north": ["knife"]}'),
    ),
    "a box is tiny": (
        "box_tiny",
        lambda root: change_rows(root, 3, lambda rows: [*rows, [0, 0.5, 0.5, 0.02, 0.2]]),
    ),
    "a box takes the whole frame": (
        "box_whole_frame",
        lambda root: change_rows(root, 3, lambda rows: [*rows, [0, 0.5, 0.5, 1.0, 1.0]]),
    ),
    "a box is there twice": ("box_repeated", lambda root: change_rows(root, 3, lambda rows: [*rows, rows[0]])),
    "a class has no box": ("class_without_boxes", lambda root: name_classes(root, (*NAMES, "hammer"))),
    "a class has one box": ("class_rare", lambda root: one_hammer(root, 3)),
    "a class has boxes in the test part only": ("class_not_in_train", lambda root: one_hammer(root, TRAINING)),
    "a picture is in two splits": (
        "duplicate_across_splits",
        lambda root: picture(root, TRAINING).write_bytes(picture(root, 3).read_bytes()),
    ),
    "a picture is nearly in two splits": (
        "near_duplicate_across_splits",
        lambda root: brighten(picture(root, 3), picture(root, TRAINING)),
    ),
    "a picture is there twice": (
        "duplicate",
        lambda root: picture(root, 4).write_bytes(picture(root, 3).read_bytes()),
    ),
    "a picture is nearly there twice": ("near_duplicate", lambda root: brighten(picture(root, 3), picture(root, 4))),
    "a group is divided": ("group_divided", lambda root: change_manifest(root, TRAINING, {"group": "g3"})),
    "a block is divided": ("block_divided", lambda root: change_manifest(root, TRAINING, {"block": "b3"})),
    "a block holds most of a source": (
        "block_too_coarse",
        one_block,
    ),
    "all pictures are square": ("all_square", squared),
    "there is no scan": ("no_scans", lambda root: write_manifest(root, [])),
}


def test_nothing_is_found_in_a_clean_dataset(bags: Path) -> None:
    result = run(bags)
    assert result.exit_code == 0, result.output
    assert "Nothing stops a training run; 0 warnings." in result.output
    report = report_of(bags)
    assert report.kinds == ()
    assert report.stops == ()
    assert report.scans == TRAINING + TESTING


@pytest.mark.parametrize("planted", PLANTED)
def test_a_planted_fault_is_found_and_nothing_else_and_can_be_accepted(bags: Path, planted: str) -> None:
    kind, plant = PLANTED[planted]
    plant(bags)
    stopped = run(bags).exit_code == 1
    assert [found.kind for found in report_of(bags).kinds] == [str(kind)]
    assert stopped is (severity_of(kind) is Severity.ERROR)
    assert run(bags, "--strict", "--accept", kind).exit_code == 0


def test_a_warning_stops_only_when_asked(bags: Path) -> None:
    change_rows(bags, 3, lambda rows: [*rows, rows[0]])
    assert run(bags).exit_code == 0
    assert run(bags, "--strict").exit_code == 1
    assert report_of(bags).stops == ("box_repeated",)


def test_a_note_never_stops(bags: Path) -> None:
    one_hammer(bags, 3)
    assert run(bags, "--strict").exit_code == 0
    assert [kind.kind for kind in report_of(bags).kinds] == ["class_rare"]


def test_every_kind_that_an_annotated_folder_can_hold_is_planted() -> None:
    elsewhere = {FaultKind.SIZE_MISMATCH, FaultKind.SIZE_RESCALED}
    assert {str(kind) for kind, _ in PLANTED.values()} == {str(kind) for kind in set(MEANINGS) - elsewhere}


def test_the_page_on_audits_lists_every_kind_with_its_severity_and_meaning() -> None:
    page = (ROOT / "docs" / "data-audit.md").read_text(encoding="utf-8")
    for kind, (severity, meaning) in MEANINGS.items():
        assert f"| `{kind}` | {severity} | {meaning} |" in page


@pytest.mark.parametrize(
    ("declared", "kind"), [((320, 240), FaultKind.SIZE_RESCALED), ((320, 120), FaultKind.SIZE_MISMATCH)]
)
def test_a_declared_size_that_is_not_the_pictures_is_found(
    bags: Path, declared: tuple[int, int], kind: FaultKind
) -> None:
    images: list[dict[str, Any]] = [
        {"id": number, "file_name": picture(bags, number).name, "width": 160, "height": 120}
        for number in range(TRAINING)
    ]
    images[5] |= {"width": declared[0], "height": declared[1]}
    marks = [
        {"id": 2 * n + c, "image_id": n, "category_id": c, "bbox": box}
        for n in range(TRAINING)
        for c, box in enumerate(([20, 70, 20, 16], [108, 20, 20, 16]))
    ]
    categories = [{"id": index, "name": name} for index, name in enumerate(NAMES)]
    for file in ("manifest.csv", "classes.txt", "annotated.json"):
        (bags / file).unlink()
    (bags / "annotations").mkdir()
    content = {"images": images, "annotations": marks, "categories": categories}
    (bags / "annotations" / "instances_train.json").write_text(json.dumps(content), encoding="utf-8")
    assert run(bags, "--from", "coco").exit_code == (kind is FaultKind.SIZE_MISMATCH)
    assert str(kind) in {found.kind for found in report_of(bags).kinds}


# --- several at once


def test_faults_that_are_planted_together_are_each_found_where_they_are(bags: Path) -> None:
    picture(bags, 0).unlink()
    keep_half(picture(bags, 1))
    point_to_lfs(picture(bags, 2))
    label_file(bags, 3).unlink()
    change_rows(bags, 4, lambda rows: [*rows, rows[0], [0, 0.5, 0.5, 1.0, 1.0]])
    change_rows(bags, 5, lambda rows: [*rows, [1, 0.5, 0.5, 0.02, 0.2]])
    picture(bags, TRAINING).write_bytes(picture(bags, 6).read_bytes())
    brighten(picture(bags, 7), picture(bags, 8))
    change_manifest(bags, TRAINING + 2, {"group": "g10"})
    one_hammer(bags, 9)
    found = found_in(bags)
    train, test = ([f"images/{split}/north_{number:02d}.png" for number in ALL] for split in ("train", "test"))
    assert found.pop("missing_annotation")[0].startswith("manifest.csv, line 5")
    assert found == {
        "missing_image": [train[0]],
        "unreadable_image": [train[1]],
        "lfs_pointer": [train[2]],
        "box_repeated": [train[4]],
        "box_whole_frame": [train[4]],
        "box_tiny": [train[5]],
        "duplicate_across_splits": [train[6]],
        "near_duplicate": [train[7]],
        "group_divided": [train[10]],
        "class_rare": [""],
    }
    assert test[TRAINING] in next(
        kind.findings[0].message for kind in report_of(bags).kinds if kind.kind == "duplicate_across_splits"
    )


def test_a_source_without_a_box_is_in_order_where_it_is_declared_benign(bags: Path) -> None:
    for number in ALL:
        label_file(bags, number).write_text("")
    assert run(bags).exit_code == 1
    assert run(bags, "--benign", "north").exit_code == 0
    assert report_of(bags).kinds == ()


def test_known_near_duplicates_of_one_group_are_in_order(bags: Path) -> None:
    brighten(picture(bags, 3), picture(bags, 4))
    change_manifest(bags, 4, {"group": "g3"})
    assert found_in(bags) == {}


def test_one_split_can_be_audited_alone(bags: Path) -> None:
    picture(bags, 0).unlink()
    assert run(bags, "--split", "test").exit_code == 0
    assert report_of(bags).scans == TESTING


# --- going on


def test_a_second_run_reads_only_the_pictures_that_changed(bags: Path) -> None:
    assert run(bags).exit_code == 0
    before = picture(bags, 3).stat()
    damaged = b"\0" * before.st_size
    picture(bags, 3).write_bytes(damaged)
    os.utime(picture(bags, 3), ns=(before.st_atime_ns, before.st_mtime_ns))
    assert run(bags).exit_code == 0
    os.utime(picture(bags, 3), ns=(before.st_atime_ns, before.st_mtime_ns + 1_000_000))
    assert found_in(bags) == {"unreadable_image": ["images/train/north_03.png"]}


def test_a_run_that_was_stopped_in_the_middle_of_a_line_goes_on(bags: Path) -> None:
    brighten(picture(bags, 3), picture(bags, 4))
    run(bags)
    whole = report_of(bags)
    kept = bags.parent / "out" / "examined.jsonl"
    keep_half(kept)
    run(bags)
    assert report_of(bags) == whole
    run(bags)
    assert report_of(bags) == whole


# --- what is written


def test_the_report_names_kinds_examples_sources_and_classes(bags: Path) -> None:
    picture(bags, 3).unlink()
    result = run(bags)
    text = (bags.parent / "out" / "REPORT.md").read_text(encoding="utf-8")
    for said in ("missing_image", "images/train/north_03.png", "Stop: missing_image"):
        assert said in text
        assert said in result.output
    assert "| north | train 22, test 6 | 0 | 56 |" in text
    assert "| knife | 28 |" in text


def test_five_examples_of_a_kind_are_shown_and_all_are_listed(bags: Path) -> None:
    for number in range(8):
        picture(bags, number).unlink()
    run(bags)
    assert "and 3 more" in (bags.parent / "out" / "REPORT.md").read_text(encoding="utf-8")
    (kind,) = report_of(bags).kinds
    assert (kind.count, len(kind.findings)) == (8, 8)


def test_the_sheet_frames_a_faulty_scan_in_red(bags: Path) -> None:
    run(bags)
    sheet = bags.parent / "out" / "overlays.png"
    clean = np.asarray(Image.open(sheet))
    change_rows(bags, 3, lambda rows: [*rows, rows[0]])
    run(bags)
    faulty = np.asarray(Image.open(sheet))
    red = (208, 2, 27)
    assert not (clean == red).all(axis=-1).any()
    assert (faulty == red).all(axis=-1).sum() > 1000


def test_no_report_names_a_folder_outside_the_dataset(bags: Path) -> None:
    picture(bags, 3).unlink()
    label_file(bags, 4).unlink()
    run(bags)
    for file in ("REPORT.md", "audit.json"):
        assert str(bags.parent) not in (bags.parent / "out" / file).read_text(encoding="utf-8")


def test_no_sheet_of_an_earlier_run_stays_when_no_picture_can_be_read(bags: Path) -> None:
    run(bags)
    for number in ALL:
        picture(bags, number).write_bytes(b"damaged")
    run(bags)
    assert not (bags.parent / "out" / "overlays.png").exists()


def test_the_current_folder_can_be_audited(bags: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    picture(bags, 3).unlink()
    monkeypatch.chdir(bags)
    result = CliRunner().invoke(audit, [".", "--out", "../out", "--processes", "1"], catch_exceptions=False)
    assert result.exit_code == 1
    assert report_of(bags).folder == "bags"
    assert report_of(bags).kinds[0].findings[0].where == "images/train/north_03.png"


# --- what a user can get wrong


def test_a_folder_that_is_no_dataset_ends_with_3_and_says_what_to_do(tmp_path: Path) -> None:
    result = run(tmp_path)
    assert result.exit_code == 3
    assert "say which with --from" in result.output


def test_a_dataset_without_its_index_ends_with_3(bags: Path) -> None:
    (bags / "classes.txt").unlink()
    result = run(bags)
    assert result.exit_code == 3
    assert "classes.txt is missing" in result.output


def test_a_kind_that_does_not_exist_is_a_usage_error_that_lists_them(bags: Path) -> None:
    result = run(bags, "--accept", "everything")
    assert result.exit_code == 2
    assert "transposed_axes" in result.output


# --- axes


def fits(better: int, worse: int) -> list[BoxFit | None]:
    kept = BoxFit(as_is=90, swapped_shares=40, swapped_pixels=None)
    swapped = BoxFit(as_is=40, swapped_shares=90, swapped_pixels=None)
    return [kept] * better + [swapped] * worse + [None] * 3


@pytest.mark.parametrize(
    ("better", "worse", "transposed", "doubtful"),
    [
        (0, 0, False, False),
        (0, 19, False, False),  # too few to tell
        (1, 19, True, False),
        (5, 15, False, False),  # such a share of 20 is chance once in fifty times
        (50, 150, True, True),
        (95, 105, False, True),
        (160, 40, False, False),
    ],
)
def test_axes_are_judged_by_a_sign_test(better: int, worse: int, transposed: bool, doubtful: bool) -> None:
    axes = axes_of(fits(better, worse))
    assert (axes.boxes, axes.better_as_is) == (better + worse, better)
    assert axes.transposed is transposed
    assert axes.doubtful is doubtful


# --- the real scans


@pytest.mark.scans
@pytest.mark.slow
def test_the_real_test_scans_hold_nothing_that_stops_and_are_as_their_page_says(
    real_scans: Path, tmp_path: Path
) -> None:
    command = [str(real_scans), "--out", str(tmp_path), "--split", "test", "--processes", "1"]
    result = CliRunner().invoke(audit, command, catch_exceptions=False)
    assert result.exit_code == 0, result.output
    report = AuditReport.model_validate_json((tmp_path / "audit.json").read_text(encoding="utf-8"))
    assert all(kind.severity is not Severity.ERROR for kind in report.kinds)
    for source in report.sources:
        assert source.axes.share > 0.75
    missing = next(kind for kind in report.kinds if kind.kind == "class_without_boxes")
    assert ("ifly", "nail_polish") in {(finding.source, finding.label) for finding in missing.findings}

    CliRunner().invoke(stats, command, catch_exceptions=False)  # goes on with what the audit measured
    groups = json.loads((tmp_path / "stats.json").read_text(encoding="utf-8"))["groups"]
    found = {group["source"]: group for group in groups}
    counts = {source: (group["scans"], group["boxes"]) for source, group in found.items()}
    assert counts["opixray"] == (614, 614)
    assert {source: scans for source, (scans, _) in counts.items()} == {
        "opixray": 614,
        "pidray": 420,
        "sixray": 194,
        "ifly": 238,
        "benign": 136,
    }
    assert found["pidray"]["greyscale_share"] == 1
    assert found["opixray"]["greyscale_share"] < 0.01
    assert found["opixray"]["width_px"]["least"] == found["opixray"]["height_px"]["greatest"] == 416
    assert {support["label"] for support in found["opixray"]["classes"]} == {"knife", "scissors"}
    assert found["benign"]["benign_share"] == 1
