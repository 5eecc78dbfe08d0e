"""Which material colour the things of a simulated scan take."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Literal, get_args

from xray_training.simulator.materials import ATTENUATION_PER_MM, INDEX

Band = Literal["organic", "mixed", "metal"]

BANDS: tuple[Band, ...] = get_args(Band)
"""The colours of dual-energy scanners by effective atomic number: orange below 10, green to 16, blue above."""

_ORGANIC_BELOW, _METAL_FROM = 3.0, 10.0
_ABOVE_ITS_EDGE = "lead"


def band_of(material: str) -> Band:
    """The band of a material of the simulator.

    Read from how much more it attenuates at 32 keV than at 126 keV, which grows with the atomic number: 1.5 to 2.2 times
    for what is organic, 4.4 (ceramic) to 7.9 (PVC) for what is mixed, from 15 (lithium cells) for metals. Lead is a
    metal, though its K edge lies between the two.

    Raises:
        KeyError: the simulator knows no such material.
    """
    soft, hard = ATTENUATION_PER_MM[INDEX[material], 0], ATTENUATION_PER_MM[INDEX[material], -1]
    if material == _ABOVE_ITS_EDGE or soft >= _METAL_FROM * hard:
        return "metal"
    return "organic" if soft < _ORGANIC_BELOW * hard else "mixed"


def only_band(materials: Iterable[str]) -> Band | None:
    """The one band that all materials of a thing are of; None where they are of several, for then its parts differ."""
    bands = {band_of(material) for material in materials}
    return bands.pop() if len(bands) == 1 else None
