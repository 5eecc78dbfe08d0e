from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from xray_training.datasets import luggage_xray
from xray_training.datasets.fault import FaultKind
from xray_training.datasets.record import DatasetError, ScanRecord

from tests.training.datasets.trees import heard, luggage_line, luggage_xray_tree, picture, text


def one(root: Path, said: str) -> ScanRecord:
    """The record of a 640 x 480 scan of which that was said."""
    text(root / "_annotations.train.jsonl", luggage_line("https://images.test/a.jpg", said))
    if not (root / "images/a.jpg").exists():
        picture(root / "images/a.jpg", (640, 480))
    (record,) = luggage_xray.read(root)
    return record


def test_boxes_are_rows_before_columns_in_1024_parts(tmp_path: Path) -> None:
    record = one(tmp_path, "<loc0232><loc0378><loc0452><loc0748> PlasticBottle")
    ((left, top, right, bottom),) = record.corners(640, 480).tolist()
    assert (left, top, right, bottom) == pytest.approx((236.25, 108.75, 467.5, 211.875), abs=1e-3)
    assert [(box.label, box.original) for box in record.boxes] == [("bottle", "PlasticBottle")]


@given(steps=st.tuples(*[st.integers(0, 1023)] * 4).filter(lambda s: s[0] < s[2] and s[1] < s[3]))
def test_every_step_is_a_share_of_its_own_axis(
    tmp_path_factory: pytest.TempPathFactory, steps: tuple[int, int, int, int]
) -> None:
    top, left, bottom, right = steps
    words = "".join(f"<loc{step:04d}>" for step in steps)
    (box,) = one(tmp_path_factory.getbasetemp() / "steps", f"{words} knife").boxes
    assert (box.x_min * 1024, box.x_max * 1024) == pytest.approx((left, right))
    assert (box.y_min * 1024, box.y_max * 1024) == pytest.approx((top, bottom))


def test_class_names_may_hold_spaces_and_objects_end_at_semicolons(tmp_path: Path) -> None:
    first, empty, other = luggage_xray.read(luggage_xray_tree(tmp_path))
    assert [(box.label, box.original) for box in first.boxes] == [
        ("bottle", "Plastic Bottle"),
        ("razor_blade", "blade"),
    ]
    assert empty.boxes == ()
    assert len(empty.annotated) == 10
    assert (first.split, empty.split, other.split) == ("train", "train", "val")


def test_copies_of_one_upload_share_a_group(tmp_path: Path) -> None:
    first, empty, other = luggage_xray.read(luggage_xray_tree(tmp_path))
    assert first.group == other.group == "20_40_04_140"
    assert empty.group == "20_40_04_141"


@pytest.mark.parametrize(
    "said",
    [
        "<loc0512><loc0378><loc0452><loc0748> knife",  # ends above its top: somebody swapped the axes
        "<loc0232><loc0378><loc0452> knife",
        "<loc0232><loc0378><loc0452><loc0748>",
        "<loc0232><loc0378><loc0452><loc0748> knife <loc0001><loc0001><loc0002><loc0002> knife",
        "no items",
    ],
)
def test_an_answer_that_is_no_list_of_boxes_leaves_out_the_scan(tmp_path: Path, said: str) -> None:
    with pytest.raises(DatasetError, match="line 1"):
        one(tmp_path, f"<loc0001><loc0001><loc0002><loc0002> knife ; {said}")
    records, (fault,) = heard(luggage_xray.read, tmp_path)
    assert records == []
    assert fault.kind is FaultKind.BAD_ANNOTATION


def test_a_picture_not_yet_fetched_says_what_to_run(tmp_path: Path) -> None:
    (luggage_xray_tree(tmp_path) / "images/20_40_04_141_png.rf.bb22.jpg").unlink()
    with pytest.raises(DatasetError, match="run `xray-train data download`"):
        list(luggage_xray.read(tmp_path))
    records, (fault,) = heard(luggage_xray.read, tmp_path)
    assert fault.kind is FaultKind.MISSING_IMAGE
    assert len(records) == 2


def test_the_urls_of_a_file_are_listed_each_once(tmp_path: Path) -> None:
    path = luggage_xray_tree(tmp_path) / "_annotations.train.jsonl"
    path.write_text(path.read_text(encoding="utf-8") * 2, encoding="utf-8")
    assert luggage_xray.urls_of(path) == [
        "https://images.test/set/20_40_04_140_png.rf.aa11.jpg?sign=1",
        "https://images.test/set/20_40_04_141_png.rf.bb22.jpg",
    ]
    text(path, "{}\n")
    with pytest.raises(DatasetError, match="line 1"):
        luggage_xray.urls_of(path)


def test_pictures_whose_urls_end_alike_get_names_of_their_own(tmp_path: Path) -> None:
    urls = [f"https://source.test/owner/{name}/original.jpg" for name in ("AAA", "BBB")]
    place = "<loc0001><loc0001><loc0512><loc0512>"
    text(tmp_path / "_annotations.train.jsonl", luggage_line(urls[0], f"{place} knife"))
    text(tmp_path / "_annotations.valid.jsonl", luggage_line(urls[1], f"{place} Tin"))
    picture(tmp_path / "images/original.jpg", (60, 40))
    records, faults = heard(luggage_xray.read, tmp_path)
    assert records == []
    assert {fault.kind for fault in faults} == {FaultKind.MISSING_IMAGE}
    names = luggage_xray.picture_names(urls)
    for name in names.values():
        picture(tmp_path / "images" / name, (60, 40))
    assert [(record.image.name, record.boxes[0].label) for record in luggage_xray.read(tmp_path)] == [
        (names[urls[0]], "knife"),
        (names[urls[1]], "can"),
    ]


def test_a_name_of_its_own_stays_as_it_is_and_a_signature_does_not_matter() -> None:
    urls = ["https://a.test/x/c%20d.jpg?sign=1", "https://a.test/x/c%20d.jpg?sign=2", "https://a.test/x/e.jpg"]
    assert luggage_xray.picture_names(urls) == {urls[0]: "c_d.jpg", urls[1]: "c_d.jpg", urls[2]: "e.jpg"}


paths = st.text(st.sampled_from("/.%2fFaA b_ö"), min_size=1, max_size=12) | st.sampled_from(
    ["..", "/..", "%2e%2e", "a/"]
)


@given(paths=st.lists(paths, max_size=6, unique=True))
def test_no_two_pictures_share_a_name_and_none_leads_out_of_the_folder(paths: list[str]) -> None:
    names = luggage_xray.picture_names(f"https://images.test/{path}" for path in paths)
    assert len({name.casefold() for name in names.values()}) == len(paths)
    for name in names.values():
        assert Path("images", name).name == name
        assert name not in (".", "..")


@pytest.mark.parametrize(
    "content",
    [
        {"messages": []},
        {"messages": [{"role": "assistant", "content": "x"}]},
        {"messages": [{"role": "user", "content": [{"type": "image_url", "image_url": {"url": "https://a.test/"}}]}]},
        ["messages"],
    ],
)
def test_a_line_without_a_picture_or_an_answer_is_a_fault_of_that_line(tmp_path: Path, content: object) -> None:
    path = luggage_xray_tree(tmp_path) / "_annotations.train.jsonl"
    path.write_text(json.dumps(content) + "\n" + path.read_text(encoding="utf-8"), encoding="utf-8")
    records, (fault,) = heard(luggage_xray.read, tmp_path)
    assert (fault.kind, fault.where) == (FaultKind.BAD_ANNOTATION, f"{path}, line 1")
    assert len(records) == 3


def test_parameters_that_are_no_signature_tell_pictures_apart() -> None:
    urls = [f"https://a.test/i.jpg?id={number}&X-Amz-Signature={number}" for number in (1, 2)]
    names = luggage_xray.picture_names(urls)
    assert len(set(names.values())) == 2
    again = [url.replace("X-Amz-Signature=", "X-Amz-Signature=f") for url in urls]
    assert list(luggage_xray.picture_names(again).values()) == list(names.values())
    signed = ["https://a.test/i.jpg?alt=media&token=1", "https://a.test/i.jpg?X-Goog-Date=2&Expires=3&Signature=4"]
    assert set(luggage_xray.picture_names(signed).values()) == {"i.jpg"}


def test_neighbouring_uploads_share_a_block(tmp_path: Path) -> None:
    first, neighbour, _ = luggage_xray.read(luggage_xray_tree(tmp_path))
    assert first.block == neighbour.block
