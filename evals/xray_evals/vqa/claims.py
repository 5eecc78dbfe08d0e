"""Items that replies name although nobody annotated them: what CHAIR counts, with the detector as a second witness.

CHAIR (Rohrbach et al. 2018) has two figures: the share of named items that are not there, and the share of replies that
name one. Here an item is there if any annotation of the picture says so. Sources annotate part of what is in a bag, so an
item that nobody annotated may still be in it: what a question asked about and the annotations deny is counted apart.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from xray_training.datasets.pairs import Boxes, Choice, Count, Items, Named, Pair, Refused, YesNo
from xray_training.datasets.replies import Reading

from xray_agent_tools.taxonomy import taxonomy
from xray_evals.vqa.explained import Look

DESCRIBING = ("overview", "inventory")
"""The kinds of question whose replies name items of their own accord."""


@dataclass(frozen=True, slots=True)
class Claims:
    """The items that one reply names.

    Attributes:
        named: how many kinds of item.
        not_annotated: of them, those that no annotation of the picture has, names outside the taxonomy among them.
        denied: of those, the ones that were asked about and are known not to be there.
        unsupported: of those not annotated, the ones that the detector does not list either.
    """

    named: int
    not_annotated: int
    denied: int
    unsupported: int


def annotated_on(pairs: Iterable[Pair]) -> dict[str, frozenset[str]]:
    """The labels that the truths of all pairs of a picture say are on it, by picture."""
    found: dict[str, set[str]] = {}
    for pair in pairs:
        found.setdefault(pair.image, set()).update(_there(pair))
    return {image: frozenset(labels) for image, labels in found.items()}


def claims_of(pair: Pair, reading: Reading, annotated: frozenset[str], look: Look | None) -> Claims | None:
    """The claims of a reply that describes a picture; None if it does not, or says nothing."""
    if pair.kind not in DESCRIBING or reading.counts is None:
        return None
    labels = list(reading.counts)
    beyond = [label for label in labels if label not in annotated]
    return Claims(
        named=len(labels) + len(reading.unknown),
        not_annotated=len(beyond) + len(reading.unknown),
        denied=sum(label in pair.asked for label in beyond),
        unsupported=sum(look is None or label not in look.listed for label in beyond) + len(reading.unknown),
    )


def rates(claims: Sequence[Claims]) -> Mapping[str, float | None]:
    """CHAIR's two shares and the others; None where nothing was named."""
    named = sum(claim.named for claim in claims)
    if not named:
        return dict.fromkeys(("chair_i", "chair_s", "denied", "unsupported", "unsupported_replies"))
    return {
        "chair_i": sum(claim.not_annotated for claim in claims) / named,
        "chair_s": sum(claim.not_annotated > 0 for claim in claims) / len(claims),
        "denied": sum(claim.denied for claim in claims) / named,
        "unsupported": sum(claim.unsupported for claim in claims) / named,
        "unsupported_replies": sum(claim.unsupported > 0 for claim in claims) / len(claims),
    }


def _there(pair: Pair) -> list[str]:
    """The labels that a pair says are on its picture."""
    match pair.truth:
        case YesNo(yes=yes):
            said = list(pair.asked) if yes and pair.kind == "presence" else []
        case Choice(word=word):
            said = list(pair.asked) if pair.kind in ("location", "comparison") else [word]
        case Count(number=number):
            said = list(pair.asked) if number else []
        case Items(counts=counts):
            said = [label for label, count in counts.items() if count]
        case Refused():
            said = list(pair.asked)
        case Boxes() | Named():
            said = []
    return [label for label in (*said, *(place.label for place in pair.places)) if label in taxonomy().labels]
