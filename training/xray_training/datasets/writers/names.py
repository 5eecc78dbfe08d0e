"""What a writer calls pictures and classes."""

from __future__ import annotations

import hashlib
import re
import unicodedata
from collections.abc import Iterable
from functools import cache

from xray_agent_tools.taxonomy import taxonomy
from xray_training.datasets.record import DatasetError, ScanRecord

_LONGEST_BYTES = 120
_TOLD_APART_BY = 3


class FileNames:
    """Names for pictures, no two alike in a split, even where upper and lower case are one.

    A name is the source and the picture's own name. Where that is taken, a hash of the last parts of the picture's path
    follows, so that the same records in the same order get the same names on every machine.
    """

    def __init__(self) -> None:
        self._taken: set[str] = set()

    def name(self, record: ScanRecord) -> str:
        """The next record's file name, with the suffix of its picture.

        Raises:
            DatasetError: the record's split is no plain word.
        """
        if not re.fullmatch(r"[A-Za-z0-9_]+", record.split):
            raise DatasetError(
                f"{record.image}: the split {record.split!r} is no plain word, such as train, val or test"
            )
        source = _plain(record.source) or "scans"
        stem = _plain(record.image.stem)
        own = _cut(stem if stem.startswith(f"{source}_") else f"{source}_{stem}")
        name, attempt = own, 0
        while (key := f"{record.split}/{name}".casefold()) in self._taken:
            attempt += 1
            parts = (*record.image.parts[-_TOLD_APART_BY:], str(attempt))
            name = f"{own}_{hashlib.sha256('/'.join(parts).encode()).hexdigest()[:8]}"
        self._taken.add(key)
        return name + _plain(record.image.suffix)


class Vocabulary:
    """The labels met so far, in the order they are numbered, and what each source annotates.

    Numbers never change once given: a source's labels are added when its first record is met, in the taxonomy's order.
    """

    def __init__(self) -> None:
        self._numbers: dict[str, int] = {}
        self._annotated: dict[str, frozenset[str]] = {}

    def meet(self, record: ScanRecord) -> None:
        """Take up a record's labels."""
        self._annotated.setdefault(record.source, record.annotated)
        for labels in (record.annotated, {box.label for box in record.boxes}):
            for label in in_order(labels):
                self._numbers.setdefault(label, len(self._numbers))

    def number(self, label: str) -> int:
        """The number of a label that has been met, from 0."""
        return self._numbers[label]

    @property
    def labels(self) -> list[str]:
        """Every label met, by number."""
        return list(self._numbers)

    @property
    def annotated(self) -> dict[str, list[str]]:
        """What each source annotates, as its first record said."""
        return {source: in_order(labels) for source, labels in self._annotated.items()}

    def exception(self, record: ScanRecord) -> list[str] | None:
        """What is annotated on a record, where that is not what its source annotates."""
        return None if record.annotated == self._annotated[record.source] else in_order(record.annotated)


def in_order(labels: Iterable[str]) -> list[str]:
    """Labels in the taxonomy's order, others after them by name."""
    places = _places()
    return sorted(labels, key=lambda label: (places.get(label, len(places)), label))


@cache
def _places() -> dict[str, int]:
    return {label: place for place, label in enumerate(taxonomy().labels)}


def _cut(name: str) -> str:
    """A name short enough for every file system, which counts bytes and not letters."""
    return name.encode()[:_LONGEST_BYTES].decode(errors="ignore")


def _plain(name: str) -> str:
    """A name without what a file system or a shell may trip over."""
    return re.sub(r"[^\w.+-]", "_", unicodedata.normalize("NFC", name))
