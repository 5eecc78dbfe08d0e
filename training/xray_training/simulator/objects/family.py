"""A family of objects: how one of it is made, and how it lies in a bag."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from xray_training.simulator.draw import Draw
from xray_training.simulator.solids import Solid

Maker = Callable[[Draw], Solid]

Stance = Literal["flat", "any"]


@dataclass(frozen=True, slots=True)
class Family:
    """Objects of one label.

    Attributes:
        label: canonical label, or the name of an everyday thing that has none.
        make: makes one, in millimetres around the origin: its length along x, its thinnest side along z, so that
            it lies flat.
        stance: ``flat`` things mostly lie or stand on a face; others come to rest at any angle.
        grain: relative unevenness of its matter (folded cloth, food), 0..1.
        weight: how often it is packed, relative to other families of its kind.
    """

    label: str
    make: Maker
    stance: Stance = "flat"
    grain: float = 0.0
    weight: float = 1.0
