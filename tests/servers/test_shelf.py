from __future__ import annotations

import os
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from contextlib import contextmanager
from functools import partial
from itertools import repeat
from multiprocessing import get_context
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given
from hypothesis import strategies as st
from xray_servers.shelf import ScanShelf, ShelfLimits, is_scan_id

from xray_agent_tools.errors import InvalidScan, StorageFull, UnknownScan

LIFETIME_S = 3600.0

owners = st.sampled_from(["", "officer-7", "../officer-7", "a" * 300, "\n"])
scan_ids = st.from_regex(r"scan-[0-9a-f]{16}", fullmatch=True)
contents = st.lists(st.binary(max_size=200) | st.just(b"\n") | st.just(b"[3]\nabc"), min_size=1, max_size=8)


def scan_id(number: int) -> str:
    return f"scan-{number:016x}"


def shelf_in(folder: Path, *, max_bytes: int = 1_000_000) -> ScanShelf:
    return ScanShelf(folder, ShelfLimits(lifetime_s=LIFETIME_S, max_bytes=max_bytes))


@contextmanager
def shelf(*, max_bytes: int = 1_000_000) -> Iterator[ScanShelf]:
    with TemporaryDirectory() as folder:
        yield shelf_in(Path(folder), max_bytes=max_bytes)


def files_in(folder: Path) -> list[Path]:
    return [path for path in folder.rglob("*") if path.is_file()]


def age(folder: Path, seconds: float) -> None:
    """Let everything in a folder have been used so long before it was."""
    for path in files_in(folder):
        used = path.stat().st_mtime - seconds
        os.utime(path, (used, used))


def is_kept(shelf: ScanShelf, owner: str, name: str) -> bool:
    try:
        shelf.fetch(owner, name)
    except UnknownScan:
        return False
    return True


# Keeping


@given(kept=st.dictionaries(st.tuples(owners, scan_ids), contents, min_size=1, max_size=6))
def test_every_scan_comes_back_view_by_view(kept: dict[tuple[str, str], list[bytes]]) -> None:
    with shelf() as board:
        for (owner, name), views in kept.items():
            board.keep(owner, name, views)
        assert {(owner, name): board.fetch(owner, name) for owner, name in kept} == kept


@given(owner=owners, other=owners, name=scan_ids, views=contents)
def test_nobody_sees_the_scan_of_another(owner: str, other: str, name: str, views: list[bytes]) -> None:
    with shelf() as board:
        board.keep(owner, name, views)
        assert is_kept(board, other, name) == (owner == other)
        assert board.listed(other) == ([name] if owner == other else [])


def test_the_same_scan_of_two_owners_is_kept_for_each(tmp_path: Path) -> None:
    board = shelf_in(tmp_path)
    board.keep("a", scan_id(1), [b"of a"])
    board.keep("b", scan_id(1), [b"of b"])
    assert (board.fetch("a", scan_id(1)), board.fetch("b", scan_id(1))) == ([b"of a"], [b"of b"])


def test_scans_outlive_the_process_that_kept_them(tmp_path: Path) -> None:
    shelf_in(tmp_path).keep("", scan_id(1), [b"top", b"side"])
    assert shelf_in(tmp_path).fetch("", scan_id(1)) == [b"top", b"side"]


def test_a_shelf_shows_nothing_to_other_users_of_the_machine(tmp_path: Path) -> None:
    shelf_in(tmp_path).keep("officer-7", scan_id(1), [b"bag"])
    (board,) = tmp_path.iterdir()
    (scan,) = board.iterdir()
    assert [path.stat().st_mode & 0o077 for path in (board, scan)] == [0, 0]
    assert "officer" not in board.name


def test_the_latest_scans_are_listed_first(tmp_path: Path) -> None:
    board = shelf_in(tmp_path)
    for number in (2, 3, 1):
        age(tmp_path, 60)
        board.keep("", scan_id(number), [b"bag"])
    assert board.listed("") == [scan_id(1), scan_id(3), scan_id(2)]
    board.fetch("", scan_id(3))
    assert board.listed("")[0] == scan_id(3)


def test_an_owner_without_scans_has_none_listed(tmp_path: Path) -> None:
    assert shelf_in(tmp_path / "not there yet").listed("") == []


# Names


@given(text=st.text(max_size=40))
def test_only_a_scan_id_is_one(text: str) -> None:
    assert not is_scan_id(text)
    with shelf() as board:
        for use in (partial(board.fetch, "", text), partial(board.keep, "", text, [b"bag"])):
            with pytest.raises(InvalidScan, match="no scan_id"):
                use()


@pytest.mark.parametrize(
    "name",
    [
        "../" + scan_id(1),
        "/etc/passwd",
        scan_id(1) + "/../" + scan_id(1),
        scan_id(1) + "\n",
        scan_id(1) + "\0",
        scan_id(1).upper(),
        "scan-" + "٣" * 16,
    ],
)
def test_a_name_that_leads_elsewhere_is_refused(tmp_path: Path, name: str) -> None:
    board = shelf_in(tmp_path / "shelf")
    board.keep("", scan_id(1), [b"bag"])
    with pytest.raises(InvalidScan):
        board.fetch("", name)
    with pytest.raises(InvalidScan):
        board.keep("", name, [b"bag"])
    assert len(files_in(tmp_path)) == 1


def test_an_unknown_scan_is_refused_with_its_lifetime_and_what_to_give_instead(tmp_path: Path) -> None:
    with pytest.raises(UnknownScan) as refusal:
        shelf_in(tmp_path).fetch("", scan_id(1))
    assert "60 minutes" in refusal.value.hint
    assert "path" in refusal.value.hint


# Lifetime


def test_a_scan_is_kept_for_its_lifetime_and_no_longer(tmp_path: Path) -> None:
    board = shelf_in(tmp_path)
    board.keep("", scan_id(1), [b"bag"])
    age(tmp_path, LIFETIME_S - 60)
    assert board.listed("") == [scan_id(1)]
    assert is_kept(board, "", scan_id(1))
    age(tmp_path, LIFETIME_S + 60)
    assert board.listed("") == []
    assert not is_kept(board, "", scan_id(1))


@pytest.mark.parametrize("again", ["fetched", "kept"])
def test_using_a_scan_again_starts_its_lifetime_anew(tmp_path: Path, again: str) -> None:
    board = shelf_in(tmp_path)
    board.keep("", scan_id(1), [b"bag"])
    age(tmp_path, LIFETIME_S - 60)
    if again == "fetched":
        board.fetch("", scan_id(1))
    else:
        board.keep("", scan_id(1), [b"bag"])
    age(tmp_path, LIFETIME_S - 60)
    assert is_kept(board, "", scan_id(1))


def test_what_has_expired_makes_room_whoever_kept_it(tmp_path: Path) -> None:
    shelf_in(tmp_path, max_bytes=100).keep("a", scan_id(1), [bytes(90)])
    age(tmp_path, LIFETIME_S + 60)
    board = shelf_in(tmp_path, max_bytes=100)
    board.keep("b", scan_id(2), [bytes(90)])
    assert is_kept(board, "b", scan_id(2))
    assert len(files_in(tmp_path)) == 1


def test_what_a_killed_process_left_half_written_is_removed_after_a_lifetime(tmp_path: Path) -> None:
    shelf_in(tmp_path).keep("", scan_id(1), [b"bag"])
    (kept,) = files_in(tmp_path)
    (kept.parent / "new-left").write_bytes(b"half a s")
    assert shelf_in(tmp_path).listed("") == [scan_id(1)]
    age(tmp_path, LIFETIME_S + 60)
    shelf_in(tmp_path).keep("", scan_id(2), [b"bag"])
    assert [path.name for path in files_in(tmp_path)] == [scan_id(2)]


# Room


def test_the_scans_used_longest_ago_make_room(tmp_path: Path) -> None:
    board = shelf_in(tmp_path, max_bytes=400)
    for number in (1, 2, 3):
        board.keep("", scan_id(number), [bytes(100)])
        age(tmp_path, 60)
    board.fetch("", scan_id(1))
    board.keep("", scan_id(4), [bytes(150)])
    assert board.listed("") == [scan_id(4), scan_id(1), scan_id(3)]


def test_room_is_made_only_at_the_cost_of_its_owner(tmp_path: Path) -> None:
    board = shelf_in(tmp_path, max_bytes=400)
    board.keep("a", scan_id(1), [bytes(300)])
    age(tmp_path, 60)
    board.keep("b", scan_id(2), [bytes(80)])
    with pytest.raises(StorageFull):
        board.keep("b", scan_id(3), [bytes(200)])
    assert is_kept(board, "a", scan_id(1))
    board.keep("a", scan_id(4), [bytes(290)])
    assert not is_kept(board, "a", scan_id(1))
    assert is_kept(board, "a", scan_id(4))


def test_a_scan_larger_than_the_shelf_is_refused_and_costs_no_other(tmp_path: Path) -> None:
    board = shelf_in(tmp_path, max_bytes=400)
    board.keep("", scan_id(1), [bytes(100)])
    with pytest.raises(StorageFull) as refusal:
        board.keep("", scan_id(2), [bytes(200), bytes(201)])
    assert refusal.value.hint
    assert board.listed("") == [scan_id(1)]


@given(sizes=st.lists(st.integers(0, 300), max_size=30))
def test_a_shelf_never_holds_more_than_it_may(sizes: list[int]) -> None:
    with TemporaryDirectory() as folder:
        board = shelf_in(Path(folder), max_bytes=500)
        for number, size in enumerate(sizes):
            board.keep("", scan_id(number), [bytes(size)])
            assert is_kept(board, "", scan_id(number))
            heads = sum(len(path.read_bytes().partition(b"\n")[0]) + 1 for path in files_in(Path(folder)))
            assert sum(path.stat().st_size for path in files_in(Path(folder))) - heads <= 500


def test_a_folder_that_cannot_be_written_to_is_reported(tmp_path: Path) -> None:
    (tmp_path / "shelf").write_text("a file where a folder should be")
    with pytest.raises(StorageFull, match="cannot be kept") as refusal:
        shelf_in(tmp_path / "shelf").keep("", scan_id(1), [b"bag"])
    assert "operator" in refusal.value.hint


def test_a_full_disk_is_reported_and_leaves_nothing_half_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    board = shelf_in(tmp_path)
    monkeypatch.setattr(os, "replace", full)
    with pytest.raises(StorageFull, match="no room"):
        board.keep("", scan_id(1), [b"bag"])
    assert files_in(tmp_path) == []


# At once


ROUNDS = 150
SIZE = 10_000


def keep_and_fetch(folder: Path, owner: str, seed: int) -> int:
    """Keep scans in a folder that is too small for them, and fetch what is there; how many were fetched."""
    board = shelf_in(folder, max_bytes=SIZE * 10)
    fetched = 0
    for number in range(ROUNDS):
        name = (number * 7 + seed * 3) % 25
        board.keep(owner, scan_id(name), views_of(name))
        for listed in board.listed(owner)[:3]:
            try:
                assert board.fetch(owner, listed) == views_of(int(listed[5:], 16))
                fetched += 1
            except UnknownScan:
                continue
    return fetched


def views_of(number: int) -> Sequence[bytes]:
    return [bytes([number]) * SIZE, b"\n" * number]


def test_threads_that_keep_scans_at_once_never_see_a_half_written_one(tmp_path: Path) -> None:
    with ThreadPoolExecutor(4) as pool:
        fetched = list(pool.map(keep_and_fetch, repeat(tmp_path), ["a"] * 4, range(4)))
    assert all(fetched)
    assert not [path for path in files_in(tmp_path) if path.name.startswith("new-")]


def test_processes_that_keep_scans_at_once_never_see_a_half_written_one(tmp_path: Path) -> None:
    with ProcessPoolExecutor(2, mp_context=get_context("spawn")) as pool:
        fetched = list(pool.map(keep_and_fetch, repeat(tmp_path), ["a"] * 2, range(2)))
    assert all(fetched)
    assert not [path for path in files_in(tmp_path) if path.name.startswith("new-")]


def test_a_scan_is_stamped_with_the_time_of_its_keeping(tmp_path: Path) -> None:
    before = time.time() - 1
    shelf_in(tmp_path).keep("", scan_id(1), [b"bag"])
    assert [before <= path.stat().st_mtime <= time.time() + 1 for path in files_in(tmp_path)] == [True]
