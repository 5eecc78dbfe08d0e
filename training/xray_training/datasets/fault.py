"""What can be wrong with a dataset on disk, and who hears of it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum


class DatasetError(ValueError):
    """A dataset on disk that does not hold what its format promises."""


class FaultKind(StrEnum):
    """The kinds of fault, and what a reader does with what it cannot trust."""

    MISSING_IMAGE = "missing_image"
    """The picture is not there; the scan is left out."""
    UNREADABLE_IMAGE = "unreadable_image"
    """The file is no picture, or a damaged one; the scan is left out."""
    LFS_POINTER = "lfs_pointer"
    """A Git LFS pointer lies where the picture should be; the scan is left out."""
    MISSING_ANNOTATION = "missing_annotation"
    """The annotation file of a scan is not there; the scan is left out."""
    BAD_ANNOTATION = "bad_annotation"
    """The annotation cannot be parsed; the scan is left out, because it would count as free of what it hides."""
    SIZE_MISMATCH = "size_mismatch"
    """The declared size does not fit the picture in any way that boxes could follow; the scan is left out."""
    SIZE_RESCALED = "size_rescaled"
    """The declared size is the picture's times one factor; the boxes were scaled by it."""
    BOX_OUTSIDE = "box_outside"
    """A box reaches out of the picture; it was clipped, or left out where nothing of it remained."""
    BOX_EMPTY = "box_empty"
    """A box has no area; it is left out."""
    UNKNOWN_LABEL = "unknown_label"
    """The source's label has no canonical one; the box is left out."""


@dataclass(frozen=True, slots=True)
class Fault:
    """One fault: its kind, the file it is in, and what is wrong in words."""

    kind: FaultKind
    where: str
    message: str

    def __str__(self) -> str:
        return f"{self.where}: {self.message}"


FaultReport = Callable[[Fault], None]
"""What a reader tells its faults to; it may raise, or note the fault and return, when the reader goes on."""


def refuse(fault: Fault) -> None:
    """Stop at the first fault.

    Raises:
        DatasetError: always.
    """
    raise DatasetError(str(fault))
