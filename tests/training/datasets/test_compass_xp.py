from __future__ import annotations

from pathlib import Path

from xray_training.datasets import compass_xp
from xray_training.datasets.fault import FaultKind

from tests.training.datasets.trees import compass_xp_tree, heard, text


def test_nothing_is_boxed_so_nothing_is_annotated(tmp_path: Path) -> None:
    for record in compass_xp.read(compass_xp_tree(tmp_path)):
        assert record.boxes == ()
        assert record.annotated == frozenset()


def test_the_table_becomes_metadata_and_the_picture_is_the_coloured_one(tmp_path: Path) -> None:
    records = list(compass_xp.read(compass_xp_tree(tmp_path)))
    assert records[0].metadata == {"class": "hammer", "instance": "7", "pose": "1", "dangerous": "true"}
    assert records[2].metadata["dangerous"] == "false"
    assert [record.image.relative_to(tmp_path).as_posix() for record in records] == [
        "Colour/0049.png",
        "Colour/0050.png",
        "Colour/0051.png",
    ]


def test_poses_of_one_object_share_a_group(tmp_path: Path) -> None:
    first, second, other = compass_xp.read(compass_xp_tree(tmp_path))
    assert first.group == second.group != other.group
    assert (first.block, second.block) == ("0000+", "0050+")


def test_names_with_their_suffix_are_found(tmp_path: Path) -> None:
    table = compass_xp_tree(tmp_path) / "meta.txt"
    text(table, table.read_text(encoding="utf-8").replace("0049\t", "0049.png\t"))
    assert len(list(compass_xp.read(tmp_path))) == 3


def test_a_short_row_is_a_fault_of_that_row(tmp_path: Path) -> None:
    table = compass_xp_tree(tmp_path) / "meta.txt"
    text(table, table.read_text(encoding="utf-8").replace("\t2\tTrue", ""))
    records, (fault,) = heard(compass_xp.read, tmp_path)
    assert fault.kind is FaultKind.BAD_ANNOTATION
    assert "line 3" in fault.message
    assert [record.image.stem for record in records] == ["0049", "0051"]
