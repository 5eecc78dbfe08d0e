"""Scans kept on disk for a while, so that an agent can name one again by its ``scan_id``."""

from __future__ import annotations

import errno
import hashlib
import json
import os
import re
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from xray_agent_tools.errors import InvalidScan, StorageFull, UnknownScan
from xray_agent_tools.scan import scan_id_of

_SCAN_ID = re.compile(r"scan-[0-9a-f]{16}")
_SWEEP_EVERY_S = 30.0
_FULL = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})


def is_scan_id(text: str) -> bool:
    """Whether a text has the form of a ``scan_id``."""
    return _SCAN_ID.fullmatch(text) is not None


@dataclass(frozen=True, slots=True)
class ShelfLimits:
    """How much is kept, and for how long.

    Attributes:
        lifetime_s: seconds that a scan is kept after its last use.
        max_bytes: size of all scans together. Each process that shares a shelf may exceed it by what the others have
            kept within half a minute.
    """

    lifetime_s: float = 3600.0
    max_bytes: int = 1024 * 1024 * 1024


class ScanShelf:
    """Keeps the encoded views of scans in a folder. Several processes may share it.

    Each owner has a shelf board of its own and sees nothing else. When the folder is full, an owner's oldest scans
    make room for its new ones, and never anybody else's.
    """

    def __init__(self, folder: Path, limits: ShelfLimits) -> None:
        """Use a folder, which is made at the first scan."""
        self._folder = folder
        self._limits = limits
        self._counted = 0
        self._sweep_due = 0.0

    def keep(self, owner: str, scan_id: str, views: Sequence[bytes]) -> None:
        """Keep a scan, or keep it for longer.

        Args:
            owner: who may name it again; empty for anybody without a name.
            scan_id: its identifier.
            views: encoded pictures, one for each view.

        Raises:
            StorageFull: there is no room.
        """
        path = self._path(owner, scan_id)
        try:
            if _touched(path):
                return
            self._make_room(path.parent, sum(len(view) for view in views))
            path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            _write(path, views)
        except OSError as error:
            if error.errno in _FULL:
                raise _no_room() from error
            raise StorageFull(
                f"the scan cannot be kept: {error.strerror}", hint="tell the operator; the scan was not looked at"
            ) from error

    def fetch(self, owner: str, scan_id: str) -> list[bytes]:
        """The encoded views of a scan, which is then kept for longer.

        Raises:
            UnknownScan: the owner has no such scan, or no longer.
        """
        path = self._path(owner, scan_id)
        try:
            if self._is_stale(path.stat().st_mtime):
                raise FileNotFoundError
            views = _views_of(path.read_bytes())
            if not views or scan_id_of(views) != scan_id:
                path.unlink(missing_ok=True)
                raise FileNotFoundError
            _touched(path)
        except OSError as error:
            minutes = self._limits.lifetime_s / 60
            raise UnknownScan(
                f"no scan is kept as {scan_id}",
                hint=f"scans are kept for {minutes:.0f} minutes; give the scan itself again (a path or an upload)",
            ) from error
        return views

    def listed(self, owner: str) -> list[str]:
        """The ids of an owner's scans, the latest first."""
        kept = _kept(self._board(owner))
        return [scan.name for scan in reversed(kept) if not self._is_stale(scan.used)]

    def _board(self, owner: str) -> Path:
        return self._folder / hashlib.sha256(owner.encode()).hexdigest()[:32]

    def _path(self, owner: str, scan_id: str) -> Path:
        if not is_scan_id(scan_id):
            raise InvalidScan("that is no scan_id", hint="give a scan_id as an answer gave it: scan- and 16 hex digits")
        return self._board(owner) / scan_id

    def _is_stale(self, used: float) -> bool:
        return time.time() - used > self._limits.lifetime_s

    def _make_room(self, board: Path, size: int) -> None:
        """Remove what has expired, then the board's oldest scans, until a scan of this size fits."""
        if size > self._limits.max_bytes:
            raise _no_room()
        now = time.monotonic()
        if now >= self._sweep_due or self._counted + size > self._limits.max_bytes:
            self._sweep_due = now + _SWEEP_EVERY_S
            kept = self._sweep()
            self._counted = sum(scan.size for scan in kept)
            # From one listing: others may keep and remove scans of this board meanwhile.
            own = sorted((scan for scan in kept if scan.path.parent == board), key=_last_used)
            if self._counted - sum(scan.size for scan in own) + size > self._limits.max_bytes:
                raise _no_room()
            for scan in own:
                if self._counted + size <= self._limits.max_bytes:
                    break
                self._counted -= scan.size
                scan.path.unlink(missing_ok=True)
        self._counted += size

    def _sweep(self) -> list[_File]:
        """Remove expired scans, and what a killed process left half written; the other scans."""
        kept = []
        boards = [entry for entry in self._folder.iterdir() if entry.is_dir()] if self._folder.is_dir() else []
        for board in boards:
            for file in _files(board):
                if self._is_stale(file.used):
                    file.path.unlink(missing_ok=True)
                elif is_scan_id(file.name):
                    kept.append(file)
        return kept


@dataclass(frozen=True, slots=True)
class _File:
    path: Path
    size: int
    used: float

    @property
    def name(self) -> str:
        return self.path.name


def _files(board: Path) -> Iterator[_File]:
    """The files of a board; another process may remove some meanwhile."""
    try:
        names = os.listdir(board)
    except FileNotFoundError:
        return
    for name in names:
        path = board / name
        with suppress(FileNotFoundError):
            state = path.lstat()
            yield _File(path, state.st_size, state.st_mtime)


def _kept(board: Path) -> list[_File]:
    """The scans of a board, the one used longest ago first."""
    return sorted((file for file in _files(board) if is_scan_id(file.name)), key=_last_used)


def _last_used(file: _File) -> float:
    return file.used


def _touched(path: Path) -> bool:
    try:
        os.utime(path)
    except FileNotFoundError:
        return False
    return True


def _write(path: Path, views: Sequence[bytes]) -> None:
    """Write all views into one file that appears complete or not at all."""
    descriptor, name = tempfile.mkstemp(dir=path.parent, prefix="new-")
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(json.dumps([len(view) for view in views]).encode() + b"\n")
            file.writelines(views)
        os.replace(name, path)
    except BaseException:
        os.unlink(name)
        raise


def _views_of(content: bytes) -> list[bytes]:
    """The views in a file; none if it is damaged."""
    head, _, body = content.partition(b"\n")
    try:
        sizes = [int(size) for size in json.loads(head)]
    except (ValueError, TypeError):
        return []
    views, start = [], 0
    for size in sizes:
        views.append(body[start : start + size])
        start += size
    return views


def _no_room() -> StorageFull:
    return StorageFull(
        "there is no room to keep the scan, so it was not looked at",
        hint="wait until older scans have expired, or tell the operator that the disk is full",
    )
