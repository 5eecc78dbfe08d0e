"""What is known of one scan, and what may be asked about it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

from xray_agent_tools.evidence.region import region_of
from xray_agent_tools.report import Region
from xray_training.datasets.pairs import Place
from xray_training.datasets.record import LabelledBox, ScanRecord
from xray_training.vqa.matter import Band


@dataclass(frozen=True, slots=True)
class Thing:
    """An annotated item.

    Attributes:
        place: its box and label.
        hidden: share (0..1) of its silhouette that other things hide; None where nobody knows.
        band: the band of all its materials; None where they differ or nobody knows.
    """

    place: Place
    hidden: float | None = None
    band: Band | None = None

    @property
    def label(self) -> str:
        """Its canonical label."""
        return self.place.label

    @property
    def centre(self) -> tuple[float, float]:
        """The middle of its box, in shares of the picture."""
        return (self.place.x_min + self.place.x_max) / 2, (self.place.y_min + self.place.y_max) / 2

    @property
    def area(self) -> float:
        """The area of its box, as a share of the picture's."""
        return (self.place.x_max - self.place.x_min) * (self.place.y_max - self.place.y_min)

    @property
    def region(self) -> Region:
        """The word for where its middle lies, the library's own."""
        return region_of(*self.centre, 1.0, 1.0)


@dataclass(frozen=True)
class Scene:
    """One scan and its annotations.

    Attributes:
        record: where it comes from; its split is the one its pairs go to.
        name: its picture in the folder that is written, relative to it.
        bag: what a split never divides.
        width, height: of the picture that is written, in pixels.
        things: what is boxed, of the labels that a question may be about.
        complete: those labels of which every one in the bag is boxed. Only they may be counted, or said to be absent.
        coloured: whether the picture shows material colours.
    """

    record: ScanRecord
    name: str
    bag: str
    width: int
    height: int
    things: tuple[Thing, ...]
    complete: frozenset[str]
    coloured: bool = True

    @cached_property
    def counts(self) -> Counter[str]:
        """How many of each label are boxed."""
        return Counter(thing.label for thing in self.things)

    @property
    def split(self) -> str:
        """Its split."""
        return self.record.split

    def of(self, label: str) -> tuple[Thing, ...]:
        """The things of a label, from the left."""
        return tuple(thing for thing in self.things if thing.label == label)

    def absent(self) -> list[str]:
        """Labels that the scan is known to hold nothing of, in order."""
        return sorted(self.complete - self.counts.keys())

    def single(self) -> list[Thing]:
        """Things that are the only one of their label."""
        return [thing for thing in self.things if self.counts[thing.label] == 1 and thing.label in self.complete]


def place_of(box: LabelledBox) -> Place:
    """A record's box as a pair has it, to a millionth of the picture."""
    left, top, right, bottom = (round(side, 6) for side in (box.x_min, box.y_min, box.x_max, box.y_max))
    return Place(label=box.label, x_min=left, y_min=top, x_max=right, y_max=bottom)


def in_reading_order(things: Sequence[Thing]) -> tuple[Thing, ...]:
    """Things by label, then from left to right, so that their order tells nothing of the source's."""
    return tuple(sorted(things, key=lambda thing: (thing.label, thing.place.x_min, thing.place.y_min)))
