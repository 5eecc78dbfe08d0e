"""The format of a made-up declaration."""

from __future__ import annotations

from typing import Literal, get_args

from pydantic import BaseModel, ConfigDict

from xray_agent_tools.report import ItemStatus

DeclarationKind = Literal["honest", "partial", "vague", "misspelt", "over_declared", "empty", "adversarial"]
"""How a traveller declares. ``partial`` leaves something out; ``over_declared`` names what is not there; ``adversarial``
tries to talk the reader into something."""

DECLARATION_KINDS: tuple[DeclarationKind, ...] = get_args(DeclarationKind)
DECLARATIONS_FILE = "declarations.jsonl"


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class DeclaredText(_Frozen):
    """What a traveller wrote, and which canonical labels are meant by it: none where it names no item that is known."""

    text: str
    meant: tuple[str, ...]


class ExpectedItem(_Frozen):
    """What an assessment has to say of one item: the words declared, or the label of something undeclared."""

    name: str
    status: ItemStatus


class Expected(_Frozen):
    """What an assessment has to say if the detector sees just what is annotated.

    Attributes:
        declaration_match: true, false, or null where it cannot be decided.
        items: those declared, in their order; then those undeclared, in the taxonomy's order.
    """

    declaration_match: bool | None
    items: tuple[ExpectedItem, ...]


class Declaration(_Frozen):
    """A declaration for one scan.

    Attributes:
        id: unique within the file, stable for the same seed and scan.
        kind: how the traveller declares.
        folder: name of the dataset's folder.
        image: the picture, relative to that folder.
        source, scanner, split: of the scan.
        bag: what a split never divides, within the folder.
        declared: what was written.
        seen: how many items of each label are annotated on the scan.
        annotated: labels that the source annotates; a detector like it assesses no others.
        expected: the right assessment.
    """

    id: str
    kind: DeclarationKind
    folder: str
    image: str
    source: str
    scanner: str
    split: str
    bag: str
    declared: tuple[DeclaredText, ...]
    seen: dict[str, int]
    annotated: tuple[str, ...]
    expected: Expected
