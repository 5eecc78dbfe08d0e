"""Virtual scanners: how one sees, and the palette it paints with."""

from __future__ import annotations

from dataclasses import dataclass, replace

from xray_training.simulator.draw import Draw


@dataclass(frozen=True, slots=True)
class Palette:
    """How transmissions become colours. Orange is organic, green mixed, blue metal, black opaque.

    Attributes:
        gamma: brightness is ``255 T_high ** gamma``.
        saturation: factor on a colour's distance from grey; 0 paints grey.
        hues: degrees by which the orange, the green and the blue ramp are turned.
        green_from: effective atomic number at which orange turns to green.
        blue_from: effective atomic number at which green turns to blue.
        blend: atomic numbers over which one ramp fades into the next.
        background: RGB (0..255) of the empty belt.
    """

    gamma: float = 0.6
    saturation: float = 1.8
    hues: tuple[float, float, float] = (0.0, 0.0, 0.0)
    green_from: float = 10.0
    blue_from: float = 16.0
    blend: float = 2.0
    background: tuple[int, int, int] = (255, 255, 255)


@dataclass(frozen=True, slots=True)
class Scanner:
    """A virtual scanner.

    Attributes:
        palette: its colours.
        pitch_mm: millimetres per pixel along the belt and across it.
        photons: photons per pixel without an object, high-energy detector.
        electronic: standard deviation of the electronic noise, as a share of the empty beam.
        blur_px: standard deviation of the blur in pixels.
        sharpening: how much an edge filter adds (0: none).
        scatter: share of scattered radiation.
        row_gain: standard deviation of a detector element's gain.
        dead_rows: mean number of detector elements that read the wrong level in a whole scan.
        floor: lowest transmission that can be told from black.
        source_mm: height of the X-ray source above the belt.
        held_out: kept for testing; no default training run draws it.
    """

    palette: Palette = Palette()
    pitch_mm: tuple[float, float] = (1.2, 1.2)
    photons: float = 7_000.0
    electronic: float = 3e-4
    blur_px: float = 0.45
    sharpening: float = 0.7
    scatter: float = 0.015
    row_gain: float = 0.004
    dead_rows: float = 0.2
    floor: float = 1e-3
    source_mm: float = 900.0
    held_out: bool = False


SCANNERS = {
    "alder": Scanner(),
    "birch": Scanner(
        Palette(gamma=0.68, saturation=2.3, hues=(-4, 14, 6), blue_from=17),
        pitch_mm=(1.5, 1.4),
        photons=4_000,
        sharpening=1.1,
    ),
    "cedar": Scanner(
        Palette(gamma=0.58, saturation=2.4, hues=(-10, 12, 0), blue_from=15),
        pitch_mm=(1.0, 1.05),
        photons=12_000,
        blur_px=0.4,
        sharpening=0.8,
        row_gain=0.006,
    ),
    "dogwood": Scanner(
        Palette(gamma=0.7, saturation=1.4, green_from=10.5),
        pitch_mm=(1.9, 1.8),
        photons=3_000,
        blur_px=0.35,
        scatter=0.03,
        floor=2e-3,
    ),
    "elm": Scanner(
        Palette(0.6, 1.9, (4, 28, -4), green_from=9.5, blue_from=17, background=(224, 219, 224)),
        pitch_mm=(1.4, 1.6),
        photons=6_000,
        blur_px=0.5,
        sharpening=1.3,
        source_mm=700,
    ),
    "fir": Scanner(
        Palette(gamma=0.85, saturation=0.0),
        pitch_mm=(1.2, 1.3),
        photons=3_000,
        sharpening=1.4,
        row_gain=0.012,
        dead_rows=0.8,
        floor=3e-3,
    ),
    "hazel": Scanner(
        Palette(gamma=0.64, saturation=1.7, hues=(6, -8, 10), green_from=9.8, blue_from=18),
        pitch_mm=(1.3, 1.15),
        photons=5_000,
        blur_px=0.5,
        sharpening=0.4,
        source_mm=1100,
        held_out=True,
    ),
    "juniper": Scanner(
        Palette(gamma=0.74, saturation=2.6, hues=(-12, 20, 12), blue_from=14.5, background=(252, 250, 240)),
        pitch_mm=(1.7, 1.7),
        photons=2_500,
        blur_px=0.6,
        sharpening=1.6,
        scatter=0.025,
        row_gain=0.01,
        floor=4e-3,
        held_out=True,
    ),
}
"""Virtual scanners by name."""

TRAINING_SCANNERS = tuple(name for name, scanner in SCANNERS.items() if not scanner.held_out)
"""The scanners that training may see."""

WILD = "wild"
"""The name of a scanner that is another one in every scan."""


def scanner_names() -> tuple[str, ...]:
    """Every name that a scan may be made with, in a fixed order."""
    return (*SCANNERS, WILD)


def scanner_called(name: str, draw: Draw) -> Scanner:
    """A named scanner; for ``wild`` one that is drawn, never one of those held out.

    Raises:
        KeyError: there is no such scanner.
    """
    if name != WILD:
        return SCANNERS[name]
    grey = draw.chance(0.2)
    background = draw.choice([(255, 255, 255), (224, 219, 224), (250, 248, 238), (240, 244, 248)], [6, 1, 1, 1])
    palette = Palette(
        gamma=draw.uniform(0.5, 1.1) if grey else draw.uniform(0.42, 0.85),
        saturation=0.0 if grey else draw.uniform(1.0, 2.8),
        hues=(draw.uniform(-14, 12), draw.uniform(-18, 35), draw.uniform(-12, 14)),
        green_from=draw.uniform(9.3, 11),
        blue_from=draw.uniform(14, 18.5),
        blend=draw.uniform(1.2, 3),
        background=background,
    )
    pitch = draw.uniform(0.95, 2.2)
    return replace(
        Scanner(palette),
        pitch_mm=(pitch, pitch * draw.uniform(0.88, 1.14)),
        photons=10 ** draw.uniform(3.1, 4.3),
        blur_px=draw.uniform(0.25, 0.8),
        sharpening=draw.choice([0.0, draw.uniform(0.3, 1.8)], [1, 3]),
        scatter=draw.uniform(0.005, 0.03),
        row_gain=draw.uniform(0.0, 0.014),
        dead_rows=draw.choice([0.0, 1.0], [3, 1]),
        floor=10 ** draw.uniform(-3.5, -2.3),
        source_mm=draw.uniform(650, 1400),
    )
