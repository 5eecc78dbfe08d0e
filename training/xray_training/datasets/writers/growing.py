"""An annotated YOLO folder that grows scan by scan and survives being stopped at any moment."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterable, Sequence
from io import StringIO
from pathlib import Path
from types import TracebackType
from typing import Self, TextIO

from xray_training.datasets.record import DatasetError
from xray_training.datasets.writers.files import write_text


class GrowingFolder:
    """The manifest and ``truth.jsonl`` of a folder, one line each for every scan.

    A line is added when the scan's files are whole. Whatever an earlier, stopped run left unfinished in them (a torn
    line, a scan that only one of them has) is cut off at the start, and the scan counts as missing.
    """

    def __init__(self, out: Path, columns: Sequence[str]) -> None:
        """Take up the folder where it is.

        Args:
            out: the folder.
            columns: the manifest's columns; the first is the picture's file.

        Raises:
            DatasetError: there is a manifest with other columns.
        """
        self._manifest, self._truth = out / "manifest.csv", out / "truth.jsonl"
        rows, truths = self._rows(columns), self._truths()
        self._done = truths.keys() & {row[0] for row in rows}
        kept = [row for row in rows if row[0] in self._done]
        write_text(self._manifest, "".join(_line(row) for row in (columns, *kept)))
        write_text(self._truth, "".join(f"{line}\n" for file, line in truths.items() if file in self._done))
        self._files: list[TextIO] = []

    def _rows(self, columns: Sequence[str]) -> list[list[str]]:
        if not self._manifest.exists():
            return []
        text = self._manifest.read_text(encoding="utf-8")
        rows = list(csv.reader(StringIO(text[: text.rfind("\n") + 1])))
        if rows and rows[0] != list(columns):
            raise DatasetError(f"{self._manifest} has other columns: choose another --out")
        return [row for row in rows[1:] if len(row) == len(columns)]

    def _truths(self) -> dict[str, str]:
        """The whole lines by the picture that they tell of."""
        if not self._truth.exists():
            return {}
        text = self._truth.read_text(encoding="utf-8")
        return {json.loads(line)["file"]: line for line in text[: text.rfind("\n") + 1].splitlines()}

    def __enter__(self) -> Self:
        self._files = [path.open("a", encoding="utf-8", newline="") for path in (self._truth, self._manifest)]
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for file in self._files:
            file.close()

    def holds(self, files: Iterable[str]) -> bool:
        """Whether all these pictures are in the manifest."""
        return self._done.issuperset(files)

    def add(self, row: Sequence[str], truth: str) -> None:
        """Note a scan whose files are written; one that is noted already is left as it is."""
        if row[0] in self._done:
            return
        for file, line in zip(self._files, (f"{truth}\n", _line(row)), strict=True):
            file.write(line)
            file.flush()
        self._done.add(row[0])


def _line(row: Sequence[str]) -> str:
    text = StringIO()
    csv.writer(text, lineterminator="\n").writerow(row)
    return text.getvalue()
