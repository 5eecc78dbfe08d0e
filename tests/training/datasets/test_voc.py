from __future__ import annotations

from pathlib import Path

import pytest
from xray_training.datasets import voc
from xray_training.datasets.fault import FaultKind
from xray_training.datasets.record import DatasetError, LabelledBox, ScanRecord

from tests.training.datasets.trees import heard, picture, text, voc_tree, xml_of

FILE = "Annotations/scan_0049.xml"


def test_lists_tell_the_split_and_what_is_read(tmp_path: Path) -> None:
    first, second = voc.read(voc_tree(tmp_path / "mine"))
    assert first == ScanRecord(
        image=tmp_path / "mine/JPEGImages/scan_0049.jpg",
        source="mine",
        scanner="mine",
        split="train",
        group="scan_0049",
        block="scan_0000+",
        boxes=(
            LabelledBox("knife", 20 / 160, 50 / 90, 150 / 160, 60 / 90, original="Knife"),
            LabelledBox("power_bank", 10 / 160, 5 / 90, 30 / 160, 40 / 90, original="power bank"),
        ),
        annotated=frozenset({"knife", "power_bank", "gun"}),
    )
    assert (second.split, second.block, second.annotated) == ("test", "scan_0050+", first.annotated)


def test_without_lists_every_annotated_scan_is_for_training(tmp_path: Path) -> None:
    for path in (voc_tree(tmp_path) / "ImageSets/Main").iterdir():
        path.unlink()
    records = list(voc.read(tmp_path))
    assert [record.split for record in records] == ["train"] * 3
    assert records[2].boxes == ()


def test_a_listed_scan_without_its_file_is_a_fault_and_no_scan_without_items(tmp_path: Path) -> None:
    (voc_tree(tmp_path) / FILE).unlink()
    records, (fault,) = heard(voc.read, tmp_path)
    assert (fault.kind, fault.where) == (FaultKind.MISSING_ANNOTATION, str(tmp_path / FILE))
    assert [record.group for record in records] == ["scan_0050"]


@pytest.mark.parametrize(
    "content",
    [
        "<annotation><object>",
        "<annotation><object><name>gun</name></object></annotation>",
        "<annotation><object><bndbox/></object></annotation>",
        xml_of("a.jpg", None, [("gun", (1, 2, 3, 4))]).replace("<ymin>2</ymin>", ""),
        xml_of("a.jpg", None, [("gun", (1, 2, 3, 4))]).replace("<ymin>2", "<ymin>two"),
        xml_of("a.jpg", None, [("gun", (1, 2, 3, 4))]).replace("<ymin>2", "<ymin>inf"),
        xml_of("a.jpg", (1, 1), []).replace("<width>1", "<width>wide"),
        xml_of("a.jpg", (-4, 3), []),
        '<?xml version="1.0" encoding="klingon"?><annotation/>',
    ],
)
def test_a_malformed_file_leaves_out_its_scan(tmp_path: Path, content: str) -> None:
    text(voc_tree(tmp_path) / FILE, content)
    with pytest.raises(DatasetError, match="scan_0049"):
        list(voc.read(tmp_path))
    records, (fault,) = heard(voc.read, tmp_path)
    assert (fault.kind, fault.where) == (FaultKind.BAD_ANNOTATION, str(tmp_path / FILE))
    assert [record.group for record in records] == ["scan_0050"]


@pytest.mark.parametrize(
    "bomb",
    [
        '<!DOCTYPE a [<!ENTITY b "gun"><!ENTITY c "&b;&b;&b;">]><annotation>&c;</annotation>',
        '<!DOCTYPE a [<!ENTITY b SYSTEM "file:///etc/hostname">]><annotation>&b;</annotation>',
    ],
)
def test_entities_are_not_expanded(tmp_path: Path, bomb: str) -> None:
    text(voc_tree(tmp_path) / FILE, bomb)
    _, (fault,) = heard(voc.read, tmp_path)
    assert fault.kind is FaultKind.BAD_ANNOTATION
    assert "Entities" in fault.message


def test_a_file_in_another_encoding_is_read_as_it_says(tmp_path: Path) -> None:
    content = '<?xml version="1.0" encoding="iso-8859-1"?>' + xml_of("käse.jpg", (160, 90), [("gun", (1, 2, 30, 40))])
    (voc_tree(tmp_path) / FILE).write_bytes(content.encode("iso-8859-1"))
    assert [box.label for box in next(iter(voc.read(tmp_path))).boxes] == ["gun"]


def test_frames_that_roboflow_renamed_share_a_block(tmp_path: Path) -> None:
    for stem in ("bag_7_jpg.rf.0a", "bag_8_jpg.rf.0b"):
        picture(tmp_path / "JPEGImages" / f"{stem}.jpg", (40, 30))
        text(tmp_path / "Annotations" / f"{stem}.xml", xml_of(f"{stem}.jpg", (40, 30), []))
    first, second = voc.read(tmp_path)
    assert first.block == second.block
    assert first.group != second.group
