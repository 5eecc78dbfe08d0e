"""Scenes that tests can reason about, without pictures."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from hypothesis import strategies as st
from xray_training.datasets.pairs import Place
from xray_training.datasets.record import ScanRecord
from xray_training.vqa.scene import Scene, Thing, in_reading_order
from xray_training.vqa.words import said

from xray_agent_tools.taxonomy import taxonomy

LABELS = tuple(sorted(said(taxonomy().labels)))
Corners = tuple[float, float, float, float]


def thing(label: str, corners: Corners = (0.1, 0.1, 0.2, 0.2), **known: object) -> Thing:
    left, top, right, bottom = corners
    return Thing(Place(label=label, x_min=left, y_min=top, x_max=right, y_max=bottom), **known)  # type: ignore[arg-type]


def scene(
    *things: Thing,
    annotated: Sequence[str] = (),
    name: str = "a",
    split: str = "train",
    bag: str | None = None,
    source: str = "north",
    complete: Sequence[str] | None = None,
) -> Scene:
    """A scan with these things; every label of theirs and those named are annotated."""
    labels = frozenset(annotated) | {one.label for one in things}
    record = ScanRecord(Path(f"{name}.png"), source, source, split, name, name, (), labels)
    return Scene(
        record=record,
        name=f"images/{split}/{name}.png",
        bag=bag or name,
        width=400,
        height=300,
        things=in_reading_order(things),
        complete=labels if complete is None else frozenset(complete),
    )


@st.composite
def things(draw: st.DrawFn) -> Thing:
    left, top = draw(st.integers(0, 80)), draw(st.integers(0, 80))
    width, height = draw(st.integers(2, 100 - left)), draw(st.integers(2, 100 - top))
    corners = (left / 100, top / 100, (left + width) / 100, (top + height) / 100)
    known = draw(
        st.one_of(
            st.just({}),
            st.fixed_dictionaries(
                {"hidden": st.floats(0, 0.96), "band": st.sampled_from(["organic", "mixed", "metal", None])}
            ),
        )
    )
    return thing(draw(st.sampled_from(LABELS)), corners, **known)


@st.composite
def scenes(draw: st.DrawFn) -> list[Scene]:
    """Scans of two sources; what a scan's source annotates is not always all that is on it."""
    found = []
    for number in range(draw(st.integers(1, 8))):
        shown = draw(st.lists(things(), max_size=6, unique_by=lambda one: one.place))
        labels = frozenset(draw(st.lists(st.sampled_from(LABELS), max_size=8))) | {one.label for one in shown}
        hidden = draw(st.frozensets(st.sampled_from(sorted(labels) or ["gun"]), max_size=1))
        found.append(
            scene(
                *shown,
                annotated=sorted(labels),
                complete=sorted(labels - hidden),
                name=f"s{number}",
                split=draw(st.sampled_from(["train", "val", "test"])),
                source=draw(st.sampled_from(["north", "south"])),
            )
        )
    return found
