"""What an audit can find, and how bad each is."""

from __future__ import annotations

from enum import StrEnum

from pydantic import BaseModel, ConfigDict

from xray_training.datasets.fault import FaultKind


class Severity(StrEnum):
    """How bad a finding is."""

    ERROR = "error"
    """Training on it would mislead; it stops."""
    WARNING = "warning"
    """Worth a look; it stops under ``--strict`` only."""
    NOTE = "note"
    """Good to know."""


class Flaw(StrEnum):
    """What an audit finds beyond the faults that a reader reports."""

    NO_SCANS = "no_scans"
    TRANSPOSED_AXES = "transposed_axes"
    BOXES_OFF_ITEMS = "boxes_off_items"
    NO_BOXES = "no_boxes"
    EMPTY_LABELS = "empty_labels"
    LABEL_NOT_ANNOTATED = "label_not_annotated"
    BOX_TINY = "box_tiny"
    BOX_WHOLE_FRAME = "box_whole_frame"
    BOX_REPEATED = "box_repeated"
    CLASS_WITHOUT_BOXES = "class_without_boxes"
    CLASS_RARE = "class_rare"
    CLASS_NOT_IN_TRAIN = "class_not_in_train"
    DUPLICATE_ACROSS_SPLITS = "duplicate_across_splits"
    NEAR_DUPLICATE_ACROSS_SPLITS = "near_duplicate_across_splits"
    DUPLICATE = "duplicate"
    NEAR_DUPLICATE = "near_duplicate"
    GROUP_DIVIDED = "group_divided"
    BLOCK_DIVIDED = "block_divided"
    BLOCK_TOO_COARSE = "block_too_coarse"
    ALL_SQUARE = "all_square"


MEANINGS: dict[str, tuple[Severity, str]] = {
    FaultKind.MISSING_IMAGE: (Severity.ERROR, "the annotation names a picture that is not there"),
    FaultKind.UNREADABLE_IMAGE: (Severity.ERROR, "the file is no picture, or is cut off"),
    FaultKind.LFS_POINTER: (Severity.ERROR, "a Git LFS pointer lies where the picture should be"),
    FaultKind.MISSING_ANNOTATION: (Severity.ERROR, "the scan has no annotation file"),
    FaultKind.BAD_ANNOTATION: (Severity.ERROR, "the annotation cannot be parsed"),
    FaultKind.SIZE_MISMATCH: (Severity.ERROR, "the declared size is not the picture's, nor a multiple of it"),
    FaultKind.SIZE_RESCALED: (Severity.WARNING, "the declared size is a multiple of the picture's; boxes were scaled"),
    FaultKind.BOX_OUTSIDE: (Severity.WARNING, "a box reaches out of the picture; it was clipped or left out"),
    FaultKind.BOX_EMPTY: (Severity.WARNING, "a box has no area; it was left out"),
    FaultKind.UNKNOWN_LABEL: (Severity.WARNING, "a label is not in the taxonomy"),
    Flaw.NO_SCANS: (Severity.ERROR, "there is no scan to look at"),
    Flaw.TRANSPOSED_AXES: (Severity.ERROR, "the boxes lie on items only when x and y are swapped"),
    Flaw.BOXES_OFF_ITEMS: (Severity.WARNING, "the boxes lie on items no more often than with x and y swapped"),
    Flaw.NO_BOXES: (Severity.ERROR, "a source that should annotate holds no box at all"),
    Flaw.EMPTY_LABELS: (Severity.WARNING, "many scans have no box, and nothing says that they are benign"),
    Flaw.LABEL_NOT_ANNOTATED: (Severity.ERROR, "a box has a label that its source annotates on no scan"),
    Flaw.BOX_TINY: (Severity.WARNING, "a box is less than 4 pixels wide or high"),
    Flaw.BOX_WHOLE_FRAME: (Severity.WARNING, "a box takes more than 95 % of the frame"),
    Flaw.BOX_REPEATED: (Severity.WARNING, "the same box is there twice"),
    Flaw.CLASS_WITHOUT_BOXES: (Severity.NOTE, "a class that the source annotates has no box"),
    Flaw.CLASS_NOT_IN_TRAIN: (Severity.NOTE, "a class has boxes in other splits and none in train"),
    Flaw.CLASS_RARE: (Severity.NOTE, "a class has fewer than 20 boxes"),
    Flaw.DUPLICATE_ACROSS_SPLITS: (Severity.ERROR, "one picture is in two splits"),
    Flaw.NEAR_DUPLICATE_ACROSS_SPLITS: (Severity.ERROR, "nearly the same picture is in two splits"),
    Flaw.DUPLICATE: (Severity.WARNING, "one picture is there more than once"),
    Flaw.NEAR_DUPLICATE: (Severity.WARNING, "nearly the same picture is there under different groups"),
    Flaw.GROUP_DIVIDED: (Severity.ERROR, "a group of near-duplicates is divided between splits"),
    Flaw.BLOCK_DIVIDED: (Severity.ERROR, "a block of neighbouring ids is divided between splits"),
    Flaw.BLOCK_TOO_COARSE: (Severity.NOTE, "a divided block holds over a tenth of its source, so it is no run of ids"),
    Flaw.ALL_SQUARE: (Severity.NOTE, "every picture of a source is square: was its aspect squeezed?"),
}
"""Every kind of finding, by the name that reports and ``--accept`` use: its severity and what it means."""


def severity_of(kind: str) -> Severity:
    """The severity of a kind; a fault that a reader invented and this table does not know is an error."""
    return MEANINGS[kind][0] if kind in MEANINGS else Severity.ERROR


class Finding(BaseModel):
    """One thing found.

    Attributes:
        kind: its name in :data:`MEANINGS`.
        where: the file, relative to the audited folder where it lies in it; empty for a whole source.
        message: what is wrong there.
        source: the source; empty where a reader could not tell.
        split: the split; empty where several are meant.
        label: the class; empty where none is meant.
    """

    model_config = ConfigDict(frozen=True)

    kind: str
    where: str = ""
    message: str
    source: str = ""
    split: str = ""
    label: str = ""
