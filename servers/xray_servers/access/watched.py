"""Files that decide who gets in, read again when they change."""

from __future__ import annotations

import logging
from collections.abc import Callable
from pathlib import Path
from typing import Generic, TypeVar

from xray_agent_tools.errors import Misconfigured

_logger = logging.getLogger(__name__)

Content = TypeVar("Content")


class WatchedFile(Generic[Content]):
    """A UTF-8 text file whose content follows the disk. A change that cannot be read leaves no content at all."""

    def __init__(self, path: Path, parse: Callable[[str], Content]) -> None:
        """Read the file.

        Args:
            path: the file.
            parse: makes the content of its text, or raises Misconfigured.

        Raises:
            Misconfigured: the file cannot be read, or its text is wrong.
        """
        self._path = path
        self._parse = parse
        self._stamp = _stamp_of(path)
        self._content: Content | None = self._read()

    def content(self) -> Content | None:
        """The content as the file stands now; None while the file is gone or wrong, which is logged once."""
        stamp = _stamp_of(self._path)
        if stamp != self._stamp:
            self._stamp = stamp
            try:
                self._content = self._read()
                _logger.info("read %s again", self._path)
            except Misconfigured as error:
                self._content = None
                _logger.error("nobody gets in by %s until it is mended: %s", self._path, error)
        return self._content

    def _read(self) -> Content:
        try:
            text = self._path.read_text(encoding="utf-8-sig")
        except (OSError, UnicodeDecodeError) as error:
            raise Misconfigured(
                f"{self._path} cannot be read: {error}", hint="Name a UTF-8 text file that the server may read."
            ) from None
        return self._parse(text)


def _stamp_of(path: Path) -> tuple[int, ...] | None:
    """Differs whenever the file was written, replaced or given other rights; None without a file."""
    try:
        found = path.stat()
    except OSError:
        return None
    # The change time catches what keeps the modification time: a copy with preserved times, and chmod.
    return (found.st_mtime_ns, found.st_ctime_ns, found.st_size, found.st_ino)
