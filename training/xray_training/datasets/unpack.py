"""Unpacking archives without letting one write elsewhere."""

from __future__ import annotations

import lzma
import shutil
import tarfile
import zipfile
import zlib
from pathlib import Path

from xray_training.datasets.duplicates import digest_of
from xray_training.datasets.folders import within
from xray_training.datasets.record import DatasetError

_ENDINGS = (".zip", ".tar", ".tar.gz", ".tgz", ".tar.bz2", ".tbz2", ".tar.xz", ".txz")
_BY_HAND = (".rar", ".7z")
_MARKER = ".unpacked-from"
_DAMAGED = (zipfile.BadZipFile, tarfile.TarError, zlib.error, lzma.LZMAError, EOFError, RuntimeError, OSError)


def unpack(archive: Path, out: Path) -> Path | None:
    """Unpack an archive into a folder of its name, unless it has been.

    The folder's ``.unpacked-from`` keeps the SHA-256 of the archive.

    Args:
        archive: a ZIP or tar file, compressed or not.
        out: the folder in which to make the folder.

    Returns:
        The folder; None where the file is no archive.

    Raises:
        DatasetError: the archive is damaged, encrypted or of a kind to unpack by hand; it holds a path that leads out
            of the folder, or more than the disk has room for; the folder is there and is not of this archive.
    """
    name = archive.name.lower()
    if name.endswith(_BY_HAND):
        raise DatasetError(f"{archive} is to be unpacked by hand: `unar {archive.name}` or 7-Zip does it")
    ending = max((ending for ending in _ENDINGS if name.endswith(ending)), key=len, default=None)
    if ending is None:
        return None
    folder = out / archive.name[: -len(ending)]
    sha256 = digest_of(archive)
    if folder.exists():
        if _unpacked_from(folder) == sha256:
            return folder
        raise DatasetError(f"{folder} is there already, and not unpacked from this {archive.name}: move it away first")
    unfinished = out / f".{folder.name}.unpacking"
    shutil.rmtree(unfinished, ignore_errors=True)
    try:
        unfinished.mkdir(parents=True)
        if ending == ".zip":
            _unzip(archive, unfinished)
        else:
            with tarfile.open(archive) as content:
                _room(archive, sum(member.size for member in content), out)
                content.extractall(unfinished, filter="data")
        (unfinished / _MARKER).write_text(f"{sha256}\n", encoding="utf-8")
        unfinished.rename(folder)
    except tarfile.FilterError as error:
        raise DatasetError(f"{archive} is not to be trusted: {error}") from error
    except _DAMAGED as error:
        raise DatasetError(f"{archive} cannot be unpacked: {error}; fetch it again, or unpack it by hand") from error
    finally:
        shutil.rmtree(unfinished, ignore_errors=True)
    return folder


def _unpacked_from(folder: Path) -> str | None:
    """The SHA-256 of the archive that a folder was unpacked from; None where it was not unpacked here."""
    try:
        return (folder / _MARKER).read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError):
        return None


def _unzip(archive: Path, folder: Path) -> None:
    with zipfile.ZipFile(archive) as content:
        members = [
            member for member in content.infolist() if Path(member.filename).parts
        ]  # not `./`, the folder itself
        _room(archive, sum(member.file_size for member in members), folder)
        for member in members:
            if within(folder, member.filename) is None:
                raise DatasetError(f"{archive} is not to be trusted: {member.filename!r} leads out of its folder")
        content.extractall(folder, members)  # noqa: S202


def _room(archive: Path, size: int, folder: Path) -> None:
    free = shutil.disk_usage(folder).free
    if size > free:
        raise DatasetError(f"{archive} needs {size / 1e6:.0f} MB unpacked, {free / 1e6:.0f} MB are free: make room")
