from __future__ import annotations

import errno
import os
from collections.abc import Callable, Iterator
from concurrent.futures import Executor, ProcessPoolExecutor, ThreadPoolExecutor
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
from xray_agent_tools.scan import scan_id_of

LIFETIME_S = 3600.0

NEVER_KEPT = "scan-0000000000000001"

owners = st.sampled_from(["", "officer-7", "../officer-7", "a" * 300, "\n"])
contents = st.lists(st.binary(max_size=200) | st.just(b"\n") | st.just(b"[3]\nabc"), min_size=1, max_size=8)


def shelf_in(folder: Path, *, max_bytes: int = 10_000_000) -> ScanShelf:
    return ScanShelf(folder, ShelfLimits(lifetime_s=LIFETIME_S, max_bytes=max_bytes))


@contextmanager
def shelf() -> Iterator[ScanShelf]:
    with TemporaryDirectory() as folder:
        yield shelf_in(Path(folder))


def keep(shelf: ScanShelf, owner: str, *views: bytes) -> str:
    """Keep a scan; its id."""
    name = scan_id_of(views)
    shelf.keep(owner, name, views)
    return name


def view(number: int, size: int = 100) -> bytes:
    """Bytes of a size that are like those of no other number."""
    return (str(number).encode() + b"|").ljust(size, b".")


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


@given(kept=st.lists(st.tuples(owners, contents), min_size=1, max_size=6))
def test_every_scan_comes_back_view_by_view(kept: list[tuple[str, list[bytes]]]) -> None:
    with shelf() as board:
        names = [keep(board, owner, *views) for owner, views in kept]
        assert [board.fetch(owner, name) for (owner, _), name in zip(kept, names, strict=True)] == [v for _, v in kept]


@given(owner=owners, other=owners, views=contents)
def test_nobody_sees_the_scan_of_another(owner: str, other: str, views: list[bytes]) -> None:
    with shelf() as board:
        name = keep(board, owner, *views)
        assert is_kept(board, other, name) == (owner == other)
        assert board.listed(other) == ([name] if owner == other else [])


def test_the_same_scan_of_two_owners_is_kept_for_each(tmp_path: Path) -> None:
    board = shelf_in(tmp_path, max_bytes=350)
    name = keep(board, "a", view(1))
    age(tmp_path, 60)
    assert keep(board, "b", view(1)) == name
    keep(board, "a", view(2, 200))
    assert [is_kept(board, owner, name) for owner in ("a", "b")] == [False, True]


def test_scans_outlive_the_process_that_kept_them(tmp_path: Path) -> None:
    name = keep(shelf_in(tmp_path), "", b"top", b"side")
    assert shelf_in(tmp_path).fetch("", name) == [b"top", b"side"]


def test_a_shelf_shows_nothing_to_other_users_of_the_machine(tmp_path: Path) -> None:
    keep(shelf_in(tmp_path), "officer-7", b"bag")
    (board,) = tmp_path.iterdir()
    (scan,) = board.iterdir()
    assert [path.stat().st_mode & 0o077 for path in (board, scan)] == [0, 0]
    assert "officer" not in board.name


def test_the_scans_used_last_are_listed_first(tmp_path: Path) -> None:
    board = shelf_in(tmp_path)
    names = []
    for number in range(3):
        age(tmp_path, 60)
        names.append(keep(board, "", view(number)))
    assert board.listed("") == names[::-1]
    board.fetch("", names[1])
    assert board.listed("")[-1] == names[0]


def test_an_owner_without_scans_has_none_listed(tmp_path: Path) -> None:
    assert shelf_in(tmp_path / "not there yet").listed("") == []


@pytest.mark.parametrize(
    "damage", [b"", b"half", b"[3]\nba", b"[3]\nbad", b"{}\nbag", b"[null]\nbag", b"3\nbag", b"\xff"]
)
def test_a_damaged_scan_is_no_scan_and_can_be_kept_again(tmp_path: Path, damage: bytes) -> None:
    board = shelf_in(tmp_path)
    name = keep(board, "", b"bag")
    (file,) = files_in(tmp_path)
    file.write_bytes(damage)
    with pytest.raises(UnknownScan):
        board.fetch("", name)
    keep(board, "", b"bag")
    assert board.fetch("", name) == [b"bag"]


# Names


@given(text=st.text(max_size=40))
def test_only_a_scan_id_is_one(text: str) -> None:
    assert not is_scan_id(text)
    with shelf() as board:
        for use in (partial(board.fetch, "", text), partial(board.keep, "", text, [b"bag"])):
            with pytest.raises(InvalidScan, match="no scan_id"):
                use()


@pytest.mark.parametrize(
    "lead",
    [
        "../{}".format,
        "{0}/../{0}".format,
        "{}\n".format,
        "{}\0".format,
        str.upper,
        lambda _: "/etc/passwd",
        lambda _: "scan-" + "٣" * 16,
    ],
)
def test_a_name_that_leads_elsewhere_is_refused(tmp_path: Path, lead: Callable[[str], str]) -> None:
    board = shelf_in(tmp_path / "shelf")
    name = lead(keep(board, "", b"bag"))
    with pytest.raises(InvalidScan):
        board.fetch("", name)
    with pytest.raises(InvalidScan):
        board.keep("", name, [b"bag"])
    assert len(files_in(tmp_path)) == 1


def test_an_unknown_scan_is_refused_with_its_lifetime_and_what_to_give_instead(tmp_path: Path) -> None:
    with pytest.raises(UnknownScan) as refusal:
        shelf_in(tmp_path).fetch("", NEVER_KEPT)
    assert "60 minutes" in refusal.value.hint
    assert "path" in refusal.value.hint


# Lifetime


def test_a_scan_is_kept_for_its_lifetime_and_no_longer(tmp_path: Path) -> None:
    board = shelf_in(tmp_path)
    name = keep(board, "", b"bag")
    age(tmp_path, LIFETIME_S - 60)
    assert board.listed("") == [name]
    assert is_kept(board, "", name)
    age(tmp_path, LIFETIME_S + 60)
    assert board.listed("") == []
    assert not is_kept(board, "", name)


@pytest.mark.parametrize("again", ["fetched", "kept"])
def test_using_a_scan_again_starts_its_lifetime_anew(tmp_path: Path, again: str) -> None:
    board = shelf_in(tmp_path)
    name = keep(board, "", b"bag")
    age(tmp_path, LIFETIME_S - 60)
    if again == "fetched":
        board.fetch("", name)
    else:
        keep(board, "", b"bag")
    age(tmp_path, LIFETIME_S - 60)
    assert is_kept(board, "", name)


def test_what_has_expired_makes_room_whoever_kept_it(tmp_path: Path) -> None:
    keep(shelf_in(tmp_path, max_bytes=100), "a", view(1, 90))
    age(tmp_path, LIFETIME_S + 60)
    board = shelf_in(tmp_path, max_bytes=100)
    assert is_kept(board, "b", keep(board, "b", view(2, 90)))
    assert len(files_in(tmp_path)) == 1


def test_what_a_killed_process_left_half_written_is_removed_after_a_lifetime(tmp_path: Path) -> None:
    name = keep(shelf_in(tmp_path), "", b"bag")
    (kept,) = files_in(tmp_path)
    (kept.parent / "new-left").write_bytes(b"half a s")
    assert shelf_in(tmp_path).listed("") == [name]
    age(tmp_path, LIFETIME_S + 60)
    name = keep(shelf_in(tmp_path), "", b"another bag")
    assert [path.name for path in files_in(tmp_path)] == [name]


# Room


def test_the_scans_used_longest_ago_make_room(tmp_path: Path) -> None:
    board = shelf_in(tmp_path, max_bytes=400)
    names = []
    for number in range(3):
        names.append(keep(board, "", view(number)))
        age(tmp_path, 60)
    board.fetch("", names[0])
    last = keep(board, "", view(4, 150))
    assert [is_kept(board, "", name) for name in (*names, last)] == [True, False, True, True]


def test_room_is_made_only_at_the_cost_of_its_owner(tmp_path: Path) -> None:
    board = shelf_in(tmp_path, max_bytes=400)
    of_a = keep(board, "a", view(1, 300))
    age(tmp_path, 60)
    keep(board, "b", view(2, 80))
    with pytest.raises(StorageFull):
        keep(board, "b", view(3, 200))
    assert is_kept(board, "a", of_a)
    assert is_kept(board, "a", keep(board, "a", view(4, 290)))
    assert not is_kept(board, "a", of_a)


def test_a_scan_that_finds_no_room_costs_its_owner_nothing(tmp_path: Path) -> None:
    board = shelf_in(tmp_path, max_bytes=400)
    keep(board, "a", view(1, 300))
    name = keep(board, "b", view(2, 80))
    with pytest.raises(StorageFull):
        keep(board, "b", view(3, 200))
    assert is_kept(board, "b", name)


def test_a_scan_larger_than_the_shelf_is_refused_and_costs_no_other(tmp_path: Path) -> None:
    board = shelf_in(tmp_path, max_bytes=400)
    name = keep(board, "", view(1))
    with pytest.raises(StorageFull) as refusal:
        keep(board, "", view(2, 200), view(3, 201))
    assert refusal.value.hint
    assert board.listed("") == [name]


@given(sizes=st.lists(st.integers(10, 300), max_size=30))
def test_a_shelf_keeps_the_last_scan_and_never_more_than_it_may(sizes: list[int]) -> None:
    with TemporaryDirectory() as folder:
        board = shelf_in(Path(folder), max_bytes=500)
        for number, size in enumerate(sizes):
            assert is_kept(board, "", keep(board, "", view(number, size)))
            assert sum(len(board.fetch("", name)[0]) for name in board.listed("")) <= 500


def test_a_folder_that_cannot_be_written_to_is_reported(tmp_path: Path) -> None:
    (tmp_path / "shelf").write_text("a file where a folder should be")
    with pytest.raises(StorageFull, match="cannot be kept") as refusal:
        keep(shelf_in(tmp_path / "shelf"), "", b"bag")
    assert "operator" in refusal.value.hint


def test_a_full_disk_is_reported_and_leaves_nothing_half_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "replace", full)
    with pytest.raises(StorageFull, match="no room"):
        keep(shelf_in(tmp_path), "", b"bag")
    assert files_in(tmp_path) == []


# At once

SCANS = 25
ROUNDS = 80
SIZE = 10_000


def keep_and_fetch(folder: Path, max_bytes: int, seed: int) -> tuple[int, int]:
    """Keep scans in turn, each time fetching the latest ones; how many were there, and how many were gone again."""
    board = shelf_in(folder, max_bytes=max_bytes)
    fetched = gone = 0
    for number in range(ROUNDS):
        keep(board, "", view((number * 7 + seed * 3) % SCANS, SIZE))
        for name in board.listed("")[:3]:
            if is_kept(board, "", name):
                fetched += 1
            else:
                gone += 1
    return fetched, gone


def threads() -> Executor:
    return ThreadPoolExecutor(4)


def processes() -> Executor:
    return ProcessPoolExecutor(2, mp_context=get_context("spawn"))


@pytest.mark.parametrize("workers", [threads, processes])
def test_whatever_is_listed_while_others_keep_scans_is_whole(tmp_path: Path, workers: Callable[[], Executor]) -> None:
    with workers() as pool:
        counts = list(pool.map(keep_and_fetch, repeat(tmp_path), [SIZE * SCANS * 2] * 4, range(4)))
    assert [gone for _, gone in counts] == [0, 0, 0, 0]
    assert len(shelf_in(tmp_path).listed("")) == len(files_in(tmp_path)) == SCANS


@pytest.mark.parametrize("workers", [threads, processes])
def test_those_who_make_room_at_once_do_not_hinder_each_other(tmp_path: Path, workers: Callable[[], Executor]) -> None:
    with workers() as pool:
        counts = list(pool.map(keep_and_fetch, repeat(tmp_path), [SIZE * 6] * 4, range(4)))
    assert all(fetched for fetched, _ in counts)
    assert len(shelf_in(tmp_path).listed("")) == len(files_in(tmp_path)) > 0
